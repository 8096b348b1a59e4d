//! Making a histogram of what a sender says, or why it is none.

use std::sync::Arc;

use super::bounds::{CUSTOM_SCHEMA, SCHEMA_MAX, SCHEMA_MIN};
use super::{Buckets, Histogram, ResetHint};

/// The narrowest schema that a sender may use; what is narrower than [`SCHEMA_MAX`] is widened to that.
const SENT_SCHEMA_MAX: i32 = 52;

/// Why something is no histogram.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HistogramError {
    /// No such schema.
    #[error("the schema is {0}, and must be between -4 and 8 for exponential buckets, or -53 for custom buckets")]
    Schema(i32),
    /// Spans and counts do not agree.
    #[error("{side} side: spans need {needed} buckets, have {have} buckets")]
    Spans {
        /// `positive` or `negative`.
        side: &'static str,
        /// By the spans.
        needed: u64,
        /// How many counts there are.
        have: usize,
    },
    /// A span after the first goes back.
    #[error("{side} side: span number {number} with offset {offset}: the offset is negative")]
    SpanOffset {
        /// `positive` or `negative`.
        side: &'static str,
        /// From 1.
        number: usize,
        /// As sent.
        offset: i32,
    },
    /// A bucket has a number that is too large.
    #[error("{side} side: a span leads beyond the last bucket that there can be")]
    SpanRange {
        /// `positive` or `negative`.
        side: &'static str,
    },
    /// Less than nothing in a bucket.
    #[error("{side} side: bucket number {number} has an observation count of {count}: it is negative")]
    NegativeBucket {
        /// `positive`, `negative` or `zero`.
        side: &'static str,
        /// From 1.
        number: usize,
        /// As sent.
        count: f64,
    },
    /// Less than nothing in all.
    #[error("the observation count is {0}: it is negative")]
    NegativeCount(f64),
    /// The buckets do not add up.
    #[error("{buckets} observations found in buckets, but the count is {count}")]
    Count {
        /// In all buckets.
        buckets: f64,
        /// In all.
        count: f64,
    },
    /// A custom bound is NaN or infinite.
    #[error("custom buckets: a bound is {0}: bounds must be finite")]
    Bound(f64),
    /// Custom bounds do not ascend.
    #[error("custom buckets: previous bound is {previous} and current is {current}: bounds must strictly ascend")]
    BoundOrder {
        /// The one before.
        previous: f64,
        /// Not above it.
        current: f64,
    },
    /// There are buckets beyond the last custom bound.
    #[error("custom buckets: {bounds} bounds do not cover {buckets} buckets")]
    TooFewBounds {
        /// How many there are.
        bounds: usize,
        /// The number of the last bucket, from 1.
        buckets: i64,
    },
    /// Custom buckets with what only exponential ones have.
    #[error("custom buckets: there must be no {0}")]
    CustomHas(&'static str),
    /// Exponential buckets with bounds.
    #[error("a histogram with an exponential schema has custom bounds")]
    ExponentialHasBounds,
    /// The width of the bucket around zero is no width.
    #[error("the zero threshold is {0}, and must be a finite number")]
    ZeroThreshold(f64),
}

/// What a histogram is made of, unchecked.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "each is named as the part that it becomes")]
pub struct HistogramParts {
    pub schema: i32,
    pub hint: ResetHint,
    pub zero_threshold: f64,
    pub zero_count: f64,
    pub count: f64,
    pub sum: f64,
    pub positive: Buckets,
    pub negative: Buckets,
    pub bounds: Arc<[f64]>,
    /// Counts are whole numbers, so they have to add up exactly.
    pub is_integer: bool,
}

/// The buckets of spans: (distance from the end of the span before, length), and counts one after the other.
pub fn buckets_of_spans(side: &'static str, spans: &[(i32, u32)], counts: &[f64]) -> Result<Buckets, HistogramError> {
    let needed = spans.iter().map(|(_, length)| u64::from(*length)).sum::<u64>();
    if needed != counts.len() as u64 {
        return Err(HistogramError::Spans { side, needed, have: counts.len() });
    }
    let mut buckets = Vec::with_capacity(counts.len());
    let mut counts = counts.iter();
    let mut next = 0i64;
    for (number, (offset, length)) in spans.iter().enumerate() {
        if number > 0 && *offset < 0 {
            return Err(HistogramError::SpanOffset { side, number: number + 1, offset: *offset });
        }
        next += i64::from(*offset);
        let end = next + i64::from(*length);
        if i32::try_from(next).is_err() || i32::try_from(end).is_err() {
            return Err(HistogramError::SpanRange { side });
        }
        // Both ends are numbers of 32 bits.
        buckets.extend((next as i32..end as i32).zip(counts.by_ref().take(*length as usize).copied()));
        next = end;
    }
    Ok(buckets)
}

