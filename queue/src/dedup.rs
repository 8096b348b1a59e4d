//! Which keys were seen, and at which offset: a ring of keys in the order of their offsets, and hash tables of
//! positions in it. About 34 bytes per key, given back as keys expire.
//!
//! Only the committer touches it, so there is no lock. Work per call is bounded: keys that expired while nothing
//! was appended are forgotten at once but removed bit by bit, and the tables grow one by one.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::batch::DedupKey;
use crate::sidecar::KeptKey;

/// Entries per piece of the ring.
const CHUNK_ENTRIES: usize = 4096;
/// Number of tables; a power of two.
const TABLES: usize = 64;
/// Most entries removed by one call of `expire`, beside two for each inserted one.
const REMOVED_PER_CALL: u64 = 8192;

#[derive(Clone, Copy)]
struct Entry {
    key: DedupKey,
    offset: u64,
}

/// The remembered keys. Positions count all keys ever inserted; live ones are in `first..next`.
pub(crate) struct DedupIndex {
    chunks: VecDeque<Vec<Entry>>,
    /// Position of the first entry of the first chunk; a multiple of `CHUNK_ENTRIES`.
    base: u64,
    /// Oldest position still in the tables.
    first: u64,
    /// Oldest position that still counts; `first` follows it.
    valid_from: u64,
    next: u64,
    /// `next` at the last call of `expire`.
    expired_at: u64,
    /// Low 32 bits of positions.
    tables: Vec<HashTable<u32>>,
    hasher: RandomState,
    /// From which position on keys were accepted at which time; both ascend.
    times: VecDeque<(u64, i64)>,
    window_ms: i64,
    keys_max: u64,
    forgotten_early: u64,
}

impl DedupIndex {
    /// An empty index that keeps keys for `window_ms` milliseconds, and at most `keys_max` of them.
    pub(crate) fn new(window_ms: i64, keys_max: usize) -> DedupIndex {
        DedupIndex {
            chunks: VecDeque::new(),
            base: 0,
            first: 0,
            valid_from: 0,
            next: 0,
            expired_at: 0,
            tables: (0..TABLES).map(|_| HashTable::new()).collect(),
            hasher: RandomState::default(),
            times: VecDeque::new(),
            window_ms,
            keys_max: keys_max as u64,
            forgotten_early: 0,
        }
    }

    /// The offset of the record that had this key.
    pub(crate) fn offset_of(&self, key: DedupKey) -> Option<u64> {
        self.find(key).map(|(_, offset)| offset)
    }

    /// The key as it is remembered, with its contents, and the offset of the record that had it.
    pub(crate) fn find(&self, key: DedupKey) -> Option<(DedupKey, u64)> {
        let hash = self.hash(key);
        let found = self.tables[table_of(hash)].find(hash, |&low| {
            let position = self.position(low);
            position >= self.valid_from && self.entry(position).key.hash == key.hash
        })?;
        let entry = self.entry(self.position(*found));
        Some((entry.key, entry.offset))
    }

