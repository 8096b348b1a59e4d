//! A shard: the registry of its series and their index, behind one lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16};

use hashbrown::HashTable;
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use watchfire_model::LabelSet;

use crate::bytes::Damaged;
use crate::fingerprint::Fingerprint;
use crate::kind::{SeriesClass, SeriesKind};
use crate::latest::Latest;
use crate::matching::Indexed;
use crate::paged::Paged;
use crate::pairs::Pairs;
use crate::postings::put_last;
use crate::series::{Series, SeriesState};
use crate::wal;

/// Look-ups that are done together, so that their waits for memory overlap.
pub(crate) const TOGETHER: usize = 16;

/// What the first numbers of a series take.
const FIRST_NUMBERS_BYTES: usize = 32;

/// A series that is looked for.
pub(crate) struct Wanted {
    pub(crate) hash: Fingerprint,
    pub(crate) class: SeriesClass,
    /// Number of the question.
    pub(crate) number: u32,
}

/// What the lock of a shard guards.
#[derive(Default)]
pub(crate) struct Shard {
    /// By the fingerprints of their label sets.
    table: HashTable<Arc<Series>>,
    slots: Paged<Arc<Series>>,
    free: RoaringBitmap,
    live: RoaringBitmap,
    pub(crate) pairs: Pairs,
    /// The series that came last.
    latest: Latest,
    /// Label sets that queries asked for.
    labels: Mutex<LabelCache>,
    /// Memory of identities and index without texts, kept up to date.
    pub(crate) identity_bytes: usize,
    /// Memory of numbers, counted at the last sweep, and of new series since.
    pub(crate) numbers_bytes: usize,
    /// Samples and so on, counted at the last sweep.
    pub(crate) numbers_count: u64,
}

impl Shard {
    /// The series whose label set has this fingerprint. Labels are not compared: they were checked when the series was
    /// entered, and equal fingerprints are equal label sets.
    pub(crate) fn find(&self, hash: Fingerprint, class: SeriesClass) -> Option<&Arc<Series>> {
        self.table.find(hash.short(), |series| is_it(series, hash, class))
    }

    /// Looks many series up and calls back with the number and the series of those that are there.
    pub(crate) fn find_many(&self, wanted: &[Wanted], mut found: impl FnMut(u32, &Arc<Series>)) {
        for block in wanted.chunks(TOGETHER) {
            let mut likely: [Option<&Arc<Series>>; TOGETHER] = [None; TOGETHER];
            for (place, one) in likely.iter_mut().zip(block) {
                *place = self.table.find(one.hash.short(), |_| true);
            }
            likely.iter().flatten().for_each(|series| series.prefetch());
            for (series, one) in likely.iter().zip(block) {
                let Some(series) = series else { continue };
                let is_likely = is_it(series, one.hash, one.class);
                let series = if is_likely { Some(*series) } else { self.find(one.hash, one.class) };
                if let Some(series) = series {
                    found(one.number, series);
                }
            }
        }
    }

    /// The series in a slot.
    pub(crate) fn slot(&self, slot: u32) -> Option<&Arc<Series>> {
        self.slots.get(slot)
    }

    /// Slots from 0 up to this are in use or free.
    pub(crate) fn slots_end(&self) -> u32 {
        self.slots.next()
    }

    /// The slots of all series.
    pub(crate) fn live(&self) -> &RoaringBitmap {
        &self.live
    }

    /// Memory of identities, index and numbers, as far as it is counted.
    pub(crate) fn bytes(&self) -> usize {
        self.identity_bytes + self.numbers_bytes
    }

    /// Makes room for so many more series at once.
    pub(crate) fn reserve(&mut self, series: usize) {
        self.table.reserve(series, |series| series.hash.short());
    }

