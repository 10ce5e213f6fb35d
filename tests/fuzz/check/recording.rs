//! What a crash or a bad disk leaves of a recording, and what recovery makes of it.

use std::path::Path;

use bytes::Bytes;
use mp4_atom::{Decode, Moof};
use windhover::base::id::StreamId;
use windhover::storage::disk::Disk;
use windhover::storage::layout::{self, Kind, Name};
use windhover::storage::mark::Mark;
use windhover::storage::mp4::{self, Found, Leftover, Track};
use windhover::storage::recover::{Outcome, recover_segment};

use super::crc::crc32;
use super::disk::MemoryDisk;
use super::draw::Draw;
use super::plain;

/// `extended_type` of a check box, see `storage::mp4`.
const CHECK: &[u8] = b"\x8e\x4c\x29\x5d\x77\xb1\x4e\x0f\x9a\x52\xc6\x1b\x30\xe8\x4d\x72";

/// Any file at all under the name of an open segment. The first byte says whether the check sums are made right first,
/// which no fuzzer would guess, the next three where the power goes during recovery.
pub fn recover(data: &[u8]) {
    let mut draw = Draw(data);
    let (sealed, steps, torn) = (draw.byte() & 1 == 1, draw.byte() % 12, draw.byte());
    let mut file = draw.0.to_vec();
    if sealed {
        seal(&mut file);
    }
    check_recovery(&file, usize::from(steps), usize::from(torn));
}

/// A segment of ours, as [`storage::segment`](windhover::storage::segment) writes it, cut off anywhere: every picture that
/// was written whole is in the recovered file.
pub fn segment(data: &[u8]) {
    let mut draw = Draw(data);
    let (steps, torn, cut) = (draw.up_to(12), draw.up_to(64), draw.u32());
    let Some((file, pictures)) = written(&mut draw) else { return };
    let cut = usize::try_from(cut).expect("at least 32 bits") % (file.len() + 1);
    let whole = pictures.iter().filter(|(end, _)| *end <= cut as u64);
    let wanted: Vec<&[u8]> = whole.map(|(_, picture)| &picture[..]).collect();
    match check_recovery(&file[..cut], steps, torn) {
        Some(found) => assert_eq!(found, wanted),
        None => assert!(wanted.is_empty(), "{} pictures were promised", wanted.len()),
    }
}

/// A whole file of fragments, and the pictures in it as they are stored, each with its end.
#[allow(clippy::type_complexity, reason = "a pair, used once")]
fn written(draw: &mut Draw<'_>) -> Option<(Vec<u8>, Vec<(u64, Vec<u8>)>)> {
    let mark = Mark { run: draw.u32(), seq: draw.u32(), start_ns: draw.u64(), lost: draw.u64(), clock_right: true };
    let [sps, pps] = [draw.bytes(64), draw.bytes(16)].map(Bytes::copy_from_slice);
    let (width, height) = (u16::from(draw.byte()) * 32, u16::from(draw.byte()) * 32);
    let track = Track { width, height, sps, pps, period: draw.u32() % 100_000 };
    // An encoder that says nothing useful of itself is refused before anything is on the disk.
    let (mut file, reserve) = mp4::head(&track, &mark).ok()?;
    assert!(reserve + 16 <= 512, "the header that is overwritten lies in the first sector");
    let (mut all, mut time) = (Vec::new(), 0);
    for number in (1..).take(draw.up_to(5)) {
        let mut pictures = Vec::new();
        for n in 0..=draw.up_to(6) {
            let nals: Vec<Bytes> = (0..draw.up_to(3)).map(|_| Bytes::copy_from_slice(draw.bytes(255))).collect();
            pictures.push((nals, time, n == 0 && draw.byte() & 1 == 0));
            time += u64::from(draw.u32() % 1_000_000);
        }
        let (fragment, samples) = mp4::fragment(&track, number, file.len() as u64, &pictures).expect("it is small");
        assert_eq!(samples.len(), pictures.len());
        file.extend(fragment);
        let prefixed = |nal: &Bytes| [&u32::try_from(nal.len()).expect("at most 255").to_be_bytes(), &nal[..]].concat();
        let stored = pictures.iter().map(|(nals, ..)| nals.iter().flat_map(prefixed).collect());
        all.extend(samples.iter().map(|s| s.at + u64::from(s.bytes)).zip(stored));
    }
    Some((file, all))
}

