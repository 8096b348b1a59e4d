//! `io.prometheus.write.v2.Request`, the message of remote-write 2.0: texts stand once, in a table of symbols.

use hashbrown::HashMap;
use watchfire_engine::{Exemplar, FamilyInfo, FamilyType};
use watchfire_model::labels::METRIC_NAME;
use watchfire_protobuf::{Writer, put_varint};

use super::{put_run, type_of};
use crate::batch::Batch;

const SYMBOLS: u32 = 4;
const TIMESERIES: u32 = 5;
/// Of a series.
const SAMPLES: u32 = 2;
const HISTOGRAMS: u32 = 3;
const EXEMPLARS: u32 = 4;
const METADATA: u32 = 5;

/// Texts by their number; the first one is the empty text.
#[derive(Default)]
struct Symbols {
    numbers: HashMap<Box<[u8]>, u64, foldhash::fast::RandomState>,
    /// As they stand in the request.
    fields: Vec<u8>,
}

impl Symbols {
    fn new() -> Symbols {
        let mut symbols = Symbols::default();
        symbols.number(b"");
        symbols
    }

    fn number(&mut self, text: &[u8]) -> u64 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.numbers.len() as u64;
        self.numbers.insert(text.into(), number);
        // An empty field of this list stands for itself.
        put_varint(&mut self.fields, u64::from(SYMBOLS << 3 | 2));
        put_varint(&mut self.fields, text.len() as u64);
        self.fields.extend_from_slice(text);
        number
    }
}

fn put_exemplar(exemplar: &Exemplar, symbols: &mut Symbols, series: &mut Writer<'_>) {
    let mut refs = Vec::new();
    for (name, value) in exemplar.labels.iter() {
        put_varint(&mut refs, symbols.number(name.as_bytes()));
        put_varint(&mut refs, symbols.number(value.as_bytes()));
    }
    series.message(EXEMPLARS, |message| {
        message.bytes(1, &refs);
        message.double(2, exemplar.value);
        message.signed(3, exemplar.at.millis());
    });
}

pub(super) fn request(batch: &Batch, family: impl Fn(&str) -> Option<FamilyInfo>) -> Vec<u8> {
    let (mut symbols, mut all, mut refs) = (Symbols::new(), Vec::new(), Vec::new());
    let mut request = Writer::new(&mut all);
    for series in &batch.series {
        refs.clear();
        let mut about = None;
        series.labels.each(|name, value| {
            put_varint(&mut refs, symbols.number(name));
            put_varint(&mut refs, symbols.number(value));
            if name == METRIC_NAME.as_bytes() {
                about = std::str::from_utf8(value).ok().and_then(&family);
            }
        });
        let declared = about.as_ref().map_or(FamilyType::Unknown, |about| about.declared);
        let [help, unit] = about.map_or([0; 2], |about| {
            [about.help, about.unit].map(|text| symbols.number(text.as_deref().unwrap_or_default().as_bytes()))
        });
        // With the first samples: a receiver takes no exemplars without any.
        let mut exemplars = series.exemplars.as_slice();
        for run in series.runs() {
            request.message(TIMESERIES, |message| {
                message.bytes(1, &refs);
                put_run(run, SAMPLES, HISTOGRAMS, message);
                for sent in std::mem::take(&mut exemplars) {
                    put_exemplar(&sent.exemplar, &mut symbols, message);
                }
                message.message(METADATA, |metadata| {
                    metadata.varint(1, type_of(series.kind, declared));
                    metadata.varint(3, help);
                    metadata.varint(4, unit);
                });
            });
        }
    }
    symbols.fields.extend_from_slice(&all);
    symbols.fields
}
