//! What was found on this machine: cameras and their formats, encoders and their self-tests, the disk.
//!
//! `windhover probe --json` prints it; saved inventories are the inputs of the plan tests.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::media::csi::CameraStack;
use crate::media::format::{FrameRate, PixelFormat, Size};

/// Everything that was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// Where it comes from: captured on a machine, or constructed from which source. Never omitted in test data.
    pub provenance: String,
    /// Device-tree `compatible` strings, or empty on a PC.
    pub compatible: Vec<String>,
    /// Processor cores.
    pub cores: u32,
    /// Video capture devices.
    pub cameras: Vec<Camera>,
    /// Device nodes that may be cameras and could not be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unreadable>,
    /// Sensors on the board's own connector, as far as they can be listed without opening them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub csi: Vec<CsiCamera>,
    /// Elements that exist, of those that the board needs besides its encoders: for its connector's cameras, and what
    /// carries pictures between memories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elements: Vec<String>,
    /// Encoders that exist as elements, with the result of their self-test.
    pub encoders: Vec<Encoder>,
}

/// A video capture device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// `/dev/video0`.
    pub node: PathBuf,
    /// `/dev/v4l/by-id/...`, if udev made one.
    pub by_id: Option<PathBuf>,
    /// `/dev/v4l/by-path/...`, if udev made one.
    pub by_path: Option<PathBuf>,
    /// Further links in `/dev` that lead to it, such as those of an integrator's own udev rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<PathBuf>,
    /// The driver's name for the device (`VIDIOC_QUERYCAP` card).
    pub name: String,
    /// The driver (`VIDIOC_QUERYCAP` driver).
    pub driver: String,
    /// Where it sits (`VIDIOC_QUERYCAP` bus_info).
    pub bus: String,
    /// What it can deliver.
    pub modes: Vec<Mode>,
    /// Controls such as exposure.
    pub controls: Vec<Control>,
}

/// A sensor on the board's own connector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsiCamera {
    /// Whose software drives it.
    pub stack: CameraStack,
    /// Its number, from 0; with Argus its sensor-id.
    pub number: u32,
    /// Its name: the driver's for it, or libcamera's.
    pub name: String,
    /// The sensor's own node, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<PathBuf>,
    /// What it can deliver; each at its rates and below. Empty where that is not known.
    pub modes: Vec<Mode>,
}

/// A device node that is there and does not answer: a camera may be behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unreadable {
    /// `/dev/video0`.
    pub node: PathBuf,
    /// All links that lead to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<PathBuf>,
    /// What the system says.
    pub error: String,
    /// True when the user of this program may not open it.
    pub denied: bool,
}

/// One pixel format at one size with its rates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mode {
    /// Pixel format.
    pub format: PixelFormat,
    /// Size; where the driver offers a range, its largest size.
    pub size: Size,
    /// Where the driver offers a range: the rest of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<SizeRange>,
    /// Rates; of a driver that offers a range, the usual ones in it. Empty where the driver does not say.
    pub rates: Vec<FrameRate>,
}

/// The sizes from `smallest` up to the mode's size, in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizeRange {
    /// The smallest size.
    pub smallest: Size,
    /// Pixels from one width to the next, at least 1.
    pub step_width: u32,
    /// Lines from one height to the next, at least 1.
    pub step_height: u32,
}

impl Mode {
    /// True when the mode has this size.
    pub fn has_size(&self, size: Size) -> bool {
        let Some(range) = self.range else { return self.size == size };
        let side =
            |n: u32, low: u32, high: u32, step: u32| (low..=high).contains(&n) && (n - low).is_multiple_of(step.max(1));
        side(size.width, range.smallest.width, self.size.width, range.step_width)
            && side(size.height, range.smallest.height, self.size.height, range.step_height)
    }

    /// True when the mode has this rate, or does not say which it has.
    pub fn has_rate(&self, rate: FrameRate) -> bool {
        self.rates.is_empty() || self.rates.iter().any(|r| r.same(rate))
    }
}

/// A control of a camera.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// The kernel's number of it (`V4L2_CID_...`); 0 in inventories of before it was noted.
    #[serde(default)]
    pub id: u32,
    /// The driver's name of it.
    pub name: String,
    /// What its value is.
    #[serde(default)]
    pub kind: ControlKind,
    /// Smallest value.
    pub minimum: i64,
    /// Largest value.
    pub maximum: i64,
    /// From one value to the next.
    #[serde(default = "one")]
    pub step: u64,
    /// Value after reset.
    pub default: i64,
    /// Value at the time of the probe, where it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<i64>,
    /// The values of a menu.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<MenuItem>,
    /// It cannot be set.
    #[serde(default, skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// It has no effect now, mostly because an automatic rules it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub inactive: bool,
}

/// What the value of a control is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ControlKind {
    /// A number.
    #[default]
    Integer,
    /// 0 or 1.
    Boolean,
    /// One of a list.
    Menu,
    /// Something that is done when it is set; it has no value.
    Button,
    /// Something that is not a number of 32 bits.
    Other,
}

/// One value of a menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MenuItem {
    /// The value.
    pub value: i64,
    /// Its name.
    pub name: String,
}

fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(value: &bool) -> bool {
    !value
}

/// An encoder element and whether it works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoder {
    /// Element name, `x264enc`.
    pub element: String,
    /// Result of its self-test.
    pub test: SelfTest,
}

/// The result of opening an encoder and encoding ten frames in a child process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "result")]
pub enum SelfTest {
    /// It encoded, and its first frame was a keyframe.
    Passed {
        /// Time from start to the first encoded frame, in milliseconds.
        first_frame_ms: u64,
    },
    /// It did not, and why.
    Failed {
        /// What went wrong.
        reason: String,
    },
}

/// What the child process of a self-test prints on its standard output, as one line of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfTestReport {
    /// Access units that came out.
    pub access_units: u32,
    /// True when the first of them was a keyframe.
    pub starts_with_keyframe: bool,
    /// From the start of the pipeline to the first access unit, in milliseconds.
    pub first_frame_ms: u64,
}

impl SelfTestReport {
    /// Frames that go in.
    pub const FRAMES: u32 = 10;
    /// Access units that must come out: an encoder may hold the last ones back.
    const ENOUGH: u32 = 8;

    /// Passed or not.
    pub fn verdict(self) -> SelfTest {
        let failed = |reason: String| SelfTest::Failed { reason };
        if self.access_units < Self::ENOUGH {
            failed(format!("only {} of {} frames came out", self.access_units, Self::FRAMES))
        } else if !self.starts_with_keyframe {
            failed("the first frame was no keyframe".into())
        } else {
            SelfTest::Passed { first_frame_ms: self.first_frame_ms }
        }
    }
}
