//! One segment file, written so that a power cut at any moment leaves something that plays.
//!
//! What is lost, by the order of the steps: every fragment whose [`Segment::append`] returned is on the medium. A
//! killed process loses the pictures not yet appended (the recorder appends every 0.35 s), and of the fragment that it was
//! writing, those that the kernel had not yet taken; a power cut loses that fragment too, or some of its last pictures, so
//! less than 1 s as long as the disk answers within 0.2 s. A finished segment is never touched again. `sink::record` tests
//! cut this at every write and at every reordering between two flushes, for each container.

mod mp4;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::base::id::StreamId;
use crate::gst::Piece;
use crate::media::access_unit::{AccessUnit, EncodedFormat};
use crate::media::container::Container;

use super::disk::{Disk, DiskFile};
use super::error::Error;
use super::layout::{self, Kind, Name};
use super::mark::Mark;
use super::mux::{self, Muxed, Wrap};
use super::volume::Volume;

pub(super) use mp4::{close, close_header};

/// A segment that is being written.
pub struct Segment {
    volume: Arc<Volume>,
    stream: StreamId,
    name: Name,
    writer: Box<dyn Writer>,
    file: Option<Box<dyn DiskFile>>,
    /// Something of it is on the disk, under a name that is not its last.
    begun: bool,
}

/// A finished segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its name.
    pub name: Name,
    /// What is in it.
    pub totals: Totals,
}

/// What is in a finished file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Pictures in it.
    pub pictures: usize,
    /// Time from its first picture to the end of its last.
    pub duration: Duration,
}

/// Makes the bytes of one container.
pub(super) trait Writer: Send {
    /// The bytes that the next pictures become, and where they go.
    fn add(&mut self, units: &[Arc<AccessUnit>]) -> Result<Vec<Piece>, Error>;

    /// What was added last is on the medium. Without this it may be there in part, and does not count.
    fn kept(&mut self);

    /// Brings the file to its end, by steps each of which plays, the last of them flushed.
    fn close(&mut self, file: &mut dyn DiskFile, path: &Path) -> Result<Totals, Error>;
}

impl Segment {
    /// Prepares a segment that says `mark` of itself, and whose first picture was taken at `origin` (monotonic).
    /// Nothing is on the disk before the first [`append`](Self::append).
    pub fn new(
        volume: Arc<Volume>,
        stream: &StreamId,
        mark: Mark,
        format: &EncodedFormat,
        origin: Duration,
        container: Container,
    ) -> Self {
        let name = Name::new(mark.start_ns / 1_000_000_000, mark.run, mark.seq).of(container);
        let writer: Box<dyn Writer> = match container {
            Container::Mp4 => Box::new(mp4::Mp4::new(mark, format, origin)),
            Container::Ts => Box::new(Muxed::new(Wrap::Ts, mark, format, origin)),
            Container::Mkv => Box::new(Muxed::new(Wrap::Mkv, mark, format, origin)),
        };
        Self { volume, stream: stream.clone(), name, writer, file: None, begun: false }
    }

    /// Adds a fragment: one write (Matroska takes one more now and then, for the length of what is behind it), one
    /// fdatasync. When this returns, its pictures are on the medium. The first of all must be a keyframe.
    pub fn append(&mut self, units: &[Arc<AccessUnit>]) -> Result<(), Error> {
        self.volume.in_use()?;
        let pieces = self.writer.add(units)?;
        match &mut self.file {
            Some(file) => {
                let path = layout::open(&self.stream, Kind::Video, &self.name);
                write(file.as_mut(), &pieces).map_err(Error::io("write", &path))?;
                self.writer.kept();
                Ok(())
            }
            None => self.create(&pieces),
        }
    }

    /// Brings the file to its end under its final name, and switches the links to it. `None` if nothing was appended.
    pub fn finish(mut self) -> Result<Option<Finished>, Error> {
        self.volume.in_use()?;
        let Some(mut file) = self.file.take() else { return Ok(None) };
        let (from, to) = (self.open_path(), layout::finished(&self.stream, Kind::Video, &self.name));
        let totals = self.writer.close(file.as_mut(), &from)?;
        drop(file);
        publish(self.volume.disk(), &from, &to)?;
        self.begun = false;
        self.volume.finished(&self.stream, Kind::Video, self.name);
        Ok(Some(Finished { name: self.name, totals }))
    }

    /// The run and the place in it.
    pub fn name(&self) -> Name {
        self.name
    }

    fn create(&mut self, pieces: &[Piece]) -> Result<(), Error> {
        let (path, folder) = (self.open_path(), layout::folder(&self.stream, Kind::Video, &self.name));
        let disk = self.volume.disk();
        disk.make_dirs(&folder).map_err(Error::io("make", &folder))?;
        let mut file = disk.create(&path).map_err(Error::io("create", &path))?;
        if let Err(e) = write(file.as_mut(), pieces).map_err(Error::io("write", &path)) {
            // Nothing was promised of this file yet; left there, each attempt on a full disk would leave another.
            if let Err(e) = disk.remove(&path) {
                tracing::debug!("cannot remove {} after it could not be written: {e}", path.display());
            }
            return Err(e);
        }
        (self.file, self.begun) = (Some(file), true);
        self.writer.kept();
        disk.sync_dir(&folder).map_err(Error::io("sync", &folder))
    }

    fn open_path(&self) -> PathBuf {
        layout::open(&self.stream, Kind::Video, &self.name)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // Given up after an error, with something on the disk: the keeper finishes it when the disk is well again.
        if self.begun {
            self.volume.abandon(&self.stream, self.name);
        }
    }
}

/// Writes every piece, and flushes them together.
pub(super) fn write(file: &mut dyn DiskFile, pieces: &[Piece]) -> std::io::Result<()> {
    for piece in pieces {
        file.write_at(&piece.data, piece.at)?;
    }
    file.datasync()
}

/// Gives a file its final name, durably.
pub(super) fn publish(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), Error> {
    disk.rename(from, to).map_err(Error::io("rename", from))?;
    sync_name(disk, to)
}

/// Makes the name of a file durable.
pub(super) fn sync_name(disk: &dyn Disk, to: &Path) -> Result<(), Error> {
    let folder = to.parent().expect("a file lies in its date directory");
    disk.sync_dir(folder).map_err(Error::io("sync", folder))
}

/// What a segment says of itself; `None` if it is none of ours.
pub(super) fn mark(file: &dyn DiskFile, container: Container) -> std::io::Result<Option<Mark>> {
    match container {
        Container::Mp4 => super::mp4::mark(file),
        Container::Ts | Container::Mkv => mux::mark(file),
    }
}

/// How long a finished segment plays; `None` if the file is none, or does not say.
pub(super) fn length(file: &dyn DiskFile, container: Container) -> std::io::Result<Option<Duration>> {
    match container {
        Container::Mp4 => super::mp4::length(file),
        Container::Ts | Container::Mkv => mux::length(file),
    }
}
