//! `io.prometheus.write.v2.Request`, the message of remote-write 2.0: texts stand once, in a table of symbols.

use hashbrown::HashMap;
use watchfire_protobuf::{Writer, put_varint};

use super::{put_run, type_of};
use crate::batch::Batch;

const SYMBOLS: u32 = 4;
const TIMESERIES: u32 = 5;
/// Of a series.
const SAMPLES: u32 = 2;
const HISTOGRAMS: u32 = 3;

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

pub(super) fn request(batch: &Batch) -> Vec<u8> {
    let (mut symbols, mut all, mut refs) = (Symbols::new(), Vec::new(), Vec::new());
    let mut request = Writer::new(&mut all);
    for series in &batch.series {
        refs.clear();
        series.labels.each(|name, value| {
            put_varint(&mut refs, symbols.number(name));
            put_varint(&mut refs, symbols.number(value));
        });
        for run in series.runs() {
            request.message(TIMESERIES, |message| {
                message.bytes(1, &refs);
                put_run(run, SAMPLES, HISTOGRAMS, message);
                message.message(5, |metadata| metadata.varint(1, type_of(series.kind)));
            });
        }
    }
    symbols.fields.extend_from_slice(&all);
    symbols.fields
}
