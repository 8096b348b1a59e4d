//! The layout of files and frames.
//!
//! Every file begins with a header of 64 bytes, whose form is the same in all versions:
//!
//! ```text
//! offset  0  magic         8 bytes  "WFQUESEG" segment, "WFQUEKEY" keys of a segment, "WFQUESTA" state
//!         8  version       u32      3; segments of version 1 have no checkpoints, keys before version 3 no
//!                                   fingerprints; segments of another version are not written to any more
//!        12  header_crc    u32      crc32 of bytes 0..12 and 16..64
//!        16  epoch         u64      made when the folder was made; the same in all its files
//!        24  first_offset  u64      segment, keys: offset of the first record
//!        32  end_offset    u64      keys: offset after the last record; state: offsets below were given away
//!        40  base_ms       i64      keys: what the times of the entries count from; else when it was made
//!        48  count         u32      keys, state: entries that follow
//!        52  body_crc      u32      keys, state: crc32 of all that follows the header
//!        56  zero          8 bytes
//! ```
//!
//! A segment goes on with frames. A commit writes one or more frames and then calls fdatasync; nothing is
//! acknowledged before that, and the next commit starts after it. So a bad frame with a good one of a later commit
//! behind it was acknowledged once and is damaged; a bad frame with nothing good behind it is a torn tail. Zeros behind the
//! last frame are room for others.
//!
//! ```text
//! offset  0  magic         4 bytes  "WFqf"
//!         4  header_crc    u32      crc32 of bytes 8..64
//!         8  epoch         u64      the file's: bytes of another queue are never taken for a frame of this one
//!        16  first_offset  u64      offset of the first record; the others follow without gaps
//!        24  accepted_ms   i64      when the commit was made; what keys expire by
//!        32  record_count  u32      0 only if there are checkpoints
//!        36  key_count     u32      up to two for each record: its own, and that of its request
//!        40  records_bytes u32
//!        44  body_crc      u32      crc32 of all that follows the header
//!        48  flags         u32      bit 0: not the first frame of its commit; bit 1: names all checkpoints
//!        52  checkpoint_bytes u32
//!        56  zero          8 bytes
//!        64  keys          key_count × (record index in the frame u32 | key 16 bytes, see `batch`), indices ascend
//!            checkpoints   see `checkpoint`; those of records of this frame
//!            records       (length u32 | bytes)*, see `batch`
//! ```

use crate::batch::DedupKey;

pub(crate) const VERSION: u32 = 3;
/// Segments of earlier versions have no checkpoints.
pub(crate) const CHECKPOINTS_SINCE_VERSION: u32 = 2;
/// Keys of earlier versions have no fingerprints of contents.
pub(crate) const CONTENTS_SINCE_VERSION: u32 = 3;
pub(crate) const FILE_HEADER_BYTES: usize = 64;
pub(crate) const FRAME_HEADER_BYTES: usize = 64;
pub(crate) const KEY_BYTES: usize = 20;
pub(crate) const FRAME_MAGIC: [u8; 4] = *b"WFqf";

const FLAG_CONTINUES: u32 = 1;
const FLAG_NAMES_ALL: u32 = 2;

/// Which kind of file a header begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Segment,
    Keys,
    State,
}

impl FileKind {
    fn magic(self) -> &'static [u8; 8] {
        match self {
            FileKind::Segment => b"WFQUESEG",
            FileKind::Keys => b"WFQUEKEY",
            FileKind::State => b"WFQUESTA",
        }
    }
}

/// The first 64 bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct FileHeader {
    pub epoch: u64,
    pub first_offset: u64,
    pub end_offset: u64,
    pub base_ms: i64,
    pub count: u32,
    pub body_crc: u32,
    /// Of the file that was read; always written as the newest.
    pub version: u32,
}

/// Why a file's header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// Too short, of another kind, or its checksum is wrong.
    Damaged,
    /// Written by a newer version of the program.
    Newer(u32),
}

impl FileHeader {
    pub(crate) fn encode(&self, kind: FileKind) -> [u8; FILE_HEADER_BYTES] {
        let mut bytes = [0; FILE_HEADER_BYTES];
        bytes[0..8].copy_from_slice(kind.magic());
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_offset.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.end_offset.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.base_ms.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.count.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = file_header_crc(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(kind: FileKind, bytes: &[u8]) -> Result<FileHeader, HeaderFault> {
        let bytes: &[u8; FILE_HEADER_BYTES] = bytes.first_chunk().ok_or(HeaderFault::Damaged)?;
        if &bytes[0..8] != kind.magic() || u32_at(bytes, 12) != file_header_crc(bytes) {
            return Err(HeaderFault::Damaged);
        }
        let version = u32_at(bytes, 8);
        if version > VERSION {
            return Err(HeaderFault::Newer(version));
        }
        Ok(FileHeader {
            epoch: u64_at(bytes, 16),
            first_offset: u64_at(bytes, 24),
            end_offset: u64_at(bytes, 32),
            base_ms: u64_at(bytes, 40) as i64,
            count: u32_at(bytes, 48),
            body_crc: u32_at(bytes, 52),
            version,
        })
    }
}

fn file_header_crc(bytes: &[u8; FILE_HEADER_BYTES]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..12]);
    hasher.update(&bytes[16..]);
    hasher.finalize()
}

