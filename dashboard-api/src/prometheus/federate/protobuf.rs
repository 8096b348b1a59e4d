//! The newest samples as delimited messages of `io.prometheus.client.MetricFamily`.
//!
//! ```text
//! MetricFamily 1 name  3 type (1 gauge, 3 untyped, 4 histogram, 5 gauge histogram)  4 metrics*
//! Metric       1 labels* (1 name  2 value)  5 untyped (1 value)  6 time (ms)  7 histogram
//! Histogram    2 sum  4 count (double)  5 schema (zigzag)  6 zero threshold  8 zero count (double)
//!              9 negative spans*  11 negative counts*  12 positive spans*  14 positive counts*   (of a native one)
//!              3 buckets* (2 upper bound  4 cumulative count (double))                           (of a classic one)
//! Span         1 offset (zigzag)  2 length
//! ```
//! Source: `io/prometheus/client/metrics.proto` of Prometheus' client model.

use watchfire_model::{Histogram, ResetHint};
use watchfire_protobuf::{Writer, put_varint};

use super::{Told, cumulative};
use crate::exposition::Newest;
use crate::pieces::PIECE_BYTES;
use watchfire_exposition::spans::spans;

const UNTYPED: i64 = 3;
const HISTOGRAM: i64 = 4;
const GAUGE_HISTOGRAM: i64 = 5;

/// How far the messages are.
#[derive(Default)]
pub(super) struct Families {
    open: Option<Family>,
}

/// Metrics of one name and type.
struct Family {
    name: String,
    kind: i64,
    /// The fields of its metrics, as they stand in its message.
    metrics: Vec<u8>,
}

impl Families {
    pub(super) fn put(&mut self, told: &Told<'_>, out: &mut Vec<u8>) {
        let name = told.escaping.metric(told.labels.metric_name());
        let kind = match told.value {
            Newest::Float(_) => UNTYPED,
            Newest::Native(histogram) if histogram.hint() == ResetHint::Gauge => GAUGE_HISTOGRAM,
            Newest::Native(_) => HISTOGRAM,
        };
        // A family whose members do not all fit in memory may stand several times.
        let goes_on = |open: &Family| open.name == name && open.kind == kind && open.metrics.len() < PIECE_BYTES;
        if !self.open.as_ref().is_some_and(goes_on) {
            self.end(out);
        }
        let open = self.open.get_or_insert_with(|| Family { name: name.into_owned(), kind, metrics: Vec::new() });
        Writer::new(&mut open.metrics).message(4, |metric| put_metric(told, metric));
    }

    /// Writes what is left.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        let Some(Family { name, kind, metrics }) = self.open.take() else { return };
        let mut message = Vec::with_capacity(metrics.len() + name.len() + 10);
        let mut family = Writer::new(&mut message);
        family.bytes(1, name.as_bytes());
        family.signed(3, kind);
        family.raw(&metrics);
        put_varint(out, message.len() as u64);
        out.extend_from_slice(&message);
    }
}

fn put_metric(told: &Told<'_>, metric: &mut Writer<'_>) {
    for (name, value) in told.others() {
        metric.message(1, |label| {
            label.bytes(1, told.escaping.label(name).as_bytes());
            // Also an empty one: who reads has to see it.
            label.message(2, |text| text.raw(value.as_bytes()));
        });
    }
    // In the order of their numbers, as Prometheus writes them.
    if let Newest::Float(value) = told.value {
        metric.message(5, |untyped| untyped.fixed64(1, value.to_bits()));
    }
    metric.varint(6, told.at.millis().cast_unsigned());
    if let Newest::Native(histogram) = told.value {
        metric.message(7, |inner| put_histogram(histogram, inner));
    }
}

fn put_histogram(histogram: &Histogram, out: &mut Writer<'_>) {
    out.fixed64(2, histogram.sum().to_bits());
    if histogram.is_custom() {
        for (bound, count) in cumulative(histogram) {
            out.message(3, |bucket| {
                bucket.fixed64(2, bound.to_bits());
                bucket.fixed64(4, count.to_bits());
            });
        }
    }
    out.fixed64(4, histogram.count().to_bits());
    if histogram.is_custom() {
        return;
    }
    out.zigzag(5, histogram.schema().into());
    out.fixed64(6, histogram.zero_threshold().to_bits());
    out.fixed64(8, histogram.zero_count().to_bits());
    for (span_number, count_number, buckets) in [(9, 11, histogram.negative()), (12, 14, histogram.positive())] {
        for span in spans(buckets.iter().map(|(place, _)| *place)) {
            out.message(span_number, |inner| {
                inner.zigzag(1, span.offset);
                inner.varint(2, span.length);
            });
        }
        buckets.iter().for_each(|(_, count)| out.fixed64(count_number, count.to_bits()));
    }
}
