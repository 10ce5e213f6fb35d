//! What is set on a camera, and in which order: the configuration's controls, settled against those that it has. Pure.
//!
//! Ids, menus and units are the kernel's (linux/v4l2-controls.h; "Camera Control Reference" of its documentation): drivers
//! agree on ids, while the names changed with Linux 5.15 (`exposure_absolute` became `exposure_time_absolute`).

use std::time::Duration;

use crate::config::controls::{ControlValue, Controls, exposure_time, kelvin, power_line};

use super::inventory::{Control, ControlKind};

/// One value for one control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key of the configuration that it comes from.
    pub key: String,
    /// The control, as [`name`] writes it.
    pub control: String,
    /// The kernel's number of it.
    pub id: u32,
    /// The value.
    pub value: i64,
}

/// One key that cannot be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The key.
    pub key: String,
    /// Why not.
    pub message: String,
    /// What would be possible.
    pub advice: String,
}

const USER: u32 = 0x0098_0900;
const CAMERA: u32 = 0x009a_0900;
const AUTO_WHITE_BALANCE: u32 = USER + 12;
const EXPOSURE: u32 = USER + 17;
const AUTOGAIN: u32 = USER + 18;
const GAIN: u32 = USER + 19;
const POWER_LINE_FREQUENCY: u32 = USER + 24;
const HUE_AUTO: u32 = USER + 25;
const WHITE_BALANCE_TEMPERATURE: u32 = USER + 26;
const EXPOSURE_AUTO: u32 = CAMERA + 1;
const EXPOSURE_ABSOLUTE: u32 = CAMERA + 2;
const FOCUS_ABSOLUTE: u32 = CAMERA + 10;
const FOCUS_AUTO: u32 = CAMERA + 12;
const ANALOGUE_GAIN: u32 = 0x009e_0903;

/// Set before everything else: while one of these is on, drivers refuse or forget the value that it rules.
const AUTOMATICS: [u32; 5] = [EXPOSURE_AUTO, AUTOGAIN, AUTO_WHITE_BALANCE, FOCUS_AUTO, HUE_AUTO];

/// Names that drivers had before Linux 5.15 or have since, for configurations that know the other one.
const RENAMED: [(&str, u32); 8] = [
    ("exposure_auto", EXPOSURE_AUTO),
    ("auto_exposure", EXPOSURE_AUTO),
    ("exposure_absolute", EXPOSURE_ABSOLUTE),
    ("exposure_time_absolute", EXPOSURE_ABSOLUTE),
    ("white_balance_temperature_auto", AUTO_WHITE_BALANCE),
    ("white_balance_automatic", AUTO_WHITE_BALANCE),
    ("focus_auto", FOCUS_AUTO),
    ("focus_automatic_continuous", FOCUS_AUTO),
];

/// A name of ours: a value, and the automatic that rules it.
struct Own {
    name: &'static str,
    /// The first that the camera has.
    values: &'static [u32],
    automatic: Option<u32>,
    /// Items of the automatic's menu, the first that the camera has: on, and off.
    on: &'static [i64],
    off: &'static [i64],
}

const OWN: [Own; 5] = [
    // V4L2_EXPOSURE_AUTO, else APERTURE_PRIORITY, which is what "auto" is called by UVC; MANUAL, else SHUTTER_PRIORITY.
    Own {
        name: "exposure",
        values: &[EXPOSURE_ABSOLUTE, EXPOSURE],
        automatic: Some(EXPOSURE_AUTO),
        on: &[0, 3],
        off: &[1, 2],
    },
    Own { name: "gain", values: &[GAIN, ANALOGUE_GAIN], automatic: Some(AUTOGAIN), on: &[1], off: &[0] },
    Own {
        name: "white_balance",
        values: &[WHITE_BALANCE_TEMPERATURE],
        automatic: Some(AUTO_WHITE_BALANCE),
        on: &[1],
        off: &[0],
    },
    Own { name: "focus", values: &[FOCUS_ABSOLUTE], automatic: Some(FOCUS_AUTO), on: &[1], off: &[0] },
    Own { name: "power_line", values: &[POWER_LINE_FREQUENCY], automatic: None, on: &[], off: &[] },
];

/// The name of a control as configurations and `windhover probe` write it: small letters, everything else an underscore.
pub fn name(of_driver: &str) -> String {
    let words = of_driver.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("_")
}

/// What has to be set, in this order, and what cannot be.
pub fn settle(wishes: &Controls, offered: &[Control]) -> (Vec<Setting>, Vec<Refused>) {
    let (mut settings, mut refused) = (Vec::<Setting>::new(), Vec::new());
    for (key, value) in &wishes.0 {
        let found = match OWN.iter().find(|own| own.name == key) {
            Some(own) => own_name(own, value, offered),
            None => driver_name(key, value, offered),
        };
        let found =
            found.and_then(|found| match found.iter().find_map(|(id, _)| settings.iter().find(|s| s.id == *id)) {
                Some(first) => Err((format!("this is set by {} already", first.key), String::new())),
                None => Ok(found),
            });
        match found {
            Ok(found) => settings.extend(found.into_iter().map(|(id, value)| {
                let control = offered.iter().find(|control| control.id == id).map(|control| name(&control.name));
                Setting { key: key.clone(), control: control.unwrap_or_default(), id, value }
            })),
            Err((message, advice)) => refused.push(Refused { key: key.clone(), message, advice }),
        }
    }
    settings.sort_by_key(|setting| !AUTOMATICS.contains(&setting.id));
    (settings, refused)
}

