//! Finds a camera each time it is opened, by looking at what is plugged in now.

use std::path::PathBuf;

use crate::media::format::PixelFormat;
use crate::pipeline::FindCamera;
use crate::plan::DeviceMatch;
use crate::plan::camera::{Ask, NoMode, choose_mode};

/// Looks at the devices of this machine.
pub(super) struct Devices;

impl FindCamera for Devices {
    fn find(&self, device: &DeviceMatch, ask: &Ask) -> Result<(PathBuf, PixelFormat), NoMode> {
        let (cameras, unreadable) = crate::probe::cameras();
        let choice = choose_mode(&cameras, &unreadable, device, ask)?;
        Ok((choice.camera.node.clone(), choice.format.value))
    }
}
