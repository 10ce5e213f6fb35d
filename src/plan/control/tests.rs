//! Controls of cameras as their drivers describe them: constructed after uvcvideo's tables, names of Linux 6.1.

use super::*;
use crate::plan::inventory::MenuItem;

fn control(id: u32, name: &str, (minimum, maximum): (i64, i64), step: u64) -> Control {
    Control { id, name: name.into(), minimum, maximum, step, default: minimum, ..Control::default() }
}

fn menu(id: u32, name: &str, items: &[(i64, &str)]) -> Control {
    let range = (items[0].0, items[items.len() - 1].0);
    let items = items.iter().map(|(value, name)| MenuItem { value: *value, name: (*name).into() }).collect();
    Control { kind: ControlKind::Menu, items, ..control(id, name, range, 1) }
}

fn uvc() -> Vec<Control> {
    vec![
        control(USER, "Brightness", (-64, 64), 1),
        Control { kind: ControlKind::Boolean, ..control(AUTO_WHITE_BALANCE, "White Balance, Automatic", (0, 1), 1) },
        control(GAIN, "Gain", (0, 100), 1),
        menu(POWER_LINE_FREQUENCY, "Power Line Frequency", &[(0, "Disabled"), (1, "50 Hz"), (2, "60 Hz")]),
        control(WHITE_BALANCE_TEMPERATURE, "White Balance Temperature", (2800, 6500), 10),
        menu(EXPOSURE_AUTO, "Auto Exposure", &[(1, "Manual Mode"), (3, "Aperture Priority Mode")]),
        control(EXPOSURE_ABSOLUTE, "Exposure Time, Absolute", (3, 2047), 1),
        Control { kind: ControlKind::Boolean, ..control(CAMERA + 3, "Exposure, Dynamic Framerate", (0, 1), 1) },
        Control { kind: ControlKind::Button, ..control(USER + 13, "White Balance, Do", (0, 0), 1) },
        Control { read_only: true, ..control(USER + 40, "Status", (0, 9), 1) },
    ]
}

fn wishes(toml: &str) -> Controls {
    use crate::config::{Inputs, load};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.toml");
    let text = format!("[[stream]]\n[stream.source]\nkind = \"v4l2\"\n[stream.source.controls]\n{toml}\n");
    std::fs::write(&path, text).unwrap();
    let (config, problems) = load(&Inputs { named: Some(path), ..Inputs::default() });
    assert_eq!(problems.to_string(), "", "{toml}");
    config.settings.stream[0].source.controls.clone().unwrap_or_default()
}

/// What is set, as `name=value`, and what is refused, as `key: message | advice`.
fn settled(toml: &str, offered: &[Control]) -> (String, String) {
    let (settings, refused) = settle(&wishes(toml), offered);
    let show = |s: &Setting| format!("{}={}", s.control, s.value);
    let settings: Vec<_> = settings.iter().map(show).collect();
    let refused: Vec<_> = refused.iter().map(|r| format!("{}: {} | {}", r.key, r.message, r.advice)).collect();
    (settings.join(" "), refused.join("; "))
}

#[test]
fn automatics_are_switched_before_the_values_that_they_rule() {
    let table = [
        ("exposure = \"5ms\"", "auto_exposure=1 exposure_time_absolute=50"),
        ("exposure = \"1/200\"", "auto_exposure=1 exposure_time_absolute=50"),
        ("exposure = 156", "auto_exposure=1 exposure_time_absolute=156"),
        // UVC's word for automatic.
        ("exposure = \"auto\"", "auto_exposure=3"),
        ("white_balance = 4506", "white_balance_automatic=0 white_balance_temperature=4510"),
        ("white_balance = \"2800 K\"", "white_balance_automatic=0 white_balance_temperature=2800"),
        ("white_balance = \"auto\"", "white_balance_automatic=1"),
        // No automatic gain: nothing to switch.
        ("gain = 10", "gain=10"),
        ("power_line = \"50 Hz\"", "power_line_frequency=1"),
        ("brightness = -10\nexposure_dynamic_framerate = false", "brightness=-10 exposure_dynamic_framerate=0"),
        // The driver's own names, of any kernel; menus by number or by name.
        ("exposure_absolute = 70\nexposure_auto = \"manual mode\"", "auto_exposure=1 exposure_time_absolute=70"),
        ("power_line_frequency = 2", "power_line_frequency=2"),
        ("a = 1", ""),
    ];
    for (toml, want) in table {
        let (set, refused) = settled(toml, &uvc());
        assert_eq!((set.as_str(), refused.is_empty()), (want, toml != "a = 1"), "{toml}: {refused}");
    }
}

#[test]
fn what_cannot_be_set_is_refused_with_what_can() {
    let table = [
        ("exposure = \"5us\"", "exposure: 1 is out of range | exposure_time_absolute takes 3 to 2047 (of 100 us each)"),
        ("gain = 101", "gain: 101 is out of range | gain takes 0 to 100"),
        ("gain = \"auto\"", "gain: this camera has no automatic gain | leave it out, or name a value"),
        (
            "power_line = \"auto\"",
            "power_line: 3 is out of range | power_line_frequency takes 0 \"Disabled\", 1 \"50 Hz\", 2 \"60 Hz\"",
        ),
        (
            "focus = 3",
            "focus: this camera has no focus | it has brightness, white_balance_automatic, gain, power_line_frequency, \
                       white_balance_temperature, auto_exposure, exposure_time_absolute, exposure_dynamic_framerate, \
                       white_balance_do, status",
        ),
        ("brigthness = 3", "brigthness: this camera has no such control | the nearest is brightness"),
        (
            "auto_exposure = 2",
            "auto_exposure: 2 is out of range | auto_exposure takes 1 \"Manual Mode\", 3 \"Aperture Priority Mode\"",
        ),
        (
            "auto_exposure = \"dark\"",
            "auto_exposure: \"dark\" is no item of its menu | auto_exposure takes 1 \"Manual Mode\", 3 \"Aperture Priority Mode\"",
        ),
        ("brightness = true", "brightness: this control takes a number | brightness takes -64 to 64"),
        ("white_balance_do = 1", "white_balance_do: this control has no value that could be set | leave it out"),
        ("status = 1", "status: this control can only be read | leave it out"),
        (
            "white_balance_temperature = 2\ngain = 1",
            "white_balance_temperature: 2 is out of range | \
                                                     white_balance_temperature takes 2800 to 6500 in steps of 10",
        ),
    ];
    for (toml, want) in table {
        assert_eq!(settled(toml, &uvc()).1, want, "{toml}");
    }
    let twice = "exposure = \"5ms\"\nexposure_time_absolute = 60";
    assert_eq!(settled(twice, &uvc()).1, "exposure_time_absolute: this is set by exposure already | ");
    assert_eq!(settled("gain = 1", &[]).1, "gain: this camera has no gain | it has no controls at all");
}

#[test]
fn sensors_count_their_exposure_in_lines() {
    let sensor = [control(EXPOSURE, "Exposure", (4, 3522), 1), control(ANALOGUE_GAIN, "Analogue Gain", (16, 1023), 1)];
    assert_eq!(settled("exposure = 800\ngain = 64", &sensor), ("exposure=800 analogue_gain=64".into(), String::new()));
    let (_, refused) = settled("exposure = \"5ms\"", &sensor);
    assert!(refused.ends_with("not in time | exposure takes 4 to 3522"), "{refused}");
}
