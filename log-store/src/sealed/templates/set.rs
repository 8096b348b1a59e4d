//! The templates of a block, read and made ready to be searched.

use std::collections::HashMap;
use std::ops::Range;

use super::super::section::RAW_MAX;
use super::super::wire::{Wire, WireError};
use super::TEMPLATES_MAX;
use super::slot::{Slot, WORDS_MAX};
use super::split::SLOTS_MAX;
use crate::query::tokens;

/// Kinds of templates.
pub(crate) const PLAIN: u8 = 0;
pub(crate) const SPLIT: u8 = 1;

/// All templates of a block.
#[derive(Debug, Default)]
pub(crate) struct TemplateSet {
    /// The section.
    bytes: Vec<u8>,
    pub templates: Vec<Template>,
    pub slots: Vec<Slot>,
    /// Fixed parts, in `bytes`.
    pieces: Vec<Range<u32>>,
    /// The dictionary's words, in `bytes`.
    words: Vec<Range<u32>>,
    /// Tokens and variables of all templates, in order.
    items: Vec<Item>,
    /// The different tokens of the fixed parts, in lower case.
    pub vocabulary: Vec<Box<str>>,
}

/// A template.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub rows: u32,
    /// Texts as they are, of no template.
    pub is_plain: bool,
    /// One more than slots.
    pieces: Range<u32>,
    /// Its variables, among the set's.
    pub slots: Range<u32>,
    items: Range<u32>,
}

/// A token of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A fixed one, by its number in the vocabulary.
    Word(u32),
    /// A variable, by its number among all slots.
    Slot(u32),
}

impl TemplateSet {
    /// Reads the section of a column of `rows` texts.
    pub fn parse(bytes: Vec<u8>) -> Result<TemplateSet, WireError> {
        let mut set = TemplateSet::default();
        let mut wire = Wire::new(&bytes);
        let count = wire.count(TEMPLATES_MAX)?;
        for _ in 0..count {
            let rows = wire.u32_varint()?;
            let (pieces, slots) = (set.pieces.len() as u32, set.slots.len() as u32);
            let is_plain = match wire.u8()? {
                PLAIN => true,
                SPLIT => false,
                _ => return wire.fail("an unknown kind of template"),
            };
            if !is_plain {
                let variables = wire.count(SLOTS_MAX)?;
                set.read_piece(&mut wire)?;
                for _ in 0..variables {
                    set.slots.push(Slot::read(&mut wire)?);
                    set.read_piece(&mut wire)?;
                }
            }
            let (pieces, slots) = (pieces..set.pieces.len() as u32, slots..set.slots.len() as u32);
            set.templates.push(Template { rows, is_plain, pieces, slots, items: 0..0 });
        }
        let words = wire.count(WORDS_MAX)?;
        for _ in 0..words {
            let end = wire.bytes()?.len();
            let at = wire.at();
            set.words.push((at - end) as u32..at as u32);
        }
        if !wire.is_empty() {
            return wire.fail("more than templates");
        }
        set.bytes = bytes;
        set.find_tokens();
        Ok(set)
    }

    fn read_piece(&mut self, wire: &mut Wire<'_>) -> Result<(), WireError> {
        let length = wire.text()?.len();
        let at = wire.at();
        if at > RAW_MAX {
            return wire.fail("templates beyond their limit");
        }
        self.pieces.push((at - length) as u32..at as u32);
        Ok(())
    }

    /// Lists the tokens of every template.
    fn find_tokens(&mut self) {
        let mut numbers: HashMap<Box<str>, u32> = HashMap::new();
        let mut buffer = String::new();
        let mut items = Vec::new();
        for template in &mut self.templates {
            let first = items.len() as u32;
            let mut slots = template.slots.clone();
            for piece in template.pieces.clone() {
                let piece = self.pieces.get(piece as usize).cloned().unwrap_or(0..0);
                let text = self.bytes.get(piece.start as usize..piece.end as usize).unwrap_or_default();
                for token in tokens(std::str::from_utf8(text).unwrap_or_default()) {
                    let word = token.lower(&mut buffer);
                    let number = numbers.get(word).copied().unwrap_or_else(|| {
                        let number = self.vocabulary.len() as u32;
                        self.vocabulary.push(word.into());
                        numbers.insert(word.into(), number);
                        number
                    });
                    items.push(Item::Word(number));
                }
                items.extend(slots.next().map(Item::Slot));
            }
            template.items = first..items.len() as u32;
        }
        self.items = items;
    }

    /// The fixed parts of a template.
    pub fn pieces(&self, template: &Template) -> impl Iterator<Item = &[u8]> {
        let range = template.pieces.start as usize..template.pieces.end as usize;
        let pieces = self.pieces.get(range).unwrap_or_default().iter();
        pieces.map(|piece| self.bytes.get(piece.start as usize..piece.end as usize).unwrap_or_default())
    }

    /// A template as people read it: `<*>` for each variable.
    pub fn text(&self, template: &Template) -> String {
        let pieces = self.pieces(template).map(String::from_utf8_lossy);
        pieces.collect::<Vec<_>>().join("<*>")
    }

    /// The tokens of a template.
    pub fn items(&self, template: &Template) -> &[Item] {
        self.items.get(template.items.start as usize..template.items.end as usize).unwrap_or_default()
    }

    /// A word of the dictionary.
    pub fn word(&self, id: u64) -> Option<&[u8]> {
        let word = self.words.get(usize::try_from(id).ok()?)?;
        self.bytes.get(word.start as usize..word.end as usize)
    }

    /// How many words the dictionary has.
    pub fn words(&self) -> usize {
        self.words.len()
    }

    /// About the memory in use, bytes.
    pub fn memory(&self) -> usize {
        let lists: usize = self
            .slots
            .iter()
            .map(|slot| match slot {
                Slot::Words { list: Some(list), .. } => list.len() * 4,
                _ => 0,
            })
            .sum();
        self.bytes.len()
            + self.templates.len() * size_of::<Template>()
            + self.slots.len() * size_of::<Slot>()
            + (self.pieces.len() + self.words.len()) * 8
            + self.items.len() * size_of::<Item>()
            + self.vocabulary.len() * 40
            + lists
    }
}
