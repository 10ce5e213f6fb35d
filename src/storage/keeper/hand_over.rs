//! Giving the disk up on order, so that it can be unmounted and pulled, and using it again when it is back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::base::health::Condition;
use crate::storage::memory::Memory;
use crate::storage::mounts::Mounts;
use crate::storage::volume::{Volume, place_of};

use super::shared::{Release, Woken};
use super::{Keeper, LOOK_EVERY, Storage, UNUSABLE};

/// Recorders look every 0.1 s, and finish their segments in tens of milliseconds on a disk that is well.
const STEP: Duration = Duration::from_millis(20);
const STEPS: u32 = 150;

/// Device and inode of the storage directory.
type Place = (u64, u64);

impl Storage {
    /// Has the writers finish what is open, and gives the directory up. True when nothing here has a file open on the disk
    /// any more; false if that took longer than `deadline`. It is used again when the disk was away and is back, when
    /// another is in its place, or after [`resume`](Self::resume).
    pub fn release(&self, deadline: Duration) -> bool {
        self.ask(Release::Asked);
        let wait = self.0.changed.wait_timeout_while(self.0.lock(), deadline, |slot| slot.release == Release::Asked);
        wait.expect("nothing panics while it holds this lock").0.release == Release::Done
    }

    /// Uses the disk again: it was not unmounted after all.
    pub fn resume(&self) {
        self.ask(Release::No);
    }

    fn ask(&self, release: Release) {
        let mut slot = self.0.lock();
        (slot.release, slot.poked) = (release, true);
        drop(slot);
        self.0.changed.notify_all();
    }

    /// The storage directory, as it is configured.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The mount point on which the storage lies now.
    pub fn mount_point(&self) -> Option<PathBuf> {
        let real = self.0.path.canonicalize().ok()?;
        Mounts::read().point_of(&real).map(PathBuf::from)
    }
}

impl Keeper {
    /// Takes the volume from the writers, with whole files. One that hangs in the disk is cut off.
    pub(super) fn hand_over(&mut self, volume: Arc<Volume>) {
        self.shared.lock().volume = None;
        volume.ask_back();
        for _ in 0..STEPS {
            if Arc::strong_count(&volume) == 1 || self.shared.stop.wait(STEP) {
                break;
            }
        }
        volume.close();
        self.given_up.push(volume);
        self.let_go(None);
    }

    /// Waits until the disk was away and is back; true if the daemon ends before.
    pub(super) fn wait_for_return(&mut self) -> bool {
        let held = self.is_there();
        UNUSABLE.into_iter().for_each(|code| self.reporter.clear(code));
        self.reporter.set(Condition::Absent, "given up on order, to be pulled; it is used again when it is back");
        {
            let mut slot = self.shared.lock();
            // A writer that hangs in the disk has files open on it: whoever asked waits for it in vain.
            if slot.release == Release::Asked && self.given_up.is_empty() {
                slot.release = Release::Done;
            }
        }
        self.shared.changed.notify_all();
        let mut away = held.is_none();
        loop {
            if self.shared.sleep(LOOK_EVERY / 4) == Woken::Stop {
                return true;
            }
            self.shared.heartbeat.tick(self.clock.monotonic());
            let now = self.is_there();
            away |= now != held;
            let mut slot = self.shared.lock();
            if now.is_some() && away {
                slot.release = Release::No;
            }
            if slot.release == Release::No {
                return false;
            }
        }
    }

    /// Where the storage directory lies, if its disk is mounted.
    fn is_there(&self) -> Option<Place> {
        self.memory.as_ref().map_or(Ok(()), Memory::check).ok()?;
        place_of(&self.shared.path)
    }
}
