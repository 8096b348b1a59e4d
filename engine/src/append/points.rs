//! The points of a batch, one series after another.

use watchfire_model::{Histogram, Sample};

use super::{Outcome, Target, check_additive};
use crate::batch::{BatchEntry, Point, SampleBatch};
use crate::chunk::Codec;
use crate::engine::Engine;
use crate::kind::SeriesKind;
use crate::limits::{Rejection, TimeBounds, bucket_second};
use crate::samples::Pushed;
use crate::wal::record::Groups;

/// How many series ahead of the one that takes points the next one is fetched, and how many ahead what it refers to.
const SERIES_AHEAD: usize = 8;
const NUMBERS_AHEAD: usize = 4;

/// Points of a series side by side that are put in together.
const RUN_MIN: usize = 4;

/// A batch on its way into memory: samples go to their series, and what a record of the log has to hold is gathered, those
/// that were taken and the additive points.
pub(super) struct Applying<'a> {
    pub(super) engine: &'a Engine,
    pub(super) batch: &'a SampleBatch,
    pub(super) bounds: TimeBounds,
    pub(super) own_clock: bool,
    pub(super) groups: Groups,
    pub(super) outcome: &'a mut Outcome,
    pub(super) codec: &'a mut Codec,
}

impl Applying<'_> {
    /// Takes all points, and tells what became of each.
    pub(super) fn points(&mut self, targets: &mut [Target]) {
        let batch = self.batch;
        let mut natives = batch.natives.iter().peekable();
        let mut index = 0u32;
        for points in batch.points.chunk_by(|one, next| one.series == next.series) {
            let of = points.first().map_or(0, |point| point.series as usize);
            fetch_ahead(targets, of);
            let (Some(target), Some(entry)) = (targets.get_mut(of), batch.series.get(of)) else { continue };
            let may_run = points.len() >= RUN_MIN && batch.natives.is_empty();
            let (old, new) = points.split_at(if may_run { known(target, points) } else { points.len() });
            for point in old {
                let native = natives.next_if(|(number, _)| *number == index).map(|(_, histogram)| histogram);
                let became = self.take(target, entry, point, native);
                self.outcome.tell(index, became);
                index += 1;
            }
            if self.extend(target, new) {
                index += new.len() as u32;
                continue;
            }
            for point in new {
                let became = self.take(target, entry, point, None);
                self.outcome.tell(index, became);
                index += 1;
            }
        }
    }

    /// Puts points of one series into it in one go, if they are samples that are all newer than what it has. Says whether
    /// they are; else nothing was done.
    fn extend(&mut self, target: &Target, points: &[Point]) -> bool {
        let Ok(series) = &target.series else { return false };
        let is_within = |point: &Point| self.bounds.check(point.at.millis()).is_ok();
        let are_within = points.first().is_some_and(is_within) && points.last().is_some_and(is_within);
        if !are_within || !matches!(series.kind, SeriesKind::Samples(_)) {
            return false;
        }
        let run: Vec<Sample> = points.iter().map(|point| Sample { timestamp: point.at, value: point.value }).collect();
        let mut state = series.state.lock();
        if series.is_removed() || !state.extend(&run, self.codec) {
            return false;
        }
        drop(state);
        points.iter().for_each(|point| self.groups.sample(series.id, point.at.millis(), point.value));
        self.outcome.accepted += points.len() as u64;
        self.outcome.samples_applied = true;
        true
    }

    fn take(
        &mut self,
        target: &mut Target,
        entry: &BatchEntry,
        point: &Point,
        native: Option<&Histogram>,
    ) -> Result<Pushed, Rejection> {
        let series = target.series.as_ref().map_err(|reason| *reason)?;
        if series.kind.is_additive() {
            check_additive(series.kind, point, self.own_clock, &self.bounds)?;
            self.groups.additive(series.id, bucket_second(point.at), point.late, point.value);
            self.outcome.overflowed += u64::from(target.overflowed);
            return Ok(Pushed::Accepted);
        }
        let (id, pushed) = self.push(target, entry, point, native)?;
        if pushed == Pushed::Accepted {
            match native {
                Some(histogram) => self.groups.native(id, point.at.millis(), histogram),
                None => self.groups.sample(id, point.at.millis(), point.value),
            }
            self.outcome.samples_applied = true;
        }
        self.outcome.natives += u64::from(native.is_some() && pushed != Pushed::Gone);
        Ok(pushed)
    }

    /// Pushes a sample or a native histogram; a series that was pruned away meanwhile is made again.
    fn push(
        &mut self,
        target: &mut Target,
        entry: &BatchEntry,
        point: &Point,
        native: Option<&Histogram>,
    ) -> Result<(u64, Pushed), Rejection> {
        let sample = Sample { timestamp: point.at, value: point.value };
        loop {
            let series = target.series.as_ref().map_err(|reason| *reason)?;
            let mut state = series.state.lock();
            let removed = series.is_removed();
            if !removed && matches!(series.kind, SeriesKind::Samples(_)) {
                let pushed = match native {
                    Some(histogram) => state.push_native(point.at.millis(), histogram, &self.bounds, self.codec),
                    None => state.push(sample, &self.bounds, self.codec),
                };
                return pushed.map(|pushed| (series.id, pushed));
            }
            let id = series.id;
            drop(state);
            if entry.is_without_key() {
                return Ok((id, Pushed::Gone));
            }
            target.series = self.engine.resolve(self.batch, entry, None).series;
        }
    }
}

/// Asks for the memory of series that are likely to come soon: points come mostly in the order of their series.
fn fetch_ahead(targets: &[Target], of: usize) {
    let series = |ahead: usize| targets.get(of + ahead)?.series.as_ref().ok();
    if let Some(series) = series(SERIES_AHEAD) {
        series.prefetch();
    }
    if let Some(series) = series(NUMBERS_AHEAD) {
        series.prefetch_numbers();
    }
}

/// How many points of one series come first that are not newer than what it has.
fn known(target: &Target, points: &[Point]) -> usize {
    let newest = target.series.as_ref().ok().and_then(|series| series.state.lock().newest());
    points.iter().take_while(|point| Some(point.at.millis()) <= newest).count()
}
