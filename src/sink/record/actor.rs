//! The loop of the recorder: from the queue to the disk, and again after an error.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::base::backoff::Backoff;
use crate::base::error::{Chain, Coded};
use crate::base::fault::FaultCode;
use crate::base::health::Condition;
use crate::base::id::StreamId;
use crate::base::request::RequestKeyframe;
use crate::hub::{Reader, Received};
use crate::storage::{Error, Volume};

use super::session::{FRAGMENT, Progress, Session};
use super::{Handle, Setup};

/// How soon a stop is noticed while no pictures come.
const TICK: Duration = Duration::from_millis(100);
/// No picture for so long: the open segment is finished, and the recorder says that it is idle.
const SILENT: Duration = Duration::from_secs(2);
/// A fault is over after so much writing without one.
const CLEAN: Duration = Duration::from_secs(60);
/// What is queued when the daemon ends is still written for so long; then the segment is finished.
const DRAIN: Duration = Duration::from_millis(500);
/// Backoff between attempts to write.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// How a session ended.
enum End {
    Stop,
    /// The disk is to be pulled: the segment is finished, and nothing is open.
    HandedOver,
    Failed(Error),
}

pub(super) struct Actor {
    setup: Setup,
    reader: Reader,
    handle: Handle,
    /// Pictures that were taken from the queue and never became durable.
    lost: u64,
    dropped: u64,
    /// When a gap or an error happened last.
    trouble: Option<Duration>,
}

impl Actor {
    pub(super) fn new(setup: Setup, reader: Reader, handle: Handle) -> Self {
        Self { setup, reader, handle, lost: 0, dropped: 0, trouble: None }
    }

    pub(super) fn stream(&self) -> &StreamId {
        &self.setup.stream
    }

