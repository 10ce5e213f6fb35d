//! Sensors on the board's own connector, as far as they can be listed without opening one.
//!
//! Argus has no list outside of its own library. But each of its sensors is a v4l2 node of the driver tegra-video that
//! offers Bayer pictures only, and Argus counts them in the order of the nodes (as its users report; to be confirmed on a
//! device). libcamera's plugin has a device provider.

use std::path::Path;

use gst::prelude::*;

use crate::media::csi::CameraStack;
use crate::media::format::PixelFormat;
use crate::plan::inventory::{CsiCamera, Mode};

use super::v4l2::{Devices, Identity, Node, sorted_nodes};

/// More than any board has connectors for.
const MOST: usize = 16;
const MOST_MODES: usize = 100;

/// The sensors of `stack`.
pub(super) fn cameras(stack: CameraStack, devices: &dyn Devices) -> Vec<CsiCamera> {
    match stack {
        CameraStack::Argus => argus(devices),
        CameraStack::Libcamera => libcamera(),
    }
}

pub(super) fn argus(devices: &dyn Devices) -> Vec<CsiCamera> {
    let nodes = sorted_nodes(devices);
    let sensors = nodes.iter().filter_map(|node| sensor(devices, node).map(|found| (node, found)));
    let number = |(number, (node, (name, modes))): (u32, (&std::path::PathBuf, (String, Vec<Mode>)))| CsiCamera {
        stack: CameraStack::Argus,
        number,
        name,
        node: Some(node.clone()),
        modes,
    };
    (0..).zip(sensors.take(MOST)).map(number).collect()
}

/// Name and modes of the sensor behind a node, if it is one of Argus'.
fn sensor(devices: &dyn Devices, node: &Path) -> Option<(String, Vec<Mode>)> {
    let open = devices.open(node).ok()?;
    let identity = open.identity().ok()?;
    let formats = open.formats();
    if identity.driver != "tegra-video" || !only_bayer(&formats) {
        return None;
    }
    // Argus gives out 4:2:0 at the sizes of the sensor.
    let mut modes = super::v4l2::modes_as(&*open, &formats, |_| Some(PixelFormat::NV12));
    modes.truncate(MOST_MODES);
    Some((identity.card, modes))
}

/// True for a node that is a part of a camera and none by itself: a stack puts such parts together.
pub(super) fn is_part(identity: &Identity, node: &dyn Node) -> bool {
    // linux/videodev2.h: its formats say nothing without the media controller.
    const IO_MC: u32 = 0x2000_0000;
    let image_processor = matches!(identity.driver.as_str(), "bcm2835-isp" | "pispbe");
    identity.device_caps & IO_MC != 0 || image_processor || identity.driver != "uvcvideo" && only_bayer(&node.formats())
}

/// What a sensor delivers before anybody has made colours of it; linux/videodev2.h.
fn only_bayer(formats: &[[u8; 4]]) -> bool {
    const BAYER: [&[u8; 4]; 28] = [
        b"BA81", b"GBRG", b"GRBG", b"RGGB", b"BG10", b"GB10", b"BA10", b"RG10", b"pBAA", b"pGAA", b"pgAA", b"pRAA",
        b"BG12", b"GB12", b"BA12", b"RG12", b"pBCC", b"pGCC", b"pgCC", b"pRCC", b"BG14", b"GB14", b"GR14", b"RG14",
        b"BYR2", b"GB16", b"GR16", b"RG16",
    ];
    !formats.is_empty() && formats.iter().all(|format| BAYER.contains(&format))
}

fn libcamera() -> Vec<CsiCamera> {
    let factory = gst::DeviceProviderFactory::find("libcameraprovider");
    let Some(provider) = factory.and_then(|factory| factory.get()) else { return Vec::new() };
    let found = provider.devices().into_iter().map(|device| (device.display_name().to_string(), device.caps()));
    let sensors = found.filter(|(name, _)| !is_usb(name)).take(MOST);
    let number = |(number, (name, caps)): (u32, (String, Option<gst::Caps>))| CsiCamera {
        stack: CameraStack::Libcamera,
        number,
        name,
        node: None,
        modes: caps.map(|caps| modes(&caps)).unwrap_or_default(),
    };
    (0..).zip(sensors).map(number).collect()
}

fn modes(caps: &gst::Caps) -> Vec<Mode> {
    let all = caps.iter().flat_map(super::monitor::modes_of).filter(|mode| mode.format == PixelFormat::NV12);
    all.take(MOST_MODES).collect()
}

/// libcamera lists USB cameras too, by names that end in the numbers of vendor and product. Those are v4l2 cameras here.
fn is_usb(name: &str) -> bool {
    let number = |text: &str| text.len() == 4 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let ids = name.rsplit_once('-').and_then(|(_, ids)| ids.split_once(':'));
    ids.is_some_and(|(vendor, product)| number(vendor) && number(product))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usb_cameras_are_told_from_sensors() {
        for name in
            ["/base/scb/pcie@7d500000/pci@0,0/usb@0,0-1.3:1.0-046d:0825", r"\_SB_.PCI0.XHC.RHUB.HS08-8:1.0-04f2:b5d6"]
        {
            assert!(is_usb(name), "{name}");
        }
        for name in
            ["/base/soc/i2c0mux/i2c@1/imx708@1a", "/base/axi/pcie@120000/rp1/i2c@80000/imx477@1a", "imx219 9-0010"]
        {
            assert!(!is_usb(name), "{name}");
        }
    }

    #[test]
    fn caps_of_libcamera_become_modes() {
        gst::init().unwrap();
        let caps = "video/x-raw,format=NV12,width=1920,height=1080;video/x-raw,format=NV21,width=1920,height=1080;\
                    video/x-raw,format=NV12,width=[32,4608,2],height=[32,2592,2]";
        let modes = modes(&caps.parse().unwrap());
        let sizes: Vec<_> = modes.iter().map(|mode| mode.size.to_string()).collect();
        assert_eq!(sizes, ["1920x1080", "4608x2592"]);
        assert!(modes[1].has_size("1280x720".parse().unwrap()) && !modes[1].has_size("16x720".parse().unwrap()));
        assert!(modes.iter().all(|mode| mode.rates.is_empty()));
    }
}
