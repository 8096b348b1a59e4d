//! A part of the open block: rows in queue order, a plain arena per column.
//!
//! Rows are only ever added at the end, by one thread; whoever has seen `n` rows may rely on them for good.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use parking_lot::RwLock;
use watchfire_model::record::{Column, RecordError, ValueRef};
use watchfire_model::{Level, LogRecord, RecordReader, RecordView, Timestamp};

use super::shapes::{REST, Shapes};
use crate::values::rest::{self, RestEntries};
use crate::values::{Arena, ColumnName, Raw};

/// Rows of a full chunk. A search holds up the appending thread for one chunk at most.
pub(crate) const CHUNK_ROWS: usize = 8192;
/// Record bytes of a full chunk.
const CHUNK_BYTES: usize = 8 << 20;
/// A column that at least one in so many rows has is expected in the next chunk, too.
const FREQUENT_ROWS: usize = 8;
/// Columns of a chunk; further keys go to the rest.
const COLUMNS_MAX: usize = 4096;

/// Rows behind a lock, shared by the appending thread and searches.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// Written by the appending thread while this is the newest chunk, never afterwards.
    pub rows: RwLock<Rows>,
}

/// One column of a chunk.
#[derive(Debug)]
pub(crate) struct OpenColumn {
    pub name: ColumnName,
    pub values: Arena,
}

/// The rows of a chunk. All vectors by row are of equal length.
#[derive(Debug)]
pub(crate) struct Rows {
    pub seqs: Vec<u64>,
    pub timestamps: Vec<i64>,
    pub accepted_at: Vec<i64>,
    pub levels: Vec<u8>,
    pub received_bytes: Vec<u32>,
    pub imported: Vec<bool>,
    pub shape_ids: Vec<u32>,
    pub shapes: Shapes,
    pub columns: Vec<OpenColumn>,
    /// Entries without a column of their own, in the order of the record.
    pub rest: Arena,
    pub level_counts: [u64; 8],
    pub time_min: i64,
    pub time_max: i64,
    /// Bytes of all records.
    pub bytes: usize,
    by_name: HashTable<u16>,
    hasher: FixedState,
    scratch: Vec<u8>,
}

impl Default for Rows {
    fn default() -> Rows {
        Rows {
            seqs: Vec::new(),
            timestamps: Vec::new(),
            accepted_at: Vec::new(),
            levels: Vec::new(),
            received_bytes: Vec::new(),
            imported: Vec::new(),
            shape_ids: Vec::new(),
            shapes: Shapes::new(),
            columns: Vec::new(),
            rest: Arena::default(),
            level_counts: [0; 8],
            time_min: i64::MAX,
            time_max: i64::MIN,
            bytes: 0,
            by_name: HashTable::new(),
            hasher: FixedState::default(),
            scratch: Vec::new(),
        }
    }
}

impl Chunk {
    /// An empty chunk, ready for what another one got.
    pub fn like(other: &Chunk) -> Chunk {
        Chunk { rows: RwLock::new(Rows::like(&other.rows.read())) }
    }
}

impl Rows {
    pub fn len(&self) -> usize {
        self.seqs.len()
    }

    /// Empty rows with room for as many as another chunk came to, and its frequent columns.
    pub fn like(other: &Rows) -> Rows {
        let len = other.len();
        let mut rows = Rows {
            seqs: Vec::with_capacity(len),
            timestamps: Vec::with_capacity(len),
            accepted_at: Vec::with_capacity(len),
            levels: Vec::with_capacity(len),
            received_bytes: Vec::with_capacity(len),
            imported: Vec::with_capacity(len),
            shape_ids: Vec::with_capacity(len),
            ..Rows::default()
        };
        for column in other.columns.iter().filter(|column| column.values.len() * FREQUENT_ROWS >= len) {
            let at = rows.column_at(column.name.kind, &column.name.path);
            if let Some(new) = rows.columns.get_mut(usize::from(at)) {
                let bytes = column.values.bytes().len();
                new.values.reserve(column.values.len(), bytes + bytes / 16);
            }
        }
        rows
    }

    /// Whether the next record belongs into a new chunk, if that may have at most `rows_max` rows.
    pub fn is_full(&self, rows_max: usize) -> bool {
        self.seqs.len() >= rows_max.min(CHUNK_ROWS) || self.bytes >= CHUNK_BYTES
    }

