//! What the handle of the storage and its keeper share, and how one wakes the other.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::base::health::Reporter;
use crate::base::heartbeat::Heartbeat;
use crate::base::shutdown::Shutdown;
use crate::plan::StoragePlan;

use crate::storage::retention::Limits;
use crate::storage::volume::Volume;

/// What the handle and the keeper have in common.
pub(super) struct Shared {
    pub(super) path: PathBuf,
    /// What to keep: read with every look, so that it can be changed.
    pub(super) plan: Mutex<StoragePlan>,
    /// Beats with every look at the disk; stands still while the disk does not answer.
    pub(super) heartbeat: Heartbeat,
    pub(super) reporter: Reporter,
    /// Ends the pause of a keeper that panicked.
    pub(super) stop: Shutdown,
    pub(super) slot: Mutex<Slot>,
    pub(super) changed: Condvar,
}

#[derive(Default)]
pub(super) struct Slot {
    pub(super) volume: Option<Arc<Volume>>,
    /// A writer had an error: look now.
    pub(super) poked: bool,
    pub(super) stop: bool,
    pub(super) stopped: bool,
    pub(super) release: Release,
}

/// Whether the disk is to be given up, for whoever is to pull it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Release {
    #[default]
    No,
    /// It is wanted.
    Asked,
    /// It is done: nothing is open on the disk.
    Done,
}

/// Why a sleep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    Time,
    Poked,
    Stop,
}

/// Says that the thread has ended.
pub(super) struct Ended(pub(super) Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    pub(super) fn plan(&self) -> StoragePlan {
        self.plan.lock().expect("nothing panics while it holds this lock").clone()
    }

    pub(super) fn limits(&self) -> Limits {
        let plan = self.plan();
        Limits { keep_free: plan.keep_free.bytes(), max_age: plan.max_age, min_keep: plan.min_keep }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().expect("nothing panics while it holds this lock")
    }

    pub(super) fn is_released(&self) -> bool {
        self.lock().release != Release::No
    }

    /// Sleeps until somebody pokes or stops; says which.
    pub(super) fn sleep(&self, time: Duration) -> Woken {
        let wait = self.changed.wait_timeout_while(self.lock(), time, |s| !s.poked && !s.stop);
        let mut slot = wait.expect("nothing panics while it holds this lock").0;
        match (slot.stop, std::mem::take(&mut slot.poked)) {
            (true, _) => Woken::Stop,
            (false, true) => Woken::Poked,
            (false, false) => Woken::Time,
        }
    }
}
