//! Which series a number of the log stands for, for those who read millions of points.
//!
//! The log numbers its series as they come, and a sender repeats its series in their order. So the numbers lie sorted, and who
//! looks one up tries first the run of numbers in which the one before was: that is in the cache, where a hash table would wait for
//! memory. Series are ranked by their lowest numbers, so that those of numbers that follow each other lie beside each other.

use super::Known;

/// What a number stands for.
pub(super) struct Entry {
    /// Place of the series in the list of all.
    pub(super) place: u32,
    /// The last record of the log that the series contains already.
    pub(super) contains_lsn: u64,
}

/// Numbers that follow each other, and so do the ranks of their series.
struct Run {
    first: u64,
    many: u32,
    /// Of the series of the first one.
    rank: u32,
    /// Place of the first one among all numbers.
    at: usize,
}

impl Run {
    /// How many of its numbers stand before this one, which is one of them.
    #[inline]
    fn before(&self, id: u64) -> Option<u32> {
        let before = id.checked_sub(self.first).filter(|before| *before < u64::from(self.many))?;
        // Less than so many.
        Some(before as u32)
    }
}

/// All numbers, sorted.
pub(super) struct Numbering {
    runs: Vec<Run>,
    /// By the place of a number, the last record that its series contains already.
    contain: Vec<u64>,
    /// By rank, the places of the series in the list of all.
    places: Vec<u32>,
}

/// Reads a [`Numbering`].
pub(super) struct Lookup<'n> {
    numbering: &'n Numbering,
    /// The run in which a number was found last.
    run: usize,
}

impl Numbering {
    /// Numbers of what is known.
    pub(super) fn of(known: &Known) -> Numbering {
        let all = known.by_id.iter().map(|(id, (place, lsn))| (*id, *place, *lsn)).collect();
        Numbering::of_all(all, known.series.len())
    }

    /// Numbers, each with the place of its series among so many, and the last record that this contains already.
    pub(super) fn of_all(mut all: Vec<(u64, u32, u64)>, series: usize) -> Numbering {
        all.sort_unstable_by_key(|(id, ..)| *id);
        const UNRANKED: u32 = u32::MAX;
        let mut rank_of = vec![UNRANKED; series];
        let mut places = Vec::with_capacity(series);
        let (mut runs, mut contain): (Vec<Run>, _) = (Vec::new(), Vec::with_capacity(all.len()));
        for (id, place, lsn) in all {
            let Some(rank) = rank_of.get_mut(place as usize) else { continue };
            if *rank == UNRANKED {
                // There are fewer series than places have numbers.
                *rank = places.len() as u32;
                places.push(place);
            }
            match runs.last_mut() {
                Some(run) if run.first + u64::from(run.many) == id && run.rank + run.many == *rank => run.many += 1,
                _ => runs.push(Run { first: id, many: 1, rank: *rank, at: contain.len() }),
            }
            contain.push(lsn);
        }
        Numbering { runs, contain, places }
    }

    /// By rank, the places of the series in the list of all.
    pub(super) fn places(&self) -> &[u32] {
        &self.places
    }

    pub(super) fn lookup(&self) -> Lookup<'_> {
        Lookup { numbering: self, run: 0 }
    }
}

impl<'n> Lookup<'n> {
    /// What a number stands for, if anything.
    pub(super) fn find(&mut self, id: u64) -> Option<Entry> {
        let (run, before) = self.find_run(id)?;
        let place = *self.numbering.places.get((run.rank + before) as usize)?;
        Some(Entry { place, contains_lsn: *self.numbering.contain.get(run.at + before as usize)? })
    }

    /// The rank of the series that a number stands for, if there is one; so many numbers from this one on follow each other, and so
    /// do the ranks of their series.
    #[inline]
    pub(super) fn ranks(&mut self, id: u64) -> Option<(u32, usize)> {
        let (run, before) = self.find_run(id)?;
        Some((run.rank + before, (run.many - before) as usize))
    }

    #[inline]
    fn find_run(&mut self, id: u64) -> Option<(&'n Run, u32)> {
        let runs = &self.numbering.runs;
        if runs.get(self.run).and_then(|run| run.before(id)).is_none() {
            self.run = runs.partition_point(|run| run.first <= id).checked_sub(1)?;
        }
        let run = runs.get(self.run)?;
        Some((run, run.before(id)?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_lead_to_their_series(gaps in prop::collection::vec((1u64..4, 0u32..30), 0..60), asked in prop::collection::vec(0u64..200, 0..200)) {
            let mut next = 0;
            let all: Vec<(u64, u32, u64)> = gaps.iter().map(|(gap, place)| { next += gap; (next, *place, next + 7) }).collect();
            let numbering = Numbering::of_all(all.clone(), 30);
            let known: BTreeMap<u64, (u32, u64)> = all.iter().map(|(id, place, lsn)| (*id, (*place, *lsn))).collect();
            let (mut find, mut ranks) = (numbering.lookup(), numbering.lookup());
            for id in asked {
                let found = find.find(id).map(|found| (found.place, found.contains_lsn));
                prop_assert_eq!(found, known.get(&id).copied());
                let Some((rank, many)) = ranks.ranks(id) else { prop_assert!(!known.contains_key(&id)); continue };
                prop_assert!(many > 0);
                for (number, id) in (0..many).zip(id..) {
                    prop_assert_eq!(numbering.places()[rank as usize + number], known[&id].0);
                }
            }
        }
    }
}
