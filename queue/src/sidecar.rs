//! The keys of a full segment in a file of their own, which outlives the segment.
//!
//! It is written once, when the segment is full, and holds what opening needs to know of the segment: so opening
//! does not read full segments, and a segment is deleted only when its keys stand here.
//!
//! ```text
//! file header (see `frame`), then count × (key 16 bytes, see `batch` | offset - first_offset u32 | time - base_ms u32)
//! ```
//! Offsets ascend. Times are milliseconds, cut to what 32 bits hold.

use std::io;
use std::path::Path;

use crate::batch::DedupKey;
use crate::disk::Disk;
use crate::frame::{FILE_HEADER_BYTES, FileHeader, FileKind, HeaderFault, VERSION, u32_at};

pub(crate) const ENTRY_BYTES: usize = 24;

/// A key with the record that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeptKey {
    pub key: DedupKey,
    pub offset: u64,
    pub accepted_ms: i64,
}

/// What is known of a full segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentKeys {
    pub first_offset: u64,
    pub end_offset: u64,
    pub keys: Vec<KeptKey>,
}

impl SegmentKeys {
    /// Writes the file durably; returns its bytes.
    pub(crate) fn write(&self, disk: &Disk, path: &Path, epoch: u64) -> io::Result<u64> {
        let base_ms = self.keys.iter().map(|kept| kept.accepted_ms).min().unwrap_or(0);
        let mut body = Vec::with_capacity(self.keys.len() * ENTRY_BYTES);
        for kept in &self.keys {
            let delta = u32::try_from(kept.offset - self.first_offset).map_err(io::Error::other)?;
            let age = u32::try_from(kept.accepted_ms.saturating_sub(base_ms)).unwrap_or(u32::MAX);
            body.extend_from_slice(&kept.key.to_bytes());
            body.extend_from_slice(&delta.to_le_bytes());
            body.extend_from_slice(&age.to_le_bytes());
        }
        let header = FileHeader {
            epoch,
            first_offset: self.first_offset,
            end_offset: self.end_offset,
            base_ms,
            count: u32::try_from(self.keys.len()).map_err(io::Error::other)?,
            body_crc: crc32fast::hash(&body),
            version: VERSION,
        };
        disk.replace(path, &[&header.encode(FileKind::Keys), &body])?;
        Ok((FILE_HEADER_BYTES + body.len()) as u64)
    }

    /// What the bytes of such a file say.
    pub(crate) fn decode(bytes: &[u8], epoch: u64) -> Result<SegmentKeys, HeaderFault> {
        let header = FileHeader::decode(FileKind::Keys, bytes)?;
        let body = bytes.get(FILE_HEADER_BYTES..).ok_or(HeaderFault::Damaged)?;
        let whole = body.len() == header.count as usize * ENTRY_BYTES && crc32fast::hash(body) == header.body_crc;
        if !whole || header.epoch != epoch || header.end_offset < header.first_offset {
            return Err(HeaderFault::Damaged);
        }
        let entry = |bytes: &[u8; ENTRY_BYTES]| KeptKey {
            key: DedupKey::from_bytes(*bytes.first_chunk().expect("an entry has 24 bytes"), header.version),
            offset: header.first_offset.saturating_add(u64::from(u32_at(bytes, 16))),
            accepted_ms: header.base_ms.saturating_add(i64::from(u32_at(bytes, 20))),
        };
        let keys = body.as_chunks::<ENTRY_BYTES>().0.iter().map(entry).collect();
        Ok(SegmentKeys { first_offset: header.first_offset, end_offset: header.end_offset, keys })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_and_every_flip_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.keys");
        let key = |n: u8| KeptKey {
            key: DedupKey::new([n; 16]).with_contents(u32::from(n)),
            offset: 100 + u64::from(n),
            accepted_ms: 1_000_000 + i64::from(n),
        };
        let written = SegmentKeys { first_offset: 100, end_offset: 200, keys: vec![key(1), key(7), key(90)] };
        let size = written.write(&Disk::default(), &path, 5).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, size);
        assert_eq!(SegmentKeys::decode(&bytes, 5), Ok(written));
        assert_eq!(SegmentKeys::decode(&bytes, 6), Err(HeaderFault::Damaged));
        for at in 0..bytes.len() {
            bytes[at] ^= 0x20;
            assert_eq!(SegmentKeys::decode(&bytes, 5), Err(HeaderFault::Damaged), "byte {at}");
            bytes[at] ^= 0x20;
            assert_eq!(SegmentKeys::decode(&bytes[..at], 5), Err(HeaderFault::Damaged), "cut at {at}");
        }
    }
}
