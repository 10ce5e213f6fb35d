//! Keeps the source of a camera alive: opens it, watches it, opens it again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gst::prelude::*;

use crate::base::backoff::Backoff;
use crate::base::fault::FaultCode;
use crate::base::health::{Condition, Reporter};
use crate::base::heartbeat::Heartbeat;
use crate::config::schema::FormatWish;
use crate::gst::{Fault, Pipeline};
use crate::hub::Picture;
use crate::plan::camera::Ask;
use crate::plan::identity::{Before, Identity};
use crate::plan::{DeviceMatch, SourceKind};
use crate::probe::changes::Changes;
use crate::source::{self, Opened, Wanted};

use super::controls::Setter;
use super::driver::{self, Answer};
use super::ended::{Ended, broke, describe, failed, is_gone, name, no_camera, stalled, unplugged};
use super::find::find;
use super::rate::Rate;
use super::stamps::{Stamp, Stamps};
use super::state::{Limits, Verdict, judge};
use super::{Beats, Link, Marks, Setup};

/// The first wait after a failure; it doubles up to the plan's `retry_every_max`.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// How often the branch is judged.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After a device came or went: udev sets group and mode of a new node and makes its links.
const SETTLE: Duration = Duration::from_millis(20);
/// A node that may not be opened is being set up for so long after it appeared; only then is it a matter of permissions.
const SET_UP_WITHIN: Duration = Duration::from_secs(1);

pub(super) struct Keeper {
    setup: Arc<Setup>,
    link: Link,
    frames: Heartbeat,
    alive: Heartbeat,
    report: Reporter,
    clip: usize,
    /// Tells when devices come and go; without it, they are looked for at each attempt.
    changes: Option<Changes>,
    /// When that happened last.
    changed: Option<Duration>,
    controls: Option<Setter>,
    /// The v4l2 camera that was opened last, and the one that delivered last.
    found: Option<Identity>,
    known: Option<Identity>,
}

/// A run of the source.
struct Run {
    opened: Opened,
    pipeline: Pipeline,
    began: Duration,
    /// Pictures that were dropped because they were damaged.
    spoiled: Arc<AtomicU64>,
    /// Pictures whose time stamps were wrong.
    retimed: Arc<AtomicU64>,
}

