//! A whole camera on real elements: what fails is rebuilt alone. Cameras that fail: tests/camera.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gst::prelude::*;

use super::*;
use crate::base::clock::SystemClock;
use crate::base::fault::FaultCode;
use crate::base::health::{BranchReport, Condition};
use crate::base::id::StreamId;
use crate::base::request::RequestKeyframe;
use crate::base::shutdown::Stop;
use crate::base::units::Bitrate;
use crate::config::controls::Controls;
use crate::hub::{Policy, Received};
use crate::media::codec::Codec;
use crate::media::format::{Flip, FrameRate, Size};
use crate::plan::{Chosen, EncodePlan, SourceKind, SourcePlan};
use crate::probe::v4l2::Kernel;

struct Rig {
    health: Health,
    hub: Hub,
    pictures: PictureSlot,
    shutdown: Shutdown,
    camera: Option<Handle>,
}

impl Rig {
    fn start(kind: SourceKind, encoder: &str) -> Self {
        crate::gst::init().unwrap();
        let clock = Arc::new(SystemClock);
        let rig = Self {
            health: Health::new(clock.clone()),
            hub: Hub::new(clock.clone()),
            pictures: PictureSlot::new(),
            shutdown: Shutdown::new(),
            camera: None,
        };
        let camera = start(Setup {
            plan: plan(kind, encoder),
            hub: rig.hub.clone(),
            pictures: rig.pictures.clone(),
            devices: Arc::new(Kernel),
            clock,
            health: rig.health.clone(),
            shutdown: rig.shutdown.clone(),
        });
        Self { camera: Some(camera), ..rig }
    }

    /// Waits until a branch is as `wanted` says, for 20 s at most.
    fn until(&self, branch: &str, wanted: impl Fn(&BranchReport) -> bool) -> BranchReport {
        let (clock, end) = (SystemClock, SystemClock.monotonic() + Duration::from_secs(20));
        let mut last = None;
        while clock.monotonic() < end {
            last = self.health.report().into_iter().find(|b| b.name == branch);
            if let Some(report) = last.as_ref().filter(|b| wanted(b)) {
                return report.clone();
            }
            self.shutdown.wait(Duration::from_millis(10));
        }
        panic!("{branch} did not come to be as wanted, it is {last:?}");
    }

    fn end(mut self) {
        self.shutdown.trigger(Stop::Graceful);
        self.camera.take().unwrap().join(Duration::from_secs(20));
    }
}

fn plan(kind: SourceKind, encoder: &str) -> StreamPlan {
    let ms = Duration::from_millis;
    StreamPlan {
        id: StreamId::new("live").unwrap(),
        source: SourcePlan {
            kind,
            reason: String::new(),
            flip: Flip::None,
            controls: Controls::default(),
            frozen_after: ms(1000),
            timeout: ms(1000),
            restart_timeout: ms(3000),
            retry_every_max: ms(1000),
        },
        size: Size::new(320, 240),
        rate: FrameRate::whole(30),
        slate: false,
        encode: Some(EncodePlan {
            element: Chosen { value: encoder.into(), reason: String::new() },
            works: true,
            convert: Chosen { value: vec!["videoconvert".into()], reason: String::new() },
            codec: Codec::H264,
            bitrate: Bitrate::from_bps(500_000),
            keyframe_frames: 30,
            threads: Chosen { value: 1, reason: String::new() },
        }),
        record: None,
        snapshot: None,
        max_viewers: None,
    }
}

/// A clip of half a second.
fn clip(folder: &Path, name: &str, size: Size) -> PathBuf {
    crate::gst::init().unwrap();
    let path = folder.join(name);
    let line = format!(
        "videotestsrc num-buffers=15 ! video/x-raw,format=I420,width={},height={},framerate=30/1 ! jpegenc ! matroskamux ! \
         filesink location={}",
        size.width,
        size.height,
        path.display()
    );
    let pipeline = gst::parse::launch(&line).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let end = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(20), &end).unwrap();
    assert_eq!(message.type_(), gst::MessageType::Eos);
    pipeline.set_state(gst::State::Null).unwrap();
    path
}

fn has(code: FaultCode) -> impl Fn(&BranchReport) -> bool {
    move |branch| branch.faults.iter().any(|fault| fault.code == code)
}

fn is_well(branch: &BranchReport) -> bool {
    branch.condition == Condition::Running && branch.faults.is_empty()
}

