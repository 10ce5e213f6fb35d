//! Builds the boxes of a segment.

use mp4_atom::{
    Avc1, Co64, Codec, Dinf, Dref, Encode, FixedPoint, Ftyp, Hdlr, Mdhd, Mdia, Mfhd, Minf, Moof, Moov, Mvex, Mvhd,
    Stbl, Stco, Stsc, StscEntry, Stsd, Stss, Stsz, StszSamples, Stts, SttsEntry, Tfdt, Tfhd, Tkhd, Traf, Trak, Trex,
    Trun, TrunEntry, Url, Visual, Vmhd,
};

use crate::base::crc::crc32;
use crate::storage::mark::Mark;

use super::avc::configuration;
use super::{CHECK, CHECK_LEN, EPOCH_1904, MARK, Sample, TIMESCALE, Track};

const TRACK_ID: u32 = 1;
/// ISO 14496-12 8.8.3.1: depends on no other picture.
const KEYFRAME: u32 = 0x0200_0000;
/// Depends on others, and is no place to begin.
const NO_KEYFRAME: u32 = 0x0101_0000;

/// Everything before the first fragment, and where in it the header of the later mdat is reserved.
pub fn head(track: &Track, mark: &Mark) -> Result<(Vec<u8>, u64), mp4_atom::Error> {
    let mut out = Vec::with_capacity(1024);
    let brands = [b"isom", b"iso5", b"iso6", b"avc1", b"mp41"].map(|b| b.into());
    Ftyp { major_brand: b"isom".into(), minor_version: 512, compatible_brands: brands.into() }.encode(&mut out)?;
    put_mark(&mut out, mark);
    let reserve = out.len();
    out.extend(16u32.to_be_bytes());
    out.extend(b"free\0\0\0\0\0\0\0\0");
    let after = out.len();
    let mvex = Mvex { mehd: None, trex: vec![trex()] };
    Moov { mvex: Some(mvex), ..moov(track, mark, &[])? }.encode(&mut out)?;
    let sum = crc32(&[&out[..reserve], &out[after..]]);
    put_check(&mut out, &[sum])?;
    Ok((out, reserve as u64))
}

/// One fragment that begins at `at` in the file: its boxes, and where its pictures lie. The check box in front holds the
/// sum of the moof with the header of the mdat, then that of each picture. `pictures` are lists of NAL
/// units with their time in ticks and whether they are keyframes.
pub fn fragment(
    track: &Track,
    number: u32,
    at: u64,
    pictures: &[(Vec<bytes::Bytes>, u64, bool)],
) -> Result<(Vec<u8>, Vec<Sample>), mp4_atom::Error> {
    let too_large = || mp4_atom::Error::TooLarge(b"mdat".into());
    let mut samples = Vec::with_capacity(pictures.len());
    let mut entries = Vec::with_capacity(pictures.len());
    let mut sums = vec![0];
    let mut data = Vec::new();
    for (i, (nals, time, keyframe)) in pictures.iter().enumerate() {
        let begin = data.len();
        for nal in nals {
            data.extend(u32::try_from(nal.len()).map_err(|_| too_large())?.to_be_bytes());
            data.extend_from_slice(nal);
        }
        let bytes = u32::try_from(data.len() - begin).map_err(|_| too_large())?;
        let next = pictures.get(i + 1).map(|(_, next, _)| next.saturating_sub(*time));
        let duration = next.map_or(track.period, |d| u32::try_from(d).unwrap_or(u32::MAX));
        // Only the first can be a keyframe: one closes the fragment before it.
        let flags = (i == 0).then_some(if *keyframe { KEYFRAME } else { NO_KEYFRAME });
        entries.push(TrunEntry { duration: Some(duration), size: Some(bytes), flags, cts: None });
        samples.push(Sample { at: begin as u64, bytes, time: *time, keyframe: *keyframe });
        sums.push(crc32(&[&data[begin..]]));
    }
    let base = pictures.first().map_or(0, |(_, time, _)| *time);
    let mut index = Vec::new();
    moof(number, base, 0, entries.clone()).encode(&mut index)?;
    let data_offset = i32::try_from(index.len() + 8).map_err(|_| too_large())?;
    index.clear();
    moof(number, base, data_offset, entries).encode(&mut index)?;
    let moof_len = index.len() as u64;
    index.extend(u32::try_from(data.len() + 8).map_err(|_| too_large())?.to_be_bytes());
    index.extend(b"mdat");
    sums[0] = crc32(&[&index]);
    let mut out = Vec::with_capacity(data.len() + index.len() + 1024);
    put_check(&mut out, &sums)?;
    out.extend(padding(at + out.len() as u64, moof_len));
    out.extend(index);
    samples.iter_mut().for_each(|s| s.at += at + out.len() as u64);
    out.extend(data);
    Ok((out, samples))
}

