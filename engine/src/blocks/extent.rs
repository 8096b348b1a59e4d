//! Sealed pieces of one series that lie together in a block: chunks of its floats, or runs of its native histograms.

use std::ops::Range;
use std::sync::Arc;

use watchfire_model::{Histogram, ResetHint, Sample};

use super::file::{BlockFile, checked};
use crate::bytes::{Cursor, Damaged, put_varint, put_zigzag};
use crate::chunk::{Chunk, Codec};
use crate::natives::{self, Run};

/// Most pieces of an extent; what is read from a disk may not claim more.
pub(super) const PIECES_MAX: usize = 1 << 20;

/// Samples of a series that are sealed: they change no more, and can go to a block as they are.
#[derive(Clone, Copy)]
pub(crate) struct Piece<'p> {
    pub(crate) samples: u32,
    /// Times of the first and the last sample, milliseconds.
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) bytes: &'p [u8],
}

/// Where an extent lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) at: u32,
    pub(super) bytes: u32,
}

impl Place {
    /// Of what lies nowhere.
    pub(crate) const NOWHERE: Place = Place { at: 0, bytes: 0 };

    /// Appends it for a snapshot.
    pub(crate) fn put(self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.at));
        put_varint(out, u64::from(self.bytes));
    }

    pub(crate) fn read(cursor: &mut Cursor) -> Result<Place, Damaged> {
        Ok(Place { at: cursor.varint_u32()?, bytes: cursor.varint_u32()? })
    }

    /// How long it is.
    pub(crate) fn bytes(self) -> u32 {
        self.bytes
    }
}

/// A run of pieces of one series in one block.
#[derive(Clone, Debug)]
pub(crate) struct Extent {
    pub(crate) file: Arc<BlockFile>,
    pub(crate) place: Place,
    pub(crate) samples: u32,
    /// Times of the first and the last sample, milliseconds; of counts, seconds.
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// The bytes of an extent, and where its pieces stand in them.
pub(crate) struct Loaded {
    bytes: Vec<u8>,
    pieces: Vec<(Head, Range<usize>)>,
}

/// What an extent says of a piece before its bytes.
#[derive(Clone, Copy)]
struct Head {
    samples: u32,
    first: i64,
    last: i64,
}

impl Loaded {
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> + Clone {
        self.pieces.iter().map(|piece| self.piece_of(piece))
    }

    /// How many pieces begin at or before a time.
    pub(crate) fn begun_at(&self, time: i64) -> usize {
        self.pieces.partition_point(|(head, _)| head.first <= time)
    }

    pub(crate) fn piece(&self, at: usize) -> Option<Piece<'_>> {
        self.pieces.get(at).map(|piece| self.piece_of(piece))
    }

    fn piece_of(&self, (Head { samples, first, last }, range): &(Head, Range<usize>)) -> Piece<'_> {
        let bytes = self.bytes.get(range.clone()).unwrap_or_default();
        Piece { samples: *samples, first: *first, last: *last, bytes }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.pieces.len() * size_of::<(Head, Range<usize>)>()
    }
}

impl Extent {
    /// The extent of these pieces, which lie in a file.
    pub(super) fn of<'p>(
        pieces: impl Iterator<Item = Piece<'p>> + Clone,
        place: Place,
        file: &Arc<BlockFile>,
    ) -> Option<Extent> {
        let samples = pieces.clone().map(|piece| piece.samples).sum();
        let (first, last) = (pieces.clone().next()?.first, pieces.last()?.last);
        Some(Extent { file: Arc::clone(file), place, samples, first, last })
    }

    /// Appends the floats with `start < time <= end`. What cannot be read is told, and is not there.
    pub(crate) fn read(&self, start: i64, end: i64, codec: &mut Codec, out: &mut Vec<Sample>) {
        self.each_piece(|piece| {
            if piece.last <= start || piece.first > end {
                return Ok(());
            }
            codec.decode_range(piece.bytes, start, end, out)
        });
    }

    /// The same of native histograms.
    pub(crate) fn read_natives(&self, start: i64, end: i64, out: &mut Vec<(i64, Histogram)>) {
        self.each_piece(|piece| {
            if piece.last <= start || piece.first > end {
                return Ok(());
            }
            let at = out.len();
            natives::read_run(piece.bytes, start, end, out)?;
            // The run before may be gone with its file.
            if let Some((_, first)) = out.get_mut(at) {
                forget_what_was_before(first);
            }
            Ok(())
        });
    }

    /// Its chunks, to be in memory again.
    pub(super) fn chunks(&self, codec: &mut Codec) -> Vec<Arc<Chunk>> {
        let mut chunks = Vec::new();
        self.each_piece(|piece| {
            chunks.push(Arc::new(Chunk::read(piece.bytes, codec)?));
            Ok(())
        });
        chunks
    }

    /// Its runs, likewise.
    pub(super) fn runs(&self) -> Vec<Arc<Run>> {
        let mut runs = Vec::new();
        self.each_piece(|piece| {
            runs.push(Arc::new(Run::of(piece.bytes)?));
            Ok(())
        });
        runs
    }

    /// All its pieces, if they were read a moment ago.
    pub(super) fn recent(&self) -> Option<Arc<Loaded>> {
        self.file.shared.recent.get(self.file.number(), self.place)
    }

    /// The same, and read if they were not. They are at hand for a while.
    pub(super) fn load_shared(&self) -> Option<Arc<Loaded>> {
        self.recent().or_else(|| {
            let loaded = Arc::new(self.load()?);
            self.file.shared.recent.put(self.file.number(), self.place, &loaded);
            Some(loaded)
        })
    }

    /// What of it was found to make no sense is lost to whoever asks.
    pub(crate) fn tell_damaged(&self, reason: &dyn std::fmt::Display) {
        self.file.tell_damaged(self.place, self.samples, reason);
    }

    /// All its pieces, none of them taken apart; `None`, and told, if it cannot be read.
    pub(crate) fn load(&self) -> Option<Loaded> {
        let loaded = self.try_load();
        loaded.inspect_err(|reason| self.tell_damaged(reason)).ok()
    }

    fn try_load(&self) -> Result<Loaded, String> {
        let bytes = self.file.read(self.place).map_err(|error| error.to_string())?;
        let pieces = pieces_of(&bytes).map_err(|reason| reason.to_string())?;
        Ok(Loaded { bytes, pieces })
    }

    fn each_piece(&self, each: impl FnMut(Piece) -> Result<(), Damaged>) {
        let Some(loaded) = self.load() else { return };
        let mut left = self.samples;
        let mut each = each;
        let result = loaded.pieces().try_for_each(|piece| {
            each(piece)?;
            left = left.saturating_sub(piece.samples);
            Ok(())
        });
        if let Err(reason) = result {
            let reason: Damaged = reason;
            self.file.tell_damaged(self.place, left, &reason);
        }
    }
}

