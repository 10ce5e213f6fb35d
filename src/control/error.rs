//! Why control cannot answer.

use std::time::Duration;

use crate::base::error::{Coded, Kind};
use crate::base::fault::FaultCode;
use crate::base::health::Condition;
use crate::base::id::StreamId;

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
    /// Too many snapshots are being made at once.
    #[error("too many snapshots are being made at once: try again in a second")]
    Busy,
}

impl Coded for Error {
    fn kind(&self) -> Kind {
        match self {
            Error::UnknownStream { .. } => Kind::NotFound,
            Error::NoPicture { .. } | Error::Late { .. } => Kind::Unavailable,
            Error::Snapshot { .. } => Kind::Failed,
            Error::Busy => Kind::Exhausted,
        }
    }

    fn fault(&self) -> Option<FaultCode> {
        match self {
            Error::NoPicture { fault, .. } => *fault,
            Error::Snapshot { .. } => Some(FaultCode::SnapshotFailed),
            Error::UnknownStream { .. } | Error::Late { .. } | Error::Busy => None,
        }
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
