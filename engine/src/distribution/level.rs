//! The pieces of one width: histograms at rest by slot, ascending, many of them in one run of bytes.
//!
//! ```text
//! run = (varint slot - slot before it, varint length, piece)*        of the first piece: 0
//! ```
//! A piece of a minute has some thirty bytes; an allocation and a place in a table of its own would take more than that.

use std::ops::Range;

use crate::bytes::{Cursor, Damaged, put_varint};
use crate::distribution::dense::{Dense, with_dense};

/// A run that would get longer is followed by another one, bytes.
const RUN_BYTES: usize = 2048;
/// Room that a run gets beyond what it needs, bytes: most pieces come last, or into the last one.
const SPARE_BYTES: usize = 64;
/// What the allocator takes beside a run, bytes.
const ALLOCATION_BYTES: usize = 16;

/// The histogram of a slot.
#[derive(Clone, Copy)]
pub(super) struct Piece<'l> {
    pub(super) slot: u32,
    pub(super) bytes: &'l [u8],
}

/// Some pieces that follow each other; there is at least one.
struct Run {
    first: u32,
    last: u32,
    count: u32,
    bytes: Vec<u8>,
}

#[derive(Default)]
pub(super) struct Level {
    runs: Vec<Run>,
    /// The second up to which it is merged from the level below; not used of the finest.
    pub(super) built: u32,
    /// The second from which on nothing is dropped yet.
    pub(super) kept: u32,
    /// Memory of the runs.
    bytes: usize,
}

/// Walks over the pieces of a run.
struct Pieces<'l> {
    cursor: Cursor<'l>,
    before: u32,
}

impl<'l> Iterator for Pieces<'l> {
    type Item = Piece<'l>;

    fn next(&mut self) -> Option<Piece<'l>> {
        if self.cursor.is_empty() {
            return None;
        }
        // Runs are made here alone, so nothing of this can fail.
        let slot = self.before.checked_add(self.cursor.varint_u32().ok()?)?;
        self.before = slot;
        Some(Piece { slot, bytes: self.cursor.bytes().ok()? })
    }
}

impl Run {
    fn of(piece: Piece) -> Run {
        let mut run = Run { first: piece.slot, last: piece.slot, count: 0, bytes: Vec::new() };
        run.append(piece);
        run
    }

    fn pieces(&self) -> Pieces<'_> {
        Pieces { cursor: Cursor::new(&self.bytes), before: self.first }
    }

    /// Adds a piece behind all others.
    fn append(&mut self, piece: Piece) {
        self.make_room(piece);
        put_varint(&mut self.bytes, u64::from(piece.slot - self.last));
        put_varint(&mut self.bytes, piece.bytes.len() as u64);
        self.bytes.extend_from_slice(piece.bytes);
        self.last = piece.slot;
        self.count += 1;
    }

    fn make_room(&mut self, piece: Piece) {
        // Two integers of at most five bytes.
        let more = piece.bytes.len() + 10;
        if self.bytes.capacity() - self.bytes.len() < more {
            self.bytes.reserve_exact(more + SPARE_BYTES);
        }
    }

    /// Puts a piece to its place, in place of the one of its slot if there is one; the slot is not behind the last one.
    fn put(&mut self, piece: Piece) {
        let mut head = Vec::with_capacity(16);
        let mut walk = self.pieces();
        loop {
            let (at, before) = (self.bytes.len() - walk.cursor.rest().len(), walk.before);
            let mut of_next = walk.cursor;
            let Some(next_slot) = walk.next().map(|next| next.slot) else { return };
            if next_slot < piece.slot {
                continue;
            }
            let is_there = next_slot == piece.slot;
            let end = if is_there {
                self.bytes.len() - walk.cursor.rest().len()
            } else {
                // What stays of the next one is all but its distance.
                let _ = of_next.varint();
                self.bytes.len() - of_next.rest().len()
            };
            self.first = self.first.min(piece.slot);
            put_varint(&mut head, u64::from(piece.slot - before.min(piece.slot)));
            put_varint(&mut head, piece.bytes.len() as u64);
            let distance_at = head.len();
            if !is_there {
                self.count += 1;
                put_varint(&mut head, u64::from(next_slot - piece.slot));
            }
            self.make_room(piece);
            let (head, distance) = head.split_at(distance_at);
            self.bytes.splice(at..end, head.iter().chain(piece.bytes).chain(distance).copied());
            return;
        }
    }

    /// What is left of it.
    fn retained(&self, keep: impl Fn(u32) -> bool) -> Option<Run> {
        let mut kept = self.pieces().filter(|piece| keep(piece.slot));
        let mut run = Run::of(kept.next()?);
        kept.for_each(|piece| run.append(piece));
        run.bytes.shrink_to_fit();
        Some(run)
    }

    /// Its two halves.
    fn split(&self) -> [Option<Run>; 2] {
        let middle = self.pieces().nth(self.count as usize / 2).map_or(self.last, |piece| piece.slot);
        [self.retained(|slot| slot < middle), self.retained(|slot| slot >= middle)]
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Run>() + ALLOCATION_BYTES + self.bytes.capacity()
    }
}

