//! Cameras on each board's own connector, whole, by the Plan of that board: what it says is what runs.

use std::sync::Arc;
use std::time::Duration;

use gst::glib;
use gst::glib::prelude::StaticType;
use windhover::base::clock::SystemClock;
use windhover::base::fault::FaultCode;
use windhover::base::request::RequestKeyframe;
use windhover::plan::StreamPlan;
use windhover::sink::snapshot;

use crate::running::{Running, planned};
use crate::stand_in::camera::{Argus, Blind, Death, Libcamera, Plain, die, most_held};
use crate::stand_in::nvidia::{Cuvid, Tegra};
use crate::stand_in::v4l2::V4l2;
use crate::stand_in::{register_all, stuck, told};

/// 720p30, with no keyframe that was not asked for.
const HD: &str = "[stream_defaults]\ntimeout = \"1s\"\n[[stream]]\nsource = { kind = \"csi\" }\nsize = \"1280x720\"\n\
                  [stream.encode]\nkeyframe_every = \"60s\"\n";

type Class = (&'static str, glib::Type);

fn jetson() -> [Class; 2] {
    [("nvarguscamerasrc", Argus::static_type()), ("nvv4l2h264enc", Tegra::static_type())]
}

fn pictures_flow(running: &Running, more: u64) {
    let before = running.hub.units();
    running.until("video", || (running.hub.units() >= before + more).then_some(()));
}

/// A keyframe after the one that the stream began with, because it was asked for.
fn keyframe_comes(running: &Running) {
    let first = || running.hub.cached().first().filter(|unit| unit.keyframe).map(|unit| unit.pts);
    let began = running.until("the first keyframe", first);
    running.hub.request_keyframe("test");
    running.until("a keyframe", || first().filter(|pts| *pts > began));
}

/// A JPEG of the newest picture, by the very chain that the daemon makes snapshots with.
fn snapshot_of(running: &Running, plan: &StreamPlan) -> Vec<u8> {
    let (handle, threads) = snapshot::start(snapshot::Setup {
        stream: plan.id.clone(),
        plan: None,
        pictures: running.pictures.clone(),
        carrier: plan.carrier().map(str::to_owned),
        keep: Box::new(|_| Ok(())),
        clock: Arc::new(SystemClock),
        health: running.health.clone(),
        shutdown: running.shutdown.clone(),
    });
    let taken = handle.take(Duration::from_secs(10)).unwrap_or_else(|e| panic!("{e:?}"));
    drop(threads);
    taken.jpeg.to_vec()
}

#[test]
fn each_board_gives_video_keyframes_and_snapshots() {
    let argus = ("nvarguscamerasrc", Argus::static_type());
    let libcamera = ("libcamerasrc", Libcamera::static_type());
    let surfaces = "NV12 memory:NVMM";
    let table: [(&str, &[Class], &str, &str); 5] = [
        ("agx-orin-csi", &jetson(), "nvv4l2h264enc", surfaces),
        ("orin-nano-csi", &[argus], "x264enc", "I420 memory:SystemMemory"),
        ("thor-csi", &[argus, ("nvv4l2h264enc", Cuvid::static_type())], "nvv4l2h264enc", surfaces),
        (
            "raspberry-pi-4-csi",
            &[libcamera, ("v4l2h264enc", V4l2::static_type())],
            "v4l2h264enc",
            "NV12 memory:SystemMemory",
        ),
        ("raspberry-pi-5-csi", &[libcamera], "x264enc", "NV12 memory:SystemMemory"),
    ];
    for (board, classes, encoder, picture) in table {
        let _turn = register_all(classes);
        let plan = planned(board, HD);
        assert_eq!(plan.encode.as_ref().unwrap().element.value, encoder, "{board}");
        let running = Running::start(plan.clone());
        pictures_flow(&running, 5);
        keyframe_comes(&running);
        let newest = running.until("a picture", || running.pictures.newest());
        let caps = newest.sample.caps().unwrap();
        let (format, memory) = (caps.structure(0).unwrap().get::<&str>("format").unwrap(), caps.features(0).unwrap());
        assert_eq!(format!("{format} {memory}"), picture, "{board}");
        let jpeg = snapshot_of(&running, &plan);
        assert_eq!((&jpeg[..2], size_of(&jpeg)), (&[0xff, 0xd8][..], (1280, 720)), "{board}");
        running.end();
    }
}

/// Width and height by the frame header of a baseline JPEG.
fn size_of(jpeg: &[u8]) -> (u16, u16) {
    let at = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).expect("a JPEG has a frame header");
    let number = |at: usize| u16::from_be_bytes([jpeg[at], jpeg[at + 1]]);
    (number(at + 7), number(at + 5))
}

const TUNED: &str = "[[stream]]\nsize = \"1280x720\"\nflip = \"rotate-90\"\n[stream.source]\nkind = \"csi\"\n\
                     exposure = \"EXPOSURE\"\ngain = 2\nwhite_balance = \"cloudy\"\n";

