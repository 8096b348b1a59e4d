//! Exemplars as they stand in a record of the log, and in a section of a snapshot: by themselves, with the labels of their
//! series.
//!
//! ```text
//! exemplars = varint series | (varint id | bytes key)* | varint how many | exemplar*
//! exemplar  = varint which of the series | bytes key of its own labels | value | zigzag ms | dated u8 (0, 1)
//! ```
//! In a snapshot the ids are 0: a series need not be there any more.

use watchfire_model::{LabelSet, Timestamp};

use super::Exemplar;
use crate::bytes::{Cursor, Damaged, put_bytes, put_value, put_varint, put_zigzag};
use crate::key;

/// Puts exemplars together; each series is named once.
#[derive(Default)]
pub(super) struct Encoder {
    keys: Vec<u8>,
    exemplars: Vec<u8>,
    many: u64,
    /// What series are called here, by what the caller calls them.
    numbers: foldhash::HashMap<u32, u64>,
    key: Vec<u8>,
}

impl Encoder {
    /// Adds an exemplar of a series, which the caller knows by a number, and the log by its id.
    pub(super) fn push(&mut self, series: u32, id: u64, labels: &LabelSet, exemplar: &Exemplar) {
        let next = self.numbers.len() as u64;
        let number = *self.numbers.entry(series).or_insert_with(|| {
            self.key.clear();
            key::write(labels, &mut self.key);
            put_varint(&mut self.keys, id);
            put_bytes(&mut self.keys, &self.key);
            next
        });
        put_varint(&mut self.exemplars, number);
        self.key.clear();
        key::write(&exemplar.labels, &mut self.key);
        put_bytes(&mut self.exemplars, &self.key);
        put_value(&mut self.exemplars, exemplar.value);
        put_zigzag(&mut self.exemplars, exemplar.at.millis());
        self.exemplars.push(u8::from(exemplar.is_dated));
        self.many += 1;
    }

    /// Length so far, about.
    pub(super) fn bytes(&self) -> usize {
        self.keys.len() + self.exemplars.len()
    }

    pub(super) fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes() + 16);
        put_varint(&mut out, self.numbers.len() as u64);
        out.extend_from_slice(&self.keys);
        put_varint(&mut out, self.many);
        out.extend_from_slice(&self.exemplars);
        out
    }
}

fn read_labels(key: &[u8]) -> Result<LabelSet, Damaged> {
    LabelSet::from_pairs(key::checked_pairs(key)?).map_err(|_| Damaged("labels of an exemplar are none"))
}

/// Reads what an [`Encoder`] made, and hands on each exemplar with the id and the labels of its series.
pub(crate) fn read(bytes: &[u8], mut each: impl FnMut(u64, LabelSet, Exemplar)) -> Result<(), Damaged> {
    let mut cursor = Cursor::new(bytes);
    let mut series = Vec::new();
    for _ in 0..cursor.length(cursor.rest().len())? {
        series.push((cursor.varint()?, read_labels(cursor.bytes()?)?));
    }
    for _ in 0..cursor.length(cursor.rest().len())? {
        let number = cursor.length(series.len())?;
        let (id, of) = series.get(number).ok_or(Damaged("an exemplar is of no series"))?;
        let labels = read_labels(cursor.bytes()?)?;
        let (value, at) = (cursor.value()?, Timestamp::from_millis(cursor.zigzag()?));
        each(*id, of.clone(), Exemplar { labels, value, at, is_dated: cursor.u8()? != 0 });
    }
    if cursor.is_empty() { Ok(()) } else { Err(Damaged("there is something behind exemplars")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, |_, _, _| {});
        }
    }
}
