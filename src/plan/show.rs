//! The Plan as text: every choice with its reason.

use std::fmt::{Display, Write};
use std::time::Duration;

use crate::media::csi::Memory;
use crate::media::format::Flip;

use super::csi::CsiPlan;
use super::{DeviceMatch, Plan, SourceKind, StoragePlan, StreamPlan};

/// The text that `check` prints and `run` logs at its start.
pub fn text(plan: &Plan) -> String {
    let mut page = Page(String::new());
    page.line(0, "board", &plan.board.value, &plan.board.reason);
    for (n, stream) in plan.streams.iter().enumerate() {
        page.0.push('\n');
        page.stream(stream, n == 0);
    }
    page.0.push('\n');
    match &plan.rtsp {
        Some(rtsp) => {
            let login = rtsp.login.as_ref().map(|file| format!("by name and password: {}", file.display()));
            let (all, host) = (rtsp.max_viewers, rtsp.max_viewers_per_host);
            let served = format!("{}, at most {all} viewers, {host} from one host", rtsp.listen);
            page.line(0, "rtsp", served, &login.unwrap_or_default());
            if let Some(secure) = &rtsp.secure {
                let files = format!("certificate {}, key {}", secure.certificate.display(), secure.key.display());
                page.line(0, "rtsps", secure.listen, &files);
            }
        }
        None => page.line(0, "rtsp", "off", "configured"),
    }
    let pictures = if plan.http.login { "health and plan; no pictures, because watching needs a login" } else { "" };
    page.line(0, "http", plan.http.listen, pictures);
    page.line(0, "socket", plan.http.socket.display(), "");
    match &plan.storage {
        Some(storage) => page.storage(storage),
        None => page.line(0, "storage", "none", "no stream records or takes snapshots"),
    }
    page.0
}

struct Page(String);

impl Page {
    /// `name   value`, and below it the reason, all aligned.
    fn line(&mut self, indent: usize, name: &str, value: impl Display, reason: &str) {
        let width = 14 - indent;
        writeln!(self.0, "{:indent$}{name:<width$}{value}", "").expect("writing to a String never fails");
        self.reason(reason);
    }

    /// Wrapped at a terminal's width.
    fn reason(&mut self, reason: &str) {
        const WIDTH: usize = 84;
        let mut line = String::new();
        for word in reason.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.0.push_str(&format!("{:16}{line}\n", ""));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if !line.is_empty() {
            self.0.push_str(&format!("{:16}{line}\n", ""));
        }
    }

    fn stream(&mut self, stream: &StreamPlan, first: bool) {
        let path = if first && stream.id.as_str() != "live" {
            format!("/live and /{}", stream.id)
        } else {
            format!("/{}", stream.id)
        };
        self.line(0, "stream", format_args!("{}, served as {path}", stream.id), "");
        self.source(stream);
        let turned = match stream.source.flip {
            Flip::None => String::new(),
            flip => format!(", flip {flip}"),
        };
        let picture = match stream.source.kind {
            SourceKind::File { .. } => "the clip's own size and rate".to_owned(),
            _ => format!("{} at {} frames per second", stream.size, stream.rate),
        };
        self.line(2, "picture", format_args!("{picture}{turned}"), "");
        match &stream.encode {
            Some(encode) => {
                self.line(2, "encoder", &encode.element.value, &encode.element.reason);
                let keyframes = format!("a keyframe every {} pictures", encode.keyframe_frames);
                let convert = match encode.convert.value.is_empty() {
                    true => "none".to_owned(),
                    false => encode.convert.value.join(", "),
                };
                self.line(2, "convert", convert, &encode.convert.reason);
                self.line(2, "encode", format_args!("{} at {}, {keyframes}", encode.codec, encode.bitrate), "");
                self.line(2, "threads", encode.threads.value, &encode.threads.reason);
            }
            None => self.line(2, "encoder", "none", "the camera encodes by itself; its stream is passed through"),
        }
        let slate = match (stream.slate, &stream.encode) {
            (true, _) => "says why, in place of a picture that does not come",
            (false, Some(_)) if stream.source.kind.memory() == Memory::Surfaces => {
                "none: it is drawn in the processor's memory, and this encoder takes surfaces alone"
            }
            (false, Some(_)) => "off: without pictures the stream stops",
            (false, None) => "none: what the camera has encoded stops with the camera",
        };
        self.line(2, "slate", slate, "");
        match &stream.record {
            Some(record) => {
                let buffer = human(record.buffer);
                let (format, length) = (record.format, human(record.segment));
                self.line(2, "record", format_args!("{format} files of {length}, {buffer} of buffer"), "");
            }
            None => self.line(2, "record", "off", ""),
        }
        match (&stream.snapshot, &stream.encode) {
            (Some(snapshot), _) => {
                let carried = stream.carrier().map(|by| format!("each is carried to the processor's memory by {by}"));
                let every = format!("every {}", human(snapshot.every));
                self.line(2, "snapshots", every, &carried.unwrap_or_default());
            }
            (None, None) => self.line(2, "snapshots", "off", "there is no raw picture to take them from"),
            (None, Some(_)) => self.line(2, "snapshots", "off", ""),
        }
        if let Some(viewers) = stream.max_viewers {
            self.line(2, "viewers", format_args!("at most {viewers}"), "");
        }
    }

