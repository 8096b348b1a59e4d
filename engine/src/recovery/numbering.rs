//! Which series a number of the log stands for, for those who read millions of points.
//!
//! The log numbers its series as they come, and a sender repeats its series in their order. So the numbers lie sorted, and who
//! looks one up tries first what stands behind the one before: that is in the cache, where a hash table would wait for memory.

use super::Known;

/// What a number stands for.
pub(super) struct Entry {
    /// Place of the series in the list of all.
    pub(super) place: u32,
    /// Its shard, and its place among the series of that.
    pub(super) shard: u32,
    pub(super) in_shard: u32,
    /// The last record of the log that the series contains already.
    pub(super) contains_lsn: u64,
}

/// All numbers, sorted.
pub(super) struct Numbering {
    ids: Vec<u64>,
    /// Of each number, in the same order.
    entries: Vec<Entry>,
    /// The places of the series of each shard in the list of all.
    of_shards: Vec<Vec<u32>>,
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
        let mut of_shards: Vec<Vec<u32>> = Vec::new();
        let mut in_shard = Vec::with_capacity(known.series.len());
        for (place, series) in (0u32..).zip(&known.series) {
            let shard = series.shard as usize;
            if of_shards.len() <= shard {
                of_shards.resize_with(shard + 1, Vec::new);
            }
            in_shard.push((series.shard, of_shards[shard].len() as u32));
            of_shards[shard].push(place);
        }
        let mut all: Vec<(u64, u32, u64)> = known.by_id.iter().map(|(id, (place, lsn))| (*id, *place, *lsn)).collect();
        all.sort_unstable_by_key(|(id, ..)| *id);
        let entry = |(_, place, contains_lsn): &(u64, u32, u64)| {
            let (shard, in_shard) = in_shard.get(*place as usize).copied().unwrap_or_default();
            Entry { place: *place, shard, in_shard, contains_lsn: *contains_lsn }
        };
        Numbering { ids: all.iter().map(|(id, ..)| *id).collect(), entries: all.iter().map(entry).collect(), of_shards }
    }

    /// The places of the series of each shard in the list of all.
    pub(super) fn of_shards(&self) -> &[Vec<u32>] {
        &self.of_shards
    }

    pub(super) fn lookup(&self) -> Lookup<'_> {
        Lookup { numbering: self, next: 0 }
    }
}

impl<'n> Lookup<'n> {
    /// What a number stands for, if anything.
    pub(super) fn find(&mut self, id: u64) -> Option<&'n Entry> {
        let ids = &self.numbering.ids;
        if ids.get(self.next) != Some(&id) {
            self.next = ids.binary_search(&id).ok()?;
        }
        let found = self.numbering.entries.get(self.next);
        self.next += 1;
        found
    }
}
