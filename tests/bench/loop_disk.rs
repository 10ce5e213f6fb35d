//! A disk that can be made to fail: ext4 in a loop-mounted file, frozen, filled, turned read-only by the kernel,
//! pulled out and put back, or cut off its power. Needs root.
//!
//! A process that writes to a frozen file system sleeps in the kernel and does not even take SIGKILL, so every way out
//! of here thaws first.

use std::ffi::OsStr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::wait::wait_for;

/// The disk; dropping it thaws, unmounts and removes it.
pub(crate) struct LoopDisk {
    folder: tempfile::TempDir,
    mount: PathBuf,
    device: PathBuf,
}

impl LoopDisk {
    /// Makes and mounts an empty disk of so many MiB; the error says what this machine lacks.
    pub(crate) fn new(mib: u64) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let (image, mount) = (folder.path().join("disk"), folder.path().join("mount"));
        std::fs::create_dir(&mount).map_err(|e| e.to_string())?;
        let file = std::fs::File::create(&image).map_err(|e| e.to_string())?;
        file.set_len(mib << 20).map_err(|e| e.to_string())?;
        run("mkfs.ext4", &["-q".as_ref(), image.as_os_str()])?;
        let device = run("losetup", &["--find".as_ref(), "--show".as_ref(), image.as_os_str()])?;
        let disk = Self { folder, mount, device: PathBuf::from(device.trim()) };
        disk.put_in()?;
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
        run("fsfreeze", &["--freeze".as_ref(), self.mount.as_os_str()]).map(drop)
    }

    /// Writes go on.
    pub(crate) fn thaw(&self) {
        // Not frozen is what is wanted.
        let _ = run("fsfreeze", &["--unfreeze".as_ref(), self.mount.as_os_str()]);
    }

    /// Takes all space but so many MiB, as foreign data does; it is freed when the file that this names is removed.
    pub(crate) fn fill(&self, but_mib: u64) -> Result<PathBuf, String> {
        let space = rustix::fs::statvfs(&self.mount).map_err(|e| e.to_string())?;
        let free = space.f_bavail * space.f_frsize;
        let foreign = self.mount.join("foreign.data");
        let length = free.saturating_sub(but_mib << 20).max(1);
        run("fallocate", &["--length".as_ref(), length.to_string().as_ref(), foreign.as_os_str()])?;
        Ok(foreign)
    }

    /// The kernel finds an error in the file system and turns it read-only, as it does with a failing disk.
    pub(crate) fn fail(&self) -> Result<(), String> {
        let name = self.device.file_name().ok_or("a loop device has a name")?;
        let trigger = Path::new("/sys/fs/ext4").join(name).join("trigger_fs_error");
        std::fs::write(&trigger, "1").map_err(|e| format!("{}: {e}", trigger.display()))
    }

    /// What was not flushed is gone, and nothing can be written or flushed from now on, as when the power goes. The disk
    /// itself keeps its word: it loses nothing that a flush returned for, and what it tears and reorders it does not show.
    pub(crate) fn cut_power(&self) -> Result<(), String> {
        // Of the kernel's ext4 (fs/ext4/ext4.h, also in its documentation of ext4's ioctls): shut down now, and do not
        // even write the journal.
        const EXT4_IOC_SHUTDOWN: libc::Ioctl = 0x8004_587d_u32 as libc::Ioctl;
        let no_log_flush: u32 = 2;
        let root = std::fs::File::open(&self.mount).map_err(|e| e.to_string())?;
        // SAFETY: the descriptor is open, and the kernel reads one u32 from a pointer to one, as the request's code says.
        #[allow(unsafe_code)]
        let done = unsafe { libc::ioctl(root.as_raw_fd(), EXT4_IOC_SHUTDOWN, &raw const no_log_flush) };
        if done == 0 { Ok(()) } else { Err(format!("ext4 shutdown: {}", std::io::Error::last_os_error())) }
    }

    /// The mount point is empty from now on. What has files of it open may go on using them, as with a lazy unmount.
    pub(crate) fn pull_out(&self) -> Result<(), String> {
        run("umount", &["--lazy".as_ref(), self.mount.as_os_str()]).map(drop)
    }

    /// Repairs and mounts it, once nobody holds what is left of the last mount.
    pub(crate) fn put_in(&self) -> Result<(), String> {
        let options = ["-o".as_ref(), "errors=remount-ro".as_ref(), self.device.as_os_str(), self.mount.as_os_str()];
        let probe = self.mount.join(".writable");
        let mut why = String::new();
        let done = wait_for(Duration::from_secs(30), || {
            // 1: errors were corrected. It refuses while the last mount is still in use; then so is what we mount.
            let _ = run("fsck.ext4", &["-p".as_ref(), self.device.as_os_str()]);
            let tried = run("mount", &options).and_then(|_| {
                std::fs::write(&probe, "").and_then(|()| std::fs::remove_file(&probe)).map_err(|e| {
                    let _ = self.pull_out();
                    format!("mounted, but: {e}")
                })
            });
            tried.map_err(|e| why = e).ok().or_else(|| {
                std::thread::sleep(Duration::from_millis(200));
                None
            })
        });
        done.ok_or(format!("{} cannot be mounted: {why}", self.device.display()))
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        self.thaw();
        let mounted =
            || std::fs::read_to_string("/proc/mounts").is_ok_and(|all| all.contains(&*self.mount.to_string_lossy()));
        let unmounted = wait_for(Duration::from_secs(10), || {
            (!mounted()).then_some(()).or_else(|| run("umount", &[self.mount.as_os_str()]).map(drop).ok())
        });
        let _ = run("losetup", &["--detach".as_ref(), self.device.as_os_str()]);
        if unmounted.is_none() {
            eprintln!("{} stays mounted: something in it is still open", self.folder.path().display());
        }
    }
}

fn run(tool: &str, arguments: &[&OsStr]) -> Result<String, String> {
    let out = Command::new("timeout").args(["30", tool]).args(arguments).stdin(Stdio::null()).output();
    let out = out.map_err(|e| format!("{tool}: {e}"))?;
    let complaint = String::from_utf8_lossy(&out.stderr).trim().to_owned();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    if out.status.success() { Ok(said) } else { Err(format!("{tool}: {}: {complaint}", out.status)) }
}
