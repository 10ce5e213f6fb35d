//! Cameras from constructed devices: what drivers answer, good and bad.

use std::io;
use std::path::{Path, PathBuf};

use super::changes::Changes;
use super::csi::argus;
use super::v4l2::{Devices, Identity, Node, RateOffer, SizeOffer, cameras};
use crate::media::format::{FrameRate, PixelFormat, Size};
use crate::plan::inventory::{Control, CsiCamera, Mode, SizeRange};

/// A pixel format with its sizes and rates.
type Format = ([u8; 4], Vec<SizeOffer>, Vec<Option<RateOffer>>);

/// A node as a driver describes it. Constructed after the answers of uvcvideo, vivid and a Raspberry Pi's drivers as the
/// kernel documentation describes them; not captured.
#[derive(Clone, Default)]
struct SimNode {
    caps: u32,
    driver: &'static str,
    card: &'static str,
    formats: Vec<Format>,
    controls: usize,
    error: Option<i32>,
}

#[derive(Default)]
struct Sim {
    nodes: Vec<(&'static str, SimNode)>,
    links: Vec<(&'static str, &'static str)>,
    monitored: Vec<Mode>,
}

impl Devices for Sim {
    fn nodes(&self) -> Vec<PathBuf> {
        self.nodes.iter().map(|(path, _)| path.into()).collect()
    }
    fn links(&self) -> Vec<(PathBuf, PathBuf)> {
        self.links.iter().map(|(link, to)| (link.into(), to.into())).collect()
    }
    fn open(&self, node: &Path) -> io::Result<Box<dyn Node>> {
        let (_, found) = self.nodes.iter().find(|(path, _)| Path::new(path) == node).unwrap();
        match found.error {
            Some(error) => Err(io::Error::from_raw_os_error(error)),
            None => Ok(Box::new(found.clone())),
        }
    }
    fn monitored(&self, _: &Path) -> Vec<Mode> {
        self.monitored.clone()
    }
    fn changes(&self) -> io::Result<Changes> {
        unreachable!("nothing comes or goes here")
    }
}

impl Node for SimNode {
    fn identity(&self) -> io::Result<Identity> {
        let bus = "usb-0000:00:14.0-1".into();
        Ok(Identity { driver: self.driver.into(), card: self.card.into(), bus, device_caps: self.caps })
    }
    fn formats(&self) -> Vec<[u8; 4]> {
        self.formats.iter().map(|(code, ..)| *code).collect()
    }
    fn sizes(&self, format: [u8; 4]) -> Vec<SizeOffer> {
        self.formats.iter().filter(|(code, ..)| *code == format).flat_map(|(_, sizes, _)| sizes.clone()).collect()
    }
    fn rates(&self, format: [u8; 4], _: Size) -> Vec<Option<RateOffer>> {
        self.formats.iter().filter(|(code, ..)| *code == format).flat_map(|(_, _, rates)| rates.clone()).collect()
    }
    fn controls(&self) -> Vec<Control> {
        let one = |n| Control { name: format!("Control {n}"), maximum: 255, default: 128, ..Control::default() };
        (0..self.controls).map(one).collect()
    }
    fn control(&self, _: u32) -> io::Result<i64> {
        unreachable!("nothing is set here")
    }
    fn set_control(&self, _: u32, _: i64) -> io::Result<()> {
        unreachable!("nothing is set here")
    }
}

const CAPTURE: u32 = 0x0420_0001;
const METADATA: u32 = 0x04A0_0000;
// Codecs of older kernels say capture and output besides memory to memory.
const CODEC: u32 = 0x0420_8003;
const MULTIPLANAR_CODEC: u32 = 0x0420_7000;
const OUTPUT: u32 = 0x0420_0002;
const MULTIPLANAR: u32 = 0x0420_1000;

fn exact(size: &str) -> SizeOffer {
    SizeOffer::Exact(size.parse().unwrap())
}

fn rate(fps: u32) -> Option<RateOffer> {
    RateOffer::exact(fps, 1)
}

fn node(caps: u32) -> SimNode {
    let formats = vec![(*b"YUYV", vec![exact("640x480")], vec![rate(30)])];
    SimNode { caps, driver: "uvcvideo", card: "Cam", formats, ..SimNode::default() }
}

/// A sensor: nothing but Bayer pictures.
fn sensor(driver: &'static str, card: &'static str, modes: &[(&str, u32)]) -> SimNode {
    let formats = modes.iter().map(|(size, fps)| (*b"RG10", vec![exact(size)], vec![rate(*fps)])).collect();
    SimNode { driver, card, formats, ..node(CAPTURE) }
}

#[test]
fn only_what_captures_pictures_counts_in_the_order_of_the_numbers() {
    let gone = SimNode { error: Some(libc::ENODEV), ..node(CAPTURE) };
    let sim = Sim {
        nodes: vec![
            ("/dev/video10", node(CAPTURE)),
            ("/dev/video2", node(CAPTURE)),
            ("/dev/video3", node(METADATA)),
            ("/dev/video4", node(CODEC)),
            ("/dev/video5", node(MULTIPLANAR_CODEC)),
            ("/dev/video6", node(OUTPUT)),
            ("/dev/video7", gone),
        ],
        ..Sim::default()
    };
    let (found, unreadable) = cameras(&sim);
    let found: Vec<_> = found.into_iter().map(|c| c.node).collect();
    assert_eq!(found, [Path::new("/dev/video2"), Path::new("/dev/video10")]);
    assert_eq!(unreadable, []);
}

#[test]
fn parts_of_cameras_are_no_cameras() {
    let media = SimNode { caps: CAPTURE | 0x2000_0000, driver: "rp1-cfe", ..node(CAPTURE) };
    let sim = Sim {
        nodes: vec![
            ("/dev/video0", sensor("tegra-video", "vi-output, imx219 9-0010", &[("1920x1080", 30)])),
            ("/dev/video1", sensor("unicam", "unicam", &[("1920x1080", 30)])),
            ("/dev/video2", media),
            ("/dev/video3", SimNode { driver: "bcm2835-isp", ..node(CAPTURE) }),
            // A camera of the same driver with an image processor of its own, and a USB camera that says nonsense.
            ("/dev/video4", SimNode { driver: "tegra-video", ..node(CAPTURE) }),
            ("/dev/video5", sensor("uvcvideo", "Odd", &[("640x480", 30)])),
        ],
        ..Sim::default()
    };
    let (found, unreadable) = cameras(&sim);
    let found: Vec<_> = found.into_iter().map(|c| c.node).collect();
    assert_eq!(found, [Path::new("/dev/video4"), Path::new("/dev/video5")]);
    assert_eq!(unreadable, []);
}

#[test]
fn sensors_of_argus_are_counted_in_the_order_of_their_nodes() {
    let imx219 = sensor("tegra-video", "vi-output, imx219 9-0010", &[("1920x1080", 30)]);
    let imx477 = sensor("tegra-video", "vi-output, imx477 10-001a", &[("1280x720", 120)]);
    let sim = Sim {
        nodes: vec![
            ("/dev/video10", imx477),
            ("/dev/video2", imx219),
            ("/dev/video0", node(CAPTURE)),
            ("/dev/video3", SimNode { driver: "tegra-video", ..node(CAPTURE) }),
            ("/dev/video4", sensor("unicam", "unicam", &[("1920x1080", 30)])),
            ("/dev/video5", SimNode { error: Some(libc::EACCES), ..node(CAPTURE) }),
        ],
        ..Sim::default()
    };
    let found = argus(&sim);
    let show = |c: &CsiCamera| {
        let modes: Vec<_> = c.modes.iter().map(|m| format!("{} {} {:?}", m.format, m.size, m.rates.len())).collect();
        format!("{} {} {} {}", c.number, c.name, c.node.as_ref().unwrap().display(), modes.join(" "))
    };
    let want = [
        "0 vi-output, imx219 9-0010 /dev/video2 NV12 1920x1080 1",
        "1 vi-output, imx477 10-001a /dev/video10 NV12 1280x720 1",
    ];
    assert_eq!(found.iter().map(show).collect::<Vec<_>>(), want);
}

#[test]
fn a_node_that_may_not_be_opened_is_kept_with_its_error() {
    let fails = |error| SimNode { error: Some(error), ..node(CAPTURE) };
    let sim = Sim {
        nodes: vec![
            ("/dev/video0", fails(libc::EACCES)),
            ("/dev/video1", fails(libc::EBUSY)),
            ("/dev/video2", fails(libc::ENOENT)),
            ("/dev/video3", fails(libc::ENOTTY)),
        ],
        links: vec![("/dev/v4l/by-id/usb-cam-video-index0", "/dev/video0")],
        ..Sim::default()
    };
    let (found, unreadable) = cameras(&sim);
    assert_eq!(found, []);
    let [denied, busy] = &unreadable[..] else { panic!("{unreadable:?}") };
    assert!(denied.denied && denied.node == Path::new("/dev/video0") && !denied.links.is_empty(), "{denied:?}");
    assert!(!busy.denied && busy.error.contains("busy"), "{busy:?}");
}

#[test]
fn links_belong_to_their_node() {
    let sim = Sim {
        nodes: vec![("/dev/video0", node(CAPTURE)), ("/dev/video1", node(METADATA))],
        links: vec![
            ("/dev/v4l/by-id/usb-cam-video-index0", "/dev/video0"),
            ("/dev/v4l/by-id/usb-cam-video-index1", "/dev/video1"),
            ("/dev/front", "/dev/video0"),
            ("/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0", "/dev/video0"),
            ("/dev/v4l/by-path/pci-0000:00:14.0-usbv2-0:1:1.0-video-index0", "/dev/video0"),
        ],
        ..Sim::default()
    };
    let [camera] = &cameras(&sim).0[..] else { panic!("one camera") };
    assert_eq!(camera.by_id.as_deref(), Some(Path::new("/dev/v4l/by-id/usb-cam-video-index0")));
    let by_path = "/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0";
    assert_eq!(camera.by_path.as_deref(), Some(Path::new(by_path)));
    let more = ["/dev/front", "/dev/v4l/by-path/pci-0000:00:14.0-usbv2-0:1:1.0-video-index0"];
    assert_eq!(camera.links, more.map(PathBuf::from));
}

#[test]
fn formats_sizes_and_rates() {
    let range = SizeRange { smallest: Size::new(32, 32), step_width: 2, step_height: 2 };
    let sizes = vec![SizeOffer::Range { largest: Size::new(2592, 1944), range }];
    let all = RateOffer::Range { slowest: FrameRate::whole(1), fastest: FrameRate { num: 90_000, den: 1_001 } };
    let mut camera = node(CAPTURE);
    camera.formats = vec![
        (*b"MJPG", vec![exact("1920x1080"), exact("1280x720")], vec![rate(15), rate(30), rate(30)]),
        (*b"NV12", sizes, vec![Some(all)]),
        (*b"pRAA", vec![exact("640x480")], vec![rate(30)]),
        (*b"H264", vec![exact("1280x720")], vec![]),
        // Too fast for us is not the same as not said, which fits every rate.
        (*b"YUYV", vec![exact("320x240")], vec![rate(300), rate(500)]),
        (*b"UYVY", vec![exact("320x240")], vec![rate(300), rate(200)]),
    ];
    let sim = Sim { nodes: vec![("/dev/video0", camera)], ..Sim::default() };
    let modes = &cameras(&sim).0[0].modes;
    let show = |m: &Mode| {
        let rates: Vec<_> = m.rates.iter().map(ToString::to_string).collect();
        format!("{} {} {}", m.format, m.size, rates.join(" "))
    };
    let want = [
        "MJPEG 1920x1080 30 15",
        "MJPEG 1280x720 30 15",
        "NV12 2592x1944 90000/1001 60 50 30 25 24 20 15 10 5 1",
        "H264 1280x720 ",
        "UYVY 320x240 200",
    ];
    assert_eq!(modes.iter().map(show).collect::<Vec<_>>(), want);
    assert_eq!(modes[2].range, Some(range));
    assert!(modes[2].has_size(Size::new(1280, 720)) && !modes[2].has_size(Size::new(1281, 720)));
}

#[test]
fn a_driver_that_never_ends_its_lists_stays_bounded() {
    let mut camera = node(CAPTURE);
    camera.controls = 10_000;
    camera.formats = vec![(*b"YUYV", vec![exact("640x480"); 10_000], vec![rate(30); 10_000])];
    let sim = Sim { nodes: vec![("/dev/video0", camera)], ..Sim::default() };
    let found = &cameras(&sim).0[0];
    assert_eq!((found.modes.len(), found.controls.len()), (500, 200));
}

#[test]
fn a_multi_planar_driver_is_left_to_the_device_monitor() {
    let mode =
        Mode { format: PixelFormat::NV12, size: Size::new(1920, 1080), range: None, rates: vec![FrameRate::whole(30)] };
    let sim = Sim { nodes: vec![("/dev/video0", node(MULTIPLANAR))], monitored: vec![mode.clone()], ..Sim::default() };
    assert_eq!(cameras(&sim).0[0].modes, [mode]);
}

#[test]
fn this_machine_can_be_asked() {
    // No camera may be here; whatever is here must not break the walk.
    for camera in super::cameras().0 {
        assert!(camera.node.starts_with("/dev"), "{}", camera.node.display());
    }
}

#[test]
fn device_tree_strings() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("compatible");
    std::fs::write(&path, b"nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0").unwrap();
    let want = ["nvidia,p3768-0000+p3767-0005", "nvidia,p3767-0005", "nvidia,tegra234"];
    assert_eq!(super::compatible_in(&path), want);
    assert!(super::compatible_in(&dir.path().join("absent")).is_empty());
}
