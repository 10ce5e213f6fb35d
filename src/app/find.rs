//! Finds a camera each time it is opened, by looking at what is plugged in now.

use std::path::PathBuf;

use crate::media::format::PixelFormat;
use crate::pipeline::FindCamera;
use crate::plan::camera::{Ask, NoMode, choose_mode};
use crate::plan::{DeviceMatch, SourceKind, StreamPlan};

/// Looks at the devices of this machine.
pub(super) struct Devices;

impl FindCamera for Devices {
    fn find(&self, device: &DeviceMatch, plan: &StreamPlan) -> Result<(PathBuf, PixelFormat), NoMode> {
        let SourceKind::V4l2 { wish, .. } = &plan.source.kind else {
            return Err(NoMode::Absent { others: Vec::new() });
        };
        let (cameras, unreadable) = crate::probe::cameras();
        let flip = plan.source.flip;
        let ask = Ask {
            size: flip.apply(plan.size),
            rate: plan.rate,
            wish: *wish,
            encoder: plan.encode.is_some(),
            turned: flip != crate::media::format::Flip::None,
        };
        let choice = choose_mode(&cameras, &unreadable, device, &ask)?;
        Ok((choice.camera.node.clone(), choice.format.value))
    }
}
