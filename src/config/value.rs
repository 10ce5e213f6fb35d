//! How single values are read: quantities, addresses, paths, and words from a list.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use crate::base::id::StreamId;
use crate::base::redact;
use crate::base::units::{Bitrate, ByteSize, Span};
use crate::media::codec::Codec;
use crate::media::container::Container;
use crate::media::format::{Flip, FrameRate, Size};

use super::reader::{Reader, describe};
use super::schema::Stream;
use super::section::{Read, Section, Shape};

/// One value.
pub trait Setting: Sized {
    /// How it is written, for the message when something else was found.
    const FORM: &'static str;
    /// From text: a TOML string or an environment variable.
    fn from_text(text: &str) -> Result<Self, String>;
    /// From TOML; text unless the type says otherwise.
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some(text) => Self::from_text(text),
            None => Err(expected::<Self>(value)),
        }
    }
}

fn expected<T: Setting>(found: &DeValue<'_>) -> String {
    format!("expected {}, found {}", T::FORM, describe(found))
}

/// Every value is read by the same two functions; `Option` is a value that may be left out.
macro_rules! readable {
    ($($type:ty),* $(,)?) => {$(
        impl $crate::config::section::Read for $type {
            const SHAPE: $crate::config::section::Shape = $crate::config::section::Shape::Value { optional: false };

            fn initial(default: &str) -> Self {
                let value = toml::de::DeValue::parse(default).expect("a declared default is TOML: the tests read them all");
                <$type as $crate::config::value::Setting>::from_toml(value.get_ref()).expect("a declared default is valid: the tests read them all")
            }

            fn read(&mut self, value: &toml::Spanned<toml::de::DeValue<'_>>, at: &str, reader: &mut $crate::config::reader::Reader<'_>) {
                if let Some(read) = reader.setting(value, at) {
                    *self = read;
                }
            }
        }

        impl $crate::config::section::Read for Option<$type> {
            const SHAPE: $crate::config::section::Shape = $crate::config::section::Shape::Value { optional: true };

            fn initial(_: &str) -> Self {
                None
            }

            fn read(&mut self, value: &toml::Spanned<toml::de::DeValue<'_>>, at: &str, reader: &mut $crate::config::reader::Reader<'_>) {
                if let Some(read) = reader.setting(value, at) {
                    *self = Some(read);
                }
            }
        }
    )*};
}
pub(crate) use readable;

readable!(
    bool, u32, Bitrate, ByteSize, Span, MaxAge, Size, FrameRate, Flip, Codec, Container, StreamId, SocketAddr, PathBuf,
    Clips
);

impl Read for Vec<Stream> {
    const SHAPE: Shape = Shape::Tables(Stream::KEYS);

    fn initial(_: &str) -> Self {
        vec![Stream::default()]
    }

    fn read(&mut self, value: &Spanned<DeValue<'_>>, at: &str, reader: &mut Reader<'_>) {
        reader.streams(self, value, at);
    }
}

impl Setting for bool {
    const FORM: &'static str = "true or false";

    // Environment variables of earlier systems say 1 and 0, yes and no, on and off; a file says true and false only.
    fn from_text(text: &str) -> Result<Self, String> {
        match text.to_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(format!("\"{text}\" is neither true nor false")),
        }
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| expected::<Self>(value))
    }
}

impl Setting for u32 {
    const FORM: &'static str = "a whole number";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("\"{text}\" is no whole number from 0 to {}", u32::MAX))
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let number = value.as_integer().and_then(|n| u32::from_str_radix(n.as_str(), n.radix()).ok());
        number.ok_or_else(|| expected::<Self>(value))
    }
}

/// Values that know how to read themselves and whose error says how they are written.
macro_rules! by_from_str {
    ($($type:ty, $form:literal;)*) => {$(
        impl Setting for $type {
            const FORM: &'static str = $form;
            fn from_text(text: &str) -> Result<Self, String> {
                text.parse::<$type>().map_err(|e| e.to_string())
            }
        }
    )*};
}

by_from_str! {
    Bitrate, "a bit rate with its unit such as \"2 Mbit/s\"";
    ByteSize, "a size with its unit such as \"2 GiB\"";
    Span, "a length of time with its unit such as \"5.5s\"";
    Size, "a picture size such as \"1280x720\"";
}

