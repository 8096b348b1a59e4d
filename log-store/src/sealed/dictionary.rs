//! Columns of few different values: each value once with how often it comes, and an id per row in bit planes.
//!
//! Ids are by frequency, so that the upper planes are mostly zero.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use watchfire_model::short::{mark_of, same_bytes};

use super::section::{ReadSections, Section, SectionWriter, looks_compressible};
use super::source::ColumnSource;
use super::wire::{Wire, WireError, put_bytes, put_signed, put_varint};
use crate::values::raw::tag;
use crate::values::{Arena, Bits, Raw};

/// Most different values in a block.
const ENTRIES_MAX: usize = 16_384;
/// Values looked at before a column is taken to be of unique values.
const SAMPLE: usize = 2048;
/// Different ones among them at most: of as many as fit, evenly spread, about 1,920 would be seen.
const SAMPLE_MOST: usize = SAMPLE * 15 / 16;
/// So many values, as a power of two, are known again without a look-up.
const RECENT_BITS: u32 = 9;

/// The lowest bit of each of eight bytes.
const LOWEST_BITS: u64 = 0x0101_0101_0101_0101;
/// What moves the lowest bit of byte `k` to bit `56 + k`.
const SIDE_BY_SIDE: u64 = 0x0102_0408_1020_4080;

/// Where a dictionary and its ids lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dictionary {
    pub entries: Section,
    /// One per bit of an id, the lowest first.
    pub planes: Vec<Section>,
}

/// The values of a dictionary, read.
#[derive(Debug)]
pub(crate) struct Entries {
    pub values: Arena,
    /// How many rows have each.
    pub counts: Vec<u64>,
}

/// Different values found, and an id for each row.
pub(crate) struct Found<'a> {
    values: Vec<(Raw<'a>, u64)>,
    ids: Vec<u32>,
}

impl<'a> Found<'a> {
    /// The different values.
    pub fn values(&self) -> impl Iterator<Item = Raw<'a>> + '_ {
        self.values.iter().map(|(value, _)| *value)
    }
}

/// Whether two values are the same to the bit.
#[inline]
pub(crate) fn same(a: Raw<'_>, b: Raw<'_>) -> bool {
    a.tag() == b.tag() && a.bits() == b.bits() && same_bytes(a.bytes(), b.bytes())
}

/// Finds the different values, if they are few enough for a dictionary to pay.
pub(crate) fn find<'a>(source: &ColumnSource<'a>) -> Option<Found<'a>> {
    let numbers = matches!(source.uniform_tag(), Some(tag::INT | tag::FLOAT));
    // Numbers pack well by themselves.
    let most = if numbers { 256 } else { (source.len() / 4).clamp(16, ENTRIES_MAX) };
    let hasher = FixedState::default();
    let hash = |value: Raw<'_>| match value.bytes() {
        [] => hasher.hash_one((value.tag(), value.bits())),
        bytes => hasher.hash_one(bytes),
    };
    let mut table: HashTable<u32> = HashTable::new();
    let mut values: Vec<(Raw<'a>, u64)> = Vec::new();
    let mut ids = Vec::with_capacity(source.len());
    // By the top bits of its mark, the id of the value that came last: nearly always the one that comes again.
    let mut recent = [0u32; 1 << RECENT_BITS];
    for (index, value) in source.iter().enumerate() {
        let mark = match value.bytes() {
            [] => mark_of(&value.bits().to_le_bytes()),
            bytes => mark_of(bytes),
        };
        let recent = &mut recent[(mark >> (64 - RECENT_BITS)) as usize];
        if !values.get(*recent as usize).is_some_and(|(have, _)| same(*have, value)) {
            let hashed = hash(value);
            let have = table.find(hashed, |id| same(values[*id as usize].0, value)).copied();
            *recent = have.unwrap_or_else(|| {
                let id = values.len() as u32;
                values.push((value, 0));
                table.insert_unique(hashed, id, |id| hash(values[*id as usize].0));
                id
            });
        }
        values[*recent as usize].1 += 1;
        ids.push(*recent);
        if values.len() > most || (index == SAMPLE && values.len() > SAMPLE_MOST) {
            return None;
        }
    }
    Some(Found { values, ids })
}

/// Writes a dictionary and its ids.
pub(crate) fn write(found: Found<'_>, sections: &mut SectionWriter) -> Dictionary {
    let mut order: Vec<u32> = (0..found.values.len() as u32).collect();
    order.sort_by_key(|id| std::cmp::Reverse(found.values[*id as usize].1));
    let mut rank = vec![0u32; order.len()];
    let mut entries = Vec::new();
    put_varint(&mut entries, order.len() as u64);
    for (new, old) in order.iter().enumerate() {
        rank[*old as usize] = new as u32;
        let (value, count) = found.values[*old as usize];
        put_entry(&mut entries, value);
        put_varint(&mut entries, count);
    }
    let bits = order.len().saturating_sub(1).checked_ilog2().map_or(0, |bits| bits as usize + 1);
    let mut ids = found.ids;
    ids.iter_mut().for_each(|id| *id = rank[*id as usize]);
    let entries = sections.add(&entries);
    Dictionary { entries, planes: write_planes(&ids, bits, sections) }
}

