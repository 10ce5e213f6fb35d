//! Quantities with their unit in the type, read and printed as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use super::redact;

/// Why a text is no quantity of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is no {what}: write it like {example}")]
pub struct BadUnit {
    text: String,
    what: &'static str,
    example: &'static str,
}

impl BadUnit {
    fn new(text: &str, what: &'static str, example: &'static str) -> Self {
        Self { text: redact::short(text), what, example }
    }
}

/// Bits per second. Prefixes are decimal, as everywhere in telecommunications: 2 Mbit/s = 2,000,000 bit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bitrate(u32);

impl Bitrate {
    /// From bit/s.
    pub const fn from_bps(bps: u32) -> Self {
        Self(bps)
    }

    /// In bit/s.
    pub const fn bps(self) -> u32 {
        self.0
    }

    /// In kbit/s, the unit of x264enc and the VA encoders; rounded up so that a small rate never becomes zero.
    pub const fn kbps(self) -> u32 {
        self.0.div_ceil(1000)
    }
}

impl FromStr for Bitrate {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        let bad = || BadUnit::new(text, "bit rate", "\"2 Mbit/s\", \"800 kbit/s\" or \"64000 bit/s\"");
        let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (number, unit) = text.split_at(number_end);
        let scale = match unit.trim() {
            "bit/s" => 1.0,
            "kbit/s" => 1e3,
            "Mbit/s" => 1e6,
            _ => return Err(bad()),
        };
        let bps = number.parse::<f64>().map_err(|_| bad())? * scale;
        if !(1.0..=f64::from(u32::MAX)).contains(&bps) {
            return Err(bad());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked above")]
        Ok(Self(bps.round() as u32))
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 1_000_000 => write!(f, "{} Mbit/s", f64::from(n) / 1e6),
            n if n >= 1_000 => write!(f, "{} kbit/s", f64::from(n) / 1e3),
            n => write!(f, "{n} bit/s"),
        }
    }
}

/// A number of bytes: "2 GiB" (binary) or "2 GB" (decimal).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ByteSize(u64);

impl ByteSize {
    /// From bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        let bad = || BadUnit::new(text, "size", "\"2 GiB\", \"500 MB\" or \"0 B\"");
        // A bare number is refused: nobody can tell whether "2000" means bytes or megabytes.
        if text.trim().chars().all(|c| c.is_ascii_digit() || c == '.') {
            return Err(bad());
        }
        text.parse::<bytesize::ByteSize>().map(|b| Self(b.as_u64())).map_err(|_| bad())
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", bytesize::ByteSize(self.0).display().iec())
    }
}

/// A length of time: "5.5s", "500ms", "30 days".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

impl Span {
    /// From microseconds.
    pub const fn from_micros(us: u64) -> Self {
        Self(Duration::from_micros(us))
    }

    /// From milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// As a `Duration`.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|_| BadUnit::new(text, "length of time", "\"5.5s\", \"500ms\" or \"30 days\""))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

macro_rules! as_text {
    ($($t:ty),*) => {$(
        impl Serialize for $t {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
as_text!(Bitrate, ByteSize, Span);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_rates() {
        for (text, bps) in [("2 Mbit/s", 2_000_000), ("0.8Mbit/s", 800_000), ("64000 bit/s", 64_000)] {
            assert_eq!(text.parse::<Bitrate>().unwrap().bps(), bps, "{text}");
        }
        for bad in ["", "2", "2 MB/s", "2 mbit/s", "-1 bit/s", "0 bit/s", "5000 Mbit/s", "1.2.3 bit/s"] {
            assert!(bad.parse::<Bitrate>().is_err(), "{bad}");
        }
        assert_eq!(Bitrate::from_bps(2_000_000).to_string(), "2 Mbit/s");
        assert_eq!(Bitrate::from_bps(1).kbps(), 1);
    }

    #[test]
    fn sizes_need_a_unit() {
        assert_eq!("2 GiB".parse::<ByteSize>().unwrap().bytes(), 2 << 30);
        assert_eq!("1 MB".parse::<ByteSize>().unwrap().bytes(), 1_000_000);
        assert!("2000".parse::<ByteSize>().is_err());
        assert_eq!("2 GiB".parse::<ByteSize>().unwrap().to_string(), "2.0 GiB");
    }

    #[test]
    fn spans() {
        assert_eq!("5.5s".parse::<Span>().unwrap().get(), Duration::from_millis(5500));
        assert_eq!("30 days".parse::<Span>().unwrap().get(), Duration::from_secs(30 * 86_400));
        for bad in ["", "5", "-1s", "five"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
        assert_eq!(Span::from_millis(5500).to_string(), "5s 500ms");
    }
}
