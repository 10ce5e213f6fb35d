//! Cameras: what the kernel offers, turned into the inventory's words. The kernel stands behind a trait.

use std::io;
use std::path::{Path, PathBuf};

use crate::media::format::{FrameRate, PixelFormat, Size};
use crate::plan::inventory::{Camera, Control, Mode, SizeRange, Unreadable};

use super::csi::is_part;
pub use super::kernel::Kernel;

use super::changes::Changes;

/// What is asked of the kernel.
pub trait Devices: Send + Sync {
    /// The device nodes, `/dev/video0`.
    fn nodes(&self) -> Vec<PathBuf>;
    /// udev's links in `/dev` and below `/dev/v4l`, each with the node it leads to.
    fn links(&self) -> Vec<(PathBuf, PathBuf)>;
    /// Opens a node.
    fn open(&self, node: &Path) -> io::Result<Box<dyn Node>>;
    /// What GStreamer's device monitor says of a node that a multi-planar driver serves.
    fn monitored(&self, node: &Path) -> Vec<Mode>;
    /// Tells from now on when nodes come, go or change their permissions.
    fn changes(&self) -> io::Result<Changes>;
}

/// An open device node.
pub trait Node {
    /// VIDIOC_QUERYCAP.
    fn identity(&self) -> io::Result<Identity>;
    /// VIDIOC_ENUM_FMT.
    fn formats(&self) -> Vec<[u8; 4]>;
    /// VIDIOC_ENUM_FRAMESIZES.
    fn sizes(&self, format: [u8; 4]) -> Vec<SizeOffer>;
    /// VIDIOC_ENUM_FRAMEINTERVALS; `None` for an answer outside of the rates that we know.
    fn rates(&self, format: [u8; 4], size: Size) -> Vec<Option<RateOffer>>;
    /// VIDIOC_QUERY_EXT_CTRL, VIDIOC_QUERYMENU, and VIDIOC_G_CTRL for the values.
    fn controls(&self) -> Vec<Control>;
    /// VIDIOC_G_CTRL.
    fn control(&self, id: u32) -> io::Result<i64>;
    /// VIDIOC_S_CTRL.
    fn set_control(&self, id: u32, value: i64) -> io::Result<()>;
}

/// The answer to VIDIOC_QUERYCAP.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Driver.
    pub driver: String,
    /// Name for people.
    pub card: String,
    /// Where it sits.
    pub bus: String,
    /// `device_caps`: what this node can do, not what the whole device can.
    pub device_caps: u32,
}

/// One answer to VIDIOC_ENUM_FRAMESIZES.
#[derive(Debug, Clone, Copy)]
pub enum SizeOffer {
    /// One size.
    Exact(Size),
    /// All sizes from `smallest` to `largest` in steps.
    Range {
        /// The largest size.
        largest: Size,
        /// The rest.
        range: SizeRange,
    },
}

/// One answer to VIDIOC_ENUM_FRAMEINTERVALS, as rates.
#[derive(Debug, Clone, Copy)]
pub enum RateOffer {
    /// One rate.
    Exact(FrameRate),
    /// All rates from `slowest` to `fastest`.
    Range {
        /// The lowest rate.
        slowest: FrameRate,
        /// The highest rate.
        fastest: FrameRate,
    },
}

impl RateOffer {
    /// One rate, as a fraction of frames per second; `None` unless it is from 1 to 240.
    pub(super) fn exact(num: u32, den: u32) -> Option<Self> {
        FrameRate::new(num, den).map(Self::Exact)
    }

    /// A range of them. Ends out of ours (1 to 240) are taken as its ends: some drivers write limits that mean "anything".
    /// `None` when all of it is outside.
    pub(super) fn range(slowest: (u32, u32), fastest: (u32, u32)) -> Option<Self> {
        let fps = |(num, den)| f64::from(num) / f64::from(den);
        if fps(slowest) > 240.0 || fps(fastest) < 1.0 {
            return None;
        }
        let rate = |(num, den), end| FrameRate::new(num, den).unwrap_or(FrameRate::whole(end));
        Some(Self::Range { slowest: rate(slowest, 1), fastest: rate(fastest, 240) })
    }
}

// Bits of device_caps, linux/videodev2.h.
const VIDEO_CAPTURE: u32 = 0x0000_0001;
const VIDEO_CAPTURE_MPLANE: u32 = 0x0000_1000;
const VIDEO_M2M: u32 = 0x0000_8000 | 0x0000_4000;

/// Rates named where a driver offers a range.
const USUAL_RATES: [u32; 13] = [1, 5, 10, 15, 20, 24, 25, 30, 50, 60, 90, 120, 240];

// A machine has a handful; a broken driver that never ends its lists must not fill the memory.
const MOST_NODES: usize = 64;
const MOST_LINKS: usize = 32;
const MOST_MODES: usize = 500;
const MOST_CONTROLS: usize = 200;

/// The cameras among the nodes, in the order of their numbers, and the nodes that may be cameras and do not answer.
pub fn cameras(devices: &dyn Devices) -> (Vec<Camera>, Vec<Unreadable>) {
    let (mut cameras, unreadable) = cameras_without_controls(devices);
    for camera in &mut cameras {
        // Gone meanwhile: then it has none.
        camera.controls = devices.open(&camera.node).map(|node| node.controls()).unwrap_or_default();
        camera.controls.truncate(MOST_CONTROLS);
    }
    (cameras, unreadable)
}

