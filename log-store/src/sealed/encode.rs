//! Choosing the encoding of a column by what is in it.

use super::directory::Column;
use super::filter::FilterBuilder;
use super::layout::{Layout, MixedPart};
use super::presence::Presence;
use super::section::SectionWriter;
use super::source::ColumnSource;
use super::{bytes, chars, dictionary, floats, ints, templates};
use crate::values::raw::tag;
use crate::values::{ColumnName, Raw};

/// Texts below this number are not worth a plane per position.
const CHARS_MIN: usize = 64;
/// Texts in so many times the bytes of their filter, or fewer, are searched themselves: ids that ascend, say.
const FILTER_WORTH: u64 = 4;
/// A dictionary of fewer values is looked through as quickly as a filter.
const DICTIONARY_FILTER_MIN: usize = 256;

/// Writes a column of a block of `rows` rows.
pub(crate) fn encode(name: ColumnName, source: &ColumnSource<'_>, rows: usize, sections: &mut SectionWriter) -> Column {
    let presence = Presence::write(source.rows.as_deref(), rows, sections);
    let values = source.len() as u32;
    if let Some(found) = dictionary::find(source) {
        let filter = dictionary_filter(&found, sections);
        let layout = Layout::Dictionary(dictionary::write(found, sections));
        return Column { name, presence, values, layout, filter };
    }
    let length = chars::length_of(source);
    if length.is_none()
        && let Some((layout, filter)) = templates::write::write(source, sections)
    {
        return Column { name, presence, values, layout: Layout::Templates(layout), filter: Some(filter) };
    }
    let layout = encode_values(source, length, sections, true);
    let filter = filter(source, &layout, sections);
    Column { name, presence, values, layout, filter }
}

/// Writes integers of which every row has one, as they are: times and numbers.
pub(crate) fn encode_ints(kind: u8, values: &[i64], sections: &mut SectionWriter) -> Column {
    Column {
        name: ColumnName::new(kind, ""),
        presence: Presence::Every,
        values: values.len() as u32,
        layout: Layout::Ints(ints::write(values, sections)),
        filter: None,
    }
}

/// A filter of the words of a large dictionary, if all its values are texts.
fn dictionary_filter(found: &dictionary::Found<'_>, sections: &mut SectionWriter) -> Option<super::filter::Filter> {
    let is_large = found.values().count() >= DICTIONARY_FILTER_MIN;
    if !is_large || !found.values().all(|value| value.tag() == tag::TEXT) {
        return None;
    }
    let mut builder = FilterBuilder::of_words();
    found.values().filter_map(|value| std::str::from_utf8(value.bytes()).ok()).for_each(|text| builder.add(text));
    Some(builder.finish(sections))
}

/// Values of which `length` says what [`chars::length_of`] does.
fn encode_values(
    source: &ColumnSource<'_>,
    length: Option<usize>,
    sections: &mut SectionWriter,
    may_be_mixed: bool,
) -> Layout {
    match source.uniform_tag() {
        Some(tag::INT) => {
            let values: Vec<i64> = source.iter().map(|value| value.bits() as i64).collect();
            Layout::Ints(ints::write(&values, sections))
        }
        Some(tag::FLOAT) => {
            let values: Vec<f64> = source.iter().map(|value| f64::from_bits(value.bits())).collect();
            match floats::scaled(&values) {
                Some((exponent, ints)) => Layout::Scaled { exponent, pages: ints::write(&ints, sections) },
                None => Layout::Floats(floats::write(&values, sections)),
            }
        }
        Some(tag) if tag == tag::TEXT && source.len() >= CHARS_MIN => match length {
            Some(length) => {
                let (pages, characters) = chars::write(source, length, sections);
                Layout::Chars { length: length as u32, characters, pages }
            }
            None => Layout::Bytes { tag, pages: bytes::write(source, sections) },
        },
        Some(tag) if tag::has_bytes(tag) => Layout::Bytes { tag, pages: bytes::write(source, sections) },
        _ if may_be_mixed => encode_mixed(source, sections),
        // Null, true and false alone are of at most three values, which a dictionary has taken.
        _ => Layout::Bytes { tag: tag::TEXT, pages: Vec::new() },
    }
}

fn encode_mixed(source: &ColumnSource<'_>, sections: &mut SectionWriter) -> Layout {
    let tags: Vec<u8> = source.iter().map(Raw::tag).collect();
    let section = sections.add(&tags);
    let mut parts = Vec::new();
    for kind in tag::INT..tag::COUNT as u8 {
        let indexes = tags.iter().enumerate().filter(|(_, have)| **have == kind).map(|(index, _)| index);
        let picked = source.pick(indexes);
        if picked.len() > 0 {
            let layout = match dictionary::find(&picked) {
                Some(found) => Layout::Dictionary(dictionary::write(found, sections)),
                None => encode_values(&picked, chars::length_of(&picked), sections, false),
            };
            parts.push(MixedPart { tag: kind, count: picked.len() as u32, layout });
        }
    }
    Layout::Mixed { tags: section, parts }
}

/// A filter of the words of all texts; none where a dictionary tells as much, or lists hold texts too.
fn filter(source: &ColumnSource<'_>, layout: &Layout, sections: &mut SectionWriter) -> Option<super::filter::Filter> {
    let texts = || {
        source.iter().filter_map(|value| match value {
            Raw::Text(text) => std::str::from_utf8(text).ok(),
            _ => None,
        })
    };
    let mut builder = match layout {
        Layout::Chars { pages, .. } => {
            let stored: u64 = pages.iter().map(|page| u64::from(page.stored)).sum();
            if stored < FILTER_WORTH * FilterBuilder::bytes_of(source.len()) {
                return None;
            }
            let all = || source.iter().map(Raw::bytes);
            return Some(FilterBuilder::of_one_length(all, source.len()).finish(sections));
        }
        Layout::Bytes { tag: tag::TEXT, .. } => FilterBuilder::of_words(),
        Layout::Mixed { parts, .. } => {
            let has = |tag| parts.iter().any(|part| part.tag == tag);
            let has_large = parts.iter().any(|part| part.tag == tag::TEXT && !part.layout.is_dictionary());
            if !has_large || has(tag::ARRAY) || has(tag::OBJECT) {
                return None;
            }
            FilterBuilder::of_words()
        }
        _ => return None,
    };
    texts().for_each(|text| builder.add(text));
    Some(builder.finish(sections))
}
