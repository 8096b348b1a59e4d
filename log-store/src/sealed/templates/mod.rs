//! Texts as templates and variables: "login of user 17 failed" is the template "login of user _ failed" and 17.
//!
//! A variable is always one whole token of the search language, never part of one, so that words and phrases are
//! answered by the templates and by whole values. Which tokens are variables is found anew for each block
//! ([`split`], [`mine`]): those with a digit and the seldom ones or, where such templates do not repeat, all of them.
//! A block so is complete by itself, and what is no longer seen is forgotten with it.
//!
//! ```text
//! dictionary = templates: count varint, template × count | words: count varint, bytes × count
//! template   = rows varint | kind u8 (0 texts as they are, 1 split) | if split: slots varint, piece: bytes, (slot, piece: bytes) × slots
//! ```
//! The id of each row stands in bit planes, as in a dictionary column; ids go by frequency. The values of a slot
//! ([`slot`]) are in the order of the rows of its template, many slots together in a section ([`groups`]). Texts that
//! fit no template are in pages of their own.

mod analyse;
pub(crate) mod groups;
pub(crate) mod mine;
pub(crate) mod pack;
pub(crate) mod reader;
pub(crate) mod set;
pub(crate) mod slot;
pub(crate) mod split;
pub(crate) mod values;
pub(crate) mod write;

use super::bytes::BytesPage;
use super::section::Section;
use super::wire::{Wire, WireError, put_varint};

/// Where a column of templates lies.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Templates {
    pub dictionary: Section,
    /// One per bit of a template's id, the lowest first.
    pub planes: Vec<Section>,
    /// The values of slots.
    pub groups: Vec<Section>,
    /// Texts of no template.
    pub plain: Vec<BytesPage>,
}

/// Most templates of a block.
pub(crate) const TEMPLATES_MAX: usize = 8192;
/// Most bits of a template's id.
const ID_BITS_MAX: u8 = 14;
/// Most sections of values, and most pages of texts.
const SECTIONS_MAX: usize = 1 << 20;

impl Templates {
    pub fn put(&self, out: &mut Vec<u8>) {
        self.dictionary.put(out);
        out.push(self.planes.len() as u8);
        self.planes.iter().for_each(|plane| plane.put(out));
        put_varint(out, self.groups.len() as u64);
        self.groups.iter().for_each(|group| group.put(out));
        put_varint(out, self.plain.len() as u64);
        self.plain.iter().for_each(|page| page.put(out));
    }

    pub fn read(wire: &mut Wire<'_>) -> Result<Templates, WireError> {
        let dictionary = Section::read(wire)?;
        let bits = wire.u8()?;
        if bits > ID_BITS_MAX {
            return wire.fail("ids of too many bits");
        }
        let planes: Result<Vec<Section>, WireError> = (0..bits).map(|_| Section::read(wire)).collect();
        let groups = wire.count(SECTIONS_MAX)?;
        let groups: Result<Vec<Section>, WireError> = (0..groups).map(|_| Section::read(wire)).collect();
        let plain = wire.count(SECTIONS_MAX)?;
        let plain: Result<Vec<BytesPage>, WireError> = (0..plain).map(|_| BytesPage::read(wire)).collect();
        Ok(Templates { dictionary, planes: planes?, groups: groups?, plain: plain? })
    }

    /// Visits every section.
    pub fn each_section(&self, visit: &mut dyn FnMut(&Section)) {
        visit(&self.dictionary);
        self.planes.iter().chain(&self.groups).for_each(&mut *visit);
        self.plain.iter().for_each(|page| visit(&page.section));
    }
}
