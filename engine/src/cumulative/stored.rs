//! What of a layer of counts lies in blocks, and what came for those seconds since.
//!
//! ```text
//! piece  = value total before its first second | chunk of (second, count)
//! stored = varint spans, (varint file, place, varint seconds, zigzag first - last before, varint last - first,
//!          value total before)*, what came since: see `Cumulative::write`       (file 0: its seconds are lost)
//! ```
//! The totals of a piece are those of when it was written. What came for earlier seconds since is in the total that its
//! span has in memory, and moves all totals of the span alike.
//!
//! Invariants: spans ascend, and lie before all seconds that are in memory; while there are any, a second is open in
//! memory; what came since has only seconds up to the end of the last span.

use std::sync::Arc;

use super::{Cumulative, Standing};
use crate::blocks::{BlockFile, Blocks, Extent, Loaded, Loads, Piece, Place};
use crate::bytes::{Cursor, Damaged, put_value, put_varint, put_zigzag};
use crate::chunk::{Chunk, Codec};

/// Most spans of a layer; what is read from a disk may not claim more.
const SPANS_MAX: usize = 1 << 20;

/// Seconds of a layer that lie together in a block.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// `None`: they are lost, and only their total is known.
    pub(super) file: Option<Arc<BlockFile>>,
    pub(super) place: Place,
    pub(super) seconds: u32,
    pub(super) first: u32,
    pub(super) last: u32,
    /// Total before the first second.
    pub(super) before: f64,
}

/// What of a layer lies on disk.
#[derive(Default)]
pub(crate) struct Stored {
    pub(super) spans: Vec<Span>,
    /// What came since.
    pub(super) over: Cumulative,
    /// What came until it began to be written into the spans.
    pub(super) merging: Option<Box<Cumulative>>,
}

/// Which end of a window is looked for. It matters where the seconds around it are lost: a window has none of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// Its seconds begin behind this.
    Left,
    /// They end here.
    Right,
}

/// A piece of a span taken apart: the total before it, and its chunk.
pub(super) fn open_piece<'p>(piece: &Piece<'p>) -> Result<(f64, &'p [u8]), Damaged> {
    let mut cursor = Cursor::new(piece.bytes);
    Ok((cursor.value()?, cursor.rest()))
}

impl Span {
    pub(super) fn extent(&self) -> Option<Extent> {
        let (samples, first, last) = (self.seconds, i64::from(self.first), i64::from(self.last));
        Some(Extent { file: Arc::clone(self.file.as_ref()?), place: self.place, samples, first, last })
    }

    /// How much has to be added to the totals in its pieces.
    pub(super) fn moved(&self, loaded: &Loaded) -> f64 {
        let written = loaded.piece(0).and_then(|piece| open_piece(&piece).ok()).map_or(self.before, |(total, _)| total);
        self.before - written
    }

    fn load(&self, loads: &mut Loads) -> Option<Arc<Loaded>> {
        loads.get(&self.extent()?)
    }

    /// What stands at the end of a second within it, of which `next` is the total behind it.
    fn at(&self, second: u32, next: f64, loaded: &Loaded, codec: &mut Codec) -> Result<Standing, Damaged> {
        let begun = loaded.begun_at(i64::from(second));
        let Some(piece) = begun.checked_sub(1).and_then(|at| loaded.piece(at)) else {
            return Ok(Standing { total: self.before, last: None });
        };
        let moved = self.moved(loaded);
        if piece.last <= i64::from(second) {
            let after = loaded.piece(begun).map(|next| open_piece(&next)).transpose()?;
            return Ok(Standing {
                total: after.map_or(next, |(total, _)| total + moved),
                last: Some(piece.last as u32),
            });
        }
        let (before, chunk) = open_piece(&piece)?;
        let (seconds, counts) = codec.decode(chunk)?;
        let inside = seconds.partition_point(|have| *have <= i64::from(second));
        let total = before + moved + counts.iter().take(inside).sum::<f64>();
        Ok(Standing { total, last: inside.checked_sub(1).and_then(|at| seconds.get(at)).map(|second| *second as u32) })
    }

    /// Appends (second, count) for `after < second <= last`. Says whether all of them could be read.
    fn buckets(&self, after: i64, last: i64, loads: &mut Loads, codec: &mut Codec, out: &mut Vec<(u32, f64)>) -> bool {
        let Some(loaded) = self.load(loads) else { return false };
        let from = loaded.begun_at(after.saturating_add(1)).saturating_sub(1);
        let pieces = (from..).map_while(|at| loaded.piece(at));
        for piece in pieces.take_while(|piece| piece.first <= last).filter(|piece| piece.last > after) {
            let taken = open_piece(&piece).and_then(|(_, chunk)| {
                let (seconds, counts) = codec.decode(chunk)?;
                let all = seconds.iter().zip(counts);
                let inside = all.filter(|(second, _)| **second > after && **second <= last);
                out.extend(inside.map(|(second, count)| (*second as u32, *count)));
                Ok(())
            });
            if let (Err(reason), Some(extent)) = (taken, self.extent()) {
                extent.tell_damaged(&reason);
                return false;
            }
        }
        true
    }
}

impl Stored {
    /// The last second of all spans.
    pub(super) fn last(&self) -> u32 {
        self.spans.last().map_or(0, |span| span.last)
    }

    /// What came since, in parts.
    pub(super) fn since(&self) -> impl Iterator<Item = &Cumulative> {
        self.merging.as_deref().into_iter().chain([&self.over])
    }

    /// Whether anything came since.
    pub(super) fn has_since(&self) -> bool {
        self.since().any(Cumulative::has_buckets)
    }

