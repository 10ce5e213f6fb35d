//! The program under test, with nothing of this machine's in its environment.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::wait::now;

/// The binary under test: the one cargo built, or another that WINDHOVER_BINARY names (a copy that a long run keeps while
/// the next one is built).
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("WINDHOVER_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_windhover").into(), PathBuf::from)
}

/// The daemon's binary with an environment of its own below `folder`. What is slow to make and the same for all, the
/// GStreamer registry and the results of encoder tests, is shared by all tests.
pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut command = Command::new(binary());
    command.args(arguments).env("GST_REGISTRY", shared.join("gstreamer-registry.bin"));
    command.env("XDG_STATE_HOME", shared.join("state"));
    for (name, below) in [("XDG_CONFIG_HOME", "config"), ("XDG_CACHE_HOME", "cache"), ("XDG_DATA_HOME", "data")] {
        command.env(name, folder.join(below));
    }
    let runtime = folder.join(format!("run-{}", now().as_nanos()));
    std::fs::create_dir_all(&runtime).expect("the temporary folder can be written");
    command.env("XDG_RUNTIME_DIR", runtime).env("HOME", folder).current_dir(folder);
    for name in ["CAMERA", "VIDEO_FPS", "VIDEO_WIDTH", "VIDEO_HEIGHT", "VIDEO_BITRATE", "ENABLE_RTSP", "ENABLE_VIDEO"] {
        command.env_remove(name);
    }
    command.env_remove("ENABLE_IMAGES").env_remove("SSD_PATH").env_remove("NOTIFY_SOCKET").env_remove("RUST_LOG");
    command
}
