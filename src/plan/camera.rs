//! Which camera, and what is asked of it. Pure: used when the Plan is made, and again each time a camera appears.

use std::fmt;

use crate::config::schema::FormatWish;
use crate::media::format::{Flip, FrameRate, PixelFormat, Size};

use super::inventory::{Camera, Mode, Unreadable};
use super::{Chosen, DeviceMatch, StreamPlan};

/// What is asked of a camera.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ask {
    /// Size of the picture as the camera delivers it.
    pub size: Size,
    /// Frames per second.
    pub rate: FrameRate,
    /// Kind of format.
    pub wish: FormatWish,
    /// True when an encoder works, so that raw pictures are of use.
    pub encoder: bool,
    /// True when the picture must be turned, which a stream that is already encoded cannot be.
    pub turned: bool,
}

impl Ask {
    /// What is asked of a camera that appears while `plan` runs.
    pub fn while_running(plan: &StreamPlan, wish: FormatWish) -> Self {
        let flip = plan.source.flip;
        Self {
            // The plan's size is that of the turned picture; the camera is asked for the one before.
            size: flip.apply(plan.size),
            rate: plan.rate,
            // Without an encode, raw pictures would reach nobody.
            wish: if plan.encode.is_some() { wish } else { FormatWish::H264 },
            encoder: plan.encode.as_ref().is_some_and(|encode| encode.works),
            turned: flip != Flip::None,
        }
    }
}

/// A camera that can do what is asked, and the format to ask it for.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice<'a> {
    /// The camera.
    pub camera: &'a Camera,
    /// The format.
    pub format: Chosen<PixelFormat>,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoMode {
    /// No camera is there, or none that is meant.
    Absent {
        /// Names of the cameras that are there.
        others: Vec<String>,
    },
    /// Cameras are there, and none can do what is asked.
    Cannot {
        /// What was asked.
        asked: String,
        /// Each camera with what it can do instead.
        offers: Vec<String>,
    },
    /// What may be the camera is there and cannot be opened.
    Unreadable(Vec<Unreadable>),
}

impl fmt::Display for NoMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoMode::Absent { others } if others.is_empty() => f.write_str("no camera is there"),
            NoMode::Absent { others } => write!(f, "this camera is not there; there is {}", others.join(", ")),
            NoMode::Cannot { asked, offers } => write!(f, "no camera can do {asked}; {}", offers.join("; ")),
            NoMode::Unreadable(nodes) => f.write_str(&cannot_open(nodes)),
        }
    }
}

impl std::error::Error for NoMode {}

/// Raw formats, the cheapest on the way to the encoder first: encoders take I420 and NV12 as they are, the packed 4:2:2
/// formats cost one pass over the picture, RGB a colour conversion besides.
const RAW: [PixelFormat; 5] =
    [PixelFormat::I420, PixelFormat::NV12, PixelFormat::YUY2, PixelFormat::UYVY, PixelFormat::RGB];

/// Each node with its error; what to do about a missing permission is said once.
fn cannot_open(nodes: &[Unreadable]) -> String {
    // A Raspberry Pi has a dozen nodes besides its cameras.
    const MOST: usize = 4;
    let mut list: Vec<String> = nodes.iter().take(MOST).map(|n| n.node.display().to_string()).collect();
    if nodes.len() > MOST {
        list.push(format!("{} more", nodes.len() - MOST));
    }
    let list = list.join(", ");
    match nodes.iter().find(|node| !node.denied) {
        Some(other) => format!("{list}: there, but cannot be opened: {}", other.error),
        None => format!(
            "{list}: there, but cannot be opened: permission denied: add the user to the group video (sudo usermod -aG \
             video $USER, then log in again)"
        ),
    }
}

