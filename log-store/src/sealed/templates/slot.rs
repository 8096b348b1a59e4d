//! How the values of a variable are encoded.
//!
//! ```text
//! slot   = kind u8 | by kind:
//!   1 numbers: digits u8 | min, max varint | packed (value - min)
//!   2 steps:   digits u8 | min, max, first varint | step signed | packed (value - value before - step)
//!   3 chars:   length u8 | byte × length (0xff: varies) | alphabet 16 bytes | packed codes, of the varying places only
//!   4 words:   list u8 (0 ids of the dictionary, 1 of a list) | if list: count varint, id varint × count | packed ids
//!   5 texts:   place
//! packed = bits u8 | place
//! ```
//! `digits` is the length to which numbers are filled up with zeros; 0 if they have none in front.

use super::super::chars::{CharacterSet, LENGTH_MAX};
use super::super::wire::{Wire, WireError, put_signed, put_varint};
use super::groups::Place;

/// Stands for a place of a text that varies.
pub(crate) const VARIES: u8 = 0xff;
/// Longest number; all of so many digits have 63 bits.
pub(crate) const DIGITS_MAX: usize = 18;
/// Most words of a block.
pub(crate) const WORDS_MAX: usize = 1 << 16;

const NUMBERS: u8 = 1;
const STEPS: u8 = 2;
const CHARS: u8 = 3;
const WORDS: u8 = 4;
const TEXTS: u8 = 5;

/// Numbers of so many bits, and where they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    pub bits: u8,
    pub place: Place,
}

/// The encoding of a variable.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Slot {
    /// Decimal numbers.
    Numbers { digits: u8, min: u64, max: u64, packed: Packed },
    /// Decimal numbers of which each is a little more or less than the one before.
    Steps { digits: u8, min: u64, max: u64, first: u64, step: i64, packed: Packed },
    /// ASCII texts of one length.
    Chars { fixed: Box<[u8]>, alphabet: CharacterSet, packed: Packed },
    /// Words of the block's dictionary, of `list` if there is one.
    Words { list: Option<Box<[u32]>>, packed: Packed },
    /// Any.
    Texts { place: Place },
}

impl Packed {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(self.bits);
        self.place.put(out);
    }

    fn read(wire: &mut Wire<'_>) -> Result<Packed, WireError> {
        let bits = wire.u8()?;
        if bits > 64 {
            return wire.fail("numbers of too many bits");
        }
        Ok(Packed { bits, place: Place::read(wire)? })
    }
}

impl Slot {
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Slot::Numbers { digits, min, max, packed } => {
                out.extend([NUMBERS, *digits]);
                put_varint(out, *min);
                put_varint(out, *max);
                packed.put(out);
            }
            Slot::Steps { digits, min, max, first, step, packed } => {
                out.extend([STEPS, *digits]);
                [min, max, first].into_iter().for_each(|number| put_varint(out, *number));
                put_signed(out, *step);
                packed.put(out);
            }
            Slot::Chars { fixed, alphabet, packed } => {
                out.extend([CHARS, fixed.len() as u8]);
                out.extend_from_slice(fixed);
                out.extend_from_slice(&alphabet.0.to_le_bytes());
                packed.put(out);
            }
            Slot::Words { list, packed } => {
                out.extend([WORDS, u8::from(list.is_some())]);
                if let Some(list) = list {
                    put_varint(out, list.len() as u64);
                    list.iter().for_each(|id| put_varint(out, u64::from(*id)));
                }
                packed.put(out);
            }
            Slot::Texts { place } => {
                out.push(TEXTS);
                place.put(out);
            }
        }
    }

    pub fn read(wire: &mut Wire<'_>) -> Result<Slot, WireError> {
        Ok(match wire.u8()? {
            NUMBERS => {
                let digits = read_digits(wire)?;
                Slot::Numbers { digits, min: wire.varint()?, max: wire.varint()?, packed: Packed::read(wire)? }
            }
            STEPS => Slot::Steps {
                digits: read_digits(wire)?,
                min: wire.varint()?,
                max: wire.varint()?,
                first: wire.varint()?,
                step: wire.signed()?,
                packed: Packed::read(wire)?,
            },
            CHARS => {
                let length = usize::from(wire.u8()?);
                let fixed = wire.take(length)?;
                let low = u128::from(wire.u64()?);
                let alphabet = CharacterSet(low | u128::from(wire.u64()?) << 64);
                if length > LENGTH_MAX || fixed.iter().any(|byte| !byte.is_ascii() && *byte != VARIES) {
                    return wire.fail("texts of one length that are none");
                }
                Slot::Chars { fixed: fixed.into(), alphabet, packed: Packed::read(wire)? }
            }
            WORDS => {
                let mut list = None;
                if wire.u8()? == 1 {
                    let count = wire.count(WORDS_MAX)?;
                    let ids: Result<Box<[u32]>, WireError> = (0..count).map(|_| wire.u32_varint()).collect();
                    list = Some(ids?);
                }
                Slot::Words { list, packed: Packed::read(wire)? }
            }
            TEXTS => Slot::Texts { place: Place::read(wire)? },
            _ => return wire.fail("an unknown kind of variable"),
        })
    }

    /// Whether its values have so many bits that the block's filter has them.
    pub fn is_in_filter(&self) -> bool {
        match self {
            Slot::Numbers { min, max, .. } | Slot::Steps { min, max, .. } => is_wide(*min, *max),
            Slot::Chars { fixed, packed, .. } => {
                fixed.iter().filter(|byte| **byte == VARIES).count() * usize::from(packed.bits) > FILTER_BITS
            }
            Slot::Words { .. } => false,
            Slot::Texts { .. } => true,
        }
    }
}

/// Values of up to so many bits are looked for themselves: a filter would be as large, and say "perhaps" too often.
const FILTER_BITS: usize = 26;

fn is_wide(min: u64, max: u64) -> bool {
    max.saturating_sub(min) >> FILTER_BITS != 0
}

fn read_digits(wire: &mut Wire<'_>) -> Result<u8, WireError> {
    let digits = wire.u8()?;
    if usize::from(digits) > DIGITS_MAX {
        return wire.fail("numbers of too many digits");
    }
    Ok(digits)
}

/// Appends a number, filled up with zeros to so many digits.
pub(crate) fn put_number(out: &mut Vec<u8>, mut number: u64, digits: u8) {
    let mut text = [b'0'; 20];
    let mut at = text.len();
    while number > 0 {
        at -= 1;
        text[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    let shown = (text.len() - at).max(usize::from(digits)).clamp(1, text.len());
    out.extend_from_slice(&text[text.len() - shown..]);
}