/// The first 64 bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub epoch: u64,
    pub first_offset: u64,
    pub accepted_ms: i64,
    pub record_count: u32,
    pub key_count: u32,
    pub records_bytes: u32,
    pub body_crc: u32,
    pub checkpoint_bytes: u32,
    /// Not the first frame of its commit.
    pub continues: bool,
    /// Its checkpoints are all that there are.
    pub names_all: bool,
}

impl FrameHeader {
    pub(crate) fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&FRAME_MAGIC);
        bytes[8..16].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_offset.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.accepted_ms.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.record_count.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.key_count.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.records_bytes.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.body_crc.to_le_bytes());
        let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
        let flags = flag(self.continues, FLAG_CONTINUES) | flag(self.names_all, FLAG_NAMES_ALL);
        bytes[48..52].copy_from_slice(&flags.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.checkpoint_bytes.to_le_bytes());
        let crc = crc32fast::hash(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header, if its magic, checksum, epoch and sums are right.
    pub(crate) fn decode(bytes: &[u8], epoch: u64) -> Option<FrameHeader> {
        let bytes: &[u8; FRAME_HEADER_BYTES] = bytes.first_chunk()?;
        if bytes[0..4] != FRAME_MAGIC || u32_at(bytes, 4) != crc32fast::hash(&bytes[8..]) {
            return None;
        }
        let header = FrameHeader {
            epoch: u64_at(bytes, 8),
            first_offset: u64_at(bytes, 16),
            accepted_ms: u64_at(bytes, 24) as i64,
            record_count: u32_at(bytes, 32),
            key_count: u32_at(bytes, 36),
            records_bytes: u32_at(bytes, 40),
            body_crc: u32_at(bytes, 44),
            checkpoint_bytes: u32_at(bytes, 52),
            continues: u32_at(bytes, 48) & FLAG_CONTINUES != 0,
            names_all: u32_at(bytes, 48) & FLAG_NAMES_ALL != 0,
        };
        let ends = header.first_offset.checked_add(u64::from(header.record_count)).is_some();
        let has_content = header.record_count > 0 || header.checkpoint_bytes > 0;
        let keys_max = header.record_count.saturating_mul(2);
        (header.epoch == epoch && has_content && header.key_count <= keys_max && ends).then_some(header)
    }

    /// Offset after the last record. `decode` and the committer rule out an overflow.
    pub(crate) fn end_offset(&self) -> u64 {
        self.first_offset + u64::from(self.record_count)
    }

    pub(crate) fn keys_bytes(&self) -> usize {
        self.key_count as usize * KEY_BYTES
    }

    /// Bytes after the header.
    pub(crate) fn body_bytes(&self) -> usize {
        self.keys_bytes() + self.checkpoint_bytes as usize + self.records_bytes as usize
    }

    /// Bytes with the header.
    pub(crate) fn frame_bytes(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + self.body_bytes() as u64
    }
}

/// Adds a key to the key block of a frame.
pub(crate) fn put_key(out: &mut Vec<u8>, index: u32, key: DedupKey) {
    out.extend_from_slice(&index.to_le_bytes());
    out.extend_from_slice(&key.to_bytes());
}

/// The keys of a frame's key block in a file of this version, each with the index of its record.
pub(crate) fn keys(block: &[u8], version: u32) -> impl Iterator<Item = (u32, DedupKey)> + '_ {
    block.as_chunks::<KEY_BYTES>().0.iter().map(move |entry| {
        let (index, key) = entry.split_first_chunk::<4>().expect("an entry has 20 bytes");
        let key = *key.first_chunk().expect("an entry has 20 bytes");
        (u32::from_le_bytes(*index), DedupKey::from_bytes(key, version))
    })
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("the caller has checked the length"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("the caller has checked the length"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame_header() -> impl Strategy<Value = FrameHeader> {
        (
            any::<u64>(),
            0..u64::MAX / 2,
            any::<i64>(),
            1..u32::MAX,
            any::<u32>(),
            any::<u32>(),
            any::<u32>(),
            any::<u32>(),
            any::<(bool, bool)>(),
        )
            .prop_map(
                |(
                    epoch,
                    first_offset,
                    accepted_ms,
                    record_count,
                    keys,
                    records_bytes,
                    checkpoint_bytes,
                    body_crc,
                    (continues, names_all),
                )| {
                    let key_count = keys % record_count;
                    FrameHeader {
                        epoch,
                        first_offset,
                        accepted_ms,
                        record_count,
                        key_count,
                        records_bytes,
                        body_crc,
                        checkpoint_bytes,
                        continues,
                        names_all,
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn a_frame_header_comes_back_and_any_flip_is_seen(header in frame_header(), bit in 0..512usize) {
            let mut bytes = header.encode();
            prop_assert_eq!(FrameHeader::decode(&bytes, header.epoch), Some(header));
            prop_assert_eq!(FrameHeader::decode(&bytes, !header.epoch), None);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(FrameHeader::decode(&bytes, header.epoch), None);
        }

        #[test]
        fn a_file_header_comes_back_and_any_flip_is_seen(epoch: u64, first_offset: u64, count: u32, bit in 0..512usize) {
            let header = FileHeader { epoch, first_offset, count, version: VERSION, ..FileHeader::default() };
            let mut bytes = header.encode(FileKind::Keys);
            prop_assert_eq!(FileHeader::decode(FileKind::Keys, &bytes), Ok(header));
            prop_assert_eq!(FileHeader::decode(FileKind::Segment, &bytes), Err(HeaderFault::Damaged));
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(FileHeader::decode(FileKind::Keys, &bytes), Err(HeaderFault::Damaged));
        }
    }
}