impl Histogram {
    /// A histogram of its parts.
    ///
    /// Errors: the first thing that is wrong with them; they are those for which Prometheus refuses a histogram too.
    pub fn new(parts: HistogramParts) -> Result<Histogram, HistogramError> {
        let schema = check_schema(&parts)?;
        check_buckets(&parts)?;
        let HistogramParts { hint, zero_threshold, zero_count, count, sum, positive, negative, bounds, .. } = parts;
        // A chunk of Prometheus has one zero.
        let zero_threshold = zero_threshold + 0.0;
        let narrow = i8::try_from(parts.schema.min(SENT_SCHEMA_MAX)).unwrap_or(schema);
        let mut histogram =
            Histogram { schema: narrow, hint, zero_threshold, zero_count, count, sum, positive, negative, bounds };
        histogram.widen(schema);
        Ok(histogram)
    }
}

/// The schema that it is kept at.
fn check_schema(parts: &HistogramParts) -> Result<i8, HistogramError> {
    // One below zero, as no library makes it, is stored and computed with as it is, as by Prometheus.
    if !parts.zero_threshold.is_finite() {
        return Err(HistogramError::ZeroThreshold(parts.zero_threshold));
    }
    match i8::try_from(parts.schema) {
        Ok(CUSTOM_SCHEMA) => check_custom(parts).map(|()| CUSTOM_SCHEMA),
        Ok(schema) if schema >= SCHEMA_MIN && i32::from(schema) <= SENT_SCHEMA_MAX => {
            if !parts.bounds.is_empty() {
                return Err(HistogramError::ExponentialHasBounds);
            }
            Ok(schema.min(SCHEMA_MAX))
        }
        _ => Err(HistogramError::Schema(parts.schema)),
    }
}

fn check_custom(parts: &HistogramParts) -> Result<(), HistogramError> {
    if let Some(bound) = parts.bounds.iter().find(|bound| bound.is_nan() || **bound == f64::INFINITY) {
        return Err(HistogramError::Bound(*bound));
    }
    if let Some(pair) = parts.bounds.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(HistogramError::BoundOrder { previous: pair[0], current: pair[1] });
    }
    if let Some((first, _)) = parts.positive.first().filter(|(first, _)| *first < 0) {
        return Err(HistogramError::SpanOffset { side: "positive", number: 1, offset: *first });
    }
    if let Some((last, _)) = parts.positive.last()
        && usize::try_from(*last).is_ok_and(|last| last > parts.bounds.len())
    {
        return Err(HistogramError::TooFewBounds { bounds: parts.bounds.len(), buckets: i64::from(*last) + 1 });
    }
    let has = [
        (parts.zero_count != 0.0, "zero count"),
        (parts.zero_threshold != 0.0, "zero threshold"),
        (!parts.negative.is_empty(), "negative buckets"),
    ];
    match has.into_iter().find(|(has, _)| *has) {
        Some((_, what)) => Err(HistogramError::CustomHas(what)),
        None => Ok(()),
    }
}

fn check_buckets(parts: &HistogramParts) -> Result<(), HistogramError> {
    for (side, buckets) in [("positive", &parts.positive), ("negative", &parts.negative)] {
        if let Some(at) = buckets.iter().position(|(_, count)| *count < 0.0) {
            return Err(HistogramError::NegativeBucket { side, number: at + 1, count: buckets[at].1 });
        }
        debug_assert!(buckets.windows(2).all(|pair| pair[0].0 < pair[1].0), "buckets ascend");
    }
    if parts.zero_count < 0.0 {
        return Err(HistogramError::NegativeBucket { side: "zero", number: 1, count: parts.zero_count });
    }
    if parts.count < 0.0 {
        return Err(HistogramError::NegativeCount(parts.count));
    }
    if parts.is_integer {
        let all = parts.positive.iter().chain(&parts.negative).map(|(_, count)| count).sum::<f64>() + parts.zero_count;
        // What was no number is in no bucket, and the sum is none then.
        if all > parts.count || (all < parts.count && !parts.sum.is_nan()) {
            return Err(HistogramError::Count { buckets: all, count: parts.count });
        }
    }
    Ok(())
}
