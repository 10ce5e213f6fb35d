//! Finds a camera each time it is opened, by looking at what is plugged in now.

use std::path::PathBuf;

use crate::media::format::PixelFormat;
use crate::plan::DeviceMatch;
use crate::plan::camera::{Ask, NoMode};
use crate::plan::identity::{Before, Identity, choose_again};
use crate::probe::v4l2::{Devices, cameras_without_controls};

/// A camera that can be opened now.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// `/dev/video0`.
    pub(super) node: PathBuf,
    /// What to ask it for.
    pub(super) format: PixelFormat,
    /// By what it is known again.
    pub(super) identity: Identity,
}

/// The camera that is meant, or why there is none. Opens every node: a driver may hold it up.
pub(super) fn find(
    devices: &dyn Devices,
    device: &DeviceMatch,
    ask: &Ask,
    before: Option<&Before>,
) -> Result<Found, NoMode> {
    let (all, unreadable) = cameras_without_controls(devices);
    let choice = choose_again(&all, &unreadable, device, ask, before)?;
    Ok(Found {
        node: choice.camera.node.clone(),
        format: choice.format.value,
        identity: Identity::of(choice.camera, &all),
    })
}