/// Chooses among `cameras`, in their order, the first that `device` means and that can do what is asked.
///
/// Raw comes before MJPEG, because decoding JPEG costs more than any conversion. A USB camera offers raw only at the
/// rates that its bus can carry, so that MJPEG is taken exactly where raw is not offered at the size and rate. H.264 from
/// the camera is taken when it is asked for, or when no encoder works.
///
/// A node of `unreadable` counts only where no camera is meant: it may be a camera, and as well a codec.
pub fn choose_mode<'a>(
    cameras: &'a [Camera],
    unreadable: &[Unreadable],
    device: &DeviceMatch,
    ask: &Ask,
) -> Result<Choice<'a>, NoMode> {
    let meant: Vec<&Camera> = cameras.iter().filter(|camera| is_meant(camera, device)).collect();
    if meant.is_empty() {
        let may_be = |node: &&Unreadable| match device {
            DeviceMatch::Any => true,
            DeviceMatch::Path(path) => node.node == *path || node.links.contains(path),
        };
        let closed: Vec<Unreadable> = unreadable.iter().filter(may_be).cloned().collect();
        if !closed.is_empty() {
            return Err(NoMode::Unreadable(closed));
        }
        return Err(NoMode::Absent { others: cameras.iter().map(name).collect() });
    }
    let choice = |camera: &&'a Camera| choose_format(camera, ask).map(|format| Choice { camera, format });
    meant.iter().find_map(choice).ok_or_else(|| NoMode::Cannot {
        asked: asked(ask),
        offers: meant.iter().map(|camera| offer(camera, ask)).collect(),
    })
}

fn is_meant(camera: &Camera, device: &DeviceMatch) -> bool {
    match device {
        DeviceMatch::Any => true,
        DeviceMatch::Path(path) => {
            camera.node == *path
                || camera.by_id.as_ref().is_some_and(|p| p == path)
                || camera.by_path.as_ref().is_some_and(|p| p == path)
                || camera.links.contains(path)
        }
    }
}

fn choose_format(camera: &Camera, ask: &Ask) -> Option<Chosen<PixelFormat>> {
    let fits = |mode: &&Mode| mode.has_size(ask.size) && mode.has_rate(ask.rate);
    let offered = |format: PixelFormat| camera.modes.iter().filter(fits).any(|mode| mode.format == format);
    let raw = || RAW.into_iter().find(|format| offered(*format));
    let one = |format: PixelFormat| offered(format).then_some(format);
    let at = format!("{} at {}", ask.size, ask.rate);
    let chosen = |value, reason: String| Some(Chosen { value, reason });
    match ask.wish {
        FormatWish::Raw => chosen(raw()?, "raw is asked for".into()),
        FormatWish::Mjpeg => chosen(one(PixelFormat::MJPEG)?, "MJPEG is asked for".into()),
        FormatWish::H264 => chosen(one(PixelFormat::H264)?, "H.264 from the camera is asked for".into()),
        FormatWish::Auto => {
            if !ask.encoder
                && !ask.turned
                && let Some(native) = one(PixelFormat::H264)
            {
                return chosen(native, "no encoder works here, and the camera encodes by itself".into());
            }
            if let Some(raw) = raw() {
                return chosen(raw, "raw costs least to encode".into());
            }
            if let Some(jpeg) = one(PixelFormat::MJPEG) {
                return chosen(jpeg, format!("the camera offers no raw format with {at}"));
            }
            let native = one(PixelFormat::H264).filter(|_| !ask.turned)?;
            chosen(native, format!("the camera offers nothing else with {at}"))
        }
    }
}

fn asked(ask: &Ask) -> String {
    let kind = match ask.wish {
        FormatWish::Auto => "",
        FormatWish::Raw => " raw",
        FormatWish::Mjpeg => " as MJPEG",
        FormatWish::H264 => " as H.264",
    };
    format!("{} at {} frames per second{kind}", ask.size, ask.rate)
}

fn name(camera: &Camera) -> String {
    format!("{} ({})", camera.node.display(), camera.name)
}

