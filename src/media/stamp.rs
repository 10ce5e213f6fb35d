//! A machine-readable time stamp in the picture, by which latency is measured from frame creation to a decoded frame.
//!
//! 56 blocks of 16x16 luma pixels in the top row, black (16) or white (235): 48 bits of `CLOCK_MONOTONIC` in
//! microseconds, least significant first, then an 8-bit check sum. Block averages survive H.264 at any usable rate.

use std::time::Duration;

const BLOCK: usize = 16;
const TIME_BITS: usize = 48;
const BITS: usize = TIME_BITS + 8;
const BLACK: u8 = 16;
const WHITE: u8 = 235;

/// Draws `time` into the luma plane; `stride` is the distance of two lines in bytes. Does nothing where it would not
/// fit.
pub fn burn(luma: &mut [u8], stride: usize, time: Duration) {
    if stride < BITS * BLOCK || luma.len() < stride * BLOCK {
        return;
    }
    let value = u64::try_from(time.as_micros()).unwrap_or(u64::MAX) & ((1 << TIME_BITS) - 1);
    let word = value | (u64::from(check(value)) << TIME_BITS);
    for line in luma.chunks_exact_mut(stride).take(BLOCK) {
        for (i, block) in line.chunks_exact_mut(BLOCK).take(BITS).enumerate() {
            block.fill(if word >> i & 1 == 1 { WHITE } else { BLACK });
        }
    }
}

/// Reads the stamp back, or `None` if the picture is damaged or bears none.
pub fn read(luma: &[u8], stride: usize) -> Option<Duration> {
    if stride < BITS * BLOCK || luma.len() < stride * BLOCK {
        return None;
    }
    let mut word = 0u64;
    for i in 0..BITS {
        // The middle 8x8 of a block: its border carries the ringing of its neighbours.
        let pixels = (4..12).flat_map(|y| &luma[y * stride + i * BLOCK + 4..][..8]);
        if pixels.map(|&p| u32::from(p)).sum::<u32>() / 64 > u32::from(WHITE.midpoint(BLACK)) {
            word |= 1 << i;
        }
    }
    let value = word & ((1 << TIME_BITS) - 1);
    (u64::from(check(value)) == word >> TIME_BITS).then(|| Duration::from_micros(value))
}

fn check(value: u64) -> u8 {
    value.to_le_bytes()[..6].iter().fold(0x5a, |sum: u8, byte| sum.rotate_left(1) ^ byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_was_burnt_and_refuses_damage() {
        let stride = 1280;
        let mut luma = vec![90; stride * 32];
        let time = Duration::from_micros(123_456_789_012);
        assert_eq!(read(&luma, stride), None);
        burn(&mut luma, stride, time);
        assert_eq!(read(&luma, stride), Some(time));
        for line in luma.chunks_exact_mut(stride).take(16) {
            line[..16].iter_mut().for_each(|p| *p = 251 - *p);
        }
        assert_eq!(read(&luma, stride), None);
        burn(&mut luma[..100], stride, time);
    }
}