/// A `free` box that moves an index of `len` bytes out of the way of a sector boundary, or, if it is larger than a
/// sector, of a page boundary. ffmpeg (5.1) refuses a file with a moof that is cut off in the middle, and disks and
/// kernels cut at such boundaries only.
fn padding(at: u64, len: u64) -> Vec<u8> {
    let unit = if len <= 512 { 512 } else { 4096 };
    if at % unit + len <= unit {
        return Vec::new();
    }
    let to_boundary = unit - at % unit;
    let pad = if to_boundary < 8 { to_boundary + unit } else { to_boundary };
    let mut out = u32::try_from(pad).expect("at most a page and a box").to_be_bytes().to_vec();
    out.extend(b"free");
    out.resize(usize::try_from(pad).expect("at most a page and a box"), 0);
    out
}

/// The moov of the finished file.
pub fn closing_moov(track: &Track, mark: &Mark, samples: &[Sample]) -> Result<Vec<u8>, mp4_atom::Error> {
    let mut out = Vec::with_capacity(1024 + samples.len() * 12);
    moov(track, mark, samples)?.encode(&mut out)?;
    Ok(out)
}

/// The second half of the header of the mdat that swallows everything from `reserve` to `end`.
pub fn mdat_size(reserve: u64, end: u64) -> [u8; 8] {
    (end - reserve).to_be_bytes()
}

/// The first half of that header: "the size follows as 64 bits", and the type.
pub fn mdat_header() -> [u8; 8] {
    *b"\0\0\0\x01mdat"
}

fn put_mark(out: &mut Vec<u8>, mark: &Mark) {
    let len = 8 + MARK.len() + 4 + 4 + 4 + 8 + 8 + 4;
    out.extend(u32::try_from(len).expect("a box of fixed size").to_be_bytes());
    out.extend(b"uuid");
    out.extend(MARK);
    // Version 1 of this box.
    out.extend(1u32.to_be_bytes());
    out.extend(mark.run.to_be_bytes());
    out.extend(mark.seq.to_be_bytes());
    out.extend(mark.start_ns.to_be_bytes());
    out.extend(mark.lost.to_be_bytes());
    out.extend(u32::from(mark.clock_right).to_be_bytes());
}

fn put_check(out: &mut Vec<u8>, sums: &[u32]) -> Result<(), mp4_atom::Error> {
    let len = CHECK_LEN + 4 * sums.len();
    out.extend(u32::try_from(len).map_err(|_| mp4_atom::Error::TooLarge(b"uuid".into()))?.to_be_bytes());
    out.extend(b"uuid");
    out.extend(CHECK);
    sums.iter().for_each(|sum| out.extend(sum.to_be_bytes()));
    Ok(())
}

fn moof(number: u32, base: u64, data_offset: i32, entries: Vec<TrunEntry>) -> Moof {
    let tfhd = Tfhd {
        track_id: TRACK_ID,
        default_sample_flags: Some(NO_KEYFRAME),
        default_base_is_moof: true,
        ..Tfhd::default()
    };
    let trun = Trun { data_offset: Some(data_offset), samples: entries.into() };
    let tfdt = Tfdt { base_media_decode_time: base };
    let traf = Traf { tfhd, tfdt: Some(tfdt), trun: vec![trun], ..Traf::default() };
    Moof { mfhd: Mfhd { sequence_number: number }, traf: vec![traf] }
}

fn trex() -> Trex {
    Trex { track_id: TRACK_ID, default_sample_description_index: 1, ..Trex::default() }
}

/// With an empty list: the moov in front of fragments.
fn moov(track: &Track, mark: &Mark, samples: &[Sample]) -> Result<Moov, mp4_atom::Error> {
    let created = mark.start_ns / 1_000_000_000 + EPOCH_1904;
    let duration = samples.last().map_or(0, |s| s.time + u64::from(track.period));
    let mvhd = Mvhd {
        creation_time: created,
        modification_time: created,
        timescale: TIMESCALE,
        duration,
        rate: 1.into(),
        volume: 1.into(),
        next_track_id: TRACK_ID + 1,
        ..Mvhd::default()
    };
    let tkhd = Tkhd {
        creation_time: created,
        modification_time: created,
        track_id: TRACK_ID,
        duration,
        enabled: true,
        in_movie: true,
        width: FixedPoint::from(track.width),
        height: FixedPoint::from(track.height),
        ..Tkhd::default()
    };
    let mdhd = Mdhd {
        creation_time: created,
        modification_time: created,
        timescale: TIMESCALE,
        duration,
        language: "und".into(),
    };
    let hdlr = Hdlr { handler: b"vide".into(), name: "VideoHandler".into() };
    let dinf = Dinf { dref: Dref { entries: vec![Url { location: String::new() }.into()] } };
    let minf = Minf { vmhd: Some(Vmhd::default()), dinf, stbl: stbl(track, samples)?, ..Minf::default() };
    let trak = Trak { tkhd, mdia: Mdia { mdhd, hdlr, minf }, ..Trak::default() };
    Ok(Moov { mvhd, trak: vec![trak], ..Moov::default() })
}

