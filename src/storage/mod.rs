//! Recordings and snapshots on disk: where they lie, how they are written so that a power cut does no harm, what is
//! finished after a crash, and what is deleted when.
//!
//! [`Storage`] is the one handle for all streams: it opens the volume, again and again while it is away, and keeps it
//! in order on a thread of its own. Writers ask it for the [`Volume`] and write on their own threads.

pub mod age;
pub mod catalog;
pub mod disk;
mod error;
pub mod format;
mod keeper;
pub mod layout;
pub mod mark;
mod marker;
pub mod memory;
pub mod mounts;
pub mod mp4;
pub(crate) mod mux;
pub mod recover;
pub mod retention;
pub mod segment;
pub mod volume;

pub use error::Error;
pub use keeper::{Setup, Storage, start};
pub use volume::Volume;
