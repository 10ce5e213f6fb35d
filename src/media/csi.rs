//! Words of cameras that sit on the board's own connector (CSI): whose software drives them, and where their pictures lie.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The vendor's software between a sensor and the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CameraStack {
    /// NVIDIA's on Jetson: a daemon (nvargus-daemon) and the element nvarguscamerasrc.
    Argus,
    /// The free one of Raspberry Pi and others, inside the process, by the element libcamerasrc.
    Libcamera,
}

impl CameraStack {
    /// The GStreamer element that delivers its pictures.
    pub const fn element(self) -> &'static str {
        match self {
            CameraStack::Argus => "nvarguscamerasrc",
            CameraStack::Libcamera => "libcamerasrc",
        }
    }

    /// Where its pictures lie.
    pub const fn memory(self) -> Memory {
        match self {
            CameraStack::Argus => Memory::Surfaces,
            CameraStack::Libcamera => Memory::System,
        }
    }
}

impl fmt::Display for CameraStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CameraStack::Argus => "argus",
            CameraStack::Libcamera => "libcamera",
        })
    }
}

/// Where the pixels of a raw picture lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Memory {
    /// In memory of the processor.
    System,
    /// In surfaces of an NVIDIA chip, which the processor cannot read: `memory:NVMM` in caps.
    Surfaces,
}

impl Memory {
    /// The name in caps of pictures that lie in surfaces.
    pub const NVMM: &'static str = "memory:NVMM";
}
