//! How the values of a column are encoded, as the directory says it.

use super::bytes::BytesPage;
use super::chars::CharacterSet;
use super::dictionary::Dictionary;
use super::floats::FloatPage;
use super::ints::IntPage;
use super::section::Section;
use super::templates::Templates;
use super::wire::{Wire, WireError, put_varint};
use crate::values::raw::tag;

/// An encoding and where its sections lie.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Layout {
    /// Few different values of any kind.
    Dictionary(Dictionary),
    /// Integers.
    Ints(Vec<IntPage>),
    /// Floats that are integers over a power of ten.
    Scaled { exponent: u8, pages: Vec<IntPage> },
    /// Floats as bits.
    Floats(Vec<FloatPage>),
    /// Texts of one length, a page each.
    Chars { length: u32, characters: CharacterSet, pages: Vec<Section> },
    /// Texts, lists or objects.
    Bytes { tag: u8, pages: Vec<BytesPage> },
    /// Texts as templates and variables.
    Templates(Templates),
    /// Values of several kinds: the kind of each, and a layout for each kind that has more than its kind.
    Mixed { tags: Section, parts: Vec<MixedPart> },
}

/// The values of one kind in a mixed column, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MixedPart {
    pub tag: u8,
    pub count: u32,
    pub layout: Layout,
}

const DICTIONARY: u8 = 1;
const INTS: u8 = 2;
const SCALED: u8 = 3;
const FLOATS: u8 = 4;
const CHARS: u8 = 5;
const BYTES: u8 = 6;
const MIXED: u8 = 7;
/// From version 2 on.
const TEMPLATES: u8 = 8;

/// Most pages of a column.
const PAGES_MAX: usize = 1 << 24;

fn put_all<T>(out: &mut Vec<u8>, items: &[T], put: impl Fn(&T, &mut Vec<u8>)) {
    put_varint(out, items.len() as u64);
    items.iter().for_each(|item| put(item, out));
}

fn read_all<T>(wire: &mut Wire<'_>, read: impl Fn(&mut Wire<'_>) -> Result<T, WireError>) -> Result<Vec<T>, WireError> {
    let count = wire.count(PAGES_MAX)?;
    (0..count).map(|_| read(wire)).collect()
}

impl Layout {
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Layout::Dictionary(dictionary) => {
                out.push(DICTIONARY);
                dictionary.put(out);
            }
            Layout::Ints(pages) => {
                out.push(INTS);
                put_all(out, pages, IntPage::put);
            }
            Layout::Scaled { exponent, pages } => {
                out.extend([SCALED, *exponent]);
                put_all(out, pages, IntPage::put);
            }
            Layout::Floats(pages) => {
                out.push(FLOATS);
                put_all(out, pages, FloatPage::put);
            }
            Layout::Chars { length, characters, pages } => {
                out.push(CHARS);
                put_varint(out, u64::from(*length));
                out.extend_from_slice(&characters.0.to_le_bytes());
                put_all(out, pages, Section::put);
            }
            Layout::Bytes { tag, pages } => {
                out.extend([BYTES, *tag]);
                put_all(out, pages, BytesPage::put);
            }
            Layout::Templates(templates) => {
                out.push(TEMPLATES);
                templates.put(out);
            }
            Layout::Mixed { tags, parts } => {
                out.push(MIXED);
                tags.put(out);
                put_all(out, parts, |part, out| {
                    out.push(part.tag);
                    put_varint(out, u64::from(part.count));
                    part.layout.put(out);
                });
            }
        }
    }

    pub fn read(wire: &mut Wire<'_>) -> Result<Layout, WireError> {
        Layout::read_nested(wire, true)
    }

    fn read_nested(wire: &mut Wire<'_>, may_be_mixed: bool) -> Result<Layout, WireError> {
        Ok(match wire.u8()? {
            DICTIONARY => Layout::Dictionary(Dictionary::read(wire)?),
            INTS => Layout::Ints(read_all(wire, IntPage::read)?),
            SCALED => Layout::Scaled { exponent: wire.u8()?, pages: read_all(wire, IntPage::read)? },
            FLOATS => Layout::Floats(read_all(wire, FloatPage::read)?),
            CHARS => {
                let length = wire.u32_varint()?;
                if length as usize > super::chars::LENGTH_MAX {
                    return wire.fail("texts beyond their length");
                }
                let low = u128::from(wire.u64()?);
                let characters = CharacterSet(low | u128::from(wire.u64()?) << 64);
                Layout::Chars { length, characters, pages: read_all(wire, Section::read)? }
            }
            BYTES => {
                let tag = wire.u8()?;
                if !tag::has_bytes(tag) || usize::from(tag) >= tag::COUNT {
                    return wire.fail("bytes of an unknown kind");
                }
                Layout::Bytes { tag, pages: read_all(wire, BytesPage::read)? }
            }
            TEMPLATES => Layout::Templates(Templates::read(wire)?),
            MIXED if may_be_mixed => Layout::Mixed {
                tags: Section::read(wire)?,
                parts: read_all(wire, |wire| {
                    let (tag, count) = (wire.u8()?, wire.u32_varint()?);
                    Ok(MixedPart { tag, count, layout: Layout::read_nested(wire, false)? })
                })?,
            },
            _ => return wire.fail("an unknown encoding"),
        })
    }

    /// Visits every section.
    pub fn each_section(&self, visit: &mut dyn FnMut(&Section)) {
        match self {
            Layout::Dictionary(dictionary) => {
                visit(&dictionary.entries);
                dictionary.planes.iter().for_each(visit);
            }
            Layout::Ints(pages) | Layout::Scaled { pages, .. } => pages.iter().for_each(|page| visit(&page.section)),
            Layout::Floats(pages) => pages.iter().for_each(|page| visit(&page.section)),
            Layout::Chars { pages, .. } => pages.iter().for_each(visit),
            Layout::Bytes { pages, .. } => pages.iter().for_each(|page| visit(&page.section)),
            Layout::Templates(templates) => templates.each_section(visit),
            Layout::Mixed { tags, parts } => {
                visit(tags);
                parts.iter().for_each(|part| part.layout.each_section(visit));
            }
        }
    }

    /// Whether each value stands in a dictionary.
    pub fn is_dictionary(&self) -> bool {
        matches!(self, Layout::Dictionary(_))
    }
}
