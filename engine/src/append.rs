//! Taking numbers in: look the series up, decide point by point, write the record, answer.
//!
//! Samples are idempotent (a series holds one value per time), so they enter memory first and only what was
//! accepted is logged; replaying it in any order gives the same series. Counts and observations add up: their
//! record is written first, and all of them enter memory in the order of the log, under one lock, so that a
//! snapshot can say exactly which records it contains.

mod points;
mod targets;

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::Ordering;

use watchfire_model::LabelSet;

use self::points::Applying;
pub(crate) use self::targets::Target;

use crate::backfill::Hours;
use crate::batch::{BatchSeries, Derived, Names, Point, SampleBatch, SeriesHandle, SourcePosition, from_derived};
use crate::chunk::{Codec, with_codec};
use crate::engine::Engine;
use crate::exemplars::Kept;
use crate::key;
use crate::kind::SeriesKind;
use crate::limits::{Rejection, TimeBounds, bucket_second};
use crate::positions::Arrival;
use crate::samples::Pushed;
use crate::series::Dated;
use crate::wal::packed::Columnar;
use crate::wal::record::{Groups, put_backfill_head, put_head};

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendReport {
    /// Points that are in the engine now.
    pub accepted: u64,
    /// Points that were there already, with the same value.
    pub duplicates: u64,
    /// Of those that are in the engine, new or not, the native histograms.
    pub natives: u64,
    /// Exemplars that are here now, new or not.
    pub exemplars: u64,
    /// The series of those that were not taken, as they are older than the newest one of their series.
    pub old_exemplars: Vec<BatchSeries>,
    /// Points of series that were known and are gone; they are taken when their label sets come with them.
    pub gone: u64,
    /// Points that were not taken: number within the batch (in the order of pushing), and why.
    pub rejected: Vec<(u32, Rejection)>,
    /// Of these, those for whose time the batch itself has an earlier point of the series that was taken; ascending.
    pub repeated: Vec<u32>,
}

/// Why a batch was not taken. Nothing of it counts; sending it again is safe.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The log could not be written or synced; a retry can help when the disk has room again.
    #[error("the log of the engine cannot be written: {0}")]
    Log(#[from] io::Error),
}

/// What became of derived numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApplyReport {
    /// Everything from these offsets was applied before; nothing was done.
    pub known: bool,
    /// Points that are in the engine now.
    pub accepted: u64,
    /// Of these, points that went to an `__overflow__` series.
    pub overflowed: u64,
    /// Points that could not be counted, by reason.
    pub rejected: Vec<(Rejection, u64)>,
}

/// Why derived numbers were not applied. Nothing of them counts.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The log could not be written; a retry can help when the disk has room again.
    #[error("the log of the engine cannot be written: {0}")]
    Log(#[from] io::Error),
    /// The offsets begin before what is applied and end after it: read again from `applied`.
    #[error("offsets up to {applied} are applied already; read the queue from there")]
    Overlap {
        /// The offset to read from.
        applied: u64,
    },
}

/// What a batch led to, point by point.
#[derive(Default)]
pub(crate) struct Outcome {
    accepted: u64,
    duplicates: u64,
    natives: u64,
    exemplars: u64,
    old_exemplars: Vec<BatchSeries>,
    gone: u64,
    overflowed: u64,
    clamped: u64,
    rejected: Vec<(u32, Rejection)>,
    repeated: Vec<u32>,
    samples_applied: bool,
}

impl Outcome {
    /// Notes what became of a point, by its number in the batch.
    pub(crate) fn tell(&mut self, index: u32, became: Result<Pushed, Rejection>) {
        match became {
            Ok(Pushed::Accepted) => self.accepted += 1,
            Ok(Pushed::Known) => self.duplicates += 1,
            Ok(Pushed::Gone) => self.gone += 1,
            Err(reason) => self.rejected.push((index, reason)),
        }
    }

    /// Brings refusals into the order of the batch.
    pub(crate) fn sort_rejected(&mut self) {
        self.rejected.sort_unstable_by_key(|(index, _)| *index);
    }

