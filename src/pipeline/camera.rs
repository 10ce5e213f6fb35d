//! Keeps the source of a camera alive: opens it, watches it, opens it again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gst::prelude::*;

use crate::base::backoff::Backoff;
use crate::base::error::{Chain, Coded};
use crate::base::fault::FaultCode;
use crate::base::health::{Condition, Reporter};
use crate::base::heartbeat::Heartbeat;
use crate::gst::{Fault, Pipeline};
use crate::hub::Picture;
use crate::plan::SourceKind;
use crate::plan::camera::{Ask, NoMode};
use crate::source::{self, Opened, Wanted};

use super::state::{Limits, Verdict, judge};
use super::{Beats, Link, Setup};

/// The first wait after a failure; it doubles up to the plan's `retry_every_max`.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// How often the branch is judged.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) struct Keeper {
    setup: Arc<Setup>,
    link: Link,
    frames: Heartbeat,
    alive: Heartbeat,
    report: Reporter,
    clip: usize,
}

/// Why a run of the source ended.
struct Ended {
    code: FaultCode,
    condition: Condition,
    detail: String,
}

impl Keeper {
    pub(super) fn new(setup: Arc<Setup>, link: Link, beats: &Beats) -> Self {
        let report = setup.health.reporter(format!("{}/source", setup.plan.id));
        let Beats { frames, camera_alive: alive, .. } = beats.clone();
        Self { setup, link, frames, alive, report, clip: 0 }
    }

    /// Runs until the daemon ends.
    pub(super) fn run(&mut self) {
        let mut backoff = Backoff::new(FIRST_RETRY, self.setup.plan.source.retry_every_max);
        while self.setup.shutdown.asked().is_none() {
            let began = self.setup.clock.monotonic();
            self.alive.tick(began);
            let result = self.run_once();
            self.setup.pictures.clear();
            // A clip that ended is followed by the next one at once.
            let Err(ended) = result else { continue };
            self.report.set(ended.condition, ended.detail.clone());
            self.report.raise(ended.code, ended.detail);
            let wait = backoff.after(self.setup.clock.monotonic().saturating_sub(began));
            self.report.gauge("restarts", backoff.attempts().into());
            self.setup.shutdown.wait(wait);
        }
        self.report.set(Condition::Stopped, "");
    }

    /// One run of the source. `Ok` when it is to be opened again at once, or at the daemon's end.
    fn run_once(&mut self) -> Result<(), Ended> {
        let opened = self.resolve()?;
        let began = self.setup.clock.monotonic();
        let pipeline = self.open(&opened).map_err(|e| failed(&e))?;
        let played = pipeline.play(self.setup.plan.source.restart_timeout);
        let result = match played {
            Ok(()) => self.watch(&opened, &pipeline, began),
            Err(e) => Err(failed(&source::Error::Build(e))),
        };
        self.close(pipeline, began);
        result
    }

    /// Closes the pipeline, and waits for as long as a driver holds it: opening the device again beside it would only
    /// pile up threads. The heart stands still meanwhile, so that in the end the watchdog has the process restarted.
    fn close(&self, pipeline: Pipeline, began: Duration) {
        let Err(stuck) = pipeline.stop() else { return };
        while !stuck.has_ended() && !self.setup.shutdown.wait(LOOK_EVERY) {
            let seconds = self.setup.clock.monotonic().saturating_sub(began).as_secs();
            let detail = format!("the driver does not let go of the camera, since {seconds} s");
            self.report.set(Condition::Recovering, detail.as_str());
            self.report.raise(FaultCode::CameraFailed, detail);
        }
    }

    fn resolve(&mut self) -> Result<Opened, Ended> {
        let plan = &self.setup.plan;
        match &plan.source.kind {
            SourceKind::Test => Ok(Opened::Test),
            SourceKind::V4l2 { device, wish, .. } => {
                match self.setup.find.find(&device.value, &Ask::while_running(plan, *wish)) {
                    Ok((node, format)) => Ok(Opened::V4l2 { node, format }),
                    Err(no) => Err(no_camera(&no)),
                }
            }
            SourceKind::File { paths } => {
                let path = paths[self.clip % paths.len()].clone();
                self.clip += 1;
                Ok(Opened::File { path })
            }
        }
    }

    fn open(&self, opened: &Opened) -> Result<Pipeline, source::Error> {
        let plan = &self.setup.plan;
        let flip = plan.source.flip;
        // The plan's size is that of the turned picture; the source is asked for the one before.
        let wanted = Wanted { size: flip.apply(plan.size), rate: plan.rate, flip };
        let chain = source::build(opened, wanted, self.setup.clock.clone())?;
        let pipeline = Pipeline::new("camera");
        if chain.paced {
            pipeline.begin_now();
        }
        let sink = gst_app::AppSink::builder().name("camera-output").sync(chain.paced).max_buffers(2).drop(true);
        let sink = sink.build();
        self.connect(&sink, chain.encoded);
        let mut elements: Vec<&gst::Element> = chain.elements.iter().collect();
        elements.push(sink.upcast_ref());
        let (early, rest) = elements.split_at(chain.late);
        pipeline.chain(early)?;
        pipeline.chain(rest)?;
        Ok(pipeline)
    }

