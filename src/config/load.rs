//! From files and environment to one configuration, and every problem in them at once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::environment::{self, Environment};
use super::layers::{self, ADMIN_FILE, CHANGES_FOLDER, ConfigFile, Layer, VENDOR_FOLDER};
use super::problem::{Place, Problem, Problems};
use super::reader::{From, Origins, Reader, Text};
use super::schema::Settings;
use super::validate::validate;

/// What the configuration is made from.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// Where files may lie, from the lowest layer to the highest; what does not exist is left out.
    pub layers: Vec<Layer>,
    /// A file named on the command line: it must exist, and is read in place of all `layers`.
    pub named: Option<PathBuf>,
    /// The environment, above every file. An argument, so that tests own it.
    pub environment: Environment,
}

impl Inputs {
    /// The layers of an installed system, or the named file in place of them, and the given environment.
    pub fn system(named: Option<PathBuf>, environment: Environment) -> Self {
        let changes = directories(&environment).state.join(CHANGES_FOLDER);
        let layers = vec![Layer::Folder(VENDOR_FOLDER.into()), Layer::File(ADMIN_FILE.into()), Layer::Folder(changes)];
        Self { layers, named, environment }
    }

    /// True when the system runs the daemon as a service: systemd names the state directory of it. There a bad
    /// configuration must not keep it down.
    pub fn is_service(&self) -> bool {
        self.environment.get("STATE_DIRECTORY").is_some_and(|path| path.starts_with('/'))
    }
}

/// Where the daemon keeps what is not media, from the environment that systemd or the session sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directories {
    /// State: changes of the configuration, the last known good one, probe cache. systemd's StateDirectory=, else the user's.
    pub state: PathBuf,
    /// The unix socket, unless `http.socket` says another.
    pub socket: PathBuf,
    /// Recordings, unless `storage.path` says another.
    pub video: PathBuf,
}

/// What the operator asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The values.
    pub settings: Settings,
    /// Where each of them was set.
    pub origins: Origins,
    /// Where the daemon keeps what is not media.
    pub directories: Directories,
    /// The files that were read, lowest layer first.
    pub files: Vec<ConfigFile>,
}

/// Loads everything. The configuration is complete even when there are problems: a value that could not be read is the
/// one of the layer below, so that `check` can go on and say everything at once. `run` refuses if there is any problem.
pub fn load(inputs: &Inputs) -> (Config, Problems) {
    let mut problems = Problems::default();
    let files = layers::gather(inputs, &mut problems);
    read(files, inputs.environment.clone(), problems)
}

/// The same from texts that were read before.
pub(super) fn read(files: Vec<ConfigFile>, environment: Environment, mut problems: Problems) -> (Config, Problems) {
    let mut settings = Settings::default();
    let mut origins = Origins::default();
    for file in &files {
        read_document(&file.path, &file.text, &mut settings, &mut origins, &mut problems);
    }
    environment::apply(&environment, &mut settings, &mut origins, &mut problems);
    validate(&settings, &origins, &mut problems);
    problems.sort_by_place();
    let directories = directories(&environment);
    let config = Config { settings, origins, directories, files };
    socket_fits(&config, &mut problems);
    (config, problems)
}

fn read_document(path: &Path, text: &str, settings: &mut Settings, origins: &mut Origins, problems: &mut Problems) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let text = Text::new(path, text);
    let start = |e: &toml::de::Error| e.span().map_or(0, |span| span.start);
    for e in &errors {
        if problems.is_full() {
            problems.count();
            continue;
        }
        let message = format!("not valid TOML: {}", e.message().trim());
        problems.push(Problem::config(text.place(start(e)), "", message));
    }
    let broken_lines: BTreeSet<usize> = errors.iter().map(|e| text.line(start(e))).collect();
    let mut found = Problems::default();
    let mut reader = Reader::new(From::File(&text), origins, &mut found);
    reader.table(settings, document.get_ref(), "");
    // What the parser guessed on a line it could not read is no statement of the operator.
    found.retain(|p| !matches!(&p.place, Place::File { line, .. } if broken_lines.contains(line)));
    problems.append(found);
}

fn directories(env: &Environment) -> Directories {
    let var = |name: &str| env.get(name).filter(|value| value.starts_with('/')).cloned();
    // systemd lists several directories with ':' between them; ours is the first.
    let service = |name: &str| var(name).map(|value| PathBuf::from(value.split(':').next().unwrap_or_default()));
    let home = |xdg: &str, below: &str| {
        let base = var(xdg).or_else(|| var("HOME").map(|home| format!("{home}/{below}")));
        base.map(|base| Path::new(&base).join("windhover"))
    };
    let fallback = || PathBuf::from("/var/lib/windhover");
    let state = service("STATE_DIRECTORY").or_else(|| home("XDG_STATE_HOME", ".local/state")).unwrap_or_else(fallback);
    let runtime = var("XDG_RUNTIME_DIR").map(|dir| Path::new(&dir).join("windhover"));
    let runtime = service("RUNTIME_DIRECTORY").or(runtime).unwrap_or_else(|| state.clone());
    let data = home("XDG_DATA_HOME", ".local/share").unwrap_or_else(fallback);
    Directories { state, socket: runtime.join("api.sock"), video: data.join("video") }
}

impl Config {
    /// The unix socket of local administration.
    pub fn socket(&self) -> &Path {
        self.settings.http.socket.as_deref().unwrap_or(&self.directories.socket)
    }

    /// The directory of recordings and snapshots.
    pub fn storage_path(&self) -> &Path {
        self.settings.storage.path.as_deref().unwrap_or(&self.directories.video)
    }
}

/// sockaddr_un holds 108 bytes with the final NUL; the name for the atomic replacement of a stale socket is longer.
fn socket_fits(config: &Config, problems: &mut Problems) {
    let path = config.socket();
    if path.as_os_str().len() > 100 {
        let message = format!("{} is longer than the 100 bytes that a unix socket may have", path.display());
        let place = config.origins.place("http.socket");
        problems.push(Problem::config(place, "http.socket", message).advise("set http.socket to a shorter path"));
    }
}
