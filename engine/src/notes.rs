//! What senders say about metrics: their types and helps. What is new is a record of the log of its own, so that it is
//! there after a crash; a snapshot has all of it.
//!
//! ```text
//! notes = varint count | (text name, u8 type, text help)*
//! ```

use std::sync::Arc;

use crate::append::AppendError;
use crate::bytes::{Cursor, Damaged, put_bytes, put_varint};
use crate::engine::Engine;
use crate::kind::{MetricType, SeriesKind};
use crate::wal::record::put_notes_head;

/// Notes of one record of the log, bytes, about.
const RECORD_BYTES: usize = 1 << 20;

/// What was said about a metric, for the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MetricNote {
    pub(crate) name: Arc<str>,
    pub(crate) sample_type: MetricType,
    pub(crate) help: Option<Arc<str>>,
}

impl MetricNote {
    fn bytes(&self) -> usize {
        self.name.len() + self.help.as_deref().map_or(0, str::len)
    }
}

/// What a sender says about a metric.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// Its name.
    pub metric: &'a str,
    /// Its type; untyped if nothing is said of it.
    pub sample_type: MetricType,
    /// Its help; empty if nothing is said.
    pub help: &'a str,
}

/// Appends notes.
pub(crate) fn put(notes: &[MetricNote], out: &mut Vec<u8>) {
    put_varint(out, notes.len() as u64);
    for note in notes {
        put_bytes(out, note.name.as_bytes());
        out.push(SeriesKind::Samples(note.sample_type).code());
        put_bytes(out, note.help.as_deref().unwrap_or_default().as_bytes());
    }
}

/// Reads notes.
pub(crate) fn read(cursor: &mut Cursor) -> Result<Vec<MetricNote>, Damaged> {
    let mut notes = Vec::new();
    for _ in 0..cursor.varint()? {
        let name = cursor.text()?.into();
        let Some(SeriesKind::Samples(sample_type)) = SeriesKind::from_code(cursor.u8()?) else {
            return Err(Damaged("a metric is of an unknown type"));
        };
        let help = Some(cursor.text()?).filter(|help| !help.is_empty()).map(Into::into);
        notes.push(MetricNote { name, sample_type, help });
    }
    Ok(notes)
}

impl Engine {
    /// Notes what a sender says about metrics that have series, durably; of one that is counted here nobody else says
    /// anything. What was said before costs a look each.
    ///
    /// Errors: the log cannot be written. It waits for a snapshot then, which takes along what is new.
    pub fn describe<'a>(&self, said: impl Iterator<Item = Said<'a>> + Clone) -> Result<(), AppendError> {
        let catalogue = &self.registry.catalogue;
        if !said.clone().any(|said| catalogue.hears(&said)) {
            return Ok(());
        }
        let lsn = {
            // Memory and the log get what is said at the same time in the same order.
            let _ordered = catalogue.describing.lock();
            let notes: Vec<MetricNote> = said.filter_map(|said| catalogue.describe(&said)).collect();
            self.log_notes(&notes)?
        };
        lsn.map_or(Ok(()), |lsn| Ok(self.wal.sync_to(lsn)?))
    }

    /// Writes records of notes that memory has; gives the number of the last one.
    fn log_notes(&self, notes: &[MetricNote]) -> Result<Option<u64>, AppendError> {
        let (mut rest, mut last) = (notes, None);
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |note: &&MetricNote| {
                bytes += note.bytes();
                bytes <= RECORD_BYTES
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let (piece, behind) = rest.split_at(count);
            let mut head = Vec::new();
            put_notes_head(piece, &mut head);
            // Else memory would hold what the log does not, and a repetition would be taken for known.
            last = Some(self.wal.append(&head, &[], &[]).inspect_err(|_| self.wal.mark_broken())?);
            rest = behind;
        }
        Ok(last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn notes_read_back(said in prop::collection::vec((".{0,9}", 0u8..9, ".{0,9}"), 0..9)) {
            let notes: Vec<MetricNote> = said.into_iter().filter_map(|(name, code, help)| {
                let Some(SeriesKind::Samples(sample_type)) = SeriesKind::from_code(code) else { return None };
                Some(MetricNote { name: name.into(), sample_type, help: Some(help.into()).filter(|help: &Arc<str>| !help.is_empty()) })
            }).collect();
            let mut bytes = Vec::new();
            put(&notes, &mut bytes);
            prop_assert_eq!(read(&mut Cursor::new(&bytes)), Ok(notes));
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&mut Cursor::new(&bytes));
        }
    }
}
