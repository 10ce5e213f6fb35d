//! A real directory whose disk blocks, fills or fails on command.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use crate::storage::disk::{Directory, Disk, DiskFile, Item};

/// How the disk feels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    /// Every write hangs until it is well again.
    Blocked,
    /// Writes fail with ENOSPC.
    Full,
    /// Writes fail with EIO.
    Broken,
    /// Only making names durable fails, with EIO.
    Nameless,
}

#[derive(Clone)]
pub(super) struct FaultyDisk {
    inner: Arc<Directory>,
    gate: Arc<Gate>,
}

struct Gate {
    state: Mutex<(Mood, u32)>,
    changed: Condvar,
}

impl FaultyDisk {
    pub(super) fn open(path: &Path) -> Self {
        let gate = Gate { state: Mutex::new((Mood::Well, 0)), changed: Condvar::new() };
        Self { inner: Arc::new(Directory::open(path).unwrap()), gate: Arc::new(gate) }
    }

    pub(super) fn set(&self, mood: Mood) {
        self.gate.state.lock().unwrap().0 = mood;
        self.gate.changed.notify_all();
    }

    /// True while a write hangs.
    pub(super) fn waiting(&self) -> bool {
        self.gate.state.lock().unwrap().1 > 0
    }
}

impl Gate {
    fn pass(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.1 += 1;
        let mut state = self.changed.wait_while(state, |s| s.0 == Mood::Blocked).unwrap();
        state.1 -= 1;
        match state.0 {
            Mood::Full => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            Mood::Broken => Err(io::Error::from_raw_os_error(libc::EIO)),
            Mood::Well | Mood::Blocked | Mood::Nameless => Ok(()),
        }
    }

    fn pass_names(&self) -> io::Result<()> {
        self.pass()?;
        match self.state.lock().unwrap().0 {
            Mood::Nameless => Err(io::Error::from_raw_os_error(libc::EIO)),
            _ => Ok(()),
        }
    }
}

struct FaultyFile(Box<dyn DiskFile>, Arc<Gate>);

impl Disk for FaultyDisk {
    fn make_dirs(&self, dir: &Path) -> io::Result<()> {
        self.inner.make_dirs(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(FaultyFile(self.inner.create(path)?, self.gate.clone())))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(FaultyFile(self.inner.open(path)?, self.gate.clone())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.gate.pass()?;
        self.inner.rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.gate.pass_names()?;
        self.inner.sync_dir(dir)
    }

    fn switch_link(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.inner.switch_link(target, link)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.remove_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Item>> {
        self.inner.list(dir)
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        self.inner.size(path)
    }

    fn free(&self) -> io::Result<u64> {
        self.inner.free()
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&mut self, data: &[u8], at: u64) -> io::Result<()> {
        self.1.pass()?;
        self.0.write_at(data, at)
    }

    fn read_at(&self, data: &mut [u8], at: u64) -> io::Result<()> {
        self.0.read_at(data, at)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.1.pass()?;
        self.0.set_len(len)
    }

    fn datasync(&mut self) -> io::Result<()> {
        self.1.pass()?;
        self.0.datasync()
    }
}
