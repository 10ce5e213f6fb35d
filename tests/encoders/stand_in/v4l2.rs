//! v4l2h264enc of GStreamer 1.22 over a driver with the controls of the Raspberry Pi 4's.

use gst::glib;
use gst::prelude::*;

use super::{Core, stand_in};

/// The driver has no `video_gop_size`; the real one warns about it.
fn effect(core: &Core, name: &str, value: &glib::Value) {
    assert_eq!(name, "extra-controls");
    for (control, value) in value.get::<gst::Structure>().unwrap().iter() {
        let value = value.get::<i32>().expect("controls are of type int");
        match control.as_str() {
            "video_bitrate" => core.encoder.set_property("bitrate", u32::try_from(value).unwrap() / 1000),
            "h264_i_frame_period" => core.encoder.set_property("key-int-max", u32::try_from(value).unwrap()),
            "force_key_frame" => core.keyframe(),
            _ => {}
        }
    }
}

stand_in!(V4l2, v4l2_class, "StandInV4l2",
    raw: "video/x-raw,format={I420,NV12},colorimetry=bt709,interlace-mode=progressive", deaf: true,
    properties: vec![glib::ParamSpecBoxed::builder::<gst::Structure>("extra-controls").build()],
    signals: vec![], effect: effect);
