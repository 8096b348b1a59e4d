//! What the values of a variable have in common.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::super::chars::{BITS_MEAN_MAX, CharacterSet, LENGTH_MAX, code_bits};
use super::slot::{DIGITS_MAX, VARIES};

/// Values of a variable that are looked at before they are taken to be unique.
const UNIQUE_PROBE: usize = 2048;

/// The numbers that all values are, and how many digits they are filled up to; `None` if one is none, or would not
/// be written like that.
pub(super) fn numbers(values: &[&[u8]]) -> Option<(u8, Vec<u64>)> {
    let length = values.first()?.len();
    let (mut is_even, mut is_filled) = (true, false);
    let mut numbers = Vec::with_capacity(values.len());
    for value in values {
        is_even &= value.len() == length;
        is_filled |= value.len() > 1 && value.first() == Some(&b'0');
        numbers.push(number(value)?);
    }
    let digits = if is_filled { length as u8 } else { 0 };
    (is_even || !is_filled).then_some((digits, numbers))
}

/// The number that a value is, if it is one and not too long.
fn number(value: &[u8]) -> Option<u64> {
    if !(1..=DIGITS_MAX).contains(&value.len()) {
        return None;
    }
    let mut number = 0;
    for byte in value {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + u64::from(digit);
    }
    Some(number)
}

/// The different values and of each value its number among them, if there are at most `most`.
pub(super) fn distinct<'t>(values: &[&'t [u8]], most: usize) -> Option<(Vec<&'t [u8]>, Vec<u64>)> {
    let hasher = FixedState::default();
    let mut table: HashTable<u32> = HashTable::new();
    let mut found: Vec<&'t [u8]> = Vec::new();
    let mut ids = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let hashed = hasher.hash_one(value);
        let have = table.find(hashed, |id| found[*id as usize] == *value).copied();
        let id = have.unwrap_or_else(|| {
            let id = found.len() as u32;
            found.push(value);
            table.insert_unique(hashed, id, |id| hasher.hash_one(found[*id as usize]));
            id
        });
        ids.push(u64::from(id));
        if found.len() > most || (index == UNIQUE_PROBE && found.len() > UNIQUE_PROBE * 3 / 4) {
            return None;
        }
    }
    Some((found, ids))
}

/// In how many bits to write values that need `bits`, and whether compression will then make something of them:
/// where most values are like the one before, or a few come far more often than others.
pub(super) fn width(bits: u32, values: &[u64]) -> (u32, bool) {
    let whole = bits.next_multiple_of(8).max(8);
    let changes = values.windows(2).filter(|pair| pair[0] != pair[1]).count();
    if bits > 0 && changes * 4 < values.len() {
        return (whole, true);
    }
    if !(2..=8).contains(&bits) {
        return (bits, false);
    }
    let mut counts = [0u32; 256];
    values.iter().for_each(|value| counts[*value as usize & 255] += 1);
    let total = values.len() as f64;
    let shares = counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count));
    let information: f64 = shares.map(|count| count * (total / count).log2()).sum();
    // A table of codes costs some bytes.
    if information * 1.1 + 400.0 < total * f64::from(bits) { (8, true) } else { (bits, false) }
}

/// Texts of one length: what is the same at a place in all, and of which characters the rest is.
pub(super) struct Chars {
    pub(super) fixed: Vec<u8>,
    pub(super) alphabet: CharacterSet,
    pub(super) bits: u32,
    count: usize,
}

impl Chars {
    /// Of these; `None` if their lengths differ, or their characters are too many.
    pub(super) fn of(values: &[&[u8]]) -> Option<Chars> {
        let first = *values.first()?;
        if !(1..=LENGTH_MAX).contains(&first.len()) {
            return None;
        }
        let mut fixed = first.to_vec();
        for value in values {
            if value.len() != first.len() || !value.is_ascii() {
                return None;
            }
            for (fixed, byte) in fixed.iter_mut().zip(*value) {
                if *fixed != *byte {
                    *fixed = VARIES;
                }
            }
        }
        let mut alphabet = CharacterSet::default();
        let varying =
            |value: &&[u8]| value.iter().zip(&fixed).filter(|(_, f)| **f == VARIES).map(|(b, _)| *b).collect();
        values.iter().map(varying).for_each(|bytes: Vec<u8>| bytes.into_iter().for_each(|byte| alphabet.add(byte)));
        let bits = code_bits(alphabet.0.count_ones() as usize);
        (bits as usize <= BITS_MEAN_MAX).then_some(Chars { fixed, alphabet, bits, count: values.len() })
    }

    /// Bits of all values.
    pub(super) fn bits_all(&self) -> usize {
        self.fixed.iter().filter(|byte| **byte == VARIES).count() * self.bits as usize * self.count
    }
}
