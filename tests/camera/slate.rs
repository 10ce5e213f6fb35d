//! What viewers, recorders and counters get of a slate.

use std::sync::Arc;
use std::time::Duration;

use windhover::base::fault::FaultCode;
use windhover::base::health::Condition;
use windhover::hub::{Policy, Reader, Received};
use windhover::media::access_unit::AccessUnit;
use windhover::media::format::Size;
use windhover::plan::DeviceMatch;

use crate::decode::Decoder;
use crate::kernel::{Camera, Desk};
use crate::rig::{Rig, has, is_well, plan};
use crate::stand_in::Does;

fn viewer(rig: &Rig) -> Reader {
    rig.hub.subscribe(Policy::Live { depth: Duration::from_secs(30) }, true)
}

fn recorder(rig: &Rig) -> Reader {
    rig.hub.subscribe(Policy::Lossless { depth: Duration::from_secs(60), bytes: 64 << 20 }, false)
}

fn next(reader: &Reader) -> Arc<AccessUnit> {
    match reader.recv(Duration::from_secs(20)) {
        Received::Unit(unit) => unit,
        other => panic!("no picture: {other:?}"),
    }
}

/// Reads on to the first picture that is (not) a slate, for some 20 s of video.
fn next_that(reader: &Reader, slate: bool) -> Arc<AccessUnit> {
    std::iter::repeat_with(|| next(reader)).take(600).find(|unit| unit.slate == slate).expect("it comes")
}

#[test]
fn a_frozen_camera_is_said_in_the_picture_and_the_live_one_takes_over_with_a_keyframe() {
    let desk = Desk::new();
    let hands = desk.plug(0, Camera::new("Cam", "usb-1"));
    let rig = Rig::start(&desk, plan(DeviceMatch::Any));
    rig.until(is_well);
    let (viewer, recorder) = (viewer(&rig), recorder(&rig));
    let live = next_that(&viewer, false);
    hands.let_it(Does::Freezes);
    let first = next_that(&viewer, true);
    assert_eq!(*first.format, *live.format, "viewers need no new parameters");
    // Pictures come so often that no player gives up, and keyframes for whoever lost a packet.
    let mut decoder = Decoder::new();
    let (mut last, mut keyframe) = (first.clone(), None);
    for _ in 0..15 {
        let unit = next(&viewer);
        assert!(unit.slate, "the camera is frozen");
        if unit.keyframe {
            let since = keyframe.map_or(Duration::ZERO, |before| unit.pts - before);
            assert!(since < Duration::from_millis(2500), "{since:?} from keyframe to keyframe");
            keyframe = Some(unit.pts);
        }
        assert!(unit.pts > last.pts);
        last = unit.clone();
        if keyframe.is_some() {
            decoder.push(&unit);
        }
    }
    assert!(keyframe.is_some(), "of three seconds");
    let (dark, bright) = decoder.newest();
    assert!(dark > 0.8 && bright > 0.005, "a dark picture with words: {dark} dark, {bright} bright");
    let counted = rig.branch("live/encode");
    assert!(counted.counters["slates"] >= 15 && counted.condition == Condition::Running, "{counted:?}");
    assert!(rig.pictures.newest().is_none(), "it is no snapshot");

    hands.let_it(Does::Flows);
    let back = next_that(&viewer, false);
    assert!(back.keyframe && back.discontinuity, "at once with a keyframe, behind a gap: {}", back.keyframe);
    let mut decoder = Decoder::new();
    decoder.push(&back);
    (0..5).for_each(|_| decoder.push(&next(&viewer)));
    assert!(decoder.newest().0 < 0.5, "the camera's picture is no dark one");
    let encode = rig.branch("live/encode");
    assert!(!encode.counters.contains_key("restarts"), "{encode:?}");

    // The recorder has had pictures of the camera alone, and no gap that would mean a slow disk.
    let mut units = Vec::new();
    while let Received::Unit(unit) = recorder.recv(Duration::ZERO) {
        units.push(unit);
    }
    assert!(units.len() > 2 && units.iter().all(|unit| !unit.slate));
    assert!(units.iter().any(|unit| unit.pts >= back.pts) && recorder.dropped() == 0);
    rig.end();
}

#[test]
fn a_camera_absent_from_the_start_has_a_picture_that_says_so() {
    for camera in [Camera::new("Cam", "usb-1"), Camera::new("Cam", "usb-1").jpeg()] {
        let desk = Desk::new();
        let rig = Rig::start(&desk, plan(DeviceMatch::Any));
        let (viewer, recorder) = (viewer(&rig), recorder(&rig));
        let first = next(&viewer);
        assert!(first.slate && first.keyframe && first.format.size == Size::new(320, 240));
        assert!(has(Condition::Absent, FaultCode::CameraAbsent)(&rig.source()), "{:?}", rig.source());
        assert!(matches!(recorder.recv(Duration::from_millis(500)), Received::TimedOut));
        desk.plug(0, camera);
        let live = next_that(&viewer, false);
        assert!(live.keyframe);
        assert!(next(&recorder).keyframe);
        rig.until(is_well);
        assert!(!rig.branch("live/encode").counters.contains_key("restarts"), "{:?}", rig.branch("live/encode"));
        rig.end();
    }
}

#[test]
fn a_camera_that_encodes_by_itself_has_none_and_so_has_a_stream_without() {
    let mut without = plan(DeviceMatch::Any);
    without.slate = false;
    let native = Camera::new("Cam", "usb-1").h264();
    for (plan, camera) in [(plan(DeviceMatch::Any), native), (without, Camera::new("Cam", "usb-1"))] {
        let desk = Desk::new();
        let hands = desk.plug(0, camera);
        let rig = Rig::start(&desk, plan);
        rig.until(is_well);
        rig.until(|_| rig.hub.units() > 10);
        hands.let_it(Does::Freezes);
        rig.until(has(Condition::Frozen, FaultCode::CameraStalled));
        let units = rig.hub.units();
        rig.shutdown.wait(Duration::from_secs(1));
        assert_eq!((rig.hub.units(), rig.hub.slates()), (units, 0));
        hands.let_it(Does::Flows);
        rig.until(is_well);
        rig.end();
    }
}
