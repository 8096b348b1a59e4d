//! Which series a number of the log stands for, for those who read millions of points.
//!
//! The log numbers its series as they come, and a sender repeats its series in their order. So the numbers lie sorted, and who
//! looks one up tries first what stands behind the one before: that is in the cache, where a hash table would wait for memory.

use super::Known;

/// What a number stands for.
pub(super) struct Entry {
    /// Place of the series in the list of all.
    pub(super) place: u32,
    /// Which of the threads takes its samples.
    pub(super) turn: usize,
    /// The last record of the log that the series contains already.
    pub(super) contains_lsn: u64,
}

/// All numbers, sorted.
pub(super) struct Numbering {
    ids: Vec<u64>,
    /// Of each number, in the same order.
    entries: Vec<Entry>,
}

/// Reads a [`Numbering`].
pub(super) struct Lookup<'n> {
    numbering: &'n Numbering,
    /// Place behind the one that was found last.
    next: usize,
}

impl Numbering {
    /// Numbers of what is known; the shards are dealt to so many threads.
    pub(super) fn of(known: &Known, threads: usize) -> Numbering {
        let mut all: Vec<(u64, u32, u64)> = known.by_id.iter().map(|(id, (place, lsn))| (*id, *place, *lsn)).collect();
        all.sort_unstable_by_key(|(id, ..)| *id);
        let entry = |(_, place, contains_lsn): &(u64, u32, u64)| {
            let turn = known.series.get(*place as usize).map_or(0, |series| series.shard as usize % threads.max(1));
            Entry { place: *place, turn, contains_lsn: *contains_lsn }
        };
        Numbering { ids: all.iter().map(|(id, ..)| *id).collect(), entries: all.iter().map(entry).collect() }
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