    /// Adds a record at the end. Errors: its bytes are damaged, and nothing was added.
    pub fn push<'r>(&mut self, seq: u64, bytes: &'r [u8]) -> Result<RecordView<'r>, RecordError> {
        let mut reader = RecordReader::new(bytes)?;
        let row = self.seqs.len() as u32;
        let shape = match self.push_entries(row, &mut reader) {
            Ok(shape) => shape,
            Err(error) => {
                self.columns.iter_mut().for_each(|column| column.values.take_back(row));
                return Err(error);
            }
        };
        if !self.scratch.is_empty() {
            self.rest.push(row, Raw::Object(&self.scratch));
        }
        let record = reader.finish()?;
        let time = record.timestamp().millis();
        self.seqs.push(seq);
        self.timestamps.push(time);
        self.accepted_at.push(record.accepted_at().millis());
        self.levels.push(record.level() as u8);
        self.received_bytes.push(record.received_bytes());
        self.imported.push(record.is_imported());
        self.level_counts[record.level() as usize] += 1;
        self.time_min = self.time_min.min(time);
        self.time_max = self.time_max.max(time);
        self.bytes += bytes.len();
        self.shape_ids.push(shape);
        Ok(record)
    }

    /// Puts the entries of a record into their columns, and what has none into `scratch`; gives the record's shape.
    #[inline(always)]
    fn push_entries(&mut self, row: u32, reader: &mut RecordReader<'_>) -> Result<u32, RecordError> {
        self.scratch.clear();
        let mut walk = self.shapes.start();
        while let Some((column, value)) = reader.next_entry()? {
            let (kind, path) = ColumnName::parts(column);
            if let Some(guess) = self.shapes.guess(&walk)
                && let Some(likely) = self.columns.get_mut(usize::from(guess.column))
                && likely.name.is(kind, path)
                && likely.values.push(row, Raw::of(value))
            {
                self.shapes.follow(&mut walk, guess);
                continue;
            }
            let at = self.column_at(kind, path);
            if self.columns.get_mut(usize::from(at)).is_some_and(|c| c.values.push(row, Raw::of(value))) {
                self.shapes.step(&mut walk, at);
            } else {
                // Too many columns, or a name twice in one record.
                rest::put(&mut self.scratch, column, value);
                self.shapes.step(&mut walk, REST);
            }
        }
        Ok(self.shapes.finish(walk))
    }

    #[inline]
    fn is_named(&self, column: u16, kind: u8, path: &str) -> bool {
        self.columns.get(usize::from(column)).is_some_and(|c| c.name.is(kind, path))
    }

    /// The column of that name, made if need be; [`REST`] if there are too many.
    fn column_at(&mut self, kind: u8, path: &str) -> u16 {
        if let Some(at) = self.find(kind, path) {
            return at;
        }
        if self.columns.len() >= COLUMNS_MAX {
            return REST;
        }
        let at = self.columns.len() as u16;
        self.columns.push(OpenColumn { name: ColumnName::new(kind, path), values: Arena::default() });
        let (columns, hasher) = (&self.columns, &self.hasher);
        self.by_name.insert_unique(hasher.hash_one((kind, path)), at, |at| {
            columns.get(usize::from(*at)).map_or(0, |c| hasher.hash_one((c.name.kind, &*c.name.path)))
        });
        at
    }

    fn find(&self, kind: u8, path: &str) -> Option<u16> {
        self.by_name.find(self.hasher.hash_one((kind, path)), |at| self.is_named(*at, kind, path)).copied()
    }

    /// The record of a row, as it was put in.
    pub fn record(&self, row: usize) -> LogRecord {
        let mut record = LogRecord {
            timestamp: Timestamp::from_millis(self.timestamps[row]),
            accepted_at: Timestamp::from_millis(self.accepted_at[row]),
            level: Level::from_u8(self.levels[row]).unwrap_or_default(),
            received_bytes: self.received_bytes[row],
            imported: self.imported[row],
            ..LogRecord::default()
        };
        self.each_entry(row, |column, value| record.put(column, value));
        record
    }

    /// Column and value of each entry of a row, in the order of writing.
    pub fn each_entry(&self, row: usize, mut visit: impl FnMut(Column<'_>, ValueRef<'_>)) {
        let rest = self.rest.of_row(row as u32).and_then(|entries| RestEntries::read(entries.bytes()).ok());
        let mut rest = rest.iter().flat_map(RestEntries::iter);
        for at in self.shapes.columns_of(self.shape_ids[row]) {
            if at == REST {
                if let Some((column, value)) = rest.next() {
                    visit(column, value);
                }
                continue;
            }
            let column = &self.columns[usize::from(at)];
            let value = column.values.of_row(row as u32).and_then(Raw::value);
            if let (Some(name), Some(value)) = (column.name.column(), value) {
                visit(name, value);
            }
        }
    }

    /// Memory in use, bytes.
    pub fn memory(&self) -> usize {
        self.columns.iter().map(|column| column.values.memory() + 128).sum::<usize>()
            + self.rest.memory()
            + self.len() * (8 * 3 + 1 + 4 * 2 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::record::{Core, Root};
    use watchfire_model::{RecordWriter, Value};

    #[test]
    fn thousands_of_keys_and_a_name_twice_read_back() {
        let mut rows = Rows::default();
        let mut wanted = Vec::new();
        for n in 0..50u32 {
            let mut bytes = Vec::new();
            let mut writer =
                RecordWriter::new(&mut bytes, Timestamp::from_millis(5), Timestamp::default(), Level::Warn, n);
            writer.core(Core::Message, "first");
            writer.core(Core::Message, "last");
            for k in 0..100u32 {
                writer.tree(Root::Fields, &format!("key{}", n * 100 + k), &Value::Int(i64::from(k)));
            }
            writer.leaf(Root::Fields, "key0", ValueRef::Null);
            wanted.push(rows.push(u64::from(n), &bytes).expect("just written").to_record());
            // A damaged one leaves nothing behind.
            bytes.truncate(bytes.len() - 1);
            assert!(rows.push(u64::from(n), &bytes).is_err());
        }
        assert_eq!(rows.columns.len(), COLUMNS_MAX);
        for (row, record) in wanted.iter().enumerate() {
            assert_eq!(&rows.record(row), record);
        }
    }
}
