//! The pieces of one width: histograms at rest by slot, ascending.

use crate::distribution::dense::Dense;

/// The histogram of a slot.
pub(super) struct Piece {
    pub(super) slot: u32,
    pub(super) bytes: Box<[u8]>,
}

#[derive(Default)]
pub(super) struct Level {
    pub(super) pieces: Vec<Piece>,
    /// The second up to which it is merged from the level below; not used of the finest.
    pub(super) built: u32,
    /// The second from which on nothing is dropped yet.
    pub(super) kept: u32,
    /// Memory of the pieces.
    pub(super) bytes: usize,
}

/// Memory of a piece with its allocation.
pub(super) fn piece_bytes(bytes: &[u8]) -> usize {
    size_of::<Piece>() + 16 + bytes.len()
}

impl Level {
    /// Adds counts to a slot of a level.
    pub(super) fn add(&mut self, slot: u32, dense: &mut Dense) {
        let at = match self.pieces.last() {
            Some(last) if last.slot >= slot => self.pieces.binary_search_by_key(&slot, |piece| piece.slot),
            _ => Err(self.pieces.len()),
        };
        if let Some(piece) = at.ok().and_then(|at| self.pieces.get_mut(at)) {
            if dense.add_piece(&piece.bytes).is_ok() {
                self.bytes -= piece_bytes(&piece.bytes);
                piece.bytes = dense.to_piece();
                self.bytes += piece_bytes(&piece.bytes);
            }
            return;
        }
        let bytes = dense.to_piece();
        self.bytes += piece_bytes(&bytes);
        self.pieces.insert(at.unwrap_or_else(|at| at), Piece { slot, bytes });
    }

    /// Drops the pieces before a slot.
    pub(super) fn drop_before(&mut self, slot: u32) {
        let old = self.pieces.partition_point(|piece| piece.slot < slot);
        self.bytes -= self.pieces.drain(..old).map(|piece| piece_bytes(&piece.bytes)).sum::<usize>();
        if self.pieces.capacity() > 2 * self.pieces.len() + 16 {
            self.pieces.shrink_to_fit();
        }
    }

    /// Drops the pieces from a slot up to another one.
    pub(super) fn drop_between(&mut self, from: u32, to: u32) {
        let start = self.pieces.partition_point(|piece| piece.slot < from);
        let end = self.pieces.partition_point(|piece| piece.slot < to);
        self.bytes -= self.pieces.drain(start..end).map(|piece| piece_bytes(&piece.bytes)).sum::<usize>();
    }

    pub(super) fn between(&self, from: u32, to: u32) -> &[Piece] {
        let start = self.pieces.partition_point(|piece| piece.slot < from);
        let end = self.pieces.partition_point(|piece| piece.slot < to);
        self.pieces.get(start..end).unwrap_or_default()
    }
}
