//! `stream.source.controls`: what is set on a camera, by names that every camera has or by the driver's own.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use toml::Spanned;
use toml::de::DeValue;

use super::reader::{Reader, describe, join};
use super::section::{Read, Shape};
use super::value::Setting;

/// The controls of one camera, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Controls(pub BTreeMap<String, ControlValue>);

impl Controls {
    /// True when nothing is to be set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for ControlValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ControlValue::Switch(on) => write!(f, "{on}"),
            ControlValue::Number(number) => write!(f, "{number}"),
            ControlValue::Text(text) => f.write_str(text),
        }
    }
}

impl std::fmt::Display for Controls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: Vec<String> = self.0.iter().map(|(name, value)| format!("{name} {value}")).collect();
        f.write_str(&all.join(", "))
    }
}

/// What a control is set to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ControlValue {
    /// On or off.
    Switch(bool),
    /// A number in the camera's own steps.
    Number(i64),
    /// `"auto"`, a quantity with its unit, or an item of a menu.
    Text(String),
}

impl Setting for ControlValue {
    const FORM: &'static str = "a whole number, true, false, \"auto\" or another text";

    fn from_text(text: &str) -> Result<Self, String> {
        match text.len() {
            1..=64 => Ok(Self::Text(text.to_owned())),
            _ => Err("expected a text of 1 to 64 bytes".into()),
        }
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::Boolean(on) => Ok(Self::Switch(*on)),
            DeValue::String(text) => Self::from_text(text),
            DeValue::Integer(n) => {
                let number = i64::from_str_radix(n.as_str(), n.radix());
                number.map(Self::Number).map_err(|_| format!("{} is too large", n.as_str()))
            }
            _ => Err(format!("expected {}, found {}", Self::FORM, describe(value))),
        }
    }
}

/// A camera has some twenty.
const MOST: usize = 64;

impl Read for Option<Controls> {
    const SHAPE: Shape = Shape::Value { optional: true };

    fn initial(_: &str) -> Self {
        None
    }

    fn read(&mut self, value: &Spanned<DeValue<'_>>, at: &str, reader: &mut Reader<'_>) {
        let Some(table) = value.get_ref().as_table() else {
            let message = format!("expected a table of controls, found {}", describe(value.get_ref()));
            return reader.problem(value.span(), at, message, "write controls = { exposure = \"5ms\", gain = 10 }");
        };
        if table.len() > MOST {
            return reader.problem(
                value.span(),
                at,
                format!("expected at most {MOST} controls, found {}", table.len()),
                "",
            );
        }
        let mut all = BTreeMap::new();
        for (key, value) in table {
            let (name, path) = (key.get_ref(), join(at, key.get_ref()));
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if name.is_empty() || name.len() > 64 || !name.chars().all(is_name) {
                let advice = "`windhover probe` lists the names: small letters, digits and underscores";
                reader.problem(key.span(), &path, "this is no name of a control", advice);
            } else if let Some(read) = reader.setting::<ControlValue>(value, &path) {
                match fits(name, &read) {
                    Ok(()) => drop(all.insert(name.to_string(), read)),
                    Err(form) => reader.problem(value.span(), &path, format!("expected {form}"), ""),
                }
            }
        }
        *self = Some(Controls(all));
    }
}

/// Whether a value makes sense for one of our own names; what a driver's control takes, only the camera knows.
fn fits(name: &str, value: &ControlValue) -> Result<(), &'static str> {
    let (good, form) = match (name, value) {
        ("exposure", ControlValue::Text(text)) => (
            text == "auto" || exposure_time(text).is_some(),
            "\"auto\", a time such as \"5ms\" or \"1/200\", or a number in the camera's own steps",
        ),
        ("white_balance", ControlValue::Text(text)) => {
            (text == "auto" || kelvin(text).is_some(), "\"auto\" or a colour temperature such as 4500 or \"4500 K\"")
        }
        ("gain" | "focus", ControlValue::Text(text)) => {
            (text == "auto", "\"auto\" or a number in the camera's own steps")
        }
        ("power_line", ControlValue::Text(text)) => {
            (power_line(text).is_some(), "\"50 Hz\", \"60 Hz\", \"auto\" or \"off\"")
        }
        ("power_line", _) => (false, "\"50 Hz\", \"60 Hz\", \"auto\" or \"off\""),
        ("exposure" | "white_balance" | "gain" | "focus", ControlValue::Switch(_)) => (false, "\"auto\" or a number"),
        _ => (true, ""),
    };
    if good { Ok(()) } else { Err(form) }
}

/// `"5ms"`, `"1/200"` or `"1/200 s"`, from 1 us to 10 s.
pub(crate) fn exposure_time(text: &str) -> Option<Duration> {
    let time = match text.trim_end_matches('s').trim_end().split_once('/') {
        Some(("1", parts)) => Duration::from_secs(1).checked_div(parts.trim().parse().ok()?)?,
        _ => humantime::parse_duration(text).ok()?,
    };
    (Duration::from_micros(1)..=Duration::from_secs(10)).contains(&time).then_some(time)
}

/// `"4500 K"` or `"4500"`.
pub(crate) fn kelvin(text: &str) -> Option<i64> {
    text.trim_end_matches('K').trim_end().parse().ok()
}

/// The item of V4L2_CID_POWER_LINE_FREQUENCY (linux/v4l2-controls.h).
pub(crate) fn power_line(text: &str) -> Option<i64> {
    Some(match text.replace(' ', "").to_lowercase().as_str() {
        "off" => 0,
        "50hz" => 1,
        "60hz" => 2,
        "auto" => 3,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        let us = |text| exposure_time(text).map(|time| time.as_micros());
        for (text, want) in [("5ms", 5000), ("1/200", 5000), ("1/200 s", 5000), ("1/1s", 1_000_000), ("100us", 100)] {
            assert_eq!(us(text), Some(want), "{text}");
        }
        for bad in ["", "5", "1/0", "2/3", "1/x", "11s", "0ms", "-1ms", "1/2000000"] {
            assert_eq!(us(bad), None, "{bad}");
        }
        assert_eq!([kelvin("4500 K"), kelvin("4500"), kelvin("warm")], [Some(4500), Some(4500), None]);
        assert_eq!(
            [power_line("50 Hz"), power_line("60hz"), power_line("off"), power_line("50")],
            [Some(1), Some(2), Some(0), None]
        );
    }
}