impl Keeper {
    pub(super) fn new(setup: Arc<Setup>, link: Link, beats: &Beats) -> Self {
        let report = setup.health.reporter(format!("{}/source", setup.plan.id));
        let Beats { frames, camera_alive: alive, .. } = beats.clone();
        let is_camera = matches!(setup.plan.source.kind, SourceKind::V4l2 { .. });
        let watch = || setup.devices.changes().map_err(|e| tracing::debug!("devices are looked for by the clock: {e}"));
        let changes = is_camera.then(|| watch().ok()).flatten();
        let controls = if is_camera { Setter::new(&setup) } else { None };
        let (changed, found, known) = (None, None, None);
        Self { setup, link, frames, alive, report, clip: 0, changes, changed, controls, found, known }
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
            self.tell(&ended);
            let wait = backoff.after(self.setup.clock.monotonic().saturating_sub(began));
            self.report.gauge("restarts", backoff.attempts().into());
            if self.pause(wait) {
                backoff.reset();
            }
        }
        self.report.set(Condition::Stopped, "");
    }

    /// Waits before the next attempt, at most until a device comes or goes: then true.
    fn pause(&mut self, wait: Duration) -> bool {
        let clock = self.setup.clock.clone();
        let until = clock.monotonic() + wait;
        loop {
            let now = clock.monotonic();
            self.alive.tick(now);
            let step = until.saturating_sub(now).min(LOOK_EVERY);
            let Some(changes) = &mut self.changes else {
                if self.setup.shutdown.wait(step) || step.is_zero() {
                    return false;
                }
                continue;
            };
            if changes.wait(step) {
                self.setup.shutdown.wait(SETTLE);
                changes.wait(Duration::ZERO);
                self.changed = Some(clock.monotonic());
                return true;
            }
            if self.setup.shutdown.asked().is_some() || step.is_zero() {
                return false;
            }
        }
    }

    /// One run of the source. `Ok` when it is to be opened again at once, or at the daemon's end.
    fn run_once(&mut self) -> Result<(), Ended> {
        let Some(opened) = self.resolve()? else { return Ok(()) };
        let run = self.open(opened).map_err(|e| failed(&e))?;
        let played = run.pipeline.play(self.setup.plan.source.restart_timeout);
        if let Some(controls) = &mut self.controls {
            controls.opened(run.began);
        }
        let result = match played {
            Ok(()) => self.watch(&run),
            Err(e) => Err(did_not_start(&run.opened, e)),
        };
        // Told before it is closed: that may take its time.
        self.setup.pictures.clear();
        if let Some(controls) = &mut self.controls {
            controls.closed();
        }
        if let Err(ended) = &result {
            self.tell(ended);
        }
        self.close(run);
        result
    }

    fn tell(&self, ended: &Ended) {
        self.report.only(ended.code, ended.detail.as_str());
        self.report.set(ended.condition, ended.detail.as_str());
    }

    /// Closes the pipeline, and waits for as long as a driver holds it: opening the device again beside it would only
    /// pile up threads. The heart stands still meanwhile, so that in the end the watchdog has the process restarted.
    fn close(&self, run: Run) {
        let Err(stuck) = run.pipeline.stop() else { return };
        while !stuck.has_ended() && !self.setup.shutdown.wait(LOOK_EVERY) {
            self.held("the driver does not let go of the camera", run.began);
        }
    }

    fn held(&self, what: &str, since: Duration) {
        let seconds = self.setup.clock.monotonic().saturating_sub(since).as_secs();
        let detail = format!("{what}, since {seconds} s");
        self.report.only(FaultCode::CameraFailed, detail.as_str());
        self.report.set(Condition::Recovering, detail);
    }

    /// What can be opened now; `None` at the daemon's end.
    fn resolve(&mut self) -> Result<Option<Opened>, Ended> {
        let setup = self.setup.clone();
        match &setup.plan.source.kind {
            SourceKind::Test => Ok(Some(Opened::Test)),
            SourceKind::V4l2 { device, wish, .. } => self.find(&device.value, *wish),
            SourceKind::Csi(csi) => Ok(Some(Opened::Csi(csi.clone()))),
            SourceKind::File { paths } => {
                let path = paths[self.clip % paths.len()].clone();
                self.clip += 1;
                Ok(Some(Opened::File { path }))
            }
        }
    }

    /// Looks for the camera, and waits for as long as a driver holds that up: looking again beside it would only pile up
    /// threads. The heart then stands still, as in `close`.
    fn find(&mut self, device: &DeviceMatch, wish: FormatWish) -> Result<Option<Opened>, Ended> {
        let setup = &self.setup;
        let began = setup.clock.monotonic();
        let away = self.frames.age(began).unwrap_or(Duration::MAX);
        let before = self.known.clone().map(|identity| Before { identity, away });
        let (devices, device, ask) = (setup.devices.clone(), device.clone(), Ask::while_running(&setup.plan, wish));
        let call = driver::call("find-camera", move || find(&*devices, &device, &ask, before.as_ref()));
        let found = loop {
            match call.wait(LOOK_EVERY) {
                Answer::Here(found) => break found,
                Answer::Lost => {
                    let detail = "looking for the camera failed, which is a bug".into();
                    return Err(Ended { code: FaultCode::CameraFailed, condition: Condition::Recovering, detail });
                }
                Answer::Waiting if setup.shutdown.asked().is_some() => return Ok(None),
                Answer::Waiting => {}
            }
            let now = setup.clock.monotonic();
            if now.saturating_sub(began) > setup.plan.source.restart_timeout {
                self.held("the driver of a camera does not answer", began);
            } else {
                self.alive.tick(now);
            }
        };
        let now = setup.clock.monotonic();
        let appeared = self.changed.is_some_and(|changed| now.saturating_sub(changed) < SET_UP_WITHIN);
        let found = found.map_err(|no| no_camera(&no, appeared))?;
        self.found = Some(found.identity);
        Ok(Some(Opened::V4l2 { node: found.node, format: found.format }))
    }

    fn open(&self, opened: Opened) -> Result<Run, source::Error> {
        let began = self.setup.clock.monotonic();
        let plan = &self.setup.plan;
        let flip = plan.source.flip;
        // The plan's size is that of the turned picture; the source is asked for the one before.
        let wanted = Wanted { size: flip.apply(plan.size), rate: plan.rate, flip };
        let chain = source::build(&opened, wanted, self.setup.clock.clone())?;
        let pipeline = Pipeline::new("camera");
        if chain.paced {
            pipeline.begin_now();
        }
        let spoiled = match (&opened, chain.elements.first()) {
            (Opened::V4l2 { .. }, Some(camera)) => source::drop_spoiled(camera),
            _ => Arc::default(),
        };
        let sink = gst_app::AppSink::builder().name("camera-output").sync(chain.paced).max_buffers(2).drop(true);
        let sink = sink.build();
        let retimed = self.connect(&sink, chain.encoded);
        let mut elements: Vec<&gst::Element> = chain.elements.iter().collect();
        elements.push(sink.upcast_ref());
        let (early, rest) = elements.split_at(chain.late);
        pipeline.chain(early)?;
        pipeline.chain(rest)?;
        Ok(Run { opened, pipeline, began, spoiled, retimed })
    }

    /// What happens to each picture, on the source's streaming thread. Counts those whose time stamps are wrong.
    fn connect(&self, sink: &gst_app::AppSink, encoded: bool) -> Arc<AtomicU64> {
        let (frames, clock) = (self.frames.clone(), self.setup.clock.clone());
        let retimed = Arc::new(AtomicU64::new(0));
        let (mut stamps, wrong) = (Stamps::default(), retimed.clone());
        let mut arrives = move |pts: Duration| {
            let now = clock.monotonic();
            frames.tick(now);
            let stamp = stamps.judge(pts, now);
            if matches!(stamp, Stamp::Arrival(_)) {
                wrong.fetch_add(1, Ordering::Relaxed);
            }
            (stamp.time(), now)
        };
        self.link.set_native(encoded);
        if encoded {
            // No slate has been among them.
            let mut publish = self.setup.framer(Marks::default()).into_callback();
            crate::gst::connect_frames(sink, move |sample, pts| publish(sample, arrives(pts).0));
        } else {
            let (pictures, link) = (self.setup.pictures.clone(), self.link.clone());
            crate::gst::connect_frames(sink, move |sample, pts| {
                let (pts, now) = arrives(pts);
                link.push(&sample, pts, now);
                pictures.put(Picture { sample, pts });
            });
        }
        retimed
    }

    fn watch(&mut self, run: &Run) -> Result<(), Ended> {
        let plan = &self.setup.plan;
        let limits = Limits::of(&plan.source, plan.rate);
        let mut rate = Rate::default();
        while self.setup.shutdown.asked().is_none() {
            match run.pipeline.wait_fault(LOOK_EVERY) {
                Some(Fault::End) if matches!(run.opened, Opened::File { .. }) => return self.clip_ended(run),
                Some(fault) => return Err(broke(&run.opened, &fault)),
                None => {}
            }
            if is_gone(&run.opened) {
                return Err(unplugged(&run.opened));
            }
            let now = self.setup.clock.monotonic();
            self.alive.tick(now);
            let last = self.frames.age(now);
            match judge(now.saturating_sub(run.began), last, limits) {
                Verdict::Opening => {}
                Verdict::Running => self.runs(run, &mut rate, now),
                Verdict::Frozen => self.is_frozen(run, last.unwrap_or_default(), limits),
                Verdict::NeverStarted => {
                    return Err(stalled(format!("no first frame in {:?}{}", limits.first, damage(run))));
                }
                Verdict::Stalled => return Err(stalled(format!("no frame for {:?}{}", limits.between, damage(run)))),
            }
        }
        Ok(())
    }

    fn runs(&mut self, run: &Run, rate: &mut Rate, now: Duration) {
        if self.known != self.found {
            self.known.clone_from(&self.found);
        }
        if let (Some(controls), Opened::V4l2 { node, .. }) = (&mut self.controls, &run.opened) {
            controls.look(node, now);
        }
        let plan = &self.setup.plan;
        let was_off = rate.off(plan.rate).is_some();
        if rate.look(now, self.frames.count()) {
            self.report.gauge("fps", rate.rounded());
        }
        // A clip has its own rate.
        let off = rate.off(plan.rate).filter(|_| !matches!(run.opened, Opened::File { .. }));
        let mut detail = describe(&run.opened, plan);
        if let Some(off) = off {
            detail.push_str(&format!("; delivers {off:.1} fps"));
            if !was_off {
                tracing::info!(stream = %plan.id, "{detail}");
            }
        }
        let (spoiled, retimed) = (run.spoiled.load(Ordering::Relaxed), run.retimed.load(Ordering::Relaxed));
        if spoiled > 0 {
            detail.push_str(&format!("; {spoiled} damaged pictures dropped"));
        }
        if retimed > 0 {
            detail.push_str(&format!("; {retimed} wrong time stamps replaced"));
        }
        self.report.set(Condition::Running, detail);
        self.report.clear_all();
        self.report.gauge("frames", self.frames.count());
        self.report.gauge("damaged", spoiled);
        self.report.gauge("retimed", retimed);
    }

    /// The newest picture is an old one now.
    fn is_frozen(&self, run: &Run, age: Duration, limits: Limits) {
        self.setup.pictures.clear();
        let detail = format!("no frame for {:.1} s{}", age.as_secs_f64(), damage(run));
        self.report.only(FaultCode::CameraStalled, detail.as_str());
        self.report.set(Condition::Frozen, format!("{detail}; opened again after {:?}", limits.between));
    }

    /// A clip of no pictures would be opened again and again without a pause: that is a fault.
    fn clip_ended(&self, run: &Run) -> Result<(), Ended> {
        let open = self.setup.clock.monotonic().saturating_sub(run.began);
        let played = self.frames.age(self.setup.clock.monotonic()).is_some_and(|age| age < open);
        if played {
            return Ok(());
        }
        let detail = format!("{}: no video in it", name(&run.opened));
        Err(Ended { code: FaultCode::ClipUnplayable, condition: Condition::Recovering, detail })
    }
}

fn did_not_start(opened: &Opened, error: crate::gst::Error) -> Ended {
    if is_gone(opened) { unplugged(opened) } else { failed(&source::Error::Build(error)) }
}

/// What came and could not be used.
fn damage(run: &Run) -> String {
    match run.spoiled.load(Ordering::Relaxed) {
        0 => String::new(),
        spoiled => format!(" that is whole, {spoiled} damaged ones"),
    }
}
