//! Snapshots: a JPEG of the newest raw picture, each second and on request, without a second decode.

mod jpeg;

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;

use crate::base::clock::Clock;
use crate::base::error::{Chain, Coded, Kind};
use crate::base::fault::FaultCode;
use crate::base::health::{Condition, Health, Reporter};
use crate::base::id::StreamId;
use crate::base::shutdown::Shutdown;
use crate::base::task;
use crate::hub::PictureSlot;
use crate::media::timeline::Timeline;
use crate::plan::SnapshotPlan;

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source delivers no raw picture now.
    #[error("there is no picture now")]
    NoPicture,
    /// The JPEG encoder failed.
    #[error("the picture cannot be made a JPEG")]
    Jpeg(#[source] jpeg::Error),
    /// The actor is busy or gone.
    #[error("no answer within {} ms", .0.as_millis())]
    NoAnswer(Duration),
}

impl Coded for Error {
    fn kind(&self) -> Kind {
        match self {
            Error::NoPicture | Error::NoAnswer(_) => Kind::Unavailable,
            Error::Jpeg(_) => Kind::Failed,
        }
    }

    fn fault(&self) -> Option<FaultCode> {
        matches!(self, Error::Jpeg(_)).then_some(FaultCode::SnapshotFailed)
    }
}

/// A snapshot.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The JPEG file.
    pub jpeg: Bytes,
    /// Unix time of capture.
    pub taken: Duration,
    pts: Duration,
}

/// Stores a snapshot. Runs on a thread of its own: a disk that hangs stops the storing of snapshots, not the making of
/// them.
pub type Keep = Box<dyn FnMut(&Snapshot) -> Result<(), NotKept> + Send>;

/// Why a snapshot was not stored, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotKept {
    /// The storage takes nothing now, and says why on its own page: one cause, one fault.
    Refused(String),
    /// Writing it failed.
    Failed(String),
}

/// What the snapshots of a stream need.
pub struct Setup {
    /// The stream.
    pub stream: StreamId,
    /// How often, and whether at all, they are stored; on request they are always made.
    pub plan: Option<SnapshotPlan>,
    /// The newest raw picture.
    pub pictures: PictureSlot,
    /// The element that brings pictures to the processor's memory, where they lie elsewhere.
    pub carrier: Option<String>,
    /// Stores one.
    pub keep: Keep,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The book of conditions and faults.
    pub health: Health,
    /// When to end.
    pub shutdown: Shutdown,
}

type Reply = mpsc::SyncSender<Result<Snapshot, Error>>;

/// Asks for snapshots. Cheap to clone.
#[derive(Clone)]
pub struct Handle(mpsc::SyncSender<Reply>);

impl Handle {
    /// A snapshot of the newest picture, within `timeout`.
    pub fn take(&self, timeout: Duration) -> Result<Snapshot, Error> {
        let (reply, answer) = mpsc::sync_channel(1);
        // A full queue means that as many others wait already as could be served in time.
        self.0.try_send(reply).map_err(|_| Error::NoAnswer(Duration::ZERO))?;
        answer.recv_timeout(timeout).map_err(|_| Error::NoAnswer(timeout))?
    }
}

/// Starts the snapshots of a stream. The threads end when a stop is asked.
pub fn start(setup: Setup) -> (Handle, Vec<JoinHandle<Option<()>>>) {
    let (asks, asked) = mpsc::sync_channel(16);
    let report = setup.health.reporter(format!("{}/snapshot", setup.stream));
    let every = setup.plan.as_ref().map(|plan| plan.every);
    if every.is_none() {
        report.set(Condition::Idle, "on request only");
    }
    // One in the queue besides the one being written; a slow disk skips snapshots, it does not save them up.
    let (keeps, kept) = mpsc::sync_channel(1);
    let (mut keep, shutdown) = (setup.keep, setup.shutdown);
    let maker =
        Maker { pictures: setup.pictures, carrier: setup.carrier, clock: setup.clock, jpeg: None, newest: None };
    let mut actor = Actor { maker, report: report.clone(), every, keeps, shutdown: shutdown.clone() };
    let threads = vec![
        task::kept("snapshot-write", report.clone(), shutdown.clone(), move || write(&kept, &mut keep, &report)),
        task::kept("snapshot", actor.report.clone(), shutdown, move || actor.run(&asked)),
    ];
    (Handle(asks), threads)
}

/// Stores what comes until the actor ends.
fn write(kept: &mpsc::Receiver<Snapshot>, keep: &mut Keep, report: &Reporter) {
    for snapshot in kept {
        match keep(&snapshot) {
            Ok(()) => {
                report.set(Condition::Running, "");
                [FaultCode::SnapshotFailed, FaultCode::TaskFailed].into_iter().for_each(|code| report.clear(code));
                report.count("snapshots", 1);
            }
            Err(NotKept::Refused(detail)) => {
                report.clear(FaultCode::SnapshotFailed);
                report.set(Condition::Absent, detail);
            }
            Err(NotKept::Failed(detail)) => fail(report, &detail),
        }
    }
}