    /// Remembers a key that is not there. Offsets ascend; a time earlier than the newest counts as the newest.
    /// There may be too many until [`DedupIndex::expire`] is called: what is rolled back must not cost old keys.
    pub(crate) fn insert(&mut self, kept: KeptKey) {
        if self.keys_max == 0 {
            return;
        }
        match self.times.back() {
            Some((_, newest)) if kept.accepted_ms < newest.saturating_add(self.granularity_ms()) => {}
            _ => self.times.push_back((self.next, kept.accepted_ms)),
        }
        if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK_ENTRIES) {
            self.chunks.push_back(Vec::with_capacity(CHUNK_ENTRIES));
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.push(Entry { key: kept.key, offset: kept.offset });
        }
        let position = self.next;
        self.next += 1;
        let hash = self.hash(kept.key);
        let (chunks, base, first, hasher) = (&self.chunks, self.base, self.first, &self.hasher);
        self.tables[table_of(hash)].insert_unique(hash, position as u32, |&low| {
            let at = (whole_position(first, low) - base) as usize;
            hasher.hash_one(chunks[at / CHUNK_ENTRIES][at % CHUNK_ENTRIES].key.hash)
        });
    }

    /// Where the next key goes; for [`DedupIndex::roll_back`].
    pub(crate) fn mark(&self) -> u64 {
        self.next
    }

    /// Forgets the keys inserted since `mark`: their records were not stored.
    pub(crate) fn roll_back(&mut self, mark: u64) {
        while self.next > mark.max(self.first) {
            let position = self.next - 1;
            self.remove_from_table(position);
            if let Some(chunk) = self.chunks.back_mut() {
                chunk.pop();
                if chunk.is_empty() {
                    self.chunks.pop_back();
                }
            }
            self.next = position;
        }
        self.valid_from = self.valid_from.min(self.next);
        while self.times.back().is_some_and(|(from, _)| *from >= self.next) {
            self.times.pop_back();
        }
    }

    /// Forgets keys whose time is over, and the oldest ones if there are too many.
    pub(crate) fn expire(&mut self, now_ms: i64) {
        let oldest_ms = now_ms.saturating_sub(self.window_ms);
        while let Some((_, mark_ms)) = self.times.front() {
            // The keys of a mark are older than the next mark, or belong to the newest one.
            let (end, youngest_ms) = match self.times.get(1) {
                Some((end, next_ms)) => (*end, *next_ms),
                None => (self.next, mark_ms.saturating_add(self.granularity_ms())),
            };
            if youngest_ms > oldest_ms {
                break;
            }
            self.valid_from = self.valid_from.max(end);
            self.times.pop_front();
        }
        let surplus = (self.next - self.valid_from).saturating_sub(self.keys_max);
        self.valid_from += surplus;
        self.forgotten_early += surplus;
        let inserted = self.next.saturating_sub(self.expired_at);
        self.expired_at = self.next;
        self.remove_oldest(REMOVED_PER_CALL + 2 * inserted);
    }

    /// Number of keys that count.
    pub(crate) fn len(&self) -> usize {
        (self.next - self.valid_from) as usize
    }

    /// Keys forgotten before their time because there were too many.
    pub(crate) fn forgotten_early(&self) -> u64 {
        self.forgotten_early
    }

    /// Offset of the oldest key that counts.
    pub(crate) fn oldest_offset(&self) -> Option<u64> {
        (self.valid_from < self.next).then(|| self.entry(self.valid_from).offset)
    }

    /// The keys that count of records from `first_offset` on, in order.
    pub(crate) fn keys_from(&self, first_offset: u64) -> Vec<KeptKey> {
        let (mut low, mut high) = (self.valid_from, self.next);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle).offset < first_offset { low = middle + 1 } else { high = middle }
        }
        let mut mark = self.times.partition_point(|(from, _)| *from <= low);
        (low..self.next)
            .map(|position| {
                while self.times.get(mark).is_some_and(|(from, _)| *from <= position) {
                    mark += 1;
                }
                let accepted_ms = mark.checked_sub(1).and_then(|at| self.times.get(at)).map_or(0, |(_, at)| *at);
                let entry = self.entry(position);
                KeptKey { key: entry.key, offset: entry.offset, accepted_ms }
            })
            .collect()
    }

    fn remove_oldest(&mut self, at_most: u64) {
        let end = self.valid_from.min(self.first + at_most);
        while self.first < end {
            self.remove_from_table(self.first);
            self.first += 1;
            if self.first - self.base == CHUNK_ENTRIES as u64 {
                self.chunks.pop_front();
                self.base = self.first;
            }
        }
        if self.first == self.next && self.next > 0 {
            // Everything is gone: give the tables back too.
            self.tables.iter_mut().filter(|table| table.capacity() > 0).for_each(|table| *table = HashTable::new());
        }
    }

    fn remove_from_table(&mut self, position: u64) {
        let hash = self.hash(self.entry(position).key);
        if let Ok(found) = self.tables[table_of(hash)].find_entry(hash, |&low| low == position as u32) {
            found.remove();
        }
    }

    /// How finely times are kept.
    fn granularity_ms(&self) -> i64 {
        (self.window_ms / 64).clamp(1, 1000)
    }

    fn entry(&self, position: u64) -> &Entry {
        let at = (position - self.base) as usize;
        &self.chunks[at / CHUNK_ENTRIES][at % CHUNK_ENTRIES]
    }

    fn position(&self, low: u32) -> u64 {
        whole_position(self.first, low)
    }

    /// Keyed: the keys are hashes without a secret, and senders choose what is hashed.
    fn hash(&self, key: DedupKey) -> u64 {
        self.hasher.hash_one(key.hash)
    }
}

