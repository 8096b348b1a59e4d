//! The directory of a block: what it spans, and every column.

use super::filter::Filter;
use super::layout::Layout;
use super::presence::Presence;
use super::wire::{Wire, WireError, put_bytes, put_signed, put_varint};
use crate::values::ColumnName;

/// Columns that no record names: what stands in the record's header, and what holds a record together.
pub(crate) mod system {
    /// Event times, ascending: rows are in the order of (time, number).
    pub const TIMESTAMP: u8 = 0x80;
    pub const ACCEPTED_AT: u8 = 0x81;
    pub const SEQ: u8 = 0x82;
    pub const LEVEL: u8 = 0x83;
    pub const RECEIVED_BYTES: u8 = 0x84;
    /// Which columns a record has, in which order: varints, 0 for the next entry of its rest, else the number of a
    /// column in the directory, from 1.
    pub const SHAPE: u8 = 0x85;
    /// Entries of rare keys, in the record's byte form.
    pub const REST: u8 = 0x86;
    /// 1 for records that were imported, else 0; absent if there are none.
    pub const IMPORTED: u8 = 0x87;
}

/// Most rows of a block.
pub(crate) const ROWS_MAX: usize = 1 << 24;
/// Most columns of a block.
pub(crate) const COLUMNS_MAX: usize = 1 << 16;

/// A column of a block.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub name: ColumnName,
    pub presence: Presence,
    /// How many rows have a value.
    pub values: u32,
    pub layout: Layout,
    /// The words of its texts.
    pub filter: Option<Filter>,
}

/// What a block spans, and how it came to be.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct BlockInfo {
    pub id: u64,
    /// Days since the epoch, UTC.
    pub day: i64,
    pub rows: u32,
    /// Bytes of all texts and lists, decoded: what reading the whole block takes.
    pub text_bytes: u64,
    pub time_min: i64,
    pub time_max: i64,
    pub seq_min: u64,
    pub seq_max: u64,
    pub level_counts: [u64; 8],
    /// The stretch of the queue that was sealed at once: `start..end`.
    pub cut: (u64, u64),
    /// How many blocks (one per day) that stretch became; 0 for a merged block.
    pub cut_blocks: u32,
    /// The blocks that this one was merged from.
    pub merged_from: Vec<u64>,
}

impl BlockInfo {
    pub fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.id);
        put_signed(out, self.day);
        put_varint(out, u64::from(self.rows));
        put_varint(out, self.text_bytes);
        put_signed(out, self.time_min);
        put_signed(out, self.time_max);
        put_varint(out, self.seq_min);
        put_varint(out, self.seq_max);
        self.level_counts.iter().for_each(|count| put_varint(out, *count));
        put_varint(out, self.cut.0);
        put_varint(out, self.cut.1);
        put_varint(out, u64::from(self.cut_blocks));
        put_varint(out, self.merged_from.len() as u64);
        self.merged_from.iter().for_each(|id| put_varint(out, *id));
    }

    pub fn read(wire: &mut Wire<'_>) -> Result<BlockInfo, WireError> {
        let mut info = BlockInfo { id: wire.varint()?, day: wire.signed()?, ..BlockInfo::default() };
        info.rows = wire.count(ROWS_MAX)? as u32;
        info.text_bytes = wire.varint()?;
        (info.time_min, info.time_max) = (wire.signed()?, wire.signed()?);
        (info.seq_min, info.seq_max) = (wire.varint()?, wire.varint()?);
        for count in &mut info.level_counts {
            *count = wire.varint()?;
        }
        info.cut = (wire.varint()?, wire.varint()?);
        info.cut_blocks = wire.u32_varint()?;
        let merged = wire.count(ROWS_MAX)?;
        for _ in 0..merged {
            info.merged_from.push(wire.varint()?);
        }
        let is_sound = info.time_min <= info.time_max
            && info.seq_min <= info.seq_max
            && info.rows > 0
            && info.level_counts.iter().try_fold(0u64, |sum, count| sum.checked_add(*count))
                == Some(u64::from(info.rows));
        if is_sound { Ok(info) } else { wire.fail("a block that cannot be") }
    }
}

/// The directory.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Directory {
    pub info: BlockInfo,
    pub columns: Vec<Column>,
    /// The names that have values in the rest; `None` if they are too many to list.
    pub rest_names: Option<Vec<ColumnName>>,
}

impl Directory {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.info.put(&mut out);
        put_varint(&mut out, self.columns.len() as u64);
        for column in &self.columns {
            out.push(column.name.kind);
            put_bytes(&mut out, column.name.path.as_bytes());
            put_varint(&mut out, u64::from(column.values));
            column.presence.put(&mut out);
            column.layout.put(&mut out);
            out.push(u8::from(column.filter.is_some()));
            column.filter.iter().for_each(|filter| filter.put(&mut out));
        }
        out.push(u8::from(self.rest_names.is_some()));
        if let Some(names) = &self.rest_names {
            put_varint(&mut out, names.len() as u64);
            for name in names {
                out.push(name.kind);
                put_bytes(&mut out, name.path.as_bytes());
            }
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Directory, WireError> {
        let mut wire = Wire::new(bytes);
        let info = BlockInfo::read(&mut wire)?;
        let count = wire.count(COLUMNS_MAX)?;
        let mut columns = Vec::with_capacity(count);
        for _ in 0..count {
            let name = ColumnName::new(wire.u8()?, wire.text()?);
            let values = wire.u32_varint()?;
            if values > info.rows || values == 0 {
                return wire.fail("a column of more values than rows, or none");
            }
            let (presence, layout) = (Presence::read(&mut wire)?, Layout::read(&mut wire)?);
            let filter = if wire.u8()? == 1 { Some(Filter::read(&mut wire)?) } else { None };
            columns.push(Column { name, presence, values, layout, filter });
        }
        let mut rest_names = None;
        if wire.u8()? == 1 {
            let count = wire.count(COLUMNS_MAX)?;
            let names: Result<Vec<ColumnName>, WireError> =
                (0..count).map(|_| Ok(ColumnName::new(wire.u8()?, wire.text()?))).collect();
            rest_names = Some(names?);
        }
        Ok(Directory { info, columns, rest_names })
    }

    /// About the memory in use, bytes.
    pub fn memory(&self) -> usize {
        let mut sections = 0;
        for column in &self.columns {
            column.layout.each_section(&mut |_| sections += 1);
        }
        let names = self.rest_names.as_ref().map_or(0, Vec::len);
        (self.columns.len() + names) * size_of::<Column>() + sections * size_of::<super::ints::IntPage>()
    }

    /// A column that no record names.
    pub fn system(&self, kind: u8) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.kind == kind)
    }
}
