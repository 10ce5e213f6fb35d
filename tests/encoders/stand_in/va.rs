//! vah264enc and vah264lpenc of GStreamer 1.22.

use gst::glib;
use gst::prelude::*;

use super::{Core, stand_in};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "StandInVaRate")]
enum Rate {
    #[default]
    #[enum_value(name = "cbr", nick = "cbr")]
    Cbr = 2,
    #[enum_value(name = "vbr", nick = "vbr")]
    Vbr = 4,
    #[enum_value(name = "cqp", nick = "cqp")]
    Cqp = 16,
}

fn properties() -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecEnum::builder_with_default("rate-control", Rate::Cbr).build(),
        glib::ParamSpecUInt::builder("bitrate").maximum(2_048_000).build(),
        glib::ParamSpecUInt::builder("key-int-max").maximum(1024).build(),
        glib::ParamSpecUInt::builder("b-frames").maximum(31).build(),
        glib::ParamSpecUInt::builder("ref-frames").maximum(16).default_value(3).build(),
        glib::ParamSpecUInt::builder("target-usage").minimum(1).maximum(7).default_value(4).build(),
    ]
}

/// Bit rates are in kbit/s, and keyframes come by GStreamer's event.
fn effect(core: &Core, name: &str, value: &glib::Value) {
    if let "bitrate" | "key-int-max" = name {
        core.encoder.set_property(name, value.get::<u32>().unwrap());
    }
}

stand_in!(Va, va_class, "StandInVa", raw: "video/x-raw,format=NV12", deaf: false, properties: properties(),
    signals: vec![], effect: effect);