    fn into_report(self) -> AppendReport {
        let Outcome { accepted, duplicates, natives, exemplars, old_exemplars, gone, rejected, repeated, .. } = self;
        AppendReport { accepted, duplicates, natives, exemplars, old_exemplars, gone, rejected, repeated }
    }

    /// As it is told, rejected points by reason.
    pub(crate) fn into_apply_report(self) -> ApplyReport {
        let mut rejected: Vec<(Rejection, u64)> = Vec::new();
        for (_, reason) in &self.rejected {
            match rejected.iter_mut().find(|(have, _)| have == reason) {
                Some((_, count)) => *count += 1,
                None => rejected.push((*reason, 1)),
            }
        }
        ApplyReport { known: false, accepted: self.accepted, overflowed: self.overflowed, rejected }
    }
}

/// Where the points of a record come from.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'o> {
    /// A sender.
    Pushed,
    /// A queue, at these offsets.
    Queue(&'o SourcePosition),
    /// Stored logs: the points replace what backfills put into these hours before.
    Backfill(&'o Hours),
}

impl Origin<'_> {
    fn put_head(self, out: &mut Vec<u8>) {
        match self {
            Origin::Pushed => put_head(None, out),
            Origin::Queue(source) => put_head(Some(source), out),
            Origin::Backfill(hours) => put_backfill_head(hours, out),
        }
    }

    /// Whether a record says something even without points.
    fn stands_alone(self) -> bool {
        !matches!(self, Origin::Pushed)
    }

    /// Whether points that are not late are dated by our own clock.
    fn has_own_clock(self) -> bool {
        matches!(self, Origin::Queue(_))
    }

    fn dated(self, late: bool) -> Dated {
        if let Origin::Backfill(_) = self { Dated::Filled } else { Dated::of(late) }
    }
}

impl Engine {
    /// Takes samples (and pushed counts and observations). What is reported as accepted is durable.
    pub fn append_samples(&self, batch: &SampleBatch) -> Result<AppendReport, AppendError> {
        self.see_time(batch.received_at);
        let additive = batch.series.iter().any(|entry| entry.kind.is_additive());
        let mut outcome = Outcome::default();
        let (lsn, targets) = {
            let _ordered = additive.then(|| self.positions.lock());
            let mut targets = self.resolve_all(batch, &|_| None);
            (self.commit(batch, &mut targets, Origin::Pushed, &mut outcome)?, targets)
        };
        let mut kept = Kept::default();
        if !batch.exemplars.is_empty() {
            let series_of = |series: BatchSeries| targets.get(series.0 as usize)?.series.as_ref().ok();
            kept = self.keep_exemplars(batch, |series| series_of(series).map(|series| series.id))?;
        }
        if let Some(lsn) = lsn.max(kept.lsn) {
            self.wal.sync_to(lsn)?;
        } else if outcome.duplicates + kept.count > 0 {
            // The twin may still be on its way to the disk.
            self.wal.sync()?;
        }
        self.remember(batch, &targets);
        outcome.repeated = repeated(batch, &targets, &outcome.rejected);
        (outcome.exemplars, outcome.old_exemplars) = (kept.count, kept.out_of_order);
        self.count(&outcome);
        Ok(outcome.into_report())
    }

    /// Takes samples of our own state. While the log cannot be written they are in memory only: the rules that watch
    /// the disk must see it when it is full. What memory holds is in the snapshot that mends the log. Counts and
    /// observations do not belong into such a batch.
    pub fn append_own_samples(&self, batch: &SampleBatch) -> AppendReport {
        let error = match self.append_samples(batch) {
            Ok(report) => return report,
            Err(AppendError::Log(error)) => error,
        };
        tracing::debug!(%error, "own samples are in memory only");
        let mut outcome = Outcome::default();
        let mut targets = self.resolve_all(batch, &|_| None);
        with_codec(|codec| self.apply_points(batch, &mut targets, false, &mut outcome, codec));
        self.count(&outcome);
        outcome.into_report()
    }

