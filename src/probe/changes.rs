//! Tells when devices come, go or change their permissions, as it happens: the kernel reports it (inotify(7)).

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

/// What happens to the nodes of a folder. udev gives a new node its group and mode after it was made, and links last.
#[derive(Debug)]
pub struct Changes(OwnedFd);

impl Changes {
    /// From now on, in `folder`: `/dev`.
    pub fn of(folder: &Path) -> std::io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let what = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVED_TO | WatchFlags::ATTRIB;
        inotify::add_watch(&inotify, folder, what | WatchFlags::ONLYDIR)?;
        Ok(Self(inotify))
    }

    /// Waits up to `timeout` for something that may concern a camera. What happened since the last call counts.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        let timeout = Timespec::try_from(timeout).ok();
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        // Interrupted or failed: as good as nothing; whoever waits looks again by himself.
        matches!(poll(&mut fds, timeout.as_ref()), Ok(1..)) && self.drain()
    }

    /// Takes everything that is reported; true if any of it may concern a camera.
    fn drain(&mut self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.0, &mut buffer);
        let mut concerns = false;
        while let Ok(event) = reader.next() {
            let name = event.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            concerns |= may_concern_a_camera(&name, event.events());
        }
        concerns
    }
}

/// Links may have any name (an integrator's udev rules); permissions are of interest for the nodes alone, because others
/// change all day (terminals). A queue that overflowed may have held anything.
fn may_concern_a_camera(name: &str, what: ReadFlags) -> bool {
    let appears = what.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
    appears || what.contains(ReadFlags::QUEUE_OVERFLOW) || name.starts_with("video") || name == "v4l"
}

#[cfg(test)]
mod tests {
    use std::fs::{File, Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn nodes_that_come_go_and_may_be_opened_are_told_of() {
        let dev = tempfile::tempdir().unwrap();
        let (node, other) = (dev.path().join("video0"), dev.path().join("tty7"));
        File::create(&other).unwrap();
        let mut changes = Changes::of(dev.path()).unwrap();
        assert!(!changes.wait(Duration::ZERO));
        File::create(&node).unwrap();
        assert!(changes.wait(SOON));
        assert!(!changes.wait(Duration::ZERO), "told once");
        set_permissions(&node, Permissions::from_mode(0o660)).unwrap();
        assert!(changes.wait(SOON));
        set_permissions(&other, Permissions::from_mode(0o600)).unwrap();
        std::fs::remove_file(&other).unwrap();
        assert!(!changes.wait(Duration::ZERO), "no camera");
        std::os::unix::fs::symlink(&node, dev.path().join("front")).unwrap();
        assert!(changes.wait(SOON));
        std::fs::remove_file(&node).unwrap();
        assert!(changes.wait(SOON));
        assert!(Changes::of(&node).is_err());
    }
}
