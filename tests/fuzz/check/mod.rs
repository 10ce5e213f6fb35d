//! What holds for every input of every parser: one function per fuzz target. The targets in `../targets` feed them
//! what a fuzzer invents; `../main.rs` feeds them the committed inputs on every test run.

mod camera;
#[path = "../../../src/base/crc.rs"]
mod crc;
mod disk;
mod draw;
#[path = "../../../src/storage/mp4/plain.rs"]
mod plain;
mod recording;
mod settings;
mod video;
mod words;

pub use camera::{devices, inventory};
pub use recording::{recover, segment};
pub use settings::{config, environment};
pub use video::{split, stamp};
pub use words::{mounts, names, network, redact, units};

/// A check of one input; a panic is a finding.
pub type Check = fn(&[u8]);

/// Every target with its check.
pub const TARGETS: &[(&str, Check)] = &[
    ("config", config),
    ("devices", devices),
    ("environment", environment),
    ("inventory", inventory),
    ("mounts", mounts),
    ("names", names),
    ("network", network),
    ("recover", recover),
    ("redact", redact),
    ("segment", segment),
    ("split", split),
    ("stamp", stamp),
    ("units", units),
];
