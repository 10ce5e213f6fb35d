//! Each way in which a camera fails, and its state.

use std::time::Duration;

use windhover::base::fault::FaultCode;
use windhover::base::health::Condition;
use windhover::media::format::Size;
use windhover::plan::DeviceMatch;

use crate::kernel::{Camera, Desk};
use crate::rig::{Rig, has, is_well, plan};
use crate::stand_in::Does;

/// From the return of the device to the first picture of it: the promise.
const BACK_WITHIN: Duration = Duration::from_secs(2);

fn cam() -> Camera {
    Camera { serial: Some("A17"), ..Camera::new("Cam", "usb-1") }
}

#[test]
fn absent_at_the_start_and_there_at_once_when_plugged_in() {
    let desk = Desk::new();
    let mut plan = plan(DeviceMatch::Any);
    // So long that only the word of the kernel can bring it back in time.
    plan.source.retry_every_max = Duration::from_secs(600);
    let rig = Rig::start(&desk, plan);
    let (source, _) = rig.until(has(Condition::Absent, FaultCode::CameraAbsent));
    assert_eq!(source.detail, "no camera is there");
    // By now it looks every 6 s by itself.
    rig.until(|source| source.counters.get("restarts") >= Some(&6));
    desk.plug(0, cam());
    let took = rig.until_a_picture();
    rig.until(is_well);
    println!("absent at the start: first picture {took:?} after it was plugged in");
    assert!(took < BACK_WITHIN, "{took:?}");
    rig.end();
}

#[test]
fn unplugged_and_back_under_another_number() {
    let desk = Desk::new();
    desk.plug(2, Camera { serial: Some("B9"), ..Camera::new("Cam", "usb-2") });
    desk.plug(0, cam());
    let rig = Rig::start(&desk, plan(DeviceMatch::Any));
    rig.until(is_well);
    assert!(rig.source().detail.starts_with(&format!("{}", desk.node(0).display())), "{:?}", rig.source());
    desk.unplug(0);
    // Without an error from the driver: that the node is gone is enough. The other camera has to wait.
    let (source, took) = rig.until(has(Condition::Absent, FaultCode::CameraAbsent));
    println!("unplugged without an error: known after {took:?}");
    assert!(rig.pictures.newest().is_none(), "an old picture must not pass for a new one");
    rig.until(|source| source.detail.contains("this camera is not there; there is"));
    desk.plug(7, cam());
    let took = rig.until_a_picture();
    println!("under another number: first picture {took:?} after it was plugged in, {}", source.detail);
    assert!(took < BACK_WITHIN, "{took:?}");
    let (source, _) = rig.until(is_well);
    assert!(source.detail.starts_with(&format!("{}", desk.node(7).display())), "{source:?}");
    rig.end();
}

#[test]
fn a_driver_that_reports_the_loss() {
    let desk = Desk::new();
    let hands = desk.plug(0, cam());
    let link = DeviceMatch::Path("/dev/v4l/by-id/usb-Cam_A17-video-index0".into());
    let rig = Rig::start(&desk, plan(link));
    rig.until(is_well);
    // The node is still there: an error. Then it is not: absent.
    hands.let_it(Does::Fails);
    let (source, took) = rig.until(has(Condition::Recovering, FaultCode::CameraFailed));
    println!("error of the driver: known after {took:?}");
    assert!(source.detail.contains("No such device"), "{source:?}");
    desk.unplug(0);
    rig.until(has(Condition::Absent, FaultCode::CameraAbsent));
    desk.plug(1, cam());
    let took = rig.until_a_picture();
    println!("by its link: first picture {took:?} after it was plugged in");
    assert!(took < BACK_WITHIN, "{took:?}");
    rig.end();
}

#[test]
fn frozen_is_known_after_a_second_and_over_with_the_next_frame() {
    let desk = Desk::new();
    let hands = desk.plug(0, cam());
    let rig = Rig::start(&desk, plan(DeviceMatch::Any));
    rig.until(is_well);
    hands.let_it(Does::Freezes);
    let (source, took) = rig.until(has(Condition::Frozen, FaultCode::CameraStalled));
    println!("frozen: known after {took:?}");
    assert!(
        source.detail.starts_with("no frame for 1.") && source.detail.ends_with("opened again after 5s"),
        "{source:?}"
    );
    assert!(took > Duration::from_millis(900), "{took:?}");
    assert!(rig.pictures.newest().is_none());
    hands.let_it(Does::Flows);
    let (source, _) = rig.until(is_well);
    assert!(!source.counters.contains_key("restarts"), "it went on by itself: {source:?}");
    rig.end();
}

#[test]
fn frozen_for_good_is_opened_again() {
    let desk = Desk::new();
    let hands = desk.plug(0, cam());
    let mut plan = plan(DeviceMatch::Any);
    plan.source.timeout = Duration::from_secs(2);
    let rig = Rig::start(&desk, plan);
    rig.until(is_well);
    hands.let_it(Does::Freezes);
    rig.until(has(Condition::Frozen, FaultCode::CameraStalled));
    let (source, _) = rig.until(has(Condition::Recovering, FaultCode::CameraStalled));
    assert_eq!(source.detail, "no frame for 2s");
    rig.until(|source| source.detail == "no first frame in 3s");
    hands.let_it(Does::Flows);
    rig.until(is_well);
    rig.end();
}

