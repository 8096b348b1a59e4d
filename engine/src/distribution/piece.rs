//! The histogram of one interval at rest: counts by place, and sum, minimum and maximum as they are.
//!
//! ```text
//! piece  = 4 | sum 8 bytes | minimum | maximum | counts: see `blocks`
//! number = varint (zigzag(millionths) + 1), or varint 0 and 8 bytes where that is not exact
//! ```
//!
//! Earlier versions wrote three other forms, which are read:
//!
//! ```text
//! form 1 counts = token*, each a varint: 2 * n, n empty buckets of the package, or 2 * n + 1, n values in the next one
//! form 2, 3     = varint places | Rice codes: (empty places before it, its count)*
//! form 2 count  = count - 1
//! form 3 count  = zigzag of how far it is from what is expected after the places before
//! ```

use std::cell::RefCell;

use crate::bytes::{Cursor, Damaged, put_varint, unzigzag};
use crate::distribution::blocks::{self, TOO_FAR};
use crate::distribution::dense::Dense;
use crate::distribution::rice::{BitReader, Mean};
use crate::distribution::scale::{SCALE, place_of_index};

const TOKENS: u8 = 1;
const RICE: u8 = 2;
const RICE_EXPECTED: u8 = 3;
const BLOCKS: u8 = 4;

