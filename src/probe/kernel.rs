//! The real devices, through the `v4l` crate.

use std::io;
use std::path::{Path, PathBuf};

use v4l::Device;
use v4l::FourCC;
use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::v4l_sys::{
    V4L2_CTRL_FLAG_DISABLED, V4L2_CTRL_FLAG_INACTIVE, V4L2_CTRL_FLAG_NEXT_CTRL, V4L2_CTRL_FLAG_READ_ONLY,
    V4L2_CTRL_FLAG_WRITE_ONLY, v4l2_capability, v4l2_control, v4l2_ctrl_type_V4L2_CTRL_TYPE_BITMASK,
    v4l2_ctrl_type_V4L2_CTRL_TYPE_BOOLEAN, v4l2_ctrl_type_V4L2_CTRL_TYPE_BUTTON,
    v4l2_ctrl_type_V4L2_CTRL_TYPE_CTRL_CLASS, v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER,
    v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU, v4l2_ctrl_type_V4L2_CTRL_TYPE_MENU, v4l2_query_ext_ctrl,
    v4l2_querymenu, v4l2_querymenu__bindgen_ty_1,
};
use v4l::v4l2::vidioc::{
    _IOC_TYPE, VIDIOC_G_CTRL, VIDIOC_QUERY_EXT_CTRL, VIDIOC_QUERYCAP, VIDIOC_QUERYMENU, VIDIOC_S_CTRL,
};
use v4l::video::Capture;

use crate::media::format::Size;
use crate::plan::inventory::{Control, ControlKind, MenuItem, Mode, SizeRange};

use super::changes::Changes;
use super::v4l2::{Devices, Identity, Node, RateOffer, SizeOffer};

/// The devices of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Kernel;

impl Devices for Kernel {
    // Not v4l::context::enum_devices: it panics on a name in /dev that is no UTF-8.
    fn nodes(&self) -> Vec<PathBuf> {
        let is_node = |name: &str| name.strip_prefix("video").is_some_and(|n| n.parse::<u32>().is_ok());
        let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_name().to_str().is_some_and(is_node)).map(|entry| entry.path()).collect()
    }

    fn links(&self) -> Vec<(PathBuf, PathBuf)> {
        let mut all: Vec<(PathBuf, PathBuf)> = ["/dev", "/dev/v4l/by-id", "/dev/v4l/by-path"]
            .iter()
            .flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten().flatten())
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()))
            .filter_map(|entry| Some((entry.path(), std::fs::canonicalize(entry.path()).ok()?)))
            .collect();
        all.sort();
        all
    }

    fn open(&self, node: &Path) -> io::Result<Box<dyn Node>> {
        Ok(Box::new(Open(Device::with_path(node)?)))
    }

    fn monitored(&self, node: &Path) -> Vec<Mode> {
        super::monitor::modes(node)
    }

    fn changes(&self) -> io::Result<Changes> {
        Changes::of(Path::new("/dev"))
    }
}

struct Open(Device);

impl Node for Open {
    // Not Device::query_caps: it panics where a driver cuts a product name inside a UTF-8 character (32 bytes).
    fn identity(&self) -> io::Result<Identity> {
        let caps: v4l2_capability = ask(&self.0, VIDIOC_QUERYCAP, zeroed())?;
        Ok(Identity {
            driver: text(&caps.driver),
            card: text(&caps.card),
            bus: text(&caps.bus_info),
            device_caps: caps.device_caps,
        })
    }

    fn formats(&self) -> Vec<[u8; 4]> {
        let formats = self.0.enum_formats().unwrap_or_default();
        formats.iter().map(|format| format.fourcc.repr).collect()
    }

    fn sizes(&self, format: [u8; 4]) -> Vec<SizeOffer> {
        let sizes = self.0.enum_framesizes(FourCC::new(&format)).unwrap_or_default();
        sizes.into_iter().map(|offer| size_offer(&offer.size)).collect()
    }

    fn rates(&self, format: [u8; 4], size: Size) -> Vec<Option<RateOffer>> {
        let offers = self.0.enum_frameintervals(FourCC::new(&format), size.width, size.height);
        offers.unwrap_or_default().iter().map(|offer| rate_offer(&offer.interval)).collect()
    }

