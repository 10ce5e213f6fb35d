//! What a segment says of itself, and how files say it that have no box of their own for it.

use std::time::Duration;

use crate::base::crc::crc32;

/// What a segment says of itself, in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Number of the run.
    pub run: u32,
    /// Place in the run.
    pub seq: u32,
    /// Time of the first picture in nanoseconds since the Unix epoch.
    pub start_ns: u64,
    /// Pictures known to be missing before the first one. 0 and seq 0: a new start, nobody counted.
    pub lost: u64,
    /// True if the clock that gave `start_ns` was known to be right then.
    pub clock_right: bool,
}

/// A random UUID of this project, which a player passes over with the packet or element around it.
const PLATE: [u8; 16] = *b"\x8e\x4c\x29\x5d\x77\xb1\x4e\x0f\x9a\x52\xc6\x1b\x30\xe8\x4d\x73";
/// UUID, version, the mark, the first write, the length, a CRC-32 of all that.
pub(super) const PLATE_LEN: usize = 16 + 4 + 28 + 4 + 8 + 4;
/// Its last two fields, which are written again when the file is finished.
pub(super) const PLATE_TAIL: usize = 8 + 4;
/// A plate lies in the first sector: a disk writes it whole.
pub(super) const PLATE_WITHIN: usize = 512;

/// The mark as it stands near the beginning of a file, with what recovery and retention want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plate {
    /// What the segment says of itself.
    pub(crate) mark: Mark,
    /// Bytes that were written and flushed at once when the file was made: it is longer only after they were safe.
    pub(crate) first: u32,
    /// How long it plays, once it is finished.
    pub(crate) length: Option<Duration>,
}

impl Plate {
    pub(super) fn bytes(&self) -> [u8; PLATE_LEN] {
        let mut out = Vec::with_capacity(PLATE_LEN);
        out.extend(PLATE);
        out.extend(1u32.to_be_bytes());
        out.extend(self.mark.run.to_be_bytes());
        out.extend(self.mark.seq.to_be_bytes());
        out.extend(self.mark.start_ns.to_be_bytes());
        out.extend(self.mark.lost.to_be_bytes());
        out.extend(u32::from(self.mark.clock_right).to_be_bytes());
        out.extend(self.first.to_be_bytes());
        let length = self.length.map_or(0, |length| u64::try_from(length.as_nanos()).unwrap_or(u64::MAX));
        out.extend(length.to_be_bytes());
        out.extend(crc32(&[&out]).to_be_bytes());
        out.try_into().expect("the fields above have this many bytes")
    }

    /// Finds the plate in the beginning of a file.
    pub(crate) fn find(start: &[u8]) -> Option<Self> {
        let at = start.windows(PLATE.len()).position(|window| *window == PLATE)?;
        let plate: &[u8; PLATE_LEN] = start.get(at..)?.first_chunk()?;
        let (body, sum) = plate.split_at(PLATE_LEN - 4);
        if crc32(&[body]).to_be_bytes() != sum {
            return None;
        }
        let rest = body[PLATE.len()..].strip_prefix(&1u32.to_be_bytes())?;
        let (run, rest) = rest.split_first_chunk()?;
        let (seq, rest) = rest.split_first_chunk()?;
        let (start, rest) = rest.split_first_chunk()?;
        let (lost, rest) = rest.split_first_chunk()?;
        let (clock_right, rest) = rest.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk()?;
        let length = u64::from_be_bytes(*rest.first_chunk()?);
        let mark = Mark {
            run: u32::from_be_bytes(*run),
            seq: u32::from_be_bytes(*seq),
            start_ns: u64::from_be_bytes(*start),
            lost: u64::from_be_bytes(*lost),
            clock_right: u32::from_be_bytes(*clock_right) == 1,
        };
        let length = (length > 0).then(|| Duration::from_nanos(length));
        Some(Self { mark, first: u32::from_be_bytes(*first), length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plate_is_found_wherever_it_stands_and_only_whole() {
        let mark = Mark { run: 7, seq: 9, start_ns: 1_795_161_600_123_456_789, lost: 30, clock_right: true };
        for length in [None, Some(Duration::from_millis(5500))] {
            let plate = Plate { mark, first: 4711, length };
            let file = [&[0x47; 5][..], &plate.bytes(), &[0xff; 9]].concat();
            assert_eq!(Plate::find(&file), Some(plate));
            for bad in 0..file.len() {
                let mut torn = file.clone();
                torn[bad] ^= 1;
                let inside = (5..5 + PLATE_LEN).contains(&bad);
                assert_eq!(Plate::find(&torn), (!inside).then_some(plate), "byte {bad}");
            }
            assert_eq!(Plate::find(&file[..5 + PLATE_LEN - 1]), None);
        }
    }
}
