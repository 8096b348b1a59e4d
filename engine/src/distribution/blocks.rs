//! Counts in blocks, each with as many bits a count as its largest one needs: quick to add up, and not large.
//!
//! ```text
//! blocks = number of the first block u8 | how many u8 | code of each, 4 bits | its bytes, block by block
//! code 0 = nothing
//! code 1 = token*: place in its low 5 bits, then 2 bits of its count - 1, if these are 3 a varint of its count - 4
//!          behind the token; the highest bit says that there is another one
//! code n = 32 counts of WIDTHS[n] bits: groups of 8, 4, 2 or 1 of them, whole bytes, from the lowest bit up
//! ```

use crate::bytes::{Cursor, Damaged, put_varint};
use crate::distribution::dense::{COUNT_MAX, Dense};
use crate::distribution::scale::PLACES;

/// Places of a block.
pub(super) const BLOCK: usize = 32;
/// Blocks of a whole histogram.
pub(super) const BLOCKS: usize = PLACES.div_ceil(BLOCK);

/// Bits a count, by code.
const WIDTHS: [u32; 16] = [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 40];

/// Counts that are packed together into whole bytes of at most eight.
const fn grouped(width: usize) -> usize {
    match width {
        0..=8 => 8,
        9..=16 => 4,
        17..=32 => 2,
        _ => 1,
    }
}

/// Bits of the counts of a block that is packed so.
const fn width_of(code: u8) -> usize {
    WIDTHS[code as usize & 15] as usize
}

pub(super) const TOO_FAR: Damaged = Damaged("a histogram has more buckets than there are");

const FEW: u8 = 1;
/// Count that a token itself cannot say, and all above it.
const LONG: u64 = 4;

/// Appends the blocks that hold something.
pub(super) fn put(dense: &Dense, out: &mut Vec<u8>) {
    let (mut first, mut blocks) = dense.blocks();
    let holds_nothing = |block: &[u64; BLOCK]| block.iter().all(|count| *count == 0);
    let before = blocks.iter().take_while(|block| holds_nothing(block)).count();
    blocks = blocks.get(before..).unwrap_or_default();
    first += before;
    // There are fewer than 2^8 blocks.
    out.push(first as u8);
    let many_at = out.len();
    out.push(blocks.len() as u8);
    let codes_at = out.len();
    out.resize(codes_at + blocks.len().div_ceil(2), 0);
    let mut last = 0;
    for (number, block) in blocks.iter().enumerate().filter(|(number, _)| dense.is_touched(first + number)) {
        let places = places_of(block);
        if places == 0 {
            continue;
        }
        let code = code_of(block, places);
        last = number + 1;
        out[codes_at + number / 2] |= code << (number % 2 * 4);
        match code {
            FEW => put_few(block, places, out),
            code => put_packed(width_of(code), block, out),
        }
    }
    if last < blocks.len() {
        out[many_at] = last as u8;
        out.drain(codes_at + last.div_ceil(2)..codes_at + blocks.len().div_ceil(2));
    }
}

/// The places of a block that hold something, a bit each.
fn places_of(block: &[u64; BLOCK]) -> u32 {
    block.iter().enumerate().fold(0, |places, (place, count)| places | u32::from(*count > 0) << place)
}

/// The counts at these places, with the place of each.
fn counts_at(block: &[u64; BLOCK], mut places: u32) -> impl Iterator<Item = (usize, u64)> {
    std::iter::from_fn(move || {
        let place = places.trailing_zeros() as usize;
        places &= places.wrapping_sub(1);
        block.get(place).map(|count| (place, *count))
    })
}

/// The code with which a block takes fewest bytes, if these places hold something.
fn code_of(block: &[u64; BLOCK], places: u32) -> u8 {
    let bits = counts_at(block, places).fold(0, |all, (_, count)| all | count);
    let width = (64 - bits.leading_zeros()).min(40);
    let packed = 2 + WIDTHS[2..].partition_point(|have| *have < width) as u8;
    let packed_bytes = width_of(packed) * BLOCK / 8;
    let few = places.count_ones() as usize;
    if few >= packed_bytes {
        return packed;
    }
    let long = counts_at(block, places).filter(|(_, count)| *count >= LONG);
    let long_bytes = long.map(|(_, count)| (64 - ((count - LONG) | 1).leading_zeros()).div_ceil(7) as usize);
    if few + long_bytes.sum::<usize>() < packed_bytes { FEW } else { packed }
}

