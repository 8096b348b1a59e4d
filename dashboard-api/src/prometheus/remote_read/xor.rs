//! Prometheus' XOR chunk: samples of a series as Gorilla packs them.
//!
//! ```text
//! chunk  = count u16 big-endian | bits
//! bits   = varint first time (zigzag), first value (64)
//!        | uvarint second time - first, second value against the first
//!        | (change of the step, value against the one before)*
//! change = 0 | 10 (14 bits) | 110 (17) | 1110 (20) | 1111 (64)
//! value  = 0 (the same) | 10 (bits in the last window) | 11 leading zeros (5) length (6) bits
//! ```
//! Source: `tsdb/chunkenc/xor.go` of Prometheus.

use watchfire_model::Sample;

use super::bits::{Bits, Window, fits, put_value};

/// Samples of a chunk, as Prometheus cuts them.
pub(super) const CHUNK_SAMPLES: usize = 120;
/// What stands in front of a change of the step: prefix, its bits, and how many bits follow.
const CHANGES: [(u64, u32, u32); 3] = [(0b10, 2, 14), (0b110, 3, 17), (0b1110, 4, 20)];

/// Packs samples whose times ascend, at most 65,535 of them.
pub(super) fn encode(samples: &[Sample]) -> Vec<u8> {
    let count = u16::try_from(samples.len()).unwrap_or(u16::MAX);
    let mut bits = Bits::behind(&count.to_be_bytes(), samples.len() * 4);
    let mut window: Window = None;
    let (mut time, mut step, mut value) = (0i64, 0i64, 0u64);
    for (index, sample) in samples.iter().take(usize::from(count)).enumerate() {
        let (at, next) = (sample.timestamp.millis(), sample.value.to_bits());
        let next_step = at.wrapping_sub(time);
        match index {
            0 => {
                bits.put_varint(((at << 1) ^ (at >> 63)).cast_unsigned());
                bits.put(next, 64);
            }
            1 => {
                bits.put_varint(next_step.cast_unsigned());
                put_value(&mut bits, value ^ next, &mut window);
            }
            _ => {
                put_change(&mut bits, next_step.wrapping_sub(step));
                put_value(&mut bits, value ^ next, &mut window);
            }
        }
        (time, step, value) = (at, next_step, next);
    }
    bits.into_bytes()
}

fn put_change(bits: &mut Bits, change: i64) {
    if change == 0 {
        return bits.put(0, 1);
    }
    for (prefix, prefix_bits, count) in CHANGES {
        if fits(change, count) {
            bits.put(prefix, prefix_bits);
            return bits.put(change.cast_unsigned(), count);
        }
    }
    bits.put(0b1111, 4);
    bits.put(change.cast_unsigned(), 64);
}

#[cfg(test)]
mod tests {
    use watchfire_model::Timestamp;

    use super::*;

    fn samples(list: &[(i64, f64)]) -> Vec<Sample> {
        list.iter().map(|(at, value)| Sample { timestamp: Timestamp::from_millis(*at), value: *value }).collect()
    }

    /// Reads what was packed: the inverse, bit by bit.
    fn decode(chunk: &[u8]) -> Vec<(i64, u64)> {
        let mut at = 16;
        let mut take = |count: u32| {
            (0..count).fold(0u64, |bits, _| {
                let bit = chunk[at / 8] >> (7 - at % 8) & 1;
                at += 1;
                bits << 1 | u64::from(bit)
            })
        };
        let count = u16::from_be_bytes([chunk[0], chunk[1]]);
        let varint = |take: &mut dyn FnMut(u32) -> u64| {
            let (mut number, mut shift) = (0, 0);
            loop {
                let byte = take(8);
                number |= (byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    return number;
                }
            }
        };
        let (mut all, mut time, mut step, mut value) = (Vec::new(), 0i64, 0i64, 0u64);
        let (mut leading, mut length) = (0, 0);
        for index in 0..count {
            match index {
                0 => {
                    let first = varint(&mut take);
                    time = (first >> 1) as i64 ^ -((first & 1) as i64);
                    value = take(64);
                }
                _ => {
                    if index == 1 {
                        step = varint(&mut take) as i64;
                    } else {
                        let ones = (0..4).take_while(|_| take(1) == 1).count();
                        let bits = [0, 14, 17, 20, 64][ones];
                        let mut change = take(bits) as i64;
                        if bits < 64 && bits > 0 && change > 1 << (bits - 1) {
                            change -= 1 << bits;
                        }
                        step = step.wrapping_add(change);
                    }
                    time = time.wrapping_add(step);
                    if take(1) == 1 {
                        if take(1) == 1 {
                            leading = take(5) as u32;
                            length = match take(6) as u32 {
                                0 => 64,
                                length => length,
                            };
                        }
                        value ^= take(length) << (64 - leading - length);
                    }
                }
            }
            all.push((time, value));
        }
        all
    }

    proptest::proptest! {
        #[test]
        fn what_is_packed_comes_back(
            start: i32,
            steps in proptest::collection::vec((proptest::prelude::prop_oneof![
                proptest::prelude::Just(15_000i64), 1i64..100_000, 1i64..10_000_000_000,
            ], proptest::num::f64::ANY), 0..300),
        ) {
            let mut at = i64::from(start);
            let list: Vec<(i64, f64)> = steps.iter().map(|(step, value)| { at += step; (at, *value) }).collect();
            let wanted: Vec<(i64, u64)> = list.iter().map(|(at, value)| (*at, value.to_bits())).collect();
            proptest::prop_assert_eq!(decode(&encode(&samples(&list))), wanted);
        }
    }
}