/// Ids with their values, or a message and advice.
type Found = Result<Vec<(u32, i64)>, (String, String)>;

fn refuse<T>(message: impl Into<String>, advice: impl Into<String>) -> Result<T, (String, String)> {
    Err((message.into(), advice.into()))
}

fn own_name(own: &Own, value: &ControlValue, offered: &[Control]) -> Found {
    let by_id = |id: u32| offered.iter().find(|control| control.id == id);
    let automatic = own.automatic.and_then(by_id);
    let switch = |to: &[i64]| {
        let automatic = automatic?;
        let item = to.iter().find(|item| accepts(automatic, **item))?;
        Some((automatic.id, *item))
    };
    let is_auto = matches!(value, ControlValue::Text(text) if text == "auto") && own.automatic.is_some();
    if is_auto {
        return switch(own.on).map_or_else(
            || {
                refuse(
                    format!("this camera has no automatic {}", own.name.replace('_', " ")),
                    "leave it out, or name a value",
                )
            },
            |on| Ok(vec![on]),
        );
    }
    let Some(control) = own.values.iter().find_map(|id| by_id(*id)) else {
        return refuse(format!("this camera has no {}", own.name.replace('_', " ")), nearest(own.name, offered));
    };
    let number = match value {
        ControlValue::Number(number) => *number,
        ControlValue::Text(text) => match own.name {
            "exposure" if control.id == EXPOSURE_ABSOLUTE => {
                exposure_time(text).map(steps_of_100_us).unwrap_or_default()
            }
            "exposure" => {
                return refuse("this camera counts its exposure in steps of its own, not in time", range(control));
            }
            "power_line" => power_line(text).unwrap_or_default(),
            _ => kelvin(text).unwrap_or_default(),
        },
        ControlValue::Switch(_) => return refuse("expected a number", range(control)),
    };
    let manual = switch(own.off);
    let value = checked(control, number)?;
    Ok(manual.into_iter().chain([(control.id, value)]).collect())
}

/// V4L2_CID_EXPOSURE_ABSOLUTE counts 100 microseconds; at least one.
fn steps_of_100_us(time: Duration) -> i64 {
    let steps = (time.as_micros() + 50) / 100;
    i64::try_from(steps).unwrap_or(i64::MAX).max(1)
}

fn driver_name(key: &str, value: &ControlValue, offered: &[Control]) -> Found {
    let renamed = RENAMED.iter().find(|(name, _)| *name == key).map(|(_, id)| *id);
    let control = offered.iter().find(|c| name(&c.name) == key || Some(c.id) == renamed);
    let Some(control) = control else { return refuse("this camera has no such control", nearest(key, offered)) };
    let number = match (value, control.kind) {
        (_, ControlKind::Button | ControlKind::Other) => {
            return refuse("this control has no value that could be set", "leave it out");
        }
        (ControlValue::Switch(on), ControlKind::Boolean) => i64::from(*on),
        (ControlValue::Number(number), _) => *number,
        (ControlValue::Text(text), ControlKind::Menu) => {
            let item = control.items.iter().find(|item| name(&item.name) == name(text));
            match item {
                Some(item) => item.value,
                None => return refuse(format!("\"{text}\" is no item of its menu"), range(control)),
            }
        }
        _ => return refuse("this control takes a number", range(control)),
    };
    Ok(vec![(control.id, checked(control, number)?)])
}

/// The number, or the nearest step; menus and ranges bound it.
fn checked(control: &Control, number: i64) -> Result<i64, (String, String)> {
    if control.read_only {
        return refuse("this control can only be read", "leave it out");
    }
    if !accepts(control, number) {
        return refuse(format!("{number} is out of range"), range(control));
    }
    let step = i64::try_from(control.step).unwrap_or(1).max(1);
    let above = number - control.minimum;
    let rounded = control.minimum + (above + step / 2) / step * step;
    Ok(if rounded > control.maximum { rounded - step } else { rounded })
}

fn accepts(control: &Control, number: i64) -> bool {
    let listed = control.items.is_empty() || control.items.iter().any(|item| item.value == number);
    listed && (control.minimum..=control.maximum).contains(&number)
}

/// What a control takes, in words.
pub fn range(control: &Control) -> String {
    let name = name(&control.name);
    if !control.items.is_empty() {
        let items: Vec<_> = control.items.iter().map(|item| format!("{} \"{}\"", item.value, item.name)).collect();
        return format!("{name} takes {}", items.join(", "));
    }
    if control.kind == ControlKind::Boolean {
        return format!("{name} takes true or false");
    }
    let step = if control.step > 1 { format!(" in steps of {}", control.step) } else { String::new() };
    let unit = if control.id == EXPOSURE_ABSOLUTE { " (of 100 us each)" } else { "" };
    format!("{name} takes {} to {}{step}{unit}", control.minimum, control.maximum)
}

fn nearest(key: &str, offered: &[Control]) -> String {
    let names: Vec<String> = offered.iter().map(|control| name(&control.name)).collect();
    let all = names.iter().map(String::as_str).chain(OWN.iter().map(|own| own.name).filter(|own| *own != key));
    let near =
        all.map(|name| (strsim::damerau_levenshtein(key, name), name)).filter(|(n, name)| *n <= 2 + name.len() / 4);
    match near.min() {
        Some((_, near)) => format!("the nearest is {near}"),
        None if names.is_empty() => "it has no controls at all".into(),
        None => format!("it has {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests;
