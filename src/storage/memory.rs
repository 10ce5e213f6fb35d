//! Remembers on which mount point the storage lay.
//!
//! Where the mount point of an SSD stands in neither fstab nor a unit (mounted by a desktop or a script), its absence at
//! a start cannot be told from a fresh directory by looking: the recordings would fill the root file system. So the
//! mount point is written into the state directory, which is on another disk, and must be there the next time. Another
//! disk on the same mount point is welcome: people exchange SSDs.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::mounts::Mounts;

const NAME: &str = "storage.toml";

/// What is remembered of one storage directory.
#[derive(Debug, Clone)]
pub struct Memory {
    file: PathBuf,
    /// The storage directory as it is configured.
    path: PathBuf,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    path: PathBuf,
    mount: PathBuf,
}

impl Memory {
    /// The memory of the storage at `path`, in the state directory.
    pub fn new(state_dir: &Path, path: &Path) -> Self {
        Self { file: state_dir.join(NAME), path: path.to_owned() }
    }

    /// An error if nothing is mounted where the storage was last.
    pub fn check(&self) -> Result<(), Error> {
        match self.read() {
            Some(last) if !Mounts::read().is_present(&last.mount) => Err(Error::missing(
                &self.path,
                format!(
                    "nothing is mounted on {}, where it was last; mount the disk, or remove {} to record without it",
                    last.mount.display(),
                    self.file.display()
                ),
                None,
            )),
            _ => Ok(()),
        }
    }

    /// Takes note of where the storage lies now. A failure costs no more than this guard, so it is a line in the log.
    pub fn remember(&self) {
        let real = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let Some(mount) = Mounts::read().point_of(&real).map(Path::to_owned) else { return };
        let now = Remembered { path: self.path.clone(), mount };
        if self.read().as_ref() != Some(&now)
            && let Err(e) = self.write(&now)
        {
            tracing::warn!("{} cannot be written, a disk that is absent may go unnoticed: {e}", self.file.display());
        }
    }

    /// What is remembered, if it is of this directory. A file that is missing or damaged says nothing.
    fn read(&self) -> Option<Remembered> {
        let text = fs::read_to_string(&self.file).ok()?;
        toml::from_str::<Remembered>(&text).ok().filter(|last| last.path == self.path)
    }

    /// Whole or not at all, also when the power goes.
    fn write(&self, now: &Remembered) -> io::Result<()> {
        let dir = self.file.parent().unwrap_or(Path::new("/"));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let text = toml::to_string(now).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let new = dir.join(format!(".{NAME}.{}", std::process::id()));
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        if let Err(e) = written.and_then(|()| fs::rename(&new, &self.file)) {
            let _ = fs::remove_file(&new);
            return Err(e);
        }
        File::open(dir)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Coded;
    use crate::base::fault::FaultCode;

    #[test]
    fn a_mount_point_without_its_disk_is_remembered_until_somebody_says_otherwise() {
        let (state, video) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let memory = Memory::new(&state.path().join("windhover"), video.path());
        memory.check().unwrap();
        memory.remember();
        let last = memory.read().unwrap();
        assert!(video.path().starts_with(&last.mount), "{last:?}");
        memory.check().unwrap();
        memory.write(&Remembered { mount: video.path().join("ssd"), ..last }).unwrap();
        let error = memory.check().unwrap_err();
        assert_eq!(error.fault(), Some(FaultCode::StorageMissing));
        assert!(error.to_string().contains("remove") && error.to_string().contains(NAME), "{error}");
        // Another directory is another storage, and a damaged memory is none.
        Memory::new(&state.path().join("windhover"), state.path()).check().unwrap();
        fs::write(&memory.file, "path = 7").unwrap();
        memory.check().unwrap();
    }
}