    /// Takes numbers derived from a queue, once: offsets that are applied already change nothing.
    ///
    /// They are visible when this returns and durable soon after; until [`Engine::durable_offset`] covers them
    /// the queue has to be able to give their records again.
    pub fn apply(&self, derived: &Derived) -> Result<ApplyReport, ApplyError> {
        let mut batch = from_derived(derived);
        batch.received_at = self.now();
        let cap_of = |name: &str| derived.max_series.get(name).copied();
        let mut outcome = Outcome::default();
        {
            let mut positions = self.positions.lock();
            match positions.arrival(&derived.source) {
                Arrival::New => {}
                Arrival::Known => return Ok(ApplyReport { known: true, ..ApplyReport::default() }),
                Arrival::Overlap { applied } => return Err(ApplyError::Overlap { applied }),
            }
            let mut targets = self.resolve_all(&batch, &cap_of);
            if let Some(lsn) = self.commit(&batch, &mut targets, Origin::Queue(&derived.source), &mut outcome)? {
                positions.applied(&derived.source, lsn);
            }
        }
        self.count(&outcome);
        Ok(outcome.into_apply_report())
    }

    /// Looks a series up, or makes it, for many appends to come.
    pub fn handle(&self, kind: SeriesKind, labels: &LabelSet) -> Result<SeriesHandle, Rejection> {
        let mut key = Vec::new();
        key::write(labels, &mut key);
        let series = self.registry.resolve(kind, &key, Names::Kept, None)?.series;
        Ok(SeriesHandle { series, key: key.into() })
    }

    /// The series that a batch names, for many appends to come; `None` if there is none, as when it was refused.
    pub fn handle_of(&self, batch: &SampleBatch, named: BatchSeries) -> Option<SeriesHandle> {
        let entry = batch.entry(named)?;
        let key = batch.key(entry);
        let series = self.registry.find(entry.kind, key)?;
        Some(SeriesHandle { series, key: key.into() })
    }

    /// Puts the points into memory and one record into the log. `None` if there was nothing to log.
    pub(crate) fn commit(
        &self,
        batch: &SampleBatch,
        targets: &mut [Target],
        origin: Origin,
        outcome: &mut Outcome,
    ) -> io::Result<Option<u64>> {
        if self.wal.is_broken() {
            return Err(io::Error::other("an earlier write to the log failed; waiting for a snapshot"));
        }
        with_codec(|codec| self.commit_with(batch, targets, origin, outcome, codec))
    }

    /// Puts samples into memory, and gathers what a record of the log has to hold: those, and the additive points.
    fn apply_points(
        &self,
        batch: &SampleBatch,
        targets: &mut [Target],
        own_clock: bool,
        outcome: &mut Outcome,
        codec: &mut Codec,
    ) -> Groups {
        if batch.any_order && batch.natives.is_empty() {
            let groups = self.apply_runs(batch, targets, outcome, codec);
            outcome.samples_applied = !groups.is_empty();
            return groups;
        }
        let bounds = self.bounds(batch.received_at);
        // As the first one is, mostly all of a batch are.
        let are_samples = batch.series.first().is_some_and(|entry| !entry.kind.is_additive());
        let groups = Groups::with_room(if are_samples { batch.len() } else { 0 });
        let mut applying = Applying { engine: self, batch, bounds, own_clock, groups, outcome, codec };
        applying.points(targets);
        applying.groups
    }

    fn commit_with(
        &self,
        batch: &SampleBatch,
        targets: &mut [Target],
        origin: Origin,
        outcome: &mut Outcome,
        codec: &mut Codec,
    ) -> io::Result<Option<u64>> {
        let mut groups = self.apply_points(batch, targets, origin.has_own_clock(), outcome, codec);
        if groups.is_empty() && !origin.stands_alone() {
            return Ok(None);
        }
        let mut keys = Vec::new();
        let undefined = self.undefined(batch, targets, &mut keys);
        let mut head = Vec::with_capacity(64);
        origin.put_head(&mut head);
        let mut points = Columnar::default();
        groups.put(&mut points);
        let lsn = match self.wal.append(&head, &undefined, &points) {
            Ok(lsn) => lsn,
            Err(error) => {
                if outcome.samples_applied {
                    // Memory holds what the log does not: a repetition would be taken for a duplicate.
                    self.wal.mark_broken();
                }
                return Err(error);
            }
        };
        if origin.stands_alone() {
            self.derived_bytes.fetch_add(points.bytes.len() as u64, Ordering::Relaxed);
        }
        self.apply_additive(batch, targets, origin, outcome, codec);
        Ok(Some(lsn))
    }

