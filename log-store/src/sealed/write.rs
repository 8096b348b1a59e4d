//! Making a block out of rows that lie elsewhere: chunks of the open block, or blocks to be merged.

use std::cell::RefCell;
use std::collections::BTreeSet;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use watchfire_model::record::{self, ValueRef};

use super::directory::{BlockInfo, COLUMNS_MAX, Column, Directory, system};
use super::encode::{encode, encode_ints};
use super::filter::FilterBuilder;
use super::section::SectionWriter;
use super::source::ColumnSource;
use super::wire::put_varint;
use crate::open_block::Rows;
use crate::open_block::shapes::REST;
use crate::query::text_in_value;
use crate::values::rest::{self, RestEntries};
use crate::values::{Arena, ColumnName, Raw};

/// First and last bytes of a block's file.
pub(crate) const MAGIC: &[u8; 8] = b"WFLOGBLK";
/// Version of the format: 1 had no templates.
pub(crate) const VERSION: u32 = 2;
/// Magic and version.
pub(crate) const HEADER_BYTES: usize = 12;
/// Directory offset, stored and raw length, checksum, version, magic.
pub(crate) const TRAILER_BYTES: usize = 8 + 4 + 4 + 4 + 4 + 8;

/// Columns below this number are never rare.
const RARE_FROM: usize = 96;
/// A column with fewer values than one in so many rows may be rare.
const RARE_ROWS: usize = 1024;
/// Columns of their own at most.
const OWN_MAX: usize = 1024;

/// A column of the block to be.
struct Merged<'a> {
    name: ColumnName,
    /// By part.
    arenas: Vec<Option<&'a Arena>>,
    values: usize,
    is_rare: bool,
}

/// A column of texts that is written: another with the same values (a trace id that is the correlation id, too) names
/// the same sections.
struct Known<'a> {
    source: ColumnSource<'a>,
    text_bytes: u64,
    /// Its place among the columns.
    at: usize,
}

/// Encodes the rows named in `order` (part and row, ascending by time and number) as a file. The rows' counts and
/// spans are filled into `info`.
pub(crate) fn encode_block(parts: &[&Rows], order: &[(u32, u32)], mut info: BlockInfo) -> (BlockInfo, Vec<u8>) {
    let times = ints(parts, order, |rows, row| rows.timestamps[row]);
    let seqs = ints(parts, order, |rows, row| rows.seqs[row] as i64);
    info.rows = order.len() as u32;
    info.time_min = times.first().copied().unwrap_or(0);
    info.time_max = times.last().copied().unwrap_or(0);
    info.seq_min = seqs.iter().map(|seq| *seq as u64).min().unwrap_or(0);
    info.seq_max = seqs.iter().map(|seq| *seq as u64).max().unwrap_or(0);
    info.text_bytes = 0;
    info.level_counts = [0; 8];
    let levels = ints(parts, order, |rows, row| i64::from(rows.levels[row]));
    let accepted_at = ints(parts, order, |rows, row| rows.accepted_at[row]);
    let received_bytes = ints(parts, order, |rows, row| i64::from(rows.received_bytes[row]));
    levels.iter().for_each(|level| info.level_counts[*level as usize & 7] += 1);

    let mut sections = SectionWriter::default();
    sections.file.extend_from_slice(MAGIC);
    sections.file.extend_from_slice(&VERSION.to_le_bytes());
    let mut columns = vec![
        encode_ints(system::TIMESTAMP, &times, &mut sections),
        encode_ints(system::ACCEPTED_AT, &accepted_at, &mut sections),
        encode_ints(system::SEQ, &seqs, &mut sections),
        encode_ints(system::RECEIVED_BYTES, &received_bytes, &mut sections),
    ];
    let imported = ints(parts, order, |rows, row| i64::from(rows.imported[row]));
    if imported.contains(&1) {
        columns.push(encode_ints(system::IMPORTED, &imported, &mut sections));
    }
    let mut level_values = Arena::default();
    levels.iter().for_each(|level| level_values.push_next(Raw::Int(*level)));
    let plain = |arena: &Arena, kind: u8, sections: &mut SectionWriter| {
        encode(ColumnName::new(kind, ""), &ColumnSource::plain(arena), order.len(), sections)
    };
    columns.push(plain(&level_values, system::LEVEL, &mut sections));

    let (mut merged, numbers) = merge_columns(parts);
    mark_rare(&mut merged, order.len());
    let positions = positions(parts, order);
    let mut place_of = vec![0u64; merged.len()];
    let mut known: Vec<Known<'_>> = Vec::new();
    for (number, column) in merged.iter().enumerate().filter(|(_, column)| !column.is_rare) {
        let source = source_of(column, parts, order, &positions);
        if source.len() == 0 {
            continue;
        }
        let text_bytes = source.text_bytes();
        info.text_bytes += text_bytes;
        place_of[number] = columns.len() as u64 + 1;
        let is_twin = |known: &&Known<'_>| known.text_bytes == text_bytes && known.source.is_same(&source);
        if let Some(twin) = known.iter().find(is_twin).and_then(|twin| columns.get(twin.at)).cloned() {
            columns.push(Column { name: column.name.clone(), ..twin });
            continue;
        }
        columns.push(encode(column.name.clone(), &source, order.len(), &mut sections));
        if text_bytes >= order.len() as u64 {
            known.push(Known { source, text_bytes, at: columns.len() - 1 });
        }
    }
    let mut rest = RestWriter::new();
    let shapes = shapes_and_rest(parts, order, &merged, &numbers, &place_of, &mut rest);
    info.text_bytes += (shapes.bytes().len() + rest.rows.bytes().len()) as u64;
    columns.push(plain(&shapes, system::SHAPE, &mut sections));
    if rest.rows.len() > 0 {
        let mut column = plain(&rest.rows, system::REST, &mut sections);
        column.filter = Some(rest.words.finish(&mut sections));
        columns.push(column);
    }
    let rest_names = (rest.names.len() < COLUMNS_MAX).then(|| rest.names.into_iter().collect());
    let file = finish(sections, Directory { info: info.clone(), columns, rest_names });
    (info, file)
}

