//! Vendor encoders by stand-ins: the right properties with the right units, caps that fit, and a keyframe that comes.

// All of it is test code; clippy knows that only of functions marked as tests.
#![allow(clippy::unwrap_used)]

mod boards;
mod rebuild;
mod rig;
mod running;
mod stand_in;

use gst::glib::prelude::StaticType;
use stand_in::nvidia::{Cuvid, Neither, NoRate, OldCuvid, Tegra};
use stand_in::v4l2::V4l2;
use stand_in::va::Va;
use stand_in::{register, told};
use windhover::base::clock::SystemClock;
use windhover::base::units::Bitrate;
use windhover::encode::{Changed, Error, encode_ten};

use rig::Rig;

/// Each element name with the class that stands in for it and what it has to be told for 2 Mbit/s at 30 fps with a
/// keyframe every 60 pictures.
fn rows() -> Vec<(&'static str, gst::glib::Type, &'static [&'static str])> {
    let v4l2: &[&str] = &["extra-controls=controls, video_bitrate_mode=(int)1, video_bitrate=(int)2000000, \
                           video_gop_size=(int)60, h264_i_frame_period=(int)60, repeat_sequence_header=(int)1;"];
    let va: &[&str] =
        &["rate-control=cbr", "bitrate=2000", "key-int-max=60", "b-frames=0", "ref-frames=1", "target-usage=7"];
    let tegra: &[&str] = &[
        "control-rate=constant_bitrate",
        "bitrate=2000000",
        "iframeinterval=60",
        "idrinterval=60",
        "preset-level=UltraFastPreset",
        "profile=Baseline",
        "insert-sps-pps=true",
        "insert-vui=true",
        "poc-type=2",
        "num-B-Frames=0",
        "maxperf-enable=true",
        "vbv-size=133333",
    ];
    let cuvid: &[&str] = &[
        "control-rate=constant_bitrate",
        "bitrate=2000000",
        "iframeinterval=60",
        "idrinterval=60",
        "preset-id=1",
        "tuning-info-id=LowLatencyPreset",
    ];
    vec![
        ("v4l2h264enc", V4l2::static_type(), v4l2),
        ("v4l2video11h264enc", V4l2::static_type(), v4l2),
        ("vah264enc", Va::static_type(), va),
        ("vah264lpenc", Va::static_type(), va),
        ("nvv4l2h264enc", Tegra::static_type(), tegra),
        ("nvv4l2h264enc", Cuvid::static_type(), cuvid),
        ("nvv4l2h264enc", OldCuvid::static_type(), &cuvid[..3]),
    ]
}

#[test]
fn each_is_told_the_right_values_in_its_own_units() {
    for (name, class, want) in rows() {
        let _turn = register(name, class);
        let mut rig = Rig::start(name, 60).unwrap_or_else(|e| panic!("{class}: {e}"));
        assert_eq!(told(), want, "{class}");
        // One keyframe at the start, and the next by the interval that it was given.
        assert_eq!(rig.keyframes("I420", 70), [0, 60], "{class}");
    }
}

#[test]
fn each_takes_what_cameras_deliver() {
    for (name, class, _) in rows() {
        let _turn = register(name, class);
        for format in ["I420", "NV12", "YUY2", "UYVY", "RGB"] {
            let mut rig = Rig::start(name, 60).unwrap();
            assert_eq!(rig.keyframes(format, 3), [0], "{class} {format}");
        }
    }
}

#[test]
fn surfaces_of_a_tegra_are_taken_as_they_are() {
    let _turn = register("nvv4l2h264enc", Tegra::static_type());
    let mut rig = Rig::start_with("nvv4l2h264enc", &[], 60).unwrap();
    assert_eq!(rig.keyframes("NVMM", 3), [0]);
}

#[test]
fn a_keyframe_comes_on_request() {
    for (name, class, _) in rows() {
        let _turn = register(name, class);
        let mut rig = Rig::start(name, 1000).unwrap();
        assert_eq!(rig.keyframes("I420", 12), [0], "{class}");
        for _ in 0..2 {
            rig.ask_for_a_keyframe();
            assert_eq!(rig.keyframes("I420", 12), [0], "{class}: at once, and one");
        }
    }
}

#[test]
fn another_bit_rate_is_live_or_needs_a_new_encoder() {
    for (name, class, _) in rows() {
        let _turn = register(name, class);
        let mut rig = Rig::start(name, 1000).unwrap();
        rig.bits_per_second(30);
        let before = rig.bits_per_second(60);
        assert!((1_400_000..2_600_000).contains(&before), "{class}: {before} bit/s");
        told();
        let changed = rig.set_bitrate(Bitrate::from_bps(600_000));
        let want = match name {
            "nvv4l2h264enc" if class != Tegra::static_type() => Changed::NeedsRebuild,
            _ => Changed::Live,
        };
        assert_eq!(changed, want, "{class}");
        if changed == Changed::NeedsRebuild {
            assert_eq!(told(), [""; 0], "{class}: untouched");
            continue;
        }
        rig.bits_per_second(60);
        let after = rig.bits_per_second(60);
        assert!((400_000..800_000).contains(&after), "{class}: {after} bit/s");
    }
}

#[test]
fn software_encoders_keep_their_ways() {
    let _turn = register("vah264enc", Va::static_type());
    for name in ["x264enc", "openh264enc"] {
        let mut rig = Rig::start(name, 1000).unwrap();
        assert_eq!(rig.keyframes("YUY2", 12), [0], "{name}");
        rig.ask_for_a_keyframe();
        assert_eq!(rig.keyframes("YUY2", 12), [0], "{name}");
        assert_eq!(rig.set_bitrate(Bitrate::from_bps(600_000)), Changed::Live);
        rig.bits_per_second(60);
        let after = rig.bits_per_second(60);
        assert!((400_000..800_000).contains(&after), "{name}: {after} bit/s");
    }
}

#[test]
fn what_is_missing_is_an_error_and_never_a_panic() {
    let name = "nvv4l2h264enc";
    {
        let _turn = register(name, NoRate::static_type());
        let Err(Error::Start { cause, .. }) = Rig::start(name, 60) else { panic!("it started without a bit rate") };
        assert_eq!(cause.to_string(), "nvv4l2h264enc does not take bitrate=2000000");
    }
    let _turn = register(name, Neither::static_type());
    assert!(matches!(Rig::start(name, 60), Err(Error::Unknown(unknown)) if unknown == name));
}

#[test]
fn the_self_test_runs_each_with_its_settings() {
    for (name, class, _) in rows() {
        let _turn = register(name, class);
        let converter = name.starts_with("nv").then_some("nvvidconv");
        let report = encode_ten(name, converter, &SystemClock).unwrap_or_else(|e| panic!("{class}: {e}"));
        assert_eq!((report.access_units, report.starts_with_keyframe), (10, true), "{class}");
        assert!(told().iter().any(|setting| setting.contains("2000")), "{class}: the real settings");
    }
}