/// The same without their controls: each of those is a question to the camera over its bus, and when a camera comes back,
/// its picture comes first.
pub fn cameras_without_controls(devices: &dyn Devices) -> (Vec<Camera>, Vec<Unreadable>) {
    let nodes = sorted_nodes(devices);
    let links = devices.links();
    let (mut cameras, mut unreadable) = (Vec::new(), Vec::new());
    for node in nodes {
        let mut own: Vec<PathBuf> = links.iter().filter(|(_, to)| *to == node).map(|(link, _)| link.clone()).collect();
        own.truncate(MOST_LINKS);
        match camera(devices, &node, own.clone()) {
            Ok(found) => cameras.extend(found),
            Err(e) => {
                tracing::debug!("{} cannot be asked: {e}", node.display());
                let (error, denied) = (e.to_string(), e.kind() == io::ErrorKind::PermissionDenied);
                unreadable.extend((!is_none(&e)).then_some(Unreadable { node, links: own, error, denied }));
            }
        }
    }
    (cameras, unreadable)
}

/// The nodes in the order of their numbers.
pub(super) fn sorted_nodes(devices: &dyn Devices) -> Vec<PathBuf> {
    let mut nodes = devices.nodes();
    nodes.sort_by_key(|node| (number(node), node.clone()));
    nodes.truncate(MOST_NODES);
    nodes
}

/// True for what was unplugged meanwhile, and for what does not know the question and so is no v4l2 device.
fn is_none(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENODEV | libc::ENXIO | libc::ENOTTY))
}

fn number(node: &Path) -> Option<u32> {
    node.to_string_lossy().trim_start_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

/// `None` for metadata nodes, codecs (memory to memory), outputs, and parts of cameras.
fn camera(devices: &dyn Devices, node: &Path, mut links: Vec<PathBuf>) -> io::Result<Option<Camera>> {
    let open = devices.open(node)?;
    let identity = open.identity()?;
    let caps = identity.device_caps;
    let captures = caps & VIDEO_M2M == 0 && caps & (VIDEO_CAPTURE | VIDEO_CAPTURE_MPLANE) != 0;
    if !captures || is_part(&identity, &*open) {
        return Ok(None);
    }
    let modes = if caps & VIDEO_CAPTURE != 0 { modes(&*open) } else { devices.monitored(node) };
    let mut take = |kind: &str| {
        let below = Path::new("/dev/v4l").join(kind);
        links.iter().position(|link| link.starts_with(&below)).map(|found| links.remove(found))
    };
    let (by_id, by_path) = (take("by-id"), take("by-path"));
    Ok(Some(Camera {
        node: node.to_owned(),
        by_id,
        by_path,
        links,
        name: identity.card,
        driver: identity.driver,
        bus: identity.bus,
        modes,
        controls: Vec::new(),
    }))
}

fn modes(node: &dyn Node) -> Vec<Mode> {
    modes_as(node, &node.formats(), pixel_format)
}

/// The modes of these formats, each called what `name` calls it.
pub(super) fn modes_as(
    node: &dyn Node,
    formats: &[[u8; 4]],
    name: impl Fn([u8; 4]) -> Option<PixelFormat>,
) -> Vec<Mode> {
    let mut all = Vec::new();
    for &code in formats {
        let Some(format) = name(code) else { continue };
        for offer in node.sizes(code) {
            let (size, range) = match offer {
                SizeOffer::Exact(size) => (size, None),
                SizeOffer::Range { largest, range } => (largest, Some(range)),
            };
            if all.len() < MOST_MODES
                && let Some(rates) = rates(&node.rates(code, size))
            {
                all.push(Mode { format, size, range, rates });
            }
        }
    }
    all
}

/// Empty where the driver lists none, which fits every rate; `None` where it lists only what we cannot take.
pub(super) fn rates(offers: &[Option<RateOffer>]) -> Option<Vec<FrameRate>> {
    if !offers.is_empty() && offers.iter().all(Option::is_none) {
        return None;
    }
    let mut all: Vec<FrameRate> = Vec::new();
    let mut add = |rate: FrameRate| {
        if !all.iter().any(|known| known.same(rate)) && all.len() < 64 {
            all.push(rate);
        }
    };
    for offer in offers.iter().flatten() {
        match offer {
            RateOffer::Exact(rate) => add(*rate),
            RateOffer::Range { slowest, fastest } => {
                let within = |r: &FrameRate| (slowest.as_f64()..=fastest.as_f64()).contains(&r.as_f64());
                USUAL_RATES.map(FrameRate::whole).into_iter().filter(within).for_each(&mut add);
                add(*fastest);
            }
        }
    }
    all.sort_by(|a, b| b.as_f64().total_cmp(&a.as_f64()));
    Some(all)
}

/// The formats that the source can take; linux/videodev2.h.
pub(super) fn pixel_format(code: [u8; 4]) -> Option<PixelFormat> {
    Some(match &code {
        b"YU12" => PixelFormat::I420,
        b"NV12" => PixelFormat::NV12,
        b"YUYV" => PixelFormat::YUY2,
        b"UYVY" => PixelFormat::UYVY,
        b"RGB3" => PixelFormat::RGB,
        b"MJPG" | b"JPEG" => PixelFormat::MJPEG,
        b"H264" => PixelFormat::H264,
        _ => return None,
    })
}
