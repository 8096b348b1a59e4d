//! Values as integers times a power of ten, bit-exact, with a list of those that are not.
//!
//! ```text
//! column = exponent u8 in 0..=15 | varint exceptions | (varint position, bits u64)* | column of integers
//! ```
//! An exception (a NaN with its payload, the staleness marker, -0.0, an infinity, a value with a
//! longer fraction) stands in the integers as a repetition of its neighbour.

use super::ints;
use crate::bytes::{Cursor, Damaged, put_varint};

/// Powers of ten that a double holds exactly and that leave room for digits.
pub(crate) const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
/// Adding and subtracting this rounds a double below 2^51 to an integer, ties to even.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// Largest scaled integer.
const LIMIT: f64 = 2_251_799_813_685_248.0;
/// Chunks with more exceptions than one in this many values use the other codec.
const EXCEPTIONS_ONE_IN: usize = 8;
/// How many values are looked at closely to choose the exponent.
const SAMPLED: usize = 24;
/// So many of these that are no decimals tell enough.
const MISSES_MAX: usize = 8;

/// Room that encoding works in, reused from chunk to chunk.
#[derive(Default)]
pub(super) struct Scratch {
    integers: Vec<i64>,
    pub(super) ints: ints::Scratch,
    exceptions: Vec<usize>,
}

/// The integer `n` with `n / power` equal to the value bit by bit.
#[inline]
pub(crate) fn scaled(value: f64, power: f64) -> Option<i64> {
    let shifted = value * power + ROUND;
    let rounded = shifted - ROUND;
    // The first comparison fails for NaN and infinities.
    (rounded.abs() <= LIMIT && (rounded / power).to_bits() == value.to_bits()).then_some(rounded as i64)
}

/// The smallest exponent that makes the value an integer, found from a guess: what is an integer at one exponent is one
/// at the next as well.
fn exponent_of(value: f64, guess: usize) -> Option<usize> {
    let fits = |exponent: &usize| scaled(value, POWERS[*exponent]).is_some();
    if fits(&guess) {
        return (0..guess).rev().take_while(fits).last().or(Some(guess));
    }
    (guess + 1..POWERS.len()).find(fits)
}

/// The exponent that nearly all of some values of the run need.
fn likely_exponent(values: &[f64]) -> usize {
    let (mut needed, mut guess, mut misses) = ([0usize; POWERS.len()], 0, 0);
    for value in values.iter().step_by(values.len().div_ceil(SAMPLED)) {
        match exponent_of(*value, guess) {
            Some(exponent) => {
                guess = exponent;
                needed[exponent] += 1;
            }
            None => misses += 1,
        }
        // No decimals at all.
        if misses == MISSES_MAX {
            break;
        }
    }
    let mut above = needed.iter().sum::<usize>();
    let spare = above / 16;
    needed
        .iter()
        .position(|count| {
            above -= count;
            above <= spare
        })
        .unwrap_or(0)
}

/// Scales all values; what is no integer at this exponent becomes an exception.
fn scale(values: &[f64], power: f64, scratch: &mut Scratch) {
    scratch.integers.clear();
    scratch.exceptions.clear();
    // Without branches, so that several values go through at once.
    let mut exact = true;
    scratch.integers.extend(values.iter().map(|value| {
        let shifted = value * power + ROUND;
        let rounded = shifted - ROUND;
        exact &= (rounded.abs() <= LIMIT) & ((rounded / power).to_bits() == value.to_bits());
        // What was added fills the exponent; the rest of the bits is the integer.
        (shifted.to_bits() as i64).wrapping_sub(ROUND.to_bits() as i64)
    }));
    if exact {
        return;
    }
    let mut last = values.iter().find_map(|value| scaled(*value, power)).unwrap_or(0);
    for (at, (value, integer)) in values.iter().zip(&mut scratch.integers).enumerate() {
        match scaled(*value, power) {
            Some(scaled) => last = scaled,
            None => scratch.exceptions.push(at),
        }
        *integer = last;
    }
}

/// Appends the column and says true; appends nothing and says false where the values are no decimals.
pub(super) fn encode(values: &[f64], scratch: &mut Scratch, out: &mut Vec<u8>) -> bool {
    let mut exponent = likely_exponent(values);
    scale(values, POWERS[exponent], scratch);
    // An exception costs ten bytes, one more place for all values less than half a byte each.
    let needed = scratch.exceptions.iter().filter_map(|at| exponent_of(values[*at], exponent));
    let (mut mendable, mut highest) = (0, exponent);
    for e in needed {
        mendable += 1;
        highest = highest.max(e);
    }
    if mendable * 24 > values.len() * (highest - exponent) {
        exponent = highest;
        scale(values, POWERS[exponent], scratch);
    }
    if scratch.exceptions.len() > values.len().div_ceil(EXCEPTIONS_ONE_IN) {
        return false;
    }
    out.push(exponent as u8);
    put_varint(out, scratch.exceptions.len() as u64);
    for &at in &scratch.exceptions {
        put_varint(out, at as u64);
        out.extend_from_slice(&values[at].to_bits().to_le_bytes());
    }
    ints::encode(&scratch.integers, &mut scratch.ints, out);
    true
}

/// Appends `count` values to `out`.
pub(super) fn decode(cursor: &mut Cursor, count: usize, out: &mut Vec<f64>) -> Result<(), Damaged> {
    let power = *POWERS.get(usize::from(cursor.u8()?)).ok_or(Damaged("a decimal exponent is above 15"))?;
    let exceptions = cursor.length(count)?;
    let mut list = *cursor;
    for _ in 0..exceptions {
        cursor.varint()?;
        cursor.u64()?;
    }
    let start = out.len();
    if power == 1.0 {
        ints::decode_onto(cursor, count, out, |integer| integer as f64)?;
    } else {
        ints::decode_onto(cursor, count, out, |integer| integer as f64 / power)?;
    }
    for _ in 0..exceptions {
        let at = list.length(count)?;
        let value = list.f64()?;
        *out.get_mut(start + at).ok_or(Damaged("an exception lies outside its chunk"))? = value;
    }
    Ok(())
}
