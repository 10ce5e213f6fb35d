//! Finds out what is there: cameras with their formats, encoders that really encode, cores, the board's device tree.

mod cache;
pub mod changes;
mod csi;
pub mod elements;
mod kernel;
mod monitor;
pub mod self_test;
pub mod v4l2;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::clock::Clock;
use crate::board::Profile;
use crate::media::csi::CameraStack;
use crate::plan::inventory::{Camera, Inventory, Unreadable};

use self::self_test::Command;

/// Why nothing could be found out.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// GStreamer does not start: its libraries are there, its core plugins or registry are not.
    #[error("GStreamer does not start")]
    GStreamer(#[source] gst::glib::Error),
}

/// How many encoders are tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// From the best downwards until one works: what a start needs.
    UntilOneWorks,
    /// All of the profile's table: what a person wants to see.
    All,
}

/// What a probe needs besides the machine.
pub struct Probe<'a> {
    /// The board: its table says which encoders are tested.
    pub profile: &'a Profile,
    /// The stack whose sensors are looked for, see [`crate::plan::stack`].
    pub stack: Option<CameraStack>,
    /// The strings of the device tree, see [`compatible`].
    pub compatible: Vec<String>,
    /// Where results of self-tests are kept.
    pub state_dir: &'a Path,
    /// The program that tests one encoder: this one, with a hidden subcommand.
    pub command: Command,
    /// For deadlines.
    pub clock: Arc<dyn Clock>,
    /// How many encoders are tested.
    pub depth: Depth,
}

impl Probe<'_> {
    /// Looks at everything. Takes milliseconds when the self-tests are cached, else up to 5 s per encoder.
    pub fn inventory(self) -> Result<Inventory, ProbeError> {
        gst::init().map_err(ProbeError::GStreamer)?;
        let version = gst::version_string();
        let (cameras, unreadable) = cameras();
        Ok(Inventory {
            provenance: format!("captured by windhover {} with {version}", env!("CARGO_PKG_VERSION")),
            cores: std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
            cameras,
            unreadable,
            csi: self.stack.map(|stack| csi::cameras(stack, &v4l2::Kernel)).unwrap_or_default(),
            elements: elements::besides(&self),
            encoders: elements::encoders(&self),
            compatible: self.compatible,
        })
    }
}

/// The cameras that are there now, in the order of their numbers, and the nodes that may be cameras and do not answer.
pub fn cameras() -> (Vec<Camera>, Vec<Unreadable>) {
    v4l2::cameras(&v4l2::Kernel)
}

/// The device-tree strings of this machine, most specific first; none on a PC.
pub fn compatible() -> Vec<String> {
    compatible_in(&PathBuf::from("/proc/device-tree/compatible"))
}

/// The same from a given file: strings, each ended by a NUL byte.
fn compatible_in(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let strings = bytes.split(|b| *b == 0).filter(|s| !s.is_empty());
    strings.take(64).map(|s| String::from_utf8_lossy(s).trim().to_owned()).collect()
}

#[cfg(test)]
mod tests;
