//! The recorder: one stream into segment files that survive a power cut.
//!
//! A plain thread takes pictures from the hub through a lossless reader of its own and writes a fragment every 0.35 s,
//! each made durable by one fdatasync. Where no keyframe comes by itself, it asks for one, and cuts there. A disk that
//! is slow, blocked, full or gone holds up this thread and nothing else: its queue fills, what does not fit is
//! dropped, and the recording goes on in a new run, whose first file says how many pictures are missing before it.
//!
//! What is lost: by a killed process, the pictures of the last half second; by a power cut, those of the last second;
//! of a finished segment, nothing. `crash` and `muxed` (the tests) cut the file at every write, at bytes within writes,
//! and at every reordering between two flushes; `faults` lets every step fail.

mod actor;
mod cut;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::base::clock::Clock;
use crate::base::fault::FaultCode;
use crate::base::health::{Condition, Health, Reporter};
use crate::base::heartbeat::Heartbeat;
use crate::base::id::StreamId;
use crate::base::shutdown::{Shutdown, Stop};
use crate::base::task;
use crate::hub::{Hub, Policy};
use crate::plan::RecordPlan;
use crate::storage::Storage;

/// The queue in front of the disk, in bytes: 10 s at 50 Mbit/s.
const QUEUE_BYTES: usize = 64 << 20;
/// A disk that has not answered for so long is reported as blocked.
const BLOCKED_AFTER: Duration = Duration::from_secs(2);

/// What a recorder needs.
pub struct Setup {
    /// The stream that is recorded.
    pub stream: StreamId,
    /// Length of segments, depth of the queue.
    pub plan: RecordPlan,
    /// Where to.
    pub storage: Storage,
    /// Where from.
    pub hub: Hub,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The book in which it has the page `<stream>/record`.
    pub health: Health,
}

/// A running recorder. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    heartbeat: Heartbeat,
    attempt: Heartbeat,
    stop: Shutdown,
    stopped: Shutdown,
    reporter: Reporter,
    /// True while the disk is reported not to answer.
    blocked: Arc<AtomicBool>,
}

/// Starts the recorder of one stream. It runs until [`Handle::stop`].
pub fn start(setup: Setup) -> Handle {
    let handle = Handle {
        heartbeat: Heartbeat::new(),
        attempt: Heartbeat::new(),
        stop: Shutdown::new(),
        stopped: Shutdown::new(),
        reporter: setup.health.reporter(format!("{}/record", setup.stream)),
        blocked: Arc::default(),
    };
    let policy = Policy::Lossless { depth: setup.plan.buffer, bytes: QUEUE_BYTES };
    // Subscribed here, not on the thread: what is published after this call is recorded.
    let reader = setup.hub.subscribe(policy, false);
    let mut actor = actor::Actor::new(setup, reader, handle.clone());
    let stopped = Ended(handle.stopped.clone());
    let name = format!("rec-{}", actor.stream());
    task::kept(&name, handle.reporter.clone(), handle.stop.clone(), move || {
        // Owned by the body, which ends with the thread and not with a panic.
        let _stopped = &stopped;
        actor.run();
    });
    handle
}

impl Handle {
    /// Finishes the open segment and ends the recorder, whether or not pictures still come. False if a disk that does
    /// not answer held it longer than `deadline`; the segment is then finished at the next start.
    pub fn stop(&self, deadline: Duration) -> bool {
        self.stop.trigger(Stop::Graceful);
        self.stopped.wait(deadline)
    }

    /// Beats with every fragment that became durable.
    pub fn heartbeat(&self) -> Heartbeat {
        self.heartbeat.clone()
    }

    /// Says "Recovering" on the recorder's page and raises `REC-004` if its thread is stuck in a disk that does not
    /// answer: it cannot say so itself. To be called about once a second; the thread takes the fault back when the disk
    /// has answered, and the next fragment that becomes durable says "Running" again.
    pub fn watch(&self, now: Duration) {
        let Some(age) = self.attempt.age(now).filter(|age| *age > BLOCKED_AFTER) else { return };
        if self.stopped.asked().is_none() {
            let detail = format!("the disk has not answered for {} s", age.as_secs());
            self.reporter.raise(FaultCode::WriteFailed, detail.as_str());
            self.reporter.set(Condition::Recovering, detail);
            // Behind the fault: the thread may be back already, and must not look between the two.
            self.blocked.store(true, Ordering::Release);
        }
    }
}

/// Says that the thread has ended.
struct Ended(Shutdown);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.trigger(Stop::Graceful);
    }
}

#[cfg(test)]
mod tests;