/// Those of `want` that no element was told.
fn not_told(want: &[&'static str]) -> Vec<&'static str> {
    let told = told();
    want.iter().copied().filter(|one| !told.iter().any(|told| told == one)).collect()
}

#[test]
fn argus_is_told_what_is_configured_and_the_picture_is_turned_in_its_memory() {
    let _turn = register_all(&jetson());
    let more = "denoise = \"off\"\nsharpen = \"best\"\nmode = 3\n";
    let plan = planned("agx-orin-csi", &format!("{}{more}", TUNED.replace("EXPOSURE", "100us to 8ms")));
    let running = Running::start(plan.clone());
    pictures_flow(&running, 5);
    let want = [
        "sensor-id=0",
        "sensor-mode=3",
        "exposuretimerange=100000 8000000",
        "gainrange=2 2",
        "ispdigitalgainrange=1 1",
        "wbmode=cloudy-daylight",
        "tnr-mode=NoiseReduction_Off",
        "ee-mode=EdgeEnhancement_HighQuality",
        "flip-method=clockwise",
    ];
    assert_eq!(not_told(&want), [""; 0]);
    let newest = running.until("a picture", || running.pictures.newest());
    let caps = newest.sample.caps().unwrap();
    assert!(caps.features(0).unwrap().contains("memory:NVMM"), "{caps}");
    assert_eq!(caps.structure(0).unwrap().get::<i32>("width"), Ok(720));
    assert_eq!(size_of(&snapshot_of(&running, &plan)), (720, 1280));
    running.end();
}

#[test]
fn libcamera_is_told_what_is_configured() {
    let _turn = register_all(&[("libcamerasrc", Libcamera::static_type())]);
    let plan = planned("raspberry-pi-5-csi", &TUNED.replace("EXPOSURE", "4ms"));
    let running = Running::start(plan);
    pictures_flow(&running, 5);
    let want = [
        "camera-name=/base/axi/pcie@120000/rp1/i2c@80000/imx708@1a",
        "exposure-time-mode=manual",
        "exposure-time=4000",
        "analogue-gain-mode=manual",
        "analogue-gain=2",
        "awb-enable=true",
        "awb-mode=cloudy",
    ];
    assert_eq!(not_told(&want), [""; 0]);
    running.end();
}

#[test]
fn a_camera_that_libcamera_does_not_know_is_a_fault_with_its_name() {
    let _turn = register_all(&[("libcamerasrc", Libcamera::static_type())]);
    let text = HD.replace("kind = \"csi\"", "kind = \"csi\", camera = \"imx999\"");
    let running = Running::start(planned("raspberry-pi-5-csi", &text));
    let fault = running.until("the fault", || {
        running.branch("live/source")?.faults.into_iter().find(|fault| fault.code == FaultCode::CameraFailed)
    });
    assert!(fault.detail.contains("Could not find a camera named 'imx999'"), "{fault:?}");
    running.end();
}

#[test]
fn what_a_release_of_argus_lacks_is_passed_over_unless_it_says_which_sensor() {
    let text = TUNED.replace("EXPOSURE", "4ms");
    {
        let _turn = register_all(&[jetson()[1], ("nvarguscamerasrc", Plain::static_type())]);
        let running = Running::start(planned("agx-orin-csi", &text));
        pictures_flow(&running, 5);
        running.end();
    }
    let _turn = register_all(&[jetson()[1], ("nvarguscamerasrc", Blind::static_type())]);
    let running = Running::start(planned("agx-orin-csi", &text));
    let fault = running.until("the fault", || running.branch("live/source")?.faults.into_iter().next());
    assert!(fault.detail.contains("nvarguscamerasrc does not take sensor-id=0"), "{fault:?}");
    running.end();
}

/// As long as the encoder stands still, the camera goes on: no more of its surfaces are held than one in the encoder, one
/// on its way, and the newest picture.
#[test]
fn an_encoder_that_stands_still_does_not_starve_the_camera() {
    let _turn = register_all(&jetson());
    let running = Running::start(planned("agx-orin-csi", HD));
    pictures_flow(&running, 10);
    let hold = stuck();
    let frames = || running.camera.beats.frames.count();
    let before = frames();
    most_held();
    running.until("pictures of the camera", || (frames() >= before + 30).then_some(()));
    let most = most_held();
    drop(hold);
    assert!(most <= 4, "{most} surfaces were held at once");
    pictures_flow(&running, 5);
    running.end();
}

#[test]
fn a_camera_that_dies_is_opened_again() {
    let table = [
        (Death::Silence, FaultCode::CameraStalled, "no frame for 1"),
        (Death::End, FaultCode::CameraFailed, "the stream ended"),
        (Death::Error, FaultCode::CameraFailed, "InvalidState (the daemon died)"),
    ];
    for (death, code, detail) in table {
        let _turn = register_all(&jetson());
        die(&[death, death]);
        let running = Running::start(planned("agx-orin-csi", HD));
        let fault = running
            .until("the fault", || running.branch("live/source")?.faults.into_iter().find(|fault| fault.code == code));
        assert!(fault.detail.contains(detail), "{death:?}: {fault:?}");
        // Twice it dies, and the third one lives.
        let well = || running.branch("live/source").filter(|branch| branch.faults.is_empty()).map(drop);
        running.until("two restarts", || {
            (running.branch("live/source")?.counters.get("restarts") == Some(&2)).then_some(())
        });
        running.until("a camera", well);
        pictures_flow(&running, 20);
        running.end();
    }
}
