//! The one MP4 layout that we write, in its two shapes, and the boxes it is made of.
//!
//! While a segment is written:
//!
//! ```text
//! ftyp │ uuid mark │ free (16 bytes) │ moov with mvex │ uuid check │ { uuid check │ (free) │ moof │ mdat } ...
//! ```
//!
//! When it is finished, a plain MP4 that every player opens:
//!
//! ```text
//! ftyp │ uuid mark │ mdat (64-bit size, swallows the first moov and every fragment) ──────────── │ moov
//! ```
//!
//! The steps between, each of which plays (ffmpeg takes the first moov, then reads fragments; GStreamer's qtdemux the
//! same):
//! 1. Write the size of the coming mdat into the body of the `free` box, where it means nothing yet, and append the
//!    final moov. fdatasync.
//! 2. Overwrite the 8-byte header of the `free` box by `00000001 mdat`. It lies in the first 512 bytes, so a disk
//!    writes it whole; even torn at any byte it is a box of another size or an unknown type, and the file plays.
//!    fdatasync.
//!
//! The `mark` box of a segment stays readable in the finished file: its run, its place in the run, the exact time of
//! its first picture, whether the clock was known to be right then, and how many pictures are known to be missing before
//! it. The `check` box behind the moov holds the CRC-32 of the boxes before it, the one in front of a fragment that of its
//! moof and of each of its pictures: recovery keeps every picture that was written whole up to the first that was not. A
//! killed process leaves a prefix of its last write, a power cut may leave any sectors of it, and zeros for the others.

mod avc;
mod boxes;
#[cfg(test)]
pub(crate) mod plain;
mod read;

use bytes::Bytes;

pub use avc::decoder_record;
pub use boxes::{closing_moov, fragment, head, mdat_header, mdat_size};
#[cfg(test)]
pub(crate) use read::mark_of;
pub use read::{Found, Leftover, length, mark, read};

/// Ticks per second of every time in the file: a frame period of 24, 25, 30, 50 and 60 Hz is a whole number of them.
pub const TIMESCALE: u32 = 90_000;
/// Seconds from 1904-01-01, where ISO 14496-12 begins to count, to 1970-01-01.
const EPOCH_1904: u64 = 2_082_844_800;
/// `extended_type` of our mark box (a random UUID of this project).
const MARK: [u8; 16] = *b"\x8e\x4c\x29\x5d\x77\xb1\x4e\x0f\x9a\x52\xc6\x1b\x30\xe8\x4d\x71";
/// `extended_type` of our check box.
const CHECK: [u8; 16] = *b"\x8e\x4c\x29\x5d\x77\xb1\x4e\x0f\x9a\x52\xc6\x1b\x30\xe8\x4d\x72";
/// A check box without its sums, each a CRC-32: header, type.
const CHECK_LEN: usize = 8 + 16;
/// The `free` box that becomes the header of the mdat.
const RESERVE_LEN: usize = 16;

/// What a decoder must know of the video track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Pixels per line.
    pub width: u16,
    /// Lines.
    pub height: u16,
    /// Sequence parameter set, without start code.
    pub sps: Bytes,
    /// Picture parameter set, without start code.
    pub pps: Bytes,
    /// Ticks from one picture to the next at the nominal rate; the duration of the last picture.
    pub period: u32,
}

/// One picture in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Position of its first byte in the file.
    pub at: u64,
    /// Its bytes.
    pub bytes: u32,
    /// When it is shown, in ticks from the beginning of the segment.
    pub time: u64,
    /// True if decoding can begin here.
    pub keyframe: bool,
}
