//! Gives up the disk for recordings: the storage lets go of it, and a helper that may unmount does so.
//!
//! The daemon has no privileges. systemd starts `systemd/libexec/eject` as root for whoever connects to a socket that only the
//! daemon's user may use; the helper knows one thing, to unmount the one disk, and answers on one line.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::control::{EjectDisk, Ejected, NotEjected};
use crate::storage::Storage;

use super::daemon::Writers;

/// Where the helper is reached, below the root.
const HELPER: &str = "run/windhover-eject.sock";
/// Writers finish in tens of milliseconds on a disk that is well.
const RELEASE_WITHIN: Duration = Duration::from_secs(5);
/// The helper tries for five seconds, and waits for a slow disk to take what the kernel still holds.
const UNMOUNT_WITHIN: Duration = Duration::from_secs(40);
/// It answers with one line.
const LONGEST: u64 = 1024;

pub(super) struct Ejector {
    writers: Arc<Mutex<Writers>>,
    helper: PathBuf,
}

impl Ejector {
    pub(super) fn new(writers: Arc<Mutex<Writers>>, machine: &Path) -> Self {
        Self { writers, helper: machine.join(HELPER) }
    }
}

impl EjectDisk for Ejector {
    fn eject(&self) -> Result<Ejected, NotEjected> {
        let storage = self.writers.lock().expect("nothing panics while it holds this lock").storage.clone();
        let storage = storage.ok_or(NotEjected::NoStorage)?;
        let mount = storage.mount_point().filter(|mount| mount != Path::new("/"));
        let mount = mount.ok_or_else(|| NotEjected::NotADisk(storage.path().to_owned()))?;
        eject(&storage, mount, &self.helper)
    }
}

fn eject(storage: &Storage, mount: PathBuf, helper: &Path) -> Result<Ejected, NotEjected> {
    if !storage.release(RELEASE_WITHIN) {
        storage.resume();
        return Err(NotEjected::Hangs);
    }
    tracing::info!("the disk at {} is given up on order", mount.display());
    match unmount(helper) {
        Ok(Answer::Safe) => Ok(Ejected { mount, safe: true }),
        Ok(Answer::NoHelper) => Ok(Ejected { mount, safe: false }),
        Ok(Answer::Refused(why)) => {
            storage.resume();
            Err(NotEjected::Busy { mount, why })
        }
        Err(e) => {
            storage.resume();
            Err(NotEjected::Busy { mount, why: format!("the helper at {} failed: {e}", helper.display()) })
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Safe,
    Refused(String),
    /// Not on a board: a person unmounts it.
    NoHelper,
}

fn unmount(helper: &Path) -> io::Result<Answer> {
    let mut helper = match UnixStream::connect(helper) {
        Ok(helper) => helper,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(Answer::NoHelper);
        }
        Err(e) => return Err(e),
    };
    helper.set_read_timeout(Some(UNMOUNT_WITHIN))?;
    let mut said = Vec::new();
    helper.by_ref().take(LONGEST).read_to_end(&mut said)?;
    let said = String::from_utf8_lossy(&said);
    let line: String = said.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
    Ok(match line.strip_prefix("busy: ") {
        None if line == "safe" => Answer::Safe,
        Some(why) => Answer::Refused(why.to_owned()),
        None => Answer::Refused(format!("the helper said neither \"safe\" nor \"busy\", but \"{line}\"")),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::base::task;

    #[test]
    fn only_the_word_safe_is_safe() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("eject.sock");
        assert_eq!(unmount(&socket).unwrap(), Answer::NoHelper);
        for (said, want) in [
            (&b"safe\n"[..], Answer::Safe),
            (b"busy: target is busy\nmore\n", Answer::Refused("target is busy".into())),
            (b"", Answer::Refused("the helper said neither \"safe\" nor \"busy\", but \"\"".into())),
            (b"safely\n", Answer::Refused("the helper said neither \"safe\" nor \"busy\", but \"safely\"".into())),
        ] {
            let listener = UnixListener::bind(&socket).unwrap();
            // Stands in for systemd/libexec/eject behind its socket unit.
            let helper = task::thread("helper", move || listener.accept().unwrap().0.write_all(said).unwrap());
            assert_eq!(unmount(&socket).unwrap(), want);
            helper.join().unwrap();
            std::fs::remove_file(&socket).unwrap();
        }
    }
}
