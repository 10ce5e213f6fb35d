//! Giving up the disk for recordings, so that a person can pull it.

use std::path::PathBuf;

use serde::Serialize;

use super::{Control, Error};
use crate::base::task;

/// What came of giving the disk up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ejected {
    /// Where it is, or was, mounted.
    pub mount: PathBuf,
    /// It is unmounted: it may be pulled. False where nobody unmounts it here, and a person has to.
    pub safe: bool,
}

/// Why the disk was not given up. Recording goes on.
#[derive(Debug, thiserror::Error)]
pub enum NotEjected {
    /// Neither recordings nor snapshots are kept.
    #[error("nothing is recorded here, so there is no disk to give up")]
    NoStorage,
    /// The storage lies where the system itself lies, or its disk is not there.
    #[error("{} is not on a disk of its own, or its disk is not mounted: there is nothing to pull", .0.display())]
    NotADisk(PathBuf),
    /// A file is still being written, and does not come to its end.
    #[error("the disk does not answer: what is being written cannot be finished. Recording goes on if it can")]
    Hangs,
    /// It cannot be unmounted.
    #[error("{} cannot be unmounted, and recording goes on: {why}", mount.display())]
    Busy {
        /// The mount point.
        mount: PathBuf,
        /// Who says why not.
        why: String,
    },
}

/// Gives up the disk.
pub trait EjectDisk: Send + Sync {
    /// Finishes what is recorded and has the disk unmounted. May block for half a minute; never called on a thread of the
    /// control runtime, and never twice at a time.
    fn eject(&self) -> Result<Ejected, NotEjected>;
}

impl Control {
    pub(super) async fn eject(&self) -> Result<Ejected, Error> {
        // Held by the thread: one whose asker is gone goes on.
        let alone = self.0.ejecting.clone().try_acquire_owned().map_err(|_| Error::Ejecting)?;
        let disk = self.0.parts.disk.clone();
        let ejecting = task::blocking("eject", move || {
            let ejected = disk.eject();
            drop(alone);
            ejected
        });
        // It panicked, or the runtime is ending.
        ejecting.await.map_err(|_| Error::Ending)?.map_err(Error::NotEjected)
    }
}
