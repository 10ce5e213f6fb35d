//! Reads back what we wrote, up to the first picture that was not written whole.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use mp4_atom::{Codec, Decode, Moof, Moov, Mvhd};

use crate::base::crc::crc32;
use crate::storage::disk::DiskFile;
use crate::storage::mark::Mark;

use super::avc::configuration;
use super::{CHECK, MARK, RESERVE_LEN, Sample, TIMESCALE, Track};

/// No moov or moof of ours is larger: 1 MiB describes 80,000 pictures in one fragment.
const MAX_INDEX: u64 = 1 << 20;
/// So much is searched at once.
const SEARCH: u64 = 1 << 20;
/// No picture of ours is larger: one in 0.35 s at 3 Gbit/s.
const MAX_PICTURE: u32 = 128 << 20;

/// 12,000 years. No segment of ours is so long, and with one more picture its times still fit.
const LATEST: u64 = 1 << 55;

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Already a plain MP4: only its name is unfinished.
    Complete,
    /// All but the last 8 bytes of it are: the header of the mdat is torn.
    AlmostComplete {
        /// Where that header begins.
        reserve: u64,
    },
    /// Fragments.
    Fragments(Leftover),
    /// Nothing that can be played, and nothing that was ever promised: not even the first fragment was flushed.
    Nothing,
    /// Nothing that can be played, though fragments were flushed.
    Damaged,
}

/// A segment that was not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The track.
    pub track: Track,
    /// What the segment says of itself.
    pub mark: Mark,
    /// Where the header of the mdat belongs.
    pub reserve: u64,
    /// End of the last whole picture.
    pub end: u64,
    /// Every picture up to the first that is not whole.
    pub samples: Vec<Sample>,
}

/// Reads a segment.
pub fn read(file: &dyn DiskFile) -> io::Result<Found> {
    let reader = Reader { file, len: file.size()? };
    match reader.found()? {
        Found::Nothing if reader.was_flushed()? => Ok(Found::Damaged),
        found => Ok(found),
    }
}

impl Reader<'_> {
    fn found(&self) -> io::Result<Found> {
        let Some(head) = self.head()? else { return Ok(Found::Nothing) };
        if let Some(found) = self.closed(head.reserve)? {
            return Ok(found);
        }
        let Some((track, moov_end)) = self.track(&head)? else { return Ok(Found::Nothing) };
        let mut leftover =
            Leftover { track, mark: head.mark, reserve: head.reserve, end: moov_end, samples: Vec::new() };
        while let Some(fragment) = self.fragment(leftover.end)? {
            let (Some(first), Some(last)) = (fragment.samples.first(), fragment.samples.last()) else { break };
            // Time goes on from fragment to fragment. One that lies before what is there already is none of this file.
            if leftover.samples.last().is_some_and(|before| first.time < before.time) {
                break;
            }
            leftover.end = last.at + u64::from(last.bytes);
            leftover.samples.extend(fragment.samples);
            if !fragment.whole {
                break;
            }
        }
        fix_period(&mut leftover);
        Ok(if leftover.samples.is_empty() { Found::Nothing } else { Found::Fragments(leftover) })
    }

    /// True if a second fragment was begun, as is done only once the first one is flushed: the first write holds two
    /// check boxes.
    fn was_flushed(&self) -> io::Result<bool> {
        let mut checks = 0;
        let mut at = 0;
        while at + 16 <= self.len && checks < 3 {
            let end = self.len.min(at + SEARCH);
            let data = self.bytes(at, end)?;
            checks += data.windows(CHECK.len()).filter(|window| **window == CHECK).count();
            // So that one that lies across the end is found in the next piece, once.
            at = end - 15;
        }
        Ok(checks >= 3)
    }
}

/// The nominal period is not in the file; the usual distance of its pictures is as good.
fn fix_period(leftover: &mut Leftover) {
    let mut distances: Vec<u64> = leftover.samples.windows(2).map(|p| p[1].time.saturating_sub(p[0].time)).collect();
    distances.sort_unstable();
    if let Some(middle) = distances.get(distances.len() / 2) {
        leftover.track.period = u32::try_from(*middle).unwrap_or(TIMESCALE);
    }
}

struct Head {
    mark: Mark,
    reserve: u64,
    before: Vec<u8>,
}

struct Reader<'a> {
    file: &'a dyn DiskFile,
    len: u64,
}

