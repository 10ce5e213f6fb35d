//! Controls are set when the camera delivers, kept across replugging, and what the camera does not take is said.

use windhover::base::fault::FaultCode;
use windhover::base::health::Condition;
use windhover::config::controls::{ControlValue, Controls};
use windhover::plan::{DeviceMatch, StreamPlan};

use crate::kernel::{Camera, Desk, EXPOSURE_ABSOLUTE, EXPOSURE_AUTO, GAIN};
use crate::rig::{Rig, has, is_well, plan};

const PAGE: &str = "live/controls";

fn plan_with(controls: &[(&str, ControlValue)]) -> StreamPlan {
    let mut plan = plan(DeviceMatch::Any);
    plan.source.controls = Controls(controls.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect());
    plan
}

fn text(text: &str) -> ControlValue {
    ControlValue::Text(text.into())
}

#[test]
fn set_in_order_when_it_delivers_and_again_after_it_was_plugged_in() {
    let desk = Desk::new();
    let first = Camera::new("Cam", "usb-1").with_controls();
    desk.plug(0, first.clone());
    let rig = Rig::start(&desk, plan_with(&[("exposure", text("5ms")), ("gain", ControlValue::Number(30))]));
    let (page, _) = rig.until_of(PAGE, is_well);
    assert_eq!(page.detail, "auto_exposure 1, exposure_time_absolute 50, gain 30");
    // The automatic first: the camera refuses the value while that is on.
    let want = [(EXPOSURE_AUTO, 1), (EXPOSURE_ABSOLUTE, 50), (GAIN, 30)];
    assert_eq!(*first.told.lock().unwrap(), want);
    desk.unplug(0);
    rig.until_of(PAGE, |page| page.condition == Condition::Idle);
    // It has lost its power, and with that everything that was set.
    let again = Camera::new("Cam", "usb-1").with_controls();
    desk.plug(3, again.clone());
    rig.until_of(PAGE, is_well);
    assert_eq!(*again.told.lock().unwrap(), want);
    assert_eq!(*again.values.lock().unwrap(), want.into());
    rig.end();
}

#[test]
fn what_the_camera_does_not_take_is_a_fault_and_the_video_goes_on() {
    let desk = Desk::new();
    let camera = Camera { stubborn: Some(GAIN), ..Camera::new("Cam", "usb-1").with_controls() };
    desk.plug(0, camera);
    let wishes =
        [("brightness", ControlValue::Number(1)), ("exposure", text("3s")), ("gain", ControlValue::Number(30))];
    let rig = Rig::start(&desk, plan_with(&wishes));
    let (page, _) = rig.until_of(PAGE, has(Condition::Recovering, FaultCode::ControlRefused));
    for part in [
        "brightness: this camera has no such control; it has gain, auto_exposure, exposure_time_absolute",
        "exposure: 30000 is out of range; exposure_time_absolute takes 1 to 2047 (of 100 us each)",
        "gain: set to 30, and the camera says 20",
    ] {
        assert!(page.detail.contains(part), "{page:?}");
    }
    rig.until(is_well);
    rig.until_a_picture();
    // It is tried again; by then the camera may be ready.
    desk.change(0, |camera| camera.stubborn = None);
    rig.until_of(PAGE, |page| !page.detail.contains("gain: "));
    rig.end();
}

#[test]
fn without_any_there_is_nothing_to_say() {
    let desk = Desk::new();
    let camera = Camera::new("Cam", "usb-1").with_controls();
    desk.plug(0, camera.clone());
    let rig = Rig::start(&desk, plan(DeviceMatch::Any));
    rig.until(is_well);
    assert!(rig.health.report().iter().all(|page| page.name != PAGE));
    assert!(camera.told.lock().unwrap().is_empty());
    rig.end();
}
