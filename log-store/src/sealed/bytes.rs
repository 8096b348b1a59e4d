//! Pages of texts (or encoded lists and objects): lengths, then the bytes, compressed together.
//!
//! ```text
//! page = width u8 (1, 2 or 4) | length × count | bytes
//! ```

use super::PAGE_VALUES;
use super::section::{Section, SectionWriter};
use super::source::ColumnSource;
use super::wire::{Wire, WireError, put_varint};

/// Bytes after which a page ends; small, so that the few hits of a search decode little.
const PAGE_BYTES: usize = 128 << 10;

/// Where a page lies, and how many values it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BytesPage {
    pub section: Section,
    pub count: u32,
}

impl BytesPage {
    pub fn put(&self, out: &mut Vec<u8>) {
        self.section.put(out);
        put_varint(out, u64::from(self.count));
    }

    pub fn read(wire: &mut Wire<'_>) -> Result<BytesPage, WireError> {
        Ok(BytesPage { section: Section::read(wire)?, count: wire.u32_varint()? })
    }
}

/// Writes all values as pages.
pub(crate) fn write(source: &ColumnSource<'_>, sections: &mut SectionWriter) -> Vec<BytesPage> {
    let mut pages = Vec::new();
    let mut page = Vec::with_capacity(PAGE_BYTES * 2);
    let mut start = 0;
    while start < source.len() {
        let (mut end, mut bytes) = (start, 0);
        while end < source.len() && end - start < PAGE_VALUES && (bytes < PAGE_BYTES || end == start) {
            bytes += source.get(end).bytes().len();
            end += 1;
        }
        page.clear();
        put_page(&mut page, (start..end).map(|index| source.get(index).bytes()));
        pages.push(BytesPage { section: sections.add(&page), count: (end - start) as u32 });
        start = end;
    }
    pages
}

/// Appends a page of these values.
pub(crate) fn put_page<'v>(page: &mut Vec<u8>, values: impl Iterator<Item = &'v [u8]> + Clone) {
    let width = match values.clone().map(<[u8]>::len).max().unwrap_or(0) {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 4,
    };
    page.push(width as u8);
    for value in values.clone() {
        let length = value.len() as u32;
        page.extend_from_slice(length.to_le_bytes().get(..width).unwrap_or_default());
    }
    values.for_each(|value| page.extend_from_slice(value));
}

/// A page, read.
#[derive(Debug)]
pub(crate) struct Texts {
    /// Where each value ends in `bytes`.
    pub ends: Vec<u32>,
    page: Vec<u8>,
    /// Where the bytes begin in `page`.
    start: usize,
}

impl Texts {
    /// Reads a page of `count` values.
    pub fn read(page: Vec<u8>, count: usize) -> Result<Texts, WireError> {
        let mut wire = Wire::new(&page);
        let width = usize::from(wire.u8()?);
        if !matches!(width, 1 | 2 | 4) {
            return wire.fail("lengths of an unknown width");
        }
        let lengths = wire.take(count.saturating_mul(width))?;
        let (ends, end) = match width {
            1 => ends_of(lengths.iter().map(|length| u32::from(*length))),
            2 => ends_of(lengths.as_chunks().0.iter().map(|length| u32::from(u16::from_le_bytes(*length)))),
            _ => ends_of(lengths.as_chunks().0.iter().map(|length| u32::from_le_bytes(*length))),
        };
        if end != wire.rest().len() as u64 || end > u64::from(u32::MAX) {
            return wire.fail("texts of another length");
        }
        let start = 1 + count * width;
        Ok(Texts { ends, page, start })
    }

    /// All bytes, one value after the other.
    pub fn bytes(&self) -> &[u8] {
        self.page.get(self.start..).unwrap_or_default()
    }

    /// Calls back with each value that is UTF-8, in order.
    pub fn each_text(&self, mut each: impl FnMut(&str)) {
        // Looked at as a whole they are looked at quickly.
        let whole = std::str::from_utf8(self.bytes()).ok();
        let mut start = 0;
        for end in self.ends.iter().map(|end| *end as usize) {
            let text = match whole {
                Some(whole) => whole.get(start..end),
                None => self.bytes().get(start..end).and_then(|bytes| std::str::from_utf8(bytes).ok()),
            };
            text.into_iter().for_each(&mut each);
            start = end;
        }
    }

    pub fn range(&self, index: usize) -> std::ops::Range<usize> {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        start as usize..self.ends.get(index).copied().unwrap_or(start) as usize
    }

    pub fn get(&self, index: usize) -> &[u8] {
        self.bytes().get(self.range(index)).unwrap_or_default()
    }
}

/// Where values of these lengths end, and the end of the last one before it was cut to 32 bits.
fn ends_of(lengths: impl ExactSizeIterator<Item = u32>) -> (Vec<u32>, u64) {
    let mut end = 0u64;
    let ends = lengths.map(|length| {
        end += u64::from(length);
        end as u32
    });
    (ends.collect(), end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::section::decompress;
    use crate::values::{Arena, Raw};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_read_back(texts in prop::collection::vec(prop_oneof![".{0,20}", "x{200,400}", Just("y".repeat(70_000))], 1..40)) {
            let mut arena = Arena::default();
            texts.iter().for_each(|text| arena.push_next(Raw::Text(text.as_bytes())));
            let mut sections = SectionWriter::default();
            let pages = write(&ColumnSource::plain(&arena), &mut sections);
            let (mut back, mut each) = (Vec::new(), Vec::new());
            for page in pages {
                let at = page.section.offset as usize;
                let stored = &sections.file[at..at + page.section.stored as usize];
                let raw = match page.section.raw {
                    0 => stored.to_vec(),
                    raw => decompress(stored, raw as usize).expect("just written"),
                };
                let read = Texts::read(raw, page.count as usize).expect("just written");
                back.extend((0..page.count as usize).map(|index| read.get(index).to_vec()));
                read.each_text(|text| each.push(text.to_owned()));
            }
            prop_assert_eq!(&each, &texts);
            let texts: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
            prop_assert_eq!(back, texts);
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..60), count in 0usize..20) {
            if let Ok(page) = Texts::read(bytes, count) {
                (0..count).for_each(|index| { page.get(index); });
                page.each_text(|_| {});
            }
        }
    }
}
