//! What encoders and test pictures deliver: NAL units, and the time stamp burnt into a picture.

use std::time::Duration;

use bytes::Bytes;
use windhover::media::{nal, stamp};

use super::draw::Draw;

/// Units are where a plain search finds them: between start codes, in order, without the zeros around them.
pub fn split(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    let units = nal::split(&data);
    let codes: Vec<usize> = data.windows(3).enumerate().filter(|(_, w)| **w == [0, 0, 1]).map(|(at, _)| at).collect();
    let ends = codes.iter().skip(1).copied().chain([data.len()]);
    let pieces = codes.iter().zip(ends).map(|(at, end)| &data[at + 3..end]);
    let trimmed = pieces.map(|piece| &piece[..piece.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)]);
    let wanted: Vec<&[u8]> = trimmed.filter(|piece| !piece.is_empty()).collect();
    assert_eq!(units, wanted);
    assert!(units.iter().all(|unit| nal::kind(unit) == unit[0] & 0x1f));
    // What was split and is joined again splits into the same.
    let joined: Vec<u8> = units.iter().flat_map(|unit| [&[0, 0, 0, 1], &unit[..]].concat()).collect();
    assert_eq!(nal::split(&joined.into()), units);
}

/// Any picture is read without harm, and a burnt time comes back from any picture that is large enough.
pub fn stamp(data: &[u8]) {
    let mut draw = Draw(data);
    let (stride, lines) = (880 + draw.up_to(40), 14 + draw.up_to(4));
    let time = Duration::from_micros(draw.u64());
    let mut luma = vec![draw.byte(); stride * lines];
    for (pixel, byte) in luma.iter_mut().zip(draw.0.iter().cycle()) {
        *pixel = *byte;
    }
    let before = stamp::read(&luma, stride);
    stamp::burn(&mut luma, stride, time);
    if stride >= 896 && lines >= 16 {
        let kept = Duration::from_micros(u64::try_from(time.as_micros()).expect("made from 64 bits") & ((1 << 48) - 1));
        assert_eq!(stamp::read(&luma, stride), Some(kept));
    } else {
        assert_eq!(stamp::read(&luma, stride), before);
        assert_eq!(before, None);
    }
}
