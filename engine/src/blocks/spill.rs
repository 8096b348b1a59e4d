//! From memory to blocks: what is sealed and older than a time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use watchfire_model::failpoint;

use super::extent::{Extent, Place};
use super::file::{BlockFile, BlockWriter};
use super::stored::Held;
use crate::chunk::{Chunk, with_codec};
use crate::engine::Engine;
use crate::kind::SeriesKind;
use crate::natives::Run;
use crate::series::Series;

/// Series looked at under one hold of a shard's lock.
const SERIES_AT_ONCE: u32 = 4096;

/// What of a series may go to a block.
#[derive(Default)]
pub(crate) struct Sealed {
    pub(crate) chunks: Vec<Arc<Chunk>>,
    pub(crate) runs: Vec<Arc<Run>>,
}

/// What of a series is in the file being written.
struct Written {
    series: Arc<Series>,
    sealed: Sealed,
    chunks_at: Option<Place>,
    runs_at: Option<Place>,
}

impl Sealed {
    fn samples(&self) -> u64 {
        let chunks: u64 = self.chunks.iter().map(|chunk| chunk.count() as u64).sum();
        chunks + self.runs.iter().map(|run| u64::from(run.count())).sum::<u64>()
    }
}

impl Written {
    /// Has the series name the file instead of its chunks and runs, if they are still what it begins with.
    fn swap(self, file: &Arc<BlockFile>) -> u64 {
        let Written { series, sealed, chunks_at, runs_at } = self;
        let floats = chunks_at.and_then(|place| Extent::of(sealed.chunks.iter().map(|one| one.piece()), place, file));
        let natives = runs_at.and_then(|place| Extent::of(sealed.runs.iter().map(|one| one.piece()), place, file));
        let extents = [(Held::Floats, floats), (Held::Natives, natives)];
        let extents = extents.into_iter().filter_map(|(held, extent)| Some((held, extent?)));
        let mut state = series.state.lock();
        let is_swapped = !state.removed && state.store(&sealed, extents);
        if is_swapped { sealed.samples() } else { 0 }
    }
}

impl Engine {
    /// Moves what is sealed and ends before a time to blocks; says how many samples that were. Appends go on meanwhile.
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
        let sealed = with_codec(|codec| series.state.lock().sealed_before(before, codec));
        if sealed.samples() == 0 {
            return Ok(());
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(self.engine.blocks.begin()?),
        };
        let has_chunks = !sealed.chunks.is_empty();
        let chunks_at = has_chunks.then(|| writer.put(sealed.chunks.iter().map(|one| one.piece()))).transpose()?;
        let has_runs = !sealed.runs.is_empty();
        let runs_at = has_runs.then(|| writer.put(sealed.runs.iter().map(|one| one.piece()))).transpose()?;
        let is_full = writer.is_full();
        self.written.push(Written { series, sealed, chunks_at, runs_at });
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