thread_local! {
    /// Where a piece is put together.
    static PIECE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Dense {
    /// Lends it as a piece.
    pub(super) fn with_piece<T>(&self, work: impl FnOnce(&[u8]) -> T) -> T {
        PIECE.with_borrow_mut(|out| {
            out.clear();
            put_head(BLOCKS, self, out);
            blocks::put(self, out);
            work(out)
        })
    }

    /// It as a piece.
    pub(super) fn to_piece(&self) -> Box<[u8]> {
        self.with_piece(|piece| piece.into())
    }

    /// Adds a piece that is known to be one: it was made by `with_piece`, and where it lay on disk it was under a checksum.
    pub(super) fn add_own(&mut self, bytes: &[u8]) {
        let whole = self.add_piece(bytes);
        debug_assert!(whole.is_ok(), "a piece is whole");
    }

    /// Adds a piece.
    pub(super) fn add_piece(&mut self, bytes: &[u8]) -> Result<(), Damaged> {
        let mut cursor = Cursor::new(bytes);
        let form = cursor.u8()?;
        let (sum, min, max) = (cursor.f64()?, read_number(&mut cursor)?, read_number(&mut cursor)?);
        self.add_summary(sum, min, max);
        match form {
            BLOCKS => blocks::add(cursor, self),
            RICE_EXPECTED => add_rice(self, cursor, true),
            RICE => add_rice(self, cursor, false),
            TOKENS => add_tokens(self, cursor),
            _ => Err(Damaged("a histogram is of an unknown form")),
        }
    }
}

fn put_head(form: u8, dense: &Dense, out: &mut Vec<u8>) {
    out.push(form);
    out.extend_from_slice(&dense.sum.to_bits().to_le_bytes());
    put_number(out, dense.min);
    put_number(out, dense.max);
}

fn add_rice(dense: &mut Dense, mut cursor: Cursor, from_expected: bool) -> Result<(), Damaged> {
    let many = cursor.length(blocks::BLOCK * blocks::BLOCKS)?;
    let mut reader = BitReader::new(cursor.rest());
    let (mut gaps, mut counts, mut expected) = (Mean::new(), Mean::new(), Expected::new());
    let mut next = 0usize;
    for _ in 0..many {
        let gap = reader.number(&mut gaps)?;
        let code = reader.number(&mut counts)?;
        let count = if from_expected { expected.count_of(code) } else { code.saturating_add(1) };
        let place = usize::try_from(gap).ok().and_then(|gap| next.checked_add(gap)).ok_or(TOO_FAR)?;
        if !dense.add(place, count) {
            return Err(TOO_FAR);
        }
        next = place + 1;
    }
    Ok(())
}

fn add_tokens(dense: &mut Dense, mut cursor: Cursor) -> Result<(), Damaged> {
    let mut index = 0u64;
    while !cursor.is_empty() {
        let token = cursor.varint()?;
        let n = token >> 1;
        if token & 1 == 0 {
            index = index.saturating_add(n);
            continue;
        }
        let place = u16::try_from(index).map(place_of_index).map_err(|_| TOO_FAR)?;
        if !dense.add(place.into(), n) {
            return Err(TOO_FAR);
        }
        index += 1;
    }
    Ok(())
}

/// What the next count was expected to be: a running mean of those before, in sixteenths.
struct Expected(u64);

impl Expected {
    const fn new() -> Expected {
        Expected(16)
    }

    fn count_of(&mut self, code: u64) -> u64 {
        let count = ((self.0 + 8) >> 4).wrapping_add(unzigzag(code) as u64);
        self.0 = self.0 - self.0 / 4 + count.min(1 << 40) * 4;
        count
    }
}

fn put_number(out: &mut Vec<u8>, value: f64) {
    let millionths = value * SCALE;
    let integer = millionths.round_ties_even() as i64;
    if integer.unsigned_abs() < 1 << 52 && (integer as f64 / SCALE).to_bits() == value.to_bits() {
        put_varint(out, (((integer << 1) ^ (integer >> 63)) as u64) + 1);
    } else {
        out.push(0);
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
}

fn read_number(cursor: &mut Cursor) -> Result<f64, Damaged> {
    match cursor.varint()? {
        0 => cursor.f64(),
        code => {
            let code = code - 1;
            Ok((((code >> 1) as i64) ^ -((code & 1) as i64)) as f64 / SCALE)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::bytes::zigzag;
    use crate::distribution::dense::{COUNT_MAX, with_dense};
    use crate::distribution::rice::BitWriter;
    use crate::distribution::scale::PLACES;

    fn count() -> impl Strategy<Value = u64> {
        prop_oneof![
            4 => Just(1u64),
            4 => 1u64..9,
            2 => 1u64..100_000,
            1 => (0u32..40).prop_map(|bits| 1 << bits),
            1 => Just(COUNT_MAX),
        ]
    }

    fn piece(places: &BTreeMap<usize, u64>, sum: f64, min: f64, max: f64) -> Box<[u8]> {
        with_dense(|dense| {
            places.iter().for_each(|(place, count)| assert!(dense.add(*place, *count)));
            dense.add_summary(sum, min, max);
            dense.with_piece(|piece| piece.into())
        })
    }

    fn head(form: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        with_dense(|dense| {
            dense.add_summary(12.5, 1.0, 2.0);
            put_head(form, dense, &mut bytes);
        });
        bytes
    }

    /// Form 1: a pair with several values as one in its second bucket and the rest in its first one.
    fn tokens(places: &BTreeMap<usize, u64>) -> Vec<u8> {
        let mut bytes = head(TOKENS);
        let mut next = 0u64;
        for (place, count) in places {
            let (first, both) = if *place < 256 { (*place, false) } else { ((*place - 128) * 2, *count > 1) };
            put_varint(&mut bytes, (first as u64 - next) << 1);
            put_varint(&mut bytes, ((count - u64::from(both)) << 1) | 1);
            if both {
                put_varint(&mut bytes, (1 << 1) | 1);
            }
            next = first as u64 + 1 + u64::from(both);
        }
        bytes
    }

    /// Forms 2 and 3.
    fn rice(places: &BTreeMap<usize, u64>, form: u8) -> Vec<u8> {
        let mut bytes = head(form);
        put_varint(&mut bytes, places.len() as u64);
        let (mut writer, mut gaps, mut counts) = (BitWriter::default(), Mean::new(), Mean::new());
        let (mut next, mut expected) = (0, 16u64);
        for (place, count) in places {
            writer.number((place - next) as u64, &mut gaps);
            let difference = zigzag(count.wrapping_sub((expected + 8) >> 4) as i64);
            writer.number(if form == RICE { count - 1 } else { difference }, &mut counts);
            expected = expected - expected / 4 + count * 4;
            next = place + 1;
        }
        bytes.extend_from_slice(&writer.finish());
        bytes
    }

    proptest! {
        #[test]
        fn pieces_read_back(
            places in prop_oneof![
                prop::collection::btree_map(0usize..PLACES, count(), 1..300),
                prop::collection::btree_map(1000usize..1400, count(), 1..400),
            ],
            sum in any::<f64>(), min in -1e9..1e9, max in prop_oneof![any::<f64>(), (0i64..1_000_000).prop_map(|n| n as f64 / 1000.0)],
        ) {
            let bytes = piece(&places, sum, min, max);
            with_dense(|dense| {
                dense.add_piece(&bytes).expect("whole");
                assert!(dense.places().eq(places.iter().map(|(place, count)| (*place, *count))));
                assert_eq!((dense.min.to_bits(), dense.max.to_bits()), (min.to_bits(), max.to_bits()));
                assert_eq!(dense.sum.to_bits(), (0.0 + sum).to_bits());
                dense.add_piece(&bytes).expect("whole");
                assert!(dense.places().eq(places.iter().map(|(place, count)| (*place, *count * 2))));
            });
            // A part of it is not taken for the whole.
            for end in (0..bytes.len()).step_by(1 + bytes.len() / 20) {
                assert!(with_dense(|dense| dense.add_piece(&bytes[..end]).is_err()), "{end} of {}", bytes.len());
            }
        }

        /// As versions 1 and 2 of a snapshot have them.
        #[test]
        fn pieces_of_the_forms_before_read_back(places in prop::collection::btree_map(0usize..3000, 1u64..100_000, 1..200)) {
            for bytes in [tokens(&places), rice(&places, RICE), rice(&places, RICE_EXPECTED)] {
                with_dense(|dense| {
                    dense.add_piece(&bytes).expect("whole");
                    assert!(dense.places().eq(places.iter().map(|(place, count)| (*place, *count))));
                    assert_eq!((dense.sum, dense.min, dense.max), (12.5, 1.0, 2.0));
                });
            }
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..100), form in 0u8..6) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() { *first = form; }
            with_dense(|dense| { let _ = dense.add_piece(&bytes); });
            // The counts are empty again, whatever was in the bytes.
            with_dense(|dense| assert!(dense.holds_nothing()));
        }
    }

    #[test]
    fn few_values_take_few_bytes() {
        let of = |places: &[(usize, u64)]| {
            piece(&places.iter().copied().collect(), 0.0, 0.0, 0.0).len() - piece(&BTreeMap::new(), 0.0, 0.0, 0.0).len()
        };
        assert_eq!(of(&[(700, 1)]), 2);
        // A constant, a million times; whole numbers of milliseconds, a thousand times each.
        assert_eq!(of(&[(700, 1_000_000)]), 5);
        assert_eq!(of(&[(700, 1000), (708, 1000), (716, 1000)]), 10);
    }
}