    /// Until it is stopped. After a panic it may be begun anew: what was open then was given up by its owner.
    pub(super) fn run(&mut self) {
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX);
        while self.handle.stop.asked().is_none() {
            let Some(volume) = self.setup.storage.wait(TICK) else {
                self.beat();
                self.handle.reporter.set(Condition::Absent, "the storage is not there");
                continue;
            };
            let begun = self.now();
            match self.record(&volume) {
                End::Stop => break,
                End::HandedOver => continue,
                End::Failed(e) => self.failed(&e),
            }
            self.setup.storage.look_now();
            let wait = backoff.after(self.now().saturating_sub(begun));
            self.pause(wait);
        }
        self.handle.reporter.set(Condition::Stopped, "");
    }

    /// Waits, in steps that show that the thread is not stuck.
    fn pause(&self, wait: Duration) {
        let until = self.now() + wait;
        while self.now() < until && !self.handle.stop.wait(TICK.min(wait)) {
            self.beat();
        }
    }

    /// Records on one volume until something fails or the recorder is stopped.
    fn record(&mut self, volume: &Arc<Volume>) -> End {
        // Before anything is taken from the queue: it keeps what it has for as long as the disk cannot take it.
        if let Err(e) = volume.check().and_then(|()| volume.room()) {
            return End::Failed(e);
        }
        let lost = std::mem::take(&mut self.lost);
        let (stream, clock) = (self.setup.stream.clone(), self.setup.clock.clone());
        let mut session = Session::new(stream, volume.clone(), clock, &self.setup.plan, lost);
        let mut last = self.now();
        let mut drain_until = None;
        loop {
            self.beat();
            if volume.is_asked_back() {
                return self.hand_over(session);
            }
            let now = self.now();
            if self.handle.stop.asked().is_some() {
                drain_until.get_or_insert(now + DRAIN);
            }
            let received = match drain_until {
                Some(until) if now >= until => Received::TimedOut,
                Some(_) => self.reader.recv(Duration::ZERO),
                None => self.reader.recv(TICK),
            };
            let mut progress = Progress::default();
            let stop = drain_until.is_some() && matches!(received, Received::TimedOut);
            let done = match &received {
                Received::TimedOut if stop => session.finish(&mut progress).map(|()| false),
                Received::TimedOut => self.quiet(&mut session, now.saturating_sub(last), &mut progress),
                Received::Gap(lost) => {
                    self.gap(*lost);
                    session.gap(*lost, &mut progress).map(|()| false)
                }
                Received::Unit(unit) => {
                    last = now;
                    session.unit(unit, &mut progress)
                }
            };
            self.report(&progress);
            match done {
                Err(e) => {
                    self.lost = session.pending() + missing(&received);
                    return self.give_up(session, e);
                }
                Ok(true) => self.setup.hub.request_keyframe("segment"),
                Ok(false) => {}
            }
            if stop {
                return End::Stop;
            }
        }
    }

    fn hand_over(&mut self, mut session: Session) -> End {
        let mut progress = Progress::default();
        let done = session.finish(&mut progress);
        self.report(&progress);
        done.map_or_else(End::Failed, |()| End::HandedOver)
    }

    /// No picture came: what is there is made durable in time, and finished when the source seems to be gone.
    fn quiet(&self, session: &mut Session, since: Duration, progress: &mut Progress) -> Result<bool, Error> {
        if since >= FRAGMENT {
            session.flush(progress)?;
        }
        if since >= SILENT {
            if session.is_open() {
                session.pause(progress)?;
            }
            self.handle.reporter.set(Condition::Idle, "no pictures come");
        }
        Ok(false)
    }

    /// After an error: what is durable becomes a finished file if the disk still allows that.
    fn give_up(&mut self, mut session: Session, e: Error) -> End {
        let mut progress = Progress::default();
        session.forget_pending();
        if let Err(second) = session.finish(&mut progress) {
            tracing::debug!("cannot finish the open segment after an error: {}", Chain(&second));
        }
        self.report(&progress);
        End::Failed(e)
    }

    fn failed(&mut self, e: &Error) {
        let detail = Chain(e).to_string();
        let code = e.fault().unwrap_or(FaultCode::WriteFailed);
        self.trouble = Some(self.now());
        self.handle.reporter.count("errors", 1);
        self.handle.reporter.count("dropped", self.lost);
        self.handle.reporter.raise(code, detail.as_str());
        let condition = if code == FaultCode::StorageMissing { Condition::Absent } else { Condition::Recovering };
        self.handle.reporter.set(condition, detail);
    }

    fn gap(&mut self, lost: u64) {
        self.trouble = Some(self.now());
        self.handle.reporter.count("gaps", 1);
        let detail = format!("{lost} pictures are missing; the next run begins after them");
        self.handle.reporter.raise(FaultCode::RecordingGap, detail);
    }

    fn report(&mut self, progress: &Progress) {
        let reporter = &self.handle.reporter;
        let dropped = self.reader.dropped();
        reporter.count("dropped", dropped - self.dropped + progress.skipped);
        self.dropped = dropped;
        for finished in progress.finished.iter().map(|finished| &finished.totals) {
            reporter.count("segments", 1);
            reporter.count("bytes", finished.bytes);
            let seconds = finished.duration.as_secs_f64();
            tracing::debug!(pictures = finished.pictures, bytes = finished.bytes, seconds, "finished a segment");
        }
        if progress.durable == 0 {
            return;
        }
        reporter.count("frames", progress.durable);
        reporter.gauge("fdatasync_ms", u64::try_from(progress.sync.as_millis()).unwrap_or(u64::MAX));
        let now = self.now();
        self.handle.heartbeat.tick(now);
        reporter.set(Condition::Running, "");
        let over =
            [FaultCode::StorageMissing, FaultCode::StorageForeign, FaultCode::StorageFull, FaultCode::TaskFailed];
        for code in over {
            reporter.clear(code);
        }
        if self.trouble.is_some_and(|trouble| now.saturating_sub(trouble) > CLEAN) {
            self.trouble = None;
            reporter.clear_all();
        }
    }

    fn beat(&self) {
        self.handle.attempt.tick(self.now());
        // After a write that failed in the end, the fault stays as long as after any other.
        if self.handle.blocked.swap(false, Ordering::AcqRel) && self.trouble.is_none() {
            self.handle.reporter.clear(FaultCode::WriteFailed);
        }
    }

    fn now(&self) -> Duration {
        self.setup.clock.monotonic()
    }
}

/// Pictures that are lost with what was received when it could not be written.
fn missing(received: &Received) -> u64 {
    match received {
        Received::Unit(_) => 1,
        Received::Gap(lost) => *lost,
        Received::TimedOut => 0,
    }
}