impl Reader<'_> {
    /// Size and type of the box at `at`, if it lies in the file as a whole.
    fn whole_box(&self, at: u64, max: u64) -> io::Result<Option<(u64, [u8; 4])>> {
        if at + 8 > self.len {
            return Ok(None);
        }
        let mut header = [0; 8];
        self.file.read_at(&mut header, at)?;
        let (size, kind) = header.split_at(4);
        let size = u64::from(u32::from_be_bytes(size.try_into().expect("half of 8 bytes")));
        let whole = (8..=max).contains(&size) && at + size <= self.len;
        Ok(whole.then(|| (size, kind.try_into().expect("half of 8 bytes"))))
    }

    fn bytes(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let len = usize::try_from(to - from).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut data = vec![0; len];
        self.file.read_at(&mut data, from)?;
        Ok(data)
    }

    /// The sums in the check box at `at`, and its end.
    fn sums(&self, at: u64) -> io::Result<Option<(Vec<u32>, u64)>> {
        let Some((size, kind)) = self.whole_box(at, MAX_INDEX)? else { return Ok(None) };
        let data = self.bytes(at, at + size)?;
        let Some(sums) = data[8..].strip_prefix(&CHECK).filter(|_| kind == *b"uuid") else { return Ok(None) };
        let (sums, rest) = sums.as_chunks::<4>();
        let sums = sums.iter().map(|sum| u32::from_be_bytes(*sum)).collect();
        Ok(rest.is_empty().then_some((sums, at + size)))
    }

    fn head(&self) -> io::Result<Option<Head>> {
        let Some((ftyp, kind)) = self.whole_box(0, 256)? else { return Ok(None) };
        let Some((mark, mark_kind)) = self.whole_box(ftyp, 256)? else { return Ok(None) };
        let reserve = ftyp + mark;
        if kind != *b"ftyp" || mark_kind != *b"uuid" || reserve + RESERVE_LEN as u64 > self.len {
            return Ok(None);
        }
        let before = self.bytes(0, reserve)?;
        let body = &before[usize::try_from(ftyp).expect("at most 256") + 8..];
        let Some(mark) = read_mark(body) else { return Ok(None) };
        Ok(Some(Head { mark, reserve, before }))
    }

    /// Looks whether the place of the mdat header, in whatever state it is, spans exactly to a closing moov.
    fn closed(&self, reserve: u64) -> io::Result<Option<Found>> {
        let header = self.bytes(reserve, reserve + RESERVE_LEN as u64)?;
        let (first, size) = header.split_at(8);
        let size = u64::from_be_bytes(size.try_into().expect("half of 16 bytes"));
        // A torn header cannot be told from an untouched one before the size is switched to 64 bits; then the
        // fragments are all there, and are found by reading them.
        if first[..4] != [0, 0, 0, 1] || size < RESERVE_LEN as u64 || size > self.len {
            return Ok(None);
        }
        let moov = self.whole_box(reserve + size, u64::from(u32::MAX))?;
        let ends = matches!(moov, Some((len, kind)) if kind == *b"moov" && reserve + size + len == self.len);
        Ok(ends.then_some(match &first[4..] {
            b"mdat" => Found::Complete,
            _ => Found::AlmostComplete { reserve },
        }))
    }

    fn track(&self, head: &Head) -> io::Result<Option<(Track, u64)>> {
        let at = head.reserve + RESERVE_LEN as u64;
        let Some((size, kind)) = self.whole_box(at, MAX_INDEX)? else { return Ok(None) };
        let data = self.bytes(at, at + size)?;
        let Some((sums, end)) = self.sums(at + size)? else { return Ok(None) };
        if kind != *b"moov" || sums != [crc32(&[&head.before, &data])] {
            return Ok(None);
        }
        let track = Moov::decode(&mut data.as_slice()).ok().and_then(|moov| track_of(&moov));
        Ok(track.map(|track| (track, end)))
    }

    fn fragment(&self, at: u64) -> io::Result<Option<Fragment>> {
        let Some((sums, mut index)) = self.sums(at)? else { return Ok(None) };
        let Some((mut moof, mut kind)) = self.whole_box(index, MAX_INDEX)? else { return Ok(None) };
        if kind == *b"free" {
            index += moof;
            let Some(next) = self.whole_box(index, MAX_INDEX)? else { return Ok(None) };
            (moof, kind) = next;
        }
        let data = index + moof + 8;
        if kind != *b"moof" || data > self.len {
            return Ok(None);
        }
        let head = self.bytes(index, data)?;
        let Some((_, sums)) = sums.split_first().filter(|(first, _)| **first == crc32(&[&head])) else {
            return Ok(None);
        };
        let samples = Moof::decode(&mut head.as_slice()).ok().and_then(|moof| samples_of(&moof, index, data));
        let Some(mut samples) = samples.filter(|samples| samples.len() == sums.len()) else { return Ok(None) };
        let written = self.written(&samples, sums)?;
        let whole = written == samples.len();
        samples.truncate(written);
        Ok(Some(Fragment { samples, whole }))
    }

    /// How many of a fragment's pictures were written whole, up to the first that was not.
    fn written(&self, samples: &[Sample], sums: &[u32]) -> io::Result<usize> {
        for (number, (sample, sum)) in samples.iter().zip(sums).enumerate() {
            let end = sample.at + u64::from(sample.bytes);
            if end > self.len || sample.bytes > MAX_PICTURE || crc32(&[&self.bytes(sample.at, end)?]) != *sum {
                return Ok(number);
            }
        }
        Ok(samples.len())
    }
}

