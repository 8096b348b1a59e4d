//! The samples of a record as columns: most records hold one sample each of many series, at one time.
//!
//! ```text
//! samples  = varint how many | ids | times | 4 | kind u8 * | planes *
//! ids, times = columns of integers, see `chunk::ints`
//! kind     = 9 * exponent + bytes of the mantissa (0 to 8)
//! planes   = for each kind that there is, ascending: the lowest byte of all its mantissas, then the next higher one of all, …
//! mantissa = zigzag of an integer, which divided by ten to its exponent is the value; its bits where the exponent is 15
//! ```
//! Bytes that stand for the same are alike, so that a packer finds more in them when they stand together. Up to version 7 of a file,
//! and read, another column of integers and the mantissas one after another stood behind the times:
//!
//! ```text
//! exponents | mantissa*
//! mantissa = varint zigzag of an integer | 8 bytes, where the exponent is 15
//! ```
//! Values come back bit by bit the same.

use crate::bytes::{Cursor, Damaged, put_varint, unzigzag, zigzag};
use crate::chunk::decimal::{POWERS, scaled};
use crate::chunk::ints;
use crate::wal::packed::Columnar;

/// Stands where the flags of the column of exponents stood, which were less.
const BY_KIND: u8 = 4;
/// A mantissa has so many lengths.
const LENGTHS: usize = size_of::<u64>() + 1;
/// There are so many kinds.
const KINDS: usize = LENGTHS * (AS_IT_IS + 1);
/// Says that a value stands as it is.
const AS_IT_IS: usize = 15;
/// Once so many more values were no decimals than were, only likely exponents are tried.
const MISSES_MAX: i32 = 16;

/// Gathers the samples of a record.
#[derive(Default)]
pub(crate) struct Columns {
    ids: Vec<i64>,
    times: Vec<i64>,
    kinds: Vec<u8>,
    mantissas: Vec<u64>,
    /// The exponent of the last value with a fraction.
    likely: usize,
    /// Values that were no decimals, less those that were.
    misses: i32,
}

impl Columns {
    /// With room for so many samples.
    pub(super) fn with_room(samples: usize) -> Columns {
        let [ids, times] = [(); 2].map(|()| Vec::with_capacity(samples));
        let (kinds, mantissas) = (Vec::with_capacity(samples), Vec::with_capacity(samples));
        Columns { ids, times, kinds, mantissas, likely: 0, misses: 0 }
    }

