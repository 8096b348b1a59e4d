//! Rare keys: the entries of a record that have no column of their own, kept as the record had them.

use watchfire_model::record::{Column, Core, RecordError, RecordView, RecordWriter, Root, ValueRef};
use watchfire_model::{Level, Timestamp};

/// Bytes of an empty record, which stand before entries so that they read as a record.
fn empty_record() -> Vec<u8> {
    let mut header = Vec::new();
    RecordWriter::new(&mut header, Timestamp::default(), Timestamp::default(), Level::Info, 0);
    header
}

/// Appends one entry to `out`.
pub(crate) fn put(out: &mut Vec<u8>, column: Column<'_>, value: ValueRef<'_>) {
    let mut record = Vec::new();
    let header = {
        let mut writer = RecordWriter::new(&mut record, Timestamp::default(), Timestamp::default(), Level::Info, 0);
        match (column, value) {
            (Column::Core(core), ValueRef::Text(text)) => writer.core(core, text),
            (Column::Core(core), _) => writer.core(core, ""),
            (Column::Leaf(root, path), value) => writer.leaf(root, path, value),
        }
        empty_record().len()
    };
    out.extend_from_slice(record.get(header..).unwrap_or_default());
}

/// Entries of one row, read back.
pub(crate) struct RestEntries(Vec<u8>);

impl RestEntries {
    /// Checks the entries that [`put`] wrote.
    pub fn read(entries: &[u8]) -> Result<RestEntries, RecordError> {
        let mut record = empty_record();
        record.extend_from_slice(entries);
        RecordView::parse(&record)?;
        Ok(RestEntries(record))
    }

    /// Column and value of each, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Column<'_>, ValueRef<'_>)> {
        // It was parsed when it was made.
        RecordView::parse(&self.0).into_iter().flat_map(|view| view.entries())
    }
}

/// Whether a bare word looks into this column.
pub(crate) fn is_searched_by_words(column: Column<'_>) -> bool {
    matches!(column, Column::Core(Core::Message) | Column::Leaf(Root::Fields, _))
}
