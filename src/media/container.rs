//! The containers of recordings.

use std::fmt;

use serde::Serialize;

/// What a recording is wrapped in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// ISO base media file (ISO 14496-12): fragmented while open, plain when closed.
    #[default]
    Mp4,
    /// MPEG transport stream (ISO 13818-1).
    Ts,
    /// Matroska (RFC 9559).
    Mkv,
}

impl Container {
    /// All of them.
    pub const ALL: [Container; 3] = [Container::Mp4, Container::Ts, Container::Mkv];

    /// Its name in the configuration, and the ending of its files without the dot.
    pub const fn name(self) -> &'static str {
        match self {
            Container::Mp4 => "mp4",
            Container::Ts => "ts",
            Container::Mkv => "mkv",
        }
    }

    /// The GStreamer element that writes it; `None` for the one that is written without.
    pub const fn muxer(self) -> Option<&'static str> {
        match self {
            Container::Mp4 => None,
            Container::Ts => Some("mpegtsmux"),
            Container::Mkv => Some("matroskamux"),
        }
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