/// A number of each row, in order.
fn ints(parts: &[&Rows], order: &[(u32, u32)], value: impl Fn(&Rows, usize) -> i64) -> Vec<i64> {
    order.iter().map(|(part, row)| value(parts[*part as usize], *row as usize)).collect()
}

fn finish(mut sections: SectionWriter, directory: Directory) -> Vec<u8> {
    let section = sections.add(&directory.encode());
    let mut file = sections.file;
    file.extend_from_slice(&section.offset.to_le_bytes());
    file.extend_from_slice(&section.stored.to_le_bytes());
    file.extend_from_slice(&section.raw.to_le_bytes());
    file.extend_from_slice(&section.crc.to_le_bytes());
    file.extend_from_slice(&VERSION.to_le_bytes());
    file.extend_from_slice(MAGIC);
    file
}

/// Columns of the same name in all parts, and by part the number of each of its columns.
fn merge_columns<'a>(parts: &[&'a Rows]) -> (Vec<Merged<'a>>, Vec<Vec<usize>>) {
    let mut by_name: HashMap<&ColumnName, usize, FixedState> = HashMap::default();
    let mut merged: Vec<Merged<'a>> = Vec::new();
    let mut numbers = Vec::with_capacity(parts.len());
    for (part, rows) in parts.iter().enumerate() {
        let mut of_part = Vec::with_capacity(rows.columns.len());
        for column in &rows.columns {
            let number = *by_name.entry(&column.name).or_insert_with(|| {
                let (name, arenas) = (column.name.clone(), vec![None; parts.len()]);
                merged.push(Merged { name, arenas, values: 0, is_rare: false });
                merged.len() - 1
            });
            merged[number].arenas[part] = Some(&column.values);
            merged[number].values += column.values.len();
            of_part.push(number);
        }
        numbers.push(of_part);
    }
    (merged, numbers)
}

/// Rare keys share one column, so that hundreds of them cost little.
fn mark_rare(merged: &mut [Merged<'_>], rows: usize) {
    if merged.len() <= RARE_FROM {
        return;
    }
    let mut by_values: Vec<usize> = (0..merged.len()).collect();
    by_values.sort_by_key(|number| std::cmp::Reverse(merged[*number].values));
    for (rank, number) in by_values.into_iter().enumerate() {
        merged[number].is_rare = rank >= RARE_FROM && (rank >= OWN_MAX || merged[number].values < rows / RARE_ROWS);
    }
}

/// By part, where each of its rows comes to stand; `u32::MAX` for rows of other blocks.
fn positions(parts: &[&Rows], order: &[(u32, u32)]) -> Vec<Vec<u32>> {
    let mut positions: Vec<Vec<u32>> = parts.iter().map(|rows| vec![u32::MAX; rows.len()]).collect();
    for (position, (part, row)) in order.iter().enumerate() {
        positions[*part as usize][*row as usize] = position as u32;
    }
    positions
}

fn source_of<'a>(
    column: &Merged<'a>,
    parts: &[&Rows],
    order: &'a [(u32, u32)],
    positions: &[Vec<u32>],
) -> ColumnSource<'a> {
    let is_dense = column.arenas.iter().zip(parts).all(|(arena, rows)| {
        rows.len() == 0 || arena.is_some_and(|arena| arena.rows().is_none() && arena.len() == rows.len())
    });
    if is_dense {
        return ColumnSource::dense(column.arenas.clone(), order);
    }
    let mut values = Vec::with_capacity(column.values);
    for (part, arena) in column.arenas.iter().enumerate() {
        let Some(arena) = arena else { continue };
        for index in 0..arena.len() {
            let position = positions[part][arena.row(index) as usize];
            if position != u32::MAX {
                values.push((position, part as u32, index as u32));
            }
        }
    }
    ColumnSource::sparse(column.arenas.clone(), values, order.len())
}

