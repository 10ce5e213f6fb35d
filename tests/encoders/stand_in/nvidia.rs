//! nvv4l2h264enc with its two sets of properties, and with some of a release of one's own.

use gst::glib;
use gst::prelude::*;

use super::{Core, stand_in};

const SURFACES: &str = "video/x-raw(memory:NVMM),format={I420,NV12,P010_10LE,NV24}";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "StandInNvRate")]
enum Rate {
    #[enum_value(name = "variable", nick = "variable_bitrate")]
    Variable = 0,
    #[default]
    #[enum_value(name = "constant", nick = "constant_bitrate")]
    Constant = 1,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "StandInNvPreset")]
enum Preset {
    #[enum_value(name = "disable", nick = "DisablePreset")]
    Disable = 0,
    #[default]
    #[enum_value(name = "ultrafast", nick = "UltraFastPreset")]
    UltraFast = 1,
    #[enum_value(name = "fast", nick = "FastPreset")]
    Fast = 2,
    #[enum_value(name = "medium", nick = "MediumPreset")]
    Medium = 3,
    #[enum_value(name = "slow", nick = "SlowPreset")]
    Slow = 4,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "StandInNvProfile")]
enum Profile {
    #[default]
    #[enum_value(name = "baseline", nick = "Baseline")]
    Baseline = 0,
    #[enum_value(name = "main", nick = "Main")]
    Main = 2,
    #[enum_value(name = "high", nick = "High")]
    High = 4,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "StandInNvTuning")]
enum Tuning {
    #[enum_value(name = "hq", nick = "HighQualityPreset")]
    HighQuality = 1,
    #[default]
    #[enum_value(name = "ll", nick = "LowLatencyPreset")]
    LowLatency = 2,
    #[enum_value(name = "ull", nick = "UltraLowLatencyPreset")]
    UltraLowLatency = 3,
    #[enum_value(name = "lossless", nick = "LosslessPreset")]
    Lossless = 4,
}

fn number(name: &'static str, default: u32) -> glib::ParamSpec {
    glib::ParamSpecUInt::builder(name).default_value(default).build()
}

fn switch(name: &'static str) -> glib::ParamSpec {
    glib::ParamSpecBoolean::builder(name).default_value(false).build()
}

/// In both sets.
fn shared() -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecEnum::builder_with_default("control-rate", Rate::Constant).build(),
        number("bitrate", 4_000_000),
        number("iframeinterval", 30),
    ]
}

fn tegra() -> Vec<glib::ParamSpec> {
    let mut all = shared();
    all.extend([
        number("peak-bitrate", 0),
        number("idrinterval", 256),
        glib::ParamSpecEnum::builder_with_default("preset-level", Preset::UltraFast).build(),
        glib::ParamSpecEnum::builder_with_default("profile", Profile::Baseline).build(),
        switch("insert-sps-pps"),
        switch("insert-vui"),
        switch("insert-aud"),
        glib::ParamSpecUInt::builder("num-B-Frames").maximum(2).build(),
        glib::ParamSpecUInt::builder("num-Ref-Frames").maximum(8).default_value(1).build(),
        switch("maxperf-enable"),
        number("vbv-size", 4_000_000),
        glib::ParamSpecUInt::builder("poc-type").maximum(2).build(),
    ]);
    all
}

fn cuvid() -> Vec<glib::ParamSpec> {
    let mut all = shared();
    all.extend([
        number("idrinterval", 256),
        number("gpu-id", 0),
        glib::ParamSpecUInt::builder("preset-id").minimum(1).maximum(7).default_value(1).build(),
        glib::ParamSpecEnum::builder_with_default("tuning-info-id", Tuning::LowLatency).build(),
        switch("force-idr"),
        switch("force-intra"),
        switch("copy-meta"),
    ]);
    all
}

/// An IDR picture comes by `idrinterval` where there is one; bit rates are in bit/s and act at once.
fn effect(core: &Core, name: &str, value: &glib::Value) {
    match name {
        "bitrate" => core.encoder.set_property("bitrate", value.get::<u32>().unwrap() / 1000),
        "idrinterval" | "iframeinterval" => core.encoder.set_property("key-int-max", value.get::<u32>().unwrap()),
        "force-idr" if value.get::<bool>().unwrap() => core.keyframe(),
        _ => {}
    }
}

fn force_idr() -> Vec<glib::subclass::Signal> {
    let handler = glib::subclass::Signal::builder("force-IDR").action().class_handler(|values| {
        let element = values[0].get::<gst::Element>().unwrap();
        assert_eq!(element.current_state(), gst::State::Playing, "the real one's device is not open yet");
        element.downcast_ref::<Tegra>().unwrap().keyframe();
        None
    });
    vec![handler.build()]
}

stand_in!(Tegra, tegra_class, "StandInNvTegra", raw: SURFACES, deaf: true, properties: tegra(),
    signals: force_idr(), effect: effect);
stand_in!(Cuvid, cuvid_class, "StandInNvCuvid", raw: SURFACES, deaf: true, properties: cuvid(),
    signals: vec![], effect: effect);

// An older release: no idrinterval, no choice of tuning.
stand_in!(OldCuvid, old_cuvid_class, "StandInNvOldCuvid", raw: SURFACES, deaf: true,
    properties: { let mut all = shared(); all.push(switch("force-idr")); all }, signals: vec![], effect: effect);

// L4T 32, whose driver takes another bit rate and goes on as before.
stand_in!(Stubborn, stubborn_class, "StandInNvStubborn", raw: SURFACES, deaf: true, properties: tegra(),
signals: vec![], effect: |core, name, value| {
    if name != "bitrate" || core.encoder.current_state() == gst::State::Null {
        effect(core, name, value);
    }
});

// Releases that do not exist: one without a bit rate, one with properties of neither set.
stand_in!(NoRate, no_rate_class, "StandInNvNoRate", raw: SURFACES, deaf: true,
    properties: tegra().into_iter().filter(|spec| spec.name() != "bitrate").collect(), signals: vec![],
    effect: effect);
stand_in!(Neither, neither_class, "StandInNvNeither", raw: SURFACES, deaf: true, properties: shared(),
    signals: vec![], effect: effect);

impl Tegra {
    fn keyframe(&self) {
        use gst::subclass::prelude::*;
        self.imp().0.keyframe();
    }
}
