//! Following the log: what was taken in, read again in the order in which it became durable, by somebody who sends it on.
//!
//! A tail reads the files of the log beside whoever writes them, only as far as they are durable, and knows no memory: the
//! log names each series in every stretch that uses it. It holds the log back from the place that its reader has settled, so
//! that after a restart it goes on from there.

mod file;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use watchfire_model::{Histogram, LabelSet};

use crate::bytes::Damaged;
use crate::delete::Deletion;
use crate::engine::Engine;
use crate::exemplars::Exemplar;
use crate::key;
use crate::kind::SeriesKind;
use crate::notes::MetricNote;
use crate::wal::Hold;
use crate::wal::columns::SampleColumns;
use crate::wal::definitions::Labels;
use crate::wal::record::{self, AdditivePoints, Heads, Points};
use crate::wal::segment;
use crate::{backfill, batch};

use file::{Look, OpenSegment};

/// A place in the log, as a reader keeps it over a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition {
    /// The record to be read next.
    pub next: u64,
    /// The record from which on names of series are read for that one and those behind it; not above it.
    pub names_from: u64,
}

/// Who is told what the log says.
pub trait Follow {
    /// From here on each series is named again before it is used: what was named before the last call of this can go.
    fn stretch(&mut self);
    /// Samples, counts or observations of a series with this number follow.
    fn series(&mut self, number: u64, kind: SeriesKind, labels: &[(&str, &str)]);
    /// Samples of a series: times in milliseconds, and values.
    fn samples(&mut self, number: u64, samples: &[(i64, f64)]);
    /// A native histogram of a series, at a time in milliseconds.
    fn native(&mut self, number: u64, at: i64, histogram: &Histogram);
    /// An exemplar of a series.
    fn exemplar(&mut self, number: u64, exemplar: Exemplar);
}

/// What a step of a tail came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing more is durable.
    Nothing,
    /// A record was read; it has this number.
    Record(u64),
    /// So many records are gone, or are damaged: they were durable once and nobody has them any more.
    Lost(u64),
}

/// A reader of the log.
pub struct LogTail {
    engine: Arc<Engine>,
    hold: Hold,
    file: Option<OpenSegment>,
    next: u64,
    /// The least place that names can be needed from.
    names_from: u64,
    /// Beginnings of stretches that are not reached yet, and how many had begun when they were asked for.
    stretches: VecDeque<u64>,
    stretches_seen: u64,
}

impl Engine {
    /// Begins to follow the log from a place, or with what is taken in from now on. The log is held back from there.
    ///
    /// A place that the log has not reached is of another log: then the whole log there is counts as unread.
    pub fn follow_log(self: &Arc<Engine>, from: Option<LogPosition>) -> io::Result<LogTail> {
        // Nothing goes while it is found out what is to be held.
        let _settled = self.checkpointing.lock();
        let end = self.wal.follow();
        let names_from = match from {
            None => end,
            Some(position) if position.next <= end => position.names_from.min(position.next),
            Some(_) => segment::list(&self.config.dir)?.first().map_or(end, |(first, _)| *first),
        };
        let engine = self.clone();
        let hold = self.wal.hold(names_from);
        let stretches = VecDeque::new();
        Ok(LogTail { engine, hold, file: None, next: names_from, names_from, stretches, stretches_seen: 0 })
    }

    /// Begins to follow the log with the oldest record that is still there.
    pub fn follow_log_from_its_beginning(self: &Arc<Engine>) -> io::Result<LogTail> {
        self.follow_log(Some(LogPosition { next: u64::MAX, names_from: u64::MAX }))
    }

    /// The number that the next record of the log gets.
    pub fn log_next(&self) -> u64 {
        self.wal.next_lsn()
    }

    /// From now on the log is deleted as those who follow it now allow: neither [`EngineConfig::log_held_from`] counts any more,
    /// nor what readers have left.
    ///
    /// [`EngineConfig::log_held_from`]: crate::EngineConfig::log_held_from
    pub fn let_go_of_log(&self) {
        self.left_holds.lock().clear();
    }

    /// Bytes of the log in files that hold this record or later ones.
    pub fn log_bytes_from(&self, record: u64) -> io::Result<u64> {
        let files = segment::list(&self.config.dir)?;
        let from = files.partition_point(|(first, _)| *first <= record).saturating_sub(1);
        Ok(files.iter().skip(from).filter_map(|(_, path)| Some(std::fs::metadata(path).ok()?.len())).sum())
    }

    /// The first record of the earliest file from which on the log has at most so many bytes; of the newest file in any case.
    pub fn log_within(&self, bytes: u64) -> io::Result<u64> {
        let files = segment::list(&self.config.dir)?;
        let (mut within, mut sum) = (0, 0u64);
        for (first, path) in files.iter().rev() {
            sum = sum.saturating_add(std::fs::metadata(path).map_or(0, |meta| meta.len()));
            if within > 0 && sum > bytes {
                break;
            }
            within = *first;
        }
        Ok(within)
    }

    /// The records that are durable end before this one.
    pub fn log_end(&self) -> u64 {
        self.wal.synced()
    }

    /// The kind and key of the labels of series in memory, by number. Looks through all of them.
    fn names_in_memory(&self, wanted: &[u64], mut found: impl FnMut(u64, SeriesKind, &[u8])) {
        let mut key = Vec::new();
        for shard in &self.registry.shards {
            let shard = shard.read();
            for series in shard.live().iter().filter_map(|slot| shard.slot(slot)) {
                if wanted.contains(&series.id) {
                    key.clear();
                    shard.key_of(series, &mut key);
                    found(series.id, series.kind, &key);
                }
            }
        }
    }
}

