//! From memory to blocks: sealed chunks that are older than a time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use watchfire_model::failpoint;

use super::extent::{Extent, Place};
use super::file::{BlockFile, BlockWriter};
use crate::chunk::{Chunk, with_codec};
use crate::engine::Engine;
use crate::kind::SeriesKind;
use crate::series::Series;

/// Series looked at under one hold of a shard's lock.
const SERIES_AT_ONCE: u32 = 4096;

/// Chunks of a series that are in the file being written.
struct Written {
    series: Arc<Series>,
    chunks: Vec<Arc<Chunk>>,
    place: Place,
}

impl Written {
    /// Has the series name the file instead of its chunks, if they are still what it begins with.
    fn swap(self, file: &Arc<BlockFile>) -> u64 {
        let (Some(first), Some(last)) = (self.chunks.first(), self.chunks.last()) else { return 0 };
        let samples = self.chunks.iter().map(|chunk| chunk.count() as u32).sum();
        let (first, last) = (first.first(), last.last());
        let extent = Extent { file: Arc::clone(file), place: self.place, samples, first, last };
        let mut state = self.series.state.lock();
        let is_swapped = !state.removed && state.store(&self.chunks, extent);
        if is_swapped { u64::from(samples) } else { 0 }
    }
}

impl Engine {
    /// Moves sealed chunks that end before a time to blocks; says how many samples that were. Appends go on meanwhile.
    ///
    /// Errors: the disk said no; what is not in a whole file stays in memory. The caller holds `checkpointing`.
    pub(crate) fn spill(&self, before: i64) -> io::Result<u64> {
        let mut work = Spill { engine: self, writer: None, written: Vec::new(), samples: 0 };
        let result = self.registry.shards.iter().try_for_each(|shard| {
            let mut slot = 0;
            loop {
                let mut some = Vec::new();
                {
                    let shard = shard.read();
                    let end = shard.slots_end().min(slot + SERIES_AT_ONCE);
                    if slot >= end {
                        return Ok(());
                    }
                    let series = (slot..end).filter_map(|slot| shard.slot(slot));
                    some.extend(series.filter(|series| matches!(series.kind, SeriesKind::Samples(_))).cloned());
                    slot = end;
                }
                some.into_iter().try_for_each(|series| work.take(series, before))?;
            }
        });
        match result {
            Ok(()) => work.finish_file()?,
            Err(error) => {
                work.writer.take().into_iter().for_each(BlockWriter::give_up);
                return Err(error);
            }
        }
        self.spilled.fetch_add(work.samples, Ordering::Relaxed);
        Ok(work.samples)
    }
}

struct Spill<'e> {
    engine: &'e Engine,
    writer: Option<BlockWriter>,
    written: Vec<Written>,
    samples: u64,
}

impl Spill<'_> {
    fn take(&mut self, series: Arc<Series>, before: i64) -> io::Result<()> {
        let chunks = with_codec(|codec| series.state.lock().chunks_before(before, codec));
        if chunks.is_empty() {
            return Ok(());
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(self.engine.blocks.begin()?),
        };
        let place = writer.put(chunks.iter().map(|chunk| &**chunk))?;
        let is_full = writer.is_full();
        self.written.push(Written { series, chunks, place });
        if is_full { self.finish_file() } else { Ok(()) }
    }

    fn finish_file(&mut self) -> io::Result<()> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let file = writer.finish(&self.engine.blocks)?;
        failpoint::hit("engine.block_swap");
        self.samples += self.written.drain(..).map(|written| written.swap(&file)).sum::<u64>();
        Ok(())
    }
}