fn put_few(block: &[u64; BLOCK], places: u32, out: &mut Vec<u8>) {
    let mut last = out.len();
    for (place, count) in counts_at(block, places) {
        let count = count.min(COUNT_MAX);
        last = out.len();
        // A place is one of 32.
        out.push(0x80 | ((count.min(LONG) - 1) as u8) << 5 | place as u8);
        if count >= LONG {
            put_varint(out, count - LONG);
        }
    }
    out[last] &= 0x7f;
}

fn put_packed(width: usize, block: &[u64; BLOCK], out: &mut Vec<u8>) {
    let together = grouped(width);
    for group in block.chunks_exact(together) {
        let counts = group.iter().rev();
        let word = counts.fold(0u64, |word, count| (word << width) | (*count).min(COUNT_MAX));
        out.extend_from_slice(&word.to_le_bytes()[..together * width / 8]);
    }
}

/// Adds what `put` wrote.
pub(super) fn add(mut cursor: Cursor, dense: &mut Dense) -> Result<(), Damaged> {
    let (first, many) = (usize::from(cursor.u8()?), usize::from(cursor.u8()?));
    let codes = cursor.take(many.div_ceil(2))?;
    if first + many > BLOCKS {
        return Err(TOO_FAR);
    }
    for number in 0..many {
        let code = codes.get(number / 2).map_or(0, |codes| (codes >> (number % 2 * 4)) & 15);
        if code == 0 {
            continue;
        }
        let block = dense.block_mut(first + number).ok_or(TOO_FAR)?;
        match code {
            FEW => add_few(&mut cursor, block)?,
            code => add_packed(code, cursor.take(width_of(code) * BLOCK / 8)?, block),
        }
    }
    Ok(())
}

fn add_few(cursor: &mut Cursor, block: &mut [u64; BLOCK]) -> Result<(), Damaged> {
    loop {
        let token = cursor.u8()?;
        let mut count = u64::from(token >> 5 & 3) + 1;
        if count == LONG {
            count = cursor.varint()?.saturating_add(LONG).min(COUNT_MAX);
        }
        let place = &mut block[usize::from(token) % BLOCK];
        *place = place.wrapping_add(count);
        if token & 0x80 == 0 {
            return Ok(());
        }
    }
}

#[inline]
fn add_packed(code: u8, packed: &[u8], block: &mut [u64; BLOCK]) {
    match code {
        2 => unpack::<1>(packed, block),
        3 => unpack::<2>(packed, block),
        4 => unpack::<3>(packed, block),
        5 => unpack::<4>(packed, block),
        6 => unpack::<5>(packed, block),
        7 => unpack::<6>(packed, block),
        8 => unpack::<7>(packed, block),
        9 => unpack::<8>(packed, block),
        10 => unpack::<10>(packed, block),
        11 => unpack::<12>(packed, block),
        12 => unpack::<16>(packed, block),
        13 => unpack::<24>(packed, block),
        14 => unpack::<32>(packed, block),
        _ => unpack::<40>(packed, block),
    }
}

#[inline]
fn unpack<const WIDTH: usize>(packed: &[u8], block: &mut [u64; BLOCK]) {
    let together = const { grouped(WIDTH) };
    let bytes = const { grouped(WIDTH) * WIDTH / 8 };
    for (packed, counts) in packed.chunks_exact(bytes).zip(block.chunks_exact_mut(together)) {
        let mut word = [0; 8];
        word[..bytes].copy_from_slice(packed);
        let word = u64::from_le_bytes(word);
        for (at, count) in counts.iter_mut().enumerate() {
            *count = count.wrapping_add((word >> (at * WIDTH)) & ((1 << WIDTH) - 1));
        }
    }
}