#[test]
fn another_format_is_a_new_choice_or_a_fault_that_says_what_it_can_do() {
    let desk = Desk::new();
    let hands = desk.plug(0, cam());
    let rig = Rig::start(&desk, plan(DeviceMatch::Any));
    rig.until(is_well);
    // In mid-stream, and no format is left that fits.
    desk.change(0, |camera| camera.size = Size::new(640, 480));
    hands.let_it(Does::ChangesFormat);
    let (source, _) = rig.until(has(Condition::Recovering, FaultCode::CameraUnable));
    assert!(source.detail.ends_with("can do 640x480 as YUY2 at 30"), "{source:?}");
    // Plugged in again, it offers the size in another format: that is taken.
    desk.unplug(0);
    rig.until(has(Condition::Absent, FaultCode::CameraAbsent));
    desk.plug(0, cam().jpeg());
    let (source, _) = rig.until(is_well);
    assert!(source.detail.contains("MJPEG, 320x240"), "{source:?}");
    rig.end();
}

#[test]
fn damaged_pictures_cost_themselves_and_count_as_none() {
    for (camera, does) in [(cam(), Does::Spoils), (cam(), Does::Cuts), (cam().jpeg(), Does::Cuts)] {
        let desk = Desk::new();
        let hands = desk.plug(0, camera);
        let rig = Rig::start(&desk, plan(DeviceMatch::Any));
        rig.until(is_well);
        hands.let_it(does);
        let (source, _) = rig.until(has(Condition::Frozen, FaultCode::CameraStalled));
        assert!(source.detail.contains("damaged ones"), "{does:?}: {source:?}");
        hands.let_it(Does::Flows);
        let (source, _) = rig.until(is_well);
        assert!(source.detail.contains("damaged pictures dropped"), "{does:?}: {source:?}");
        rig.end();
    }
}

#[test]
fn wrong_time_stamps_are_replaced_and_stop_nothing() {
    let desk = Desk::new();
    let hands = desk.plug(0, cam());
    let rig = Rig::start(&desk, plan(DeviceMatch::Any));
    rig.until(is_well);
    hands.let_it(Does::StampsWrongly);
    rig.until(|source| is_well(source) && source.detail.contains("wrong time stamps replaced"));
    hands.let_it(Does::Flows);
    // Had one of them come through, everything after it would be refused for an hour.
    let before = rig.hub.units();
    rig.until(|_| rig.hub.units() > before + 10);
    rig.end();
}

#[test]
fn half_the_rate_is_said_and_is_no_fault() {
    let desk = Desk::new();
    let hands = desk.plug(0, cam());
    let rig = Rig::start(&desk, plan(DeviceMatch::Any));
    rig.until(is_well);
    hands.let_it(Does::Halves);
    let (source, _) = rig.until(|source| source.counters.get("fps").is_some_and(|fps| (12..=18).contains(fps)));
    assert!(is_well(&source), "{source:?}");
    rig.until(|source| is_well(source) && source.detail.contains("at 30 fps; delivers 1"));
    hands.let_it(Does::Flows);
    rig.until(|source| !source.detail.contains("delivers"));
    rig.end();
}

#[test]
fn what_may_not_be_opened_or_cannot_do_it_is_a_failure() {
    let desk = Desk::new();
    desk.plug(0, Camera { error: Some(libc::EACCES), ..cam() });
    let rig = Rig::start(&desk, plan(DeviceMatch::Any));
    let (source, _) = rig.until(has(Condition::Recovering, FaultCode::CameraFailed));
    assert!(source.detail.contains("permission denied"), "{source:?}");
    desk.change(0, |camera| (camera.error, camera.size) = (None, Size::new(640, 480)));
    rig.until(has(Condition::Recovering, FaultCode::CameraUnable));
    rig.end();
}

#[test]
fn a_new_node_that_may_not_be_opened_yet_is_no_failure() {
    let desk = Desk::new();
    let rig = Rig::start(&desk, plan(DeviceMatch::Any));
    rig.until(has(Condition::Absent, FaultCode::CameraAbsent));
    desk.plug(0, Camera { error: Some(libc::EACCES), ..cam() });
    let (source, _) = rig.until(|source| source.detail == "a device has appeared and is being set up");
    assert!(has(Condition::Absent, FaultCode::CameraAbsent)(&source), "{source:?}");
    rig.until(has(Condition::Recovering, FaultCode::CameraFailed));
    rig.end();
}

#[test]
fn a_driver_that_hangs_is_said_and_waited_for() {
    let desk = Desk::new();
    let hands = desk.plug(0, cam());
    let mut plan = plan(DeviceMatch::Any);
    plan.source.restart_timeout = Duration::from_millis(300);
    let rig = Rig::start(&desk, plan);
    rig.until(is_well);
    // In closing, then in opening for the stream, then in being asked what it can do.
    hands.hold(Some(gst::StateChange::ReadyToNull));
    hands.let_it(Does::Fails);
    rig.until(|source| source.detail.starts_with("the driver does not let go of the camera, since "));
    hands.let_it(Does::Flows);
    hands.hold(Some(gst::StateChange::NullToReady));
    rig.until(|source| source.detail.contains("did not start within 300 ms"));
    desk.hold(true);
    hands.hold(None);
    let (source, _) = rig.until(|source| source.detail.starts_with("the driver of a camera does not answer, since "));
    assert!(has(Condition::Recovering, FaultCode::CameraFailed)(&source), "{source:?}");
    desk.hold(false);
    rig.until(is_well);
    rig.end();
}
