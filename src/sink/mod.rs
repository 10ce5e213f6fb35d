//! Where frames leave.

pub mod rtsp;
pub mod snapshot;
