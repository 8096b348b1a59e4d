//! Texts of one length over few characters (hex ids, UUIDs, ULIDs, times): a plane per position.
//!
//! ```text
//! page = position × length
//! position = characters: count u8 (1..=128), the characters | plane: codes of `bits(count)` bits each, none if count is 1
//! ```
//! A position that is the same in a whole page (a dash, the high digits of a sortable id) costs nothing.

use super::PAGE_VALUES;
use super::section::{Section, SectionWriter, put_plane, read_plane};
use super::source::ColumnSource;
use super::templates::pack::put_packed;
use super::wire::{Wire, WireError};
use crate::values::Raw;

/// Longest text of this kind.
pub(crate) const LENGTH_MAX: usize = 64;
/// Bits per character, on average, above which general compression does better.
pub(crate) const BITS_MEAN_MAX: usize = 6;
/// Distance of two positions while they are put apart: no power of two, or all would share one set of the cache.
const COLUMN_STRIDE: usize = PAGE_VALUES + 64;
/// Texts put apart at once.
const TEXTS_AT_ONCE: usize = 64;

/// A set of ASCII characters, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct CharacterSet(pub u128);

impl CharacterSet {
    pub fn add(&mut self, byte: u8) {
        self.0 |= 1 << (byte & 127);
    }

    /// Whether a text made of these characters may have `needle` in it; with `folded`, a lower-case needle in a text of
    /// either case.
    pub fn may_have(self, needle: &[u8], folded: bool) -> bool {
        let has = |byte: u8| byte.is_ascii() && self.0 >> byte & 1 == 1;
        needle.iter().all(|byte| has(*byte) || (folded && has(byte.to_ascii_uppercase())))
    }
}

/// The one length of all texts, if this is an encoding for them: all ASCII, few characters a position.
pub(crate) fn length_of(source: &ColumnSource<'_>) -> Option<usize> {
    let length = match source.get(0) {
        Raw::Text(text) if (1..=LENGTH_MAX).contains(&text.len()) => text.len(),
        _ => return None,
    };
    let mut seen = vec![[false; 256]; length];
    for (index, value) in source.iter().enumerate() {
        let Raw::Text(text) = value else { return None };
        if text.len() != length || !text.is_ascii() {
            return None;
        }
        // The first page tells how well it packs.
        if index < PAGE_VALUES {
            for (seen, byte) in seen.iter_mut().zip(text) {
                seen[usize::from(*byte)] = true;
            }
        }
    }
    let bits: u32 = seen.iter().map(|seen| code_bits(seen.iter().filter(|seen| **seen).count())).sum();
    (bits as usize <= length * BITS_MEAN_MAX).then_some(length)
}

/// Bits that tell so many characters apart.
pub(crate) fn code_bits(characters: usize) -> u32 {
    characters.saturating_sub(1).checked_ilog2().map_or(0, |bits| bits + 1)
}

/// Writes all texts as pages; gives the characters that occur, too.
pub(crate) fn write(
    source: &ColumnSource<'_>,
    length: usize,
    sections: &mut SectionWriter,
) -> (Vec<Section>, CharacterSet) {
    let mut pages = Vec::new();
    let mut characters = CharacterSet::default();
    let mut columns = vec![0; length * COLUMN_STRIDE];
    let mut start = 0;
    while start < source.len() {
        let end = (start + PAGE_VALUES).min(source.len());
        transpose(source, start..end, length, &mut columns);
        let mut page = Vec::with_capacity((end - start) * length / 2 + length * 20);
        for column in columns.chunks_exact(COLUMN_STRIDE) {
            put_position(&mut page, &column[..end - start], &mut characters);
        }
        pages.push(sections.add_raw(&page));
        start = end;
    }
    (pages, characters)
}

