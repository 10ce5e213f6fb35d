//! The decoder configuration of an H.264 track (ISO 14496-15, 5.3.3).

use mp4_atom::{Avcc, AvccExt, Encode};

/// The `avcC` box. The High profiles state chroma format and bit depth in it once more; Apple's players insist.
pub(super) fn configuration(sps: &[u8], pps: &[u8]) -> Result<Avcc, mp4_atom::Error> {
    let avcc = Avcc::new(sps, pps)?;
    let high = matches!(avcc.avc_profile_indication, 100 | 110 | 122 | 144);
    let ext = if high { extension(sps) } else { None };
    Ok(Avcc { ext, ..avcc })
}

/// The record without a box around it: what Matroska and GStreamer call the codec's private data.
pub fn decoder_record(sps: &[u8], pps: &[u8]) -> Result<Vec<u8>, mp4_atom::Error> {
    let mut out = Vec::new();
    configuration(sps, pps)?.encode(&mut out)?;
    // Size and type.
    out.drain(..8);
    Ok(out)
}

/// Reads the beginning of a sequence parameter set of a High profile (H.264 7.3.2.1.1).
fn extension(sps: &[u8]) -> Option<AvccExt> {
    // After the header byte, profile, constraints and level.
    let mut bits = Bits { data: sps.get(4..)?, at: 0 };
    let _seq_parameter_set_id = bits.exp_golomb()?;
    let chroma_format = bits.exp_golomb()?;
    if chroma_format == 3 {
        let _separate_colour_plane_flag = bits.bit()?;
    }
    let (luma, chroma) = (bits.exp_golomb()?, bits.exp_golomb()?);
    let small = |value: u32, limit| u8::try_from(value).ok().filter(|v| *v <= limit);
    Some(AvccExt {
        chroma_format: small(chroma_format, 3)?,
        bit_depth_luma: small(luma, 6)? + 8,
        bit_depth_chroma: small(chroma, 6)? + 8,
        sequence_parameter_sets_ext: Vec::new(),
    })
}

/// Emulation prevention needs two zero bytes before it; the few bits read here come before any could appear.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<u32> {
        let byte = self.data.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(u32::from(bit))
    }

    /// ue(v) of H.264 9.1.
    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 16 {
                return None;
            }
        }
        (0..zeros).try_fold(1u32, |value, _| Some(value << 1 | self.bit()?)).map(|value| value - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baseline_has_no_extension_and_high_has_one() {
        assert_eq!(configuration(&[0x67, 66, 0xc0, 30, 0xd9], &[0x68]).unwrap().ext, None);
        // id 0 "1", chroma 1 "010", depths 0 "1" "1": 1010 1100.
        let high = configuration(&[0x67, 100, 0, 31, 0b1010_1100, 0xd9], &[0x68]).unwrap().ext.unwrap();
        assert_eq!((high.chroma_format, high.bit_depth_luma, high.bit_depth_chroma), (1, 8, 8));
        // id 0, chroma 2 "011", depths 2 "011" "011": 1011 0110 11.
        let deep = configuration(&[0x67, 122, 0, 31, 0b1011_0110, 0b1100_0000], &[0x68]).unwrap().ext.unwrap();
        assert_eq!((deep.chroma_format, deep.bit_depth_luma, deep.bit_depth_chroma), (2, 10, 10));
    }

    #[test]
    fn odd_parameter_sets_give_no_panic() {
        for body in [&[][..], &[0], &[0; 40], &[255; 3]] {
            let _ = configuration(&[&[0x67, 100, 0, 31], body].concat(), &[]);
        }
        assert!(configuration(&[0x67], &[0x68]).is_err());
    }
}
