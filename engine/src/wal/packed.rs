//! Payloads of records, packed: a definition is mostly like the one before it, and what stands in columns has few bits a byte.
//!
//! ```text
//! payload = head u8 (1 to 7) | …                                (see `record`)
//!         | 8 | varint bytes of the payload | that payload, a frame of Zstandard
//! ```
//! Each record is packed by itself, so that damage stays its own.

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::compress_bound;

use crate::bytes::{Cursor, Damaged, put_varint};
use crate::wal::segment::RECORD_BYTES_MAX;

/// Begins a packed payload, where others have their head.
const PACKED: u8 = 8;
/// Shorter payloads are not worth it.
const WORTH_BYTES: usize = 256;
/// The quickest level that also makes use of how often bytes are there, and not only of what is there twice.
const LEVEL: i32 = 1;
/// No frame holds so many times its bytes: a block of up to 128 KiB takes four.
const RATIO_MAX: usize = 1 << 15;

/// Packs payloads.
#[derive(Default)]
pub(super) struct Packer {
    /// Made for the first payload.
    compressor: Option<Compressor<'static>>,
    packed: Vec<u8>,
}

impl Packer {
    /// Puts a packed payload in the place of the one that begins at `from`, if it is shorter. Gives how long that was.
    pub(super) fn pack(&mut self, out: &mut Vec<u8>, from: usize) -> usize {
        let payload = out.get(from..).unwrap_or_default();
        let length = payload.len();
        if length < WORTH_BYTES {
            return length;
        }
        self.packed.clear();
        self.packed.reserve(compress_bound(length));
        if self.compressor.is_none() {
            self.compressor = Compressor::new(LEVEL).ok();
        }
        let Some(compressor) = &mut self.compressor else { return length };
        if compressor.compress_to_buffer(payload, &mut self.packed).is_err() {
            // Its state is not known any more.
            self.compressor = None;
            return length;
        }
        // Two more for the head and the length, which is longer only where it matters less.
        if self.packed.len() + 2 < length {
            out.truncate(from);
            out.push(PACKED);
            put_varint(out, length as u64);
            out.extend_from_slice(&self.packed);
        }
        length
    }

    /// Gives back what a large payload has taken.
    pub(super) fn shrink(&mut self) {
        self.packed = Vec::new();
    }
}

/// How long a payload is unpacked, as it says itself. Errors: it is packed, and cannot be as long as that.
pub(super) fn unpacked_bytes(payload: &[u8]) -> Result<usize, Damaged> {
    let Some((&PACKED, packed)) = payload.split_first() else { return Ok(payload.len()) };
    let length = Cursor::new(packed).length(RECORD_BYTES_MAX).ok();
    length.filter(|length| length / RATIO_MAX <= packed.len()).ok_or(Damaged("a packed record is too long"))
}

/// Unpacks payloads.
#[derive(Default)]
pub(crate) struct Unpacker {
    /// Made for the first payload that is packed.
    decompressor: Option<Decompressor<'static>>,
}

impl Unpacker {
    /// Appends a payload, unpacked if it is packed. Errors: it is packed and damaged; then nothing is appended.
    pub(crate) fn unpack(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Damaged> {
        let from = out.len();
        out.resize(from + unpacked_bytes(payload)?, 0);
        let unpacked = self.unpack_to(payload, out.get_mut(from..).unwrap_or_default());
        if unpacked.is_err() {
            out.truncate(from);
        }
        unpacked
    }

    /// Puts a payload, unpacked if it is packed, to a place as long as it says it is. Errors: it is packed and damaged.
    pub(crate) fn unpack_to(&mut self, payload: &[u8], place: &mut [u8]) -> Result<(), Damaged> {
        let whole = match payload.split_first() {
            Some((&PACKED, packed)) => {
                let mut cursor = Cursor::new(packed);
                cursor.varint()?;
                self.decompress(cursor.rest(), place) == Some(place.len())
            }
            Some(_) | None => {
                let fits = place.len() == payload.len();
                if fits {
                    place.copy_from_slice(payload);
                }
                fits
            }
        };
        if whole { Ok(()) } else { Err(Damaged("a packed record cannot be unpacked")) }
    }

    /// Puts what a frame holds to a place, no more than there is room for; says how much that is.
    fn decompress(&mut self, packed: &[u8], place: &mut [u8]) -> Option<usize> {
        if self.decompressor.is_none() {
            self.decompressor = Decompressor::new().ok();
        }
        self.decompressor.as_mut()?.decompress_to_buffer(packed, place).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn payloads_come_back(head in 1u8..8, word in prop::collection::vec(any::<u8>(), 1..40), times in 0usize..200) {
            let payload = [vec![head], word.repeat(times)].concat();
            let (mut packer, mut out) = (Packer::default(), b"before".to_vec());
            out.extend_from_slice(&payload);
            prop_assert_eq!(packer.pack(&mut out, 6), payload.len());
            prop_assert!(out.len() <= 6 + payload.len());
            let mut unpacked = b"others".to_vec();
            Unpacker::default().unpack(&out[6..], &mut unpacked).unwrap();
            prop_assert_eq!(unpacked, [b"others".as_slice(), payload.as_slice()].concat());
        }

        #[test]
        fn any_bytes_are_unpacked_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60), length in 0u64..1000) {
            let mut packed = vec![PACKED];
            put_varint(&mut packed, length);
            packed.extend_from_slice(&bytes);
            let mut out = vec![1];
            if Unpacker::default().unpack(&packed, &mut out).is_err() {
                prop_assert_eq!(out, [1]);
            }
        }
    }

    #[test]
    fn lying_lengths_are_refused() {
        let mut out = vec![7; 1000];
        Packer::default().pack(&mut out, 0);
        assert!(out.len() < 100 && out[0] == PACKED);
        let frame = out[3..].to_vec();
        for (length, is_good) in [(1000u64, true), (999, false), (1001, false), (u64::MAX, false)] {
            let mut packed = vec![PACKED];
            put_varint(&mut packed, length);
            packed.extend_from_slice(&frame);
            assert_eq!(Unpacker::default().unpack(&packed, &mut Vec::new()).is_ok(), is_good, "{length}");
        }
    }
}
