//! Sections: stretches of a block's file, compressed where that pays, each with a checksum.

use std::cell::RefCell;
use std::sync::Arc;

use super::templates::set::TemplateSet;
use super::wire::{Wire, WireError, put_varint};

/// Level of zstd; 3 gains next to nothing on log columns.
const ZSTD_LEVEL: i32 = 1;
/// Bytes below which nothing is compressed.
const COMPRESS_MIN: usize = 48;
/// Largest section in memory, bytes.
pub(crate) const RAW_MAX: usize = 1 << 30;

thread_local! {
    // Contexts are costly to make and hold no state between calls.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Where a section lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub offset: u64,
    /// Bytes in the file.
    pub stored: u32,
    /// Bytes after decompression; 0 if it is stored as it is.
    pub raw: u32,
    /// CRC-32 of the bytes in the file.
    pub crc: u32,
}

impl Section {
    pub fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.offset);
        put_varint(out, u64::from(self.stored));
        put_varint(out, u64::from(self.raw));
        out.extend_from_slice(&self.crc.to_le_bytes());
    }

    pub fn read(wire: &mut Wire<'_>) -> Result<Section, WireError> {
        let section =
            Section { offset: wire.varint()?, stored: wire.u32_varint()?, raw: wire.u32_varint()?, crc: wire.u32()? };
        if section.raw as usize > RAW_MAX || section.stored as usize > RAW_MAX {
            return wire.fail("a section beyond its limit");
        }
        Ok(section)
    }
}

/// Compresses into `out`; `None` (and `out` as before) if that saves less than a sixteenth.
pub(crate) fn compress(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if bytes.len() < COMPRESS_MIN {
        return None;
    }
    let start = out.len();
    let bound = zstd::zstd_safe::compress_bound(bytes.len());
    out.resize(start + bound, 0);
    let written = COMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
        }
        slot.as_mut()?.compress_to_buffer(bytes, out.get_mut(start..)?).ok()
    });
    match written.filter(|written| *written < bytes.len() - bytes.len() / 16) {
        Some(written) => {
            out.truncate(start + written);
            Some(())
        }
        None => {
            out.truncate(start);
            None
        }
    }
}

/// Decompresses exactly `raw` bytes; `None` if the input is not that.
pub(crate) fn decompress(bytes: &[u8], raw: usize) -> Option<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = zstd::bulk::Decompressor::new().ok();
        }
        let out = slot.as_mut()?.decompress(bytes, raw).ok()?;
        (out.len() == raw).then_some(out)
    })
}

/// Whether bytes look as if they could be compressed at all, by how often each value comes.
pub(crate) fn looks_compressible(bytes: &[u8]) -> bool {
    if bytes.len() < COMPRESS_MIN {
        return false;
    }
    let mut counts = [0u32; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    let total = bytes.len() as f64;
    let bits: f64 =
        counts.iter().filter(|count| **count > 0).map(|c| f64::from(*c) * (total / f64::from(*c)).log2()).sum();
    bits < total * 7.2
}

/// The sections of a block on their way to its file.
#[derive(Debug, Default)]
pub(crate) struct SectionWriter {
    /// The file from its first byte.
    pub file: Vec<u8>,
}

impl SectionWriter {
    /// Adds a section, compressed if that pays.
    pub fn add(&mut self, bytes: &[u8]) -> Section {
        let offset = self.file.len();
        let raw = match compress(bytes, &mut self.file) {
            Some(()) => bytes.len() as u32,
            None => {
                self.file.extend_from_slice(bytes);
                0
            }
        };
        self.finish(offset, raw)
    }

    /// Adds a section as it is.
    pub fn add_raw(&mut self, bytes: &[u8]) -> Section {
        let offset = self.file.len();
        self.file.extend_from_slice(bytes);
        self.finish(offset, 0)
    }

    fn finish(&self, offset: usize, raw: u32) -> Section {
        let stored = self.file.get(offset..).unwrap_or_default();
        Section { offset: offset as u64, stored: stored.len() as u32, raw, crc: crc32fast::hash(stored) }
    }
}

/// Reads sections. The one kind of failure is a reason in words.
pub(crate) trait ReadSections {
    /// The bytes of a section, checked and decompressed.
    fn section(&self, section: &Section) -> Result<Vec<u8>, String>;

    /// The templates in a section. Whoever keeps them for the next time has another way.
    fn templates(&self, section: &Section) -> Result<Arc<TemplateSet>, String> {
        TemplateSet::parse(self.section(section)?).map(Arc::new).map_err(|error| error.to_string())
    }

    /// A stretch of the file that has a checksum of its own inside.
    fn stretch(&self, offset: u64, length: usize) -> Result<Vec<u8>, String>;
}

/// Appends a plane: a byte that says whether it is compressed, its stored length, its bytes. Its raw length is known
/// to the reader.
pub(crate) fn put_plane(out: &mut Vec<u8>, plane: &[u8]) {
    if looks_compressible(plane) {
        let mut packed = Vec::new();
        if compress(plane, &mut packed).is_some() {
            out.push(1);
            put_varint(out, packed.len() as u64);
            out.extend_from_slice(&packed);
            return;
        }
    }
    out.push(0);
    put_varint(out, plane.len() as u64);
    out.extend_from_slice(plane);
}

/// Reads what [`put_plane`] wrote.
pub(crate) fn read_plane<'a>(wire: &mut Wire<'a>, raw: usize) -> Result<std::borrow::Cow<'a, [u8]>, WireError> {
    let is_packed = wire.u8()? == 1;
    let bytes = wire.bytes()?;
    if is_packed {
        return match decompress(bytes, raw) {
            Some(plane) => Ok(plane.into()),
            None => wire.fail("a plane that does not decompress"),
        };
    }
    if bytes.len() != raw {
        return wire.fail("a plane of another length");
    }
    Ok(bytes.into())
}
