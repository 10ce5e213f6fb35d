//! The kernel's side of cameras, behind the trait that the daemon uses: constructed, not captured. Nodes are real files in
//! a folder that stands for `/dev`, so that what watches them has something to watch.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use windhover::media::format::{FrameRate, Size};
use windhover::plan::inventory::{Control, Mode};
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
}

impl Camera {
    pub(crate) fn new(card: &'static str, bus: &'static str) -> Self {
        Self { card, bus, serial: None, format: *b"YUYV", size: Size::new(320, 240), error: None }
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
        Vec::new()
    }
}
