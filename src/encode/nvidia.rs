//! NVIDIA's encoder element. Behind one name are two sets of properties: that of the Tegra driver (Xavier, Orin) and
//! that of the CUVID library (Thor, PC cards). Which one a system has is decided when its plugin is loaded.
//!
//! Not run on hardware yet. Names and behaviour are from the source of gst-nvvideo4linux2 (L4T R35 and R36);
//! tests/encoders proves them against stand-ins.

use crate::media::csi::Memory;

use super::row::{Force, Row, Value, Wish, bps, keyframe_frames, may, must};
use Value::{Fixed, From};

const ELEMENT: &str = "nvv4l2h264enc";

/// Orin NX, AGX Orin, Xavier.
pub(super) const TEGRA: Row = Row {
    element: ELEMENT,
    marks: &["preset-level"],
    settings: &[
        must("control-rate", Fixed("constant_bitrate")),
        must("bitrate", From(bps)),
        // Both, always: with the defaults of 30 and 256 a viewer waits 8.5 s for an IDR picture.
        must("iframeinterval", From(keyframe_frames)),
        must("idrinterval", From(keyframe_frames)),
        may("preset-level", Fixed("UltraFastPreset")),
        may("profile", Fixed("Baseline")),
        may("insert-sps-pps", Fixed("true")),
        may("insert-vui", Fixed("true")),
        // Decoders may put out each picture at once: none is reordered.
        may("poc-type", Fixed("2")),
        may("num-B-Frames", Fixed("0")),
        // Keeps the encoder's clock up: lower and steadier latency for some more power.
        may("maxperf-enable", Fixed("true")),
        may("vbv-size", From(two_frames)),
    ],
    raw: "",
    memory: Memory::Surfaces,
    output: any_profile,
    // GstForceKeyUnit is ignored.
    force: Force::Signal("force-IDR"),
    // An ioctl at once. L4T 32 was seen to ignore it, so the rate that comes out has to be verified.
    live: &[must("bitrate", From(bps))],
};

/// Thor, and PC cards. Nothing is known of a change of the bit rate while it runs.
pub(super) const CUVID: Row = Row {
    element: ELEMENT,
    marks: &["force-idr"],
    settings: &[
        must("control-rate", Fixed("constant_bitrate")),
        must("bitrate", From(bps)),
        must("iframeinterval", From(keyframe_frames)),
        may("idrinterval", From(keyframe_frames)),
        may("preset-id", Fixed("1")),
        may("tuning-info-id", Fixed("LowLatencyPreset")),
    ],
    raw: "",
    memory: Memory::Surfaces,
    output: any_profile,
    force: Force::Property("force-idr", "true"),
    live: &[],
};

/// In bits. Less than a frame's share makes pictures poor, more makes a keyframe late.
fn two_frames(wish: &Wish) -> String {
    let bits = f64::from(wish.bitrate.bps()) * 2.0 / wish.rate.as_f64();
    format!("{:.0}", bits.clamp(1.0, f64::from(u32::MAX)))
}

/// The profile is a property here, and caps that contradict it would keep the element from starting.
fn any_profile(_: &Wish) -> String {
    "video/x-h264".into()
}
