//! Reading a block's file, and values of its columns by index.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::PAGE_VALUES;
use super::bytes::{BytesPage, Texts};
use super::chars::CharsPage;
use super::directory::{Column, Directory};
use super::layout::{Layout, MixedPart};
use super::section::{RAW_MAX, ReadSections, Section, decompress};
use super::templates::Templates;
use super::templates::reader::TemplateReader;
use super::templates::set::TemplateSet;
use super::wire::Wire;
use super::write::{HEADER_BYTES, MAGIC, TRAILER_BYTES, VERSION};
use super::{floats, ints};
use crate::values::raw::tag;
use crate::values::{Arena, Raw};

/// Why a block's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlockError {
    /// It is of a later version.
    #[error("a block of version {version}; this program reads up to {VERSION}")]
    Newer { version: u32 },
    /// It cannot be read, or is damaged.
    #[error("{0}")]
    Damaged(String),
}

/// Templates of a block that have been read, by where they lie.
#[derive(Debug, Default)]
pub(crate) struct KeptTemplates {
    // Guards the map only; reading goes on beside it.
    sets: Mutex<HashMap<u64, Arc<TemplateSet>>>,
}

impl KeptTemplates {
    /// About the memory in use, bytes.
    pub fn memory(&self) -> usize {
        self.sets.lock().values().map(|set| set.memory()).sum()
    }

    /// Lets all go.
    pub fn forget(&self) {
        self.sets.lock().clear();
    }
}

/// An open block file. Counts what it reads.
#[derive(Debug)]
pub(crate) struct BlockFile {
    file: File,
    kept: Arc<KeptTemplates>,
    /// Its first bytes, or the version at its end, are not what they should be; nothing else depends on them.
    pub has_damaged_ends: Cell<bool>,
    pub read_bytes: Cell<usize>,
    pub decoded_bytes: Cell<usize>,
}

impl BlockFile {
    pub fn open(path: &Path) -> Result<BlockFile, String> {
        BlockFile::open_with(path, Arc::default())
    }

    /// Opens a block's file, of which some templates may be known already.
    pub fn open_with(path: &Path, kept: Arc<KeptTemplates>) -> Result<BlockFile, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let has_damaged_ends = Cell::new(false);
        Ok(BlockFile { file, kept, has_damaged_ends, read_bytes: Cell::new(0), decoded_bytes: Cell::new(0) })
    }

    /// Reads and checks the directory.
    pub fn directory(&self) -> Result<Directory, BlockError> {
        let damaged = |reason: &str| BlockError::Damaged(reason.to_owned());
        let length = self.file.metadata().map_err(|error| BlockError::Damaged(error.to_string()))?.len();
        let trailer_at = length.checked_sub(TRAILER_BYTES as u64).filter(|at| *at >= HEADER_BYTES as u64);
        let trailer_at = trailer_at.ok_or_else(|| damaged("shorter than a block"))?;
        let trailer = self.stretch(trailer_at, TRAILER_BYTES).map_err(BlockError::Damaged)?;
        let mut wire = Wire::new(&trailer);
        let wrong = |error: super::wire::WireError| BlockError::Damaged(error.to_string());
        let offset = wire.u64().map_err(wrong)?;
        let (stored, raw) = (wire.u32().map_err(wrong)?, wire.u32().map_err(wrong)?);
        let (crc, version) = (wire.u32().map_err(wrong)?, wire.u32().map_err(wrong)?);
        if wire.rest() != MAGIC {
            return Err(damaged("no end of a block"));
        }
        self.check_ends(version)?;
        if offset.checked_add(u64::from(stored)) != Some(trailer_at) {
            return Err(damaged("a directory in another place"));
        }
        let bytes = self.section(&Section { offset, stored, raw, crc }).map_err(BlockError::Damaged)?;
        Directory::decode(&bytes).map_err(wrong)
    }

    /// The version stands at both ends of the file, and no checksum covers it: a later one is believed if the two agree.
    fn check_ends(&self, at_end: u32) -> Result<(), BlockError> {
        let header = self.stretch(0, HEADER_BYTES).map_err(BlockError::Damaged)?;
        let at_start = header.strip_prefix(MAGIC).and_then(|rest| Wire::new(rest).u32().ok());
        let is_known = at_start.is_some_and(|version| version <= VERSION);
        if at_end > VERSION && !is_known {
            return Err(BlockError::Newer { version: at_end });
        }
        self.has_damaged_ends.set(at_start != Some(at_end));
        Ok(())
    }
}

