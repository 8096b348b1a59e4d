//! What is compressed of a series: sealed chunks, and a tail behind them.

use std::sync::Arc;

use watchfire_model::Sample;

use super::tail::{Block, Tail};
use super::{Pushed, SEAL_AT, ascending, decode, place_of};
use crate::bytes::{Cursor, Damaged};
use crate::chunk::{Chunk, Codec, Encoded};
use crate::limits::Rejection;
use crate::prefetch::prefetch;

/// What is compressed.
#[derive(Default)]
pub(super) struct Packed {
    pub(super) sealed: Vec<Arc<Chunk>>,
    pub(super) tail: Tail,
}

/// Some of it in one piece.
pub(super) enum Run<'p> {
    Sealed(&'p Chunk),
    Open(Block<'p>),
}

impl Encoded for Run<'_> {
    fn decode_onto(&self, times: &mut Vec<i64>, values: &mut Vec<f64>) -> Result<(), Damaged> {
        match self {
            Run::Sealed(chunk) => chunk.bytes().decode_onto(times, values),
            Run::Open(block) => block.decode_onto(times, values),
        }
    }
}

impl Packed {
    /// Asks for the memory of the tail, and of where the sealed chunks are.
    pub(super) fn prefetch(&self) {
        prefetch(&self.sealed);
        self.tail.prefetch();
    }

    pub(super) fn newest(&self) -> Option<i64> {
        self.tail.newest().or_else(|| self.sealed.last().map(|chunk| chunk.last()))
    }

    pub(super) fn oldest(&self) -> Option<i64> {
        self.sealed.first().map(|chunk| chunk.first()).or_else(|| self.tail.oldest())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.tail.is_empty()
    }

    pub(super) fn count(&self) -> u64 {
        self.sealed.iter().map(|chunk| chunk.count() as u64).sum::<u64>() + self.tail.count() as u64
    }

    /// Adds a run that lies after everything else; a long tail becomes a sealed chunk.
    pub(super) fn append(&mut self, run: &[Sample], codec: &mut Codec) {
        if self.tail.is_empty() && run.len() >= SEAL_AT {
            self.sealed.extend(codec.seal(run).map(Arc::new));
            return;
        }
        self.tail.append(run, codec);
        if self.tail.count() >= SEAL_AT {
            let mut run = Vec::with_capacity(self.tail.count());
            self.read_tail(codec, &mut run);
            self.sealed.extend(codec.seal(&run).map(Arc::new));
            // Its room goes as well: most of the time the next one needs less than half of it.
            self.tail = Tail::default();
        }
    }

    /// Puts a sample between others.
    pub(super) fn insert(&mut self, sample: Sample, outside: bool, codec: &mut Codec) -> Result<Pushed, Rejection> {
        let at = sample.timestamp.millis();
        let first_of_tail = self.tail.oldest();
        let mut run = Vec::with_capacity(SEAL_AT + 1);
        if first_of_tail.is_some_and(|first| at >= first || self.sealed.is_empty()) {
            self.read_tail(codec, &mut run);
            let Some(place) = place_of(&run, sample, outside)? else { return Ok(Pushed::Known) };
            run.insert(place, sample);
            self.tail.clear();
            self.append(&run, codec);
            return Ok(Pushed::Accepted);
        }
        // The last chunk that begins at or before the sample, else the first one.
        let chunk_at = self.sealed.partition_point(|chunk| chunk.first() <= at).saturating_sub(1);
        let Some(chunk) = self.sealed.get(chunk_at) else { return Err(Rejection::OutOfOrder) };
        if codec.decode_range(chunk.bytes(), i64::MIN, i64::MAX, &mut run).is_err() {
            return Err(Rejection::OutOfOrder);
        }
        let Some(place) = place_of(&run, sample, outside)? else { return Ok(Pushed::Known) };
        run.insert(place, sample);
        let part = if run.len() > 2 * SEAL_AT { run.len().div_ceil(2) } else { run.len() };
        let chunks: Vec<Arc<Chunk>> = run.chunks(part).filter_map(|part| codec.seal(part)).map(Arc::new).collect();
        self.sealed.splice(chunk_at..=chunk_at, chunks);
        Ok(Pushed::Accepted)
    }

    /// The encoded runs in which there may be samples with `start < time <= end`, ascending.
    pub(super) fn runs(&self, start: i64, end: i64) -> impl Iterator<Item = Run<'_>> {
        let from = self.sealed.partition_point(|chunk| chunk.last() <= start);
        let sealed = self.sealed[from..].iter().take_while(move |chunk| chunk.first() <= end);
        let open = self.tail.blocks_behind(start).filter(move |block| block.last > start && block.first <= end);
        sealed.map(|chunk| Run::Sealed(chunk)).chain(open.map(Run::Open))
    }

    /// All samples of the tail.
    pub(super) fn read_tail(&self, codec: &mut Codec, out: &mut Vec<Sample>) {
        self.tail.blocks().for_each(|block| decode(&block, i64::MIN, i64::MAX, codec, out));
    }

    /// Drops sealed chunks, and when there are none any more blocks of the tail, that lie wholly before a time.
    pub(super) fn prune(&mut self, horizon: i64) {
        let old = self.sealed.partition_point(|chunk| chunk.last() < horizon);
        self.sealed.drain(..old);
        if self.sealed.is_empty() {
            self.sealed.shrink_to_fit();
            self.tail.prune(horizon);
        }
    }

    pub(super) fn read_from(cursor: &mut Cursor, codec: &mut Codec) -> Result<Packed, Damaged> {
        let mut packed = Packed::default();
        let mut newest = i64::MIN;
        for _ in 0..cursor.length(1 << 24)? {
            let chunk = Chunk::read(cursor.bytes()?, codec)?;
            ascending(newest, chunk.first())?;
            newest = chunk.last();
            packed.sealed.push(Arc::new(chunk));
        }
        packed.tail = Tail::read_from(cursor.bytes()?, newest, codec)?;
        Ok(packed)
    }
}
