//! The facts about one board. `board/README.md` is the reference of the fields.

use std::path::PathBuf;

use serde::Deserialize;

use crate::media::csi::CameraStack;
use crate::media::format::{FrameRate, Size};

/// The facts about one board.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What the configuration calls it.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// How it is recognised.
    pub detect: Detect,
    /// Encoders, best first.
    #[serde(rename = "encoder")]
    pub encoders: Vec<RankedEncoder>,
    /// Elements that exist and must not be used.
    #[serde(default)]
    pub denied: Vec<Denied>,
    /// What its camera is asked for where the configuration does not say.
    pub camera: CameraDefaults,
    /// What carries pictures between memories.
    #[serde(default)]
    pub surfaces: Surfaces,
    /// Its hardware watchdog.
    #[serde(default)]
    pub watchdog: Watchdog,
    /// Names that a firmware image for it needs; none where there is no such image.
    pub firmware: Option<Firmware>,
    /// Further facts.
    #[serde(default, rename = "note")]
    pub notes: Vec<Note>,
}

/// The hardware watchdog, and how the board says that it bit.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watchdog {
    /// The kernel's driver; none where the board has no watchdog.
    pub driver: Option<String>,
    /// It can wait no longer than so many seconds for food.
    pub longest_s: Option<u32>,
    /// Files that hold the reason of the last reset, the first that is there counts. For where the driver's `bootstatus` is
    /// silent.
    #[serde(default)]
    pub reset_reason: Vec<PathBuf>,
    /// Where this is known from.
    pub source: Option<String>,
}

/// Names of ports and partitions of a board that runs a firmware image. The partitions `windhover-state` and
/// `windhover-data`, and the USB network `usb0`, are called so on every board.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firmware {
    /// The serial port with messages of the kernel and of emergency mode; on development images also a login.
    pub uart: String,
    /// The controller that makes the board a USB device (`/sys/class/udc`), where its name is known.
    pub usb_device: Option<String>,
    /// The partition that a card reader reaches: network.toml, windhover-factory-reset.
    pub boot: String,
    /// Where that is mounted.
    pub boot_at: PathBuf,
    /// The partitions of the two root file systems, A and B.
    pub slots: [String; 2],
    /// Where this is known from.
    pub source: String,
}

/// How a board is recognised.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detect {
    /// Device-tree `compatible` strings, any of which is enough.
    pub compatible: Vec<String>,
    /// True for the profile of machines that no other recognises.
    pub fallback: bool,
}

/// An encoder in the order of preference.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankedEncoder {
    /// GStreamer element; `#` stands for a number that its plugin gives, by the device it finds.
    pub element: String,
    /// The package that brings it.
    pub package: String,
    /// True when something other than the processor encodes.
    #[serde(default)]
    pub hardware: bool,
    /// True when its pictures must lie in surfaces of the chip.
    #[serde(default)]
    pub surfaces: bool,
    /// The most that it can do; none where it takes whatever there is time for.
    pub most: Option<Most>,
    /// Why it ranks here.
    pub note: String,
}

/// The most that an encoder can do. Smaller pictures may come at a higher rate: pixels per second count.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Most {
    /// The largest picture, lying or upright.
    pub size: Size,
    /// Frames per second at that size.
    pub fps: FrameRate,
}

impl Most {
    /// True when it can do `size` at `rate`.
    pub fn holds(&self, size: Size, rate: FrameRate) -> bool {
        let sides = |size: Size| (size.width.max(size.height), size.width.min(size.height));
        let ((long, short), (most_long, most_short)) = (sides(size), sides(self.size));
        let per_second = |size: Size, rate: FrameRate| size.pixels() as f64 * rate.as_f64();
        long <= most_long && short <= most_short && per_second(size, rate) <= per_second(self.size, self.fps)
    }
}

/// An element that exists and must not be used.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denied {
    /// GStreamer element.
    pub element: String,
    /// Why not.
    pub reason: String,
    /// Where this is known from.
    pub source: String,
}

/// What carries pictures between surfaces of an NVIDIA chip and the processor's memory.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surfaces {
    /// GStreamer elements, best first.
    pub converters: Vec<String>,
}

/// What the camera is asked for where the configuration does not say.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraDefaults {
    /// Picture size.
    pub size: Option<Size>,
    /// Frames per second.
    pub fps: Option<FrameRate>,
    /// Whose software drives the sensors on its camera connector.
    pub stack: Option<CameraStack>,
}

/// A fact and where it is known from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// The fact.
    pub text: String,
    /// Its source.
    pub source: String,
}

impl Profile {
    /// The denial of an element, if it is denied.
    pub fn denial(&self, element: &str) -> Option<&Denied> {
        self.denied.iter().find(|d| is_named(&d.element, element))
    }
}

