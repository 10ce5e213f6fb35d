//! What devices say of themselves, and inventories saved by others.

use std::io;
use std::path::{Path, PathBuf};

use windhover::media::format::{FrameRate, Size};
use windhover::plan::inventory::{Control, ControlKind, Inventory, MenuItem, Mode, SizeRange};
use windhover::probe::changes::Changes;
use windhover::probe::v4l2::{Devices, Identity, Node, RateOffer, SizeOffer, cameras};

use super::draw::Draw;
use super::settings::plan_defaults;

/// A kernel with up to three devices that say what the fuzzer says: what is made of it is bounded, survives its JSON,
/// and a Plan comes of it.
pub fn devices(data: &[u8]) {
    let (cameras, unreadable) = cameras(&Told(data));
    for camera in &cameras {
        assert!(camera.modes.len() <= 500 && camera.controls.len() <= 200 && camera.links.len() <= 32);
        assert!(camera.modes.iter().all(|mode| mode.rates.len() <= 64));
    }
    let inventory = Inventory { cameras, unreadable, provenance: "constructed".into(), ..Inventory::default() };
    let text = serde_json::to_string(&inventory).expect("an inventory is plain data");
    let again: Inventory = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!(again, inventory);
    plan_defaults(&inventory);
}

/// A saved inventory of any content, as `check --inventory` reads it.
pub fn inventory(data: &[u8]) {
    let Ok(inventory) = serde_json::from_slice::<Inventory>(data) else { return };
    let text = serde_json::to_string(&inventory).expect("an inventory is plain data");
    assert_eq!(serde_json::from_str::<Inventory>(&text).expect("its own text"), inventory);
    plan_defaults(&inventory);
}

struct Told<'a>(&'a [u8]);

struct Device(Vec<u8>);

impl Devices for Told<'_> {
    fn nodes(&self) -> Vec<PathBuf> {
        (0..3).map(|n| format!("/dev/video{n}").into()).collect()
    }

    fn links(&self) -> Vec<(PathBuf, PathBuf)> {
        let folders = ["/dev/v4l/by-id", "/dev/v4l/by-path", "/dev", ""];
        let links = self.0.chunks(4).take(40).map(|c| (Path::new(folders[c[0] as usize % 4]), c[0] % 3, c.len()));
        links.map(|(folder, n, name)| (folder.join(name.to_string()), format!("/dev/video{n}").into())).collect()
    }

    fn open(&self, node: &Path) -> io::Result<Box<dyn Node>> {
        let number = node.to_string_lossy().bytes().last().map_or(0, |b| usize::from(b - b'0'));
        let part = self.0.split(|byte| *byte == 0xff).nth(number).unwrap_or_default();
        if part.is_empty() {
            return Err(io::Error::from_raw_os_error(i32::from(self.0.len() as u8)));
        }
        Ok(Box::new(Device(part.to_vec())))
    }

    fn monitored(&self, _: &Path) -> Vec<Mode> {
        Vec::new()
    }

    fn changes(&self) -> io::Result<Changes> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Device {
    fn draw(&self, salt: usize) -> Draw<'_> {
        Draw(self.0.get(1 + salt % self.0.len()..).unwrap_or_default())
    }
}

fn side(draw: &mut Draw<'_>) -> u32 {
    // Most devices have sides that a picture can have; some say anything.
    match draw.byte() {
        0 => draw.u32(),
        n => u32::from(n) * 16,
    }
}

impl Node for Device {
    fn identity(&self) -> io::Result<Identity> {
        let text = String::from_utf8_lossy(&self.0[..self.0.len().min(31)]).into_owned();
        let device_caps = u32::from(self.0[0] & 1) | u32::from(self.0[0] & 2) << 14;
        Ok(Identity { driver: text.clone(), card: text.clone(), bus: text, device_caps })
    }

    fn formats(&self) -> Vec<[u8; 4]> {
        let known = [b"YU12", b"NV12", b"YUYV", b"MJPG", b"JPEG", b"H264", b"RGB3", b"????"];
        self.0.iter().take(usize::from(self.0[0] >> 2)).map(|b| *known[usize::from(b % 8)]).collect()
    }

    fn sizes(&self, format: [u8; 4]) -> Vec<SizeOffer> {
        let mut draw = self.draw(usize::from(format[0]));
        (0..draw.byte())
            .map(|_| {
                let largest = Size::new(side(&mut draw), side(&mut draw));
                if draw.byte() & 1 == 0 {
                    return SizeOffer::Exact(largest);
                }
                let smallest = Size::new(side(&mut draw), side(&mut draw));
                let (step_width, step_height) = (draw.u32(), draw.u32());
                SizeOffer::Range { largest, range: SizeRange { smallest, step_width, step_height } }
            })
            .collect()
    }

    fn rates(&self, format: [u8; 4], size: Size) -> Vec<Option<RateOffer>> {
        let mut draw = self.draw(usize::from(format[1]) + size.width as usize);
        let rate = |draw: &mut Draw<'_>| FrameRate::new(draw.u32(), u32::from(draw.byte()) + 1);
        (0..draw.byte())
            .map(|_| match draw.byte() & 1 {
                0 => rate(&mut draw).map(RateOffer::Exact),
                _ => Some(RateOffer::Range { slowest: rate(&mut draw)?, fastest: rate(&mut draw)? }),
            })
            .collect()
    }

    fn controls(&self) -> Vec<Control> {
        let mut draw = self.draw(7);
        let text = |draw: &mut Draw<'_>| String::from_utf8_lossy(draw.bytes(31)).into_owned();
        let number = |draw: &mut Draw<'_>| draw.u64() as i64;
        let kinds =
            [ControlKind::Integer, ControlKind::Boolean, ControlKind::Menu, ControlKind::Button, ControlKind::Other];
        let control = Control {
            id: draw.u32(),
            name: text(&mut draw),
            kind: kinds[draw.up_to(kinds.len() - 1)],
            minimum: number(&mut draw),
            maximum: number(&mut draw),
            step: draw.u64(),
            default: number(&mut draw),
            current: (draw.byte() & 1 == 1).then(|| number(&mut draw)),
            items: (0..draw.byte() % 8).map(|_| MenuItem { value: number(&mut draw), name: text(&mut draw) }).collect(),
            read_only: draw.byte() & 1 == 1,
            inactive: draw.byte() & 1 == 1,
        };
        vec![control; usize::from(draw.byte())]
    }

    fn control(&self, id: u32) -> io::Result<i64> {
        Ok(i64::from(id))
    }

    fn set_control(&self, _: u32, _: i64) -> io::Result<()> {
        Ok(())
    }
}