/// Rare keys on their way into the block.
struct RestWriter {
    /// By row, its entries.
    rows: Arena,
    names: BTreeSet<ColumnName>,
    /// The words of all texts in it.
    words: FilterBuilder,
    entries: Vec<u8>,
}

impl RestWriter {
    fn new() -> RestWriter {
        RestWriter {
            rows: Arena::default(),
            names: BTreeSet::new(),
            words: FilterBuilder::of_words(),
            entries: Vec::new(),
        }
    }

    fn put(&mut self, column: record::Column<'_>, value: ValueRef<'_>) {
        rest::put(&mut self.entries, column, value);
        let (kind, path) = ColumnName::parts(column);
        let name = ColumnName::new(kind, path);
        if self.names.len() < COLUMNS_MAX && !self.names.contains(&name) {
            self.names.insert(name);
        }
        let words = RefCell::new(&mut self.words);
        text_in_value(value, &|text| {
            words.borrow_mut().add(text);
            false
        });
    }

    fn finish_row(&mut self, row: u32) {
        self.rows.push(row, Raw::Object(&self.entries));
        self.entries.clear();
    }
}

/// The shape of each row; entries of rare keys go to `rest`.
fn shapes_and_rest(
    parts: &[&Rows],
    order: &[(u32, u32)],
    merged: &[Merged<'_>],
    numbers: &[Vec<usize>],
    place_of: &[u64],
    rest: &mut RestWriter,
) -> Arena {
    let mut shapes = Arena::default();
    // By part and shape: its bytes, and whether it has entries in the rest.
    let mut known: Vec<HashMap<u32, (Vec<u8>, bool), FixedState>> = vec![HashMap::default(); parts.len()];
    for (position, (part, row)) in order.iter().enumerate() {
        let (rows, row) = (parts[*part as usize], *row as usize);
        let shape = rows.shape_ids[row];
        let number_of = |column: u16| numbers[*part as usize].get(usize::from(column)).copied();
        let (bytes, has_rest) = known[*part as usize].entry(shape).or_insert_with(|| {
            let (mut bytes, mut has_rest) = (Vec::new(), false);
            for column in rows.shapes.columns_of(shape) {
                let place = number_of(column).map_or(0, |number| place_of[number]);
                has_rest |= place == 0;
                put_varint(&mut bytes, place);
            }
            (bytes, has_rest)
        });
        shapes.push_next(Raw::Object(bytes));
        if *has_rest {
            rest_of(rows, row, |column| number_of(column).is_some_and(|number| merged[number].is_rare), rest);
            rest.finish_row(position as u32);
        }
    }
    shapes
}

/// The entries of a row that have no column of their own in the block to be, in the record's order.
fn rest_of(rows: &Rows, row: usize, is_rare: impl Fn(u16) -> bool, rest: &mut RestWriter) {
    let own = rows.rest.of_row(row as u32).and_then(|entries| RestEntries::read(entries.bytes()).ok());
    let mut own = own.iter().flat_map(RestEntries::iter);
    for at in rows.shapes.columns_of(rows.shape_ids[row]) {
        if at == REST {
            if let Some((column, value)) = own.next() {
                rest.put(column, value);
            }
        } else if is_rare(at) {
            let column = &rows.columns[usize::from(at)];
            let value = column.values.of_row(row as u32).and_then(Raw::value);
            if let (Some(name), Some(value)) = (column.name.column(), value) {
                rest.put(name, value);
            }
        }
    }
}

impl Column {
    /// Whether records name this column.
    pub fn is_own(&self) -> bool {
        self.name.kind < system::TIMESTAMP
    }
}
