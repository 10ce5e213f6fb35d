//! Which camera is the same one as before it was unplugged. Pure.
//!
//! Numbers (`/dev/video0`) change when a camera is plugged in again, also while another one keeps its own. What stays is
//! the port (`bus_info`) and, for a camera that has one, the serial number in udev's link by id.

use std::path::PathBuf;
use std::time::Duration;

use super::DeviceMatch;
use super::camera::{Ask, Choice, NoMode, choose_mode};
use super::inventory::{Camera, Unreadable};

/// With `device = "auto"`, the camera in use is waited for so long before another one may take its place. Plugging in
/// again, and a reset of a USB port by the kernel, take one to three seconds.
const WAIT_FOR_THE_SAME: Duration = Duration::from_secs(5);

/// By what a camera is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    name: String,
    bus: String,
    /// udev's link by id, where it tells cameras of one make apart.
    serial: Option<PathBuf>,
}

impl Identity {
    /// Of the camera that was opened, among all that were there.
    pub fn of(camera: &Camera, all: &[Camera]) -> Self {
        // Two cameras without a serial number share one link, and it moves to the other one as soon as one is unplugged.
        let twins = || all.iter().filter(|other| other.name == camera.name && other.node != camera.node);
        let tells = twins().all(|twin| twin.by_id.is_some());
        Self { name: camera.name.clone(), bus: camera.bus.clone(), serial: camera.by_id.clone().filter(|_| tells) }
    }

    /// That camera, wherever it is now: by its serial number, else one of its make at its port, which is the same one or
    /// the one that somebody put in its place.
    pub fn find<'a>(&self, cameras: &'a [Camera]) -> Option<&'a Camera> {
        let same_serial = |c: &&Camera| c.name == self.name && self.serial.is_some() && c.by_id == self.serial;
        let same_port = |c: &&Camera| c.name == self.name && c.bus == self.bus;
        cameras.iter().find(same_serial).or_else(|| cameras.iter().find(same_port))
    }
}

/// A camera that was in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    /// Which.
    pub identity: Identity,
    /// For how long it has delivered nothing.
    pub away: Duration,
}

/// Chooses like [`choose_mode`], but the camera that was in use before any other.
///
/// A name that says which camera is meant (a link by id, by path or of an integrator's own) always decides by itself. A
/// number only says where the camera was when it was first opened.
pub fn choose_again<'a>(
    cameras: &'a [Camera],
    unreadable: &[Unreadable],
    device: &DeviceMatch,
    ask: &Ask,
    before: Option<&Before>,
) -> Result<Choice<'a>, NoMode> {
    let first = || choose_mode(cameras, unreadable, device, ask);
    let Some(before) = before.filter(|_| !is_link(device)) else { return first() };
    match before.identity.find(cameras) {
        Some(same) => choose_mode(std::slice::from_ref(same), &[], &DeviceMatch::Any, ask).or_else(|no| match device {
            DeviceMatch::Any => first().map_err(|_| no),
            DeviceMatch::Path(_) => Err(no),
        }),
        None if *device == DeviceMatch::Any && before.away < WAIT_FOR_THE_SAME => {
            let name = |c: &Camera| format!("{} ({})", c.node.display(), c.name);
            Err(NoMode::Absent { others: cameras.iter().map(name).collect() })
        }
        None => first(),
    }
}

