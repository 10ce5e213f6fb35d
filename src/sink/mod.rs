//! Where frames leave: one room for each kind of reader of the hub.

pub mod record;
pub mod rtsp;
pub mod snapshot;