/// Writes ids of so many bits (at most 32) as bit planes, the lowest bit first.
pub(crate) fn write_planes(ids: &[u32], bits: usize, sections: &mut SectionWriter) -> Vec<Section> {
    let mut planes = vec![Vec::with_capacity(ids.len() / 8 + 8); bits];
    for ids in ids.chunks(64) {
        let mut words = [0u64; 32];
        for (row, eight) in (0..64).step_by(8).zip(ids.chunks(8)) {
            for (byte, words) in words.chunks_mut(8).enumerate().take(bits.div_ceil(8)) {
                let bytes = eight.iter().rev().fold(0u64, |all, id| all << 8 | u64::from(id >> (8 * byte) & 0xff));
                for (bit, word) in words.iter_mut().enumerate() {
                    // Moves the lowest bits of eight bytes into the highest byte, side by side.
                    let of_rows = (bytes >> bit & LOWEST_BITS).wrapping_mul(SIDE_BY_SIDE) >> 56;
                    *word |= of_rows << row;
                }
            }
        }
        for (plane, word) in planes.iter_mut().zip(words) {
            plane.extend_from_slice(&word.to_le_bytes());
        }
    }
    let planes = planes
        .iter()
        .map(|plane| if looks_compressible(plane) { sections.add(plane) } else { sections.add_raw(plane) });
    planes.collect()
}

/// Reads the bit planes of `count` ids.
pub(crate) fn read_planes(planes: &[Section], count: usize, file: &dyn ReadSections) -> Result<Planes, String> {
    let planes = planes.iter().map(|plane| {
        let bytes = file.section(plane)?;
        if bytes.len() != count.div_ceil(64) * 8 {
            return Err("a plane of another length".to_owned());
        }
        Ok(bytes.chunks_exact(8).map(|word| u64::from_le_bytes(std::array::from_fn(|at| word[at]))).collect())
    });
    Ok(Planes { planes: planes.collect::<Result<_, String>>()?, count })
}

fn put_entry(out: &mut Vec<u8>, value: Raw<'_>) {
    out.push(value.tag());
    match value {
        Raw::Null | Raw::Bool(_) => {}
        Raw::Int(int) => put_signed(out, int),
        Raw::Float(float) => out.extend_from_slice(&float.to_le_bytes()),
        Raw::Text(bytes) | Raw::Array(bytes) | Raw::Object(bytes) => put_bytes(out, bytes),
    }
}

fn read_entries(bytes: &[u8]) -> Result<Entries, WireError> {
    let mut wire = Wire::new(bytes);
    let count = wire.count(ENTRIES_MAX + 1)?;
    let mut entries = Entries { values: Arena::default(), counts: Vec::with_capacity(count) };
    for _ in 0..count {
        let value = match wire.u8()? {
            tag::INT => Raw::Int(wire.signed()?),
            tag::FLOAT => Raw::Float(f64::from_bits(wire.u64()?)),
            kind => {
                let bytes = if tag::has_bytes(kind) { wire.bytes()? } else { &[] };
                match Raw::from_parts(kind, 0, bytes) {
                    Some(value) => value,
                    None => return wire.fail("an unknown kind of value"),
                }
            }
        };
        entries.values.push_next(value);
        entries.counts.push(wire.varint()?);
    }
    Ok(entries)
}

impl Dictionary {
    pub fn put(&self, out: &mut Vec<u8>) {
        self.entries.put(out);
        out.push(self.planes.len() as u8);
        self.planes.iter().for_each(|plane| plane.put(out));
    }

    pub fn read(wire: &mut Wire<'_>) -> Result<Dictionary, WireError> {
        let entries = Section::read(wire)?;
        let bits = wire.u8()?;
        if bits > 16 {
            return wire.fail("ids of too many bits");
        }
        let planes: Result<Vec<Section>, WireError> = (0..bits).map(|_| Section::read(wire)).collect();
        Ok(Dictionary { entries, planes: planes? })
    }

    pub fn entries(&self, file: &dyn ReadSections) -> Result<Entries, String> {
        read_entries(&file.section(&self.entries)?).map_err(|error| error.to_string())
    }

    /// The bit planes of `count` ids.
    pub fn planes(&self, count: usize, file: &dyn ReadSections) -> Result<Planes, String> {
        read_planes(&self.planes, count, file)
    }
}

/// Ids of rows, a bit in each plane.
#[derive(Debug)]
pub(crate) struct Planes {
    planes: Vec<Vec<u64>>,
    count: usize,
}

impl Planes {
    /// The id at `index`.
    #[inline]
    pub fn id(&self, index: usize) -> usize {
        let bit = |plane: &Vec<u64>| plane.get(index / 64).map_or(0, |word| (word >> (index % 64) & 1) as usize);
        self.planes.iter().enumerate().fold(0, |id, (number, plane)| id | bit(plane) << number)
    }

