//! A whole camera whose encoder takes another bit rate only when it is built anew.

use std::sync::Arc;
use std::time::Duration;

use gst::glib::prelude::StaticType;
use windhover::base::clock::{Clock, SystemClock};
use windhover::base::health::Health;
use windhover::base::id::StreamId;
use windhover::base::shutdown::{Shutdown, Stop};
use windhover::base::units::Bitrate;
use windhover::config::controls::Controls;
use windhover::hub::{Hub, PictureSlot};
use windhover::media::codec::Codec;
use windhover::media::format::{Flip, FrameRate, Size};
use windhover::pipeline::{self, Setup};
use windhover::plan::{Chosen, EncodePlan, SourceKind, SourcePlan, StreamPlan};
use windhover::probe::v4l2::Kernel;

use crate::stand_in::nvidia::{Cuvid, Stubborn};
use crate::stand_in::{register, told};

fn plan() -> StreamPlan {
    StreamPlan {
        id: StreamId::new("live").unwrap(),
        source: SourcePlan {
            kind: SourceKind::Test,
            reason: String::new(),
            flip: Flip::None,
            controls: Controls::default(),
            frozen_after: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            restart_timeout: Duration::from_secs(3),
            retry_every_max: Duration::from_secs(1),
        },
        size: Size::new(320, 240),
        rate: FrameRate::whole(30),
        slate: false,
        encode: Some(EncodePlan {
            element: Chosen { value: "nvv4l2h264enc".into(), reason: String::new() },
            works: true,
            convert: Chosen { value: vec!["videoconvert".into(), "nvvidconv".into()], reason: String::new() },
            codec: Codec::H264,
            bitrate: Bitrate::from_bps(2_000_000),
            keyframe_frames: 30,
            threads: Chosen { value: 1, reason: String::new() },
        }),
        record: None,
        snapshot: None,
        max_viewers: None,
    }
}

/// The bit rates that the encoders are told, one after the other, until the last of `want` or for 30 s.
fn rates_told(want: &[&str]) -> Vec<String> {
    let clock = Arc::new(SystemClock);
    let (hub, shutdown) = (Hub::new(clock.clone()), Shutdown::new());
    let camera = pipeline::start(Setup {
        plan: plan(),
        hub: hub.clone(),
        pictures: PictureSlot::new(),
        devices: Arc::new(Kernel),
        clock: clock.clone(),
        health: Health::new(clock.clone()),
        shutdown: shutdown.clone(),
    });
    let end = clock.monotonic() + Duration::from_secs(30);
    let (mut rates, mut asked) = (Vec::new(), false);
    while rates.len() < want.len() && clock.monotonic() < end {
        if hub.units() > 5 && !asked {
            asked = true;
            let encode = plan().encode.expect("it has an encoder");
            camera.set_encode(EncodePlan { bitrate: Bitrate::from_bps(100_000), ..encode });
        }
        shutdown.wait(Duration::from_millis(20));
        rates.extend(told().into_iter().filter(|setting| setting.starts_with("bitrate=")));
    }
    shutdown.trigger(Stop::Graceful);
    camera.join(Duration::from_secs(10));
    rates
}

#[test]
fn one_that_cannot_change_is_built_anew_at_once() {
    let _turn = register("nvv4l2h264enc", Cuvid::static_type());
    let want = ["bitrate=2000000", "bitrate=100000"];
    assert_eq!(rates_told(&want), want);
}

#[test]
fn one_that_does_not_follow_is_built_anew() {
    let _turn = register("nvv4l2h264enc", Stubborn::static_type());
    let want = ["bitrate=2000000", "bitrate=100000", "bitrate=100000"];
    assert_eq!(rates_told(&want), want);
}
