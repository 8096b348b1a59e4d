//! A native histogram of a message; both versions say it alike.
//!
//! ```text
//! Histogram  1 count (uint64)  2 count (double)  3 sum  4 schema (sint32)  5 zero threshold
//!            6 zero count (uint64)  7 zero count (double)
//!            8 negative spans*  9 negative deltas* (sint64)  10 negative counts* (double)
//!            11 positive spans*  12 positive deltas*  13 positive counts*
//!            14 reset hint  15 timestamp (int64, ms)  16 custom bounds* (double)
//! Span       1 offset (sint32)  2 length (uint32)
//! ```
//! Whole numbers are differences from bucket to bucket, floats are as they are; which of them is said by the count.

use watchfire_exposition::native::{Side, small};
use watchfire_model::histogram::{CUSTOM_SCHEMA, HistogramError, HistogramParts};
use watchfire_model::sample::is_stale;
use watchfire_model::{Histogram, ResetHint};
use watchfire_protobuf::{Field, Malformed, Message, doubles};

/// What stands in the place of a histogram.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sent {
    Histogram(Histogram),
    /// The series ended.
    Stale,
    /// It is none.
    Wrong(HistogramError),
}

/// Its time in milliseconds, and what it is.
pub(super) fn read(field: Field<'_>) -> Result<(i64, Sent), Malformed> {
    let mut message = Message::new(field.bytes()?);
    let mut parts = HistogramParts { is_integer: true, ..HistogramParts::default() };
    let (mut at, mut bounds) = (0, Vec::new());
    let (mut positive, mut negative) = (Side::default(), Side::default());
    while let Some((number, field)) = message.next()? {
        match number {
            1 => (parts.count, parts.is_integer) = (field.unsigned()? as f64, true),
            2 => (parts.count, parts.is_integer) = (field.double()?, false),
            3 => parts.sum = field.double()?,
            4 => parts.schema = small(field)?,
            5 => parts.zero_threshold = field.double()?,
            6 => parts.zero_count = field.unsigned()? as f64,
            7 => parts.zero_count = field.double()?,
            8 => negative.span(field)?,
            9 => negative.deltas(field)?,
            10 => negative.counts(field)?,
            11 => positive.span(field)?,
            12 => positive.deltas(field)?,
            13 => positive.counts(field)?,
            14 => parts.hint = hint(field.unsigned()?),
            15 => at = field.signed()?,
            16 => {
                for bound in doubles(field) {
                    bounds.push(bound?);
                }
            }
            _ => {}
        }
    }
    if is_stale(parts.sum) {
        return Ok((at, Sent::Stale));
    }
    parts.bounds = bounds.into();
    let reach = positive.reach();
    let made = positive.buckets("positive", parts.is_integer).and_then(|positive| {
        // Spans without buckets have a place, too.
        if parts.schema == i32::from(CUSTOM_SCHEMA)
            && let Some(buckets) = reach
            && usize::try_from(buckets).is_ok_and(|buckets| buckets > parts.bounds.len() + 1)
        {
            return Err(HistogramError::TooFewBounds { bounds: parts.bounds.len(), buckets });
        }
        parts.positive = positive;
        parts.negative = negative.buckets("negative", parts.is_integer)?;
        Histogram::new(parts)
    });
    Ok((at, made.map_or_else(Sent::Wrong, Sent::Histogram)))
}

fn hint(number: u64) -> ResetHint {
    match number {
        1 => ResetHint::Reset,
        2 => ResetHint::NotReset,
        3 => ResetHint::Gauge,
        _ => ResetHint::Unknown,
    }
}
