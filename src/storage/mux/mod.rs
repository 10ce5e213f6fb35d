//! Segments in the containers that GStreamer's muxers make: MPEG transport stream and Matroska.
//!
//! The muxer gives bytes and no more ([`gst::Muxer`]); they are written, flushed, named and finished by
//! the same hands as MP4, and so cost the same at a kill and at a power cut. Near the beginning stands the [`Plate`], in a
//! packet or element that players pass over: the mark of the segment, and how long it plays once it is finished.
//!
//! Both containers play while they grow. What a crash left is finished by cutting off what is not whole: a transport
//! stream loses nothing by it, a Matroska file has no index and no length then. There is no sum over a picture: after a
//! power cut the last one, which nobody was promised, may be damaged.

mod mkv;
mod ts;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::gst::{self, Muxer, Picture, Piece};
use crate::media::access_unit::{AccessUnit, EncodedFormat};
use crate::media::container::Container;
use crate::media::nal;

use super::disk::DiskFile;
use super::error::Error;
use super::mark::{Mark, PLATE_LEN, PLATE_TAIL, PLATE_WITHIN, Plate};
use super::mp4;
use super::segment::{Totals, Writer, write};

/// An access unit delimiter that allows every kind of slice: a transport stream must have one before each picture (ISO
/// 13818-1, 2.14.1).
const DELIMITER: &[u8] = &[0, 0, 0, 1, nal::AUD, 0xf0];

/// The containers that are made so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrap {
    /// MPEG transport stream.
    Ts,
    /// Matroska.
    Mkv,
}

impl Wrap {
    fn container(self) -> Container {
        match self {
            Wrap::Ts => Container::Ts,
            Wrap::Mkv => Container::Mkv,
        }
    }

    /// The packet or element that carries the plate.
    fn carry(self, plate: &Plate) -> Vec<u8> {
        match self {
            Wrap::Ts => ts::carry(plate),
            Wrap::Mkv => mkv::carry(plate),
        }
    }

    /// Where in that the plate ends.
    fn plate_end(self) -> usize {
        let header = match self {
            Wrap::Ts => ts::CARRIER,
            Wrap::Mkv => mkv::CARRIER,
        };
        header + PLATE_LEN
    }
}

/// Writes a segment with a muxer.
pub(super) struct Muxed {
    wrap: Wrap,
    plate: Plate,
    format: EncodedFormat,
    /// Capture time of the first picture: 0 in the file.
    origin: Duration,
    /// Made with the first pictures.
    muxer: Option<Muxer>,
    /// Bytes of the muxer's in front of the plate.
    head: u64,
    /// What is on the medium.
    kept: Extent,
    /// The same with what was added last.
    added: Option<Extent>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    end: u64,
    pictures: usize,
    duration: Duration,
}

impl Muxed {
    pub(super) fn new(wrap: Wrap, mark: Mark, format: &EncodedFormat, origin: Duration) -> Self {
        let plate = Plate { mark, first: 0, length: None };
        let (format, kept) = (format.clone(), Extent::default());
        Self { wrap, plate, format, origin, muxer: None, head: 0, kept, added: None }
    }

    fn picture(&self, unit: &AccessUnit) -> Picture {
        let data = match self.wrap {
            Wrap::Ts => delimited(&unit.data),
            Wrap::Mkv => prefixed(&unit.data),
        };
        let (time, duration) = (unit.pts.saturating_sub(self.origin), self.format.rate.period());
        Picture { data, time, duration, keyframe: unit.keyframe }
    }

    /// Puts the plate into the first bytes of the muxer; returns the end of the file.
    fn first(&mut self, pieces: &mut [Piece]) -> Result<u64, Error> {
        let plate = self.wrap.carry(&self.plate);
        let mut begin = pieces.first_mut().filter(|piece| piece.at == 0);
        let head = begin.as_mut().and_then(|piece| match self.wrap {
            Wrap::Ts => Some(0),
            Wrap::Mkv => mkv::lengthen_head(&mut piece.data, plate.len()),
        });
        let (Some(begin), Some(head)) = (begin, head) else {
            let (element, what) = (self.wrap.container().to_string(), "does not begin with its header".to_owned());
            return Err(Error::Muxer(gst::Error::Muxer { element, what }));
        };
        begin.data.splice(head..head, plate);
        let begun = begin.data.len();
        let end = self.shift(&mut pieces[1..]).max(begun as u64);
        // Again, now that it is known how much is written at once.
        self.plate.first = u32::try_from(end).unwrap_or(u32::MAX);
        let plate = self.wrap.carry(&self.plate);
        pieces[0].data[head..head + plate.len()].copy_from_slice(&plate);
        self.head = head as u64;
        Ok(end)
    }

    /// Makes room for the plate; returns the end of the file.
    fn shift(&self, pieces: &mut [Piece]) -> u64 {
        let plate = self.wrap.carry(&self.plate).len() as u64;
        pieces.iter_mut().for_each(|piece| piece.at += plate);
        pieces.iter().map(|piece| piece.at + piece.data.len() as u64).max().unwrap_or(0).max(self.kept.end)
    }
}