/// What a camera can do in place of what is asked: the rates at that size, else the sizes.
fn offer(camera: &Camera, ask: &Ask) -> String {
    const MOST: usize = 12;
    let same_size: Vec<String> = camera.modes.iter().filter(|m| m.has_size(ask.size)).map(rates).collect();
    let (what, mut list) = if same_size.is_empty() {
        ("can do", camera.modes.iter().map(|m| format!("{} {}", size_of(m), rates(m))).collect())
    } else {
        (&*format!("can do {}", ask.size), same_size)
    };
    let more = list.len().saturating_sub(MOST);
    list.truncate(MOST);
    if more > 0 {
        list.push(format!("and {more} more"));
    }
    if list.is_empty() {
        return format!("{} offers nothing that we know", name(camera));
    }
    format!("{} {what} {}", name(camera), list.join(", "))
}

fn size_of(mode: &Mode) -> String {
    match mode.range {
        None => mode.size.to_string(),
        Some(range) => format!("{} to {}", range.smallest, mode.size),
    }
}

fn rates(mode: &Mode) -> String {
    let list: Vec<_> = mode.rates.iter().map(ToString::to_string).collect();
    match list.is_empty() {
        true => format!("as {}", mode.format),
        false => format!("as {} at {}", mode.format, list.join("/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::inventory::SizeRange;

    fn mode(format: PixelFormat, size: &str, rates: &[u32]) -> Mode {
        let rates = rates.iter().map(|r| FrameRate::whole(*r)).collect();
        Mode { format, size: size.parse().unwrap(), range: None, rates }
    }

    fn camera(n: u32, modes: Vec<Mode>) -> Camera {
        Camera {
            node: format!("/dev/video{n}").into(),
            by_id: Some(format!("/dev/v4l/by-id/cam{n}").into()),
            by_path: None,
            links: vec![format!("/dev/camera{n}").into()],
            name: format!("Cam {n}"),
            driver: "uvcvideo".into(),
            bus: "usb-1".into(),
            modes,
            controls: vec![],
        }
    }

    fn uvc() -> Camera {
        camera(
            0,
            vec![
                mode(PixelFormat::YUY2, "640x480", &[30]),
                mode(PixelFormat::YUY2, "1280x720", &[10]),
                mode(PixelFormat::MJPEG, "1280x720", &[30]),
                mode(PixelFormat::H264, "1280x720", &[30]),
            ],
        )
    }

    fn ask(size: &str, fps: u32, wish: FormatWish) -> Ask {
        let (size, rate) = (size.parse().unwrap(), FrameRate::whole(fps));
        Ask { size, rate, wish, encoder: true, turned: false }
    }

    #[test]
    fn formats() {
        use FormatWish::{Auto, H264, Mjpeg, Raw};
        let table = [
            (ask("640x480", 30, Auto), Some(PixelFormat::YUY2)),
            (ask("1280x720", 10, Auto), Some(PixelFormat::YUY2)),
            (ask("1280x720", 30, Auto), Some(PixelFormat::MJPEG)),
            (ask("1280x720", 30, Raw), None),
            (ask("1280x720", 30, Mjpeg), Some(PixelFormat::MJPEG)),
            (ask("1280x720", 30, H264), Some(PixelFormat::H264)),
            (Ask { encoder: false, ..ask("1280x720", 30, Auto) }, Some(PixelFormat::H264)),
            (Ask { encoder: false, turned: true, ..ask("1280x720", 30, Auto) }, Some(PixelFormat::MJPEG)),
            (ask("1920x1080", 30, Auto), None),
            (ask("640x480", 60, Auto), None),
        ];
        let cameras = [uvc()];
        for (ask, want) in table {
            let found = choose_mode(&cameras, &[], &DeviceMatch::Any, &ask).ok().map(|c| c.format.value);
            assert_eq!(found, want, "{ask:?}");
        }
    }

    #[test]
    fn the_first_that_can_or_the_one_that_is_meant() {
        let cameras = [
            camera(0, vec![mode(PixelFormat::NV12, "640x480", &[30])]),
            camera(2, vec![mode(PixelFormat::NV12, "1280x720", &[30])]),
        ];
        let ask = ask("1280x720", 30, FormatWish::Auto);
        let node = |device: &DeviceMatch| choose_mode(&cameras, &[], device, &ask).map(|c| c.camera.node.clone());
        assert_eq!(node(&DeviceMatch::Any).unwrap().to_str(), Some("/dev/video2"));
        assert_eq!(node(&DeviceMatch::Path("/dev/v4l/by-id/cam2".into())).unwrap().to_str(), Some("/dev/video2"));
        assert_eq!(node(&DeviceMatch::Path("/dev/camera2".into())).unwrap().to_str(), Some("/dev/video2"));
        let no = node(&DeviceMatch::Path("/dev/video0".into())).unwrap_err().to_string();
        let want =
            "no camera can do 1280x720 at 30 frames per second; /dev/video0 (Cam 0) can do 640x480 as NV12 at 30";
        assert_eq!(no, want);
        let no = node(&DeviceMatch::Path("/dev/video9".into())).unwrap_err().to_string();
        assert_eq!(no, "this camera is not there; there is /dev/video0 (Cam 0), /dev/video2 (Cam 2)");
        assert_eq!(choose_mode(&[], &[], &DeviceMatch::Any, &ask).unwrap_err().to_string(), "no camera is there");
    }

    #[test]
    fn a_camera_that_may_not_be_opened_is_there() {
        let closed = |n: u32, denied: bool| Unreadable {
            node: format!("/dev/video{n}").into(),
            links: vec![format!("/dev/v4l/by-id/cam{n}").into()],
            error: "Device or resource busy (os error 16)".into(),
            denied,
        };
        let ask = ask("640x480", 30, FormatWish::Auto);
        let no = |cameras: &[Camera], closed: &[Unreadable], device: &DeviceMatch| {
            choose_mode(cameras, closed, device, &ask).map(|c| c.camera.node.clone()).map_err(|no| no.to_string())
        };
        let denied = "there, but cannot be opened: permission denied: add the user to the group video (sudo usermod -aG \
                      video $USER, then log in again)";
        let named = DeviceMatch::Path("/dev/v4l/by-id/cam1".into());
        let two = [closed(0, true), closed(1, true)];
        assert_eq!(no(&[], &two, &DeviceMatch::Any), Err(format!("/dev/video0, /dev/video1: {denied}")));
        assert_eq!(no(&[], &two, &named), Err(format!("/dev/video1: {denied}")));
        let busy = "/dev/video1: there, but cannot be opened: Device or resource busy (os error 16)";
        assert_eq!(no(&[], &[closed(1, false)], &named), Err(busy.into()));
        assert_eq!(no(&[], &two, &DeviceMatch::Path("/dev/video7".into())), Err("no camera is there".into()));
        // What else may not be opened is of no interest where a camera works.
        assert_eq!(no(&[uvc()], &two, &DeviceMatch::Any), Ok("/dev/video0".into()));
        let many: Vec<_> = (10..17).map(|n| closed(n, true)).collect();
        let four = "/dev/video10, /dev/video11, /dev/video12, /dev/video13, 3 more: ";
        assert_eq!(no(&[], &many, &DeviceMatch::Any), Err(format!("{four}{denied}")));
    }

    #[test]
    fn ranges_of_sizes() {
        let range = SizeRange { smallest: Size::new(32, 32), step_width: 16, step_height: 2 };
        let mut any = mode(PixelFormat::NV12, "3280x2464", &[]);
        any.range = Some(range);
        let cameras = [camera(0, vec![any])];
        for (size, want) in [("1280x720", true), ("1288x720", false), ("16x32", false), ("3296x2464", false)] {
            let found = choose_mode(&cameras, &[], &DeviceMatch::Any, &ask(size, 30, FormatWish::Auto));
            assert_eq!(found.is_ok(), want, "{size}");
        }
    }
}