    /// All ids.
    pub fn ids(&self) -> Vec<u16> {
        let mut ids = vec![0u16; self.count];
        for (number, plane) in self.planes.iter().enumerate() {
            for (ids, word) in ids.chunks_mut(64).zip(plane) {
                for (row, id) in ids.iter_mut().enumerate() {
                    *id |= ((word >> row & 1) as u16) << number;
                }
            }
        }
        ids
    }

    /// Indexes whose id is wanted.
    pub fn find(&self, wanted: &[bool]) -> Bits {
        let words = self.find_words(wanted, 0, self.planes.len());
        match words {
            Words::None => Bits::none(self.count),
            Words::All => Bits::all(self.count),
            Words::Some(words) => Bits::from_words(words, self.count),
        }
    }

    /// The set for ids `from..from + 2^bits`, by the plane of the highest of those bits.
    fn find_words(&self, wanted: &[bool], from: usize, bits: usize) -> Words {
        let span = wanted.get(from..wanted.len().min(from + (1 << bits))).unwrap_or_default();
        if span.iter().all(|wanted| !wanted) {
            return Words::None;
        }
        // Ids beyond the dictionary do not occur, so they may count as wanted.
        if span.iter().all(|wanted| *wanted) {
            return Words::All;
        }
        let Some(plane) = bits.checked_sub(1).and_then(|bit| self.planes.get(bit)) else { return Words::None };
        let low = self.find_words(wanted, from, bits - 1);
        let high = self.find_words(wanted, from + (1 << (bits - 1)), bits - 1);
        let pick = |low: u64, high: u64, plane: u64| (low & !plane) | (high & plane);
        Words::Some(match (low, high) {
            (Words::Some(mut low), Words::Some(high)) => {
                for ((low, high), plane) in low.iter_mut().zip(high).zip(plane) {
                    *low = pick(*low, high, *plane);
                }
                low
            }
            (Words::Some(mut low), high) => {
                low.iter_mut().zip(plane).for_each(|(low, plane)| *low = pick(*low, high.constant(), *plane));
                low
            }
            (low, Words::Some(mut high)) => {
                high.iter_mut().zip(plane).for_each(|(high, plane)| *high = pick(low.constant(), *high, *plane));
                high
            }
            (low, high) => plane.iter().map(|plane| pick(low.constant(), high.constant(), *plane)).collect(),
        })
    }
}

enum Words {
    None,
    All,
    Some(Vec<u64>),
}

impl Words {
    fn constant(&self) -> u64 {
        if matches!(self, Words::All) { u64::MAX } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct InMemory(Vec<u8>);

    impl ReadSections for InMemory {
        fn section(&self, section: &Section) -> Result<Vec<u8>, String> {
            let at = section.offset as usize;
            let stored = &self.0[at..at + section.stored as usize];
            match section.raw {
                0 => Ok(stored.to_vec()),
                raw => super::super::section::decompress(stored, raw as usize).ok_or_else(|| "damaged".to_owned()),
            }
        }

        fn stretch(&self, _: u64, _: usize) -> Result<Vec<u8>, String> {
            Err("not used".to_owned())
        }
    }

    proptest! {
        #[test]
        fn ids_and_values_read_back(numbers in prop::collection::vec(0u32..40, 1..700), wanted in prop::collection::vec(any::<bool>(), 40)) {
            let texts: Vec<String> = numbers.iter().map(|number| format!("v{}", number * number % 40)).collect();
            let mut arena = Arena::default();
            texts.iter().enumerate().for_each(|(index, text)| {
                arena.push_next(if index % 9 == 0 { Raw::Int(text.len() as i64) } else { Raw::Text(text.as_bytes()) });
            });
            let source = ColumnSource::plain(&arena);
            let Some(found) = find(&source) else { return Ok(()) };
            let mut sections = SectionWriter::default();
            let dictionary = write(found, &mut sections);
            let file = InMemory(sections.file);
            let entries = dictionary.entries(&file).expect("just written");
            let planes = dictionary.planes(texts.len(), &file).expect("just written");
            let ids = planes.ids();
            for (index, id) in ids.iter().enumerate() {
                prop_assert_eq!(entries.values.get(planes.id(index)), arena.get(index));
                prop_assert_eq!(usize::from(*id), planes.id(index));
            }
            let counted: Vec<u64> =
                (0..entries.counts.len()).map(|id| ids.iter().filter(|have| usize::from(**have) == id).count() as u64).collect();
            prop_assert_eq!(&counted, &entries.counts);
            let wanted = &wanted[..entries.counts.len().min(40)];
            let expected: Vec<usize> = (0..ids.len()).filter(|index| wanted.get(usize::from(ids[*index])) == Some(&true)).collect();
            let found: Vec<usize> = planes.find(wanted).iter().filter(|index| usize::from(ids[*index]) < wanted.len()).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
