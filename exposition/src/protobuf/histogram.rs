//! Histograms, classic and native.
//!
//! ```text
//! Histogram 1 count (uint64)  2 sum  3 buckets*  4 count (double)  5 schema (sint32)  6 zero threshold
//!           7 zero count (uint64)  8 zero count (double)
//!           9 negative spans*  10 negative deltas* (sint64)  11 negative counts* (double)
//!           12 positive spans*  13 positive deltas*  14 positive counts*  16 exemplars*
//! Bucket    1 cumulative count (uint64)  2 upper bound  3 exemplar  4 cumulative count (double)
//! ```
//! What tells nothing but count, sum and buckets is a classic one.

use watchfire_engine::{Exemplar, FamilyType};
use watchfire_model::histogram::HistogramParts;
use watchfire_model::{Histogram, LabelSet, ResetHint, Timestamp};
use watchfire_protobuf::{Field, Message};

use super::lines::Lines;
use super::{Family, Fault, Metric, Native, Shown};
use crate::native::{Side, small};

/// What is read of a histogram, its buckets aside.
#[derive(Default)]
struct Read<'b> {
    parts: HistogramParts,
    count_float: f64,
    zero_count_float: f64,
    positive: Side,
    negative: Side,
    exemplars: Vec<Shown<'b>>,
    has_buckets: bool,
}

fn read(bytes: &[u8]) -> Result<Read<'_>, Fault> {
    let mut message = Message::new(bytes);
    let mut read = Read::default();
    while let Some((number, field)) = message.next()? {
        let parts = &mut read.parts;
        match number {
            1 => parts.count = field.unsigned()? as f64,
            2 => parts.sum = field.double()?,
            3 => read.has_buckets = true,
            4 => read.count_float = field.double()?,
            5 => parts.schema = small(field)?,
            6 => parts.zero_threshold = field.double()?,
            7 => parts.zero_count = field.unsigned()? as f64,
            8 => read.zero_count_float = field.double()?,
            9 => read.negative.span(field)?,
            10 => read.negative.deltas(field)?,
            11 => read.negative.counts(field)?,
            12 => read.positive.span(field)?,
            13 => read.positive.deltas(field)?,
            14 => read.positive.counts(field)?,
            16 => read.exemplars.push(Shown::read(field)?),
            _ => {}
        }
    }
    Ok(read)
}

impl Read<'_> {
    fn is_native(&self) -> bool {
        let has_spans = !self.positive.is_empty() || !self.negative.is_empty();
        has_spans || self.parts.zero_threshold > 0.0 || self.parts.zero_count > 0.0
    }

    /// How many observations there are, whole or in parts.
    fn count(&self) -> f64 {
        if self.count_float == 0.0 { self.parts.count } else { self.count_float }
    }
}

/// Writes the histogram of a metric.
pub(super) fn write(family: &Family<'_>, metric: &Metric<'_>, bytes: &[u8], lines: &mut Lines) -> Result<(), Fault> {
    let mut read = read(bytes)?;
    let is_native = family.wanted.natives && read.is_native();
    let (count, sum) = (read.count(), read.parts.sum);
    if !is_native && !read.exemplars.is_empty() {
        lines.exemplars_of_classic(std::mem::take(&mut read.exemplars).into_iter().filter_map(kept).collect());
    }
    if !is_native || (family.wanted.classic && read.has_buckets) {
        write_classic(metric, bytes, (count, sum), lines)?;
    }
    if !is_native {
        return Ok(());
    }
    let exemplars = match std::mem::take(&mut read.exemplars) {
        none if none.is_empty() => exemplars_of_buckets(bytes)?,
        exemplars => exemplars,
    };
    let exemplars = exemplars.into_iter().filter_map(kept).collect();
    let is_gauge = family.kind == FamilyType::GaugeHistogram;
    let histogram = made(read, is_gauge)?;
    lines.native(metric, |at| Native { at, histogram, exemplars })
}

fn made(read: Read<'_>, is_gauge: bool) -> Result<Histogram, Fault> {
    let Read { mut parts, count_float, zero_count_float, positive, negative, .. } = read;
    parts.is_integer = !(count_float > 0.0 || zero_count_float > 0.0);
    if !parts.is_integer {
        (parts.count, parts.zero_count) = (count_float, zero_count_float);
    }
    if is_gauge {
        parts.hint = ResetHint::Gauge;
    }
    let buckets = |side: &Side, name| side.buckets(name, parts.is_integer).map_err(Fault::Histogram);
    (parts.positive, parts.negative) = (buckets(&positive, "positive")?, buckets(&negative, "negative")?);
    let mut histogram = Histogram::new(parts).map_err(Fault::Histogram)?;
    histogram.compact();
    Ok(histogram)
}

/// An exemplar of a native histogram, which needs a time of its own.
fn kept(shown: Shown<'_>) -> Option<Exemplar> {
    let labels = LabelSet::from_pairs(shown.labels).ok()?;
    Some(Exemplar { labels, value: shown.value, at: Timestamp::from_millis(shown.at_ms?), is_dated: true })
}

/// A bucket of a classic histogram.
struct Bucket<'b> {
    count: f64,
    bound: f64,
    exemplar: Option<Shown<'b>>,
}

fn read_bucket(field: Field<'_>) -> Result<Bucket<'_>, Fault> {
    let mut message = Message::new(field.bytes()?);
    let (mut count, mut count_float, mut bound, mut exemplar) = (0, 0.0, 0.0, None);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => count = field.unsigned()?,
            2 => bound = field.double()?,
            3 => exemplar = Some(Shown::read(field)?),
            4 => count_float = field.double()?,
            _ => {}
        }
    }
    let count = if count_float == 0.0 { count as f64 } else { count_float };
    Ok(Bucket { count, bound, exemplar })
}

/// Calls back with each classic bucket.
fn for_each_bucket<'b>(bytes: &'b [u8], mut each: impl FnMut(Bucket<'b>) -> Result<(), Fault>) -> Result<(), Fault> {
    let mut message = Message::new(bytes);
    while let Some((number, field)) = message.next()? {
        if number == 3 {
            each(read_bucket(field)?)?;
        }
    }
    Ok(())
}

fn exemplars_of_buckets(bytes: &[u8]) -> Result<Vec<Shown<'_>>, Fault> {
    let mut all = Vec::new();
    for_each_bucket(bytes, |bucket| {
        all.extend(bucket.exemplar);
        Ok(())
    })?;
    Ok(all)
}

fn write_classic(metric: &Metric<'_>, bytes: &[u8], (count, sum): (f64, f64), lines: &mut Lines) -> Result<(), Fault> {
    lines.sample(metric, "_count", None, count, None)?;
    lines.sample(metric, "_sum", None, sum, None)?;
    let mut has_infinite = false;
    for_each_bucket(bytes, |bucket| {
        has_infinite |= bucket.bound == f64::INFINITY;
        lines.sample(metric, "_bucket", Some(("le", bucket.bound)), bucket.count, bucket.exemplar.as_ref())
    })?;
    if !has_infinite {
        lines.sample(metric, "_bucket", Some(("le", f64::INFINITY)), count, None)?;
    }
    Ok(())
}