impl ReadSections for BlockFile {
    fn section(&self, section: &Section) -> Result<Vec<u8>, String> {
        let stored = self.stretch(section.offset, section.stored as usize)?;
        if crc32fast::hash(&stored) != section.crc {
            return Err(format!("a wrong checksum of the section at byte {}", section.offset));
        }
        let bytes = match section.raw {
            0 => stored,
            raw => decompress(&stored, raw as usize)
                .ok_or_else(|| format!("the section at byte {} does not decompress", section.offset))?,
        };
        self.decoded_bytes.set(self.decoded_bytes.get() + bytes.len());
        Ok(bytes)
    }

    fn templates(&self, section: &Section) -> Result<Arc<TemplateSet>, String> {
        if let Some(kept) = self.kept.sets.lock().get(&section.offset) {
            return Ok(Arc::clone(kept));
        }
        let set = TemplateSet::parse(self.section(section)?).map_err(|error| error.to_string())?;
        let set = Arc::new(set);
        self.kept.sets.lock().insert(section.offset, Arc::clone(&set));
        Ok(set)
    }

    fn stretch(&self, offset: u64, length: usize) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset).map_err(|error| format!("byte {offset}: {error}"))?;
        self.read_bytes.set(self.read_bytes.get() + length);
        Ok(bytes)
    }
}

/// All values of a column, at their rows.
pub(crate) fn read_column(column: &Column, rows: usize, file: &dyn ReadSections) -> Result<Arena, String> {
    let indexes: Vec<u32> = (0..column.values).collect();
    let mut arena = gather(&column.layout, column.values as usize, &indexes, file)?;
    if let Some(present) = column.presence.rows(rows, column.values as usize, file)? {
        arena.set_rows(present);
    }
    Ok(arena)
}

/// The integers of a column that has nothing else, a value per row.
pub(crate) fn read_ints(column: &Column, file: &dyn ReadSections) -> Result<Vec<i64>, String> {
    let count = column.values as usize;
    let mut values = Vec::with_capacity(count);
    let Layout::Ints(pages) = &column.layout else { return Err("no column of integers".to_owned()) };
    for (number, page) in pages.iter().enumerate() {
        let page_values = page_len(number, count);
        values.extend(ints::decode(&file.section(&page.section)?, page_values).map_err(|error| error.to_string())?);
    }
    if values.len() != count { Err("integers missing".to_owned()) } else { Ok(values) }
}

/// How many of `count` values stand on page `number`.
pub(crate) fn page_len(number: usize, count: usize) -> usize {
    count.saturating_sub(number * PAGE_VALUES).min(PAGE_VALUES)
}

/// The values at `indexes` (ascending, below `count`), in that order.
pub(crate) fn gather(layout: &Layout, count: usize, indexes: &[u32], file: &dyn ReadSections) -> Result<Arena, String> {
    let mut values = Arena::default();
    match layout {
        Layout::Dictionary(dictionary) => {
            let entries = dictionary.entries(file)?;
            let planes = dictionary.planes(count, file)?;
            for index in indexes {
                let id = planes.id(*index as usize);
                if id >= entries.values.len() {
                    return Err("an id beyond its dictionary".to_owned());
                }
                values.push_next(entries.values.get(id));
                if values.bytes().len() > RAW_MAX {
                    return Err("texts beyond their limit".to_owned());
                }
            }
        }
        Layout::Ints(pages) => each_page(indexes, pages, |page, number, wanted| {
            let ints = read_int_page(file, &page.section, number, count)?;
            wanted.for_each(|at| values.push_next(Raw::Int(ints[at])));
            Ok(())
        })?,
        Layout::Scaled { exponent, pages } => each_page(indexes, pages, |page, number, wanted| {
            let ints = read_int_page(file, &page.section, number, count)?;
            wanted.for_each(|at| values.push_next(Raw::Float(floats::unscale(ints[at], *exponent))));
            Ok(())
        })?,
        Layout::Floats(pages) => each_page(indexes, pages, |page, number, wanted| {
            let bytes = file.section(&page.section)?;
            let floats = floats::decode(&bytes, page_len(number, count)).map_err(|error| error.to_string())?;
            wanted.for_each(|at| values.push_next(Raw::Float(floats[at])));
            Ok(())
        })?,
        Layout::Chars { length, pages, .. } => each_page(indexes, pages, |page, number, wanted| {
            let bytes = file.section(page)?;
            let page = CharsPage::read(&bytes, *length as usize, page_len(number, count));
            let page = page.map_err(|error| error.to_string())?;
            let mut text = Vec::new();
            for at in wanted {
                text.clear();
                page.text(at, &mut text);
                values.push_next(Raw::Text(&text));
            }
            Ok(())
        })?,
        Layout::Bytes { tag, pages } => gather_bytes(*tag, pages, indexes, file, &mut values)?,
        Layout::Templates(templates) => gather_templates(templates, count, indexes, file, &mut values)?,
        Layout::Mixed { tags, parts } => gather_mixed(&file.section(tags)?, parts, indexes, file, &mut values)?,
    }
    if values.len() != indexes.len() { Err("values missing".to_owned()) } else { Ok(values) }
}

