//! How far a file is imported, as it is kept with its records.
//!
//! ```text
//! key   = "i" | file 16 bytes, of which the first 8 are made from the file's first line
//! value = version u8 = 3 | flags u8 | position u64 | head length u32 | head hash 16 bytes | tail length u16 | tail hash 16
//!         | places of refused lines (`refused`)
//!         flags: passing over 1 the rest of a cut line, 32 and 64 further parts of a line of a container's stdout, stderr
//! ```
//! Version 2 ends with `stored u64 | too old u64`, how many records were stored and refused as too old, version 1 with the hash.
//! Integers little-endian; hashes are XXH3 of 128 bits, written big-endian in hexadecimal outside.

use xxhash_rust::xxh3::xxh3_128;

use super::refused::Refused;
use crate::sources::skipping::Skipping;

const VERSION: u8 = 3;
const VERSION_WITHOUT_PLACES: u8 = 2;
const VERSION_WITHOUT_COUNTS: u8 = 1;
/// How many bytes before its position tell that a file is the one that was imported.
const TAIL_BYTES: usize = 1024;

/// A file as far as it is imported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Imported {
    pub(super) position: u64,
    pub(super) skipping: Skipping,
    pub(super) head_bytes: u32,
    pub(super) head_hash: u128,
    pub(super) tail_bytes: u16,
    pub(super) tail_hash: u128,
    /// What of it was refused.
    pub(super) refused: Refused,
}

impl Imported {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, self.skipping.flags()];
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.head_bytes.to_le_bytes());
        out.extend_from_slice(&self.head_hash.to_le_bytes());
        out.extend_from_slice(&self.tail_bytes.to_le_bytes());
        out.extend_from_slice(&self.tail_hash.to_le_bytes());
        self.refused.encode(&mut out);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Imported> {
        let [version @ VERSION_WITHOUT_COUNTS..=VERSION, flags, rest @ ..] = bytes else { return None };
        let (position, rest) = rest.split_first_chunk()?;
        let (head_bytes, rest) = rest.split_first_chunk()?;
        let (head_hash, rest) = rest.split_first_chunk()?;
        let (tail_bytes, rest) = rest.split_first_chunk()?;
        let (tail_hash, rest) = rest.split_first_chunk()?;
        let position = u64::from_le_bytes(*position);
        let refused = match *version {
            VERSION_WITHOUT_COUNTS => Refused::default(),
            VERSION_WITHOUT_PLACES => {
                let (stored, too_old) = rest.split_first_chunk()?;
                match (u64::from_le_bytes(*stored), u64::from_le_bytes(too_old.try_into().ok()?)) {
                    (_, 0) => Refused::default(),
                    (0, all) => Refused::of_all(all, position),
                    (_, some) => Refused::of_unplaced(some),
                }
            }
            _ => Refused::decode(rest)?,
        };
        Some(Imported {
            position,
            skipping: Skipping::of_flags(*flags),
            head_bytes: u32::from_le_bytes(*head_bytes),
            head_hash: u128::from_le_bytes(*head_hash),
            tail_bytes: u16::from_le_bytes(*tail_bytes),
            tail_hash: u128::from_le_bytes(*tail_hash),
            refused,
        })
    }

    /// Behind a piece of which so many bytes were taken.
    pub(super) fn behind(self, taken: &[u8], skipping: Skipping) -> Imported {
        if taken.is_empty() {
            return Imported { skipping, ..self };
        }
        let tail = taken.get(taken.len().saturating_sub(TAIL_BYTES)..).unwrap_or(taken);
        Imported {
            position: self.position.saturating_add(taken.len() as u64),
            skipping,
            tail_bytes: u16::try_from(tail.len()).unwrap_or(u16::MAX),
            tail_hash: xxh3_128(tail),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_come_back() {
        let head = Imported { head_bytes: 70_000, head_hash: 7 << 90, ..Imported::default() };
        let behind = head.behind(b"some bytes", Skipping::of_flags(33));
        assert_eq!((behind.position, behind.tail_bytes, behind.skipping.flags()), (10, 10, 33));
        assert_eq!(Imported::decode(&behind.encode()), Some(behind.clone()));
        assert_eq!(behind.clone().behind(b"", behind.skipping), behind);
        assert_eq!(behind.clone().behind(&[1; 5000], Skipping::default()).tail_bytes, 1024);
        assert_eq!(Imported::decode(b""), None);
    }

    #[test]
    fn earlier_versions_are_read() {
        let imported = Imported { position: 10, ..Imported::default() };
        let mut old = imported.encode();
        old.truncate(old.len() - 8);
        old[0] = VERSION_WITHOUT_COUNTS;
        assert_eq!(Imported::decode(&old), Some(imported.clone()));
        old[0] = VERSION_WITHOUT_PLACES;
        for (stored, too_old, refused) in
            [(3u64, 0u64, Refused::default()), (3, 4, Refused::of_unplaced(4)), (0, 4, Refused::of_all(4, 10))]
        {
            let bytes = [old.as_slice(), &stored.to_le_bytes(), &too_old.to_le_bytes()].concat();
            assert_eq!(Imported::decode(&bytes), Some(Imported { refused, ..imported.clone() }));
        }
    }
}
