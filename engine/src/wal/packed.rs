//! Payloads of records, packed: a definition is mostly like the one before it, and what stands in columns has few bits a byte.
//! Which bytes are frequent differs from column to column, so each begins a block of the frame, which has a code of its own.
//!
//! ```text
//! payload = head u8 (1 to 7) | …                                (see `record`)
//!         | 8 | varint bytes of the payload | that payload, a frame of Zstandard
//! ```
//! Each record is packed by itself, so that damage stays its own.

use std::io;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd::zstd_safe::{InBuffer, OutBuffer, compress_bound, get_error_name};

use crate::bytes::{Cursor, Damaged, put_varint};
use crate::wal::segment::RECORD_BYTES_MAX;

/// Begins a packed payload, where others have their head.
const PACKED: u8 = 8;
/// Shorter payloads are not worth it.
const WORTH_BYTES: usize = 256;
/// Shorter columns are not worth a block.
const BLOCK_BYTES_MIN: usize = 256;
/// What another block takes at most beside its bytes.
const BLOCK_HEAD_BYTES: usize = 3;
/// The quickest level that also makes use of how often bytes are there, and not only of what is there twice.
const LEVEL: i32 = 1;
/// No frame holds so many times its bytes: a block of up to 128 KiB takes four.
const RATIO_MAX: usize = 1 << 15;

/// Bytes, and where among them bytes of another kind begin.
#[derive(Default)]
pub(crate) struct Columnar {
    pub(crate) bytes: Vec<u8>,
    /// Ascending.
    pub(super) seams: Vec<usize>,
}

impl Columnar {
    /// Says that bytes of another kind follow.
    pub(super) fn seam(&mut self) {
        self.seams.push(self.bytes.len());
    }
}

/// Packs payloads.
#[derive(Default)]
pub(super) struct Packer {
    /// Made for the first payload.
    compressor: Option<Compressor<'static>>,
    packed: Vec<u8>,
}

impl Packer {
    /// Appends columns to a payload that begins at `from`, and puts it all, packed, in its place, if that is shorter.
    /// Gives how long the payload was.
    pub(super) fn pack(&mut self, out: &mut Vec<u8>, from: usize, columns: &Columnar) -> usize {
        let before = out.len() - from;
        out.extend_from_slice(&columns.bytes);
        let payload = out.get(from..).unwrap_or_default();
        let length = payload.len();
        if length < WORTH_BYTES {
            return length;
        }
        self.packed.clear();
        self.packed.reserve(compress_bound(length) + BLOCK_HEAD_BYTES * columns.seams.len());
        if self.compressor.is_none() {
            self.compressor = Compressor::new(LEVEL).ok();
        }
        let Some(compressor) = &mut self.compressor else { return length };
        let seams = columns.seams.iter().map(|seam| before + seam);
        if compress(compressor, payload, seams, &mut self.packed).is_err() {
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

/// Puts a frame into a buffer that has room for it; a block begins at each seam that is worth it.
fn compress(
    compressor: &mut Compressor,
    payload: &[u8],
    seams: impl Iterator<Item = usize>,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    compressor.set_pledged_src_size(Some(payload.len() as u64))?;
    let context = compressor.context_mut();
    let mut out = OutBuffer::around(out);
    let mut block = |bytes: &[u8], directive| {
        let mut bytes = InBuffer::around(bytes);
        match context.compress_stream2(&mut out, &mut bytes, directive) {
            Ok(0) => Ok(()),
            Ok(_) => Err(io::Error::other("there is no room for it")),
            Err(code) => Err(io::Error::other(get_error_name(code))),
        }
    };
    let (mut rest, mut begun) = (payload, 0);
    for seam in seams.filter(|seam| payload.len() - seam >= BLOCK_BYTES_MIN) {
        if seam - begun >= BLOCK_BYTES_MIN {
            let (column, others) = rest.split_at(seam - begun);
            block(column, ZSTD_EndDirective::ZSTD_e_flush)?;
            (rest, begun) = (others, seam);
        }
    }
    block(rest, ZSTD_EndDirective::ZSTD_e_end)
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
        fn payloads_come_back(head in 1u8..8, word in prop::collection::vec(any::<u8>(), 1..40), times in 0usize..200, part in 1usize..2000) {
            let payload = [vec![head], word.repeat(times)].concat();
            let (mut packer, mut out) = (Packer::default(), b"before".to_vec());
            let mut columns = Columnar::default();
            for part in payload[1..].chunks(part) {
                columns.seam();
                columns.bytes.extend_from_slice(part);
            }
            out.push(head);
            prop_assert_eq!(packer.pack(&mut out, 6, &columns), payload.len());
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
        Packer::default().pack(&mut out, 0, &Columnar::default());
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