fn read_int_page(file: &dyn ReadSections, section: &Section, number: usize, count: usize) -> Result<Vec<i64>, String> {
    ints::decode(&file.section(section)?, page_len(number, count)).map_err(|error| error.to_string())
}

/// Calls `visit` with each page that has wanted values, its number, and the wanted places on it.
fn each_page<P>(
    indexes: &[u32],
    pages: &[P],
    mut visit: impl FnMut(&P, usize, &mut dyn Iterator<Item = usize>) -> Result<(), String>,
) -> Result<(), String> {
    for wanted in indexes.chunk_by(|a, b| *a as usize / PAGE_VALUES == *b as usize / PAGE_VALUES) {
        let Some(number) = wanted.first().map(|first| *first as usize / PAGE_VALUES) else { continue };
        let page = pages.get(number).ok_or("a page missing")?;
        visit(page, number, &mut wanted.iter().map(|index| *index as usize % PAGE_VALUES))?;
    }
    Ok(())
}

fn gather_bytes(
    kind: u8,
    pages: &[BytesPage],
    indexes: &[u32],
    file: &dyn ReadSections,
    values: &mut Arena,
) -> Result<(), String> {
    let mut rest = indexes;
    let mut first = 0usize;
    for page in pages {
        let end = first + page.count as usize;
        let (here, behind) = rest.split_at(rest.partition_point(|index| (*index as usize) < end));
        if !here.is_empty() {
            let texts = read_texts(page, file)?;
            for index in here {
                let value = Raw::from_parts(kind, 0, texts.get(*index as usize - first));
                values.push_next(value.ok_or("a value of an unknown kind")?);
            }
        }
        (rest, first) = (behind, end);
    }
    Ok(())
}

fn gather_templates(
    templates: &Templates,
    count: usize,
    indexes: &[u32],
    file: &dyn ReadSections,
    values: &mut Arena,
) -> Result<(), String> {
    let mut is_too_much = false;
    TemplateReader::open(templates, count, file)?.each_text(indexes, |_, text| {
        is_too_much |= values.bytes().len() + text.len() > RAW_MAX;
        if !is_too_much {
            values.push_next(Raw::Text(text));
        }
    })?;
    if is_too_much { Err("texts beyond their limit".to_owned()) } else { Ok(()) }
}

/// A page of texts.
pub(crate) fn read_texts(page: &BytesPage, file: &dyn ReadSections) -> Result<Texts, String> {
    Texts::read(file.section(&page.section)?, page.count as usize).map_err(|error| error.to_string())
}

fn gather_mixed(
    tags: &[u8],
    parts: &[MixedPart],
    indexes: &[u32],
    file: &dyn ReadSections,
    values: &mut Arena,
) -> Result<(), String> {
    let ranks = ranks(tags);
    let mut of_parts = Vec::with_capacity(parts.len());
    for part in parts {
        let wanted = indexes.iter().map(|index| *index as usize).filter(|index| tags.get(*index) == Some(&part.tag));
        let wanted: Vec<u32> = wanted.map(|index| ranks[index]).collect();
        of_parts.push((part.tag, gather(&part.layout, part.count as usize, &wanted, file)?, 0));
    }
    for index in indexes {
        let kind = *tags.get(*index as usize).ok_or("the kind of a value is missing")?;
        let value = match kind {
            tag::NULL | tag::FALSE | tag::TRUE => Raw::from_parts(kind, 0, &[]),
            kind => of_parts.iter_mut().find(|(tag, _, _)| *tag == kind).and_then(|(_, arena, next)| {
                *next += 1;
                (*next <= arena.len()).then(|| arena.get(*next - 1))
            }),
        };
        values.push_next(value.ok_or("a value of a mixed column is missing")?);
    }
    Ok(())
}

/// Of each value, how many of its kind stand before it.
pub(crate) fn ranks(tags: &[u8]) -> Vec<u32> {
    let mut counts = [0u32; 256];
    let rank = |tag: &u8| {
        let count = &mut counts[usize::from(*tag)];
        *count += 1;
        *count - 1
    };
    tags.iter().map(rank).collect()
}