struct Fragment {
    samples: Vec<Sample>,
    /// False if more pictures belong to it.
    whole: bool,
}

/// What a segment, open or finished, says of itself; `None` if it is none of ours.
pub fn mark(file: &dyn DiskFile) -> io::Result<Option<Mark>> {
    Ok(Reader { file, len: file.size()? }.head()?.map(|head| head.mark))
}

/// How long a finished segment plays; `None` if the file is none.
pub fn length(file: &dyn DiskFile) -> io::Result<Option<Duration>> {
    let reader = Reader { file, len: file.size()? };
    let Some(head) = reader.head()? else { return Ok(None) };
    if reader.closed(head.reserve)? != Some(Found::Complete) {
        return Ok(None);
    }
    let size = reader.bytes(head.reserve + 8, head.reserve + RESERVE_LEN as u64)?;
    let size = u64::from_be_bytes(size.try_into().expect("8 bytes"));
    // The mvhd is the first box of our moov.
    let at = head.reserve + size + 8;
    let Some((size, _)) = reader.whole_box(at, 256)? else { return Ok(None) };
    let mvhd = Mvhd::decode(&mut reader.bytes(at, at + size)?.as_slice()).ok();
    Ok(mvhd.map(|m| Duration::from_nanos(m.duration.saturating_mul(1_000_000_000) / u64::from(m.timescale.max(1)))))
}

/// What a segment held in memory says of itself.
#[cfg(test)]
pub(crate) fn mark_of(start: &[u8]) -> Option<Mark> {
    let ftyp = usize::try_from(u32::from_be_bytes(*start.first_chunk()?)).ok()?;
    let mark = start.get(ftyp..)?;
    read_mark(mark.get(8..)?).filter(|_| mark[4..8] == *b"uuid")
}

fn read_mark(body: &[u8]) -> Option<Mark> {
    let rest = body.strip_prefix(&MARK)?.strip_prefix(&1u32.to_be_bytes())?;
    let (run, rest) = rest.split_first_chunk()?;
    let (seq, rest) = rest.split_first_chunk()?;
    let (start, rest) = rest.split_first_chunk()?;
    let (lost, rest) = rest.split_first_chunk()?;
    let (clock_right, _) = rest.split_first_chunk()?;
    Some(Mark {
        run: u32::from_be_bytes(*run),
        seq: u32::from_be_bytes(*seq),
        start_ns: u64::from_be_bytes(*start),
        lost: u64::from_be_bytes(*lost),
        clock_right: u32::from_be_bytes(*clock_right) == 1,
    })
}

fn track_of(moov: &Moov) -> Option<Track> {
    let codec = moov.trak.first()?.mdia.minf.stbl.stsd.codecs.first()?;
    let Codec::Avc1(avc1) = codec else { return None };
    let set = |sets: &[Vec<u8>]| sets.first().map(|set| Bytes::from(set.clone()));
    let sps = set(&avc1.avcc.sequence_parameter_sets)?;
    let pps = set(&avc1.avcc.picture_parameter_sets)?;
    // What cannot be written again was not written by us, and would fail at every start.
    configuration(&sps, &pps).ok()?;
    Some(Track { width: avc1.visual.width, height: avc1.visual.height, sps, pps, period: TIMESCALE / 30 })
}

/// The pictures that a moof at `at` describes; they begin at `data`, right behind the header of the mdat.
fn samples_of(moof: &Moof, at: u64, data: u64) -> Option<Vec<Sample>> {
    let traf = moof.traf.first()?;
    let trun = traf.trun.first()?;
    let others = traf.tfhd.default_sample_flags;
    let mut position = Some(at + u64::try_from(trun.data_offset?).ok()?).filter(|position| *position == data)?;
    let mut time = traf.tfdt.as_ref()?.base_media_decode_time;
    let mut samples = Vec::with_capacity(trun.samples.len());
    for entry in &trun.samples {
        let (bytes, duration) = (entry.size?, entry.duration?);
        samples.push(Sample { at: position, bytes, time, keyframe: entry.flags.or(others)? & 0x0001_0000 == 0 });
        position += u64::from(bytes);
        time = time.checked_add(u64::from(duration)).filter(|time| *time <= LATEST)?;
    }
    Some(samples)
}
