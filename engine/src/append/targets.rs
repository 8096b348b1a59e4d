//! The series that a batch names: found, or made.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use watchfire_model::labels::METRIC_NAME;

use crate::batch::{BatchEntry, Known, SampleBatch};
use crate::engine::Engine;
use crate::key;
use crate::limits::Rejection;
use crate::series::Series;
use crate::shard::Wanted;
use crate::wal::Undefined;

/// The series of a batch, which knows it or had it looked up, or why there is none.
pub(crate) struct Target<'b> {
    pub(crate) series: Result<Cow<'b, Arc<Series>>, Rejection>,
    /// It takes what has no room under its own labels.
    pub(super) overflowed: bool,
}

impl<'b> Target<'b> {
    fn of(series: Result<Cow<'b, Arc<Series>>, Rejection>) -> Target<'b> {
        Target { series, overflowed: false }
    }
}

/// Of an entry for which nobody asks.
const NONE: Target<'static> = Target { series: Err(Rejection::SeriesLimit), overflowed: false };

/// Most series of the metric of this name, if it has a cap.
pub(crate) type CapOf<'c> = &'c dyn Fn(&str) -> Option<u32>;

impl Engine {
    /// The series of a batch; those that are new are made.
    pub(crate) fn resolve_all<'b>(&self, batch: &'b SampleBatch, cap_of: CapOf) -> Vec<Target<'b>> {
        let mut targets: Vec<Option<Target>> = batch.series.iter().map(known).collect();
        let named = (0u32..).zip(&batch.series).filter(|(_, entry)| entry.known.is_none());
        let by_shard = self.registry.by_shard(named.map(|(number, entry)| (number, entry.kind, batch.key(entry))));
        self.registry.find_all(&by_shard, |number, series| {
            put(&mut targets, number, Target::of(Ok(Cow::Owned(series.clone()))));
        });
        // What has exemplars alone is no series yet.
        let with_points = (!batch.exemplars.is_empty()).then(|| batch.with_points());
        let is_bare =
            |number: usize| with_points.as_ref().is_some_and(|with| !with.get(number).is_some_and(|has| *has));
        for (number, (entry, target)) in batch.series.iter().zip(&mut targets).enumerate() {
            if target.is_some() {
                continue;
            }
            let cap = cap_in(batch, entry, cap_of);
            if is_bare(number) {
                // No point asks why.
                *target = Some(NONE);
            } else if entry.kind.is_additive() || cap.is_some() || entry.beyond_limits {
                *target = Some(self.resolve(batch, entry, cap));
            }
        }
        self.make(batch, by_shard, &mut targets);
        targets.into_iter().map(|target| target.unwrap_or(NONE)).collect()
    }

    /// The series of an entry; a new one if there is none.
    pub(super) fn resolve<'b>(&self, batch: &SampleBatch, entry: &BatchEntry, cap: Option<u32>) -> Target<'b> {
        let key = batch.key(entry);
        if entry.beyond_limits {
            let resolved = self.registry.resolve_beyond_limits(entry.kind, key, batch.names);
            return Target::of(resolved.map(Cow::Owned));
        }
        match self.registry.resolve(entry.kind, key, batch.names, cap) {
            Ok(resolved) => Target { series: Ok(Cow::Owned(resolved.series)), overflowed: resolved.overflowed },
            Err(reason) => Target::of(Err(reason)),
        }
    }

    /// Makes the series that are still without a target.
    fn make(&self, batch: &SampleBatch, mut by_shard: Vec<Vec<Wanted>>, targets: &mut [Option<Target>]) {
        let many = targets.iter().filter(|target| target.is_none()).count();
        if many == 0 {
            return;
        }
        if !self.registry.has_room_for(many) {
            // Those that come first get what there is.
            for (entry, target) in batch.series.iter().zip(targets).filter(|(_, target)| target.is_none()) {
                *target = Some(self.resolve(batch, entry, None));
            }
            return;
        }
        // They get their numbers in the order of the batch: that of the samples in the log, which takes next to nothing for them
        // then.
        let next = |id: &mut u64, target: &Option<Target>| {
            let before = *id;
            *id += u64::from(target.is_none());
            Some(before)
        };
        let ids: Vec<u64> = targets.iter().scan(self.registry.reserve_ids(many as u64), next).collect();
        for wanted in &mut by_shard {
            wanted.retain(|one| targets.get(one.number as usize).is_some_and(Option::is_none));
        }
        let new = |number: u32| {
            let (id, entry) = (ids.get(number as usize)?, batch.series.get(number as usize)?);
            Some((*id, entry.kind, batch.key(entry)))
        };
        self.registry.create_all(&by_shard, batch.names, new, |number, made| {
            put(targets, number, Target::of(made.map(Cow::Owned)));
        });
    }

    /// The series of a batch that the log has to define, in its order. `made`: room for keys that are not at hand.
    pub(super) fn undefined<'b>(
        &self,
        batch: &'b SampleBatch,
        targets: &'b [Target],
        made: &'b mut Vec<u8>,
    ) -> Vec<Undefined<'b>> {
        let mut undefined: Vec<Wanting> = Vec::new();
        for (entry, target) in batch.series.iter().zip(targets) {
            let Ok(series) = &target.series else { continue };
            if !self.wal.wants_definition(series) || undefined.iter().rev().take(8).any(|u| u.series.id == series.id) {
                continue;
            }
            let is_at_hand = !target.overflowed && !entry.is_without_key();
            let key = if is_at_hand { Key::AtHand(batch.key(entry)) } else { Key::Made(0..0) };
            undefined.push(Wanting { series, key });
        }
        // Those of a shard one after another, whose tables stay in the processor's caches then.
        let mut without: Vec<&mut Wanting> = undefined.iter_mut().filter(|it| matches!(it.key, Key::Made(_))).collect();
        without.sort_by_key(|wanting| wanting.series.shard);
        for of_shard in without.chunk_by_mut(|one, next| one.series.shard == next.series.shard) {
            let shard = of_shard.first().map_or(0, |wanting| wanting.series.shard);
            let shard = self.registry.shards[shard as usize].read();
            for wanting in of_shard {
                let start = made.len();
                shard.key_of(wanting.series, made);
                wanting.key = Key::Made(start..made.len());
            }
        }
        let made: &'b [u8] = made;
        let with_key = |Wanting { series, key }| {
            let key = match key {
                Key::AtHand(key) => key,
                Key::Made(range) => made.get(range).unwrap_or_default(),
            };
            Undefined { series, key }
        };
        undefined.into_iter().map(with_key).collect()
    }
}

/// A series that is to be defined.
struct Wanting<'b> {
    series: &'b Series,
    key: Key<'b>,
}

enum Key<'b> {
    AtHand(&'b [u8]),
    /// Where it is among those that were made.
    Made(Range<usize>),
}

/// The series of an entry that need not be looked up.
fn known(entry: &BatchEntry) -> Option<Target<'_>> {
    match entry.known.as_ref()? {
        Known::Series(series) => Some(Target::of(Ok(Cow::Borrowed(series)))),
        // A sample that meets a removed series looks it up again by itself.
        Known::Handle(known) if !entry.kind.is_additive() || !known.series.is_removed() => {
            Some(Target::of(Ok(Cow::Borrowed(&known.series))))
        }
        Known::Handle(_) => None,
    }
}

fn put<'b>(targets: &mut [Option<Target<'b>>], number: u32, target: Target<'b>) {
    if let Some(place) = targets.get_mut(number as usize) {
        *place = Some(target);
    }
}

/// The cap of the metric of an entry.
fn cap_in(batch: &SampleBatch, entry: &BatchEntry, cap_of: CapOf) -> Option<u32> {
    let name = key::value_of(batch.key(entry), METRIC_NAME)?;
    cap_of(std::str::from_utf8(name).ok()?)
}