impl LogTail {
    /// The record to be read next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// A record that is to be read again after a restart, with where its names stand.
    pub fn position(&mut self, next: u64) -> LogPosition {
        let known = self.engine.wal.stretches().names_from(next).unwrap_or(0);
        self.names_from = self.names_from.max(known).min(next);
        LogPosition { next, names_from: self.names_from }
    }

    /// The log before this place is not needed any more.
    pub fn release(&self, position: LogPosition) {
        self.hold.advance(position.names_from);
    }

    /// Reads the next record, if it is durable, and tells what it says. Blocks.
    pub fn step(&mut self, follow: &mut impl Follow) -> io::Result<Step> {
        if self.next >= self.engine.wal.synced() {
            return Ok(Step::Nothing);
        }
        loop {
            let Some(file) = &mut self.file else {
                let opened = OpenSegment::find(&self.engine.config.dir, self.next)?;
                let lost = opened.first.saturating_sub(self.next);
                self.file = Some(opened);
                if let Some(lost) = self.lost(lost) {
                    return Ok(lost);
                }
                continue;
            };
            let (lsn, payload) = match file.look()? {
                Look::Record(lsn, payload) => (lsn, payload),
                Look::End => match OpenSegment::after(&self.engine.config.dir, file.first)? {
                    Some(following) => {
                        let lost = following.first.saturating_sub(self.next);
                        self.file = Some(following);
                        if let Some(lost) = self.lost(lost) {
                            return Ok(lost);
                        }
                        continue;
                    }
                    // It counts as durable because a snapshot has it, and was never written here.
                    None => return Ok(Step::Nothing),
                },
            };
            if lsn < self.next {
                file.pass();
                continue;
            }
            if lsn > self.next {
                let lost = lsn - self.next;
                self.next = lsn;
                return Ok(Step::Lost(lost));
            }
            let wal = &self.engine.wal;
            if self.stretches_seen != wal.stretches().count() {
                self.stretches_seen = wal.stretches().count();
                self.stretches = wal.stretches().after(lsn.saturating_sub(1));
            }
            while self.stretches.front().is_some_and(|first| *first <= lsn) {
                self.stretches.pop_front();
                follow.stretch();
            }
            let understood = tell(payload, &mut Told { follow, of: 0, samples: Vec::new() });
            file.pass();
            self.next = lsn + 1;
            return Ok(if understood.is_ok() { Step::Record(lsn) } else { Step::Lost(1) });
        }
    }

    /// Goes on behind so many records that are not there.
    fn lost(&mut self, records: u64) -> Option<Step> {
        self.next += records;
        (records > 0).then_some(Step::Lost(records))
    }

    /// Ends; the log stays held from where it was released last, for who follows it next.
    pub fn leave(self) {
        self.engine.left_holds.lock().push(self.hold);
    }

    /// Looks for the names of series that the log has not told, among those in memory, and tells them.
    pub fn name(&self, numbers: &[u64], follow: &mut impl Follow) {
        self.engine.names_in_memory(numbers, |number, kind, key| {
            if let Ok(labels) = key::checked_pairs(key) {
                follow.series(number, kind, &labels);
            }
        });
    }
}

/// Reads a record and hands on what concerns a follower.
fn tell(payload: &[u8], told: &mut Told<impl Follow>) -> Result<(), Damaged> {
    let Some(counts) = record::read_head(payload, told)? else { return Ok(()) };
    let samples = record::read_counts(payload, counts, told)?;
    record::read_samples(payload, samples, &mut SampleColumns::default(), told)?;
    told.tell_samples();
    Ok(())
}

/// Hands on what concerns a follower.
struct Told<'f, F> {
    follow: &'f mut F,
    /// Samples that follow each other, and the number of their series.
    of: u64,
    samples: Vec<(i64, f64)>,
}

impl<F: Follow> Told<'_, F> {
    /// Hands on the samples that are gathered.
    fn tell_samples(&mut self) {
        if !self.samples.is_empty() {
            self.follow.samples(self.of, &self.samples);
            self.samples.clear();
        }
    }
}

impl<F: Follow> Heads for Told<'_, F> {
    fn begin(&mut self, _: Option<&batch::SourcePosition>) {}

    fn begin_backfill(&mut self, _: &backfill::Hours) {}

    fn delete(&mut self, _: Deletion) {}

    fn exemplar(&mut self, id: u64, _: LabelSet, exemplar: Exemplar) {
        self.follow.exemplar(id, exemplar);
    }

    fn notes(&mut self, _: Vec<MetricNote>) {}

    fn define(&mut self, id: u64, kind: SeriesKind, labels: &Labels) {
        self.follow.series(id, kind, labels);
    }
}

impl<F: Follow> Points for Told<'_, F> {
    fn sample(&mut self, id: u64, at: i64, value: f64) {
        if self.of != id {
            self.tell_samples();
            self.of = id;
        }
        self.samples.push((at, value));
    }

    fn additive(&mut self, _: u64, _: AdditivePoints) -> Result<(), Damaged> {
        Ok(())
    }

    fn native(&mut self, id: u64, at: i64, histogram: &Histogram) {
        self.tell_samples();
        self.follow.native(id, at, histogram);
    }
}
