//! Windhover: the firmware of a drone's camera computer.
//!
//! The modules are the rooms of a house, listed here floor by floor. A room uses rooms on lower floors only;
//! `tests/tidy` holds the floors up.
//!
#![doc = include_str!("docs/architecture.md")]

#[cfg(doc)]
#[doc = include_str!("docs/faults.md")]
pub mod faults {}
#[cfg(doc)]
#[doc = include_str!("docs/glossary.md")]
pub mod glossary {}

// Floor 0: words everybody uses.
pub mod base;
// Floor 1: words of video.
pub mod media;
// Floor 2: what is wanted, what the box is, who may watch.
pub mod auth;
pub mod board;
pub mod config;
// Floor 3: what will run, and the one room that spells GStreamer.
pub mod gst;
pub mod plan;
// Floor 4: the rooms a frame walks through.
pub mod encode;
pub mod hub;
pub mod probe;
pub mod source;
pub mod storage;
// Floor 5: the camera assembled, the outlets, the watch.
pub mod pipeline;
pub mod sink;
pub mod supervise;
// Floor 6: what can be asked of the house.
pub mod control;
// Floor 7: the doors.
pub mod http;
// Floor 8: wiring.
pub mod app;
// Floor 9: the command line.
pub mod cli;