impl Level {
    /// Adds counts to a slot of a level.
    pub(super) fn add(&mut self, slot: u32, dense: &mut Dense) {
        let is_last = self.runs.last().is_none_or(|last| slot > last.last);
        if !is_last
            && let Some(piece) = self.between(slot, slot.saturating_add(1)).next()
            && dense.add_piece(piece.bytes).is_err()
        {
            return;
        }
        dense.with_piece(|bytes| self.put(Piece { slot, bytes }));
    }

    /// Puts a piece to its slot, added to what is there.
    pub(super) fn merge(&mut self, piece: Piece) -> Result<(), Damaged> {
        if self.between(piece.slot, piece.slot.saturating_add(1)).next().is_none() {
            self.put(piece);
            return Ok(());
        }
        with_dense(|dense| dense.add_piece(piece.bytes).map(|()| self.add(piece.slot, dense)))
    }

    /// Takes out the pieces of these slots.
    pub(super) fn take(&mut self, slots: Range<u32>) -> Level {
        let mut taken = Level::default();
        self.between(slots.start, slots.end).for_each(|piece| taken.put(piece));
        self.drop_between(slots.start, slots.end);
        taken
    }

    /// Puts a piece to its slot, in place of what was there.
    pub(super) fn put(&mut self, piece: Piece) {
        let at = self.runs.partition_point(|run| run.last < piece.slot);
        if at < self.runs.len() {
            self.put_into(at, piece);
            return;
        }
        match self.runs.last_mut() {
            Some(run) if run.bytes.len() + piece.bytes.len() <= RUN_BYTES => {
                self.bytes -= run.memory_bytes();
                run.append(piece);
                self.bytes += run.memory_bytes();
            }
            full => {
                if let Some(run) = full {
                    self.bytes -= run.memory_bytes();
                    run.bytes.shrink_to_fit();
                    self.bytes += run.memory_bytes();
                }
                let run = Run::of(piece);
                self.bytes += run.memory_bytes();
                self.runs.push(run);
            }
        }
    }

    fn put_into(&mut self, at: usize, piece: Piece) {
        let Some(run) = self.runs.get_mut(at) else { return };
        self.bytes -= run.memory_bytes();
        run.put(piece);
        if run.bytes.len() > 2 * RUN_BYTES && run.count > 1 {
            let halves = run.split();
            self.bytes += halves.iter().flatten().map(Run::memory_bytes).sum::<usize>();
            self.runs.splice(at..=at, halves.into_iter().flatten());
        } else {
            self.bytes += run.memory_bytes();
        }
    }

    /// Drops the pieces before a slot.
    pub(super) fn drop_before(&mut self, slot: u32) {
        self.drop_between(0, slot);
    }

