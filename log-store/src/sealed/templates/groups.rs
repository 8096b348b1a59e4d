//! Many short runs of bytes together in a section: those that do not compress as they are, the others compressed.

use super::super::section::{Section, SectionWriter};
use super::super::wire::{Wire, WireError, put_varint};

/// Bytes after which a section ends.
const GROUP_BYTES: usize = 64 << 10;

/// Where a run of bytes lies; one of no bytes lies nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Number of the section.
    pub group: u32,
    pub offset: u32,
    pub length: u32,
}

impl Place {
    pub fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.group));
        put_varint(out, u64::from(self.offset));
        put_varint(out, u64::from(self.length));
    }

    pub fn read(wire: &mut Wire<'_>) -> Result<Place, WireError> {
        Ok(Place { group: wire.u32_varint()?, offset: wire.u32_varint()?, length: wire.u32_varint()? })
    }

    /// The run, in its section.
    pub fn of<'b>(&self, section: &'b [u8]) -> Option<&'b [u8]> {
        let start = self.offset as usize;
        section.get(start..start.checked_add(self.length as usize)?)
    }
}

/// A section that is being filled.
#[derive(Debug, Default)]
struct Filling {
    bytes: Vec<u8>,
    number: usize,
}

/// Sections of runs on their way to the file.
#[derive(Debug, Default)]
pub(crate) struct GroupWriter {
    groups: Vec<Option<Section>>,
    dense: Filling,
    loose: Filling,
}

impl GroupWriter {
    /// Adds a run; one that is `loose` may be compressed.
    pub fn add(&mut self, bytes: &[u8], loose: bool, sections: &mut SectionWriter) -> Place {
        if bytes.is_empty() {
            return Place { group: 0, offset: 0, length: 0 };
        }
        let filling = if loose { &mut self.loose } else { &mut self.dense };
        if filling.bytes.is_empty() {
            filling.number = self.groups.len();
            self.groups.push(None);
        }
        let offset = filling.bytes.len() as u32;
        filling.bytes.extend_from_slice(bytes);
        let place = Place { group: filling.number as u32, offset, length: bytes.len() as u32 };
        if filling.bytes.len() >= GROUP_BYTES {
            self.end(loose, sections);
        }
        place
    }

    fn end(&mut self, loose: bool, sections: &mut SectionWriter) {
        let filling = if loose { &mut self.loose } else { &mut self.dense };
        if filling.bytes.is_empty() {
            return;
        }
        if let Some(slot) = self.groups.get_mut(filling.number) {
            *slot = Some(if loose { sections.add(&filling.bytes) } else { sections.add_raw(&filling.bytes) });
        }
        filling.bytes.clear();
    }

    /// The sections, in the order of their numbers.
    pub fn finish(mut self, sections: &mut SectionWriter) -> Vec<Section> {
        self.end(true, sections);
        self.end(false, sections);
        self.groups.into_iter().flatten().collect()
    }
}
