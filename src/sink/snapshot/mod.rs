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

/// Stores a snapshot; the error text says what went wrong. Called on the snapshot thread.
pub type Keep = Box<dyn FnMut(&Snapshot) -> Result<(), String> + Send>;

/// What the snapshots of a stream need.
pub struct Setup {
    /// The stream.
    pub stream: StreamId,
    /// How often, and whether at all, they are stored; on request they are always made.
    pub plan: Option<SnapshotPlan>,
    /// The newest raw picture.
    pub pictures: PictureSlot,
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

/// Starts the snapshot thread of a stream.
pub fn start(setup: Setup) -> (Handle, JoinHandle<Option<()>>) {
    let (asks, asked) = mpsc::sync_channel(16);
    let report = setup.health.reporter(format!("{}/snapshot", setup.stream));
    let actor = Actor { setup, report, jpeg: None, newest: None };
    (Handle(asks), task::thread("snapshot", move || actor.run(&asked)))
}

struct Actor {
    setup: Setup,
    report: Reporter,
    jpeg: Option<jpeg::Encoder>,
    newest: Option<Snapshot>,
}

/// How long the actor waits at once, so that a stop is noticed.
const MAX_WAIT: Duration = Duration::from_millis(200);

impl Actor {
    fn run(mut self, asked: &mpsc::Receiver<Reply>) {
        let every = self.setup.plan.as_ref().map(|plan| plan.every);
        if every.is_none() {
            self.report.set(Condition::Idle, "on request only");
        }
        let mut due = self.setup.clock.monotonic();
        while self.setup.shutdown.asked().is_none() {
            let now = self.setup.clock.monotonic();
            if let Some(every) = every
                && now >= due
            {
                self.keep_one();
                // The next whole period from now: a slow disk skips snapshots, it does not save them up.
                due = (due + every).max(now);
            }
            let wait = every.map_or(MAX_WAIT, |_| due.saturating_sub(self.setup.clock.monotonic()).min(MAX_WAIT));
            if let Ok(reply) = asked.recv_timeout(wait) {
                // The asker may have given up meanwhile.
                let _ = reply.try_send(self.snapshot());
            }
        }
        self.report.set(Condition::Stopped, "");
    }

    fn keep_one(&mut self) {
        let before = self.newest.as_ref().map(|s| s.pts);
        let result = match self.snapshot() {
            // Nothing new to keep: the source says what is wrong.
            Err(Error::NoPicture) => return self.report.set(Condition::Idle, "waits for pictures"),
            Ok(snapshot) if Some(snapshot.pts) == before => return,
            Ok(snapshot) => (self.setup.keep)(&snapshot),
            Err(e) => Err(Chain(&e).to_string()),
        };
        match result {
            Ok(()) => {
                self.report.set(Condition::Running, "");
                self.report.clear(FaultCode::SnapshotFailed);
                self.report.count("snapshots", 1);
            }
            Err(detail) => {
                self.report.set(Condition::Recovering, detail.as_str());
                self.report.raise(FaultCode::SnapshotFailed, detail);
            }
        }
    }

    /// The newest picture as JPEG; two requests for the same picture cost one encode.
    fn snapshot(&mut self) -> Result<Snapshot, Error> {
        let picture = self.setup.pictures.newest().ok_or(Error::NoPicture)?;
        if let Some(newest) = &self.newest
            && newest.pts == picture.pts
        {
            return Ok(newest.clone());
        }
        let jpeg = self.encode(&picture.sample).map_err(Error::Jpeg)?;
        let clock = &self.setup.clock;
        let taken = Timeline::new(clock.monotonic(), clock.wall()).wall(picture.pts);
        let snapshot = Snapshot { jpeg, taken, pts: picture.pts };
        self.newest = Some(snapshot.clone());
        Ok(snapshot)
    }

    fn encode(&mut self, sample: &gst::Sample) -> Result<Bytes, jpeg::Error> {
        let mut encoder = match self.jpeg.take() {
            Some(encoder) => encoder,
            None => jpeg::Encoder::new()?,
        };
        let jpeg = encoder.encode(sample)?;
        // Kept only after success: one that failed is made anew.
        self.jpeg = Some(encoder);
        Ok(jpeg)
    }
}
