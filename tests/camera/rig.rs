//! A whole camera of the daemon on the constructed devices, with its hub and its page of health.

use std::sync::Arc;
use std::time::Duration;

use windhover::base::clock::{Clock, SystemClock};
use windhover::base::fault::FaultCode;
use windhover::base::health::{BranchReport, Condition, Health};
use windhover::base::id::StreamId;
use windhover::base::shutdown::{Shutdown, Stop};
use windhover::base::units::Bitrate;
use windhover::config::controls::Controls;
use windhover::config::schema::FormatWish;
use windhover::hub::{Hub, PictureSlot};
use windhover::media::codec::Codec;
use windhover::media::format::{Flip, FrameRate, Size};
use windhover::pipeline::{self, Handle, Setup};
use windhover::plan::{Chosen, DeviceMatch, EncodePlan, SourceKind, SourcePlan, StreamPlan};

use crate::kernel::Desk;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Rig {
    pub(crate) health: Health,
    pub(crate) hub: Hub,
    pub(crate) pictures: PictureSlot,
    pub(crate) clock: Arc<SystemClock>,
    pub(crate) shutdown: Shutdown,
    camera: Option<Handle>,
}

impl Rig {
    pub(crate) fn start(desk: &Arc<Desk>, plan: StreamPlan) -> Self {
        let clock = Arc::new(SystemClock);
        let mut rig = Self {
            health: Health::new(clock.clone()),
            hub: Hub::new(clock.clone()),
            pictures: PictureSlot::new(),
            clock: clock.clone(),
            shutdown: Shutdown::new(),
            camera: None,
        };
        let camera = pipeline::start(Setup {
            plan,
            hub: rig.hub.clone(),
            pictures: rig.pictures.clone(),
            devices: desk.clone(),
            clock,
            health: rig.health.clone(),
            shutdown: rig.shutdown.clone(),
        });
        rig.camera = Some(camera);
        rig
    }

    pub(crate) fn source(&self) -> BranchReport {
        self.branch("live/source")
    }

    pub(crate) fn branch(&self, name: &str) -> BranchReport {
        self.health.report().into_iter().find(|b| b.name == name).unwrap()
    }

    /// Waits until the source is as `wanted` says; gives its page and how long that took.
    pub(crate) fn until(&self, wanted: impl Fn(&BranchReport) -> bool) -> (BranchReport, Duration) {
        self.until_of("live/source", wanted)
    }

    /// The same for another branch.
    pub(crate) fn until_of(&self, name: &str, wanted: impl Fn(&BranchReport) -> bool) -> (BranchReport, Duration) {
        let began = self.clock.monotonic();
        loop {
            let (page, took) = (self.branch(name), self.clock.monotonic() - began);
            if wanted(&page) {
                return (page, took);
            }
            assert!(took < PATIENCE, "did not come to be as wanted: {page:?}");
            self.shutdown.wait(Duration::from_millis(5));
        }
    }

    /// Waits for a picture of the camera that was taken after this call; gives how long that took.
    pub(crate) fn until_a_picture(&self) -> Duration {
        let since = self.clock.monotonic();
        self.until(|_| self.pictures.newest().is_some_and(|picture| picture.pts > since)).1
    }

    /// Ends by the drop of the rig.
    pub(crate) fn end(self) {}
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.shutdown.trigger(Stop::Graceful);
        if let Some(camera) = self.camera.take() {
            camera.join(Duration::from_secs(20));
        }
    }
}

pub(crate) fn is_well(source: &BranchReport) -> bool {
    source.condition == Condition::Running && source.faults.is_empty()
}

/// In this condition, with this fault and no other.
pub(crate) fn has(condition: Condition, code: FaultCode) -> impl Fn(&BranchReport) -> bool {
    move |source| source.condition == condition && matches!(&source.faults[..], [fault] if fault.code == code)
}

/// A camera at 320x240 and 30 fps.
pub(crate) fn plan(device: DeviceMatch) -> StreamPlan {
    StreamPlan {
        id: StreamId::new("live").unwrap(),
        source: SourcePlan {
            kind: SourceKind::V4l2 {
                device: Chosen { value: device, reason: String::new() },
                wish: FormatWish::Auto,
                format: None,
            },
            reason: String::new(),
            flip: Flip::None,
            controls: Controls::default(),
            frozen_after: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
            restart_timeout: Duration::from_secs(3),
            retry_every_max: Duration::from_secs(1),
        },
        size: Size::new(320, 240),
        rate: FrameRate::whole(30),
        slate: true,
        encode: Some(EncodePlan {
            element: Chosen { value: "x264enc".into(), reason: String::new() },
            works: true,
            convert: Chosen { value: vec!["videoconvert".into()], reason: String::new() },
            codec: Codec::H264,
            bitrate: Bitrate::from_bps(500_000),
            keyframe_frames: 30,
            threads: Chosen { value: 1, reason: String::new() },
        }),
        record: None,
        snapshot: None,
        max_viewers: None,
    }
}
