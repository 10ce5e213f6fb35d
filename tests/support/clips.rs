//! Clips for the file source, made on the spot.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes an H.264 clip of a moving picture: `size` as `640x360`, at 30 fps, a keyframe each second.
pub(crate) fn make(folder: &Path, name: &str, size: &str, seconds: u32) -> PathBuf {
    let path = folder.join(name);
    let picture = format!("testsrc2=size={size}:rate=30:duration={seconds}");
    let status = Command::new("timeout")
        .args(["60", "ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", &picture])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-pix_fmt", "yuv420p"])
        .arg(&path)
        .stdin(std::process::Stdio::null())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "ffmpeg makes a clip: tools/test installs it");
    path
}
