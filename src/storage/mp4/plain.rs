//! Reads the pictures of a finished file by its closing moov alone, as a player does.

use std::io;

use mp4_atom::{Decode, Moov, StszSamples};

/// The bytes of every picture of a finished MP4 held in `file`, in order, each a chain of length-prefixed NAL units.
///
/// # Errors
/// If the boxes do not span the file, there is no moov behind the mdat, or a table points outside.
pub(crate) fn samples(file: &[u8]) -> io::Result<Vec<&[u8]>> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut at = 0;
    let mut moov = None;
    while at < file.len() {
        let (size, kind) = header(&file[at..]).ok_or_else(|| bad("a box is cut off"))?;
        let end = at.checked_add(size).filter(|end| *end <= file.len()).ok_or_else(|| bad("a box is too long"))?;
        if kind == b"moov" {
            let decoded = Moov::decode(&mut &file[at..end]).map_err(|_| bad("the moov is damaged"))?;
            if moov.replace(decoded).is_some() {
                return Err(bad("there are two moov boxes"));
            }
        }
        at = end;
    }
    let moov = moov.ok_or_else(|| bad("there is no moov box"))?;
    let stbl = &moov.trak.first().ok_or_else(|| bad("there is no track"))?.mdia.minf.stbl;
    let StszSamples::Different { sizes } = &stbl.stsz.samples else { return Err(bad("no sizes")) };
    let starts: Vec<u64> = match (&stbl.stco, &stbl.co64) {
        (Some(stco), _) => stco.entries.iter().map(|at| u64::from(*at)).collect(),
        (None, Some(co64)) => co64.entries.clone(),
        (None, None) => Vec::new(),
    };
    let mut sizes = sizes.iter();
    let mut samples = Vec::with_capacity(sizes.len());
    for (number, start) in (1..).zip(starts) {
        let entry = stbl.stsc.entries.iter().rev().find(|e| e.first_chunk <= number);
        let mut at = usize::try_from(start).map_err(|_| bad("a chunk lies outside"))?;
        for size in sizes.by_ref().take(entry.map_or(0, |e| e.samples_per_chunk as usize)) {
            let end = at + *size as usize;
            samples.push(file.get(at..end).ok_or_else(|| bad("a picture lies outside"))?);
            at = end;
        }
    }
    if sizes.next().is_some() { Err(bad("pictures without a chunk")) } else { Ok(samples) }
}

fn header(data: &[u8]) -> Option<(usize, &[u8])> {
    let (size, rest) = data.split_first_chunk::<4>()?;
    let kind = rest.get(..4)?;
    let size = match u32::from_be_bytes(*size) {
        1 => usize::try_from(u64::from_be_bytes(*rest.get(4..)?.first_chunk()?)).ok()?,
        size => size as usize,
    };
    (size >= 8).then_some((size, kind))
}
