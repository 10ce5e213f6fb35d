//! Why control cannot answer.

use std::time::Duration;

use crate::base::error::{Coded, Kind};
use crate::base::fault::FaultCode;
use crate::base::health::Condition;
use crate::base::id::StreamId;
use crate::config::problem::Problems;

/// Why control cannot answer a query.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plan has no such stream.
    #[error("there is no stream \"{stream}\": {}", list(known))]
    UnknownStream {
        /// What was asked for.
        stream: StreamId,
        /// What there is.
        known: Vec<StreamId>,
    },
    /// The stream has no picture now.
    #[error("stream \"{stream}\" has no picture now: it is {}{}", word(*state), sep(detail))]
    NoPicture {
        /// The stream.
        stream: StreamId,
        /// What it is doing.
        state: Condition,
        /// What it says of itself.
        detail: String,
        /// What is wrong with it, if it says so.
        fault: Option<FaultCode>,
    },
    /// There is a picture, but it could not be made a JPEG.
    #[error("the snapshot of stream \"{stream}\" failed")]
    Snapshot {
        /// The stream.
        stream: StreamId,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The snapshot took longer than it may.
    #[error("the snapshot of stream \"{stream}\" was not ready within {limit:?}: try again")]
    Late {
        /// The stream.
        stream: StreamId,
        /// How long it may take.
        limit: Duration,
    },
    /// The configuration is wrong, or not for now: nothing was changed.
    #[error("nothing was changed, the configuration has {}", count(problems))]
    Refused {
        /// All that is wrong.
        problems: Problems,
    },
    /// What would run could not be found out.
    #[error("nothing was changed: {why}")]
    NotPrepared {
        /// Why not.
        why: String,
    },
    /// Enough others wait for a reload.
    #[error("others wait for a reload already: try again in a second")]
    Reloading,
    /// The disk for recordings was not given up.
    #[error("the disk was not given up")]
    NotEjected(#[source] super::NotEjected),
    /// Somebody else is ejecting it.
    #[error("the disk is being given up already: try again in a second")]
    Ejecting,
    /// The daemon ends.
    #[error("the daemon is ending: nothing is changed any more")]
    Ending,
    /// Too many snapshots are being made at once.
    #[error("too many snapshots are being made at once: try again in a second")]
    Busy,
}

impl Coded for Error {
    fn kind(&self) -> Kind {
        match self {
            Error::UnknownStream { .. } => Kind::NotFound,
            Error::NoPicture { .. } | Error::Late { .. } => Kind::Unavailable,
            Error::Snapshot { .. } | Error::NotPrepared { .. } | Error::NotEjected(_) => Kind::Failed,
            Error::Refused { .. } => Kind::Config,
            Error::Ending => Kind::Unavailable,
            Error::Busy | Error::Reloading | Error::Ejecting => Kind::Exhausted,
        }
    }

    fn fault(&self) -> Option<FaultCode> {
        match self {
            Error::NoPicture { fault, .. } => *fault,
            Error::Snapshot { .. } => Some(FaultCode::SnapshotFailed),
            Error::Refused { .. } => Some(FaultCode::ConfigRefused),
            Error::UnknownStream { .. } | Error::Late { .. } | Error::Busy => None,
            Error::NotPrepared { .. } | Error::Reloading | Error::Ending => None,
            Error::NotEjected(_) | Error::Ejecting => None,
        }
    }
}

fn count(problems: &Problems) -> String {
    match problems.len() + problems.not_shown() {
        1 => "1 problem".into(),
        n => format!("{n} problems"),
    }
}

fn list(known: &[StreamId]) -> String {
    let names: Vec<&str> = known.iter().map(StreamId::as_str).collect();
    if names.is_empty() { "there are no streams".into() } else { format!("there is {}", names.join(", ")) }
}

fn word(state: Condition) -> String {
    format!("{state:?}").to_lowercase()
}

fn sep(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(" ({detail})") }
}