    /// Adds a sample of a series; its time in milliseconds.
    pub(super) fn push(&mut self, id: u64, at: i64, value: f64) {
        // The same bits, as the other way round when they are read.
        self.ids.push(id as i64);
        self.times.push(at);
        let (exponent, mantissa) = match self.decimal_of(value) {
            Some((exponent, integer)) => (exponent, zigzag(integer)),
            None => (AS_IT_IS, value.to_bits()),
        };
        let bytes = (u64::BITS - mantissa.leading_zeros()).div_ceil(8) as usize;
        self.kinds.push((exponent * LENGTHS + bytes) as u8);
        self.mantissas.push(mantissa);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// An exponent below `AS_IT_IS`, not always the least one, and the integer of a value.
    fn decimal_of(&mut self, value: f64) -> Option<(usize, i64)> {
        let of = |exponent: usize| Some((exponent, scaled(value, *POWERS.get(exponent)?)?));
        if let Some(integer) = of(0) {
            return Some(integer);
        }
        if let Some(found) = of(self.likely.max(1)) {
            self.misses -= i32::from(self.misses > 0);
            return Some(found);
        }
        let found = if self.misses < MISSES_MAX { (1..AS_IT_IS).find_map(of) } else { None };
        match found {
            Some((exponent, _)) => self.likely = exponent,
            None => self.misses = self.misses.saturating_add(1),
        }
        found
    }

    /// Appends all of them.
    pub(super) fn put(&self, columnar: &mut Columnar) {
        let out = &mut columnar.bytes;
        put_varint(out, self.ids.len() as u64);
        let mut scratch = ints::Scratch::default();
        for column in [&self.ids, &self.times] {
            ints::encode(column, &mut scratch, out);
        }
        if self.is_empty() {
            return;
        }
        out.push(BY_KIND);
        columnar.seam();
        columnar.bytes.extend_from_slice(&self.kinds);
        let many = counts(&self.kinds);
        let mut next = starts(&many);
        let mut together = vec![0; self.mantissas.len()];
        for (kind, mantissa) in self.kinds.iter().zip(&self.mantissas) {
            let next = &mut next[usize::from(*kind)];
            together[*next] = *mantissa;
            *next += 1;
        }
        let mut rest = &*together;
        for (kind, many) in many.into_iter().enumerate() {
            let (mantissas, others) = rest.split_at(many);
            rest = others;
            for byte in 0..kind % LENGTHS {
                columnar.seam();
                columnar.bytes.extend(mantissas.iter().map(|mantissa| (mantissa >> (8 * byte)) as u8));
            }
        }
    }
}

/// How many there are of each kind.
fn counts(kinds: &[u8]) -> [usize; KINDS] {
    let mut counts = [0; KINDS];
    kinds.iter().for_each(|kind| counts[usize::from(*kind)] += 1);
    counts
}

/// Where those of each kind begin that stand together.
fn starts(counts: &[usize; KINDS]) -> [usize; KINDS] {
    let mut start = 0;
    counts.map(|many| {
        start += many;
        start - many
    })
}

/// Samples of many series as they are read: of each the number of its series, its time in milliseconds and its value.
#[derive(Default)]
pub(crate) struct SampleColumns {
    pub(crate) ids: Vec<u64>,
    pub(crate) times: Vec<i64>,
    pub(crate) values: Vec<f64>,
    /// Where mantissas of a kind stand together.
    mantissas: Vec<u64>,
}

impl SampleColumns {
    /// Reads what `put` wrote, in the place of what was there. Errors: it is damaged; then nothing is to be made of the columns.
    pub(super) fn read(&mut self, cursor: &mut Cursor) -> Result<(), Damaged> {
        self.ids.clear();
        self.values.clear();
        // A sample takes a byte at least.
        let many = cursor.length(cursor.rest().len())?;
        if many == 0 {
            self.times.clear();
            return Ok(());
        }
        ints::decode_onto(cursor, many, &mut self.ids, |id| id as u64)?;
        ints::decode(cursor, many, &mut self.times)?;
        self.values.reserve(many);
        if cursor.rest().first() == Some(&BY_KIND) {
            cursor.take(1)?;
            self.read_by_kind(cursor, many)
        } else {
            self.read_one_by_one(cursor, many)
        }
    }

    fn read_by_kind(&mut self, cursor: &mut Cursor, samples: usize) -> Result<(), Damaged> {
        let kinds = cursor.take(samples)?;
        if kinds.iter().any(|kind| usize::from(*kind) >= KINDS) {
            return Err(Damaged("a decimal exponent is above 15"));
        }
        let many = counts(kinds);
        self.mantissas.clear();
        self.mantissas.resize(samples, 0);
        let mut rest = &mut *self.mantissas;
        for (kind, many) in many.into_iter().enumerate().filter(|(_, many)| *many > 0) {
            let (mantissas, others) = rest.split_at_mut(many);
            rest = others;
            for byte in 0..kind % LENGTHS {
                let plane = cursor.take(many)?;
                mantissas
                    .iter_mut()
                    .zip(plane)
                    .for_each(|(mantissa, part)| *mantissa |= u64::from(*part) << (8 * byte));
            }
        }
        let mut next = starts(&many);
        self.values.extend(kinds.iter().map(|kind| {
            let next = &mut next[usize::from(*kind)];
            let mantissa = self.mantissas[*next];
            *next += 1;
            // An integer is divided by one: that costs less than to guess wrong which of them comes.
            match usize::from(*kind) / LENGTHS {
                AS_IT_IS => f64::from_bits(mantissa),
                exponent => unzigzag(mantissa) as f64 / POWERS[exponent],
            }
        }));
        Ok(())
    }

    fn read_one_by_one(&mut self, cursor: &mut Cursor, samples: usize) -> Result<(), Damaged> {
        let mut exponents = Vec::new();
        ints::decode(cursor, samples, &mut exponents)?;
        for exponent in exponents {
            self.values.push(read_value(cursor, exponent)?);
        }
        Ok(())
    }

