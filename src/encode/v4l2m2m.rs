//! Encoders behind the kernel's stateful v4l2 interface: Raspberry Pi 4, Qualcomm, TI.
//!
//! Not run on hardware yet. Names and behaviour are from GStreamer's sys/v4l2 and the kernel's names of the controls;
//! tests/encoders proves them against a stand-in.

use crate::media::csi::Memory;

use super::row::{Force, Row, Setting, Value, Wish, must};
use Value::From;

/// The first encoder device of the machine.
pub(super) const FIRST: Row = row("v4l2h264enc");

/// Every further one, by the number of its node.
pub(super) const NUMBERED: Row = row("v4l2video#h264enc");

const fn row(element: &'static str) -> Row {
    Row {
        element,
        marks: &["extra-controls"],
        settings: SETTINGS,
        // The Pi's encoder refuses other colorimetries and interlaced pictures.
        raw: "video/x-raw,format=NV12,colorimetry=bt709,interlace-mode=progressive",
        memory: Memory::System,
        output: profile_and_level,
        // GStreamer 1.22 does not hand GstForceKeyUnit to the driver. A button of the driver's is the way.
        force: Force::Property("extra-controls", "controls,force_key_frame=(int)1"),
        // Controls that are set on an open device act at once; whether the driver then follows differs.
        live: LIVE,
    }
}

const SETTINGS: &[Setting] = &[must("extra-controls", From(controls))];

const LIVE: &[Setting] = &[must("extra-controls", From(|wish| format!("controls,video_bitrate=(int){}", rate(wish))))];

/// Drivers have one or the other name for the distance of keyframes; a control that a driver lacks is a warning in
/// GStreamer's log and no more.
fn controls(wish: &Wish) -> String {
    let (rate, frames) = (rate(wish), int(wish.keyframe_frames));
    format!(
        "controls,video_bitrate_mode=(int)1,video_bitrate=(int){rate},video_gop_size=(int){frames},\
         h264_i_frame_period=(int){frames},repeat_sequence_header=(int)1"
    )
}

fn rate(wish: &Wish) -> i32 {
    int(wish.bitrate.bps())
}

/// v4l2 controls are signed.
fn int(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// The Pi's driver fails to negotiate unless a level is named that is high enough: 4 is 1080p30, 4.2 is 1080p60.
fn profile_and_level(wish: &Wish) -> String {
    let level = if wish.rate.as_f64() > 30.5 { "4.2" } else { "4" };
    format!("video/x-h264,profile=constrained-baseline,level=(string){level}")
}
