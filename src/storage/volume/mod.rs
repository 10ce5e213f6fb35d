//! The storage directory: opened once, locked, and known to be ours before anything is written or deleted in it.

mod place;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::base::error::Chain;
use crate::base::id::StreamId;

use crate::storage::catalog::{self, Catalog, OpenFiles};
use crate::storage::disk::{Directory, Disk};
use crate::storage::error::Error;
use crate::storage::layout::{self, Kind, Name};
use crate::storage::marker::{self, Marker};

pub use place::capacity;
pub(super) use place::place_of;
use place::{lock, make_directory, open_directory, place, stat, touch, unlock, writable};

/// An opened storage directory. Whoever holds one may write into it until [`room`](Self::room) or
/// [`check`](Self::check) says otherwise.
pub struct Volume {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    /// The directory itself, with the lock that keeps a second daemon out; `None` in tests of the writer.
    identity: Option<Identity>,
    first: Option<StreamId>,
    closed: AtomicBool,
    /// Whoever writes is to finish and let go.
    asked_back: AtomicBool,
    /// Free bytes when there were too few, else 0.
    full: AtomicU64,
    state: Mutex<State>,
}

struct Identity {
    lock: Mutex<Option<Arc<Directory>>>,
    device: u64,
    inode: u64,
    marker: Marker,
}

struct State {
    catalog: Catalog,
    next_run: u32,
    /// Segments that a writer gave up after an error.
    abandoned: OpenFiles,
    /// Run and next place of the snapshots of each stream.
    images: BTreeMap<StreamId, (u32, u32)>,
}

impl Drop for Volume {
    /// Unlocks by name: a lock ends with its last descriptor, and a child process that is just being started holds a
    /// copy of every descriptor until it executes its program.
    fn drop(&mut self) {
        self.close();
    }
}

impl Volume {
    /// Opens the directory at `path`, which must be absolute. With `make` it is made, with a marker, if it is absent
    /// and the directory above it is there, or if it is empty; that time since the Unix epoch is written into the
    /// marker. Returns the files that a crash left open, too.
    pub fn open(path: &Path, first: Option<StreamId>, make: Option<Duration>) -> Result<(Arc<Self>, OpenFiles), Error> {
        let real = place(path)?;
        let gone = |what: &str| {
            let why = format!("{what}; was the disk pulled? On a new disk a directory is made after a restart only");
            Error::missing(path, why, None)
        };
        if !real.exists() {
            make.ok_or_else(|| gone("it is no longer there"))?;
            make_directory(path, &real)?;
        }
        let directory = open_directory(path, &real)?;
        lock(path, &directory)?;
        writable(path, &directory)?;
        let marker = match marker::read(path, &directory)? {
            Some(marker) => touch(path, &directory).map(|()| marker)?,
            None => marker::make(path, &directory, make.ok_or_else(|| gone("its marker is gone"))?)?,
        };
        let stat = stat(path, &directory)?;
        let identity =
            Identity { lock: Mutex::new(Some(directory.clone())), device: stat.st_dev, inode: stat.st_ino, marker };
        let (catalog, open) = catalog::scan(directory.as_ref())?;
        Ok((Arc::new(Self::with(path, directory, Some(identity), first, catalog)), open))
    }

    /// Says what [`open`](Self::open) would, without making or locking anything: for `windhover check`.
    pub fn inspect(path: &Path) -> Result<(), Error> {
        let real = place(path)?;
        if !real.exists() {
            let parent = real.parent().unwrap_or(Path::new("/"));
            return writable(path, open_directory(path, parent)?.as_ref());
        }
        let directory = open_directory(path, &real)?;
        lock(path, &directory)?;
        let fit = writable(path, &directory).and_then(|()| match marker::read(path, &directory)? {
            Some(_) => Ok(()),
            None => marker::require_empty(path, &directory),
        });
        unlock(path, &directory);
        fit
    }