    /// The samples one after another: the number of the series, the time and the value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, i64, f64)> {
        let Self { ids, times, values, .. } = self;
        ids.iter().zip(times).zip(values).map(|((id, at), value)| (*id, *at, *value))
    }
}

#[inline]
fn read_value(cursor: &mut Cursor, exponent: i64) -> Result<f64, Damaged> {
    let exponent = usize::try_from(exponent).unwrap_or(usize::MAX);
    if exponent == AS_IT_IS {
        return cursor.f64();
    }
    let power = POWERS.get(exponent).ok_or(Damaged("a decimal exponent is above 15"))?;
    cursor.zigzag().map(|mantissa| mantissa as f64 / power)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wal::packed::Packer;

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => (-100_000i64..100_000).prop_map(|n| n as f64),
            4 => (0i64..10_000_000).prop_map(|n| n as f64 / 100.0),
            2 => (any::<i64>(), 0usize..16).prop_map(|(n, e)| (n >> 12) as f64 / POWERS[e]),
            2 => any::<f64>(),
            1 => any::<u64>().prop_map(f64::from_bits),
            1 => prop::sample::select(vec![-0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY, f64::from_bits(0x7ff0_0000_0000_0002)]),
        ]
    }

    proptest! {
        #[test]
        fn samples_read_back(samples in prop::collection::vec((0u64..9, any::<i32>(), value()), 0..300), far in any::<u64>()) {
            let (mut columns, mut columnar, mut back) = (Columns::default(), Columnar::default(), Vec::new());
            for (id, at, value) in &samples {
                columns.push(far.wrapping_add(*id), i64::from(*at), *value);
            }
            columns.put(&mut columnar);
            columnar.bytes.extend_from_slice(b"after");
            let mut cursor = Cursor::new(&columnar.bytes);
            let mut read = SampleColumns::default();
            read.read(&mut cursor).expect("whole");
            back.extend(read.iter().map(|(id, at, value)| (id, at, value.to_bits())));
            prop_assert_eq!(cursor.rest(), b"after");
            let wanted: Vec<(u64, i64, u64)> =
                samples.iter().map(|(id, at, value)| (far.wrapping_add(*id), i64::from(*at), value.to_bits())).collect();
            prop_assert_eq!(back, wanted);
        }

        #[test]
        fn samples_of_version_7_are_read(samples in prop::collection::vec((-99i64..99, 0i64..15), 0..300)) {
            let (mut bytes, mut back) = (Vec::new(), Vec::new());
            put_varint(&mut bytes, samples.len() as u64);
            let places: Vec<i64> = (0..samples.len() as i64).collect();
            let exponents: Vec<i64> = samples.iter().map(|(_, exponent)| *exponent).collect();
            for column in [&places, &places, &exponents] {
                ints::encode(column, &mut ints::Scratch::default(), &mut bytes);
            }
            samples.iter().for_each(|(mantissa, _)| put_varint(&mut bytes, zigzag(*mantissa)));
            let mut read = SampleColumns::default();
            read.read(&mut Cursor::new(&bytes)).expect("whole");
            back.extend(read.iter());
            let value = |(mantissa, exponent): &(i64, i64)| *mantissa as f64 / POWERS[*exponent as usize];
            let wanted: Vec<_> = samples.iter().zip(0..).map(|(sample, at)| (at as u64, at, value(sample))).collect();
            prop_assert_eq!(back, wanted);
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = SampleColumns::default().read(&mut Cursor::new(&bytes));
        }
    }

    #[test]
    fn a_sample_of_each_of_many_series_takes_two_bytes() {
        let mut columns = Columns::default();
        for number in 0..2000u64 {
            let value = if number % 2 == 0 { (number * 17) as f64 } else { (2500 + number) as f64 / 100.0 };
            columns.push(70_000 + number, 1_700_000_000_000, value);
        }
        let (mut columnar, mut bytes) = (Columnar::default(), Vec::new());
        columns.put(&mut columnar);
        Packer::default().pack(&mut bytes, 0, &columnar);
        assert!(bytes.len() < 2000 * 2, "{}", bytes.len());
    }
}