    /// Enters a new series with the key of a label set; the caller has looked that there is none. It is entered beside the one
    /// that came before it, which has mostly the same names, and some of the same values.
    pub(crate) fn insert(&mut self, new: NewSeries, key: &[u8], state: SeriesState) -> Result<Arc<Series>, Damaged> {
        let slot = self.free.min().unwrap_or(self.slots.next());
        let mut latest = std::mem::take(&mut self.latest);
        let bytes = latest.become_next(&mut self.pairs, slot, key)?;
        let pairs: Box<[u32]> = latest.pairs().into();
        self.identity_bytes += bytes + Series::identity_bytes(pairs.len());
        self.numbers_bytes += state.memory_bytes() + FIRST_NUMBERS_BYTES;
        let series = Arc::new(Series {
            id: new.id,
            hash: new.hash,
            shard: new.shard,
            kind: new.kind,
            defined: AtomicU16::new(if new.defined { wal::DEFINED_BEFORE } else { wal::UNDEFINED }),
            removed: AtomicBool::new(false),
            pairs,
            state: Mutex::new(state),
        });
        self.free.remove(slot);
        self.slots.put(slot, series.clone());
        put_last(&mut self.live, slot);
        self.table.insert_unique(new.hash.short(), series.clone(), |series| series.hash.short());
        self.latest = latest;
        Ok(series)
    }

    /// Takes a series out of the registry and the index. Its holders see `removed`.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<Arc<Series>> {
        let series = self.slots.take(slot)?;
        if let Ok(found) = self.table.find_entry(series.hash.short(), |have| Arc::ptr_eq(have, &series)) {
            found.remove();
        }
        self.live.remove(slot);
        self.free.insert(slot);
        self.latest.forget(slot);
        let labels = self.labels.get_mut();
        labels.remove(slot);
        let mut freed = 0;
        for pair in &series.pairs {
            freed += self.pairs.remove(*pair, slot);
            if self.pairs.postings(*pair).is_none() {
                labels.remove_value(*pair);
            }
        }
        self.identity_bytes = self.identity_bytes.saturating_sub(freed + Series::identity_bytes(series.pairs.len()));
        Some(series)
    }

    /// Memory of what is kept for queries, estimated.
    pub(crate) fn query_bytes(&self) -> usize {
        self.labels.lock().memory_bytes()
    }

    /// Gives back table room that is no longer needed.
    pub(crate) fn shrink(&mut self) {
        self.slots.shrink();
        self.free.remove_range(self.slots.next()..);
        if self.table.capacity() > 4 * self.table.len() + 64 {
            self.table.shrink_to_fit(|series| series.hash.short());
        }
        self.identity_bytes = self.identity_bytes.saturating_sub(self.pairs.shrink());
    }

    /// Calls back with each of these series, ascending by slot; `little` reads what of it is needed first.
    pub(crate) fn each_series(
        &self,
        slots: &RoaringBitmap,
        little: impl Fn(&Series) -> u32,
        mut each: impl FnMut(u32, &Arc<Series>),
    ) {
        let mut slots = slots.iter().filter_map(|slot| Some((slot, self.slot(slot)?)));
        let mut block = Vec::with_capacity(TOGETHER);
        loop {
            block.clear();
            block.extend(slots.by_ref().take(TOGETHER));
            if block.is_empty() {
                return;
            }
            // Reading a little of each, without deciding anything by it, fetches all of them at once.
            std::hint::black_box(block.iter().fold(0, |all, (_, series)| all ^ little(series)));
            block.iter().for_each(|(slot, series)| each(*slot, series));
        }
    }

    /// The labels of a series, made when a query first asks for them and kept while queries do.
    pub(crate) fn labels_of(&self, slot: u32, series: &Series) -> LabelSet {
        let mut cache = self.labels.lock();
        if let Some(labels) = cache.get(slot) {
            return labels;
        }
        let pairs = series
            .pairs
            .iter()
            .filter_map(|pair| Some((self.pairs.name_text_of(*pair)?, self.value(*pair, &mut cache))));
        // The pairs of a series are unique and sorted, so this cannot fail.
        let labels = LabelSet::from_pairs(pairs).unwrap_or_default();
        cache.put(slot, labels.clone());
        labels
    }

    /// The labels of a series if it is still in this slot, made for the one who asks and not kept: for what goes through
    /// very many series once.
    pub(crate) fn passing_labels_of(&self, slot: u32, series: &Arc<Series>) -> Option<LabelSet> {
        self.slot(slot).filter(|there| Arc::ptr_eq(there, series))?;
        let texts = |pair: &u32| Some((self.pairs.name_text_of(*pair)?, self.value_text(*pair)));
        // As above, this cannot fail.
        Some(LabelSet::from_pairs(series.pairs.iter().filter_map(texts)).unwrap_or_default())
    }

    fn value_text(&self, pair: u32) -> Arc<str> {
        std::str::from_utf8(self.pairs.value_of(pair)).unwrap_or_default().into()
    }

    /// The value of a pair for a label set; if several series have it, their label sets share it.
    fn value(&self, pair: u32, cache: &mut LabelCache) -> Arc<str> {
        let text = || self.value_text(pair);
        let is_of_one = self.pairs.postings(pair).is_some_and(|postings| postings.only().is_some());
        if is_of_one { text() } else { cache.value(pair, text) }
    }

    /// Forgets the labels that no query asked for since the last time.
    pub(crate) fn age_for_queries(&self) {
        self.labels.lock().age();
    }

    /// The key of a series, for the disk.
    pub(crate) fn key_of(&self, series: &Series, out: &mut Vec<u8>) {
        for (name, value) in series.pairs.iter().filter_map(|pair| self.pairs.texts(*pair)) {
            crate::bytes::put_bytes(out, name.as_bytes());
            crate::bytes::put_bytes(out, value);
        }
    }
}