    // Not Device::query_controls: it panics on a type of control that it does not know, and vivid has such.
    fn controls(&self) -> Vec<Control> {
        let mut all = Vec::new();
        let mut last = 0;
        while all.len() < 1000 {
            let mut query: v4l2_query_ext_ctrl = zeroed();
            query.id = last | V4L2_CTRL_FLAG_NEXT_CTRL;
            let Ok(found) = ask(&self.0, VIDIOC_QUERY_EXT_CTRL, query) else { break };
            // A driver that does not move on would keep us here for ever.
            if found.id <= last {
                break;
            }
            last = found.id;
            if found.flags & V4L2_CTRL_FLAG_DISABLED == 0 && found.type_ != v4l2_ctrl_type_V4L2_CTRL_TYPE_CTRL_CLASS {
                all.push(self.describe(&found));
            }
        }
        all
    }

    fn control(&self, id: u32) -> io::Result<i64> {
        Ok(ask(&self.0, VIDIOC_G_CTRL, v4l2_control { id, value: 0 })?.value.into())
    }

    fn set_control(&self, id: u32, value: i64) -> io::Result<()> {
        let value = i32::try_from(value).map_err(|_| io::Error::from_raw_os_error(libc::ERANGE))?;
        ask(&self.0, VIDIOC_S_CTRL, v4l2_control { id, value }).map(drop)
    }
}

/// Items of one menu, at most: a menu has two to twenty.
const MOST_ITEMS: i64 = 64;

impl Open {
    fn describe(&self, found: &v4l2_query_ext_ctrl) -> Control {
        let name: Vec<u8> = found.name.iter().map(|c| c.to_ne_bytes()[0]).collect();
        let kind = kind(found);
        let has_value = !matches!(kind, ControlKind::Button | ControlKind::Other);
        let readable = has_value && found.flags & V4L2_CTRL_FLAG_WRITE_ONLY == 0;
        Control {
            id: found.id,
            name: text(&name),
            kind,
            minimum: found.minimum,
            maximum: found.maximum,
            step: found.step,
            default: found.default_value,
            current: readable.then(|| self.control(found.id).ok()).flatten(),
            items: if kind == ControlKind::Menu { self.items(found) } else { Vec::new() },
            read_only: found.flags & V4L2_CTRL_FLAG_READ_ONLY != 0,
            inactive: found.flags & V4L2_CTRL_FLAG_INACTIVE != 0,
        }
    }

    /// A driver says of each value of a menu whether it has it.
    fn items(&self, found: &v4l2_query_ext_ctrl) -> Vec<MenuItem> {
        let last = found.maximum.min(found.minimum.saturating_add(MOST_ITEMS));
        let numbers = found.type_ == v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU;
        let item = |value: i64| {
            let mut query: v4l2_querymenu = zeroed();
            (query.id, query.index) = (found.id, u32::try_from(value).ok()?);
            let answer = ask(&self.0, VIDIOC_QUERYMENU, query).ok()?.__bindgen_anon_1;
            Some(MenuItem { value, name: item_name(answer, numbers) })
        };
        (found.minimum..=last).filter_map(item).collect()
    }
}

#[allow(unsafe_code)]
fn item_name(answer: v4l2_querymenu__bindgen_ty_1, numbers: bool) -> String {
    // SAFETY: both fields are plain integers, and the kernel or `zeroed` has written all of their bytes.
    unsafe { if numbers { answer.value.to_string() } else { text(&answer.name) } }
}

// The bindings name the kernel's constants.
#[allow(non_upper_case_globals)]
fn kind(found: &v4l2_query_ext_ctrl) -> ControlKind {
    match found.type_ {
        v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER if found.elems <= 1 => ControlKind::Integer,
        v4l2_ctrl_type_V4L2_CTRL_TYPE_BITMASK => ControlKind::Integer,
        v4l2_ctrl_type_V4L2_CTRL_TYPE_BOOLEAN => ControlKind::Boolean,
        v4l2_ctrl_type_V4L2_CTRL_TYPE_MENU | v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU => ControlKind::Menu,
        v4l2_ctrl_type_V4L2_CTRL_TYPE_BUTTON => ControlKind::Button,
        _ => ControlKind::Other,
    }
}

