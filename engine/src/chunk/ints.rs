//! A column of integers: frame of reference, of the numbers or of their differences, bit-packed.
//!
//! ```text
//! column = flags u8 (1 differences, 2 divisor) | [varint divisor] | [zigzag first, if differences] | block*
//! block  = zigzag minimum | width u8 in 0..=64 | ceil(n * width / 8) bytes, least significant bit first
//! ```
//! A block holds 128 numbers, the last one what is left. The number of numbers is known to the caller.

use std::hint::select_unpredictable;

use crate::bytes::{Cursor, Damaged, put_varint, put_zigzag};

const BLOCK: usize = 128;
const DIFFERENCES: u8 = 1;
const DIVISOR: u8 = 2;

/// Room that encoding works in, reused from column to column.
#[derive(Default)]
pub(crate) struct Scratch {
    differences: Vec<i64>,
    ranges: [Vec<Range>; 2],
}

/// The smallest number of a block, and how far the largest lies above it.
#[derive(Clone, Copy)]
struct Range {
    low: i64,
    span: u64,
}

impl Range {
    fn of(block: &[i64]) -> Range {
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        for &number in block {
            // Where the next extreme comes nobody can guess.
            low = select_unpredictable(number < low, number, low);
            high = select_unpredictable(number > high, number, high);
        }
        Range { low, span: high.wrapping_sub(low) as u64 }
    }
}

/// Appends the column of `numbers`.
pub(crate) fn encode(numbers: &[i64], scratch: &mut Scratch, out: &mut Vec<u8>) {
    let Some(&first) = numbers.first() else { return };
    if let Some(step) = step_of(numbers) {
        return write_steps(first, step, numbers.len() - 1, out);
    }
    let Scratch { differences, ranges: [of_numbers, of_differences] } = scratch;
    differences.clear();
    differences.extend(numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])));
    if look_at(differences, of_differences) < look_at(numbers, of_numbers) {
        write(differences, of_differences, Some(first), out);
    } else {
        write(numbers, of_numbers, None, out);
    }
}

/// The difference of all numbers from those before them, if it is the same and not zero: so are most columns of times.
fn step_of(numbers: &[i64]) -> Option<i64> {
    let [first, second, ..] = numbers else { return None };
    let step = second.wrapping_sub(*first);
    let is_same = |pair: (&i64, &i64)| pair.1.wrapping_sub(*pair.0) == step;
    (step != 0 && numbers.iter().zip(&numbers[1..]).all(is_same)).then_some(step)
}

/// Writes so many equal differences as `write` does.
pub(crate) fn write_steps(first: i64, step: i64, many: usize, out: &mut Vec<u8>) {
    out.push(DIFFERENCES);
    put_zigzag(out, first);
    for _ in 0..many.div_ceil(BLOCK) {
        put_zigzag(out, step);
        out.push(0);
    }
}

/// Finds the range of each block; answers how many bits all blocks take.
fn look_at(numbers: &[i64], ranges: &mut Vec<Range>) -> usize {
    ranges.clear();
    ranges.extend(numbers.chunks(BLOCK).map(Range::of));
    numbers.chunks(BLOCK).zip(ranges).map(|(block, range)| block.len() * width_of(range.span) + 8).sum()
}

fn width_of(span: u64) -> usize {
    (64 - span.leading_zeros()) as usize
}

fn write(numbers: &[i64], ranges: &[Range], first: Option<i64>, out: &mut Vec<u8>) {
    let divisor = common_divisor(numbers, ranges);
    let flags = if first.is_some() { DIFFERENCES } else { 0 } | if divisor > 1 { DIVISOR } else { 0 };
    out.push(flags);
    if divisor > 1 {
        put_varint(out, divisor);
    }
    if let Some(first) = first {
        put_zigzag(out, first);
    }
    for (block, Range { low, span }) in numbers.chunks(BLOCK).zip(ranges) {
        let width = width_of(span / divisor);
        put_zigzag(out, *low);
        out.push(width as u8);
        if divisor > 1 {
            pack(block.iter().map(|number| number.wrapping_sub(*low) as u64 / divisor), width, out);
        } else {
            pack(block.iter().map(|number| number.wrapping_sub(*low) as u64), width, out);
        }
    }
}

