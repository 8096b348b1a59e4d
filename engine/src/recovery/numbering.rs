//! Which series a number of the log stands for, for those who read millions of points.
//!
//! The log numbers its series as they come, and a sender repeats its series in their order. So the numbers lie sorted, and who
//! looks one up tries first what stands behind the one before: that is in the cache, where a hash table would wait for memory.
//! Series are ranked by their lowest numbers, so that those of numbers that follow each other lie beside each other.

use super::Known;

/// What a number stands for.
pub(super) struct Entry {
    /// Place of the series in the list of all.
    pub(super) place: u32,
    /// The last record of the log that the series contains already.
    pub(super) contains_lsn: u64,
}

/// All numbers, sorted.
pub(super) struct Numbering {
    ids: Vec<u64>,
    /// Of each number, in the same order, the rank of its series, and the last record that this contains already.
    ranks: Vec<u32>,
    contain: Vec<u64>,
    /// By rank, the places of the series in the list of all.
    places: Vec<u32>,
}

/// Reads a [`Numbering`].
pub(super) struct Lookup<'n> {
    numbering: &'n Numbering,
    /// Place behind the one that was found last.
    next: usize,
}

impl Numbering {
    /// Numbers of what is known.
    pub(super) fn of(known: &Known) -> Numbering {
        let mut all: Vec<(u64, u32, u64)> = known.by_id.iter().map(|(id, (place, lsn))| (*id, *place, *lsn)).collect();
        all.sort_unstable_by_key(|(id, ..)| *id);
        const UNRANKED: u32 = u32::MAX;
        let mut rank_of = vec![UNRANKED; known.series.len()];
        let mut places = Vec::with_capacity(known.series.len());
        let ranked = |(_, place, _): &(u64, u32, u64)| {
            let Some(rank) = rank_of.get_mut(*place as usize) else { return UNRANKED };
            if *rank == UNRANKED {
                // There are fewer series than places have numbers.
                *rank = places.len() as u32;
                places.push(*place);
            }
            *rank
        };
        let ranks = all.iter().map(ranked).collect();
        let (ids, contain) = all.iter().map(|(id, _, lsn)| (*id, *lsn)).unzip();
        Numbering { ids, ranks, contain, places }
    }

    /// By rank, the places of the series in the list of all.
    pub(super) fn places(&self) -> &[u32] {
        &self.places
    }

    pub(super) fn lookup(&self) -> Lookup<'_> {
        Lookup { numbering: self, next: 0 }
    }
}

impl Lookup<'_> {
    /// What a number stands for, if anything.
    pub(super) fn find(&mut self, id: u64) -> Option<Entry> {
        let Numbering { ranks, contain, places, .. } = self.numbering;
        let at = self.find_at(id)?;
        let place = *places.get(*ranks.get(at)? as usize)?;
        Some(Entry { place, contains_lsn: *contain.get(at)? })
    }

    /// The rank of the series that a number stands for, if there is one.
    #[inline]
    pub(super) fn rank(&mut self, id: u64) -> Option<u32> {
        let at = self.find_at(id)?;
        self.numbering.ranks.get(at).copied()
    }

    #[inline]
    fn find_at(&mut self, id: u64) -> Option<usize> {
        let ids = &self.numbering.ids;
        if ids.get(self.next) != Some(&id) {
            self.next = ids.binary_search(&id).ok()?;
        }
        let found = self.next;
        self.next += 1;
        Some(found)
    }
}
