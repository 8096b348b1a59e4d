//! The histogram of one interval at rest: sparse bytes, and sum, minimum and maximum as they are.
//!
//! ```text
//! piece  = form u8 | sum 8 bytes | minimum | maximum | token* (form 1, quick to add) or bits (forms 2 and 3, small)
//! number = varint (zigzag(millionths) + 1), or varint 0 and 8 bytes where that is not exact
//! token  = varint of 2 * n (n empty buckets) or 2 * n + 1 (n values in this bucket, then the next bucket)
//! bits   = varint buckets | Rice codes: (empty buckets before it, its count)*              (pairs of buckets only)
//! count  = values in the bucket - 1 (form 2, as earlier versions wrote it)
//!        | zigzag of how far they are from what is expected after the buckets before (form 3)
//! ```

use crate::bytes::{Cursor, Damaged, put_varint, unzigzag, zigzag};
use crate::distribution::rice::{BitReader, BitWriter, Mean};
use crate::distribution::scale::{BUCKETS, SCALE, coarse};

const PLAIN: u8 = 1;
const SMALL_BEFORE: u8 = 2;
const SMALL: u8 = 3;

/// How a piece is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Single buckets, quick to read.
    Fine,
    /// Pairs of buckets, quick to read.
    Coarse,
    /// Pairs of buckets in as few bits as can be.
    Small,
}

/// Counts by bucket, to add pieces up in. Only the buckets between `low` and `high` can be other than zero.
pub(super) struct Dense {
    counts: Vec<u64>,
    low: usize,
    high: usize,
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

thread_local! {
    static DENSE: std::cell::RefCell<Dense> = std::cell::RefCell::new(Dense::new());
}

/// Lends this thread's empty counts. What runs inside must not borrow them again.
pub(super) fn with_dense<T>(work: impl FnOnce(&mut Dense) -> T) -> T {
    DENSE.with_borrow_mut(|dense| {
        dense.clear();
        work(dense)
    })
}

impl Dense {
    fn new() -> Dense {
        let counts = vec![0; BUCKETS];
        Dense { counts, low: BUCKETS, high: 0, count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }

    fn clear(&mut self) {
        if let Some(used) = self.counts.get_mut(self.low..self.high) {
            used.fill(0);
        }
        (self.low, self.high, self.count, self.sum) = (BUCKETS, 0, 0, 0.0);
        (self.min, self.max) = (f64::INFINITY, f64::NEG_INFINITY);
    }

    /// Adds values of one bucket.
    pub(super) fn add(&mut self, index: u16, count: u64) {
        let index = usize::from(index);
        if let Some(have) = self.counts.get_mut(index) {
            *have = have.saturating_add(count);
            self.count = self.count.saturating_add(count);
            self.low = self.low.min(index);
            self.high = self.high.max(index + 1);
        }
    }

    /// Adds what is known of values beside their buckets.
    pub(super) fn add_summary(&mut self, sum: f64, min: f64, max: f64) {
        self.sum += sum;
        self.min = self.min.min(min);
        self.max = self.max.max(max);
    }

    /// Adds a piece.
    pub(super) fn add_piece(&mut self, bytes: &[u8]) -> Result<(), Damaged> {
        let mut cursor = Cursor::new(bytes);
        let form = cursor.u8()?;
        let (sum, min, max) = (cursor.f64()?, read_number(&mut cursor)?, read_number(&mut cursor)?);
        self.add_summary(sum, min, max);
        match form {
            PLAIN => self.add_tokens(cursor),
            SMALL => self.add_bits(cursor, true),
            SMALL_BEFORE => self.add_bits(cursor, false),
            _ => Err(Damaged("a histogram is of an unknown form")),
        }
    }

    fn add_bits(&mut self, mut cursor: Cursor, from_expected: bool) -> Result<(), Damaged> {
        let buckets = cursor.length(BUCKETS)?;
        let mut reader = BitReader::new(cursor.rest());
        let (mut gaps, mut counts, mut expected) = (Mean::new(), Mean::new(), Expected::new());
        let mut place = 0usize;
        let mut low = None;
        let mut count = 0u64;
        for _ in 0..buckets {
            let gap = reader.number(&mut gaps)?;
            let code = reader.number(&mut counts)?;
            let n = if from_expected { expected.count_of(code) } else { code.saturating_add(1) };
            place = usize::try_from(gap).ok().and_then(|gap| place.checked_add(gap)).ok_or(TOO_FAR)?;
            let index = bucket_at(place);
            let have = self.counts.get_mut(index).ok_or(TOO_FAR)?;
            *have = have.saturating_add(n);
            count = count.saturating_add(n);
            // What is counted is cleared again, even if the rest turns out to be damaged.
            self.low = self.low.min(*low.get_or_insert(index));
            self.high = self.high.max(index + 1);
            place += 1;
        }
        self.count = self.count.saturating_add(count);
        Ok(())
    }

    fn add_tokens(&mut self, cursor: Cursor) -> Result<(), Damaged> {
        let mut bytes = cursor.rest();
        let mut index = 0usize;
        let mut low = BUCKETS;
        let mut total = 0u64;
        let outcome = loop {
            let Some((&byte, rest)) = bytes.split_first() else { break Ok(()) };
            // Nearly all tokens are of one byte.
            let token = if byte < 0x80 {
                bytes = rest;
                u64::from(byte)
            } else {
                let mut cursor = Cursor::new(bytes);
                let Ok(token) = cursor.varint() else { break Err(TOO_FAR) };
                bytes = cursor.rest();
                token
            };
            let n = token >> 1;
            if token & 1 == 0 {
                index = index.saturating_add(usize::try_from(n).unwrap_or(usize::MAX));
                continue;
            }
            let Some(have) = self.counts.get_mut(index) else { break Err(TOO_FAR) };
            *have = have.saturating_add(n);
            total = total.saturating_add(n);
            low = low.min(index);
            index += 1;
        };
        // What is counted is cleared again, even if the rest turned out to be damaged.
        if low < BUCKETS {
            self.low = self.low.min(low);
            self.high = self.high.max(index.min(BUCKETS));
        }
        self.count = self.count.saturating_add(total);
        outcome
    }

    /// The first bucket that may hold something, and the counts from there to the last one.
    pub(super) fn used(&self) -> (usize, &[u64]) {
        (self.low, self.counts.get(self.low..self.high).unwrap_or_default())
    }

    /// (bucket, count) of the buckets that hold something, ascending.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (u16, u64)> {
        let (low, used) = self.used();
        used.iter().enumerate().filter(|(_, count)| **count > 0).map(move |(at, count)| ((low + at) as u16, *count))
    }