/// The greatest divisor of all distances from the minimum of their block; 1 where there is none.
fn common_divisor(numbers: &[i64], ranges: &[Range]) -> u64 {
    let mut divisor = 0u64;
    for (block, range) in numbers.chunks(BLOCK).zip(ranges) {
        for number in block {
            let (mut a, mut b) = (number.wrapping_sub(range.low) as u64, divisor);
            if b != 0 && a % b == 0 {
                continue;
            }
            while b != 0 {
                (a, b) = (b, a % b);
            }
            divisor = a;
            if divisor == 1 {
                return 1;
            }
        }
    }
    divisor.max(1)
}

fn pack(numbers: impl Iterator<Item = u64>, width: usize, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let (mut word, mut filled) = (0u64, 0usize);
    for number in numbers {
        word |= number << filled;
        filled += width;
        if filled >= 64 {
            out.extend_from_slice(&word.to_le_bytes());
            filled -= 64;
            word = if filled == 0 { 0 } else { number >> (width - filled) };
        }
    }
    let bytes = filled.div_ceil(8);
    out.extend_from_slice(&word.to_le_bytes()[..bytes]);
}

/// Reads a column of `count` numbers into `numbers` (what was in it is dropped).
pub(crate) fn decode(cursor: &mut Cursor, count: usize, numbers: &mut Vec<i64>) -> Result<(), Damaged> {
    numbers.clear();
    decode_onto(cursor, count, numbers, |number| number)
}

/// Appends a column of `count` numbers, each as `made` makes it.
#[inline]
pub(crate) fn decode_onto<T>(
    cursor: &mut Cursor,
    count: usize,
    out: &mut Vec<T>,
    made: impl Fn(i64) -> T,
) -> Result<(), Damaged> {
    if count == 0 {
        return Ok(());
    }
    let flags = cursor.u8()?;
    if flags > (DIFFERENCES | DIVISOR) {
        return Err(Damaged("a column of integers has unknown flags"));
    }
    let divisor = if flags & DIVISOR != 0 { cursor.varint()? } else { 1 };
    // The number before the next one, if it is known by its difference.
    let mut before = if flags & DIFFERENCES != 0 { Some(cursor.zigzag()?) } else { None };
    out.reserve(count);
    let mut left = count;
    if let Some(first) = before {
        out.push(made(first));
        left -= 1;
    }
    while left > 0 {
        let n = left.min(BLOCK);
        let low = cursor.zigzag()?;
        let width = usize::from(cursor.u8()?);
        if width > 64 {
            return Err(Damaged("a bit width is above 64"));
        }
        let packed = Packed { bytes: cursor.take((n * width).div_ceil(8))?, width };
        match &mut before {
            None if divisor == 1 => packed.each(n, out, |residual| made(low.wrapping_add(residual as i64))),
            None => {
                packed.each(n, out, |residual| made(low.wrapping_add(residual.wrapping_mul(divisor) as i64)));
            }
            Some(before) => packed.each(n, out, |residual| {
                *before = before.wrapping_add(low).wrapping_add(residual.wrapping_mul(divisor) as i64);
                made(*before)
            }),
        }
        left -= n;
    }
    Ok(())
}

/// Numbers of `width` bits each, in 0..=64, least significant bit first.
struct Packed<'p> {
    bytes: &'p [u8],
    width: usize,
}

/// The widest number that lies in eight bytes wherever it begins.
const IN_A_WORD: usize = 57;

