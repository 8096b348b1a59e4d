//! The messages of remote-write.

mod v1;
mod v2;

use watchfire_engine::{MetricInfo, MetricType, SeriesKind};

use crate::batch::Batch;
use crate::config::Protocol;

/// The message of a batch, not packed.
pub(crate) fn request(protocol: Protocol, batch: &Batch) -> Vec<u8> {
    match protocol {
        Protocol::V1 => v1::request(batch),
        Protocol::V2 => v2::request(batch),
    }
}

/// A message of version 1.0 that tells what is known of metrics.
pub(crate) fn metadata(metrics: &[MetricInfo]) -> Vec<u8> {
    v1::metadata(metrics)
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