    /// Whether there may be seconds with `after < second <= last`.
    pub(super) fn overlaps(&self, after: i64, last: i64) -> bool {
        let is_inside = |span: &Span| i64::from(span.last) > after && i64::from(span.first) <= last;
        self.spans.iter().any(is_inside)
    }

    /// What stands at the end of a second in the spans; `None` before the first. `end` is the total behind the last.
    pub(super) fn at(
        &self,
        second: u32,
        (edge, end): (Edge, f64),
        loads: &mut Loads,
        codec: &mut Codec,
    ) -> Option<Standing> {
        let place = self.spans.partition_point(|span| span.first <= second);
        let at = place.checked_sub(1)?;
        let span = self.spans.get(at)?;
        let next = self.spans.get(place).map_or(end, |next| next.before);
        if span.last <= second {
            return Some(Standing { total: next, last: Some(span.last) });
        }
        let read = span.load(loads).map(|loaded| span.at(second, next, &loaded, codec));
        let lost = match read {
            Some(Ok(standing)) => return Some(standing),
            Some(Err(reason)) => Some(reason),
            None => None,
        };
        if let (Some(reason), Some(extent)) = (lost, span.extent()) {
            extent.tell_damaged(&reason);
        }
        let before = at.checked_sub(1).and_then(|at| self.spans.get(at)).map(|span| span.last);
        Some(match edge {
            Edge::Left => Standing { total: next, last: before },
            Edge::Right => Standing { total: span.before, last: before },
        })
    }

    /// Appends (second, count) for `after < second <= last` of the spans, ascending. Says whether all could be read.
    pub(super) fn buckets(
        &self,
        after: i64,
        last: i64,
        loads: &mut Loads,
        codec: &mut Codec,
        out: &mut Vec<(u32, f64)>,
    ) -> bool {
        let from = self.spans.partition_point(|span| i64::from(span.last) <= after);
        let spans = self.spans.iter().skip(from).take_while(|span| i64::from(span.first) <= last);
        // All of them are asked for, so that all that are missing are read at once.
        let mut whole = true;
        for span in spans {
            whole &= span.buckets(after, last, loads, codec, out);
        }
        whole
    }

    /// All chunks that can be read, to be in memory again, each with the total before it.
    pub(super) fn chunks(&self, codec: &mut Codec) -> Vec<(f64, Arc<Chunk>)> {
        let mut chunks = Vec::new();
        for span in &self.spans {
            let Some(extent) = span.extent() else { continue };
            let Some(loaded) = extent.load() else { continue };
            let moved = span.moved(&loaded);
            let mut take = |piece: Piece| {
                let (before, chunk) = open_piece(&piece)?;
                chunks.push((before + moved, Arc::new(Chunk::read(chunk, codec)?)));
                Ok(())
            };
            if let Err(reason) = loaded.pieces().try_for_each(&mut take) {
                let reason: Damaged = reason;
                extent.tell_damaged(&reason);
            }
        }
        chunks
    }

    /// Adds to the totals of all spans.
    pub(super) fn shift(&mut self, count: f64) {
        self.spans.iter_mut().for_each(|span| span.before += count);
    }

    /// Notes that the detail of these seconds is lost; they lie behind all others.
    pub(super) fn lose(&mut self, first: u32, last: u32, before: f64) {
        match self.spans.last_mut() {
            Some(span) if span.file.is_none() => span.last = last,
            _ => self.spans.push(Span { file: None, place: Place::NOWHERE, seconds: 0, first, last, before }),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.spans.iter().map(|span| u64::from(span.seconds)).sum::<u64>()
            + self.since().map(Cumulative::count).sum::<u64>()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let merging = self.merging.as_ref().map_or(0, |merging| size_of::<Cumulative>() + merging.memory_bytes());
        size_of::<Stored>() + self.spans.capacity() * size_of::<Span>() + self.over.memory_bytes() + merging
    }

    /// Appends all of it for a snapshot. None is taken while something is being merged.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        debug_assert!(self.merging.is_none(), "blocks and snapshots are written one after another");
        put_varint(out, self.spans.len() as u64);
        let mut before = 0;
        for span in &self.spans {
            put_varint(out, span.file.as_ref().map_or(0, |file| file.number()));
            span.place.put(out);
            put_varint(out, u64::from(span.seconds));
            put_zigzag(out, i64::from(span.first) - before);
            put_varint(out, u64::from(span.last - span.first));
            put_value(out, span.before);
            before = i64::from(span.last);
        }
        self.over.write(out);
    }

    /// Reads what `write` wrote. Seconds in files that are not there are lost, and noted by `blocks`.
    pub(super) fn read_from(cursor: &mut Cursor, codec: &mut Codec, blocks: &Blocks) -> Result<Stored, Damaged> {
        let mut stored = Stored::default();
        let mut before = -1i64;
        for _ in 0..cursor.length(SPANS_MAX)? {
            let (number, place, seconds) = (cursor.varint()?, Place::read(cursor)?, cursor.varint_u32()?);
            let first = before.max(0).checked_add(cursor.zigzag()?).and_then(|first| u32::try_from(first).ok());
            let first = first.filter(|first| i64::from(*first) > before).ok_or(Damaged("spans do not ascend"))?;
            let last = first.checked_add(cursor.varint_u32()?).ok_or(Damaged("a span is too long"))?;
            before = i64::from(last);
            let file = if number == 0 { None } else { blocks.named(number, place.bytes()) };
            let total = cursor.value()?;
            stored.spans.push(Span { file, place, seconds, first, last, before: total });
        }
        stored.over = Cumulative::read_from(cursor, codec)?;
        if stored.over.newest().is_some_and(|newest| i64::from(newest) > before) {
            return Err(Damaged("late seconds lie behind what they are late for"));
        }
        Ok(stored)
    }
}
