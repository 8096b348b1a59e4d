//! The small file `queue.state`: the epoch, the consumers that must come back, and which offsets are used up.
//!
//! ```text
//! file header (see `frame`), then count × (offset u64 | name length u32 | name)
//! ```
//! It is replaced as a whole: when a consumer is new, before segments are deleted, and on closing.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::disk::Disk;
use crate::frame::{FILE_HEADER_BYTES, FileHeader, FileKind, HeaderFault, VERSION};

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateFile {
    pub epoch: u64,
    /// Offsets below were given away: a recovery that finds fewer has lost records, and must not give them again.
    pub used_offsets: u64,
    /// Each consumer with the offset below which it needs nothing.
    pub consumers: BTreeMap<String, u64>,
}

impl StateFile {
    /// Writes the file durably.
    pub(crate) fn write(&self, disk: &Disk, path: &Path, now_ms: i64) -> io::Result<()> {
        let mut body = Vec::new();
        for (name, offset) in &self.consumers {
            body.extend_from_slice(&offset.to_le_bytes());
            body.extend_from_slice(&u32::try_from(name.len()).map_err(io::Error::other)?.to_le_bytes());
            body.extend_from_slice(name.as_bytes());
        }
        let header = FileHeader {
            epoch: self.epoch,
            first_offset: 0,
            end_offset: self.used_offsets,
            base_ms: now_ms,
            count: u32::try_from(self.consumers.len()).map_err(io::Error::other)?,
            body_crc: crc32fast::hash(&body),
            version: VERSION,
        };
        disk.replace(path, &[&header.encode(FileKind::State), &body])
    }

    /// What the bytes of such a file say.
    pub(crate) fn decode(bytes: &[u8]) -> Result<StateFile, HeaderFault> {
        let header = FileHeader::decode(FileKind::State, bytes)?;
        let mut rest = bytes.get(FILE_HEADER_BYTES..).unwrap_or_default();
        if crc32fast::hash(rest) != header.body_crc {
            return Err(HeaderFault::Damaged);
        }
        let mut consumers = BTreeMap::new();
        for _ in 0..header.count {
            let (name, offset, after) = entry(rest).ok_or(HeaderFault::Damaged)?;
            consumers.insert(name, offset);
            rest = after;
        }
        Ok(StateFile { epoch: header.epoch, used_offsets: header.end_offset, consumers })
    }
}

fn entry(bytes: &[u8]) -> Option<(String, u64, &[u8])> {
    let (offset, rest) = bytes.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((String::from_utf8(name.to_vec()).ok()?, u64::from_le_bytes(*offset), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_comes_back_and_every_flip_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("queue.state");
        let consumers = BTreeMap::from([("store".to_owned(), 7), (String::new(), u64::MAX), ("ümlaut".to_owned(), 0)]);
        let state = StateFile { epoch: 3, used_offsets: 9, consumers };
        state.write(&Disk::default(), &path, 1).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        assert_eq!(StateFile::decode(&bytes), Ok(state));
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert_eq!(StateFile::decode(&bytes), Err(HeaderFault::Damaged), "byte {at}");
            bytes[at] ^= 1;
            assert_eq!(StateFile::decode(&bytes[..at]), Err(HeaderFault::Damaged), "cut at {at}");
        }
    }
}