/// Whoever reads this histogram has to compare it with the one before, whichever that is.
pub(crate) fn forget_what_was_before(histogram: &mut Histogram) {
    if histogram.hint() == ResetHint::NotReset {
        histogram.set_hint(ResetHint::Unknown);
    }
}

/// Appends an extent of these pieces.
pub(super) fn put_extent<'p>(pieces: impl Iterator<Item = Piece<'p>> + Clone, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    put_varint(out, pieces.clone().count() as u64);
    let mut before = 0i64;
    for piece in pieces.clone() {
        put_varint(out, u64::from(piece.samples));
        put_zigzag(out, piece.first.wrapping_sub(before));
        put_varint(out, piece.last.wrapping_sub(piece.first).cast_unsigned());
        put_varint(out, piece.bytes.len() as u64);
        before = piece.last;
    }
    pieces.for_each(|piece| out.extend_from_slice(piece.bytes));
    let crc = crc32fast::hash(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

fn pieces_of(bytes: &[u8]) -> Result<Vec<(Head, Range<usize>)>, Damaged> {
    let mut cursor = checked(bytes)?;
    let count = cursor.length(PIECES_MAX)?;
    let mut heads = Vec::with_capacity(count.min(bytes.len()));
    let mut before = 0i64;
    for _ in 0..count {
        let samples = u32::try_from(cursor.varint()?).map_err(|_| Damaged("a piece has too many samples"))?;
        let first = before.wrapping_add(cursor.zigzag()?);
        let last = first.wrapping_add(cursor.varint()?.cast_signed());
        let length = usize::try_from(cursor.varint()?).map_err(|_| Damaged("a piece is too long"))?;
        heads.push((Head { samples, first, last }, length));
        before = last;
    }
    let mut at = bytes.len() - cursor.rest().len();
    let mut piece = |(head, length): (Head, usize)| {
        cursor.take(length)?;
        at += length;
        Ok((head, at - length..at))
    };
    heads.into_iter().map(&mut piece).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_read_back(all in prop::collection::vec((1u32..500, 0i64..9, 0i64..9000, prop::collection::vec(any::<u8>(), 0..40)), 0..9)) {
            let mut next = -5000;
            let pieces: Vec<Piece> = all.iter().map(|(samples, gap, long, bytes)| {
                let first = next + gap;
                next = first + long + 1;
                Piece { samples: *samples, first, last: first + long, bytes }
            }).collect();
            let mut bytes = Vec::new();
            put_extent(pieces.iter().copied(), &mut bytes);
            let loaded = Loaded { pieces: pieces_of(&bytes).expect("whole"), bytes };
            let told = |piece: Piece| (piece.samples, piece.first, piece.last, piece.bytes.to_vec());
            prop_assert_eq!(loaded.pieces().map(told).collect::<Vec<_>>(), pieces.into_iter().map(told).collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_answered(rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = crc32fast::hash(&rest).to_le_bytes().to_vec();
            bytes.extend_from_slice(&rest);
            if let Ok(pieces) = pieces_of(&bytes) {
                let loaded = Loaded { bytes, pieces };
                prop_assert!(loaded.pieces().map(|piece| piece.bytes.len()).sum::<usize>() <= rest.len());
                for piece in loaded.pieces() {
                    let _ = (Run::of(piece.bytes), natives::read_run(piece.bytes, 0, i64::MAX, &mut Vec::new()));
                }
            }
        }
    }
}
