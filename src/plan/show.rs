//! The Plan as text: every choice with its reason.

use std::fmt::{Display, Write};
use std::time::Duration;

use crate::media::format::Flip;

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
        Some(rtsp) => page.line(0, "rtsp", format_args!("{}, at most {} viewers", rtsp.listen, rtsp.max_viewers), ""),
        None => page.line(0, "rtsp", "off", "configured"),
    }
    page.line(0, "http", plan.http.listen, "");
    page.line(0, "socket", plan.http.socket.display(), "");
    match &plan.storage {
        Some(storage) => page.storage(storage),
        None => page.line(0, "storage", "none", "no stream records or takes snapshots"),
    }
    page.0
}

struct Page(String);

impl Page {
    /// `name   value   (reason)`, names and their values aligned.
    fn line(&mut self, indent: usize, name: &str, value: impl Display, reason: &str) {
        let width = 14 - indent;
        let open = format!("{:indent$}{name:<width$}", "");
        let written = if reason.is_empty() {
            writeln!(self.0, "{open}{value}")
        } else {
            writeln!(self.0, "{open}{value}\n{:14}  {reason}", "")
        };
        written.expect("writing to a String never fails");
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
            flip => format!(", turned ({flip:?})").to_lowercase(),
        };
        self.line(2, "picture", format_args!("{} at {} frames per second{turned}", stream.size, stream.rate), "");
        match &stream.encode {
            Some(encode) => {
                self.line(2, "encoder", &encode.element.value, &encode.element.reason);
                let keyframes = format!("a keyframe every {} pictures", encode.keyframe_frames);
                self.line(2, "encode", format_args!("{} at {}, {keyframes}", encode.codec, encode.bitrate), "");
                self.line(2, "threads", encode.threads.value, &encode.threads.reason);
            }
            None => self.line(2, "encoder", "none", "the camera encodes by itself; its stream is passed through"),
        }
        match &stream.record {
            Some(record) => {
                let buffer = human(record.buffer);
                self.line(2, "record", format_args!("mp4 files of {}, {buffer} of buffer", human(record.segment)), "");
            }
            None => self.line(2, "record", "off", ""),
        }
        match (&stream.snapshot, &stream.encode) {
            (Some(snapshot), _) => self.line(2, "snapshots", format_args!("every {}", human(snapshot.every)), ""),
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
            SourceKind::V4l2 { device, format, .. } => {
                self.line(2, "source", "v4l2 camera", &source.reason);
                match &device.value {
                    DeviceMatch::Any => self.line(2, "device", "auto", &device.reason),
                    DeviceMatch::Path(path) => self.line(2, "device", path.display(), &device.reason),
                }
                match format {
                    Some(format) => self.line(2, "format", format.value, &format.reason),
                    None => self.line(2, "format", "open", "decided when the camera appears"),
                }
            }
        }
        let (lost, open, pause) = (human(source.timeout), human(source.restart_timeout), human(source.retry_every_max));
        self.line(
            2,
            "watched",
            format_args!("lost after {lost}, opening takes at most {open}, pauses up to {pause}"),
            "",
        );
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

fn human(d: Duration) -> impl Display {
    humantime::format_duration(d)
}
