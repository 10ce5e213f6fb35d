//! Which sensor on the board's camera connector is opened, how, and where its pictures lie. Pure.

use std::fmt;

use serde::Serialize;

use crate::config::csi::{Effort, Exposure, Gain, WhiteBalance};
use crate::media::csi::{CameraStack, Memory};
use crate::media::format::{FrameRate, Size};

use super::Chosen;
use super::camera::NoMode;
use super::inventory::{CsiCamera, Mode};

/// A camera on the board's own connector.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CsiPlan {
    /// Whose software drives it.
    pub stack: Chosen<CameraStack>,
    /// Which one.
    pub sensor: Chosen<Sensor>,
    /// The number of the sensor's mode; `None` leaves it to the stack, by size and rate.
    pub mode: Chosen<Option<u32>>,
    /// Exposure and the like.
    pub settings: CsiSettings,
    /// Where its pictures lie when they leave the source.
    pub memory: Chosen<Memory>,
    /// What carries pictures from surfaces to the processor's memory and turns them there; none where there are no
    /// surfaces.
    pub converter: Option<String>,
}

/// By what a stack is told which sensor is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sensor {
    /// By its number, as Argus counts.
    Number(u32),
    /// By its name, as libcamera calls it.
    Name(String),
    /// The first that the stack finds.
    First,
}

impl fmt::Display for Sensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sensor::Number(number) => write!(f, "sensor {number}"),
            Sensor::Name(name) => f.write_str(name),
            Sensor::First => f.write_str("the first sensor"),
        }
    }
}

/// What of the picture is not left to the stack's own defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CsiSettings {
    /// Exposure time.
    pub exposure: Option<Exposure>,
    /// Gain.
    pub gain: Option<Gain>,
    /// White balance.
    pub white_balance: Option<WhiteBalance>,
    /// Noise reduction.
    pub denoise: Option<Effort>,
    /// Edge enhancement.
    pub sharpen: Option<Effort>,
}

impl CsiSettings {
    /// Those that are set, in words.
    pub(super) fn list(&self) -> Vec<String> {
        let mut all = Vec::new();
        all.extend(self.exposure.map(|exposure| format!("exposure {exposure}")));
        all.extend(self.gain.map(|gain| format!("gain {gain}")));
        all.extend(self.white_balance.map(|white| format!("white balance {white}")));
        all.extend(self.denoise.map(|effort| format!("denoise {effort}")));
        all.extend(self.sharpen.map(|effort| format!("sharpen {effort}")));
        all
    }

    /// The names of those that a stack has no way to take, so that nobody believes they were set.
    pub fn refuse(&mut self, stack: CameraStack) -> Vec<&'static str> {
        if stack == CameraStack::Argus {
            return Vec::new();
        }
        // libcamera has one value, and noise reduction only as a draft that differs by version.
        let bounds = "bounds of exposure";
        let gains = "bounds of gain";
        let mut refused = Vec::new();
        refused.extend(self.exposure.take_if(|e| e.fixed().is_none()).map(|_| bounds));
        refused.extend(self.gain.take_if(|g| g.fixed().is_none()).map(|_| gains));
        refused.extend(self.denoise.take().map(|_| "denoise"));
        refused.extend(self.sharpen.take().map(|_| "sharpen"));
        refused
    }
}

/// What is asked of the sensors.
#[derive(Debug, Clone, Copy)]
pub(super) struct CsiAsk<'a> {
    pub(super) stack: CameraStack,
    pub(super) number: Option<u32>,
    pub(super) name: Option<&'a str>,
    pub(super) size: Size,
    pub(super) rate: FrameRate,
}

/// The first sensor that is meant and can do what is asked, with its mode where modes are known.
///
/// A sensor delivers any rate up to that of its mode: the stack slows it down. What is known of the modes comes from the
/// driver; a stack that scales could do more, which is not relied on.
pub(super) fn choose<'a>(
    cameras: &'a [CsiCamera],
    ask: &CsiAsk<'_>,
) -> Result<(&'a CsiCamera, Option<&'a Mode>), NoMode> {
    let own: Vec<&CsiCamera> = cameras.iter().filter(|camera| camera.stack == ask.stack).collect();
    let exact = own.iter().any(|camera| ask.name == Some(camera.name.as_str()));
    let named = |camera: &CsiCamera| {
        ask.name.is_none_or(|name| if exact { camera.name == name } else { camera.name.contains(name) })
    };
    let meant = |camera: &&CsiCamera| ask.number.is_none_or(|number| camera.number == number) && named(camera);
    let meant: Vec<&CsiCamera> = own.iter().copied().filter(meant).collect();
    if meant.is_empty() {
        return Err(NoMode::Absent { others: own.iter().map(|camera| title(camera)).collect() });
    }
    let fitting = meant.iter().find_map(|camera| Some((*camera, fit(camera, ask)?)));
    fitting.ok_or_else(|| NoMode::Cannot {
        asked: format!("{} at {} frames per second", ask.size, ask.rate),
        offers: meant.iter().map(|camera| offer(camera)).collect(),
    })
}

/// The slowest mode that is fast enough; `Some(None)` where nothing is known of modes.
fn fit<'a>(camera: &'a CsiCamera, ask: &CsiAsk<'_>) -> Option<Option<&'a Mode>> {
    if camera.modes.is_empty() {
        return Some(None);
    }
    // Sensors say 29.999 where 30 is meant.
    let enough = |mode: &&Mode| mode.rates.is_empty() || fastest(mode) + 0.01 >= ask.rate.as_f64();
    let modes = camera.modes.iter().filter(|mode| mode.has_size(ask.size)).filter(enough);
    modes.min_by(|a, b| fastest(a).total_cmp(&fastest(b))).map(Some)
}

