//! Intel and AMD graphics by the VA interface.
//!
//! Not run on hardware yet. Names and units are from GStreamer 1.22's sys/va; tests/encoders proves them against a
//! stand-in.

use crate::media::csi::Memory;

use super::row::{Force, Row, Setting, Value, baseline, kbps, keyframe_frames, may, must};
use Value::{Fixed, From};

/// The encoder on the shaders or the full pipeline.
pub(super) const FULL: Row = row("vah264enc");

/// The fixed-function encoder of Intel graphics.
pub(super) const LOW_POWER: Row = row("vah264lpenc");

const fn row(element: &'static str) -> Row {
    Row {
        element,
        marks: &[],
        settings: SETTINGS,
        raw: "video/x-raw,format=NV12",
        memory: Memory::System,
        output: baseline,
        force: Force::Event,
        // Changeable while it runs, by its own declaration; it may put in a keyframe.
        live: LIVE,
    }
}

const SETTINGS: &[Setting] = &[
    must("rate-control", Fixed("cbr")),
    must("bitrate", From(kbps)),
    must("key-int-max", From(keyframe_frames)),
    may("b-frames", Fixed("0")),
    may("ref-frames", Fixed("1")),
    // 1 is best, 7 is fastest.
    may("target-usage", Fixed("7")),
];

const LIVE: &[Setting] = &[must("bitrate", From(kbps))];