fn size_offer(offer: &FrameSizeEnum) -> SizeOffer {
    match offer {
        FrameSizeEnum::Discrete(one) => SizeOffer::Exact(Size::new(one.width, one.height)),
        FrameSizeEnum::Stepwise(many) => SizeOffer::Range {
            largest: Size::new(many.max_width, many.max_height),
            range: SizeRange {
                smallest: Size::new(many.min_width, many.min_height),
                step_width: many.step_width.max(1),
                step_height: many.step_height.max(1),
            },
        },
    }
}

/// The driver counts seconds per frame; the shortest interval is the highest rate.
fn rate_offer(offer: &FrameIntervalEnum) -> Option<RateOffer> {
    let rate = |interval: &v4l::Fraction| (interval.denominator, interval.numerator);
    match offer {
        FrameIntervalEnum::Discrete(one) => RateOffer::exact(one.denominator, one.numerator),
        FrameIntervalEnum::Stepwise(many) => RateOffer::range(rate(&many.max), rate(&many.min)),
    }
}

/// A request that the kernel fills in. All its fields are integers or arrays of them, of which zero is a valid value.
trait Request: Copy {}
impl Request for v4l2_capability {}
impl Request for v4l2_query_ext_ctrl {}
impl Request for v4l2_control {}
impl Request for v4l2_querymenu {}

#[allow(unsafe_code)]
fn zeroed<T: Request>() -> T {
    // SAFETY: types that are marked as `Request` are plain integers, for which all-zero is valid.
    unsafe { std::mem::zeroed() }
}

#[allow(unsafe_code)]
fn ask<T: Request>(device: &Device, request: _IOC_TYPE, mut argument: T) -> io::Result<T> {
    let fd = device.handle().fd();
    // SAFETY: each request is called with the struct that its number encodes the size of, which lives for the call; the
    // kernel writes integers into it and nothing beyond.
    unsafe { v4l::v4l2::ioctl(fd, request, (&raw mut argument).cast())? };
    Ok(argument)
}

/// Text of a fixed field, up to its first NUL. A device may call itself anything: control characters must not reach a
/// terminal.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::format::FrameRate;
    use v4l::frameinterval::Stepwise;

    #[test]
    fn names_of_devices_are_cut_and_cleaned() {
        assert_eq!(text(b"Cam\0rest"), "Cam");
        assert_eq!(text("Kamera \u{fc}".as_bytes()), "Kamera \u{fc}");
        // A driver cuts at 31 bytes, also inside a character.
        assert_eq!(text(&"Kamera \u{fc}".as_bytes()[..8]), "Kamera \u{fffd}");
        assert_eq!(text(b"a\x1b[2J"), "a\u{fffd}[2J");
    }

    #[test]
    fn intervals_become_rates() {
        let fraction = |n, d| v4l::Fraction::new(n, d);
        let one = rate_offer(&FrameIntervalEnum::Discrete(fraction(1001, 30_000)));
        assert!(matches!(one, Some(RateOffer::Exact(FrameRate { num: 30_000, den: 1001 }))));
        // vivid offers 1/1 s down to 1/60 s; some drivers write limits that mean "anything".
        let range = |min, max| rate_offer(&FrameIntervalEnum::Stepwise(Stepwise { min, max, step: fraction(1, 1) }));
        let ends = |offer| match offer {
            Some(RateOffer::Range { slowest, fastest }) => (slowest.as_f64(), fastest.as_f64()),
            other => panic!("{other:?}"),
        };
        assert_eq!(ends(range(fraction(1, 60), fraction(1, 1))), (1.0, 60.0));
        assert_eq!(ends(range(fraction(1, u32::MAX), fraction(u32::MAX, 1))), (1.0, 240.0));
        assert!(rate_offer(&FrameIntervalEnum::Discrete(fraction(0, 0))).is_none());
        assert!(rate_offer(&FrameIntervalEnum::Discrete(fraction(1, 500))).is_none());
        // Wholly above and wholly below the rates that we know.
        let outside = [(fraction(1, 500), fraction(1, 300)), (fraction(3, 1), fraction(10, 1))];
        for (min, max) in outside {
            let offer = FrameIntervalEnum::Stepwise(Stepwise { min, max, step: fraction(1, 1) });
            assert!(rate_offer(&offer).is_none(), "{offer:?}");
        }
    }
}
