//! The messages of remote-write.

mod v1;
mod v2;

use std::sync::Arc;

use watchfire_engine::{MetricInfo, MetricType, SeriesKind};
use watchfire_exposition::native::put_histogram;
use watchfire_protobuf::Writer;

use crate::batch::{Batch, Value};
use crate::config::Protocol;

/// The message of a batch, not packed. `help` says what is known of a metric.
pub(crate) fn request(protocol: Protocol, batch: &Batch, help: impl Fn(&str) -> Option<Arc<str>>) -> Vec<u8> {
    match protocol {
        Protocol::V1 => v1::request(batch),
        Protocol::V2 => v2::request(batch, help),
    }
}

/// A message of version 1.0 that tells what is known of metrics.
pub(crate) fn metadata(metrics: &[MetricInfo]) -> Vec<u8> {
    v1::metadata(metrics)
}

/// Samples of a series, all of them numbers or all of them histograms: in fields of these numbers.
fn put_run(run: &[(i64, Value)], samples: u32, histograms: u32, series: &mut Writer<'_>) {
    for (at, value) in run {
        match value {
            Value::Float(value) => series.message(samples, |sample| {
                sample.double(1, *value);
                sample.signed(2, *at);
            }),
            Value::Native(histogram) => series.message(histograms, |message| put_histogram(*at, histogram, message)),
            // They do not stand among samples.
            Value::Exemplar(_) => {}
        }
    }
}

/// The number of a type of metrics; the same in both versions. A distribution is sent as its count and its sum, as the
/// summary that our own exposition shows.
fn type_of(kind: SeriesKind) -> u64 {
    match kind {
        SeriesKind::Samples(MetricType::Untyped) => 0,
        SeriesKind::Samples(MetricType::Counter) | SeriesKind::Increments => 1,
        SeriesKind::Samples(MetricType::Gauge) => 2,
        SeriesKind::Distribution => 5,
    }
}