/// True for a name that stays with its camera.
fn is_link(device: &DeviceMatch) -> bool {
    let DeviceMatch::Path(path) = device else { return false };
    let number = path.to_str().and_then(|path| path.strip_prefix("/dev/video"));
    number.is_none_or(|number| number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::FormatWish;
    use crate::media::format::{FrameRate, PixelFormat, Size};
    use crate::plan::inventory::Mode;

    fn camera(number: u32, name: &str, bus: &str, serial: Option<&str>) -> Camera {
        let (size, rates) = (Size::new(640, 480), vec![FrameRate::whole(30)]);
        Camera {
            node: format!("/dev/video{number}").into(),
            by_id: serial.map(|serial| format!("/dev/v4l/by-id/usb-{name}_{serial}-video-index0").into()),
            by_path: None,
            links: vec![],
            name: name.into(),
            driver: "uvcvideo".into(),
            bus: bus.into(),
            modes: vec![Mode { format: PixelFormat::YUY2, size, range: None, rates }],
            controls: vec![],
        }
    }

    fn ask() -> Ask {
        let (size, rate) = (Size::new(640, 480), FrameRate::whole(30));
        Ask { size, rate, wish: FormatWish::Auto, encoder: true, turned: false }
    }

    /// The node that is taken when `was` (the first of `all`) was in use and these are there now.
    fn taken(all: &[Camera], now: &[Camera], device: &DeviceMatch, away_s: u64) -> Result<String, String> {
        let before = Before { identity: Identity::of(&all[0], all), away: Duration::from_secs(away_s) };
        let choice = choose_again(now, &[], device, &ask(), Some(&before));
        choice.map(|c| c.camera.node.display().to_string()).map_err(|no| no.to_string())
    }

    #[test]
    fn the_same_camera_comes_before_any_other() {
        let any = &DeviceMatch::Any;
        let (a, b) = (camera(0, "Cam", "usb-1", Some("A")), camera(2, "Cam", "usb-2", Some("B")));
        let all = [a, b.clone()];
        // Under another number, and at another port.
        let moved = [b.clone(), camera(4, "Cam", "usb-3", Some("A"))];
        assert_eq!(taken(&all, &moved, any, 60), Ok("/dev/video4".into()));
        // Another one of its make in its place: somebody has exchanged it.
        let exchanged = [b.clone(), camera(4, "Cam", "usb-1", Some("C"))];
        assert_eq!(taken(&all, &exchanged, any, 0), Ok("/dev/video4".into()));
        // Not there: the other one has to wait.
        let no = "this camera is not there; there is /dev/video2 (Cam)";
        assert_eq!(taken(&all, std::slice::from_ref(&b), any, 4), Err(no.into()));
        assert_eq!(taken(&all, &[b], any, 5), Ok("/dev/video2".into()));
        assert_eq!(taken(&all, &[], any, 0), Err("no camera is there".into()));
    }

    #[test]
    fn a_link_that_two_cameras_share_tells_nothing() {
        let any = &DeviceMatch::Any;
        // Without serial numbers udev makes one link for both.
        let (a, b) = (camera(0, "Cam", "usb-1", Some("")), camera(2, "Cam", "usb-2", None));
        let left = camera(2, "Cam", "usb-2", Some(""));
        assert!(taken(&[a.clone(), b], std::slice::from_ref(&left), any, 0).is_err());
        // Where it was alone, its link is as good as a serial number.
        assert_eq!(taken(&[a], &[left], any, 0), Ok("/dev/video2".into()));
    }

    #[test]
    fn a_number_is_where_it_was_and_a_link_is_the_camera() {
        let (a, b) = (camera(0, "Cam", "usb-1", None), camera(0, "Other", "usb-2", None));
        let moved = [b.clone(), camera(1, "Cam", "usb-1", None)];
        let number = DeviceMatch::Path("/dev/video0".into());
        assert_eq!(taken(std::slice::from_ref(&a), &moved, &number, 0), Ok("/dev/video1".into()));
        assert_eq!(taken(std::slice::from_ref(&a), &[b], &number, 0), Ok("/dev/video0".into()));
        let link = DeviceMatch::Path("/dev/v4l/by-id/usb-Cam_X-video-index0".into());
        assert!(taken(std::slice::from_ref(&a), &moved, &link, 60).is_err(), "the link leads to neither of them");
    }

    #[test]
    fn the_same_camera_that_cannot_is_said_before_another_is_taken() {
        let a = camera(0, "Cam", "usb-1", None);
        let mut changed = camera(1, "Cam", "usb-1", None);
        changed.modes[0].size = Size::new(320, 240);
        let no = taken(std::slice::from_ref(&a), std::slice::from_ref(&changed), &DeviceMatch::Any, 60).unwrap_err();
        assert!(no.ends_with("/dev/video1 (Cam) can do 320x240 as YUY2 at 30"), "{no}");
        let other = camera(2, "Other", "usb-2", None);
        assert_eq!(taken(&[a], &[changed, other], &DeviceMatch::Any, 0), Ok("/dev/video2".into()));
    }
}