    fn source(&mut self, stream: &StreamPlan) {
        let source = &stream.source;
        match &source.kind {
            SourceKind::Test => self.line(2, "source", "test picture", &source.reason),
            SourceKind::File { paths } => {
                let list: Vec<_> = paths.iter().map(|p| p.display().to_string()).collect();
                self.line(2, "source", format_args!("clips in a loop: {}", list.join(", ")), &source.reason);
            }
            SourceKind::Csi(csi) => self.csi(csi, stream.source.flip, &source.reason),
            SourceKind::V4l2 { device, format, .. } => {
                self.line(2, "source", "v4l2 camera", &source.reason);
                match &device.value {
                    DeviceMatch::Any => self.line(2, "device", "auto", &device.reason),
                    DeviceMatch::Path(path) => self.line(2, "device", path.display(), &device.reason),
                }
                if !source.controls.is_empty() {
                    self.line(2, "controls", &source.controls, "set each time the camera is opened");
                }
                match format {
                    Some(format) => self.line(2, "format", format.value, &format.reason),
                    None => self.line(2, "format", "open", "decided when the camera appears"),
                }
            }
        }
        let (frozen, lost) = (human(source.frozen_after), human(source.timeout));
        let (open, pause) = (human(source.restart_timeout), human(source.retry_every_max));
        self.line(
            2,
            "watched",
            format_args!(
                "frozen after {frozen}, lost after {lost}, opening takes at most {open}, pauses up to {pause}"
            ),
            "",
        );
    }

    fn csi(&mut self, csi: &CsiPlan, flip: Flip, reason: &str) {
        self.line(2, "source", "CSI camera", reason);
        let stack = csi.stack.value;
        self.line(2, "stack", format_args!("{stack} ({})", stack.element()), &csi.stack.reason);
        self.line(2, "camera", &csi.sensor.value, &csi.sensor.reason);
        match csi.mode.value {
            Some(mode) => self.line(2, "mode", mode, &csi.mode.reason),
            None => self.line(2, "mode", "auto", &csi.mode.reason),
        }
        let settings = csi.settings.list();
        if !settings.is_empty() {
            self.line(2, "set", settings.join(", "), "configured");
        }
        let place = match csi.memory.value {
            Memory::Surfaces => "in surfaces of the chip (NVMM)",
            Memory::System => "in the processor's memory",
        };
        let by = match (&csi.converter, csi.memory.value, flip) {
            (None, ..) | (_, Memory::Surfaces, Flip::None) => String::new(),
            (Some(converter), _, Flip::None) => format!(", by {converter}"),
            (Some(converter), ..) => format!(", turned by {converter}"),
        };
        self.line(2, "pictures", format_args!("{place}{by}"), &csi.memory.reason);
    }

    fn storage(&mut self, storage: &StoragePlan) {
        self.line(0, "storage", storage.path.display(), "");
        let age = storage.max_age.map_or_else(|| "at any age".to_owned(), |age| format!("until {} old", human(age)));
        self.line(
            2,
            "kept",
            format_args!("{age}, while {} are free; always the newest {}", storage.keep_free, human(storage.min_keep)),
            "",
        );
        self.line(2, "images", format_args!("the newest {} of each stream", storage.images), "");
    }
}

/// A length of time in the largest unit that it is a whole number of; below a minute in seconds.
pub(super) fn human(d: Duration) -> String {
    let seconds = d.as_secs();
    let whole = |unit: u64| d.subsec_nanos() == 0 && seconds >= unit && seconds.is_multiple_of(unit);
    for (unit, name) in [(86_400, "days"), (3_600, "h"), (60, "min")] {
        if whole(unit) {
            return format!("{} {name}", seconds / unit);
        }
    }
    format!("{} s", d.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        let table = [(5_500, "5.5 s"), (1_000, "1 s"), (90_000, "90 s"), (600_000, "10 min"), (7_200_000, "2 h")];
        for (ms, want) in table {
            assert_eq!(human(Duration::from_millis(ms)), want);
        }
        assert_eq!(human(Duration::from_secs(30 * 86_400)), "30 days");
    }
}
