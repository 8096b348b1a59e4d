//! What senders say about metric families: their types, helps and units. What is new is a record of the log of its own, so
//! that it is there after a crash; a snapshot has all of it.
//!
//! ```text
//! notes = varint count | note*
//! note  = text name | 0x10 + u8 type | text help | text unit
//! ```
//! Before there were units, and read, a note was `text name | u8 kind of samples (1, 2, 3) | text help`.

use std::sync::Arc;

use crate::append::AppendError;
use crate::bytes::{Cursor, Damaged, put_bytes, put_varint};
use crate::engine::Engine;
use crate::kind::FamilyType;
use crate::wal::record::put_notes_head;

/// Notes of one record of the log, bytes, about.
const RECORD_BYTES: usize = 1 << 20;

/// What is added to the number of a type: a smaller one is that of a note without a unit.
const WITH_UNIT: u8 = 0x10;

/// What was said about a metric family, for the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MetricNote {
    pub(crate) name: Arc<str>,
    pub(crate) declared: FamilyType,
    pub(crate) help: Option<Arc<str>>,
    pub(crate) unit: Option<Arc<str>>,
}

impl MetricNote {
    fn bytes(&self) -> usize {
        let texts = [&self.help, &self.unit].into_iter().flatten();
        self.name.len() + texts.map(|text| text.len()).sum::<usize>()
    }
}

/// What a sender says about a metric family.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said<'a> {
    /// Its name, which its series have, with or without a suffix.
    pub family: &'a str,
    /// Its type; unknown if nothing is said of it.
    pub declared: FamilyType,
    /// Its help; empty if nothing is said.
    pub help: &'a str,
    /// Its unit; empty if none is said.
    pub unit: &'a str,
}

/// Appends notes.
pub(crate) fn put(notes: &[MetricNote], out: &mut Vec<u8>) {
    put_varint(out, notes.len() as u64);
    for note in notes {
        put_bytes(out, note.name.as_bytes());
        out.push(WITH_UNIT + note.declared.code());
        for text in [&note.help, &note.unit] {
            put_bytes(out, text.as_deref().unwrap_or_default().as_bytes());
        }
    }
}

/// Reads notes.
pub(crate) fn read(cursor: &mut Cursor) -> Result<Vec<MetricNote>, Damaged> {
    let mut notes = Vec::new();
    for _ in 0..cursor.varint()? {
        let name = cursor.text()?.into();
        let code = cursor.u8()?;
        let declared = match code.checked_sub(WITH_UNIT) {
            Some(code) => FamilyType::from_code(code.into()),
            None => without_unit(code),
        };
        let declared = declared.ok_or(Damaged("a metric is of an unknown type"))?;
        let help = some_text(cursor)?;
        let unit = if code >= WITH_UNIT { some_text(cursor)? } else { None };
        notes.push(MetricNote { name, declared, help, unit });
    }
    Ok(notes)
}

/// The type of a note as they were before there were units.
fn without_unit(code: u8) -> Option<FamilyType> {
    match code {
        1 => Some(FamilyType::Counter),
        2 => Some(FamilyType::Gauge),
        3 => Some(FamilyType::Unknown),
        _ => None,
    }
}

fn some_text(cursor: &mut Cursor) -> Result<Option<Arc<str>>, Damaged> {
    Ok(Some(cursor.text()?).filter(|text| !text.is_empty()).map(Into::into))
}

impl Engine {
    /// Notes what a sender says about metric families that have series, durably; of one that is counted here nobody else
    /// says anything. What was said before costs a look each.
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
            last = Some(self.wal.append_head(&head).inspect_err(|_| self.wal.mark_broken())?);
            rest = behind;
        }
        Ok(last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn notes_of_before_there_were_units_are_read() {
        let before = [&[3u8][..], b"\x01a\x01\x04What", b"\x01b\x02\x00", b"\x01c\x03\x00"].concat();
        let note = |name: &str, declared, help: Option<&str>| MetricNote {
            name: name.into(),
            declared,
            help: help.map(Into::into),
            unit: None,
        };
        let wanted = vec![
            note("a", FamilyType::Counter, Some("What")),
            note("b", FamilyType::Gauge, None),
            note("c", FamilyType::Unknown, None),
        ];
        assert_eq!(read(&mut Cursor::new(&before)), Ok(wanted));
        assert!(read(&mut Cursor::new(b"\x01\x01a\x04\x00")).is_err(), "increments are not declared");
    }

    proptest! {
        #[test]
        fn notes_read_back(said in prop::collection::vec((".{0,9}", 0u64..8, ".{0,9}", ".{0,9}"), 0..9)) {
            let some = |text: String| Some(Arc::from(text)).filter(|text: &Arc<str>| !text.is_empty());
            let notes: Vec<MetricNote> = said.into_iter().map(|(name, code, help, unit)| {
                let declared = FamilyType::from_code(code).expect("one of eight");
                MetricNote { name: name.into(), declared, help: some(help), unit: some(unit) }
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