    /// Drops the pieces from a slot up to another one.
    pub(super) fn drop_between(&mut self, from: u32, to: u32) {
        let start = self.runs.partition_point(|run| run.last < from);
        let end = self.runs.partition_point(|run| run.first < to).max(start);
        let dropped = self.runs.get(start..end).unwrap_or_default();
        if dropped.is_empty() {
            return;
        }
        self.bytes -= dropped.iter().map(Run::memory_bytes).sum::<usize>();
        let left: Vec<Run> = dropped.iter().filter_map(|run| run.retained(|slot| slot < from || slot >= to)).collect();
        self.bytes += left.iter().map(Run::memory_bytes).sum::<usize>();
        self.runs.splice(start..end, left);
        if self.runs.capacity() > 2 * self.runs.len() + 4 {
            self.runs.shrink_to_fit();
        }
    }

    /// The pieces from a slot up to another one, ascending.
    pub(super) fn between(&self, from: u32, to: u32) -> impl Iterator<Item = Piece<'_>> {
        let start = self.runs.partition_point(|run| run.last < from);
        let pieces = self.runs.get(start..).unwrap_or_default().iter().flat_map(Run::pieces);
        pieces.skip_while(move |piece| piece.slot < from).take_while(move |piece| piece.slot < to)
    }

    /// All pieces, ascending.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        self.runs.iter().flat_map(Run::pieces)
    }

    /// How many pieces.
    pub(super) fn count(&self) -> usize {
        self.runs.iter().map(|run| run.count as usize).sum()
    }

    pub(super) fn first_slot(&self) -> Option<u32> {
        self.runs.first().map(|run| run.first)
    }

    pub(super) fn last_slot(&self) -> Option<u32> {
        self.runs.last().map(|run| run.last)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes + (self.runs.capacity() - self.runs.len()) * size_of::<Run>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Put(u32, usize),
        DropBefore(u32),
        DropBetween(u32, u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        let bytes = prop_oneof![8 => 0usize..60, 1 => 100usize..900, 1 => 2000usize..5000];
        prop_oneof![
            60 => (0u32..400, bytes).prop_map(|(slot, bytes)| Step::Put(slot * 50, bytes)),
            1 => (0u32..20_000).prop_map(Step::DropBefore),
            2 => (0u32..20_000, 0u32..2000).prop_map(|(from, many)| Step::DropBetween(from, from + many)),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_map(steps in prop::collection::vec(step(), 1..300), probes in prop::collection::vec((0u32..20_000, 0u32..20_000), 1..10)) {
            let (mut level, mut map) = (Level::default(), BTreeMap::new());
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Put(slot, many) => {
                        let bytes = vec![number as u8; many];
                        level.put(Piece { slot, bytes: &bytes });
                        map.insert(slot, bytes);
                    }
                    Step::DropBefore(slot) => {
                        level.drop_before(slot);
                        map.retain(|have, _| *have >= slot);
                    }
                    Step::DropBetween(from, to) => {
                        level.drop_between(from, to);
                        map.retain(|have, _| *have < from || *have >= to);
                    }
                }
            }
            let as_list = |pieces: &mut dyn Iterator<Item = Piece>| -> Vec<(u32, Vec<u8>)> {
                pieces.map(|piece| (piece.slot, piece.bytes.to_vec())).collect()
            };
            let wanted: Vec<(u32, Vec<u8>)> = map.iter().map(|(slot, bytes)| (*slot, bytes.clone())).collect();
            prop_assert_eq!(as_list(&mut level.pieces()), wanted);
            prop_assert_eq!(level.count(), map.len());
            prop_assert_eq!(level.first_slot(), map.first_key_value().map(|(slot, _)| *slot));
            prop_assert_eq!(level.last_slot(), map.last_key_value().map(|(slot, _)| *slot));
            for (from, to) in probes {
                let wanted: Vec<(u32, Vec<u8>)> =
                    map.iter().filter(|(slot, _)| **slot >= from && **slot < to).map(|(s, b)| (*s, b.clone())).collect();
                prop_assert_eq!(as_list(&mut level.between(from, to)), wanted);
            }
            prop_assert_eq!(level.bytes, level.runs.iter().map(Run::memory_bytes).sum::<usize>());
            prop_assert!(level.runs.iter().all(|run| run.count == 1 || run.bytes.len() <= 2 * RUN_BYTES + 10_000));
        }
    }
}
