//! One segment file, written so that a power cut at any moment leaves something that plays.
//!
//! What is lost, by the order of the steps: every fragment whose [`Segment::append`] returned is on the medium. A
//! killed process loses the pictures not yet appended (the recorder appends every 0.35 s), and of the fragment that it was
//! writing, those that the kernel had not yet taken; a power cut loses that fragment too, or some of its last pictures, so
//! less than 1 s as long as the disk answers within 0.2 s. A finished segment is
//! never touched again. `sink::record` tests cut this at every write and at every reordering between two flushes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::base::id::StreamId;
use crate::media::access_unit::{AccessUnit, EncodedFormat};
use crate::media::nal;

use super::disk::{Disk, DiskFile};
use super::error::Error;
use super::layout::{self, Kind, Name};
use super::mp4::{self, Leftover, Mark, Sample, TIMESCALE, Track};
use super::volume::Volume;

/// A segment that is being written.
pub struct Segment {
    volume: Arc<Volume>,
    stream: StreamId,
    name: Name,
    mark: Mark,
    track: Track,
    /// Capture time of the first picture: 0 in the file.
    origin: Duration,
    file: Option<Box<dyn DiskFile>>,
    reserve: u64,
    end: u64,
    fragments: u32,
    samples: Vec<Sample>,
}

/// A finished segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its name.
    pub name: Name,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Pictures in it.
    pub pictures: usize,
    /// Time from its first picture to the end of its last.
    pub duration: Duration,
}

impl Segment {
    /// Prepares a segment that says `mark` of itself, and whose first picture was taken at `origin` (monotonic).
    /// Nothing is on the disk before the first [`append`](Self::append).
    pub fn new(volume: Arc<Volume>, stream: &StreamId, mark: Mark, format: &EncodedFormat, origin: Duration) -> Self {
        let name = Name::new(mark.start_ns / 1_000_000_000, mark.run, mark.seq);
        Self {
            volume,
            stream: stream.clone(),
            name,
            mark,
            track: track(format),
            origin,
            file: None,
            reserve: 0,
            end: 0,
            fragments: 0,
            samples: Vec::new(),
        }
    }

    /// Adds a fragment: one write, one fdatasync. When this returns, its pictures are on the medium. The first of all
    /// must be a keyframe.
    pub fn append(&mut self, units: &[Arc<AccessUnit>]) -> Result<(), Error> {
        self.volume.in_use()?;
        let pictures: Vec<_> = units.iter().map(|u| (nals(u), self.ticks(u.pts), u.keyframe)).collect();
        match self.file {
            Some(_) => self.append_to_file(&pictures),
            None => self.create(&pictures),
        }
    }

    /// Makes the file a plain MP4 under its final name, and switches the links to it. `None` if nothing was appended.
    pub fn finish(mut self) -> Result<Option<Finished>, Error> {
        self.volume.in_use()?;
        let Some(mut file) = self.file.take() else { return Ok(None) };
        let leftover = Leftover {
            track: self.track.clone(),
            mark: self.mark,
            reserve: self.reserve,
            end: self.end,
            samples: std::mem::take(&mut self.samples),
        };
        let (from, to) = (self.open_path(), layout::finished(&self.stream, Kind::Video, &self.name));
        let bytes = close(file.as_mut(), &from, &leftover)?;
        drop(file);
        publish(self.volume.disk(), &from, &to)?;
        self.fragments = 0;
        self.volume.finished(&self.stream, Kind::Video, self.name);
        let last = leftover.samples.last().map_or(0, |s| s.time + u64::from(self.track.period));
        let duration = Duration::from_nanos(last * 1_000_000_000 / u64::from(TIMESCALE));
        Ok(Some(Finished { name: self.name, bytes, pictures: leftover.samples.len(), duration }))
    }

    /// The run and the place in it.
    pub fn name(&self) -> Name {
        self.name
    }

