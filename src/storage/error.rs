//! What can be wrong with the storage, and the fault code of each.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::error::{Coded, Kind};
use crate::base::fault::FaultCode;

use super::disk::Linked;

/// An error of the storage room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not there, not mounted, not writable, or no longer the one that was opened.
    #[error("storage {}: {why}", path.display())]
    Missing {
        /// The storage directory.
        path: PathBuf,
        /// What is wrong and what to do.
        why: String,
        /// What the system said, if it was asked.
        #[source]
        source: Option<io::Error>,
    },
    /// Holds something that we did not put there.
    #[error("storage {}: {why}", path.display())]
    Foreign {
        /// The storage directory.
        path: PathBuf,
        /// What was found and what to do.
        why: String,
    },
    /// Locked by another process.
    #[error("storage {}: another daemon records into it; stop that one, or give this one a path of its own", .0.display())]
    Busy(PathBuf),
    /// Too little room to go on.
    #[error("storage {}: {free} bytes are left; delete what is not ours, or lower storage.min_keep", path.display())]
    Full {
        /// The storage directory.
        path: PathBuf,
        /// Free bytes.
        free: u64,
    },
    /// One file operation failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// The operation: "write", "rename".
        doing: &'static str,
        /// The file or directory, relative to the storage directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The element that makes the container is missing or failed.
    #[error("the recording cannot be made")]
    Muxer(#[source] crate::gst::Error),
    /// A picture or stream that cannot be put into a file.
    #[error("{what} cannot be stored in a file")]
    Unfit {
        /// What it is.
        what: &'static str,
        /// Which box refused it.
        #[source]
        source: mp4_atom::Error,
    },
}

impl Error {
    /// Turns the error of a file operation into ours.
    pub(crate) fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }

    /// The storage as a whole takes nothing now, which its own page says, with a fault.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Foreign { .. } | Self::Busy(_) | Self::Full { .. })
    }

    pub(super) fn missing(path: &Path, why: impl Into<String>, source: Option<io::Error>) -> Self {
        Self::Missing { path: path.to_owned(), why: why.into(), source }
    }
}

impl Coded for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. } | Self::Foreign { .. } | Self::Busy(_) => Kind::Unavailable,
            Self::Io { source, .. } if is_linked(source) => Kind::Unavailable,
            Self::Full { .. } => Kind::Exhausted,
            Self::Io { source, .. } if is_full(source) => Kind::Exhausted,
            Self::Io { .. } | Self::Muxer(_) | Self::Unfit { .. } => Kind::Failed,
        }
    }

    fn fault(&self) -> Option<FaultCode> {
        Some(match self {
            Self::Missing { .. } => FaultCode::StorageMissing,
            Self::Foreign { .. } => FaultCode::StorageForeign,
            Self::Busy(_) => FaultCode::StorageBusy,
            Self::Full { .. } => FaultCode::StorageFull,
            Self::Io { source, .. } if is_linked(source) => FaultCode::StorageForeign,
            Self::Io { source, .. } if is_full(source) => FaultCode::StorageFull,
            Self::Io { source, .. } if is_gone(source) => FaultCode::StorageMissing,
            Self::Io { .. } | Self::Muxer(_) | Self::Unfit { .. } => FaultCode::WriteFailed,
        })
    }
}

fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A link stands where a directory of ours should be.
pub(super) fn is_linked(e: &io::Error) -> bool {
    e.get_ref().is_some_and(|inner| inner.is::<Linked>())
}

/// The device was unplugged, or the kernel has remounted it read-only after errors.
fn is_gone(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::ReadOnlyFilesystem
        || matches!(e.raw_os_error(), Some(libc::ENODEV | libc::ENXIO | libc::ESHUTDOWN))
}