    /// Puts counts and observations into memory, which the log has by now.
    fn apply_additive(
        &self,
        batch: &SampleBatch,
        targets: &[Target],
        origin: Origin,
        outcome: &mut Outcome,
        codec: &mut Codec,
    ) {
        let (own_clock, bounds) = (origin.has_own_clock(), self.bounds(batch.received_at));
        let now = self.ticked.load(Ordering::Relaxed);
        if let Origin::Backfill(hours) = origin {
            for series in self.registry.series_of_metric(&hours.metric) {
                series.state.lock().numbers().clear_filled(hours.after, hours.until, codec);
            }
        }
        for points in batch.points.chunk_by(|a, b| a.series == b.series) {
            let Some(number) = points.first().map(|point| point.series as usize) else { continue };
            let Some(Target { series: Ok(series), overflowed }) = targets.get(number) else { continue };
            if !series.kind.is_additive() {
                continue;
            }
            let mut state = series.state.lock();
            let (numbers, mut taken) = (state.numbers(), 0);
            numbers.see_time(now);
            for point in points.iter().filter(|point| check_additive(series.kind, point, own_clock, &bounds).is_ok()) {
                let (second, dated) = (bucket_second(point.at), origin.dated(point.late));
                outcome.clamped += u64::from(numbers.add(second, point.value, dated, codec));
                taken += 1;
            }
            drop(state);
            if *overflowed && let Some(entry) = batch.series.get(number) {
                self.registry.catalogue.overflowed(batch.key(entry), taken);
            }
        }
    }

    pub(crate) fn count(&self, outcome: &Outcome) {
        self.accepted.fetch_add(outcome.accepted, Ordering::Relaxed);
        self.overflowed.fetch_add(outcome.overflowed, Ordering::Relaxed);
        self.clamped.fetch_add(outcome.clamped, Ordering::Relaxed);
        for (_, reason) in &outcome.rejected {
            self.rejected[reason.index()].fetch_add(1, Ordering::Relaxed);
        }
        if outcome.rejected.iter().any(|(_, reason)| *reason == Rejection::SeriesLimit) {
            self.series_refused_at.store(self.now().millis(), Ordering::Relaxed);
        }
    }
}

/// The points that were rejected for another at the same time that came with them.
fn repeated(batch: &SampleBatch, targets: &[Target], rejected: &[(u32, Rejection)]) -> Vec<u32> {
    if !rejected.iter().any(|(_, reason)| *reason == Rejection::DuplicateTimestamp) {
        return Vec::new();
    }
    let reasons: HashMap<u32, Rejection> = rejected.iter().copied().collect();
    let mut taken = HashSet::new();
    let mut repeated = Vec::new();
    for (number, point) in (0..).zip(&batch.points) {
        let Some(Target { series: Ok(series), .. }) = targets.get(point.series as usize) else { continue };
        let place = (series.id, point.at.millis());
        match reasons.get(&number) {
            None => {
                taken.insert(place);
            }
            Some(Rejection::DuplicateTimestamp) if taken.contains(&place) => repeated.push(number),
            Some(_) => {}
        }
    }
    repeated
}

/// Whether a count or an observation can be taken. What is dated by our own clock is taken whatever its time.
fn check_additive(kind: SeriesKind, point: &Point, own_clock: bool, bounds: &TimeBounds) -> Result<(), Rejection> {
    let countable = match kind {
        SeriesKind::Increments => point.value.is_finite() && point.value >= 0.0,
        SeriesKind::Distribution | SeriesKind::Samples(_) => !point.value.is_nan(),
    };
    if !countable {
        Err(Rejection::NotCountable)
    } else if own_clock && !point.late {
        Ok(())
    } else {
        bounds.check(point.at.millis())
    }
}
