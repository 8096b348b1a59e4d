//! Rare keys: the entries of a record that have no column of their own, kept as the record had them.

use watchfire_model::record::{Column, RecordError, RecordView, RecordWriter, ValueRef};
use watchfire_model::{Level, Timestamp};

/// Begins an empty record: its header stands before entries so that they read as a record.
fn begin(record: &mut Vec<u8>) -> RecordWriter<'_> {
    RecordWriter::new(record, Timestamp::default(), Timestamp::default(), Level::Info, 0)
}

/// Appends one entry to `out`.
pub(crate) fn put(out: &mut Vec<u8>, column: Column<'_>, value: ValueRef<'_>) {
    let mut record = Vec::new();
    begin(&mut record);
    let header = record.len();
    let mut record = Vec::new();
    let mut writer = begin(&mut record);
    match (column, value) {
        (Column::Core(core), ValueRef::Text(text)) => writer.core(core, text),
        (Column::Core(core), _) => writer.core(core, ""),
        (Column::Leaf(root, path), value) => writer.leaf(root, path, value),
    }
    out.extend_from_slice(record.get(header..).unwrap_or_default());
}

/// Entries of one row, read back.
pub(crate) struct RestEntries(Vec<u8>);

impl RestEntries {
    /// Checks the entries that [`put`] wrote.
    pub fn read(entries: &[u8]) -> Result<RestEntries, RecordError> {
        let mut record = Vec::new();
        begin(&mut record);
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