    /// What happens to each picture, on the source's streaming thread.
    fn connect(&self, sink: &gst_app::AppSink, encoded: bool) {
        let (frames, clock) = (self.frames.clone(), self.setup.clock.clone());
        self.link.native.store(encoded, Ordering::Release);
        if encoded {
            let mut publish = self.setup.framer().into_callback();
            crate::gst::connect_frames(sink, move |sample, pts| {
                frames.tick(clock.monotonic());
                publish(sample, pts);
            });
        } else {
            let (pictures, link) = (self.setup.pictures.clone(), self.link.clone());
            crate::gst::connect_frames(sink, move |sample, pts| {
                frames.tick(clock.monotonic());
                link.push(&sample, pts);
                pictures.put(Picture { sample, pts });
            });
        }
    }

    fn watch(&self, opened: &Opened, pipeline: &Pipeline, began: Duration) -> Result<(), Ended> {
        let source = &self.setup.plan.source;
        let limits = Limits { first: source.restart_timeout, between: source.timeout };
        while self.setup.shutdown.asked().is_none() {
            match pipeline.wait_fault(LOOK_EVERY) {
                Some(Fault::End) => return self.clip_ended(opened, began),
                Some(fault) => return Err(self.broke(opened, &fault)),
                None => {}
            }
            let now = self.setup.clock.monotonic();
            self.alive.tick(now);
            match judge(now.saturating_sub(began), self.frames.age(now), limits) {
                Verdict::Opening => {}
                Verdict::Running => {
                    self.report.set(Condition::Running, describe(opened, &self.setup.plan));
                    self.report.clear_all();
                    self.report.gauge("frames", self.frames.count());
                }
                Verdict::NeverStarted => return Err(stalled(format!("no first frame in {:?}", limits.first))),
                Verdict::Stalled => return Err(stalled(format!("no frame for {:?}", limits.between))),
            }
        }
        Ok(())
    }

    /// A clip of no pictures would be opened again and again without a pause: that is a fault.
    fn clip_ended(&self, opened: &Opened, began: Duration) -> Result<(), Ended> {
        let open = self.setup.clock.monotonic().saturating_sub(began);
        let played = self.frames.age(self.setup.clock.monotonic()).is_some_and(|age| age < open);
        if played {
            return Ok(());
        }
        let detail = format!("{}: no video in it", name(opened));
        Err(Ended { code: FaultCode::ClipUnplayable, condition: Condition::Recovering, detail })
    }

    fn broke(&self, opened: &Opened, fault: &Fault) -> Ended {
        let (code, condition) = match opened {
            Opened::V4l2 { node, .. } if !node.exists() => (FaultCode::CameraAbsent, Condition::Absent),
            Opened::File { .. } => (FaultCode::ClipUnplayable, Condition::Recovering),
            _ => (FaultCode::CameraFailed, Condition::Recovering),
        };
        Ended { code, condition, detail: fault.to_string() }
    }
}

/// Only what is not there is a known state; what is there and cannot be used is a failure.
fn no_camera(no: &NoMode) -> Ended {
    let (code, condition) = match no {
        NoMode::Absent { .. } => (FaultCode::CameraAbsent, Condition::Absent),
        NoMode::Cannot { .. } | NoMode::Unreadable(_) => (FaultCode::CameraFailed, Condition::Recovering),
    };
    Ended { code, condition, detail: no.to_string() }
}

fn failed(error: &source::Error) -> Ended {
    let code = error.fault().unwrap_or(FaultCode::CameraFailed);
    Ended { code, condition: Condition::Recovering, detail: Chain(error).to_string() }
}

fn stalled(detail: String) -> Ended {
    Ended { code: FaultCode::CameraStalled, condition: Condition::Recovering, detail }
}

fn name(opened: &Opened) -> String {
    match opened {
        Opened::Test => "test picture".into(),
        Opened::V4l2 { node, format } => format!("{} {format}", node.display()),
        Opened::File { path } => path.display().to_string(),
    }
}

fn describe(opened: &Opened, plan: &crate::plan::StreamPlan) -> String {
    match opened {
        // A clip has its own size and rate.
        Opened::File { .. } => format!("{}, in real time", name(opened)),
        _ => format!("{}, {} at {} fps", name(opened), plan.source.flip.apply(plan.size), plan.rate),
    }
}