/// The position at or after `first` whose low bits are `low`; there are fewer than 2^32 live ones.
fn whole_position(first: u64, low: u32) -> u64 {
    first + u64::from(low.wrapping_sub(first as u32))
}

/// The tables use the high and the low bits of a hash; these are from between.
fn table_of(hash: u64) -> usize {
    (hash >> 40) as usize % TABLES
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Append(Vec<u8>, bool),
        Wait(i64),
    }

    fn key(number: u8) -> DedupKey {
        DedupKey::new([number; 16])
    }

    proptest! {
        #[test]
        fn it_remembers_what_a_naive_map_remembers(
            steps in prop::collection::vec(
                prop_oneof![
                    4 => (prop::collection::vec(any::<u8>(), 1..40), prop::bool::weighted(0.8)).prop_map(|(k, ok)| Step::Append(k, ok)),
                    1 => (0..200i64).prop_map(Step::Wait),
                ],
                1..60,
            ),
        ) {
            let window_ms = 300;
            let mut index = DedupIndex::new(window_ms, 100);
            let mut model: Vec<KeptKey> = Vec::new();
            let (mut now, mut offset) = (0, 0);
            for step in steps {
                match step {
                    Step::Wait(ms) => now += ms,
                    Step::Append(keys, stored) => {
                        index.expire(now);
                        let mark = index.mark();
                        let mut fresh = HashMap::new();
                        for number in keys {
                            let expected = model.iter().rev().find(|kept| kept.key == key(number));
                            let expected = expected.map(|kept| (kept.offset, kept.accepted_ms));
                            match index.offset_of(key(number)) {
                                Some(found) => {
                                    let in_this_batch = fresh.get(&number) == Some(&found);
                                    prop_assert!(in_this_batch || expected.map(|e| e.0) == Some(found));
                                }
                                None => {
                                    prop_assert!(!fresh.contains_key(&number));
                                    // Only the old ones and those past the newest hundred may be missing.
                                    if let Some((at, accepted)) = expected {
                                        let newer = model.iter().filter(|kept| kept.offset > at).count();
                                        prop_assert!(accepted + window_ms <= now || newer >= 100);
                                    }
                                    index.insert(KeptKey { key: key(number), offset, accepted_ms: now });
                                    fresh.insert(number, offset);
                                    offset += 1;
                                }
                            }
                        }
                        if stored {
                            let mut kept: Vec<_> = fresh.into_iter().collect();
                            kept.sort_by_key(|(_, offset)| *offset);
                            model.extend(kept.into_iter().map(|(n, offset)| KeptKey { key: key(n), offset, accepted_ms: now }));
                        } else {
                            index.roll_back(mark);
                        }
                        prop_assert!(index.len() <= 140);
                        let all = index.keys_from(0);
                        prop_assert_eq!(all.len(), index.len());
                        prop_assert!(all.windows(2).all(|pair| pair[0].offset < pair[1].offset));
                        for kept in all {
                            prop_assert_eq!(index.offset_of(kept.key), Some(kept.offset));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn expired_keys_give_their_memory_back() {
        let mut index = DedupIndex::new(1000, 1 << 20);
        let number = |n: u64| DedupKey::new(std::array::from_fn(|at| n.to_le_bytes()[at % 8]));
        for n in 0..50_000 {
            index.insert(KeptKey { key: number(n), offset: n, accepted_ms: 0 });
        }
        index.expire(10_000);
        assert_eq!(index.len(), 0);
        assert_eq!(index.offset_of(number(49_999)), None, "forgotten at once");
        for _ in 0..10 {
            index.expire(10_000);
        }
        assert!(index.chunks.len() <= 1);
        assert!(index.tables.iter().all(|table| table.capacity() == 0));
        index.insert(KeptKey { key: number(3), offset: 60_000, accepted_ms: 10_000 });
        assert_eq!(index.offset_of(number(3)), Some(60_000));
    }
}
