//! `prometheus.WriteRequest`, the message of remote-write 1.0.

use watchfire_engine::MetricInfo;
use watchfire_protobuf::Writer;

use super::{put_run, type_of};
use crate::batch::Batch;

const TIMESERIES: u32 = 1;
const METADATA: u32 = 3;
/// Of a series.
const SAMPLES: u32 = 2;
const HISTOGRAMS: u32 = 4;

pub(super) fn request(batch: &Batch) -> Vec<u8> {
    let mut out = Vec::new();
    let mut request = Writer::new(&mut out);
    for series in &batch.series {
        for run in series.runs() {
            request.message(TIMESERIES, |message| {
                message.raw(series.labels.as_fields());
                put_run(run, SAMPLES, HISTOGRAMS, message);
            });
        }
    }
    out
}

pub(super) fn metadata(metrics: &[MetricInfo]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut request = Writer::new(&mut out);
    for metric in metrics {
        request.message(METADATA, |message| {
            message.varint(1, type_of(metric.kind));
            message.bytes(2, metric.name.as_bytes());
            message.bytes(4, metric.help.as_deref().unwrap_or_default().as_bytes());
        });
    }
    out
}
