//! Modes of a camera behind a multi-planar driver, as GStreamer's device provider sees them: the `v4l` crate speaks the
//! single-planar interface only, and platform cameras of several SoC families have no other.

use std::path::Path;

use gst::prelude::*;

use crate::media::format::{PixelFormat, Size};
use crate::plan::inventory::{Mode, SizeRange};

use super::v4l2::RateOffer;

/// More structures than any camera has: a bound against broken drivers.
const MOST: usize = 500;

/// The modes of the device at `node`; none when GStreamer does not know it.
pub(super) fn modes(node: &Path) -> Vec<Mode> {
    if gst::init().is_err() {
        return Vec::new();
    }
    // Not a device monitor: where libcamera is installed, its provider hides this one from monitors.
    let provider = gst::DeviceProviderFactory::find("v4l2deviceprovider").and_then(|factory| factory.get());
    let devices = provider.map(|provider| provider.devices()).unwrap_or_default();
    let device = devices.iter().find(|device| path_of(device).is_some_and(|path| Path::new(&path) == node));
    let caps = device.and_then(DeviceExt::caps);
    caps.map(|caps| caps.iter().take(MOST).flat_map(modes_of).collect()).unwrap_or_default()
}

/// `device.path` in GStreamer 1.22, `api.v4l2.path` from 1.24.
fn path_of(device: &gst::Device) -> Option<String> {
    let properties = device.properties()?;
    ["device.path", "api.v4l2.path"].into_iter().find_map(|name| properties.get::<String>(name).ok())
}

pub(super) fn modes_of(caps: &gst::StructureRef) -> Vec<Mode> {
    let Some((width, height)) = side(caps, "width").zip(side(caps, "height")) else { return Vec::new() };
    let Some(rates) = super::v4l2::rates(&offers(caps)) else { return Vec::new() };
    let size = Size::new(width.most, height.most);
    let smallest = Size::new(width.least, height.least);
    let range = SizeRange { smallest, step_width: width.step, step_height: height.step };
    let range = (smallest != size).then_some(range);
    formats(caps).into_iter().map(|format| Mode { format, size, range, rates: rates.clone() }).collect()
}

/// Width or height: one number, or many from `least` to `most`.
struct Side {
    least: u32,
    most: u32,
    step: u32,
}

fn side(caps: &gst::StructureRef, field: &str) -> Option<Side> {
    let number = |n: i32| u32::try_from(n).ok();
    if let Ok(one) = caps.get::<i32>(field) {
        return number(one).map(|one| Side { least: one, most: one, step: 1 });
    }
    let range = caps.get::<gst::IntRange<i32>>(field).ok()?;
    Some(Side { least: number(range.min())?, most: number(range.max())?, step: number(range.step())?.max(1) })
}

fn offers(caps: &gst::StructureRef) -> Vec<Option<RateOffer>> {
    let parts = |f: gst::Fraction| Some((u32::try_from(f.numer()).ok()?, u32::try_from(f.denom()).ok()?));
    let exact = |f: gst::Fraction| parts(f).and_then(|(num, den)| RateOffer::exact(num, den));
    if let Ok(one) = caps.get::<gst::Fraction>("framerate") {
        return vec![exact(one)];
    }
    if let Ok(list) = caps.get::<gst::List>("framerate") {
        return list.iter().filter_map(|value| value.get::<gst::Fraction>().ok()).map(exact).collect();
    }
    // The least and the most that GStreamer can write are how it says that any rate will do.
    let range = caps.get::<gst::FractionRange>("framerate").ok();
    let ends = |range: gst::FractionRange| RateOffer::range(parts(range.min())?, parts(range.max())?);
    range.map(ends).into_iter().collect()
}

fn formats(caps: &gst::StructureRef) -> Vec<PixelFormat> {
    let named = |name: &str| {
        Some(match name {
            "I420" => PixelFormat::I420,
            "NV12" => PixelFormat::NV12,
            "YUY2" => PixelFormat::YUY2,
            "UYVY" => PixelFormat::UYVY,
            "RGB" => PixelFormat::RGB,
            _ => return None,
        })
    };
    match caps.name().as_str() {
        "image/jpeg" => vec![PixelFormat::MJPEG],
        "video/x-h264" => vec![PixelFormat::H264],
        "video/x-raw" => match caps.get::<gst::List>("format") {
            Ok(list) => list.iter().filter_map(|value| named(value.get::<&str>().ok()?)).collect(),
            Err(_) => caps.get::<&str>("format").ok().and_then(named).into_iter().collect(),
        },
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_become_modes() {
        gst::init().unwrap();
        let table = [
            ("video/x-raw,format=NV12,width=1280,height=720,framerate=30/1", "NV12 1280x720 [30]"),
            (
                "video/x-raw,format={NV12,UYVY,P010_10LE},width=640,height=480,framerate={30/1,15/1}",
                "NV12 640x480 [30, 15] UYVY 640x480 [30, 15]",
            ),
            (
                "image/jpeg,width=1920,height=1080,framerate=[1/1,60/1]",
                "MJPEG 1920x1080 [60, 50, 30, 25, 24, 20, 15, 10, 5, 1]",
            ),
            ("video/x-raw,format=NV12,width=640,height=480", "NV12 640x480 []"),
            ("video/x-raw,format=NV12,width=640,height=480,framerate={300/1,500/1}", ""),
            ("video/x-raw,format=NV12,width=640,height=480,framerate=[0/1,1/2]", ""),
            ("video/x-raw,format=NV12,width=[16,4096],height=[16,2160],framerate=30/1", "NV12 4096x2160 [30]"),
            ("video/x-vp8,width=640,height=480", ""),
            ("video/x-raw,format=NV12", ""),
        ];
        for (caps, want) in table {
            let caps: gst::Caps = caps.parse().unwrap();
            let show = |m: Mode| {
                let rates: Vec<_> = m.rates.iter().map(ToString::to_string).collect();
                format!("{} {} [{}]", m.format, m.size, rates.join(", "))
            };
            let found: Vec<_> = caps.iter().flat_map(modes_of).map(show).collect();
            assert_eq!(found.join(" "), want, "{caps}");
        }
    }
}
