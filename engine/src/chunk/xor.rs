//! Values that are no short decimals: each XORed with the one before it (Gorilla's scheme).
//!
//! Source: Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database", VLDB 2015, 4.1.3.
//! Per value: bit 0 = same as before; bits 1 0 = meaningful bits in the last window; bits 1 1 = five bits of
//! leading zeros (at most 31), six bits of length - 1, then the meaningful bits.

use crate::bytes::Damaged;

struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    word: u64,
    filled: u32,
}

impl BitWriter<'_> {
    /// `count` in 1..=64; only the low `count` bits of `bits` may be set.
    fn put(&mut self, bits: u64, count: u32) {
        let room = 64 - self.filled;
        if count < room {
            self.word |= bits << (room - count);
            self.filled += count;
            return;
        }
        let over = count - room;
        self.word |= bits >> over;
        self.out.extend_from_slice(&self.word.to_be_bytes());
        self.word = if over == 0 { 0 } else { bits << (64 - over) };
        self.filled = over;
    }

    fn finish(self) {
        let bytes = self.filled.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.word.to_be_bytes()[..bytes]);
    }
}

struct BitReader<'a> {
    bytes: &'a [u8],
    bit: usize,
}

impl BitReader<'_> {
    /// `count` in 0..=64.
    fn take(&mut self, count: usize) -> Result<u64, Damaged> {
        if self.bit + count > self.bytes.len() * 8 {
            return Err(Damaged("a column of values ends too early"));
        }
        if count == 0 {
            return Ok(0);
        }
        let first = self.bit >> 3;
        let mut window = [0u8; 16];
        let available = (self.bytes.len() - first).min(16);
        window[..available].copy_from_slice(&self.bytes[first..first + available]);
        let word = u128::from_be_bytes(window) << (self.bit & 7);
        self.bit += count;
        Ok((word >> (128 - count)) as u64)
    }
}

/// Appends the values.
pub(super) fn encode(values: &[f64], out: &mut Vec<u8>) {
    let mut writer = BitWriter { out, word: 0, filled: 0 };
    let mut before = 0u64;
    let (mut leading, mut trailing) = (u32::MAX, 0u32);
    for (at, value) in values.iter().enumerate() {
        let bits = value.to_bits();
        if at == 0 {
            writer.put(bits, 64);
            before = bits;
            continue;
        }
        let xor = bits ^ before;
        before = bits;
        if xor == 0 {
            writer.put(0, 1);
            continue;
        }
        let (lead, trail) = (xor.leading_zeros().min(31), xor.trailing_zeros());
        let length = 64 - lead - trail;
        // A window that is more than a header too wide costs more than a new one.
        if leading != u32::MAX && lead >= leading && trail >= trailing && 64 - leading - trailing <= length + 11 {
            writer.put(0b10, 2);
            writer.put(xor >> trailing, 64 - leading - trailing);
        } else {
            (leading, trailing) = (lead, trail);
            writer.put(0b11, 2);
            writer.put(u64::from(lead), 5);
            writer.put(u64::from(length - 1), 6);
            writer.put(xor >> trail, length);
        }
    }
    writer.finish();
}

/// Appends `count` values to `out`.
pub(super) fn decode(bytes: &[u8], count: usize, out: &mut Vec<f64>) -> Result<(), Damaged> {
    if count == 0 {
        return Ok(());
    }
    let mut reader = BitReader { bytes, bit: 0 };
    let mut bits = reader.take(64)?;
    out.push(f64::from_bits(bits));
    let (mut length, mut trailing) = (0usize, 0u32);
    for _ in 1..count {
        if reader.take(1)? == 1 {
            if reader.take(1)? == 1 {
                let leading = reader.take(5)? as usize;
                length = reader.take(6)? as usize + 1;
                trailing = 64usize.checked_sub(leading + length).ok_or(Damaged("a value is too wide"))? as u32;
            }
            bits ^= reader.take(length)? << trailing;
        }
        out.push(f64::from_bits(bits));
    }
    Ok(())
}
