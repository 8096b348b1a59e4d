//! `prometheus.WriteRequest`, the message of remote-write 1.0.

use watchfire_engine::MetricInfo;
use watchfire_protobuf::Writer;

use super::type_of;
use crate::batch::Batch;

const TIMESERIES: u32 = 1;
const METADATA: u32 = 3;

pub(super) fn request(batch: &Batch) -> Vec<u8> {
    let mut out = Vec::new();
    let mut request = Writer::new(&mut out);
    for series in &batch.series {
        request.message(TIMESERIES, |message| {
            message.raw(series.labels.as_fields());
            for (at, value) in &series.samples {
                message.message(2, |sample| {
                    sample.double(1, *value);
                    sample.signed(2, *at);
                });
            }
        });
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
