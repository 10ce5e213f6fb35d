//! Matroska, as far as we must know it: elements of an identity, a size and a body (RFC 8794, RFC 9559).

use std::io;

use crate::storage::disk::DiskFile;
use crate::storage::mark::{PLATE_LEN, Plate};

use super::Walk;

const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const TRACKS: u32 = 0x1654_ae6b;
const CLUSTER: u32 = 0x1f43_b675;
const SIMPLE_BLOCK: u32 = 0xa3;
const BLOCK_GROUP: u32 = 0xa0;
const VOID: u32 = 0xec;
/// SeekHead, Info, Cues, Tags; Timestamp, Position and PrevSize of a cluster.
const OTHERS: [u32; 7] = [0x114d_9b74, 0x1549_a966, 0x1c53_bb6b, 0x1254_c367, 0xe7, 0xa7, 0xab];

/// Bytes of the header of the element that carries the plate.
pub(super) const CARRIER: usize = 2;

/// The element that carries the plate: a void one, which every player passes over. It is the last of the EBML header: ffmpeg
/// 5.1 plays a file that has it behind that, but takes the segment to begin there and complains of what it finds.
pub(super) fn carry(plate: &Plate) -> Vec<u8> {
    let size = 0x80 | u8::try_from(PLATE_LEN).expect("it fits into the 7 bits of a one-byte size");
    let mut out = vec![0xec, size];
    out.extend(plate.bytes());
    out
}

/// Makes the EBML header with which a file begins say that it is longer by `more`; returns where its body ended before.
pub(super) fn lengthen_head(start: &mut [u8], more: usize) -> Option<usize> {
    let element = Element::parse(start).filter(|element| element.id == EBML)?;
    let (header, size) = (usize::try_from(element.header).ok()?, usize::try_from(element.size?).ok()?);
    let end = header.checked_add(size).filter(|end| *end <= start.len())?;
    // The muxer writes sizes in eight bytes: an identity of four, a marker, and seven for the number.
    let number = start.get_mut(5..header).filter(|number| number.len() == 7)?;
    number.copy_from_slice(&u64::try_from(size + more).ok()?.to_be_bytes()[1..]);
    Some(end)
}

/// Goes through the elements up to the first that is not whole, or none that we know. It can be played with a track and
/// a picture.
pub(super) fn walk(file: &dyn DiskFile) -> io::Result<Walk> {
    let len = file.size()?;
    let (mut at, mut end, mut pictures, mut tracks) = (0, 0, 0, false);
    while at < len {
        let mut start = vec![0; usize::try_from((len - at).min(12)).expect("at most 12")];
        file.read_at(&mut start, at)?;
        let Some(element) = Element::parse(&start) else { break };
        let body = at + element.header;
        // These hold the others. What they say of their size is written last, and not needed.
        if matches!(element.id, SEGMENT | CLUSTER) {
            at = body;
            continue;
        }
        let known = matches!(element.id, EBML | TRACKS | SIMPLE_BLOCK | BLOCK_GROUP | VOID);
        let next = element.size.and_then(|size| body.checked_add(size)).filter(|next| *next <= len);
        let Some(next) = next.filter(|_| known || OTHERS.contains(&element.id)) else { break };
        tracks |= element.id == TRACKS;
        pictures += usize::from(matches!(element.id, SIMPLE_BLOCK | BLOCK_GROUP));
        (at, end) = (next, next);
    }
    Ok(Walk { end, pictures: if tracks { pictures } else { 0 } })
}

struct Element {
    id: u32,
    /// Bytes of the identity and the size.
    header: u64,
    /// Bytes of the body, if they are known.
    size: Option<u64>,
}

impl Element {
    fn parse(data: &[u8]) -> Option<Self> {
        let id_len = data.first()?.leading_zeros() as usize + 1;
        let id = data.get(..id_len).filter(|_| id_len <= 4)?;
        let id = id.iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
        let size_len = data.get(id_len)?.leading_zeros() as usize + 1;
        let size = data.get(id_len..id_len + size_len).filter(|_| size_len <= 8)?;
        let all = u64::MAX >> (64 - 7 * size_len);
        let size = size.iter().fold(0, |size, byte| size << 8 | u64::from(*byte)) & all;
        Some(Self { id, header: (id_len + size_len) as u64, size: (size != all).then_some(size) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_grows_by_what_is_put_into_it() {
        let whole = [0x1a, 0x45, 0xdf, 0xa3, 1, 0, 0, 0, 0, 0, 0, 2, 0x42, 0x86, 9];
        let mut head = whole;
        assert_eq!(lengthen_head(&mut head, 300), Some(14));
        assert_eq!(head[4..12], [1, 0, 0, 0, 0, 0, 1, 46]);
        assert_eq!(head[12..], whole[12..]);
        for mut bad in [&whole[..13], &whole[1..], &[0x1a, 0x45, 0xdf, 0xa3, 0x82, 0x42, 0x86]].map(<[u8]>::to_vec) {
            let before = bad.clone();
            assert_eq!(lengthen_head(&mut bad, 300), None);
            assert_eq!(bad, before);
        }
    }

    #[test]
    fn elements() {
        let parse = |data: &[u8]| Element::parse(data).map(|e| (e.id, e.header, e.size));
        assert_eq!(parse(&[0x1a, 0x45, 0xdf, 0xa3, 1, 0, 0, 0, 0, 0, 0, 0x14]), Some((EBML, 12, Some(20))));
        assert_eq!(parse(&[0xa3, 0x42, 0x10, 9]), Some((SIMPLE_BLOCK, 3, Some(0x210))));
        assert_eq!(parse(&[0x1f, 0x43, 0xb6, 0x75, 0xff]), Some((CLUSTER, 5, None)));
        assert_eq!(parse(&[0x18, 0x53, 0x80, 0x67, 1, 255, 255, 255, 255, 255, 255, 255]), Some((SEGMENT, 12, None)));
        for bad in [&[][..], &[0], &[0; 12], &[8, 0, 0, 0, 0, 0x81], &[0xa3], &[0xa3, 0], &[0xa3, 0x40]] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
