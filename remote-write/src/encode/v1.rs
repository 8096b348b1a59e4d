//! `prometheus.WriteRequest`, the message of remote-write 1.0.

use watchfire_engine::{Exemplar, FamilyInfo};
use watchfire_protobuf::Writer;

use super::{put_run, type_of};
use crate::batch::Batch;

const TIMESERIES: u32 = 1;
const METADATA: u32 = 3;
/// Of a series.
const SAMPLES: u32 = 2;
const EXEMPLARS: u32 = 3;
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
        // Behind its samples, as a receiver may know the series by them only.
        if !series.exemplars.is_empty() {
            request.message(TIMESERIES, |message| {
                message.raw(series.labels.as_fields());
                series.exemplars.iter().for_each(|sent| put_exemplar(&sent.exemplar, message));
            });
        }
    }
    out
}

fn put_exemplar(exemplar: &Exemplar, series: &mut Writer<'_>) {
    series.message(EXEMPLARS, |message| {
        for (name, value) in exemplar.labels.iter() {
            message.message(1, |label| {
                label.bytes(1, name.as_bytes());
                label.bytes(2, value.as_bytes());
            });
        }
        message.double(2, exemplar.value);
        message.signed(3, exemplar.at.millis());
    });
}

pub(super) fn metadata(families: &[FamilyInfo]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut request = Writer::new(&mut out);
    for family in families {
        request.message(METADATA, |message| {
            message.varint(1, type_of(family.kind, family.declared));
            message.bytes(2, family.name.as_bytes());
            message.bytes(4, family.help.as_deref().unwrap_or_default().as_bytes());
            message.bytes(5, family.unit.as_deref().unwrap_or_default().as_bytes());
        });
    }
    out
}
