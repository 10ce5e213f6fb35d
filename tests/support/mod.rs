//! What tests and measurements of the whole daemon share: the daemon as a child process, and clients of every kind.

// Each of the binaries that include this uses its own part of it.
#![allow(dead_code)]

pub(crate) mod authority;
pub(crate) mod binary;
pub(crate) mod clips;
pub(crate) mod crowd;
pub(crate) mod daemon;
pub(crate) mod encrypted;
pub(crate) mod http;
pub(crate) mod kills;
pub(crate) mod media_file;
pub(crate) mod player;
pub(crate) mod process;
pub(crate) mod rtp;
pub(crate) mod rtsp;
pub(crate) mod soak;
pub(crate) mod wait;
pub(crate) mod wire;
pub(crate) mod witness;