impl Packed<'_> {
    /// Appends what is made of each of the first `n` numbers.
    #[inline]
    fn each<T>(&self, n: usize, out: &mut Vec<T>, mut made: impl FnMut(u64) -> T) {
        let Packed { bytes, width } = *self;
        if width == 0 {
            out.extend((0..n).map(|_| made(0)));
            return;
        }
        if width > IN_A_WORD {
            out.extend((0..n).map(|at| made(wide(bytes, at * width, width))));
            return;
        }
        let mask = (1u64 << width) - 1;
        // So many begin where eight bytes are left.
        let whole = if bytes.len() < 8 { 0 } else { ((bytes.len() - 8) * 8 / width + 1).min(n) };
        let mut bit = 0;
        out.extend((0..whole).map(|_| {
            let word = bytes.get(bit >> 3..).and_then(|rest| rest.first_chunk::<8>());
            let number = (u64::from_le_bytes(*word.unwrap_or(&[0; 8])) >> (bit & 7)) & mask;
            bit += width;
            made(number)
        }));
        // The last eight bytes hold the others, with zeros behind them.
        let start = bytes.len().saturating_sub(8);
        let mut last = [0u8; 8];
        let tail = &bytes[start..];
        last[..tail.len()].copy_from_slice(tail);
        let last = u64::from_le_bytes(last);
        out.extend((whole..n).map(|at| made((last >> (at * width - start * 8)) & mask)));
    }
}

/// The number of that width, in 1..=64, that begins at a bit.
fn wide(bytes: &[u8], bit: usize, width: usize) -> u64 {
    let mut word = [0u8; 16];
    let rest = bytes.get(bit >> 3..).unwrap_or_default();
    let have = rest.len().min(16);
    word[..have].copy_from_slice(&rest[..have]);
    (u128::from_le_bytes(word) >> (bit & 7)) as u64 & (u64::MAX >> (64 - width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers() -> impl Strategy<Value = Vec<i64>> {
        prop_oneof![
            prop::collection::vec(any::<i64>(), 0..300),
            prop::collection::vec(-50i64..50, 0..300),
            (any::<i32>(), 1i64..100_000, prop::collection::vec(0i64..30, 0..300)).prop_map(|(base, step, noise)| {
                let start = i64::from(base) * 1000;
                noise.iter().enumerate().map(|(i, n)| start + step * (i as i64) * 7 + n * step).collect()
            }),
        ]
    }

    proptest! {
        #[test]
        fn columns_read_back(numbers in numbers()) {
            let (mut bytes, mut scratch, mut back) = (Vec::new(), Scratch::default(), Vec::new());
            encode(&numbers, &mut scratch, &mut bytes);
            bytes.extend_from_slice(b"after");
            let mut cursor = Cursor::new(&bytes);
            decode(&mut cursor, numbers.len(), &mut back).expect("what was encoded is whole");
            prop_assert_eq!(back, numbers);
            prop_assert_eq!(cursor.rest(), b"after");
        }

        #[test]
        fn equal_steps_are_written_as_any_others(first in any::<i64>(), step in any::<i64>(), many in 0usize..300) {
            let numbers: Vec<i64> = (0..many).map(|at| first.wrapping_add(step.wrapping_mul(at as i64))).collect();
            let differences: Vec<i64> = numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
            let (mut quick, mut slow, mut ranges) = (Vec::new(), Vec::new(), Vec::new());
            encode(&numbers, &mut Scratch::default(), &mut quick);
            if many > 1 && step != 0 {
                look_at(&differences, &mut ranges);
                write(&differences, &ranges, numbers.first().copied(), &mut slow);
                prop_assert_eq!(&quick, &slow);
            }
            let mut back = Vec::new();
            decode(&mut Cursor::new(&quick), many, &mut back).expect("whole");
            prop_assert_eq!(back, numbers);
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0usize..1000) {
            let _ = decode(&mut Cursor::new(&bytes), count, &mut Vec::new());
        }
    }
}
