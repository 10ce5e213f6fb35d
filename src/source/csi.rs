//! A sensor on the board's own connector, through NVIDIA's Argus or libcamera.
//!
//! Not run on hardware yet. Names and behaviour are from dumps of nvarguscamerasrc and from libcamera's source;
//! tests/encoders proves the chains against stand-ins.

use crate::base::units::Span;
use crate::config::csi::{Bounds, Effort, WhiteBalance};
use crate::gst::{make, set_from_text};
use crate::media::csi::{CameraStack, Memory};
use crate::media::format::{Flip, Size};
use crate::plan::csi::{CsiPlan, CsiSettings, Sensor};

use super::{Chain, Error, Wanted, filter, push_flip};

/// A property and its value as text.
type Setting = (&'static str, String);

pub(super) fn build(csi: &CsiPlan, wanted: Wanted) -> Result<Chain, Error> {
    let source = make(csi.stack.value.element(), "camera")?;
    let mut elements = vec![source.clone()];
    match csi.stack.value {
        CameraStack::Argus => {
            argus(&source, csi)?;
            elements.push(filter("camera-format", surfaces("NV12", wanted.size, Some(wanted)))?);
            push_converter(&mut elements, csi, wanted)?;
        }
        CameraStack::Libcamera => {
            libcamera(&source, csi)?;
            elements.push(filter("camera-format", preferred(wanted))?);
            push_flip(&mut elements, wanted.flip)?;
        }
    }
    Ok(Chain { elements, late: 0, encoded: false, paced: false })
}

/// Where the sensor is told from others nothing may be passed over: it would be another camera.
fn argus(source: &gst::Element, csi: &CsiPlan) -> Result<(), Error> {
    if let Sensor::Number(number) = &csi.sensor.value {
        set_from_text(source, "sensor-id", &number.to_string())?;
    }
    if let Some(mode) = csi.mode.value {
        set_from_text(source, "sensor-mode", &mode.to_string())?;
    }
    adjust(source, &argus_settings(&csi.settings));
    Ok(())
}

fn libcamera(source: &gst::Element, csi: &CsiPlan) -> Result<(), Error> {
    if let Sensor::Name(name) = &csi.sensor.value {
        crate::gst::set(source, "camera-name", name)?;
    }
    adjust(source, &libcamera_settings(&csi.settings));
    Ok(())
}

/// Releases differ in what they can be told; a picture with the stack's own exposure is better than none.
fn adjust(source: &gst::Element, settings: &[Setting]) {
    for (property, value) in settings {
        if let Err(e) = set_from_text(source, property, value) {
            tracing::warn!("passed over, the camera keeps its own way: {e}");
        }
    }
}

/// Enums by their numbers: their nicks differ by release.
fn argus_settings(settings: &CsiSettings) -> Vec<Setting> {
    let mut all = Vec::new();
    if let Some(Bounds { low, high }) = settings.exposure {
        let nanoseconds = |span: Span| span.get().as_nanos();
        all.push(("exposuretimerange", format!("{} {}", nanoseconds(low), nanoseconds(high))));
    }
    if let Some(gain @ Bounds { low, high }) = settings.gain {
        all.push(("gainrange", format!("{low} {high}")));
        // Behind the sensor's gain the image processor has one of its own.
        all.extend(gain.fixed().map(|_| ("ispdigitalgainrange", "1 1".to_owned())));
    }
    all.extend(settings.white_balance.map(|white| ("wbmode", argus_white(white).to_string())));
    all.extend(settings.denoise.map(|effort| ("tnr-mode", argus_effort(effort).to_string())));
    all.extend(settings.sharpen.map(|effort| ("ee-mode", argus_effort(effort).to_string())));
    all
}

fn argus_white(white: WhiteBalance) -> u32 {
    match white {
        WhiteBalance::Off => 0,
        WhiteBalance::Auto => 1,
        WhiteBalance::Incandescent => 2,
        WhiteBalance::Fluorescent => 3,
        WhiteBalance::Daylight => 5,
        WhiteBalance::Cloudy => 6,
    }
}

fn argus_effort(effort: Effort) -> u32 {
    match effort {
        Effort::Off => 0,
        Effort::Fast => 1,
        Effort::Best => 2,
    }
}

/// libcamera 0.4 and newer; exposure in microseconds. What the plan holds for it is one value each.
fn libcamera_settings(settings: &CsiSettings) -> Vec<Setting> {
    let mut all = Vec::new();
    if let Some(exposure) = settings.exposure.and_then(|exposure| exposure.fixed()) {
        all.push(("exposure-time-mode", "manual".to_owned()));
        all.push(("exposure-time", exposure.get().as_micros().to_string()));
    }
    if let Some(gain) = settings.gain.and_then(|gain| gain.fixed()) {
        all.push(("analogue-gain-mode", "manual".to_owned()));
        all.push(("analogue-gain", gain.to_string()));
    }
    let mode = match settings.white_balance {
        None => return all,
        Some(WhiteBalance::Off) => {
            all.push(("awb-enable", "false".to_owned()));
            return all;
        }
        Some(WhiteBalance::Auto) => "auto",
        Some(WhiteBalance::Incandescent) => "incandescent",
        Some(WhiteBalance::Fluorescent) => "fluorescent",
        Some(WhiteBalance::Daylight) => "daylight",
        Some(WhiteBalance::Cloudy) => "cloudy",
    };
    all.extend([("awb-enable", "true".to_owned()), ("awb-mode", mode.to_owned())]);
    all
}

fn surfaces(format: &str, size: Size, rate: Option<Wanted>) -> gst::Caps {
    raw(gst::Caps::builder("video/x-raw").features([Memory::NVMM]), format, size, rate)
}

fn raw<F>(caps: gst::caps::Builder<F>, format: &str, size: Size, rate: Option<Wanted>) -> gst::Caps {
    let rate = rate.map(|wanted| gst::Fraction::new(wanted.rate.num.cast_signed(), wanted.rate.den.cast_signed()));
    caps.field("format", format)
        .field("width", size.width.cast_signed())
        .field("height", size.height.cast_signed())
        .field_if_some("framerate", rate)
        .build()
}

/// As the encoder of a Raspberry Pi 4 takes it, so that the processor need not touch it; else as the camera has it.
fn preferred(wanted: Wanted) -> gst::Caps {
    let any = raw(gst::Caps::builder("video/x-raw"), "NV12", wanted.size, Some(wanted));
    let mut both = any.clone();
    for caps in both.make_mut().iter_mut() {
        caps.set("colorimetry", "bt709");
    }
    both.make_mut().append(any);
    both
}

/// Turns the picture, and carries it to the processor's memory where the plan says so: both in one pass of the chip's
/// converter.
fn push_converter(elements: &mut Vec<gst::Element>, csi: &CsiPlan, wanted: Wanted) -> Result<(), Error> {
    if wanted.flip == Flip::None && csi.memory.value == Memory::Surfaces {
        return Ok(());
    }
    let converter = make(csi.converter.as_deref().unwrap_or("nvvidconv"), "camera-convert")?;
    if wanted.flip != Flip::None {
        set_from_text(&converter, "flip-method", &flip_method(wanted.flip).to_string())?;
    }
    elements.push(converter);
    let size = wanted.flip.apply(wanted.size);
    let caps = match csi.memory.value {
        Memory::Surfaces => surfaces("NV12", size, None),
        Memory::System => raw(gst::Caps::builder("video/x-raw"), "I420", size, None),
    };
    elements.push(filter("camera-raw", caps)?);
    Ok(())
}

/// By number, which nvvidconv and nvvideoconvert have in common.
fn flip_method(flip: Flip) -> u32 {
    match flip {
        Flip::None => 0,
        Flip::Rotate270 => 1,
        Flip::Rotate180 => 2,
        Flip::Rotate90 => 3,
        Flip::Horizontal => 4,
        Flip::Vertical => 6,
    }
}