    fn with(
        path: &Path,
        disk: Arc<dyn Disk>,
        identity: Option<Identity>,
        first: Option<StreamId>,
        catalog: Catalog,
    ) -> Self {
        let next_run = catalog.highest_run.saturating_add(1);
        let state = State { catalog, next_run, abandoned: OpenFiles::new(), images: BTreeMap::new() };
        Self {
            path: path.to_owned(),
            disk,
            identity,
            first,
            closed: AtomicBool::new(false),
            asked_back: AtomicBool::new(false),
            full: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    /// A volume on a disk that a test watches.
    #[cfg(test)]
    pub(crate) fn for_test(disk: Arc<dyn Disk>, first: Option<StreamId>) -> Arc<Self> {
        Arc::new(Self::with(Path::new("/test"), disk, None, first, Catalog::default()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// File access in it.
    pub fn disk(&self) -> &dyn Disk {
        self.disk.as_ref()
    }

    /// Makes sure that the directory is still there, on the device where it was opened, with the same marker. An SSD
    /// that was pulled leaves its mount point behind, and that must not be written to.
    pub fn check(&self) -> Result<(), Error> {
        let Some(identity) = &self.identity else { return Ok(()) };
        let gone = |why: &str, source| Err(Error::missing(&self.path, why, source));
        let lock = identity.lock.lock().expect("nothing panics while it holds this lock").clone();
        let Some(directory) = lock else { return gone("it was given up; it is opened anew", None) };
        match rustix::fs::stat(&self.path) {
            Ok(stat) if (stat.st_dev, stat.st_ino) == (identity.device, identity.inode) => {}
            Ok(_) => return gone("another directory or device is in its place; was the disk pulled?", None),
            Err(e) => return gone("it cannot be reached; was the disk pulled?", Some(e.into())),
        }
        match marker::read(&self.path, &directory)? {
            Some(marker) if marker == identity.marker => Ok(()),
            _ => gone("its marker is gone; was it emptied or exchanged?", None),
        }
    }

    /// Finds out by a write whether the directory still takes one. For when a writer had an error: it costs a flush.
    pub fn touch(&self) -> Result<(), Error> {
        let Some(identity) = &self.identity else { return Ok(()) };
        let lock = identity.lock.lock().expect("nothing panics while it holds this lock").clone();
        lock.map_or(Ok(()), |directory| touch(&self.path, &directory))
    }

    /// Gives the directory up, with its lock, though others may still hold the value: their next step fails.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        if let Some(identity) = &self.identity {
            let lock = identity.lock.lock().expect("nothing panics while it holds this lock").take();
            if let Some(directory) = lock {
                unlock(&self.path, &directory);
            }
        }
    }

    /// Has writers finish what they have open, and let go of the volume.
    pub(super) fn ask_back(&self) {
        self.asked_back.store(true, Ordering::Release);
    }

    /// True when a writer is to finish what it has open and to let go of the volume: the disk is to be pulled.
    pub fn is_asked_back(&self) -> bool {
        self.asked_back.load(Ordering::Acquire)
    }

    /// An error if the volume was given up or has too little room to begin or go on with a file.
    pub fn room(&self) -> Result<(), Error> {
        self.in_use()?;
        match self.full.load(Ordering::Acquire) {
            0 => Ok(()),
            free => Err(Error::Full { path: self.path.clone(), free: free - 1 }),
        }
    }

    /// An error if the volume was given up: its files belong to the one that was opened after it.
    pub(super) fn in_use(&self) -> Result<(), Error> {
        match self.closed.load(Ordering::Acquire) {
            true => Err(Error::missing(&self.path, "it was given up; it is opened anew", None)),
            false => Ok(()),
        }
    }

    /// True if both are the same directory on the same device.
    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        let place = |volume: &Self| volume.identity.as_ref().map(|i| (i.device, i.inode));
        place(self) == place(other)
    }

    /// Says how much was free when there was too little, or that there is enough again.
    pub fn set_full(&self, free: Option<u64>) {
        self.full.store(free.map_or(0, |free| free.saturating_add(1)), Ordering::Release);
    }

    /// The number of a new run: one more than any on this volume.
    pub fn next_run(&self) -> u32 {
        self.lock().take_run()
    }

    /// Stores one snapshot: written beside, synced, renamed, linked; the oldest beyond `keep` go. `taken` is the time
    /// since the Unix epoch. The directory is not flushed: a power cut may take the newest name with it, or leave it
    /// `.part`, which the next start removes. A second later there is another picture; a flush more for each would double
    /// what snapshots cost the disk.
    pub fn write_image(&self, stream: &StreamId, jpeg: &[u8], taken: Duration, keep: u32) -> Result<PathBuf, Error> {
        self.room()?;
        let name = self.lock().image_name(stream, taken.as_secs());
        let folder = layout::folder(stream, Kind::Image, &name);
        let (new, path) = (layout::open(stream, Kind::Image, &name), layout::finished(stream, Kind::Image, &name));
        self.disk.make_dirs(&folder).map_err(Error::io("make", &folder))?;
        let mut file = self.disk.create(&new).map_err(Error::io("create", &new))?;
        let written = file.write_at(jpeg, 0).and_then(|()| file.datasync());
        let written = written.and_then(|()| self.disk.rename(&new, &path)).map_err(Error::io("write", &new));
        if written.is_err() {
            self.remove(&new);
        }
        written?;
        self.finished(stream, Kind::Image, name);
        self.trim_images(stream, keep);
        Ok(self.path.join(path))
    }

    /// Removes the oldest snapshots beyond `keep`, at most 64 at once.
    pub fn trim_images(&self, stream: &StreamId, keep: u32) {
        for _ in 0..64 {
            let mut state = self.lock();
            let Some(shelf) = state.catalog.streams.get_mut(stream) else { return };
            if shelf.images.len() <= keep.max(1) as usize {
                return;
            }
            let Some(oldest) = shelf.images.pop_front() else { return };
            drop(state);
            self.remove(&layout::finished(stream, Kind::Image, &oldest));
        }
    }

    /// Removes a finished file. One that is gone already is no error; one that cannot be removed is reported, and
    /// not counted again before the next scan.
    pub fn delete(&self, stream: &StreamId, kind: Kind, name: &Name) {
        self.lock().catalog.forget(stream, kind, name);
        self.remove(&layout::finished(stream, kind, name));
    }

    /// Removes a date directory from which the last file has gone.
    pub(super) fn remove_if_empty(&self, folder: &Path) {
        use std::io::ErrorKind;
        match self.disk.remove_dir(folder) {
            Err(e) if !matches!(e.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::NotFound) => {
                tracing::debug!("cannot remove {}: {}", folder.display(), Chain(&e));
            }
            _ => {}
        }
    }

    /// Reads the catalog while `read` runs; keep it short.
    pub fn catalog<R>(&self, read: impl FnOnce(&Catalog) -> R) -> R {
        read(&self.lock().catalog)
    }

    /// Writes down what was learned of the files in it.
    pub(super) fn learn<R>(&self, write: impl FnOnce(&mut Catalog) -> R) -> R {
        write(&mut self.lock().catalog)
    }

    /// Takes note of a finished file and switches the links to it if it is the newest.
    pub fn finished(&self, stream: &StreamId, kind: Kind, name: Name) {
        let newest = {
            let mut state = self.lock();
            state.catalog.add(stream, kind, name);
            state.catalog.newest(stream, kind) == Some(name)
        };
        if newest {
            self.link(stream, kind, &name);
        }
    }

    fn link(&self, stream: &StreamId, kind: Kind, name: &Name) {
        let of_all = (self.first.as_ref() == Some(stream)).then(|| layout::latest_of_all(stream, kind, name));
        for link in std::iter::once(layout::latest(stream, kind, name)).chain(of_all) {
            // A file system without links (exFAT) still records.
            if let Err(e) = self.disk.switch_link(&link.target, &link.at) {
                tracing::debug!("cannot switch the link {}: {}", link.at.display(), Chain(&e));
            }
            if kind == Kind::Video {
                // From before the container was changed: it would go on naming an old one the latest.
                let stale = layout::other_links(&link, name).into_iter().filter(|at| self.disk.size(at).is_ok());
                stale.for_each(|at| self.remove(&at));
            }
        }
    }

    /// Takes note of a segment that its writer gave up: it is recovered like one from before a crash.
    pub(super) fn abandon(&self, stream: &StreamId, name: Name) {
        self.lock().abandoned.push((stream.clone(), Kind::Video, name));
    }

    /// The segments given up since this was asked last.
    pub(super) fn take_abandoned(&self) -> OpenFiles {
        std::mem::take(&mut self.lock().abandoned)
    }

    pub(super) fn remove(&self, path: &Path) {
        match self.disk.remove(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!("cannot remove {}: {}", path.display(), Chain(&e));
            }
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

impl State {
    fn take_run(&mut self) -> u32 {
        let run = self.next_run;
        self.next_run = run.saturating_add(1);
        run
    }

    fn image_name(&mut self, stream: &StreamId, unix: u64) -> Name {
        let (run, seq) = match self.images.get(stream) {
            Some(place) => *place,
            None => (self.take_run(), 0),
        };
        self.images.insert(stream.clone(), (run, seq + 1));
        Name::new(unix, run, seq)
    }
}

#[cfg(test)]
mod tests;