#[test]
fn an_encoder_that_fails_is_rebuilt_and_the_source_does_not_notice() {
    let folder = tempfile::tempdir().unwrap();
    let good = clip(folder.path(), "good.mkv", Size::new(320, 240));
    // openh264 refuses pictures below 16x16: a real failure of a real encoder.
    let tiny = clip(folder.path(), "tiny.mkv", Size::new(8, 8));
    let rig = Rig::start(SourceKind::File { paths: vec![good, tiny] }, "openh264enc");
    rig.until("live/encode", is_well);
    rig.until("live/encode", has(FaultCode::EncoderFailed));
    rig.until("live/encode", is_well);
    let source = rig.until("live/source", is_well);
    assert!(!source.counters.contains_key("restarts"), "{source:?}");
    rig.end();
}

#[test]
fn a_source_that_is_lost_comes_back_and_time_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path(), "clip.mkv", Size::new(320, 240));
    let away = folder.path().join("away.mkv");
    let rig = Rig::start(SourceKind::File { paths: vec![path.clone()] }, "x264enc");
    rig.until("live/source", is_well);
    rig.until("live/encode", is_well);
    let before = rig.hub.cached().last().unwrap().pts;
    std::fs::rename(&path, &away).unwrap();
    let lost = rig.until("live/source", has(FaultCode::ClipUnplayable));
    assert_eq!(lost.condition, Condition::Recovering);
    assert!(lost.detail.contains("clip.mkv"), "{lost:?}");
    // An old picture must not pass for a new one.
    assert!(rig.pictures.newest().is_none());
    rig.until("live/encode", |b| b.condition == Condition::Idle);
    // Longer than an encoder may be silent: without pictures it is not to blame.
    rig.shutdown.wait(Duration::from_millis(3500));
    let encode = rig.until("live/encode", |b| b.condition == Condition::Idle);
    assert!(encode.faults.is_empty() && !encode.counters.contains_key("restarts"), "{encode:?}");
    std::fs::rename(&away, &path).unwrap();
    rig.until("live/source", is_well);
    rig.until("live/encode", is_well);
    assert!(rig.hub.cached().last().unwrap().pts > before);
    rig.end();
}

#[test]
fn an_encoder_that_is_not_known_is_a_fault_and_the_source_runs() {
    let rig = Rig::start(SourceKind::Test, "nosuchenc");
    let encode = rig.until("live/encode", has(FaultCode::EncoderFailed));
    assert!(encode.detail.contains("nosuchenc"), "{encode:?}");
    rig.until("live/source", is_well);
    assert!(rig.pictures.newest().is_some());
    rig.end();
}

#[test]
fn a_keyframe_comes_on_request() {
    let rig = Rig::start(SourceKind::Test, "x264enc");
    rig.until("live/encode", is_well);
    let reader = rig.hub.subscribe(Policy::Live { depth: Duration::from_secs(5) }, false);
    let mut gaps = Vec::new();
    let mut since = 0;
    while gaps.len() < 4 {
        let Received::Unit(unit) = reader.recv(Duration::from_secs(5)) else { panic!("no picture") };
        since += 1;
        if unit.keyframe {
            gaps.push(since);
            since = 0;
            rig.shutdown.wait(Duration::from_millis(250));
            rig.hub.request_keyframe("test");
        }
    }
    // By itself the encoder makes one every 30 pictures.
    assert!(gaps[1..].iter().all(|&pictures| pictures < 20), "{gaps:?}");
    rig.end();
}

#[test]
fn another_bit_rate_is_taken_while_it_runs() {
    let rig = Rig::start(SourceKind::Test, "openh264enc");
    rig.until("live/encode", is_well);
    let encode = plan(SourceKind::Test, "openh264enc").encode.unwrap();
    let camera = rig.camera.as_ref().unwrap();
    camera.set_encode(EncodePlan { bitrate: Bitrate::from_bps(300_000), ..encode.clone() });
    let report = rig.until("live/encode", |b| b.detail == "openh264enc at 300 kbit/s");
    assert!(is_well(&report) && !report.counters.contains_key("restarts"), "{report:?}");
    let cached = rig.hub.cached();
    assert!(!cached.iter().any(|unit| unit.discontinuity), "it was built anew");
    // Keyframes at other distances need another encoder; the source does not notice.
    let reader = rig.hub.subscribe(Policy::Lossless { depth: Duration::from_secs(60), bytes: 1 << 24 }, false);
    camera.set_encode(EncodePlan { keyframe_frames: 5, ..encode });
    let built_anew = |_| matches!(reader.recv(Duration::from_secs(5)), Received::Unit(unit) if unit.discontinuity);
    assert!((0..300).any(built_anew), "the encoder goes on as before");
    rig.until("live/encode", |b| b.detail == "openh264enc at 500 kbit/s" && is_well(b));
    assert!(!rig.until("live/source", is_well).counters.contains_key("restarts"));
    rig.end();
}