/// Puts the bytes at each position of the texts side by side: text by text into a buffer that stays in the cache, from
/// there position by position.
fn transpose(source: &ColumnSource<'_>, texts: std::ops::Range<usize>, length: usize, columns: &mut [u8]) {
    let mut buffer = Vec::with_capacity(TEXTS_AT_ONCE * length);
    let begin = texts.start;
    for at in texts.clone().step_by(TEXTS_AT_ONCE) {
        let end = (at + TEXTS_AT_ONCE).min(texts.end);
        buffer.clear();
        (at..end).for_each(|index| buffer.extend_from_slice(source.get(index).bytes()));
        for (texts, row) in buffer.chunks(8 * length).zip((at - begin..).step_by(8)) {
            if texts.len() == 8 * length && length >= 8 {
                // The last eight positions overlap those before if need be.
                for position in (0..length - 8).step_by(8).chain([length - 8]) {
                    let words = transposed(std::array::from_fn(|text| eight_at(texts, text * length + position)));
                    for (column, word) in columns.chunks_exact_mut(COLUMN_STRIDE).skip(position).zip(words) {
                        column[row..row + 8].copy_from_slice(&word.to_le_bytes());
                    }
                }
                continue;
            }
            for (position, column) in columns.chunks_exact_mut(COLUMN_STRIDE).enumerate() {
                let bytes = texts.iter().skip(position).step_by(length);
                column[row..].iter_mut().zip(bytes).for_each(|(to, byte)| *to = *byte);
            }
        }
    }
}

#[inline]
fn eight_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |eight| u64::from_le_bytes(*eight))
}

/// Eight words as the rows of a square of bytes, turned into its columns: halves change places, then quarters, then bytes.
#[inline]
fn transposed(mut words: [u64; 8]) -> [u64; 8] {
    for (distance, low) in [(4, 0x0000_0000_ffff_ffffu64), (2, 0x0000_ffff_0000_ffff), (1, 0x00ff_00ff_00ff_00ff)] {
        for at in (0..8).filter(|at| at & distance == 0) {
            let (upper, lower, shift) = (words[at], words[at + distance], 8 * distance);
            words[at] = (upper & low) | (lower & low) << shift;
            words[at + distance] = (upper >> shift & low) | (lower & !low);
        }
    }
    words
}

fn put_position(page: &mut Vec<u8>, column: &[u8], all: &mut CharacterSet) {
    let characters = characters_of(column);
    characters.iter().for_each(|byte| all.add(*byte));
    page.push(characters.len() as u8);
    page.extend_from_slice(&characters);
    let bits = code_bits(characters.len());
    if bits == 0 {
        return;
    }
    if characters == HEX_DIGITS {
        // By far the most frequent case of many characters; without a table whole vectors are done at once.
        let digit = |byte: u8| (byte & 15) + 9 * (byte >> 6);
        let (pairs, rest) = column.as_chunks::<2>();
        let mut plane: Vec<u8> = pairs.iter().map(|[low, high]| digit(*low) | digit(*high) << 4).collect();
        plane.extend(rest.iter().map(|low| digit(*low)));
        return put_plane(page, &plane);
    }
    let mut codes = [0u8; 128];
    for (code, byte) in characters.iter().enumerate() {
        codes[usize::from(*byte)] = code as u8;
    }
    let mut plane = Vec::with_capacity(column.len() * bits as usize / 8 + 8);
    put_packed(&mut plane, bits, column.iter().map(|byte| u64::from(codes[usize::from(byte & 127)])));
    put_plane(page, &plane);
}

/// The digits of hexadecimal numbers, as they are written most.
const HEX_DIGITS: &[u8] = b"0123456789abcdef";
/// Bytes in which all digits of evenly spread ones are all but sure to come.
const PROBE: usize = 256;

/// The characters that occur, ascending.
fn characters_of(column: &[u8]) -> Vec<u8> {
    let Some(first) = column.first() else { return Vec::new() };
    if column.iter().fold(0, |differing, byte| differing | (byte ^ first)) == 0 {
        return vec![first & 127];
    }
    let occurring = |column: &[u8]| {
        let mut seen = [false; 128];
        column.iter().for_each(|byte| seen[usize::from(byte & 127)] = true);
        (0..128u8).filter(|byte| seen[usize::from(*byte)]).collect::<Vec<u8>>()
    };
    let (probe, rest) = column.split_at(column.len().min(PROBE));
    let is_hex = |byte: &u8| byte.wrapping_sub(b'0') < 10 || byte.wrapping_sub(b'a') < 6;
    let probed = occurring(probe);
    if probed == HEX_DIGITS && rest.iter().fold(true, |all, byte| all & is_hex(byte)) {
        return probed;
    }
    occurring(column)
}

/// One position of a page, read.
#[derive(Debug)]
struct Position<'a> {
    characters: &'a [u8],
    bits: u32,
    plane: std::borrow::Cow<'a, [u8]>,
}