fn fail(report: &Reporter, detail: &str) {
    report.set(Condition::Recovering, detail);
    report.raise(FaultCode::SnapshotFailed, detail);
}

struct Actor {
    maker: Maker,
    report: Reporter,
    every: Option<Duration>,
    keeps: mpsc::SyncSender<Snapshot>,
    shutdown: Shutdown,
}

/// How long the actor waits at once, so that a stop is noticed.
const MAX_WAIT: Duration = Duration::from_millis(200);

impl Actor {
    fn run(&mut self, asked: &mpsc::Receiver<Reply>) {
        let clock = self.maker.clock.clone();
        let mut due = clock.monotonic();
        while self.shutdown.asked().is_none() {
            let now = clock.monotonic();
            if let Some(every) = self.every
                && now >= due
            {
                self.keep_one();
                due = (due + every).max(now);
            }
            let wait = self.every.map_or(MAX_WAIT, |_| due.saturating_sub(clock.monotonic()).min(MAX_WAIT));
            if let Ok(reply) = asked.recv_timeout(wait) {
                let answer = self.maker.snapshot();
                if answer.is_ok() {
                    self.report.clear(FaultCode::TaskFailed);
                }
                // The asker may have given up meanwhile.
                let _ = reply.try_send(answer);
            }
        }
        self.report.set(Condition::Stopped, "");
    }

    fn keep_one(&mut self) {
        let before = self.maker.newest.as_ref().map(|s| s.pts);
        match self.maker.snapshot() {
            // Nothing new to keep: the source says what is wrong.
            Err(Error::NoPicture) => self.report.set(Condition::Idle, "waits for pictures"),
            Err(e) => fail(&self.report, &Chain(&e).to_string()),
            Ok(snapshot) if Some(snapshot.pts) == before => {}
            Ok(snapshot) => {
                if self.keeps.try_send(snapshot).is_err() {
                    self.report.count("skipped", 1);
                }
            }
        }
    }
}

struct Maker {
    pictures: PictureSlot,
    carrier: Option<String>,
    clock: Arc<dyn Clock>,
    jpeg: Option<jpeg::Encoder>,
    newest: Option<Snapshot>,
}

impl Maker {
    /// The newest picture as JPEG; two requests for the same picture cost one encode.
    fn snapshot(&mut self) -> Result<Snapshot, Error> {
        let picture = self.pictures.newest().ok_or(Error::NoPicture)?;
        if let Some(newest) = &self.newest
            && newest.pts == picture.pts
        {
            return Ok(newest.clone());
        }
        let jpeg = self.encode(&picture.sample).map_err(Error::Jpeg)?;
        let taken = Timeline::new(self.clock.monotonic(), self.clock.wall()).wall(picture.pts);
        let snapshot = Snapshot { jpeg, taken, pts: picture.pts };
        self.newest = Some(snapshot.clone());
        Ok(snapshot)
    }

    fn encode(&mut self, sample: &gst::Sample) -> Result<Bytes, jpeg::Error> {
        let mut encoder = match self.jpeg.take() {
            Some(encoder) => encoder,
            None => jpeg::Encoder::new(self.carrier.as_deref())?,
        };
        let jpeg = encoder.encode(sample)?;
        // Kept only after success: one that failed is made anew.
        self.jpeg = Some(encoder);
        Ok(jpeg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SystemClock;

    #[test]
    fn one_cause_is_one_fault() {
        let health = Health::new(Arc::new(SystemClock));
        let report = health.reporter("live/snapshot");
        let page = || {
            let page = health.report().remove(0);
            (page.condition, page.faults.iter().map(|fault| fault.code).collect::<Vec<_>>())
        };
        let store = |answer: Result<(), NotKept>| {
            let (send, receive) = mpsc::sync_channel(1);
            send.send(Snapshot { jpeg: Bytes::new(), taken: Duration::ZERO, pts: Duration::ZERO }).unwrap();
            drop(send);
            let mut keep: Keep = Box::new(move |_| answer.clone());
            write(&receive, &mut keep, &report);
        };
        let failed = vec![FaultCode::SnapshotFailed];
        store(Err(NotKept::Failed("cannot write x".into())));
        assert_eq!(page(), (Condition::Recovering, failed));
        // The storage has its own page and fault for that.
        store(Err(NotKept::Refused("storage /data: it is full".into())));
        assert_eq!(page(), (Condition::Absent, Vec::new()));
        store(Ok(()));
        assert_eq!(page(), (Condition::Running, Vec::new()));
    }
}
