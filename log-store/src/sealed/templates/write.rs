//! Writing a column as templates and variables, where that pays.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::super::bytes;
use super::super::dictionary::write_planes;
use super::super::filter::{Filter, FilterBuilder};
use super::super::section::{SectionWriter, compress};
use super::super::source::ColumnSource;
use super::super::wire::{put_bytes, put_varint};
use super::Templates;
use super::analyse::{Chars, distinct, numbers, width};
use super::groups::GroupWriter;
use super::mine::{Mined, Skeleton, mine};
use super::pack::{bits_of, put_packed};
use super::set::{PLAIN, SPLIT};
use super::slot::{Packed, Slot, VARIES, WORDS_MAX};
use super::split::Variables;
use crate::values::raw::tag;

/// Fewer texts are not worth it.
const TEXTS_MIN: usize = 64;
/// Texts compressed to learn what compression alone would do, bytes.
const TRIAL_BYTES: usize = 128 << 10;
/// Most variables of all templates of a block.
const SLOTS_ALL_MAX: usize = 24_000;
/// About the bits that a byte of text takes when it is compressed with others.
const TEXT_BITS: usize = 5;

/// Writes a column as templates; `None`, and nothing written, if plain texts are smaller.
pub(crate) fn write(source: &ColumnSource<'_>, sections: &mut SectionWriter) -> Option<(Templates, Filter)> {
    if source.len() < TEXTS_MIN || source.uniform_tag() != Some(tag::TEXT) {
        return None;
    }
    let text = |index: usize| source.get(index).bytes();
    let variables = Variables::seldom(source.len(), text);
    let mined = mine(source.len(), text, &variables).or_else(|| mine(source.len(), text, &Variables::All))?;
    let slots: usize = mined.templates.iter().map(|template| template.cuts.len()).sum();
    if slots > SLOTS_ALL_MAX {
        return None;
    }
    let start = sections.file.len();
    let written = Writer::new(source, sections).write(mined);
    if (sections.file.len() - start) as u64 > plain_bytes(source) {
        sections.file.truncate(start);
        return None;
    }
    Some(written)
}

/// About the bytes that all texts take when they are only compressed.
fn plain_bytes(source: &ColumnSource<'_>) -> u64 {
    let (mut trial, mut packed) = (Vec::with_capacity(TRIAL_BYTES * 2), Vec::new());
    for index in source.len() / 3..source.len() {
        trial.extend_from_slice(source.get(index).bytes());
        if trial.len() >= TRIAL_BYTES {
            break;
        }
    }
    let all = source.text_bytes();
    match compress(&trial, &mut packed) {
        Some(()) => all * packed.len() as u64 / trial.len().max(1) as u64 + source.len() as u64 / 2,
        None => all + source.len() as u64,
    }
}

/// The words of a block's dictionary.
#[derive(Default)]
struct Words<'t> {
    words: Vec<&'t [u8]>,
    table: HashTable<u32>,
    hasher: FixedState,
}

impl<'t> Words<'t> {
    fn has(&self, word: &[u8]) -> bool {
        self.table.find(self.hasher.hash_one(word), |id| self.words[*id as usize] == word).is_some()
    }

    fn id(&mut self, word: &'t [u8]) -> u32 {
        let (hasher, words) = (&self.hasher, &mut self.words);
        let hashed = hasher.hash_one(word);
        if let Some(id) = self.table.find(hashed, |id| words[*id as usize] == word) {
            return *id;
        }
        let id = words.len() as u32;
        words.push(word);
        self.table.insert_unique(hashed, id, |id| hasher.hash_one(words[*id as usize]));
        id
    }
}

struct Writer<'s, 't, 'w> {
    source: &'s ColumnSource<'t>,
    sections: &'w mut SectionWriter,
    groups: GroupWriter,
    words: Words<'t>,
    /// The words of values that are looked for in the filter first, and of texts of no template.
    filter: FilterBuilder,
    dictionary: Vec<u8>,
}