impl Position<'_> {
    #[inline]
    fn code(&self, index: usize) -> usize {
        if self.bits == 0 {
            return 0;
        }
        let at = index * self.bits as usize;
        let low = self.plane.get(at / 8).copied().unwrap_or(0);
        let high = self.plane.get(at / 8 + 1).copied().unwrap_or(0);
        (usize::from(u16::from_le_bytes([low, high])) >> (at % 8)) & ((1 << self.bits) - 1)
    }

    #[inline]
    fn byte(&self, index: usize) -> u8 {
        self.characters.get(self.code(index)).copied().unwrap_or(b'?')
    }
}

/// A page of texts, read.
#[derive(Debug)]
pub(crate) struct CharsPage<'a> {
    positions: Vec<Position<'a>>,
    pub count: usize,
}

impl<'a> CharsPage<'a> {
    /// Reads a page of `count` texts of `length` characters.
    pub fn read(page: &'a [u8], length: usize, count: usize) -> Result<CharsPage<'a>, WireError> {
        let mut wire = Wire::new(page);
        let mut positions = Vec::with_capacity(length.min(LENGTH_MAX));
        for _ in 0..length {
            let number = usize::from(wire.u8()?);
            let characters = wire.take(number)?;
            if number == 0 || !characters.is_ascii() {
                return wire.fail("a position without characters");
            }
            let bits = code_bits(number);
            let plane = match bits {
                0 => Vec::new().into(),
                bits => read_plane(&mut wire, (count * bits as usize).div_ceil(8))?,
            };
            positions.push(Position { characters, bits, plane });
        }
        Ok(CharsPage { positions, count })
    }

    /// The text at `index` of the page, appended to `out`.
    pub fn text(&self, index: usize, out: &mut Vec<u8>) {
        out.extend(self.positions.iter().map(|position| position.byte(index)));
    }

    /// The indexes of texts that are `lower` without regard to case (`lower` is ASCII and lower-case).
    pub fn find(&self, lower: &[u8]) -> Vec<usize> {
        if lower.len() != self.positions.len() {
            return Vec::new();
        }
        let mut found: Option<Vec<usize>> = None;
        // Positions with many characters rule out most.
        let mut order: Vec<usize> = (0..lower.len()).collect();
        order.sort_by_key(|at| std::cmp::Reverse(self.positions[*at].bits));
        for at in order {
            let (position, wanted) = (&self.positions[at], lower[at]);
            let is_wanted = |index: &usize| position.byte(*index).to_ascii_lowercase() == wanted;
            if position.bits == 0 {
                if !is_wanted(&0) {
                    return Vec::new();
                }
                continue;
            }
            found = Some(match found {
                None => (0..self.count).filter(is_wanted).collect(),
                Some(found) => found.into_iter().filter(is_wanted).collect(),
            });
            if found.as_ref().is_some_and(Vec::is_empty) {
                return Vec::new();
            }
        }
        found.unwrap_or_else(|| (0..self.count).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Arena;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_of_one_length_read_back_and_are_found(
            texts in prop_oneof![
                prop::collection::vec("[0-9a-f]{32}", 1..60),
                prop::collection::vec("01[0-9A-Z]{8}-[xy]", 1..60),
                prop::collection::vec("[a-dA-D]{3}", 1..60),
            ],
            pick in any::<prop::sample::Index>(),
        ) {
            let mut arena = Arena::default();
            texts.iter().for_each(|text| arena.push_next(Raw::Text(text.as_bytes())));
            let source = ColumnSource::plain(&arena);
            let Some(length) = length_of(&source) else { return Ok(()) };
            let mut sections = SectionWriter::default();
            let (pages, characters) = write(&source, length, &mut sections);
            prop_assert_eq!(pages.len(), 1);
            let page = CharsPage::read(&sections.file, length, texts.len()).expect("just written");
            for (index, text) in texts.iter().enumerate() {
                let mut back = Vec::new();
                page.text(index, &mut back);
                prop_assert_eq!(&back, text.as_bytes());
            }
            let wanted = pick.get(&texts).to_ascii_lowercase();
            let expected: Vec<usize> =
                (0..texts.len()).filter(|index| texts[*index].eq_ignore_ascii_case(&wanted)).collect();
            prop_assert_eq!(page.find(wanted.as_bytes()), expected);
            prop_assert!(characters.may_have(wanted.as_bytes(), true));
            prop_assert!(characters.may_have(pick.get(&texts).as_bytes(), false));
            prop_assert!(!characters.may_have(b"~", true));
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..80), length in 1usize..6, count in 0usize..20) {
            if let Ok(page) = CharsPage::read(&bytes, length, count) {
                (0..count).for_each(|index| page.text(index, &mut Vec::new()));
                let _ = page.find(b"abc");
            }
        }
    }
}
