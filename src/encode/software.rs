//! The encoders that run on the processor. Units and defaults: `gst-inspect-1.0` of GStreamer 1.22, measured in the
//! project's reference notes.

use crate::gst::{Error, make, set, set_from_text};
use crate::media::format::FrameRate;
use crate::plan::EncodePlan;

/// x264: bit rate in kbit/s; `zerolatency` means no look-ahead, no B frames, no frame threads.
pub(super) fn x264(plan: &EncodePlan, rate: FrameRate) -> Result<gst::Element, Error> {
    let encoder = make("x264enc", "encoder")?;
    set_from_text(&encoder, "tune", "zerolatency")?;
    set_from_text(&encoder, "speed-preset", "ultrafast")?;
    set(&encoder, "bitrate", plan.bitrate.kbps())?;
    set(&encoder, "key-int-max", plan.keyframe_frames)?;
    set(&encoder, "bframes", 0u32)?;
    set(&encoder, "threads", plan.threads.value)?;
    // One thread writes one slice. Several slices to a picture tear in GStreamer 1.22's rtph264depay, without an
    // error, so more threads are planned only where one core is not enough.
    set(&encoder, "sliced-threads", plan.threads.value > 1)?;
    // The buffer that bounds a keyframe's size: six frames of the target rate, at least 200 ms. Larger ones make a
    // keyframe take longer than a frame's time on a narrow radio link.
    let six_frames = u32::try_from(rate.period().as_millis() * 6).unwrap_or(200);
    set(&encoder, "vbv-buf-capacity", six_frames.max(200))?;
    Ok(encoder)
}

/// openh264: bit rate in bit/s; its default is constant quality, which knows no bit rate at all.
pub(super) fn openh264(plan: &EncodePlan) -> Result<gst::Element, Error> {
    let encoder = make("openh264enc", "encoder")?;
    set_from_text(&encoder, "rate-control", "bitrate")?;
    set(&encoder, "bitrate", plan.bitrate.bps())?;
    set(&encoder, "max-bitrate", plan.bitrate.bps().saturating_add(plan.bitrate.bps() / 5))?;
    set(&encoder, "gop-size", plan.keyframe_frames)?;
    set_from_text(&encoder, "complexity", "low")?;
    set_from_text(&encoder, "usage-type", "camera")?;
    set(&encoder, "multi-thread", plan.threads.value)?;
    Ok(encoder)
}
