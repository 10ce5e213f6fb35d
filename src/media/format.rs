//! What a picture looks like: size, rate, pixel format, orientation.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::redact;

/// Why a text is no size or rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFormat {
    /// Not of the form WIDTHxHEIGHT, or out of range.
    #[error("\"{0}\" is no picture size: write it like \"1280x720\", even numbers from 16 to 8192")]
    Size(String),
    /// Not a number or fraction, or out of range.
    #[error("\"{0}\" is no frame rate: write it like 30 or \"30000/1001\", from 1 to 240")]
    Rate(String),
}

/// Width and height in pixels, both even (4:2:0 chroma), 16 to 8192.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size {
    /// Pixels per line.
    pub width: u32,
    /// Lines.
    pub height: u32,
}

impl Size {
    /// A size as a device or stream reports it; configuration goes through `FromStr`, which checks.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Pixels in a picture.
    pub const fn pixels(self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// Width and height exchanged, as a rotation by 90 degrees does.
    pub const fn transposed(self) -> Self {
        Self { width: self.height, height: self.width }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Size {
    type Err = BadFormat;

    fn from_str(text: &str) -> Result<Self, BadFormat> {
        let bad = || BadFormat::Size(redact::short(text));
        let (w, h) = text.split_once('x').ok_or_else(bad)?;
        let side = |s: &str| s.parse::<u32>().ok().filter(|n| (16..=8192).contains(n) && n % 2 == 0);
        Ok(Self { width: side(w).ok_or_else(bad)?, height: side(h).ok_or_else(bad)? })
    }
}

/// From a saved inventory, which holds what devices report: v4l2loopback has 2x1, and others have odd sides.
impl TryFrom<String> for Size {
    type Error = BadFormat;
    fn try_from(text: String) -> Result<Self, BadFormat> {
        let sides = text.split_once('x').and_then(|(w, h)| Some(Self::new(w.parse().ok()?, h.parse().ok()?)));
        sides.ok_or_else(|| BadFormat::Size(redact::short(&text)))
    }
}

impl From<Size> for String {
    fn from(size: Size) -> String {
        size.to_string()
    }
}

/// Frames per second as a fraction: cameras really do 30000/1001.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FrameRate {
    /// Numerator.
    pub num: u32,
    /// Denominator, never 0.
    pub den: u32,
}

impl FrameRate {
    /// Whole frames per second.
    pub const fn whole(fps: u32) -> Self {
        Self { num: fps, den: 1 }
    }

    /// `None` unless the rate is from 1 to 240 frames per second.
    pub fn new(num: u32, den: u32) -> Option<Self> {
        let bounded = den > 0 && num >= den && u64::from(num) <= 240 * u64::from(den);
        bounded.then_some(Self { num, den })
    }

    /// As a number of frames per second.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }

    /// The time between two frames.
    pub fn period(self) -> Duration {
        Duration::from_nanos(1_000_000_000 * u64::from(self.den) / u64::from(self.num))
    }

    /// True when both fractions mean the same rate.
    pub fn same(self, other: Self) -> bool {
        u64::from(self.num) * u64::from(other.den) == u64::from(other.num) * u64::from(self.den)
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 1 { write!(f, "{}", self.num) } else { write!(f, "{}/{}", self.num, self.den) }
    }
}

impl FromStr for FrameRate {
    type Err = BadFormat;

    fn from_str(text: &str) -> Result<Self, BadFormat> {
        let bad = || BadFormat::Rate(redact::short(text));
        let (num, den) = text.split_once('/').unwrap_or((text, "1"));
        let part = |s: &str| s.parse::<u32>().map_err(|_| bad());
        Self::new(part(num)?, part(den)?).ok_or_else(bad)
    }
}

impl TryFrom<String> for FrameRate {
    type Error = BadFormat;
    fn try_from(text: String) -> Result<Self, BadFormat> {
        text.parse()
    }
}

impl From<FrameRate> for String {
    fn from(rate: FrameRate) -> String {
        rate.to_string()
    }
}

/// What a camera delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PixelFormat {
    /// 4:2:0 planar, what encoders like best.
    I420,
    /// 4:2:0, chroma interleaved.
    NV12,
    /// 4:2:2 packed, the raw format of most USB cameras.
    YUY2,
    /// 4:2:2 packed, chroma first.
    UYVY,
    /// Packed RGB.
    RGB,
    /// Motion JPEG: decoded to I420 in the source.
    MJPEG,
    /// Already encoded H.264: passed through.
    H264,
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// How the picture is turned before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flip {
    /// As the camera delivers it.
    #[default]
    None,
    /// Mirrored left to right.
    Horizontal,
    /// Mirrored top to bottom.
    Vertical,
    /// Turned by 90 degrees clockwise.
    #[serde(rename = "rotate-90")]
    Rotate90,
    /// Turned upside down: a camera mounted on its head.
    #[serde(rename = "rotate-180")]
    Rotate180,
    /// Turned by 90 degrees counter-clockwise.
    #[serde(rename = "rotate-270")]
    Rotate270,
}

impl fmt::Display for Flip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flip::None => "none",
            Flip::Horizontal => "horizontal",
            Flip::Vertical => "vertical",
            Flip::Rotate90 => "rotate-90",
            Flip::Rotate180 => "rotate-180",
            Flip::Rotate270 => "rotate-270",
        })
    }
}

impl Flip {
    /// The size of a turned picture.
    pub const fn apply(self, size: Size) -> Size {
        match self {
            Flip::Rotate90 | Flip::Rotate270 => size.transposed(),
            _ => size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!("1280x720".parse::<Size>().unwrap(), Size::new(1280, 720));
        for bad in ["1280", "1280x", "x720", "1281x720", "0x0", "99999x2", "1280X720", "-2x4"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_device_reports_survives_its_file() {
        for size in [Size::new(2, 1), Size::new(641, 481), Size::new(u32::MAX, 0)] {
            assert_eq!(Size::try_from(String::from(size)).unwrap(), size);
        }
        for bad in ["", "2", "2x", "ax1", "-1x2"] {
            assert!(Size::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates() {
        assert_eq!("30000/1001".parse::<FrameRate>().unwrap().period().as_micros(), 33_366);
        assert!(FrameRate::whole(30).same(FrameRate { num: 60, den: 2 }));
        for bad in ["", "0", "1/0", "241", "1/2", "29.97"] {
            assert!(bad.parse::<FrameRate>().is_err(), "{bad}");
        }
    }
}
