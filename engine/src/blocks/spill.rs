//! From memory to blocks: what is sealed and older than a time, and what came late for what is there already.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use watchfire_model::failpoint;

use super::extent::{Extent, Place};
use super::file::{BlockFile, BlockWriter};
use super::stored::Held;
use crate::chunk::{Chunk, with_codec};
use crate::cumulative::{Leaving, Left};
use crate::distribution::{Detail, WrittenDay};
use crate::engine::Engine;
use crate::kind::SeriesKind;
use crate::natives::Run;
use crate::series::{Dated, Series};

/// Series looked at under one hold of a shard's lock.
const SERIES_AT_ONCE: u32 = 4096;

/// What of a series may go to a block.
#[derive(Default)]
pub(crate) struct Sealed {
    pub(crate) chunks: Vec<Arc<Chunk>>,
    pub(crate) runs: Vec<Arc<Run>>,
}

/// Whether what came late for counts in blocks is merged with them, and what came for observations goes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Merge {
    /// All of it.
    All,
    /// Where it takes so much memory that it is worth what has to be written for it.
    WhereWorthIt,
}

/// What of a series is in the file being written.
enum Written {
    Samples(WrittenSamples),
    Counts(WrittenCounts),
    Observed(WrittenObserved),
}

/// What of a layer of a counter is.
pub(super) struct WrittenCounts {
    series: Arc<Series>,
    dated: Dated,
    left: Left,
}

/// What of a layer of a distribution is.
struct WrittenObserved {
    series: Arc<Series>,
    dated: Dated,
    detail: Arc<Detail>,
    days: Vec<WrittenDay>,
}

struct WrittenSamples {
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
    /// Has the series name the file instead of what is in it; says how many samples, seconds or intervals left memory.
    fn swap(self, file: &Arc<BlockFile>) -> u64 {
        match self {
            Written::Samples(samples) => samples.swap(file),
            Written::Counts(counts) => counts.swap(file),
            Written::Observed(observed) => observed.swap(file),
        }
    }

    /// There will be no file.
    fn give_up(self) {
        match self {
            Written::Samples(_) => {}
            Written::Counts(counts) => give_up_counts(&counts.series, counts.dated),
            Written::Observed(observed) => give_up_observed(&observed.series, observed.dated),
        }
    }
}

impl WrittenCounts {
    /// Writes what is leaving a layer. If the disk says no, it stays.
    pub(super) fn write(
        series: &Arc<Series>,
        dated: Dated,
        leaving: Leaving,
        writer: &mut BlockWriter,
    ) -> io::Result<WrittenCounts> {
        let left = with_codec(|codec| leaving.write(writer, codec));
        let left = left.inspect_err(|_| give_up_counts(series, dated))?;
        Ok(WrittenCounts { series: Arc::clone(series), dated, left })
    }

    pub(super) fn swap(self, file: &Arc<BlockFile>) -> u64 {
        let WrittenCounts { series, dated, left } = self;
        let mut state = series.state.lock();
        if series.is_removed() {
            return 0;
        }
        let layer = state.count_layer(dated);
        layer.map_or(0, |layer| with_codec(|codec| layer.put_left(left, file, codec)))
    }
}

/// What was leaving a layer stays where it is.
fn give_up_counts(series: &Series, dated: Dated) {
    let mut state = series.state.lock();
    if let Some(layer) = state.count_layer(dated) {
        with_codec(|codec| layer.stays(codec));
    }
}

impl WrittenObserved {
    fn swap(self, file: &Arc<BlockFile>) -> u64 {
        let WrittenObserved { series, dated, detail, days } = self;
        let mut state = series.state.lock();
        if series.is_removed() {
            return 0;
        }
        state.observed().map_or(0, |observed| observed.put_left(dated, &detail, days, file))
    }
}

/// Likewise of observations.
fn give_up_observed(series: &Series, dated: Dated) {
    if let Some(observed) = series.state.lock().observed() {
        observed.stays(dated);
    }
}

impl WrittenSamples {
    /// Has the series name the file instead of its chunks and runs, if they are still what it begins with.
    fn swap(self, file: &Arc<BlockFile>) -> u64 {
        let WrittenSamples { series, sealed, chunks_at, runs_at } = self;
        let floats = chunks_at.and_then(|place| Extent::of(sealed.chunks.iter().map(|one| one.piece()), place, file));
        let natives = runs_at.and_then(|place| Extent::of(sealed.runs.iter().map(|one| one.piece()), place, file));
        let extents = [(Held::Floats, floats), (Held::Natives, natives)];
        let extents = extents.into_iter().filter_map(|(held, extent)| Some((held, extent?)));
        let mut state = series.state.lock();
        let is_swapped = !series.is_removed() && state.store(&sealed, extents);
        if is_swapped { sealed.samples() } else { 0 }
    }
}