/// Recovers a file, with and without a power cut on the way. Returns the pictures of the finished file, if it is one.
fn check_recovery(file: &[u8], steps: usize, torn: usize) -> Option<Vec<Vec<u8>>> {
    let stream = StreamId::new("live").expect("a good name");
    let name = Name::new(1_795_161_600, 42, 7);
    let (open, finished) = (layout::open(&stream, Kind::Video, &name), layout::finished(&stream, Kind::Video, &name));
    let disk = MemoryDisk::with(&open, file);
    let found = read(&disk, &open);
    let outcome = recover_segment(&disk, &stream, &name).expect("a good disk gives no error");
    let again = recover_segment(&disk, &stream, &name).expect("nor the second time");
    assert_eq!(disk.paths().len(), 1, "nothing is lost, nothing is added: {:?}", disk.paths());
    if outcome != Outcome::Finished {
        assert_eq!(again, Outcome::Gone);
        assert!(matches!(found, Found::Nothing | Found::Damaged), "{found:?}");
        assert_eq!(disk.content(&layout::quarantined(&stream, &name)).as_deref(), Some(file), "set aside untouched");
        return None;
    }
    assert_eq!(again, Outcome::Finished);
    let made = disk.content(&finished).expect("a finished file bears its name");
    assert_eq!(read(&disk, &finished), Found::Complete);
    disk.put(&open, &made);
    disk.remove(&finished).expect("it was there");
    recover_segment(&disk, &stream, &name).expect("a good disk gives no error");
    assert!(disk.content(&finished).as_ref() == Some(&made), "recovery of a finished file changes nothing");

    let disk = MemoryDisk::with(&open, file);
    disk.fail_after(steps, torn);
    let cut = recover_segment(&disk, &stream, &name);
    disk.power_on();
    if cut.is_err() {
        assert_eq!(recover_segment(&disk, &stream, &name).expect("the power is back"), Outcome::Finished);
    }
    let other = disk.content(&finished).expect("a finished file bears its name");
    let Found::Fragments(leftover) = found else { return Some(Vec::new()) };
    check_finished(file, &leftover, &made);
    Some(check_finished(file, &leftover, &other))
}

fn read(disk: &MemoryDisk, path: &Path) -> Found {
    mp4::read(disk.open(path).expect("it is there").as_ref()).expect("memory gives no error")
}

/// A player that reads the closing moov alone finds every picture of the leftover, and the mark says what it said.
fn check_finished(file: &[u8], leftover: &Leftover, made: &[u8]) -> Vec<Vec<u8>> {
    let samples = plain::samples(made).expect("a finished file is a plain MP4");
    let kept = leftover.samples.iter().map(|s| {
        let at = usize::try_from(s.at).expect("a position in memory");
        &file[at..at + s.bytes as usize]
    });
    assert!(samples.iter().copied().eq(kept), "the pictures are those of the fragments");
    let disk = MemoryDisk::with("made".as_ref(), made);
    let opened = disk.open("made".as_ref()).expect("just put there");
    assert_eq!(mp4::mark(opened.as_ref()).expect("memory gives no error"), Some(leftover.mark));
    assert!(mp4::length(opened.as_ref()).expect("memory gives no error").is_some());
    samples.into_iter().map(<[u8]>::to_vec).collect()
}

/// Puts the right sums into every check box: that of everything before it but the place of the mdat header behind the
/// first moov; that of the moof and of each picture in front of a fragment.
fn seal(file: &mut [u8]) {
    let (mut at, mut reserve, mut before) = (0, 0..0, *b"none");
    let mut sums = 0..0;
    while let Some((size, kind)) = whole_box(file, at) {
        let end = at + size;
        match &kind {
            b"free" if size == 16 && reserve.is_empty() => reserve = at..end,
            b"uuid" if file[at + 8..end].starts_with(CHECK) => {
                sums = at + 24..end;
                if before == *b"moov" && sums.len() == 4 {
                    let sum = crc32(&[&file[..reserve.start], &file[reserve.end..at]]);
                    file[sums.clone()].copy_from_slice(&sum.to_be_bytes());
                }
            }
            b"moof" if end + 8 <= file.len() => {
                let moof = Moof::decode(&mut &file[at..end]).ok();
                let trun = moof.as_ref().and_then(|moof| moof.traf.first()?.trun.first());
                let sizes = trun.into_iter().flat_map(|trun| &trun.samples).map(|entry| entry.size.unwrap_or(0));
                let mut from = at;
                for (n, size) in [end + 8 - at].into_iter().chain(sizes.map(|size| size as usize)).enumerate() {
                    let to = from.saturating_add(size);
                    let place = (sums.start + 4 * n)..(sums.start + 4 * n + 4);
                    if to > file.len() || place.end > sums.end {
                        break;
                    }
                    let sum = crc32(&[&file[from..to]]);
                    file[place].copy_from_slice(&sum.to_be_bytes());
                    from = to;
                }
            }
            _ => {}
        }
        (at, before) = (end, kind);
    }
}

fn whole_box(file: &[u8], at: usize) -> Option<(usize, [u8; 4])> {
    let header = file.get(at..at + 8)?;
    let size = u32::from_be_bytes(*header.first_chunk()?) as usize;
    (size >= 8 && size <= file.len() - at).then_some((size, *header.last_chunk()?))
}
