//! The messages of remote-write.

mod v1;
mod v2;

use watchfire_engine::{FamilyInfo, FamilyType, SeriesKind};
use watchfire_exposition::native::put_histogram;
use watchfire_protobuf::Writer;

use crate::batch::{Batch, Value};
use crate::config::Protocol;

/// The message of a batch, not packed. `family` says what is known of a metric's family.
pub(crate) fn request(protocol: Protocol, batch: &Batch, family: impl Fn(&str) -> Option<FamilyInfo>) -> Vec<u8> {
    match protocol {
        Protocol::V1 => v1::request(batch),
        Protocol::V2 => v2::request(batch, family),
    }
}

/// A message of version 1.0 that tells what is known of metric families.
pub(crate) fn metadata(families: &[FamilyInfo]) -> Vec<u8> {
    v1::metadata(families)
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

/// The number of the type that a family with such series is declared as; the same in both versions.
fn type_of(kind: SeriesKind, declared: FamilyType) -> u64 {
    let told = match kind {
        // It is sent as its count and its sum, as the summary that our own exposition shows.
        SeriesKind::Distribution => FamilyType::Summary,
        kind => declared.or_of(kind),
    };
    told.code().into()
}