impl Engine {
    /// Moves what is sealed and ends before a time to blocks; says how many samples, seconds and intervals that were. Appends go
    /// on meanwhile.
    ///
    /// Errors: the disk said no; what is not in a whole file stays in memory. The caller holds `checkpointing`.
    pub(crate) fn spill(&self, before: i64, merge: Merge) -> io::Result<u64> {
        let mut work = Spill { engine: self, merge, writer: None, written: Vec::new(), moved: 0 };
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
                    some.extend((slot..end).filter_map(|slot| shard.slot(slot)).cloned());
                    slot = end;
                }
                some.into_iter().try_for_each(|series| work.take(series, before))?;
            }
        });
        match result.and_then(|()| work.finish_file()) {
            Ok(()) => {}
            Err(error) => {
                work.writer.take().into_iter().for_each(BlockWriter::give_up);
                work.written.into_iter().for_each(Written::give_up);
                return Err(error);
            }
        }
        self.spilled.fetch_add(work.moved, Ordering::Relaxed);
        Ok(work.moved)
    }
}

struct Spill<'e> {
    engine: &'e Engine,
    merge: Merge,
    writer: Option<BlockWriter>,
    written: Vec<Written>,
    moved: u64,
}

impl Spill<'_> {
    fn take(&mut self, series: Arc<Series>, before: i64) -> io::Result<()> {
        match series.kind {
            SeriesKind::Samples(_) => self.take_samples(series, before)?,
            SeriesKind::Increments => self.take_counts(&series, before)?,
            SeriesKind::Distribution => self.take_observed(&series, before)?,
        }
        if self.writer.as_ref().is_some_and(BlockWriter::is_full) { self.finish_file() } else { Ok(()) }
    }

    fn writer(&mut self) -> io::Result<&mut BlockWriter> {
        Ok(match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(self.engine.blocks.begin()?),
        })
    }

    fn take_samples(&mut self, series: Arc<Series>, before: i64) -> io::Result<()> {
        let sealed = with_codec(|codec| series.state.lock().sealed_before(before, codec));
        if sealed.samples() == 0 {
            return Ok(());
        }
        let writer = self.writer()?;
        let has_chunks = !sealed.chunks.is_empty();
        let chunks_at = has_chunks.then(|| writer.put(sealed.chunks.iter().map(|one| one.piece()))).transpose()?;
        let has_runs = !sealed.runs.is_empty();
        let runs_at = has_runs.then(|| writer.put(sealed.runs.iter().map(|one| one.piece()))).transpose()?;
        self.written.push(Written::Samples(WrittenSamples { series, sealed, chunks_at, runs_at }));
        Ok(())
    }

    fn take_counts(&mut self, series: &Arc<Series>, before: i64) -> io::Result<()> {
        for dated in Dated::ALL {
            let leaving = with_codec(|codec| {
                let mut state = series.state.lock();
                state.count_layer(dated)?.leaving(before.div_euclid(1000), self.merge, codec)
            });
            let Some(leaving) = leaving else { continue };
            let writer = self.writer().inspect_err(|_| give_up_counts(series, dated))?;
            let counts = WrittenCounts::write(series, dated, leaving, writer)?;
            self.written.push(Written::Counts(counts));
        }
        Ok(())
    }

    fn take_observed(&mut self, series: &Arc<Series>, before: i64) -> io::Result<()> {
        for dated in Dated::ALL {
            let leaving = {
                let mut state = series.state.lock();
                // What an opening has left resting goes at a later turn: nobody shall wait for all of it now.
                if series.is_removed() || state.rests() {
                    return Ok(());
                }
                state.observed().and_then(|observed| observed.leaving(dated, before.div_euclid(1000), self.merge))
            };
            let Some(detail) = leaving else { continue };
            let days = self.writer().and_then(|writer| detail.write(writer));
            let days = days.inspect_err(|_| give_up_observed(series, dated))?;
            self.written.push(Written::Observed(WrittenObserved { series: Arc::clone(series), dated, detail, days }));
        }
        Ok(())
    }

    fn finish_file(&mut self) -> io::Result<()> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let file = writer.finish(&self.engine.blocks)?;
        failpoint::hit("engine.block_swap");
        self.moved += self.written.drain(..).map(|written| written.swap(&file)).sum::<u64>();
        Ok(())
    }
}
