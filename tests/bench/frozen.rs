//! A disk that can be made to stand still: ext4 in a loop-mounted file, frozen with fsfreeze. Needs root.
//!
//! A process that writes to a frozen file system sleeps in the kernel and does not even take SIGKILL, so every way out
//! of here thaws first.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::wait::wait_for;

/// The disk; dropping it thaws, unmounts and removes it.
pub(crate) struct FrozenDisk {
    folder: tempfile::TempDir,
    mount: PathBuf,
}

impl FrozenDisk {
    /// Makes and mounts an empty disk of 256 MiB; the error says what this machine lacks.
    pub(crate) fn new() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let (image, mount) = (folder.path().join("disk"), folder.path().join("mount"));
        std::fs::create_dir(&mount).map_err(|e| e.to_string())?;
        let file = std::fs::File::create(&image).map_err(|e| e.to_string())?;
        file.set_len(256 << 20).map_err(|e| e.to_string())?;
        run("mkfs.ext4", &["-q".as_ref(), image.as_os_str()])?;
        run("mount", &["-o".as_ref(), "loop".as_ref(), image.as_os_str(), mount.as_os_str()])?;
        let disk = Self { folder, mount };
        disk.freeze()?;
        disk.thaw();
        Ok(disk)
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }

    /// From now on writes wait.
    pub(crate) fn freeze(&self) -> Result<(), String> {
        run("fsfreeze", &["--freeze".as_ref(), self.mount.as_os_str()])
    }

    /// Writes go on.
    pub(crate) fn thaw(&self) {
        // Not frozen is what is wanted.
        let _ = run("fsfreeze", &["--unfreeze".as_ref(), self.mount.as_os_str()]);
    }
}

impl Drop for FrozenDisk {
    fn drop(&mut self) {
        self.thaw();
        let unmounted = wait_for(Duration::from_secs(10), || run("umount", &[self.mount.as_os_str()]).ok());
        if unmounted.is_none() {
            eprintln!("{} stays mounted: something in it is still open", self.folder.path().display());
        }
    }
}

fn run(tool: &str, arguments: &[&std::ffi::OsStr]) -> Result<(), String> {
    let out = Command::new("timeout").args(["30", tool]).args(arguments).stdin(Stdio::null()).output();
    let out = out.map_err(|e| format!("{tool}: {e}"))?;
    let complaint = String::from_utf8_lossy(&out.stderr).trim().to_owned();
    if out.status.success() { Ok(()) } else { Err(format!("{tool}: {}: {complaint}", out.status)) }
}
