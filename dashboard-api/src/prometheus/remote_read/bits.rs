//! Bits of Prometheus' chunks, and what all kinds of chunks say alike.

/// Bits in a row, the highest first.
pub(super) struct Bits {
    out: Vec<u8>,
    /// Free bits of the last byte.
    free: u32,
}

impl Bits {
    /// Behind whole bytes; so many more are expected.
    pub(super) fn behind(head: &[u8], expected: usize) -> Bits {
        let mut out = Vec::with_capacity(head.len() + expected);
        out.extend_from_slice(head);
        Bits { out, free: 0 }
    }

    /// All of it; the bits that are missing to a whole byte are zeros.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Appends the lowest `count` (0 to 64) bits.
    pub(super) fn put(&mut self, bits: u64, mut count: u32) {
        while count > 0 {
            if self.free == 0 {
                self.out.push(0);
                self.free = 8;
            }
            let taken = count.min(self.free);
            let part = (bits >> (count - taken)) & (u64::MAX >> (64 - taken));
            if let Some(last) = self.out.last_mut() {
                *last |= (part << (self.free - taken)) as u8;
            }
            self.free -= taken;
            count -= taken;
        }
    }

    pub(super) fn put_varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.put(number & 0x7f | 0x80, 8);
            number >>= 7;
        }
        self.put(number, 8);
    }
}

/// Leading and trailing zeros of the last difference that had a window of its own.
pub(super) type Window = Option<(u32, u32)>;

/// Whether a signed number is told by so many bits. Their highest value counts as positive.
pub(super) fn fits(number: i64, bits: u32) -> bool {
    let half = 1i64 << (bits - 1);
    (-(half - 1)..=half).contains(&number)
}

/// Appends a value as its difference (exclusive or) from the one before.
pub(super) fn put_value(bits: &mut Bits, difference: u64, window: &mut Window) {
    if difference == 0 {
        return bits.put(0, 1);
    }
    bits.put(1, 1);
    // Five bits say no more than 31.
    let (leading, trailing) = (difference.leading_zeros().min(31), difference.trailing_zeros());
    if let Some((had_leading, had_trailing)) = *window
        && leading >= had_leading
        && trailing >= had_trailing
    {
        bits.put(0, 1);
        return bits.put(difference >> had_trailing, 64 - had_leading - had_trailing);
    }
    *window = Some((leading, trailing));
    let length = 64 - leading - trailing;
    bits.put(1, 1);
    bits.put(u64::from(leading), 5);
    // 64 is written as 0.
    bits.put(u64::from(length), 6);
    bits.put(difference >> trailing, length);
}
