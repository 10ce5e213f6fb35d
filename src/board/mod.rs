//! Facts about boards, and which board this is. The facts are TOML files in `board/`, compiled in.

mod detect;
pub mod network;
mod profile;
pub mod reset;

pub use detect::{Board, UnknownBoard, detect};
pub use profile::{
    CameraDefaults, Denied, Detect, Firmware, Most, Note, Profile, RankedEncoder, Surfaces, Watchdog, is_named,
    profiles,
};
