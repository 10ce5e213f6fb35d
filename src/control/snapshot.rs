//! A picture of now: made by whoever can, on a thread that may block, within a deadline.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use super::{Control, Error, report};
use crate::base::health::Condition;
use crate::base::id::StreamId;
use crate::base::task;

/// Snapshots made at the same time, over all askers. One JPEG of 720p costs some 5 ms of a core: two keep the
/// camera's pipeline undisturbed on the two cores of the smallest board.
pub(super) const AT_ONCE: usize = 2;

/// A snapshot may take so long, from the question to the answer: a second of the maker, who may block so long, and
/// some time around it.
const LIMIT: Duration = Duration::from_millis(1200);

/// A picture and when it was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// The JPEG file.
    #[serde(serialize_with = "as_bytes")]
    pub jpeg: Bytes,
    /// Capture time, since the Unix epoch.
    pub taken_wall: Duration,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum NoSnapshot {
    /// The stream has no picture now: its source is absent, starting or recovering. Control adds its state.
    #[error("no picture now")]
    NoPicture,
    /// Whoever makes it is busy (with a slow disk, say) and did not answer within its time.
    #[error("not ready in time")]
    Late,
    /// There is a picture, but it could not be made a JPEG.
    #[error("no JPEG could be made")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Makes snapshots.
pub trait TakeSnapshot: Send + Sync {
    /// The newest picture of `stream` as JPEG. May block for at most one second; never called on a thread of the
    /// control runtime, and at most twice at the same time.
    fn snapshot(&self, stream: &StreamId) -> Result<Snapshot, NoSnapshot>;
}

impl Control {
    pub(super) async fn snapshot(&self, stream: StreamId) -> Result<Snapshot, Error> {
        let making = self.make(stream.clone());
        tokio::time::timeout(LIMIT, making).await.unwrap_or(Err(Error::Late { stream, limit: LIMIT }))
    }

    async fn make(&self, stream: StreamId) -> Result<Snapshot, Error> {
        // Held by the thread, not by the asker: a maker that hangs keeps its place and cannot pile up threads.
        let waiting = tokio::time::timeout(LIMIT / 2, self.0.snapshots.clone().acquire_owned());
        let place = waiting.await.map_err(|_| Error::Busy)?.expect("the semaphore is never closed");
        let (maker, id) = (Arc::clone(&self.0.parts.snapshots), stream.clone());
        let thread = task::blocking("snapshot", move || {
            let made = maker.snapshot(&id);
            drop(place);
            made
        });
        match thread.await {
            Ok(Ok(snapshot)) => Ok(snapshot),
            Ok(Err(NoSnapshot::NoPicture)) => Err(self.no_picture(stream)),
            Ok(Err(NoSnapshot::Late)) => Err(Error::Late { stream, limit: LIMIT }),
            Ok(Err(NoSnapshot::Failed(source))) => Err(Error::Snapshot { stream, source }),
            // The maker panicked, or the runtime is ending.
            Err(source) => Err(Error::Snapshot { stream, source: Box::new(source) }),
        }
    }

    fn no_picture(&self, stream: StreamId) -> Error {
        let branches = self.0.parts.health.report();
        let video = report::video(&branches, &stream);
        let first = video.first();
        Error::NoPicture {
            state: first.map_or(Condition::Starting, |b| b.condition),
            detail: first.map(|b| b.detail.clone()).unwrap_or_default(),
            fault: video.iter().flat_map(|b| &b.faults).map(|f| f.code).next(),
            stream,
        }
    }
}

fn as_bytes<S: Serializer>(jpeg: &Bytes, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_bytes(jpeg)
}
