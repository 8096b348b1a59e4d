//! Samples in any order, as an import brings them: gathered series by series, so that each chunk is taken apart once.

use std::borrow::Cow;
use std::cmp::Ordering;

use watchfire_model::Sample;

use crate::append::{Outcome, Target};
use crate::batch::SampleBatch;
use crate::chunk::Codec;
use crate::engine::Engine;
use crate::limits::Rejection;
use crate::samples::Pushed;
use crate::wal::record::Groups;

impl Engine {
    /// Puts samples of any age into memory, and gathers what a record of the log has to hold.
    pub(crate) fn apply_runs(
        &self,
        batch: &SampleBatch,
        targets: &mut [Target],
        outcome: &mut Outcome,
        codec: &mut Codec,
    ) -> Groups {
        let mut order: Vec<(u32, Sample)> = (0..)
            .zip(&batch.points)
            .map(|(index, point)| (index, Sample { timestamp: point.at, value: point.value }))
            .collect();
        let series_of = |index: u32| batch.points.get(index as usize).map(|point| point.series);
        // Stable: of two values at one time the first is taken.
        order.sort_by(|(a, left), (b, right)| match series_of(*a).cmp(&series_of(*b)) {
            Ordering::Equal => left.timestamp.cmp(&right.timestamp),
            different => different,
        });
        let mut groups = Groups::default();
        let (mut run, mut told) = (Vec::new(), Vec::new());
        for part in order.chunk_by(|(a, _), (b, _)| series_of(*a) == series_of(*b)) {
            let Some(number) = part.first().and_then(|(index, _)| series_of(*index)) else { continue };
            run.clear();
            run.extend(part.iter().map(|(_, sample)| *sample));
            told.clear();
            let id = self.merge_run(batch, targets, number, &run, &mut told, codec);
            for ((index, sample), became) in part.iter().zip(&told) {
                outcome.tell(*index, *became);
                if *became == Ok(Pushed::Accepted) {
                    groups.sample(id, sample.timestamp.millis(), sample.value);
                }
            }
        }
        outcome.sort_rejected();
        groups
    }

    /// Puts a run into its series; one that was pruned away meanwhile is made again. Gives the series' id.
    fn merge_run(
        &self,
        batch: &SampleBatch,
        targets: &mut [Target],
        number: u32,
        run: &[Sample],
        told: &mut Vec<Result<Pushed, Rejection>>,
        codec: &mut Codec,
    ) -> u64 {
        let all = |became| std::iter::repeat_n(became, run.len());
        let (Some(target), Some(entry)) = (targets.get_mut(number as usize), batch.series.get(number as usize)) else {
            told.extend(all(Ok(Pushed::Gone)));
            return 0;
        };
        loop {
            let series = match &target.series {
                Ok(series) => series,
                Err(reason) => {
                    told.extend(all(Err(*reason)));
                    return 0;
                }
            };
            let id = series.id;
            let mut state = series.state.lock();
            if !series.is_removed() {
                let bounds = self.bounds(batch.received_at);
                let oldest = run.first().map_or(i64::MAX, |sample| sample.timestamp.millis().max(bounds.oldest));
                match state.samples_from(oldest, codec) {
                    Some(samples) => samples.merge(run, &bounds, codec, &mut |became| told.push(became)),
                    // Counts have no order that could be kept.
                    None => told.extend(all(Err(Rejection::KindMismatch))),
                }
                return id;
            }
            drop(state);
            if entry.is_without_key() {
                told.extend(all(Ok(Pushed::Gone)));
                return id;
            }
            let resolved = self.registry.resolve(entry.kind, batch.key(entry), batch.names, None);
            target.series = resolved.map(|resolved| Cow::Owned(resolved.series));
        }
    }
}
