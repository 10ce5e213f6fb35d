//! The kernel's side of cameras, behind the trait that the daemon uses: constructed, not captured. Nodes are real files in
//! a folder that stands for `/dev`, so that what watches them has something to watch.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use windhover::media::format::{FrameRate, Size};
use windhover::plan::inventory::{Control, ControlKind, MenuItem, Mode};
use windhover::probe::changes::Changes;
use windhover::probe::v4l2::{Devices, Identity, Node, RateOffer, SizeOffer};

use crate::stand_in::{Hands, register};

/// A camera as its driver describes it.
#[derive(Debug, Clone)]
pub(crate) struct Camera {
    pub(crate) card: &'static str,
    pub(crate) bus: &'static str,
    pub(crate) serial: Option<&'static str>,
    pub(crate) format: [u8; 4],
    pub(crate) size: Size,
    /// What opening it ends with.
    pub(crate) error: Option<i32>,
    /// Controls with their values since it was plugged in, and what was set, in order.
    pub(crate) controls: Vec<Control>,
    pub(crate) values: Arc<Mutex<BTreeMap<u32, i64>>>,
    pub(crate) told: Arc<Mutex<Vec<(u32, i64)>>>,
    /// A control that takes every value and keeps its own.
    pub(crate) stubborn: Option<u32>,
}

pub(crate) const EXPOSURE_AUTO: u32 = 0x009a_0901;
pub(crate) const EXPOSURE_ABSOLUTE: u32 = 0x009a_0902;
pub(crate) const GAIN: u32 = 0x0098_0913;

impl Camera {
    pub(crate) fn new(card: &'static str, bus: &'static str) -> Self {
        let (format, size) = (*b"YUYV", Size::new(320, 240));
        let (values, told) = (Arc::default(), Arc::default());
        Self { card, bus, serial: None, format, size, error: None, controls: vec![], values, told, stubborn: None }
    }

    /// As it comes out of the box: exposure and gain, the exposure automatic.
    pub(crate) fn with_controls(self) -> Self {
        let control = |id, name: &str, maximum, default| Control {
            id,
            name: name.into(),
            minimum: 1,
            maximum,
            step: 1,
            default,
            ..Control::default()
        };
        let item = |value, name: &str| MenuItem { value, name: name.into() };
        let items = vec![item(1, "Manual Mode"), item(3, "Aperture Priority Mode")];
        let controls = vec![
            control(GAIN, "Gain", 100, 20),
            Control { kind: ControlKind::Menu, items, ..control(EXPOSURE_AUTO, "Auto Exposure", 3, 3) },
            control(EXPOSURE_ABSOLUTE, "Exposure Time, Absolute", 2047, 250),
        ];
        *self.values.lock().unwrap() = controls.iter().map(|control| (control.id, control.default)).collect();
        Self { controls, ..self }
    }

    pub(crate) fn jpeg(self) -> Self {
        Self { format: *b"MJPG", ..self }
    }

    pub(crate) fn h264(self) -> Self {
        Self { format: *b"H264", ..self }
    }
}

/// A machine into which cameras are plugged.
pub(crate) struct Desk {
    dev: tempfile::TempDir,
    plugged: Mutex<BTreeMap<PathBuf, Camera>>,
    held: Mutex<bool>,
    let_go: Condvar,
}

impl Desk {
    pub(crate) fn new() -> Arc<Self> {
        register();
        let dev = tempfile::tempdir().unwrap();
        Arc::new(Self { dev, plugged: Mutex::default(), held: Mutex::new(false), let_go: Condvar::new() })
    }

    pub(crate) fn node(&self, number: u32) -> PathBuf {
        self.dev.path().join(format!("video{number}"))
    }

    /// Plugs a camera in: it is there before its node is.
    pub(crate) fn plug(&self, number: u32, camera: Camera) -> Arc<Hands> {
        let node = self.node(number);
        let hands = Hands::on(node.to_str().unwrap(), camera.format);
        self.plugged.lock().unwrap().insert(node.clone(), camera);
        std::fs::File::create(node).unwrap();
        hands
    }

    pub(crate) fn unplug(&self, number: u32) {
        let node = self.node(number);
        std::fs::remove_file(&node).unwrap();
        self.plugged.lock().unwrap().remove(&node);
    }

    /// Changes what is said of a camera, such as its size.
    pub(crate) fn change(&self, number: u32, change: impl FnOnce(&mut Camera)) {
        change(self.plugged.lock().unwrap().get_mut(&self.node(number)).unwrap());
    }

    /// While held, nobody comes back from opening a node.
    pub(crate) fn hold(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.let_go.notify_all();
    }
}

impl Devices for Desk {
    fn nodes(&self) -> Vec<PathBuf> {
        self.plugged.lock().unwrap().keys().cloned().collect()
    }

    fn links(&self) -> Vec<(PathBuf, PathBuf)> {
        let link = |(node, camera): (&PathBuf, &Camera)| {
            let name = format!("usb-{}_{}-video-index0", camera.card, camera.serial?);
            Some((Path::new("/dev/v4l/by-id").join(name), node.clone()))
        };
        self.plugged.lock().unwrap().iter().filter_map(link).collect()
    }

    fn open(&self, node: &Path) -> io::Result<Box<dyn Node>> {
        drop(self.let_go.wait_while(self.held.lock().unwrap(), |held| *held).unwrap());
        let gone = || io::Error::from_raw_os_error(libc::ENODEV);
        let camera = self.plugged.lock().unwrap().get(node).cloned().ok_or_else(gone)?;
        match camera.error {
            Some(error) => Err(io::Error::from_raw_os_error(error)),
            None => Ok(Box::new(camera)),
        }
    }

    fn monitored(&self, _: &Path) -> Vec<Mode> {
        Vec::new()
    }

    fn changes(&self) -> io::Result<Changes> {
        Changes::of(self.dev.path())
    }
}

impl Node for Camera {
    fn identity(&self) -> io::Result<Identity> {
        let (driver, card, bus) = ("uvcvideo".into(), self.card.into(), self.bus.into());
        Ok(Identity { driver, card, bus, device_caps: 0x0420_0001 })
    }

    fn formats(&self) -> Vec<[u8; 4]> {
        vec![self.format]
    }

    fn sizes(&self, _: [u8; 4]) -> Vec<SizeOffer> {
        vec![SizeOffer::Exact(self.size)]
    }

    fn rates(&self, _: [u8; 4], _: Size) -> Vec<Option<RateOffer>> {
        vec![Some(RateOffer::Exact(FrameRate::whole(30)))]
    }

    fn controls(&self) -> Vec<Control> {
        self.controls.clone()
    }

    fn control(&self, id: u32) -> io::Result<i64> {
        self.values.lock().unwrap().get(&id).copied().ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
    }

    fn set_control(&self, id: u32, value: i64) -> io::Result<()> {
        let mut values = self.values.lock().unwrap();
        // What uvcvideo answers while the automatic rules the value.
        if id == EXPOSURE_ABSOLUTE && values[&EXPOSURE_AUTO] != 1 {
            return Err(io::Error::from_raw_os_error(libc::EACCES));
        }
        self.told.lock().unwrap().push((id, value));
        if self.stubborn != Some(id) {
            values.insert(id, value);
        }
        Ok(())
    }
}
