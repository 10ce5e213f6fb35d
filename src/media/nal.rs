//! Splits an H.264 Annex B byte stream into NAL units (ITU-T H.264 annex B, 7.4.1).

use bytes::Bytes;

/// `nal_unit_type` of a coded slice of an IDR picture.
pub const IDR: u8 = 5;
/// `nal_unit_type` of a sequence parameter set.
pub const SPS: u8 = 7;
/// `nal_unit_type` of a picture parameter set.
pub const PPS: u8 = 8;
/// `nal_unit_type` of an access unit delimiter.
pub const AUD: u8 = 9;

/// `nal_unit_type` of a NAL unit without start code.
pub fn kind(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |b| b & 0x1f)
}

/// The NAL units of one access unit, as shared slices without start codes. Bytes before the first start code and
/// empty units are passed over.
pub fn split(data: &Bytes) -> Vec<Bytes> {
    let mut units = Vec::with_capacity(8);
    let mut start = None;
    let mut at = 0;
    while let Some(code) = next_start_code(data, at) {
        if let Some(start) = start {
            push(&mut units, data, start, code);
        }
        at = code + 3;
        start = Some(at);
    }
    if let Some(start) = start {
        push(&mut units, data, start, data.len());
    }
    units
}

/// Position of the next `00 00 01`. Looks at every third byte where it can: most of a picture is far from any zero.
fn next_start_code(data: &[u8], from: usize) -> Option<usize> {
    let mut i = from + 2;
    while i < data.len() {
        match data[i] {
            1 if data[i - 1] == 0 && data[i - 2] == 0 => return Some(i - 2),
            0 => i += 1,
            _ => i += 3,
        }
    }
    None
}

fn push(units: &mut Vec<Bytes>, data: &Bytes, start: usize, mut end: usize) {
    // trailing_zero_8bits, and the first zero of a four-byte start code, belong to no NAL unit.
    while end > start && data[end - 1] == 0 {
        end -= 1;
    }
    if end > start {
        units.push(data.slice(start..end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(data: &'static [u8]) -> Vec<Vec<u8>> {
        split(&Bytes::from_static(data)).iter().map(|b| b.to_vec()).collect()
    }

    #[test]
    fn three_and_four_byte_start_codes() {
        let data = b"\x00\x00\x00\x01\x67\x42\x00\x00\x01\x68\xce\x00\x00\x00\x01\x65\x88\x84\x00\x00\x03\x01\x00";
        assert_eq!(units(data), [&b"\x67\x42"[..], b"\x68\xce", b"\x65\x88\x84\x00\x00\x03\x01"]);
    }

    #[test]
    fn odd_input_gives_no_panic() {
        for data in [&b""[..], b"\x00", b"\x00\x00\x01", b"\x00\x00\x01\x00\x00\x01", b"abc", b"\x01\x00\x00"] {
            let _ = split(&Bytes::copy_from_slice(data));
        }
        assert!(units(b"\x00\x00\x01\x00\x00\x01").is_empty());
    }

    #[test]
    fn agrees_with_a_search_at_every_byte() {
        let mut seed = 1u32;
        for _ in 0..2000 {
            let data: Vec<u8> = (0..40)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    [0, 0, 0, 1, 2][(seed >> 16) as usize % 5]
                })
                .collect();
            let slow = (0..data.len().saturating_sub(2)).find(|&i| data[i..i + 3] == [0, 0, 1]);
            assert_eq!(next_start_code(&data, 0), slow, "{data:?}");
        }
    }
}