    /// As a piece.
    pub(super) fn to_piece(&self, form: Form) -> Box<[u8]> {
        let mut out = Vec::with_capacity(32 + self.high.saturating_sub(self.low));
        out.push(if form == Form::Small { SMALL } else { PLAIN });
        out.extend_from_slice(&self.sum.to_bits().to_le_bytes());
        put_number(&mut out, self.min);
        put_number(&mut out, self.max);
        if form == Form::Small {
            self.put_bits(&mut out);
            return out.into();
        }
        let coarser = form == Form::Coarse;
        let mut next = 0u64;
        let mut open: Option<(u16, u64)> = None;
        let mut put = |index: u16, count: u64, out: &mut Vec<u8>| {
            if u64::from(index) > next {
                put_varint(out, (u64::from(index) - next) << 1);
            }
            put_varint(out, (count.min(u64::MAX >> 1) << 1) | 1);
            next = u64::from(index) + 1;
        };
        for (index, count) in self.buckets() {
            let index = if coarser { coarse(index) } else { index };
            match &mut open {
                Some((have, sum)) if *have == index => *sum = sum.saturating_add(count),
                Some((have, sum)) => {
                    put(*have, *sum, &mut out);
                    open = Some((index, count));
                }
                None => open = Some((index, count)),
            }
        }
        if let Some((index, count)) = open {
            put(index, count, &mut out);
        }
        out.into()
    }
}

impl Dense {
    fn put_bits(&self, out: &mut Vec<u8>) {
        let mut pairs: Vec<(usize, u64)> = Vec::with_capacity(self.high.saturating_sub(self.low) / 2 + 1);
        for (index, count) in self.buckets() {
            let place = place_of(coarse(index));
            match pairs.last_mut() {
                Some((have, sum)) if *have == place => *sum = sum.saturating_add(count),
                _ => pairs.push((place, count)),
            }
        }
        put_varint(out, pairs.len() as u64);
        let mut writer = BitWriter::default();
        let (mut gaps, mut counts, mut expected) = (Mean::new(), Mean::new(), Expected::new());
        let mut next = 0;
        for (place, count) in pairs {
            writer.number((place - next) as u64, &mut gaps);
            writer.number(expected.code_of(count), &mut counts);
            next = place + 1;
        }
        out.extend_from_slice(&writer.finish());
    }
}

/// What the next count is expected to be: a running mean of those before, in sixteenths. The counts of neighbours
/// differ by little more than chance, so the difference takes fewer bits than the count.
struct Expected(u64);

impl Expected {
    const fn new() -> Expected {
        Expected(16)
    }

