//! The samples of a record as columns: most records hold one sample each of many series, at one time.
//!
//! ```text
//! samples = varint how many | ids | times | exponents | mantissa*
//! ids, times, exponents = columns of integers, see `chunk::ints`
//! mantissa = varint zigzag of an integer, which divided by ten to its exponent is the value
//!          | 8 bytes, where the exponent is 15: the value as it is
//! ```
//! Values come back bit by bit the same.

use crate::bytes::{Cursor, Damaged, put_varint, put_zigzag};
use crate::chunk::decimal::{POWERS, scaled};
use crate::chunk::ints;

/// Says that a value stands as it is.
const AS_IT_IS: i64 = 15;
/// Once so many more values were no decimals than were, only likely exponents are tried.
const MISSES_MAX: i32 = 16;

/// Gathers the samples of a record.
#[derive(Default)]
pub(crate) struct Columns {
    ids: Vec<i64>,
    times: Vec<i64>,
    exponents: Vec<i64>,
    mantissas: Vec<u8>,
    /// The exponent of the last value with a fraction.
    likely: usize,
    /// Values that were no decimals, less those that were.
    misses: i32,
}

impl Columns {
    /// With room for so many samples.
    pub(super) fn with_room(samples: usize) -> Columns {
        let [ids, times, exponents] = [(); 3].map(|()| Vec::with_capacity(samples));
        Columns { ids, times, exponents, mantissas: Vec::with_capacity(samples * 2), likely: 0, misses: 0 }
    }

    /// Adds a sample of a series; its time in milliseconds.
    pub(super) fn push(&mut self, id: u64, at: i64, value: f64) {
        // The same bits, as the other way round when they are read.
        self.ids.push(id as i64);
        self.times.push(at);
        match self.decimal_of(value) {
            Some((exponent, mantissa)) => {
                self.exponents.push(exponent as i64);
                put_zigzag(&mut self.mantissas, mantissa);
            }
            None => {
                self.exponents.push(AS_IT_IS);
                self.mantissas.extend_from_slice(&value.to_bits().to_le_bytes());
            }
        }
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
        let found = if self.misses < MISSES_MAX { (1..AS_IT_IS as usize).find_map(of) } else { None };
        match found {
            Some((exponent, _)) => self.likely = exponent,
            None => self.misses = self.misses.saturating_add(1),
        }
        found
    }

    /// Appends all of them.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.ids.len() as u64);
        let mut scratch = ints::Scratch::default();
        for column in [&self.ids, &self.times, &self.exponents] {
            ints::encode(column, &mut scratch, out);
        }
        out.extend_from_slice(&self.mantissas);
    }
}

/// Reads what `put` wrote, and calls back with each sample: the number of its series, its time and its value.
pub(super) fn read(cursor: &mut Cursor, mut each: impl FnMut(u64, i64, f64)) -> Result<(), Damaged> {
    // A sample takes a byte at least.
    let many = cursor.length(cursor.rest().len())?;
    let (mut ids, mut times, mut exponents) = (Vec::new(), Vec::new(), Vec::new());
    for column in [&mut ids, &mut times, &mut exponents] {
        ints::decode(cursor, many, column)?;
    }
    for ((id, time), exponent) in ids.into_iter().zip(times).zip(exponents) {
        each(id as u64, time, read_value(cursor, exponent)?);
    }
    Ok(())
}

#[inline]
fn read_value(cursor: &mut Cursor, exponent: i64) -> Result<f64, Damaged> {
    match exponent {
        AS_IT_IS => cursor.f64(),
        // An integer is divided by one: that costs less than to guess wrong which of them comes.
        _ => {
            let power = usize::try_from(exponent).ok().and_then(|exponent| POWERS.get(exponent));
            let power = power.ok_or(Damaged("a decimal exponent is above 15"))?;
            cursor.zigzag().map(|mantissa| mantissa as f64 / power)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            let (mut columns, mut bytes, mut back) = (Columns::default(), Vec::new(), Vec::new());
            for (id, at, value) in &samples {
                columns.push(far.wrapping_add(*id), i64::from(*at), *value);
            }
            columns.put(&mut bytes);
            bytes.extend_from_slice(b"after");
            let mut cursor = Cursor::new(&bytes);
            read(&mut cursor, |id, at, value| back.push((id, at, value.to_bits()))).expect("whole");
            prop_assert_eq!(cursor.rest(), b"after");
            let wanted: Vec<(u64, i64, u64)> =
                samples.iter().map(|(id, at, value)| (far.wrapping_add(*id), i64::from(*at), value.to_bits())).collect();
            prop_assert_eq!(back, wanted);
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&mut Cursor::new(&bytes), |_, _, _| {});
        }
    }

    #[test]
    fn a_sample_of_each_of_many_series_takes_three_bytes() {
        let mut columns = Columns::default();
        for number in 0..2000u64 {
            let value = if number % 2 == 0 { (number * 17) as f64 } else { (2500 + number) as f64 / 100.0 };
            columns.push(70_000 + number, 1_700_000_000_000, value);
        }
        let mut bytes = Vec::new();
        columns.put(&mut bytes);
        assert!(bytes.len() < 2000 * 3, "{}", bytes.len());
    }
}
