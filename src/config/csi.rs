//! Settings of a camera on the board's own connector, in one vocabulary for every vendor's stack.

use std::fmt;

use serde::{Serialize, Serializer};
use toml::de::DeValue;

use crate::base::redact;
use crate::base::units::Span;
use crate::media::csi::CameraStack;

use super::reader::describe;
use super::value::{Setting, readable, words};

/// One value, or the bounds within which the camera's automatic chooses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds<T> {
    /// The lowest value.
    pub low: T,
    /// The highest value.
    pub high: T,
}

impl<T: Copy + PartialOrd> Bounds<T> {
    /// The value, where it is only one.
    pub fn fixed(&self) -> Option<T> {
        (self.low == self.high).then_some(self.low)
    }

    fn parse(text: &str, within: (T, T), one: impl Fn(&str) -> Result<T, String>) -> Result<Self, String>
    where
        Self: fmt::Display,
    {
        let (low, high) = text.split_once(" to ").unwrap_or((text, text));
        let bounds = Self { low: one(low.trim())?, high: one(high.trim())? };
        let (least, most) = within;
        if bounds.low < least || bounds.high > most || bounds.low > bounds.high {
            let allowed = Self { low: least, high: most };
            return Err(format!("expected values from {allowed}, the lower one first, found {bounds}"));
        }
        Ok(bounds)
    }
}

impl<T: fmt::Display + PartialEq> fmt::Display for Bounds<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.low == self.high { write!(f, "{}", self.low) } else { write!(f, "{} to {}", self.low, self.high) }
    }
}

impl<T: fmt::Display + PartialEq> Serialize for Bounds<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// Exposure time. Longer than a second is no video.
pub type Exposure = Bounds<Span>;

impl Setting for Exposure {
    const FORM: &'static str = "an exposure time such as \"4ms\", or bounds such as \"100us to 8ms\"";
    fn from_text(text: &str) -> Result<Self, String> {
        let within = (Span::from_micros(1), Span::from_millis(1000));
        Self::parse(text, within, |one| {
            one.parse().map_err(|_| format!("\"{}\" is not {}", redact::short(text), Self::FORM))
        })
    }
}

/// Gain of the sensor, as a factor.
pub type Gain = Bounds<f64>;

impl Setting for Gain {
    const FORM: &'static str = "a gain such as 2, or bounds such as \"1 to 8\"";
    fn from_text(text: &str) -> Result<Self, String> {
        let number = |one: &str| one.parse::<f64>().ok().filter(|n| n.is_finite());
        Self::parse(text, (1.0, 256.0), |one| {
            number(one).ok_or_else(|| format!("\"{}\" is not {}", redact::short(text), Self::FORM))
        })
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::Integer(n) if n.radix() == 10 => Self::from_text(n.as_str()),
            DeValue::Float(n) => Self::from_text(n.as_str()),
            DeValue::String(text) => Self::from_text(text),
            _ => Err(format!("expected {}, found {}", Self::FORM, describe(value))),
        }
    }
}

/// The name of a camera, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CameraName(pub String);

impl Setting for CameraName {
    const FORM: &'static str = "the name of a camera or a part of it, such as \"imx708\"";
    fn from_text(text: &str) -> Result<Self, String> {
        let fine = !text.is_empty() && text.len() <= 256 && !text.chars().any(char::is_control);
        if fine {
            Ok(Self(text.into()))
        } else {
            Err(format!("\"{}\" is no name: write {}", redact::short(text), Self::FORM))
        }
    }
}

words!(CameraStack, "a camera stack such as \"argus\"", {
    "argus" => CameraStack::Argus,
    "libcamera" => CameraStack::Libcamera,
}, later []);

/// What white is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WhiteBalance {
    /// The camera finds out, all the time.
    Auto,
    /// As the sensor sees it.
    Off,
    /// Light bulbs.
    Incandescent,
    /// Fluorescent tubes.
    Fluorescent,
    /// Sunlight.
    Daylight,
    /// An overcast sky.
    Cloudy,
}
words!(WhiteBalance, "a white balance such as \"daylight\"", {
    "auto" => WhiteBalance::Auto,
    "off" => WhiteBalance::Off,
    "incandescent" => WhiteBalance::Incandescent,
    "fluorescent" => WhiteBalance::Fluorescent,
    "daylight" => WhiteBalance::Daylight,
    "cloudy" => WhiteBalance::Cloudy,
}, later []);

