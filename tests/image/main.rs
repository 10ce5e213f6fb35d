//! The daemon as firmware: the test image (tools/image) in QEMU, with systemd, v4l2, a watchdog, and a disk whose power
//! goes. `tools/test image` builds it and runs these; each test has machines of its own.

mod boot;
mod camera;
mod clock;
mod line;
mod machine;
mod pictures;
mod power;
mod service;
mod ssd;
#[path = "../support/mod.rs"]
mod support;
mod watchdog;
mod write_log;

/// A folder for the disks of a test's machine. Its path is short: a socket's may have 107 characters.
fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("windhover-image-").tempdir().expect("a temporary folder")
}
