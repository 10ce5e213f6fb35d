//! Cameras that fail, by stand-ins for the element and the kernel (constructed, not captured): each failure is a known
//! state with a code, and the picture is back soon after the device is.

// All of it is test code; clippy knows that only of functions marked as tests.
#![allow(clippy::unwrap_used)]

mod controls;
mod decode;
mod kernel;
mod rig;
mod slate;
mod stand_in;
mod states;
