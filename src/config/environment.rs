//! The environment, the topmost layer: short names that act on the first stream, and `WINDHOVER_<SECTION>__<KEY>`.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::base::redact;

use super::problem::{Place, Problem, Problems};
use super::reader::{From, Origins, Reader, nearest};
use super::schema::Settings;
use super::section::{Read, Section, Shape};

/// The environment as given to the process.
pub type Environment = BTreeMap<String, String>;

/// Longer values are refused: no setting needs them.
const LONGEST: usize = 4096;

/// What the prefix is for besides configuration: read elsewhere or at build time.
const NOT_CONFIG: &[&str] = &["WINDHOVER_LOG", "WINDHOVER_REVISION"];

/// Applies every variable that is ours to `settings`. An empty value counts as not set, as in a systemd EnvironmentFile.
pub(crate) fn apply(env: &Environment, settings: &mut Settings, origins: &mut Origins, problems: &mut Problems) {
    for (name, value) in env.iter().filter(|(_, value)| !value.is_empty()) {
        let path = short_name(name).map_or_else(|| long_name(name), |path| Some(path.to_owned()));
        if path.is_none() && !is_special(name) {
            continue;
        }
        if value.len() > LONGEST {
            let place = Place::Variable(name.clone());
            problems.push(Problem::config(place, "", format!("longer than {LONGEST} bytes")));
            continue;
        }
        let mut one = One { name, settings, origins, problems };
        match (name.as_str(), path) {
            ("CAMERA", _) => one.camera(value),
            ("VIDEO_WIDTH" | "VIDEO_HEIGHT", _) => one.side(value),
            ("VIDEO_BITRATE", Some(path)) if value.trim().bytes().all(|b| b.is_ascii_digit()) => {
                one.set(&path, &format!("{} bit/s", value.trim()));
            }
            ("SSD_PATH", Some(path)) => one.set(&path, &format!("{}/drone_temp", value.trim_end_matches('/'))),
            (_, Some(path)) => one.set(&path, value),
            (_, None) => {}
        }
    }
}

fn short_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "VIDEO_FPS" => "stream[0].fps",
        "VIDEO_BITRATE" => "stream[0].encode.bitrate",
        "ENABLE_RTSP" => "rtsp.enabled",
        "ENABLE_VIDEO" => "stream[0].record.enabled",
        "ENABLE_IMAGES" => "stream[0].snapshot.enabled",
        "SSD_PATH" => "storage.path",
        _ => return None,
    })
}

fn is_special(name: &str) -> bool {
    matches!(name, "CAMERA" | "VIDEO_WIDTH" | "VIDEO_HEIGHT")
}

/// `WINDHOVER_RTSP__LISTEN` is `rtsp.listen`, `WINDHOVER_BOARD` is `board`.
fn long_name(name: &str) -> Option<String> {
    let rest = name.strip_prefix("WINDHOVER_")?;
    let ours = !NOT_CONFIG.contains(&name) && (rest.contains("__") || rest == "BOARD");
    ours.then(|| rest.to_lowercase().replacen("__", ".", 1))
}

/// True for a variable that sets something.
pub(super) fn is_ours(name: &str) -> bool {
    short_name(name).is_some() || is_special(name) || long_name(name).is_some()
}

/// One variable on its way into the settings.
struct One<'a> {
    name: &'a str,
    settings: &'a mut Settings,
    origins: &'a mut Origins,
    problems: &'a mut Problems,
}

impl One<'_> {
    fn problem(&mut self, key: &str, message: impl Into<String>, advice: &str) {
        let place = Place::Variable(self.name.to_owned());
        self.problems.push(Problem::config(place, key, message).advise(advice));
    }

    fn first(&mut self) -> &mut super::schema::Stream {
        self.settings.stream.first_mut().expect("the reader keeps at least one stream")
    }

    /// Reads `text` as the value of the key at `path`, by the same walk as a file.
    fn set(&mut self, path: &str, text: &str) {
        let mut reader = Reader::new(From::Variable(self.name), self.origins, self.problems);
        let value = nest(path.strip_prefix("stream[0].").unwrap_or(path), text);
        if path.starts_with("stream[0].") {
            let first = self.settings.stream.first_mut().expect("the reader keeps at least one stream");
            return first.read(&value, "stream[0]", &mut reader);
        }
        let section = path.split('.').next().unwrap_or(path);
        match Settings::KEYS.iter().find(|key| key.name == section) {
            None => self.problem(path, "unknown key", &nearest(Settings::KEYS, section)),
            Some(key) if matches!(key.shape, Shape::Tables(_)) => {
                self.problem(path, "streams cannot be set by the environment", "write them into a file");
            }
            Some(_) => {
                let table = value.get_ref().as_table().expect("a path has at least one part");
                reader.table(self.settings, table, "");
            }
        }
    }

    /// `CAMERA`: what earlier systems called the source.
    fn camera(&mut self, text: &str) {
        let text = text.trim();
        let number = !text.is_empty() && text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit());
        let device = if number { format!("/dev/video{text}") } else { text.to_owned() };
        let (kind, key) = match text {
            "auto" | "test" | "csi" => (text, None),
            _ if device.starts_with("/dev/") => ("v4l2", Some("device")),
            _ if text.starts_with('/') => ("file", Some("path")),
            _ => {
                let message = if text.contains("://") {
                    "network cameras come with a later version of Windhover".to_owned()
                } else {
                    format!("\"{}\" is no source", redact::short(text))
                };
                let advice =
                    "use auto, test, csi, a device such as /dev/video0 or its number, or the absolute path of a clip";
                return self.problem("stream[0].source", message, advice);
            }
        };
        // The variable names the whole source: what a file says of the device it replaces means nothing now. Only what
        // is asked of a camera may stand.
        let format = self.first().source.format.filter(|_| kind == "v4l2");
        self.set("stream[0].source.kind", kind);
        self.first().source.format = format;
        if let Some(key) = key {
            self.set(&format!("stream[0].source.{key}"), &device);
        }
    }

    /// `VIDEO_WIDTH` and `VIDEO_HEIGHT`: one side of the size.
    fn side(&mut self, text: &str) {
        let first = self.settings.stream.first_mut().expect("the reader keeps at least one stream");
        let mut size = first.size;
        let side = text.trim().parse::<u32>().ok().filter(|n| (16..=8192).contains(n) && n % 2 == 0);
        match (side, self.name) {
            (Some(width), "VIDEO_WIDTH") => size.width = width,
            (Some(height), _) => size.height = height,
            (None, _) => {
                let text = redact::short(text);
                return self.problem("stream[0].size", format!("\"{text}\" is no even number from 16 to 8192"), "");
            }
        }
        first.size = size;
        self.origins.set("stream[0].size", Place::Variable(self.name.to_owned()));
    }
}

/// `a.b` and a text as the document `{ a = { b = "text" } }`.
fn nest(path: &str, text: &str) -> Spanned<DeValue<'static>> {
    let leaf = Spanned::new(0..0, DeValue::String(text.to_owned().into()));
    path.rsplit('.').fold(leaf, |inner, key| {
        let mut table = DeTable::new();
        table.insert(Spanned::new(0..0, key.to_owned().into()), inner);
        Spanned::new(0..0, DeValue::Table(table))
    })
}
