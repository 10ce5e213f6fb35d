//! The slate: while the camera delivers nothing, viewers see a dark picture that says so.
//!
//! It stands outside of the way of a frame: a thread of its own looks ten times a second at how old the newest picture is,
//! and does nothing while that is young. It takes no picture from anybody: it is not recorded, no snapshot is made of it,
//! and it bears the time at which it was drawn. Why it is so: `src/docs/decisions/0008-slate.md`.

mod paint;
mod words;

use std::sync::Arc;
use std::time::Duration;

use crate::base::heartbeat::Heartbeat;

use super::state::Limits;
use super::{Beats, Link, Setup};
use paint::Painter;
use words::{Known, words};

/// How often the camera is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// From one slate to the next. Players give up a stream after 1 to 2 s without data (QGroundControl), hardware encoders
/// hold back a picture or two, and a newcomer waits for the next one.
const DRAW_EVERY: Duration = Duration::from_millis(200);

pub(super) struct Artist {
    setup: Arc<Setup>,
    link: Link,
    frames: Heartbeat,
    painter: Option<Painter>,
}

impl Artist {
    pub(super) fn new(setup: Arc<Setup>, link: Link, beats: &Beats) -> Self {
        Self { setup, link, frames: beats.frames.clone(), painter: None }
    }

    /// Runs until the daemon ends.
    pub(super) fn run(&mut self) {
        let plan = &self.setup.plan;
        let limit = Limits::of(&plan.source, plan.rate).frozen;
        let draw_every = DRAW_EVERY.max(plan.rate.period());
        let began = self.setup.clock.monotonic();
        let mut wait = LOOK_EVERY;
        while !self.setup.shutdown.wait(wait) {
            let now = self.setup.clock.monotonic();
            // Before its first picture, a camera has been missing since the start.
            let lost = self.frames.age(now).unwrap_or(now.saturating_sub(began));
            wait = LOOK_EVERY;
            if lost > limit && !self.link.is_native() {
                self.show(lost);
                wait = draw_every;
            }
        }
    }

    /// Hands one slate to the encoder.
    fn show(&mut self, lost: Duration) {
        let frames = self.frames.count();
        let setup = &self.setup;
        let pages = setup.health.report();
        let page = format!("{}/source", setup.plan.id);
        let lines = words(&Known {
            stream: &setup.plan.id,
            source: pages.iter().find(|branch| branch.name == page),
            lost,
            wall: setup.clock.wall(),
            wall_is_right: setup.clock.wall_is_right(),
        });
        let caps = self.link.caps().unwrap_or_else(|| self.planned());
        if !self.painter.as_ref().is_some_and(|painter| painter.fits(&caps)) {
            self.painter = Painter::new(&caps);
        }
        let Some(slate) = self.painter.as_ref().and_then(|painter| painter.paint(&lines)) else { return };
        let plan = &self.setup.plan;
        let keyframe_every = plan.encode.as_ref().map_or(Duration::ZERO, |e| plan.rate.period() * e.keyframe_frames);
        let returned = || self.frames.count() != frames;
        self.link.push_slate(&slate, self.setup.clock.monotonic(), keyframe_every, returned);
    }

    /// What the pictures of a camera will look like that has never been there.
    fn planned(&self) -> gst::Caps {
        let plan = &self.setup.plan;
        let rate = gst::Fraction::new(plan.rate.num.cast_signed(), plan.rate.den.cast_signed());
        gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", plan.size.width.cast_signed())
            .field("height", plan.size.height.cast_signed())
            .field("framerate", rate)
            .build()
    }
}
