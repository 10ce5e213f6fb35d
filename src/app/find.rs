//! Finds a camera each time it is opened, by looking at what is plugged in now.

use std::path::PathBuf;

use crate::media::format::PixelFormat;
use crate::pipeline::FindCamera;
use crate::plan::camera::{Ask, choose_mode};
use crate::plan::{DeviceMatch, SourceKind, StreamPlan};

/// Looks at the devices of this machine.
pub(super) struct Devices;

impl FindCamera for Devices {
    fn find(&self, device: &DeviceMatch, plan: &StreamPlan) -> Result<(PathBuf, PixelFormat), String> {
        let SourceKind::V4l2 { wish, .. } = &plan.source.kind else {
            return Err("the source is no v4l2 camera".into());
        };
        let cameras = crate::probe::cameras();
        let flip = plan.source.flip;
        let ask = Ask {
            size: flip.apply(plan.size),
            rate: plan.rate,
            wish: *wish,
            encoder: plan.encode.is_some(),
            turned: flip != crate::media::format::Flip::None,
        };
        let choice = choose_mode(&cameras, device, &ask).map_err(|e| e.to_string())?;
        Ok((choice.camera.node.clone(), choice.format.value))
    }
}
