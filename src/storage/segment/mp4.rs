//! Writes a segment as MP4, without a muxer: see [`mp4`].

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::gst::Piece;
use crate::media::access_unit::{AccessUnit, EncodedFormat};
use crate::media::nal;
use crate::storage::disk::DiskFile;
use crate::storage::error::Error;
use crate::storage::mark::Mark;
use crate::storage::mp4::{self, Leftover, Sample, TIMESCALE, Track};

use super::{Totals, Writer};

/// The pictures so far, and where they lie.
pub(super) struct Mp4 {
    /// What is on the medium.
    file: Leftover,
    /// Capture time of the first picture: 0 in the file.
    origin: Duration,
    fragments: u32,
    /// End and pictures of the fragment that was added last.
    added: Option<(u64, Vec<Sample>)>,
}

impl Mp4 {
    pub(super) fn new(mark: Mark, format: &EncodedFormat, origin: Duration) -> Self {
        let file = Leftover { track: track(format), mark, reserve: 0, end: 0, samples: Vec::new() };
        Self { file, origin, fragments: 0, added: None }
    }

    fn ticks(&self, pts: Duration) -> u64 {
        let ns = pts.saturating_sub(self.origin).as_nanos();
        // Rounded from the origin, not from picture to picture: errors do not add up.
        u64::try_from((ns * u128::from(TIMESCALE) + 500_000_000) / 1_000_000_000).unwrap_or(u64::MAX)
    }
}

impl Writer for Mp4 {
    fn add(&mut self, units: &[Arc<AccessUnit>]) -> Result<Vec<Piece>, Error> {
        let pictures: Vec<_> = units.iter().map(|u| (nals(u), self.ticks(u.pts), u.keyframe)).collect();
        let (at, mut data) = (self.file.end, Vec::new());
        if self.fragments == 0 {
            (data, self.file.reserve) = mp4::head(&self.file.track, &self.file.mark).map_err(unfit)?;
        }
        let begin = at + data.len() as u64;
        let (fragment, samples) =
            mp4::fragment(&self.file.track, self.fragments + 1, begin, &pictures).map_err(unfit)?;
        data.extend(fragment);
        self.added = Some((at + data.len() as u64, samples));
        Ok(vec![Piece { at, data }])
    }

    fn kept(&mut self) {
        let Some((end, samples)) = self.added.take() else { return };
        self.file.end = end;
        self.file.samples.extend(samples);
        self.fragments += 1;
    }

    fn close(&mut self, file: &mut dyn DiskFile, path: &Path) -> Result<Totals, Error> {
        let bytes = close(file, path, &self.file)?;
        let last = self.file.samples.last().map_or(0, |s| s.time + u64::from(self.file.track.period));
        let duration = Duration::from_nanos(last * 1_000_000_000 / u64::from(TIMESCALE));
        Ok(Totals { bytes, pictures: self.file.samples.len(), duration })
    }
}

/// Turns a file of fragments into a plain MP4, in the order described in [`mp4`]. Returns its size. Whatever lies
/// behind the last whole picture is cut off.
pub(in crate::storage) fn close(file: &mut dyn DiskFile, path: &Path, found: &Leftover) -> Result<u64, Error> {
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
pub(in crate::storage) fn close_header(file: &mut dyn DiskFile, path: &Path, reserve: u64) -> Result<(), Error> {
    let io = || Error::io("finish", path);
    file.write_at(&mp4::mdat_header(), reserve).map_err(io())?;
    file.datasync().map_err(io())
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
