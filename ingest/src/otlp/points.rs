//! Data points, as they lie in a message.
//!
//! ```text
//! Number      2 start  3 time (fixed64, ns)  4 double  5 exemplars*  6 int (fixed64)  7 attributes*  8 flags
//! Histogram   2 start  3 time  4 count (fixed64)  5 sum  6 counts* (fixed64)  7 bounds* (double)  8 exemplars*
//!             9 attributes*  10 flags
//! Exponential 1 attributes*  2 start  3 time  4 count  5 sum  6 scale (zigzag)  7 zero count (fixed64)
//!             8 buckets above zero  9 below  10 flags  11 exemplars*
//! Buckets     1 offset (zigzag)  2 counts* (varint)
//! Summary     2 start  3 time  4 count  5 sum  6 quantiles* (1 quantile  2 value)  7 attributes*  8 flags
//! ```

use watchfire_model::histogram::{HistogramError, HistogramParts};
use watchfire_model::sample::STALE_NAN_BITS;
use watchfire_model::{Histogram, Timestamp};
use watchfire_protobuf::{Field, Malformed, Message, numbers};

use super::Fault;

/// The flag of a point that says "nothing was recorded": the series has ended.
const NO_RECORDED_VALUE: u64 = 1;

/// Half the width of the bucket around zero of exponential histograms, as Prometheus takes them.
const ZERO_THRESHOLD: f64 = 1e-128;

/// What all points have.
#[derive(Default)]
pub(super) struct Point<'b> {
    /// Nanoseconds.
    pub(super) time_ns: u64,
    pub(super) attributes: Vec<Field<'b>>,
    pub(super) exemplars: Vec<Field<'b>>,
    no_value: bool,
    pub(super) value: Value,
}

/// What a point holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Value {
    /// Nothing that is read here.
    #[default]
    Nothing,
    Number(f64),
    Histogram {
        count: u64,
        sum: Option<f64>,
        counts: Vec<u64>,
        bounds: Vec<f64>,
    },
    Native(Result<Histogram, HistogramError>),
    Summary {
        count: u64,
        sum: f64,
        /// Quantiles and their values.
        quantiles: Vec<(f64, f64)>,
    },
}

/// Which kind of points a metric has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Number,
    Histogram,
    Exponential,
    Summary,
}

impl Point<'_> {
    pub(super) fn at(&self) -> Timestamp {
        Timestamp::from_millis(millis(self.time_ns))
    }

    /// A value of this point, or the end of its series.
    pub(super) fn or_end(&self, value: f64) -> f64 {
        if self.no_value { f64::from_bits(STALE_NAN_BITS) } else { value }
    }

    /// Whether it says that its series has ended.
    pub(super) fn is_end(&self) -> bool {
        self.no_value
    }
}

/// Nanoseconds, as Prometheus takes them, in milliseconds.
pub(super) fn millis(nanoseconds: u64) -> i64 {
    nanoseconds.cast_signed() / 1_000_000
}

pub(super) fn fixed64(field: Field<'_>) -> Result<u64, Malformed> {
    if let Field::Fixed64(number) = field { Ok(number) } else { Err(Malformed::Type) }
}

/// Appends numbers of eight bytes, packed or one by one.
fn repeated(field: Field<'_>, mut push: impl FnMut(u64)) -> Result<(), Malformed> {
    match field {
        Field::Fixed64(number) => push(number),
        Field::Bytes(bytes) => {
            let (numbers, rest) = bytes.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(Malformed::Cut);
            }
            numbers.iter().for_each(|number| push(u64::from_le_bytes(*number)));
        }
        Field::Varint(_) | Field::Fixed32(_) => return Err(Malformed::Type),
    }
    Ok(())
}

/// The time of a point alone.
pub(super) fn time_of(field: Field<'_>) -> Result<u64, Fault> {
    let mut message = Message::new(field.bytes()?);
    let mut time = 0;
    while let Some((number, field)) = message.next()? {
        if number == 3 {
            time = fixed64(field)?;
        }
    }
    Ok(time)
}

