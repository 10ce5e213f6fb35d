//! Takes numbers and choices from the bytes of the fuzzer; when they run out, everything is zero.

pub(super) struct Draw<'a>(pub(super) &'a [u8]);

impl<'a> Draw<'a> {
    pub(super) fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from(self.u32()) << 32 | u64::from(self.u32())
    }

    /// From 0 to `most`.
    pub(super) fn up_to(&mut self, most: usize) -> usize {
        usize::try_from(self.u32()).expect("at least 32 bits") % (most + 1)
    }

    /// At most `most` bytes.
    pub(super) fn bytes(&mut self, most: usize) -> &'a [u8] {
        let len = (self.byte() as usize).min(most).min(self.0.len());
        self.0.split_off(..len).expect("no longer than what is left")
    }
}