impl Indexed for Shard {
    fn pairs(&self) -> &Pairs {
        &self.pairs
    }

    fn live(&self) -> &RoaringBitmap {
        &self.live
    }

    fn slots_end(&self) -> u32 {
        self.slots.next()
    }

    fn each(&self, slots: &RoaringBitmap, mut each: impl FnMut(u32, &[u32])) {
        let first_pair = |series: &Series| series.pairs.first().copied().unwrap_or(0);
        self.each_series(slots, first_pair, |slot, series| each(slot, &series.pairs));
    }
}

fn is_it(series: &Series, hash: Fingerprint, class: SeriesClass) -> bool {
    series.hash == hash && series.kind.class() == class
}

/// What queries asked for, in two generations: since the last ageing, and before.
struct Generations<T> {
    young: Paged<T>,
    old: Paged<T>,
}

impl<T> Default for Generations<T> {
    fn default() -> Generations<T> {
        Generations { young: Paged::default(), old: Paged::default() }
    }
}

impl<T: Clone> Generations<T> {
    fn get(&mut self, number: u32) -> Option<T> {
        if let Some(have) = self.young.get(number) {
            return Some(have.clone());
        }
        let have = self.old.take(number)?;
        self.young.put(number, have.clone());
        Some(have)
    }

    fn put(&mut self, number: u32, made: T) {
        self.young.put(number, made);
    }

    fn remove(&mut self, number: u32) {
        self.young.take(number);
        self.old.take(number);
    }

    fn age(&mut self) {
        self.old = std::mem::take(&mut self.young);
    }

    /// Memory, if each of what was asked for takes so much.
    fn memory_bytes(&self, of_each: usize) -> usize {
        let of = |paged: &Paged<T>| paged.memory_bytes() + paged.len() * of_each;
        of(&self.young) + of(&self.old)
    }
}

/// Label sets by slot, and the values that several of them share by pair.
#[derive(Default)]
struct LabelCache {
    sets: Generations<LabelSet>,
    values: Generations<Arc<str>>,
}

impl LabelCache {
    fn get(&mut self, slot: u32) -> Option<LabelSet> {
        self.sets.get(slot)
    }

    fn put(&mut self, slot: u32, labels: LabelSet) {
        self.sets.put(slot, labels);
    }

    fn value(&mut self, pair: u32, make: impl FnOnce() -> Arc<str>) -> Arc<str> {
        self.values.get(pair).unwrap_or_else(|| {
            let value = make();
            self.values.put(pair, value.clone());
            value
        })
    }

    fn remove(&mut self, slot: u32) {
        self.sets.remove(slot);
    }

    fn remove_value(&mut self, pair: u32) {
        self.values.remove(pair);
    }

    fn age(&mut self) {
        self.sets.age();
        self.values.age();
    }

    fn memory_bytes(&self) -> usize {
        // A set of ten labels with two values of its own; a value.
        self.sets.memory_bytes(16 + 10 * 32 + 2 * 40) + self.values.memory_bytes(40)
    }
}

/// What a new series is.
pub(crate) struct NewSeries {
    pub(crate) id: u64,
    pub(crate) hash: Fingerprint,
    pub(crate) shard: u32,
    pub(crate) kind: SeriesKind,
    pub(crate) defined: bool,
}