/// Reads a point. Its parts are asked for before, as long as its bytes.
pub(super) fn read(field: Field<'_>, shape: Shape) -> Result<Point<'_>, Fault> {
    let mut message = Message::new(field.bytes()?);
    let mut point = Point::default();
    let (mut count, mut sum, mut number_value) = (0, None, None);
    let (mut counts, mut bounds, mut quantiles) = (Vec::new(), Vec::new(), Vec::new());
    let mut native = HistogramParts { is_integer: true, zero_threshold: ZERO_THRESHOLD, ..HistogramParts::default() };
    while let Some((number, field)) = message.next()? {
        match (shape, number) {
            (_, 3) => point.time_ns = fixed64(field)?,
            (Shape::Number | Shape::Summary, 7) | (Shape::Histogram, 9) | (Shape::Exponential, 1) => {
                point.attributes.push(field);
            }
            (Shape::Number, 5) | (Shape::Histogram, 8) | (Shape::Exponential, 11) => point.exemplars.push(field),
            (Shape::Number | Shape::Summary, 8) | (Shape::Histogram | Shape::Exponential, 10) => {
                point.no_value = field.unsigned()? & NO_RECORDED_VALUE != 0;
            }
            (Shape::Number, 4) => number_value = Some(field.double()?),
            (Shape::Number, 6) => number_value = Some(fixed64(field)?.cast_signed() as f64),
            (Shape::Histogram | Shape::Exponential | Shape::Summary, 4) => count = fixed64(field)?,
            (Shape::Histogram | Shape::Exponential | Shape::Summary, 5) => sum = Some(field.double()?),
            (Shape::Histogram, 6) => repeated(field, |count| counts.push(count))?,
            (Shape::Histogram, 7) => repeated(field, |bound| bounds.push(f64::from_bits(bound)))?,
            (Shape::Exponential, 6) => native.schema = zigzag(field)?,
            (Shape::Exponential, 7) => native.zero_count = fixed64(field)? as f64,
            (Shape::Exponential, 8) => native.positive = read_buckets(field)?,
            (Shape::Exponential, 9) => native.negative = read_buckets(field)?,
            (Shape::Summary, 6) => quantiles.push(read_quantile(field)?),
            _ => {}
        }
    }
    point.value = match shape {
        Shape::Number => Value::Number(number_value.unwrap_or(0.0)),
        Shape::Histogram => Value::Histogram { count, sum, counts, bounds },
        Shape::Summary => Value::Summary { count, sum: sum.unwrap_or(0.0), quantiles },
        Shape::Exponential => {
            (native.count, native.sum) = (count as f64, sum.unwrap_or(0.0));
            Value::Native(Histogram::new(native))
        }
    };
    Ok(point)
}

fn zigzag(field: Field<'_>) -> Result<i32, Malformed> {
    let number = field.unsigned()?;
    i32::try_from((number >> 1).cast_signed() ^ -(number & 1).cast_signed()).map_err(|_| Malformed::Range)
}

/// Most empty buckets in a row that are kept between two that hold something.
const EMPTY_BETWEEN_MAX: i64 = 2;

/// The buckets of one side. Here the bucket 0 begins at 1, in a native histogram it ends there.
fn read_buckets(field: Field<'_>) -> Result<Vec<(i32, f64)>, Malformed> {
    let mut message = Message::new(field.bytes()?);
    let (mut offset, mut counts) = (0, Vec::new());
    while let Some((number, field)) = message.next()? {
        match number {
            1 => offset = zigzag(field)?,
            2 => numbers(field).try_for_each(|count| {
                counts.push(count?);
                Ok(())
            })?,
            _ => {}
        }
    }
    let places = laid_out(i64::from(offset) + 1, &counts).into_iter();
    places.map(|(place, count)| Ok((i32::try_from(place).map_err(|_| Malformed::Range)?, count as f64))).collect()
}

/// The buckets that there are, from a first one on: those that hold something, the last, and of empty ones before either
/// those that are few.
/// Source: `convertBucketsLayout` of Prometheus.
fn laid_out(first: i64, counts: &[u64]) -> Vec<(i64, u64)> {
    let mut buckets = Vec::new();
    let mut next = first;
    let last = counts.len().checked_sub(1);
    for (nth, (place, count)) in (first..).zip(counts).enumerate() {
        if *count == 0 && Some(nth) != last {
            continue;
        }
        if place - next <= EMPTY_BETWEEN_MAX {
            buckets.extend((next..place).map(|empty| (empty, 0)));
        }
        buckets.push((place, *count));
        next = place + 1;
    }
    buckets
}

fn read_quantile(field: Field<'_>) -> Result<(f64, f64), Fault> {
    let mut message = Message::new(field.bytes()?);
    let (mut quantile, mut value) = (0.0, 0.0);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => quantile = field.double()?,
            2 => value = field.double()?,
            _ => {}
        }
    }
    Ok((quantile, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_empty_buckets_stay_and_the_last() {
        for (counts, wanted) in [
            (&[][..], &[][..]),
            (&[0], &[(5, 0)]),
            (&[3, 0, 0, 4, 0, 0, 0, 5], &[(5, 3), (6, 0), (7, 0), (8, 4), (12, 5)]),
            (&[0, 0, 7, 0, 0], &[(5, 0), (6, 0), (7, 7), (8, 0), (9, 0)]),
            (&[0, 0, 0, 7, 0, 0, 0, 0], &[(8, 7), (12, 0)]),
        ] {
            assert_eq!(laid_out(5, counts), wanted, "{counts:?}");
        }
    }
}