impl<'s, 't, 'w> Writer<'s, 't, 'w> {
    fn new(source: &'s ColumnSource<'t>, sections: &'w mut SectionWriter) -> Writer<'s, 't, 'w> {
        Writer {
            source,
            sections,
            groups: GroupWriter::default(),
            words: Words::default(),
            filter: FilterBuilder::of_words(),
            dictionary: Vec::new(),
        }
    }

    fn write(mut self, mined: Mined<'t>) -> (Templates, Filter) {
        let has_plain = !mined.plain.is_empty();
        let count = mined.templates.len() + usize::from(has_plain);
        put_varint(&mut self.dictionary, count as u64);
        let mut ids = vec![mined.templates.len() as u32; self.source.len()];
        for (id, template) in mined.templates.iter().enumerate() {
            template.numbers.iter().for_each(|text| ids[*text as usize] = id as u32);
            self.put_template(template);
        }
        let mut plain = Vec::new();
        if has_plain {
            put_varint(&mut self.dictionary, mined.plain.len() as u64);
            self.dictionary.push(PLAIN);
            let texts = self.source.pick(mined.plain.iter().map(|text| *text as usize));
            let words = texts.iter().filter_map(|text| std::str::from_utf8(text.bytes()).ok());
            words.for_each(|text| self.filter.add(text));
            plain = bytes::write(&texts, self.sections);
        }
        put_varint(&mut self.dictionary, self.words.words.len() as u64);
        self.words.words.iter().for_each(|word| put_bytes(&mut self.dictionary, word));
        let planes = write_planes(&ids, bits_of(count.saturating_sub(1) as u64) as usize, self.sections);
        let groups = self.groups.finish(self.sections);
        let dictionary = self.sections.add(&self.dictionary);
        (Templates { dictionary, planes, groups, plain }, self.filter.finish(self.sections))
    }

    fn put_template(&mut self, template: &Skeleton<'t>) {
        // Pieces with the slots between them; a variable that is the same everywhere is none.
        let mut pieces = vec![Vec::new()];
        let mut slots = Vec::new();
        let mut from = 0;
        let mut values: Vec<&'t [u8]> = Vec::with_capacity(template.texts.len());
        let cuts = template.cuts.iter().map(|cut| usize::from(*cut)).chain([template.fixed.len()]);
        for (slot, cut) in cuts.enumerate() {
            let piece = template.fixed.get(from..cut).unwrap_or_default();
            if let Some(last) = pieces.last_mut() {
                last.extend_from_slice(piece);
            }
            from = cut;
            if slot == template.cuts.len() {
                break;
            }
            values.clear();
            values.extend(template.values(slot));
            match (self.slot(&values), pieces.last_mut()) {
                (None, Some(last)) => last.extend_from_slice(values.first().copied().unwrap_or_default()),
                (Some(encoded), _) => {
                    if encoded.is_in_filter() {
                        let words = values.iter().filter_map(|value| std::str::from_utf8(value).ok());
                        words.for_each(|word| self.filter.add(word));
                    }
                    slots.push(encoded);
                    pieces.push(Vec::new());
                }
                (None, None) => {}
            }
        }
        put_varint(&mut self.dictionary, template.texts.len() as u64);
        self.dictionary.push(SPLIT);
        put_varint(&mut self.dictionary, slots.len() as u64);
        let mut slots = slots.into_iter();
        for piece in pieces {
            put_bytes(&mut self.dictionary, &piece);
            if let Some(slot) = slots.next() {
                slot.put(&mut self.dictionary);
            }
        }
    }

    /// Encodes the values of a variable; `None` if all are the same.
    fn slot(&mut self, values: &[&'t [u8]]) -> Option<Slot> {
        let first = *values.first()?;
        if values.iter().all(|value| *value == first) {
            return None;
        }
        if let Some((digits, numbers)) = numbers(values) {
            let (min, max) = numbers.iter().fold((u64::MAX, 0), |(min, max), n| (min.min(*n), max.max(*n)));
            let number_bits = values.len() * bits_of(max - min) as usize;
            return Some(match self.words(values, number_bits, values.len() / 64 + 8) {
                Some(slot) => slot,
                None => self.numbers(digits, min, max, numbers),
            });
        }
        let bytes: usize = values.iter().map(|value| value.len()).sum();
        let chars = Chars::of(values);
        let other_bits = chars.as_ref().map_or(bytes * TEXT_BITS + values.len() * 3, Chars::bits_all);
        Some(match (self.words(values, other_bits, values.len() / 2 + 2), chars) {
            (Some(slot), _) => slot,
            (None, Some(chars)) => self.chars(values, chars),
            (None, None) => self.texts(values),
        })
    }

    fn pack(&mut self, bits: u32, values: &[u64]) -> Packed {
        let (bits, loose) = width(bits, values);
        let mut run = Vec::new();
        put_packed(&mut run, bits, values.iter().copied());
        Packed { bits: bits as u8, place: self.groups.add(&run, loose, self.sections) }
    }

    fn numbers(&mut self, digits: u8, min: u64, max: u64, mut numbers: Vec<u64>) -> Slot {
        let steps = || numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]) as i64);
        let step = steps().min().unwrap_or(0);
        let step_bits = bits_of(steps().max().unwrap_or(0).wrapping_sub(step) as u64);
        if step_bits + 1 < bits_of(max - min) {
            let first = numbers.first().copied().unwrap_or(0);
            let offsets = std::iter::once(0).chain(steps().map(|have| have.wrapping_sub(step) as u64));
            let packed = self.pack(step_bits, &offsets.collect::<Vec<u64>>());
            return Slot::Steps { digits, min, max, first, step, packed };
        }
        numbers.iter_mut().for_each(|number| *number -= min);
        Slot::Numbers { digits, min, max, packed: self.pack(bits_of(max - min), &numbers) }
    }

    /// As words of the dictionary, if there are at most `most` and that takes less than `bits_max` bits.
    fn words(&mut self, values: &[&'t [u8]], bits_max: usize, most: usize) -> Option<Slot> {
        let (distinct, mut ids) = distinct(values, most)?;
        let list_bits = bits_of(distinct.len() as u64 - 1);
        let is_new = self.words.words.len() + distinct.len() <= WORDS_MAX;
        let new = distinct.iter().filter(|word| !self.words.has(word));
        let text_bits: usize = new.map(|word| 8 + word.len() * TEXT_BITS).sum();
        if !is_new || values.len() * list_bits as usize + text_bits > bits_max {
            return None;
        }
        let of_block: Vec<u32> = distinct.iter().map(|word| self.words.id(word)).collect();
        let block_bits = bits_of(u64::from(of_block.iter().copied().max().unwrap_or(0)));
        if values.len() * block_bits as usize <= values.len() * list_bits as usize + of_block.len() * 12 {
            ids.iter_mut().for_each(|id| *id = u64::from(of_block[*id as usize]));
            return Some(Slot::Words { list: None, packed: self.pack(block_bits, &ids) });
        }
        Some(Slot::Words { list: Some(of_block.into()), packed: self.pack(list_bits, &ids) })
    }

    fn chars(&mut self, values: &[&'t [u8]], chars: Chars) -> Slot {
        let characters: Vec<u8> = (0..128u8).filter(|byte| chars.alphabet.0 >> byte & 1 == 1).collect();
        let mut codes = [0u64; 128];
        characters.iter().enumerate().for_each(|(code, byte)| codes[usize::from(*byte)] = code as u64);
        let mut run = Vec::new();
        let places: Vec<usize> = (0..chars.fixed.len()).filter(|at| chars.fixed[*at] == VARIES).collect();
        let varying = values.iter().flat_map(|value| places.iter().map(|at| codes[usize::from(value[*at] & 127)]));
        put_packed(&mut run, chars.bits, varying);
        let packed = Packed { bits: chars.bits as u8, place: self.groups.add(&run, false, self.sections) };
        Slot::Chars { fixed: chars.fixed.into(), alphabet: chars.alphabet, packed }
    }

    fn texts(&mut self, values: &[&'t [u8]]) -> Slot {
        let mut page = Vec::new();
        bytes::put_page(&mut page, values.iter().copied());
        Slot::Texts { place: self.groups.add(&page, true, self.sections) }
    }
}

#[cfg(test)]
mod tests;