/// True when `pattern` means the element `name`: the same name, or one with a number where the pattern has `#`.
pub fn is_named(pattern: &str, name: &str) -> bool {
    match pattern.split_once('#') {
        None => pattern == name,
        Some((head, tail)) => {
            let number = name.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail));
            number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        }
    }
}

const FILES: [(&str, &str); 9] = [
    ("laptop", include_str!("../../board/laptop.toml")),
    ("sim", include_str!("../../board/sim.toml")),
    ("agx-orin", include_str!("../../board/agx-orin.toml")),
    ("orin-nx", include_str!("../../board/orin-nx.toml")),
    ("orin-nano", include_str!("../../board/orin-nano.toml")),
    ("thor", include_str!("../../board/thor.toml")),
    ("raspberry-pi-4", include_str!("../../board/raspberry-pi-4.toml")),
    ("raspberry-pi-5", include_str!("../../board/raspberry-pi-5.toml")),
    ("qemuarm64", include_str!("../../board/qemuarm64.toml")),
];

/// Every profile there is.
pub fn profiles() -> Vec<Profile> {
    let parse = |(_, text): &(&str, &str)| toml::from_str(text).expect("the compiled-in profiles are valid: tested");
    FILES.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_compiled_in_and_bears_its_name() {
        let named: Vec<_> = profiles().into_iter().map(|p| p.name).collect();
        assert_eq!(named, FILES.map(|(name, _)| name));
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/board");
        let on_disk = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let mut on_disk: Vec<_> = on_disk.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
        on_disk.retain(|path| !FILES.iter().any(|(name, _)| path.file_stem().is_some_and(|stem| stem == *name)));
        assert!(on_disk.is_empty(), "not compiled in: {on_disk:?}");
    }

    #[test]
    fn each_has_an_encoder_that_may_be_used_and_one_is_the_fallback() {
        for profile in profiles() {
            let usable = profile.encoders.iter().filter(|e| profile.denial(&e.element).is_none());
            assert!(usable.count() > 0, "{}", profile.name);
        }
        assert_eq!(profiles().iter().filter(|p| p.detect.fallback).count(), 1);
    }

    #[test]
    fn surfaces_are_reached_by_something() {
        for profile in profiles() {
            let argus = profile.camera.stack == Some(CameraStack::Argus);
            let needed = argus || profile.encoders.iter().any(|encoder| encoder.surfaces);
            assert_eq!(needed, !profile.surfaces.converters.is_empty(), "{}", profile.name);
        }
    }

    #[test]
    fn no_two_claim_the_same_string_and_every_denial_has_a_source() {
        let mut claimed = std::collections::BTreeSet::new();
        for profile in profiles() {
            for string in &profile.detect.compatible {
                assert!(claimed.insert(string.clone()), "{}: {string} belongs to two profiles", profile.name);
            }
            assert!(profile.denied.iter().all(|d| !d.source.is_empty() && !d.reason.is_empty()), "{}", profile.name);
        }
    }

    #[test]
    fn a_watchdog_has_its_limit_and_source() {
        for profile in profiles() {
            let watchdog = &profile.watchdog;
            let there = watchdog.driver.is_some();
            assert_eq!((watchdog.longest_s.is_some(), watchdog.source.is_some()), (there, there), "{}", profile.name);
            assert!(watchdog.reset_reason.iter().all(|path| path.starts_with("/sys")), "{}", profile.name);
        }
    }

    #[test]
    fn names_with_a_number() {
        let table = [
            ("x264enc", "x264enc", true),
            ("v4l2video#h264enc", "v4l2video11h264enc", true),
            ("v4l2video#h264enc", "v4l2videoh264enc", false),
            ("v4l2video#h264enc", "v4l2video1xh264enc", false),
            ("v4l2video#h264enc", "v4l2video11h265enc", false),
            ("v4l2video#h264enc", "v4l2h264enc", false),
        ];
        for (pattern, name, want) in table {
            assert_eq!(is_named(pattern, name), want, "{pattern} {name}");
        }
    }

    #[test]
    fn the_most_counts_sides_and_pixels_per_second() {
        let most = Most { size: Size::new(1920, 1080), fps: FrameRate::whole(30) };
        let table = [
            ("1920x1080", 30, true),
            ("1080x1920", 30, true),
            ("1280x720", 60, true),
            ("1920x1080", 31, false),
            ("1280x720", 90, false),
            ("1920x1088", 10, false),
            ("3840x540", 10, false),
        ];
        for (size, fps, want) in table {
            assert_eq!(most.holds(size.parse().unwrap(), FrameRate::whole(fps)), want, "{size} {fps}");
        }
    }

    #[test]
    fn fields_out_of_the_reference_are_refused() {
        let text = FILES[0].1.replace("title =", "titel =");
        assert!(toml::from_str::<Profile>(&text).is_err());
    }
}
