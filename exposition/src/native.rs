//! The buckets of native histograms, as all of Prometheus' messages tell them.
//!
//! ```text
//! Span  1 offset (sint32)  2 length (uint32)
//! ```
//! Counts stand beside the spans, one for each place: whole numbers as differences (sint64), or floats.

use watchfire_model::histogram::{HistogramError, buckets_of_spans};
use watchfire_model::{Histogram, ResetHint};
use watchfire_protobuf::{Field, Malformed, Message, Writer, doubles, numbers};

use crate::spans::spans;

/// One side of a histogram.
#[derive(Debug, Default)]
pub struct Side {
    spans: Vec<(i32, u32)>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

impl Side {
    /// Whether there are no spans.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Where its spans end, also where the last ones hold nothing; `None` if one goes back.
    pub fn reach(&self) -> Option<i64> {
        self.spans.iter().try_fold(0i64, |end, (offset, length)| {
            (*offset >= 0).then(|| end.saturating_add(i64::from(*offset)).saturating_add(i64::from(*length)))
        })
    }

    /// Adds a span.
    pub fn span(&mut self, field: Field<'_>) -> Result<(), Malformed> {
        let mut span = Message::new(field.bytes()?);
        let (mut offset, mut length) = (0, 0);
        while let Some((number, field)) = span.next()? {
            match number {
                1 => offset = small(field)?,
                2 => length = u32::try_from(field.unsigned()?).map_err(|_| Malformed::Range)?,
                _ => {}
            }
        }
        self.spans.push((offset, length));
        Ok(())
    }

    /// Adds counts of whole numbers, each as its difference from the one before.
    pub fn deltas(&mut self, field: Field<'_>) -> Result<(), Malformed> {
        numbers(field).try_for_each(|number| {
            self.deltas.push(zigzag(number?));
            Ok(())
        })
    }

    /// Adds counts that are floats.
    pub fn counts(&mut self, field: Field<'_>) -> Result<(), Malformed> {
        doubles(field).try_for_each(|number| {
            self.counts.push(number?);
            Ok(())
        })
    }

    /// The buckets: places and counts, of whole numbers or of floats.
    ///
    /// Errors: spans and counts do not agree.
    pub fn buckets(&self, side: &'static str, is_integer: bool) -> Result<Vec<(i32, f64)>, HistogramError> {
        if !is_integer {
            return buckets_of_spans(side, &self.spans, &self.counts);
        }
        let mut count = 0i64;
        let counts = self.deltas.iter().map(|delta| {
            count = count.saturating_add(*delta);
            count as f64
        });
        buckets_of_spans(side, &self.spans, &counts.collect::<Vec<_>>())
    }
}

/// Writes a histogram and its time as `prometheus.Histogram`, which both versions of remote-write and remote-read have.
pub fn put_histogram(at_ms: i64, histogram: &Histogram, out: &mut Writer<'_>) {
    // Which of several types a count has is told by its field.
    out.fixed64(2, histogram.count().to_bits());
    out.double(3, histogram.sum());
    out.zigzag(4, histogram.schema().into());
    out.double(5, histogram.zero_threshold());
    out.fixed64(7, histogram.zero_count().to_bits());
    for (span_number, count_number, buckets) in [(8, 10, histogram.negative()), (11, 13, histogram.positive())] {
        for span in spans(buckets.iter().map(|(place, _)| *place)) {
            out.message(span_number, |inner| {
                inner.zigzag(1, span.offset);
                inner.varint(2, span.length);
            });
        }
        out.doubles(count_number, buckets.iter().map(|(_, count)| *count));
    }
    out.signed(
        14,
        match histogram.hint() {
            ResetHint::Unknown => 0,
            ResetHint::Reset => 1,
            ResetHint::NotReset => 2,
            ResetHint::Gauge => 3,
        },
    );
    out.signed(15, at_ms);
    out.doubles(16, histogram.bounds().iter().copied());
}

fn zigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// A number of 32 bits, small magnitudes short.
pub fn small(field: Field<'_>) -> Result<i32, Malformed> {
    i32::try_from(zigzag(field.unsigned()?)).map_err(|_| Malformed::Range)
}
