//! A disk in memory whose power fails at a chosen step.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use windhover::storage::disk::{Disk, DiskFile, Item};

type Content = Arc<Mutex<Vec<u8>>>;

#[derive(Default)]
pub(super) struct MemoryDisk {
    files: Mutex<BTreeMap<PathBuf, Content>>,
    power: Arc<Mutex<Power>>,
}

/// Steps that still succeed, and how many bytes of the write after them do.
struct Power {
    steps: usize,
    torn: usize,
}

impl Default for Power {
    fn default() -> Self {
        Self { steps: usize::MAX, torn: 0 }
    }
}

impl Power {
    fn step(&mut self) -> io::Result<()> {
        self.steps = self.steps.checked_sub(1).ok_or_else(|| io::Error::other("the power is gone"))?;
        Ok(())
    }
}

impl MemoryDisk {
    pub(super) fn with(path: &Path, content: &[u8]) -> Self {
        let disk = Self::default();
        disk.put(path, content);
        disk
    }

    pub(super) fn put(&self, path: &Path, content: &[u8]) {
        self.lock().insert(path.to_owned(), Arc::new(Mutex::new(content.to_vec())));
    }

    /// The power goes after so many steps, in the middle of a write.
    pub(super) fn fail_after(&self, steps: usize, torn: usize) {
        *self.power.lock().expect("no panic holds it") = Power { steps, torn };
    }

    pub(super) fn power_on(&self) {
        self.fail_after(usize::MAX, 0);
    }

    pub(super) fn content(&self, path: &Path) -> Option<Vec<u8>> {
        self.lock().get(path).map(|content| content.lock().expect("no panic holds it").clone())
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, Content>> {
        self.files.lock().expect("no panic holds it")
    }

    fn step(&self) -> io::Result<()> {
        self.power.lock().expect("no panic holds it").step()
    }

    fn find(&self, path: &Path) -> io::Result<Content> {
        self.lock().get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for MemoryDisk {
    fn make_dirs(&self, _: &Path) -> io::Result<()> {
        self.step()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.step()?;
        self.put(path, &[]);
        self.open(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(MemoryFile { content: self.find(path)?, power: self.power.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let content = self.find(from)?;
        let mut files = self.lock();
        files.remove(from);
        files.insert(to.to_owned(), content);
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.step()
    }

    fn switch_link(&self, _: &Path, _: &Path) -> io::Result<()> {
        self.step()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.lock().remove(path).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        self.step()
    }

    fn list(&self, _: &Path) -> io::Result<Vec<Item>> {
        Ok(Vec::new())
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        Ok(self.find(path)?.lock().expect("no panic holds it").len() as u64)
    }

    fn free(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

struct MemoryFile {
    content: Content,
    power: Arc<Mutex<Power>>,
}

impl DiskFile for MemoryFile {
    fn write_at(&mut self, data: &[u8], at: u64) -> io::Result<()> {
        let mut power = self.power.lock().expect("no panic holds it");
        let written = power.step();
        let data = if written.is_ok() { data } else { &data[..power.torn.min(data.len())] };
        let mut content = self.content.lock().expect("no panic holds it");
        let at = usize::try_from(at).expect("a position in memory");
        if !data.is_empty() {
            assert!(at <= content.len(), "a hole of {} bytes is left", at - content.len());
            let end = at + data.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[at..end].copy_from_slice(data);
        }
        power.torn = 0;
        written
    }

    fn read_at(&self, data: &mut [u8], at: u64) -> io::Result<()> {
        let content = self.content.lock().expect("no panic holds it");
        let at = usize::try_from(at).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let found = at.checked_add(data.len()).and_then(|end| content.get(at..end));
        data.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.content.lock().expect("no panic holds it").len() as u64)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.power.lock().expect("no panic holds it").step()?;
        let len = usize::try_from(len).expect("a length in memory");
        self.content.lock().expect("no panic holds it").resize(len, 0);
        Ok(())
    }

    fn datasync(&mut self) -> io::Result<()> {
        self.power.lock().expect("no panic holds it").step()
    }
}