    fn code_of(&mut self, count: u64) -> u64 {
        let code = zigzag(count.wrapping_sub((self.0 + 8) >> 4) as i64);
        self.saw(count);
        code
    }

    fn count_of(&mut self, code: u64) -> u64 {
        let count = ((self.0 + 8) >> 4).wrapping_add(unzigzag(code) as u64);
        self.saw(count);
        count
    }

    fn saw(&mut self, count: u64) {
        self.0 = self.0 - self.0 / 4 + count.min(1 << 40) * 4;
    }
}

/// The place of a pair of buckets among the pairs; its inverse is `bucket_at`.
fn place_of(even: u16) -> usize {
    let index = usize::from(even);
    if index < 256 { index } else { 256 + (index - 256) / 2 }
}

fn bucket_at(place: usize) -> usize {
    if place < 256 { place } else { 256 + (place - 256).saturating_mul(2) }
}

const TOO_FAR: Damaged = Damaged("a histogram has more buckets than there are");

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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_read_back(
            buckets in prop::collection::btree_map(0u16..6000, 1u64..100_000, 1..300),
            sum in any::<f64>(), min in -1e9..1e9, max in prop_oneof![any::<f64>(), (0i64..1_000_000).prop_map(|n| n as f64 / 1000.0)],
        ) {
            let bytes = with_dense(|dense| {
                buckets.iter().for_each(|(index, count)| dense.add(*index, *count));
                (dense.sum, dense.min, dense.max) = (sum, min, max);
                dense.to_piece(Form::Fine)
            });
            with_dense(|dense| {
                dense.add_piece(&bytes).expect("whole");
                assert_eq!(dense.buckets().collect::<Vec<_>>(), buckets.iter().map(|(i, c)| (*i, *c)).collect::<Vec<_>>());
                assert_eq!(dense.count, buckets.values().sum::<u64>());
                assert_eq!(dense.min.to_bits(), min.to_bits());
                let coarse_bytes = dense.to_piece(Form::Coarse);
                let small_bytes = dense.to_piece(Form::Small);
                let total = dense.count;
                dense.clear();
                dense.add_piece(&coarse_bytes).expect("whole");
                assert_eq!(dense.count, total);
                assert!(dense.buckets().all(|(index, _)| index < 256 || index % 2 == 0));
                let from_coarse: Vec<(u16, u64)> = dense.buckets().collect();
                dense.clear();
                dense.add_piece(&small_bytes).expect("whole");
                assert_eq!(dense.buckets().collect::<Vec<_>>(), from_coarse);
                assert_eq!((dense.count, dense.max.to_bits()), (total, max.to_bits()));
            });
        }

        /// As version 1 of a snapshot has them.
        #[test]
        fn pieces_of_the_form_before_read_back(places in prop::collection::btree_map(0usize..2000, 1u64..100_000, 1..200)) {
            let mut bytes = vec![SMALL_BEFORE];
            bytes.extend_from_slice(&12.5f64.to_bits().to_le_bytes());
            put_number(&mut bytes, 1.0);
            put_number(&mut bytes, 2.0);
            put_varint(&mut bytes, places.len() as u64);
            let (mut writer, mut gaps, mut counts) = (BitWriter::default(), Mean::new(), Mean::new());
            let mut next = 0;
            for (place, count) in &places {
                writer.number((place - next) as u64, &mut gaps);
                writer.number(count - 1, &mut counts);
                next = place + 1;
            }
            bytes.extend_from_slice(&writer.finish());
            with_dense(|dense| {
                dense.add_piece(&bytes).expect("whole");
                let wanted: Vec<(u16, u64)> = places.iter().map(|(place, count)| (bucket_at(*place) as u16, *count)).collect();
                assert_eq!(dense.buckets().collect::<Vec<_>>(), wanted);
                assert_eq!((dense.sum, dense.min, dense.max), (12.5, 1.0, 2.0));
            });
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..100), form in 0u8..5) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() { *first = form; }
            with_dense(|dense| { let _ = dense.add_piece(&bytes); });
            // The counts are empty again, whatever was in the bytes.
            with_dense(|dense| assert!(dense.counts.iter().all(|count| *count == 0)));
        }
    }
}