fn stbl(track: &Track, samples: &[Sample]) -> Result<Stbl, mp4_atom::Error> {
    let visual = Visual { data_reference_index: 1, width: track.width, height: track.height, ..Visual::default() };
    let avc1 = Avc1 { visual, avcc: configuration(&track.sps, &track.pps)?, ..Avc1::default() };
    let chunks = chunks(samples);
    let (mut stco, mut co64) = (None, None);
    match chunks.iter().map(|(at, _)| u32::try_from(*at)).collect::<Result<Vec<_>, _>>() {
        Ok(entries) => stco = Some(Stco { entries }),
        Err(_) => co64 = Some(Co64 { entries: chunks.iter().map(|(at, _)| *at).collect() }),
    }
    let keyframes = (1..).zip(samples).filter(|(_, s)| s.keyframe).map(|(number, _)| number).collect();
    Ok(Stbl {
        stsd: Stsd { codecs: vec![Codec::Avc1(avc1)] },
        stts: Stts { entries: durations(samples, track.period) },
        stss: (!samples.is_empty()).then_some(Stss { entries: keyframes }),
        stsc: Stsc { entries: samples_per_chunk(&chunks) },
        stsz: Stsz { samples: StszSamples::Different { sizes: samples.iter().map(|s| s.bytes).collect() } },
        stco,
        co64,
        ..Stbl::default()
    })
}

/// Pictures that lie one after the other: where they begin, and how many there are.
fn chunks(samples: &[Sample]) -> Vec<(u64, u32)> {
    let mut chunks: Vec<(u64, u32)> = Vec::new();
    let mut end = 0;
    for sample in samples {
        match chunks.last_mut() {
            Some((_, count)) if sample.at == end => *count += 1,
            _ => chunks.push((sample.at, 1)),
        }
        end = sample.at + u64::from(sample.bytes);
    }
    chunks
}

fn samples_per_chunk(chunks: &[(u64, u32)]) -> Vec<StscEntry> {
    let mut entries: Vec<StscEntry> = Vec::new();
    for (number, (_, count)) in (1..).zip(chunks) {
        if entries.last().is_none_or(|e| e.samples_per_chunk != *count) {
            entries.push(StscEntry { first_chunk: number, samples_per_chunk: *count, sample_description_index: 1 });
        }
    }
    entries
}

fn durations(samples: &[Sample], last: u32) -> Vec<SttsEntry> {
    let mut entries: Vec<SttsEntry> = Vec::new();
    let between = samples.windows(2).map(|pair| u32::try_from(pair[1].time - pair[0].time).unwrap_or(u32::MAX));
    for delta in between.chain(samples.last().map(|_| last)) {
        match entries.last_mut() {
            Some(entry) if entry.sample_delta == delta => entry.sample_count += 1,
            _ => entries.push(SttsEntry { sample_count: 1, sample_delta: delta }),
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::mp4::RESERVE_LEN;

    #[test]
    fn the_header_that_is_overwritten_lies_in_the_first_sector() {
        let track =
            Track { width: 64, height: 64, sps: vec![0x67, 66, 0, 10].into(), pps: vec![0x68].into(), period: 3000 };
        let (head, at) = head(&track, &Mark { run: 1, seq: 0, start_ns: 0, lost: 0, clock_right: true }).unwrap();
        let at = usize::try_from(at).unwrap();
        assert_eq!(&head[at..at + 8], b"\0\0\0\x10free");
        assert!(at + RESERVE_LEN <= 512, "{at}");
        assert_eq!(&head[at + RESERVE_LEN + 4..][..4], b"moov");
    }

    #[test]
    fn an_index_crosses_no_boundary_at_which_a_write_is_torn() {
        for (at, len, pad) in [
            (0, 512, 0),
            (100, 412, 0),
            (100, 413, 412),
            (505, 200, 519),
            (504, 200, 8),
            (512, 600, 0),
            (4000, 600, 96),
            (4090, 600, 4102),
        ] {
            assert_eq!(padding(at, len).len(), pad, "{at} {len}");
        }
    }

    #[test]
    fn pictures_that_touch_make_one_chunk() {
        let sample = |at, time| Sample { at, bytes: 10, time, keyframe: false };
        let samples = [sample(100, 0), sample(110, 3000), sample(200, 6000), sample(210, 9500), sample(300, 12_500)];
        assert_eq!(chunks(&samples), [(100, 2), (200, 2), (300, 1)]);
        let runs: Vec<_> =
            samples_per_chunk(&chunks(&samples)).iter().map(|e| (e.first_chunk, e.samples_per_chunk)).collect();
        assert_eq!(runs, [(1, 2), (3, 1)]);
        let times: Vec<_> = durations(&samples, 3000).iter().map(|e| (e.sample_count, e.sample_delta)).collect();
        assert_eq!(times, [(2, 3000), (1, 3500), (2, 3000)]);
    }

    #[test]
    fn a_file_beyond_4_gib_has_64_bit_positions() {
        let track =
            Track { width: 64, height: 64, sps: vec![0x67, 66, 0, 10].into(), pps: vec![0x68].into(), period: 3000 };
        let far = [Sample { at: 5 << 32, bytes: 10, time: 0, keyframe: true }];
        let stbl = stbl(&track, &far).unwrap();
        assert_eq!(stbl.co64.unwrap().entries, [5 << 32]);
        assert!(stbl.stco.is_none());
    }
}
