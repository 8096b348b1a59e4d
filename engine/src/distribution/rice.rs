//! Numbers as bits, as earlier versions wrote histograms: Rice codes whose parameter follows the numbers.
//!
//! ```text
//! number = n >> k ones, a zero, the k low bits of n; from 24 ones on: 24 ones and 64 bits
//! ```
//! `k` fits the running mean of the numbers before, so dense middles and thin tails of a histogram each
//! cost about what they say. Source: R. F. Rice, "Some Practical Universal Noiseless Coding Techniques", JPL 79-22.

use crate::bytes::Damaged;

const ESCAPE: u32 = 24;

/// The running mean of numbers, in sixteenths.
#[derive(Clone, Copy)]
pub(super) struct Mean(u64);

impl Mean {
    pub(super) const fn new() -> Mean {
        Mean(16)
    }

    fn bits(self) -> u32 {
        // The number of bits of the mean; none for a mean below one.
        64 - (self.0 >> 4).leading_zeros()
    }

    fn saw(&mut self, number: u64) {
        self.0 = self.0 - self.0 / 8 + number.min(1 << 40) * 2;
    }
}

/// Bits from the least significant one up.
#[cfg(test)]
#[derive(Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    word: u64,
    filled: u32,
}

#[cfg(test)]
impl BitWriter {
    /// `count` at most 57; only the low `count` bits of `bits` may be set.
    fn put(&mut self, bits: u64, count: u32) {
        self.word |= bits << self.filled;
        self.filled += count;
        while self.filled >= 8 {
            self.bytes.push(self.word as u8);
            self.word >>= 8;
            self.filled -= 8;
        }
    }

    pub(super) fn number(&mut self, number: u64, mean: &mut Mean) {
        let k = mean.bits().min(30);
        let ones = number >> k;
        if ones < u64::from(ESCAPE) {
            self.put((1 << ones) - 1, ones as u32 + 1);
            self.put(number & ((1 << k) - 1), k);
        } else {
            self.put((1 << ESCAPE) - 1, ESCAPE);
            self.put(number & 0xffff_ffff, 32);
            self.put(number >> 32, 32);
        }
        mean.saw(number);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.filled > 0 {
            self.bytes.push(self.word as u8);
        }
        self.bytes
    }
}

/// Reads what a `BitWriter` wrote; bits behind the end are zeros.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    bit: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> BitReader<'a> {
        BitReader { bytes, bit: 0 }
    }

    /// At least 57 bits from here.
    #[inline]
    fn peek(&self) -> u64 {
        let at = self.bit >> 3;
        let word = match self.bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(word) => u64::from_le_bytes(*word),
            None => {
                let mut word = [0u8; 8];
                let rest = self.bytes.get(at..).unwrap_or_default();
                word[..rest.len()].copy_from_slice(rest);
                u64::from_le_bytes(word)
            }
        };
        word >> (self.bit & 7)
    }

    #[inline]
    pub(super) fn number(&mut self, mean: &mut Mean) -> Result<u64, Damaged> {
        if self.bit > self.bytes.len() * 8 {
            return Err(Damaged("a histogram ends too early"));
        }
        let k = mean.bits().min(30);
        let word = self.peek();
        let ones = word.trailing_ones();
        let number = if ones < ESCAPE {
            self.bit += (ones + 1 + k) as usize;
            // At most 23 ones, a zero and 30 bits.
            (u64::from(ones) << k) | ((word >> (ones + 1)) & ((1 << k) - 1))
        } else {
            self.bit += ESCAPE as usize;
            let low = self.peek() & 0xffff_ffff;
            self.bit += 32;
            let high = self.peek() & 0xffff_ffff;
            self.bit += 32;
            (high << 32) | low
        };
        mean.saw(number);
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_read_back(numbers in prop::collection::vec(prop_oneof![6 => 0u64..4, 3 => 0u64..5000, 1 => any::<u64>()], 0..300)) {
            let (mut writer, mut mean) = (BitWriter::default(), Mean::new());
            numbers.iter().for_each(|number| writer.number(*number, &mut mean));
            let bytes = writer.finish();
            let (mut reader, mut mean) = (BitReader::new(&bytes), Mean::new());
            for number in numbers {
                prop_assert_eq!(reader.number(&mut mean), Ok(number));
            }
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..50)) {
            let (mut reader, mut mean) = (BitReader::new(&bytes), Mean::new());
            for _ in 0..1000 {
                if reader.number(&mut mean).is_err() { return Ok(()); }
            }
            prop_assert!(false, "the end was not found");
        }
    }
}