/// How much work the image processor puts into something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// None: lowest latency.
    Off,
    /// Little.
    Fast,
    /// All it can.
    Best,
}
words!(Effort, "an effort such as \"fast\"", {
    "off" => Effort::Off,
    "fast" => Effort::Fast,
    "best" => Effort::Best,
}, later []);

/// As written in the configuration.
macro_rules! shown {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&format!("{self:?}").to_lowercase())
            }
        }
    )*};
}
shown!(WhiteBalance, Effort);

readable!(Exposure, Gain, CameraName, CameraStack, WhiteBalance, Effort);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inputs, load};

    #[test]
    fn one_value_or_bounds() {
        let exposure = |text: &str| Exposure::from_text(text).map(|e| e.to_string());
        assert_eq!(exposure("4ms"), Ok("4ms".into()));
        assert_eq!(exposure("100us to 8ms"), Ok("100us to 8ms".into()));
        assert_eq!(Exposure::from_text("8ms to 8ms").unwrap().fixed(), Some(Span::from_millis(8)));
        let out = "expected values from 1us to 1s, the lower one first, found ";
        assert_eq!(exposure("8ms to 1ms"), Err(format!("{out}8ms to 1ms")));
        assert_eq!(exposure("2s"), Err(format!("{out}2s")));
        assert!(exposure("fast").unwrap_err().starts_with("\"fast\" is not an exposure time such as"));
        let gain = |text: &str| Gain::from_text(text).map(|g| g.to_string());
        assert_eq!((gain("2"), gain("1 to 8.5")), (Ok("2".into()), Ok("1 to 8.5".into())));
        for bad in ["0.5", "300", "8 to 2", "NaN", "", "1 to"] {
            assert!(gain(bad).is_err(), "{bad}");
        }
    }

    /// What is wrong with a configuration.
    fn problems_of(text: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("w.toml");
        std::fs::write(&file, text).unwrap();
        let (_, problems) = load(&Inputs { named: Some(file.clone()), ..Inputs::default() });
        let file = file.display().to_string();
        problems
            .iter()
            .map(|p| format!("{} {}: {} | {}", p.place.to_string().replace(&file, ""), p.key, p.message, p.advice))
            .collect()
    }

    #[test]
    fn what_only_sensors_have_and_what_does_not_fit_them() {
        let table = [
            (
                "[[stream]]\nsource = { gain = 2 }",
                ":2:19 stream[0].source.gain: only a sensor on the board's camera connector has this key | write kind = \"csi\"",
            ),
            (
                "[[stream]]\nsource = { kind = \"csi\", sensor = 16 }",
                ":2:35 stream[0].source.sensor: expected 0 to 15, found 16 | ",
            ),
            (
                "[[stream]]\nsource = { kind = \"csi\", sensor = 1, camera = \"imx708\" }",
                ":2:47 stream[0].source.camera: the sensor is named twice, by number and by name | leave one of them out",
            ),
            (
                "[[stream]]\nsource = { kind = \"csi\", exposure = \"8ms to 1ms\" }",
                ":2:37 stream[0].source.exposure: expected values from 1us to 1s, the lower one first, found 8ms to 1ms | ",
            ),
            (
                "[[stream]]\nsource = { kind = \"csi\", gain = 0.5 }",
                ":2:33 stream[0].source.gain: expected values from 1 to 256, the lower one first, found 0.5 | ",
            ),
            (
                "[[stream]]\nsource = { kind = \"csi\" }\n[[stream]]\nid = \"b\"\nsource = { kind = \"csi\" }",
                ":5:10 stream[1].source: the stream \"live\" uses the same camera | name another camera for one of them",
            ),
        ];
        for (text, want) in table {
            let found = problems_of(text);
            let hit = matches!(found.as_slice(), [one] if one.starts_with(want));
            assert!(hit, "{text}\nwant {want}\nfound {found:#?}");
        }
    }
}
