//! A real directory whose disk blocks, slows down, fills or fails on command. Stands in for disks that cannot be had in a
//! unit test; `tools/bench` breaks real file systems.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::storage::disk::{Directory, Disk, DiskFile, Item};

/// What a recorder asks of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    MakeDirs,
    Create,
    Write,
    Sync,
    Rename,
    SyncDir,
    Link,
}

impl Step {
    pub(super) const ALL: [Step; 7] =
        [Step::MakeDirs, Step::Create, Step::Write, Step::Sync, Step::Rename, Step::SyncDir, Step::Link];
}

/// How the disk feels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    /// Every step hangs until it is well again.
    Blocked,
    /// Every step takes so long.
    Slow(Duration),
    /// Every step fails with this errno.
    Fails(i32),
    /// This step does.
    FailsAt(Step, i32),
    /// Writes come to half of their bytes, then fail with this errno.
    Short(i32),
    /// A write finds a bug in the program.
    Bug,
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

    /// True while a step hangs.
    pub(super) fn waiting(&self) -> bool {
        self.gate.state.lock().unwrap().1 > 0
    }
}

impl Gate {
    /// The mood in which a step that may be taken is taken.
    fn pass(&self, step: Step) -> io::Result<Mood> {
        let mut state = self.state.lock().unwrap();
        state.1 += 1;
        let mut state = self.changed.wait_while(state, |s| s.0 == Mood::Blocked).unwrap();
        state.1 -= 1;
        let mood = state.0;
        drop(state);
        match mood {
            Mood::Slow(time) => std::thread::sleep(time),
            Mood::Fails(errno) => return Err(io::Error::from_raw_os_error(errno)),
            Mood::FailsAt(at, errno) if at == step => return Err(io::Error::from_raw_os_error(errno)),
            Mood::Bug if step == Step::Write => panic!("a bug, as this test wants it"),
            _ => {}
        }
        Ok(mood)
    }
}

struct FaultyFile(Box<dyn DiskFile>, Arc<Gate>);

impl Disk for FaultyDisk {
    fn make_dirs(&self, dir: &Path) -> io::Result<()> {
        self.gate.pass(Step::MakeDirs)?;
        self.inner.make_dirs(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.gate.pass(Step::Create)?;
        Ok(Box::new(FaultyFile(self.inner.create(path)?, self.gate.clone())))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(FaultyFile(self.inner.open(path)?, self.gate.clone())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.gate.pass(Step::Rename)?;
        self.inner.rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.gate.pass(Step::SyncDir)?;
        self.inner.sync_dir(dir)
    }

    fn switch_link(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.gate.pass(Step::Link)?;
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
        if let Mood::Short(errno) = self.1.pass(Step::Write)? {
            self.0.write_at(&data[..data.len() / 2], at)?;
            return Err(io::Error::from_raw_os_error(errno));
        }
        self.0.write_at(data, at)
    }

    fn read_at(&self, data: &mut [u8], at: u64) -> io::Result<()> {
        self.0.read_at(data, at)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.1.pass(Step::Write)?;
        self.0.set_len(len)
    }

    fn datasync(&mut self) -> io::Result<()> {
        self.1.pass(Step::Sync)?;
        self.0.datasync()
    }
}
