//! The steps of opening a storage directory: where it is, whether it may be made, locked and written.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, Stat};

use crate::storage::disk::Directory;
use crate::storage::error::Error;
use crate::storage::mounts::Mounts;

/// Size in bytes of the file system that `path` lies on, or will lie on once it is made.
pub fn capacity(path: &Path) -> std::io::Result<u64> {
    let there = path.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    let stat = rustix::fs::statvfs(there)?;
    Ok(stat.f_blocks.saturating_mul(stat.f_frsize))
}

/// The path without links, of a directory that is there or whose parent is, and not below an unmounted mount point.
/// Only the last component is ever made: a disk that is mounted on demand (below `/media`, say) brings its mount
/// point with it, and while it is away a made-up one would fill the root file system.
pub(super) fn place(path: &Path) -> Result<PathBuf, Error> {
    if !path.is_absolute() {
        return Err(Error::missing(path, "the path is not absolute; begin it with \"/\"", None));
    }
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let (parent, name) = (path.parent().unwrap_or(path), path.file_name().unwrap_or_default());
            let why = || {
                let parent = parent.display();
                format!("{parent} is not there; mount the disk, make the directory, or correct storage.path")
            };
            parent.canonicalize().map_err(|e| Error::missing(path, why(), Some(e)))?.join(name)
        }
        Err(e) => return Err(Error::missing(path, "it cannot be reached", Some(e))),
    };
    match Mounts::read().missing_for(&real) {
        Some(point) => Err(Error::missing(path, format!("nothing is mounted on {}", point.display()), None)),
        None => Ok(real),
    }
}

/// Device and inode of the directory at `path`, if it is there and on the mount point it is meant for.
pub(in crate::storage) fn place_of(path: &Path) -> Option<(u64, u64)> {
    let stat = rustix::fs::stat(&place(path).ok()?).ok()?;
    Some((stat.st_dev, stat.st_ino))
}

pub(super) fn make_directory(path: &Path, real: &Path) -> Result<(), Error> {
    let why = "it is not there and cannot be made";
    let made = std::fs::create_dir(real).and_then(|()| match real.parent() {
        Some(parent) => std::fs::File::open(parent)?.sync_all(),
        None => Ok(()),
    });
    made.map_err(|e| Error::missing(path, why, Some(e)))
}

pub(super) fn open_directory(path: &Path, real: &Path) -> Result<Arc<Directory>, Error> {
    Directory::open(real).map(Arc::new).map_err(|e| Error::missing(path, "it cannot be opened", Some(e)))
}

pub(super) fn lock(path: &Path, directory: &Directory) -> Result<(), Error> {
    match rustix::fs::flock(directory.fd(), FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Busy(path.to_owned())),
        locked => locked.map_err(|e| Error::missing(path, "it cannot be locked", Some(e.into()))),
    }
}

/// Explicitly: a lock ends with its last descriptor, of which a child process that is being started holds a copy.
pub(super) fn unlock(path: &Path, directory: &Directory) {
    if let Err(e) = rustix::fs::flock(directory.fd(), FlockOperation::Unlock) {
        tracing::debug!("cannot unlock {}: {e}", path.display());
    }
}

pub(super) fn writable(path: &Path, directory: &Directory) -> Result<(), Error> {
    use rustix::fs::{Access, AtFlags};
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    let why = "it cannot be written; check its owner, and that the disk is not mounted read-only";
    rustix::fs::accessat(directory.fd(), ".", wanted, AtFlags::EACCESS)
        .map_err(|e| Error::missing(path, why, Some(e.into())))
}

/// Writes to the directory, its times: a file system that has turned read-only after an error of its disk (ext4's
/// `emergency_ro`) still says that it may be written, and only a write tells.
pub(super) fn touch(path: &Path, directory: &Directory) -> Result<(), Error> {
    use rustix::fs::{Timespec, Timestamps, UTIME_NOW};
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    // Both of them "now": that takes the right to write, not the ownership.
    let now = Timestamps { last_access: now, last_modification: now };
    rustix::fs::futimens(directory.fd(), &now).map_err(|e| Error::io("write to", path)(e.into()))
}

pub(super) fn stat(path: &Path, directory: &Directory) -> Result<Stat, Error> {
    rustix::fs::fstat(directory.fd()).map_err(|e| Error::missing(path, "it cannot be examined", Some(e.into())))
}