impl Writer for Muxed {
    fn add(&mut self, units: &[Arc<AccessUnit>]) -> Result<Vec<Piece>, Error> {
        let muxer = match self.muxer.take() {
            Some(muxer) => muxer,
            None => start(self.wrap, &self.format)?,
        };
        for unit in units {
            muxer.push(self.picture(unit)).map_err(Error::Muxer)?;
        }
        let mut pieces = muxer.drain().map_err(Error::Muxer)?;
        self.muxer = Some(muxer);
        let end = if self.kept.end == 0 { self.first(&mut pieces)? } else { self.shift(&mut pieces) };
        let last = units.last().map_or(Duration::ZERO, |unit| unit.pts.saturating_sub(self.origin));
        let pictures = self.kept.pictures + units.len();
        self.added = Some(Extent { end, pictures, duration: last + self.format.rate.period() });
        Ok(pieces)
    }

    fn kept(&mut self) {
        self.kept = self.added.take().unwrap_or(self.kept);
    }

    fn close(&mut self, file: &mut dyn DiskFile, path: &Path) -> Result<Totals, Error> {
        let io = || Error::io("finish", path);
        let muxer = self.muxer.take().filter(|_| self.added.is_none());
        let mut pieces = muxer.map_or_else(|| Ok(Vec::new()), Muxer::end).map_err(Error::Muxer)?;
        let bytes = self.shift(&mut pieces);
        // After an error: what was added last is there in part, and the muxer thinks that it is there.
        if file.size().map_err(io())? > self.kept.end {
            file.set_len(self.kept.end).map_err(io())?;
        }
        // First what is new, the index; then what points to it.
        let (new, mut old): (Vec<_>, Vec<_>) = pieces.into_iter().partition(|piece| piece.at >= self.kept.end);
        if !new.is_empty() {
            write(file, &new).map_err(io())?;
        }
        self.plate.length = Some(self.kept.duration);
        // No more than changes: torn at any byte, the packet or element around it stays one.
        let (carried, end) = (self.wrap.carry(&self.plate), self.wrap.plate_end());
        old.push(Piece { at: self.head + (end - PLATE_TAIL) as u64, data: carried[end - PLATE_TAIL..end].to_vec() });
        write(file, &old).map_err(io())?;
        Ok(Totals { bytes, pictures: self.kept.pictures, duration: self.kept.duration })
    }
}

fn start(wrap: Wrap, format: &EncodedFormat) -> Result<Muxer, Error> {
    let (record, pad) = match wrap {
        Wrap::Ts => (None, "sink_%d"),
        Wrap::Mkv => {
            let record = mp4::decoder_record(&format.sps, &format.pps);
            (Some(record.map_err(|source| Error::Unfit { what: "the stream", source })?), "video_%u")
        }
    };
    let factory = wrap.container().muxer().expect("only MP4 is written without a muxer");
    Muxer::new(factory, pad, &gst::h264(format.size, format.rate, record)).map_err(Error::Muxer)
}

/// Annex B with a delimiter in front.
fn delimited(data: &Bytes) -> Bytes {
    match nal::split(data).first() {
        Some(first) if nal::kind(first) == nal::AUD => data.clone(),
        _ => [DELIMITER, data].concat().into(),
    }
}

/// NAL units with their lengths in front: parameter sets stand in the header, and delimiters mean nothing there.
fn prefixed(data: &Bytes) -> Bytes {
    let mut out = Vec::with_capacity(data.len() + 16);
    for nal in nal::split(data).iter().filter(|n| !matches!(nal::kind(n), nal::SPS | nal::PPS | nal::AUD)) {
        out.extend(u32::try_from(nal.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(nal);
    }
    out.into()
}

/// How far a file is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Walk {
    /// The end of the last whole packet or element.
    end: u64,
    /// Pictures before that; 0 if none of them can be played.
    pictures: usize,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// It plays up to here.
    Plays {
        /// What is behind that is not whole.
        end: u64,
        /// So many pictures, the last of which may be damaged.
        pictures: usize,
    },
    /// Nothing that can be played, and nothing that was ever promised, as far as the file says.
    Nothing,
    /// Nothing that can be played, though its beginning was flushed.
    Damaged,
}

/// Reads a segment.
pub(crate) fn read(file: &dyn DiskFile, wrap: Wrap) -> io::Result<Found> {
    let walk = match wrap {
        Wrap::Ts => ts::walk(file)?,
        Wrap::Mkv => mkv::walk(file)?,
    };
    if walk.pictures > 0 {
        return Ok(Found::Plays { end: walk.end, pictures: walk.pictures });
    }
    let len = file.size()?;
    let begun = plate(file)?.is_some_and(|plate| len > u64::from(plate.first));
    Ok(if begun { Found::Damaged } else { Found::Nothing })
}

/// What a segment, open or finished, says of itself; `None` if it is none of ours.
pub(crate) fn mark(file: &dyn DiskFile) -> io::Result<Option<Mark>> {
    Ok(plate(file)?.map(|plate| plate.mark))
}

/// How long a finished segment plays, if it says so: one that was finished after a crash does not.
pub(super) fn length(file: &dyn DiskFile) -> io::Result<Option<Duration>> {
    Ok(plate(file)?.and_then(|plate| plate.length))
}

fn plate(file: &dyn DiskFile) -> io::Result<Option<Plate>> {
    let len = file.size()?.min(PLATE_WITHIN as u64);
    let mut start = vec![0; usize::try_from(len).expect("at most a sector")];
    file.read_at(&mut start, 0)?;
    Ok(Plate::find(&start))
}