impl Setting for FrameRate {
    const FORM: &'static str = "frames per second such as 30 or \"30000/1001\"";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse::<FrameRate>().map_err(|e| e.to_string())
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::Integer(n) if n.radix() == 10 => Self::from_text(n.as_str()),
            DeValue::String(text) => Self::from_text(text),
            _ => Err(expected::<Self>(value)),
        }
    }
}

impl Setting for StreamId {
    const FORM: &'static str = "a stream id such as \"live\"";
    fn from_text(text: &str) -> Result<Self, String> {
        StreamId::new(text).map_err(|e| e.to_string())
    }
}

impl Setting for SocketAddr {
    const FORM: &'static str = "an address and port such as \"[::]:8554\"";
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| {
            let text = redact::short(text);
            format!(
                "\"{text}\" is no address and port: write \"[::]:8554\" for all addresses, \"127.0.0.1:8554\" for this \
                 machine only; host names are not looked up"
            )
        })
    }
}

impl Setting for PathBuf {
    const FORM: &'static str = "an absolute path";
    fn from_text(text: &str) -> Result<Self, String> {
        // The daemon's working directory is / under systemd: a relative path would mean something else there.
        if text.starts_with('/') && text.len() <= 4096 && !text.contains('\0') {
            Ok(text.into())
        } else {
            let text = redact::short(text);
            Err(format!("\"{text}\" is no absolute path: begin it with /"))
        }
    }
}

/// An age, or "never".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxAge(pub Option<Duration>);

impl Setting for MaxAge {
    const FORM: &'static str = "a length of time such as \"30 days\", or \"never\"";
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self(None)),
            _ => Span::from_text(text).map(|span| Self(Some(span.get()))).map_err(|e| format!("{e}, or \"never\"")),
        }
    }
}

/// One clip or several, absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clips(pub Vec<PathBuf>);

/// Clips in one playlist, at most.
const MOST_CLIPS: usize = 100;

impl Setting for Clips {
    const FORM: &'static str = "an absolute path or an array of 1 to 100 of them";

    fn from_text(text: &str) -> Result<Self, String> {
        PathBuf::from_text(text).map(|path| Self(vec![path]))
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::Array(items) if (1..=MOST_CLIPS).contains(&items.len()) => {
                items.iter().map(|item| PathBuf::from_toml(item.get_ref())).collect::<Result<_, _>>().map(Self)
            }
            DeValue::String(text) => Self::from_text(text),
            _ => Err(expected::<Self>(value)),
        }
    }
}

/// The answer to a word that is not in the list: the ones that are, or that it comes later.
pub(crate) fn not_listed(text: &str, words: &[&str], later: &[&str]) -> String {
    let text = redact::short(text);
    let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let known = quoted.join(", ");
    if later.contains(&text.as_str()) {
        format!("\"{text}\" comes with a later version of Windhover; this one knows {known}")
    } else {
        format!("\"{text}\" is not known here: use {known}")
    }
}

/// A choice from a list of words. `later` names those that the design has and this version has not.
macro_rules! words {
    ($(#[$meta:meta])* $type:ty, $form:literal, { $($word:literal => $value:expr),* $(,)? }, later [$($later:literal),*]) => {
        impl $crate::config::value::Setting for $type {
            const FORM: &'static str = $form;
            fn from_text(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok($value),)*
                    _ => Err($crate::config::value::not_listed(text, &[$($word),*], &[$($later),*])),
                }
            }
        }
    };
}
pub(crate) use words;

words!(Codec, "a codec such as \"h264\"", { "h264" => Codec::H264 }, later ["h265"]);
words!(Container, "a container such as \"mp4\"", {
    "mp4" => Container::Mp4,
    "ts" => Container::Ts,
    "mkv" => Container::Mkv,
}, later []);
words!(Flip, "how to turn the picture, such as \"none\"", {
    "none" => Flip::None,
    "horizontal" => Flip::Horizontal,
    "vertical" => Flip::Vertical,
    "rotate-90" => Flip::Rotate90,
    "rotate-180" => Flip::Rotate180,
    "rotate-270" => Flip::Rotate270,
}, later []);