    fn create(&mut self, pictures: &[(Vec<bytes::Bytes>, u64, bool)]) -> Result<(), Error> {
        let path = self.open_path();
        let folder = layout::folder(&self.stream, Kind::Video, &self.name);
        let (mut head, reserve) = mp4::head(&self.track, &self.mark).map_err(unfit)?;
        let (fragment, samples) = mp4::fragment(&self.track, 1, head.len() as u64, pictures).map_err(unfit)?;
        head.extend(fragment);
        let disk = self.volume.disk();
        disk.make_dirs(&folder).map_err(Error::io("make", &folder))?;
        let mut file = disk.create(&path).map_err(Error::io("create", &path))?;
        let written = file.write_at(&head, 0).and_then(|()| file.datasync()).map_err(Error::io("write", &path));
        if let Err(e) = written {
            // Nothing was promised of this file yet; left there, each attempt on a full disk would leave another.
            if let Err(e) = disk.remove(&path) {
                tracing::debug!("cannot remove {} after it could not be written: {e}", path.display());
            }
            return Err(e);
        }
        (self.reserve, self.end, self.fragments, self.samples) = (reserve, head.len() as u64, 1, samples);
        self.file = Some(file);
        disk.sync_dir(&folder).map_err(Error::io("sync", &folder))
    }

    fn append_to_file(&mut self, pictures: &[(Vec<bytes::Bytes>, u64, bool)]) -> Result<(), Error> {
        let path = self.open_path();
        let (data, samples) = mp4::fragment(&self.track, self.fragments + 1, self.end, pictures).map_err(unfit)?;
        let file = self.file.as_mut().expect("append asked whether there is a file");
        file.write_at(&data, self.end).and_then(|()| file.datasync()).map_err(Error::io("write", &path))?;
        self.end += data.len() as u64;
        self.fragments += 1;
        self.samples.extend(samples);
        Ok(())
    }

    fn open_path(&self) -> std::path::PathBuf {
        layout::open(&self.stream, Kind::Video, &self.name)
    }

    fn ticks(&self, pts: Duration) -> u64 {
        let ns = pts.saturating_sub(self.origin).as_nanos();
        // Rounded from the origin, not from picture to picture: errors do not add up.
        u64::try_from((ns * u128::from(TIMESCALE) + 500_000_000) / 1_000_000_000).unwrap_or(u64::MAX)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // Given up after an error, with something on the disk: the keeper finishes it when the disk is well again.
        if self.fragments > 0 {
            self.volume.abandon(&self.stream, self.name);
        }
    }
}

/// Turns a file of fragments into a plain MP4, in the order described in [`mp4`]. Returns its size. Whatever lies
/// behind the last whole picture is cut off.
pub(super) fn close(file: &mut dyn DiskFile, path: &Path, found: &Leftover) -> Result<u64, Error> {
    let moov = mp4::closing_moov(&found.track, &found.mark, &found.samples).map_err(unfit)?;
    let io = || Error::io("finish", path);
    if file.size().map_err(io())? != found.end {
        file.set_len(found.end).map_err(io())?;
    }
    file.write_at(&mp4::mdat_size(found.reserve, found.end), found.reserve + 8).map_err(io())?;
    file.write_at(&moov, found.end).map_err(io())?;
    file.datasync().map_err(io())?;
    close_header(file, path, found.reserve)?;
    Ok(found.end + moov.len() as u64)
}

/// The last step of [`close`].
pub(super) fn close_header(file: &mut dyn DiskFile, path: &Path, reserve: u64) -> Result<(), Error> {
    let io = || Error::io("finish", path);
    file.write_at(&mp4::mdat_header(), reserve).map_err(io())?;
    file.datasync().map_err(io())
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

/// NAL units of a picture as they are stored: parameter sets are in the moov, and delimiters mean nothing there.
fn nals(unit: &AccessUnit) -> Vec<bytes::Bytes> {
    let mut nals = nal::split(&unit.data);
    nals.retain(|n| !matches!(nal::kind(n), nal::SPS | nal::PPS | nal::AUD));
    nals
}

fn track(format: &EncodedFormat) -> Track {
    let side = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX);
    let period = u64::from(TIMESCALE) * u64::from(format.rate.den) / u64::from(format.rate.num.max(1));
    Track {
        width: side(format.size.width),
        height: side(format.size.height),
        sps: format.sps.clone(),
        pps: format.pps.clone(),
        period: u32::try_from(period.max(1)).unwrap_or(TIMESCALE),
    }
}

fn unfit(source: mp4_atom::Error) -> Error {
    Error::Unfit { what: "the stream", source }
}
