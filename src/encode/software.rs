//! The encoders that run on the processor. Units and defaults: `gst-inspect-1.0` of GStreamer 1.22, measured in the
//! project's reference notes.

use crate::media::csi::Memory;

use super::row::{Force, Row, Setting, Value, Wish, baseline, bps, kbps, keyframe_frames, must};
use Value::{Fixed, From};

/// x264: bit rate in kbit/s; `zerolatency` means no look-ahead, no B frames, no frame threads.
pub(super) const X264: Row = Row {
    element: "x264enc",
    marks: &[],
    settings: &[
        must("tune", Fixed("zerolatency")),
        must("speed-preset", Fixed("ultrafast")),
        must("bitrate", From(kbps)),
        must("key-int-max", From(keyframe_frames)),
        must("bframes", Fixed("0")),
        must("threads", From(threads)),
        // One thread writes one slice. Several slices to a picture tear in GStreamer 1.22's rtph264depay, without an
        // error, so more threads are planned only where one core is not enough.
        must("sliced-threads", From(|wish| (wish.threads > 1).to_string())),
        must("vbv-buf-capacity", From(six_frames)),
    ],
    raw: "",
    memory: Memory::System,
    output: baseline,
    force: Force::Event,
    // It follows within 2 s, up slower than down; no keyframe is put in (measured 2026-11-20).
    live: &[must("bitrate", From(kbps))],
};

/// openh264: bit rate in bit/s; its default is constant quality, which knows no bit rate at all.
pub(super) const OPENH264: Row = Row {
    element: "openh264enc",
    marks: &[],
    settings: &[
        must("rate-control", Fixed("bitrate")),
        MAX_BITRATE,
        must("bitrate", From(bps)),
        must("gop-size", From(keyframe_frames)),
        must("complexity", Fixed("low")),
        must("usage-type", Fixed("camera")),
        must("multi-thread", From(threads)),
    ],
    raw: "",
    memory: Memory::System,
    output: baseline,
    force: Force::Event,
    // It follows within 1 s (measured 2026-11-20). The bound stays above the target at every moment.
    live: &[MAX_BITRATE, must("bitrate", From(bps))],
};

const MAX_BITRATE: Setting = must("max-bitrate", From(a_fifth_more));

fn a_fifth_more(wish: &Wish) -> String {
    wish.bitrate.bps().saturating_add(wish.bitrate.bps() / 5).to_string()
}

fn threads(wish: &Wish) -> String {
    wish.threads.to_string()
}

/// The buffer that bounds a keyframe's size, in milliseconds: six frames of the target rate, at least 200 ms. Larger
/// ones make a keyframe take longer than a frame's time on a narrow radio link.
fn six_frames(wish: &Wish) -> String {
    (wish.rate.period().as_millis() * 6).clamp(200, 10_000).to_string()
}
