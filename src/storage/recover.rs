//! Finishes what a crash left open. Nothing is deleted but half-written snapshots: a segment becomes a finished file
//! under its final name, or, if nothing in it can be played, is set aside in the quarantine directory.

use std::path::{Path, PathBuf};

use crate::base::error::Chain;
use crate::base::id::StreamId;
use crate::media::container::Container;

use super::catalog::OpenFiles;
use super::disk::{Disk, DiskFile};
use super::error::Error;
use super::layout::{self, Kind, Name};
use super::mp4;
use super::mux::{self, Wrap};
use super::segment;
use super::volume::Volume;

/// What became of an open segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is a finished file now.
    Finished,
    /// Damaged, and set aside here.
    Quarantined(PathBuf),
    /// Cut off before anything in it was promised, and set aside here.
    Unbegun(PathBuf),
    /// Neither the open nor a finished file is there any more.
    Gone,
}

/// What became of all of them.
#[derive(Debug, Default)]
pub struct Recovered {
    /// How many segments are finished files now.
    pub finished: u64,
    /// Damaged segments that were set aside.
    pub aside: Vec<PathBuf>,
    /// Segments to try again later.
    pub failed: OpenFiles,
}

/// Deals with every file of `open`, none of which may be in use. An error with one file is logged and does not keep
/// the others waiting.
pub fn recover(volume: &Volume, open: OpenFiles) -> Recovered {
    let mut result = Recovered::default();
    let total = open.len();
    for (number, (stream, kind, name)) in (1..).zip(open) {
        let path = layout::open(&stream, kind, &name);
        if kind == Kind::Image {
            volume.remove(&path);
            continue;
        }
        match recover_segment(volume.disk(), &stream, &name) {
            Ok(Outcome::Finished) => {
                volume.finished(&stream, Kind::Video, name);
                result.finished += 1;
                tracing::info!("finished {} ({number} of {total})", path.display());
            }
            Ok(Outcome::Quarantined(to)) => {
                tracing::warn!("nothing can be played in {}: moved to {}", path.display(), to.display());
                result.aside.push(to);
            }
            Ok(Outcome::Unbegun(to)) => {
                tracing::info!("{} was cut off at its beginning: moved to {}", path.display(), to.display());
            }
            Ok(Outcome::Gone) => tracing::warn!("{} is gone: somebody removed it", path.display()),
            Err(e) => {
                tracing::error!("cannot recover {}: {}", path.display(), Chain(&e));
                result.failed.push((stream, kind, name));
            }
        }
    }
    result
}

/// Finishes one segment or sets it aside. Any number of power cuts in the middle of it does no harm.
pub fn recover_segment(disk: &dyn Disk, stream: &StreamId, name: &Name) -> Result<Outcome, Error> {
    let from = layout::open(stream, Kind::Video, name);
    let to = layout::finished(stream, Kind::Video, name);
    match (is_there(disk, &from)?, is_there(disk, &to)?) {
        (true, false) => {}
        // Cannot come from us; but a finished file is never written over.
        (true, true) => return set_aside(disk, stream, name, &from).map(Outcome::Quarantined),
        // It was renamed, and an error came before the name was known to be durable.
        (false, true) => return segment::sync_name(disk, &to).map(|()| Outcome::Finished),
        (false, false) => return Ok(Outcome::Gone),
    }
    let mut file = disk.open(&from).map_err(Error::io("open", &from))?;
    let state = match name.container {
        Container::Mp4 => finish_mp4(file.as_mut(), &from)?,
        Container::Ts => finish_muxed(file.as_mut(), &from, Wrap::Ts)?,
        Container::Mkv => finish_muxed(file.as_mut(), &from, Wrap::Mkv)?,
    };
    drop(file);
    match state {
        State::Whole => segment::publish(disk, &from, &to).map(|()| Outcome::Finished),
        // An ordinary end of power on a good disk.
        State::Empty => set_aside(disk, stream, name, &from).map(Outcome::Unbegun),
        State::Damaged => set_aside(disk, stream, name, &from).map(Outcome::Quarantined),
    }
}

/// What was made of a file.
enum State {
    Whole,
    Empty,
    Damaged,
}

fn finish_mp4(file: &mut dyn DiskFile, path: &Path) -> Result<State, Error> {
    match mp4::read(file).map_err(Error::io("read", path))? {
        mp4::Found::Complete => {}
        mp4::Found::AlmostComplete { reserve } => segment::close_header(file, path, reserve)?,
        mp4::Found::Fragments(leftover) => {
            segment::close(file, path, &leftover)?;
        }
        mp4::Found::Nothing => return Ok(State::Empty),
        mp4::Found::Damaged => return Ok(State::Damaged),
    }
    Ok(State::Whole)
}

/// These play as they are: what is not whole is cut off.
fn finish_muxed(file: &mut dyn DiskFile, path: &Path, wrap: Wrap) -> Result<State, Error> {
    let io = || Error::io("finish", path);
    match mux::read(file, wrap).map_err(Error::io("read", path))? {
        mux::Found::Plays { end, .. } => {
            if file.size().map_err(io())? > end {
                file.set_len(end).map_err(io())?;
            }
            file.datasync().map_err(io())?;
            Ok(State::Whole)
        }
        mux::Found::Nothing => Ok(State::Empty),
        mux::Found::Damaged => Ok(State::Damaged),
    }
}

fn is_there(disk: &dyn Disk, path: &Path) -> Result<bool, Error> {
    match disk.size(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        size => size.map(|_| true).map_err(Error::io("examine", path)),
    }
}

fn set_aside(disk: &dyn Disk, stream: &StreamId, name: &Name, from: &Path) -> Result<PathBuf, Error> {
    let folder = layout::quarantine_folder(stream);
    let to = layout::quarantined(stream, name);
    disk.make_dirs(&folder).map_err(Error::io("make", &folder))?;
    disk.rename(from, &to).map_err(Error::io("rename", from))?;
    disk.sync_dir(&folder).map_err(Error::io("sync", &folder))?;
    Ok(to)
}