fn fastest(mode: &Mode) -> f64 {
    mode.rates.iter().map(|rate| rate.as_f64()).fold(0.0, f64::max)
}

/// What people call it.
pub(super) fn title(camera: &CsiCamera) -> String {
    format!("sensor {} ({})", camera.number, camera.name)
}

fn offer(camera: &CsiCamera) -> String {
    const MOST: usize = 12;
    let list: Vec<String> = camera.modes.iter().take(MOST).map(describe).collect();
    format!("{} can do {}", title(camera), list.join(", "))
}

/// A mode in words.
pub(super) fn describe(mode: &Mode) -> String {
    let size = match mode.range {
        None => mode.size.to_string(),
        Some(range) => format!("{} to {}", range.smallest, mode.size),
    };
    match mode.rates.iter().max_by(|a, b| a.as_f64().total_cmp(&b.as_f64())) {
        None => size,
        Some(rate) => format!("{size} at up to {rate}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::Span;
    use crate::config::csi::Bounds;
    use crate::media::format::PixelFormat;

    fn sensor(number: u32, name: &str, modes: &[(&str, u32)]) -> CsiCamera {
        let mode = |(size, fps): &(&str, u32)| Mode {
            format: PixelFormat::NV12,
            size: size.parse().unwrap(),
            range: None,
            rates: vec![FrameRate::whole(*fps)],
        };
        let modes = modes.iter().map(mode).collect();
        CsiCamera { stack: CameraStack::Argus, number, name: name.into(), node: None, modes }
    }

    #[test]
    fn the_first_that_can_or_the_one_that_is_meant() {
        let cameras = [
            sensor(0, "vi-output, imx219 9-0010", &[("3280x2464", 21), ("1920x1080", 60), ("1920x1080", 30)]),
            sensor(1, "vi-output, imx477 10-001a", &[("3840x2160", 30), ("1920x1080", 60)]),
            sensor(2, "vi-output, ov9281 11-0060", &[]),
        ];
        let table = [
            (None, None, "1920x1080", 30, Ok((0, "1920x1080 at up to 30"))),
            (None, None, "1920x1080", 60, Ok((0, "1920x1080 at up to 60"))),
            (None, None, "1920x1080", 15, Ok((0, "1920x1080 at up to 30"))),
            (None, None, "3840x2160", 30, Ok((1, "3840x2160 at up to 30"))),
            (Some(1), None, "1920x1080", 60, Ok((1, "1920x1080 at up to 60"))),
            (None, Some("imx477"), "1920x1080", 60, Ok((1, "1920x1080 at up to 60"))),
            (Some(2), None, "1280x720", 60, Ok((2, ""))),
            (
                Some(0),
                None,
                "1280x720",
                60,
                Err("no camera can do 1280x720 at 60 frames per second; sensor 0 (vi-output, imx219 9-0010) can do \
                     3280x2464 at up to 21, 1920x1080 at up to 60, 1920x1080 at up to 30"),
            ),
            (
                Some(7),
                None,
                "1280x720",
                60,
                Err(
                    "this camera is not there; there is sensor 0 (vi-output, imx219 9-0010), sensor 1 (vi-output, imx477 \
                     10-001a), sensor 2 (vi-output, ov9281 11-0060)",
                ),
            ),
        ];
        for (number, name, size, fps, want) in table {
            let (size, rate) = (size.parse().unwrap(), FrameRate::whole(fps));
            let ask = CsiAsk { stack: CameraStack::Argus, number, name, size, rate };
            let found =
                choose(&cameras, &ask).map(|(camera, mode)| (camera.number, mode.map(describe).unwrap_or_default()));
            let want = want.map(|(number, mode): (u32, &str)| (number, mode.to_owned())).map_err(str::to_owned);
            assert_eq!(found.map_err(|no| no.to_string()), want, "{ask:?}");
        }
        let other = CsiAsk {
            stack: CameraStack::Libcamera,
            number: None,
            name: None,
            size: Size::new(1920, 1080),
            rate: FrameRate::whole(30),
        };
        assert_eq!(choose(&cameras, &other).unwrap_err().to_string(), "no camera is there");
    }

    #[test]
    fn a_whole_name_comes_before_a_part_of_one() {
        let cameras = [sensor(0, "imx708_wide", &[]), sensor(1, "imx708", &[])];
        let ask = |name| CsiAsk {
            stack: CameraStack::Argus,
            number: None,
            name: Some(name),
            size: Size::new(1920, 1080),
            rate: FrameRate::whole(30),
        };
        assert_eq!(choose(&cameras, &ask("imx708")).unwrap().0.number, 1);
        assert_eq!(choose(&cameras, &ask("708_w")).unwrap().0.number, 0);
    }

    #[test]
    fn what_a_stack_cannot_take_is_named_and_left_out() {
        let exposure = Some(Bounds { low: Span::from_millis(1), high: Span::from_millis(8) });
        let gain = Some(Bounds { low: 2.0, high: 2.0 });
        let all = CsiSettings { exposure, gain, denoise: Some(Effort::Off), ..CsiSettings::default() };
        let mut argus = all.clone();
        assert_eq!((argus.refuse(CameraStack::Argus), &argus), (vec![], &all));
        let mut libcamera = all;
        assert_eq!(libcamera.refuse(CameraStack::Libcamera), ["bounds of exposure", "denoise"]);
        assert_eq!(libcamera, CsiSettings { gain, ..CsiSettings::default() });
    }
}
