//! Label set → series, across the shards, within the limits.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::RwLock;
use watchfire_model::labels::METRIC_NAME;

use crate::batch::Names;
use crate::catalogue::Catalogue;
use crate::config::EngineConfig;
use crate::fingerprint::{Fingerprint, Fingerprints};
use crate::forms::Forms;
use crate::key;
use crate::kind::SeriesKind;
use crate::known::Known;
use crate::limits::Rejection;
use crate::series::{Numbers, Series, SeriesState};
use crate::shard::{NewSeries, Shard, Wanted};

/// Value of every label of the series that takes what is past a metric's cap.
pub const OVERFLOW: &str = "__overflow__";

/// Series made under one hold of a shard's lock.
const CREATED_AT_ONCE: usize = 256;

/// The series of an engine.
pub(crate) struct Registry {
    pub(crate) shards: Box<[RwLock<Shard>]>,
    /// Of keys.
    fingerprints: Fingerprints,
    pub(crate) catalogue: Catalogue,
    pub(crate) known: Known,
    /// Metrics that are counted, whether they have series yet or not.
    pub(crate) counted: RwLock<HashSet<String>>,
    next_id: AtomicU64,
    series: AtomicUsize,
    /// Memory of series and numbers, as last counted, plus new series since; without catalogue.
    series_bytes: AtomicUsize,
    max_series: usize,
    memory_limit_bytes: usize,
    labels_per_series: usize,
    label_bytes: usize,
}

/// What a look-up gave.
pub(crate) struct Resolved {
    pub(crate) series: Arc<Series>,
    /// It is the overflow series of its metric.
    pub(crate) overflowed: bool,
}

impl Registry {
    pub(crate) fn new(config: &EngineConfig) -> Registry {
        Registry {
            shards: (0..config.shards.next_power_of_two()).map(|_| RwLock::default()).collect(),
            fingerprints: Fingerprints::new(),
            catalogue: Catalogue::default(),
            known: Known::new(config.max_series.saturating_mul(2)),
            counted: RwLock::default(),
            next_id: AtomicU64::new(1),
            series: AtomicUsize::new(0),
            series_bytes: AtomicUsize::new(0),
            max_series: config.max_series,
            memory_limit_bytes: config.memory_limit_bytes,
            labels_per_series: config.labels_per_series,
            label_bytes: config.label_bytes,
        }
    }

    /// The fingerprint of a key and the number of its shard. Label sets that differ by the metric's name alone have the same one,
    /// as most of an instance do: what they have in common stands there once, and those that come one after the other are entered
    /// beside each other.
    pub(crate) fn place_of(&self, key: &[u8]) -> (Fingerprint, usize) {
        let (name, labels) = key::split_metric_name(key);
        let (of_name, of_labels) = (self.fingerprints.of(name), self.fingerprints.of(labels));
        let common = if labels.is_empty() { of_name } else { of_labels };
        // The table inside a shard uses bits of another hash.
        (self.fingerprints.of_both(of_name, of_labels), common.short() as usize & (self.shards.len() - 1))
    }

    /// The series of a key, if there is one.
    pub(crate) fn find(&self, kind: SeriesKind, key: &[u8]) -> Option<Arc<Series>> {
        let (hash, shard) = self.place_of(key);
        self.shards[shard].read().find(hash, kind.class()).cloned()
    }

    /// What is to be looked up or made, each shard's together.
    pub(crate) fn by_shard<'k>(&self, keys: impl Iterator<Item = (u32, SeriesKind, &'k [u8])>) -> Vec<Vec<Wanted>> {
        let mut by_shard: Vec<Vec<Wanted>> = self.shards.iter().map(|_| Vec::new()).collect();
        for (number, kind, key) in keys {
            let (hash, shard) = self.place_of(key);
            by_shard[shard].push(Wanted { hash, class: kind.class(), number });
        }
        by_shard
    }

    /// Looks many keys up; calls back with the number of a key and its series where there is one.
    pub(crate) fn find_all(&self, by_shard: &[Vec<Wanted>], mut found: impl FnMut(u32, &Arc<Series>)) {
        for (shard, wanted) in self.shards.iter().zip(by_shard) {
            if !wanted.is_empty() {
                shard.read().find_many(wanted, &mut found);
            }
        }
    }

    /// Makes many series of samples, as far as the limits allow it and nobody else has made them meanwhile; calls back with the
    /// number of each and what became of it. Those of a shard come one after another: its tables stay in the processor's caches
    /// then.
    ///
    /// `entry` gives the id, the kind and the key that belong to a number.
    pub(crate) fn create_all<'w, 'k>(
        &self,
        by_shard: &'w [Vec<Wanted>],
        names: Names,
        entry: impl Fn(u32) -> Option<(u64, SeriesKind, &'k [u8])>,
        mut made: impl FnMut(u32, Result<Arc<Series>, Rejection>),
    ) {
        let at_once =
            |(number, wanted): (u32, &'w Vec<Wanted>)| wanted.chunks(CREATED_AT_ONCE).map(move |some| (number, some));
        // Many series are of few metrics.
        let mut of_counts: HashMap<&[u8], bool, foldhash::fast::RandomState> = HashMap::default();
        for (shard_number, wanted) in (0u32..).zip(by_shard).flat_map(at_once) {
            let mut allowed = Vec::with_capacity(wanted.len());
            for (one, (id, kind, key)) in wanted.iter().filter_map(|one| Some((one, entry(one.number)?))) {
                let is_of_counts = |metric| *of_counts.entry(metric).or_insert_with(|| self.is_of_counts(metric));
                match self.check(kind, key, names, is_of_counts) {
                    Ok(()) => {
                        let new = NewSeries { id, hash: one.hash, shard: shard_number, kind, defined: false };
                        allowed.push((one.number, new, key));
                    }
                    Err(reason) => made(one.number, Err(reason)),
                }
            }
            let mut shard = self.shards[shard_number as usize].write();
            let (bytes_before, room) = (shard.bytes(), self.reserve_room(allowed.len()));
            let (mut forms, mut new_series) = (Forms::default(), 0);
            for (number, new, key) in allowed {
                let kind = new.kind;
                let is_room =
                    room.and_then(|room| if new_series < room { Ok(()) } else { Err(Rejection::SeriesLimit) });
                let entered = is_room.and_then(|()| enter(&mut shard, new, key));
                if let Ok((series, true)) = &entered {
                    forms.count(number as usize, kind, key, &series.pairs, &shard.pairs);
                    new_series += 1;
                }
                made(number, entered.map(|(series, _)| series));
            }
            self.series.fetch_sub(room.unwrap_or(0) - new_series, Ordering::Relaxed);
            self.series_bytes.fetch_add(shard.bytes().saturating_sub(bytes_before), Ordering::Relaxed);
            // Under the lock: nobody takes one of them out before it is counted.
            forms.into_all().for_each(|form| self.catalogue.added(form.kind, form.key, form.series));
        }
    }

    /// All series of a metric.
    pub(crate) fn series_of_metric(&self, metric: &str) -> Vec<Arc<Series>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.read();
            let pair = shard.pairs.name(METRIC_NAME.as_bytes());
            let pair = pair.and_then(|name| shard.pairs.pair(name, metric.as_bytes()));
            if let Some(postings) = pair.and_then(|pair| shard.pairs.postings(pair)) {
                all.extend(postings.to_bitmap().iter().filter_map(|slot| shard.slot(slot).cloned()));
            }
        }
        all
    }

    /// The series of a key; a new one if there is none and the limits allow it.
    ///
    /// With `cap`, a new series of a metric that has that many already, or that the engine has no room for, is the
    /// overflow series instead: whoever sent the logs that it is counted from has been answered already.
    pub(crate) fn resolve(
        &self,
        kind: SeriesKind,
        key: &[u8],
        names: Names,
        cap: Option<u32>,
    ) -> Result<Resolved, Rejection> {
        if let Some(series) = self.find(kind, key) {
            return Ok(Resolved { series, overflowed: false });
        }
        let Some(cap) = cap else {
            return Ok(Resolved { series: self.create(kind, key, names)?, overflowed: false });
        };
        if self.catalogue.series_of(kind.class(), key) < cap {
            match self.create(kind, key, names) {
                Err(Rejection::SeriesLimit | Rejection::MemoryLimit) => {}
                created => return Ok(Resolved { series: created?, overflowed: false }),
            }
        }
        let folded = overflow_key(key);
        let series = match self.find(kind, &folded) {
            Some(series) => series,
            // One for each metric that the configuration derives: there is always room for these.
            None => self.create_beyond_limits(kind, &folded)?,
        };
        Ok(Resolved { series, overflowed: true })
    }

    /// The series of a key; a new one if there is none, whether there is room or not.
    pub(crate) fn resolve_beyond_limits(
        &self,
        kind: SeriesKind,
        key: &[u8],
        names: Names,
    ) -> Result<Arc<Series>, Rejection> {
        if let Some(series) = self.find(kind, key) {
            return Ok(series);
        }
        self.check(kind, key, names, |metric| self.is_of_counts(metric))?;
        self.create_beyond_limits(kind, key)
    }

    fn create(&self, kind: SeriesKind, key: &[u8], names: Names) -> Result<Arc<Series>, Rejection> {
        self.check(kind, key, names, |metric| self.is_of_counts(metric))?;
        self.check_room()?;
        self.create_beyond_limits(kind, key)
    }

    /// An error if there may be no such series. `is_of_counts` says whether a metric is derived from logs or counted.
    fn check<'k>(
        &self,
        kind: SeriesKind,
        key: &'k [u8],
        names: Names,
        is_of_counts: impl FnOnce(&'k [u8]) -> bool,
    ) -> Result<(), Rejection> {
        if !key::is_within(key, self.labels_per_series, self.labels_per_series.saturating_mul(self.label_bytes)) {
            return Err(Rejection::LabelsTooLarge);
        }
        let metric = if kind.is_additive() { None } else { key::value_of(key, METRIC_NAME) };
        let is_refused = metric.is_some_and(is_of_counts) && (names == Names::Kept || self.has_counted(key));
        if is_refused { Err(Rejection::KindMismatch) } else { Ok(()) }
    }

    /// Whether a series of this key is counted.
    fn has_counted(&self, key: &[u8]) -> bool {
        [SeriesKind::Increments, SeriesKind::Distribution].iter().any(|kind| self.find(*kind, key).is_some())
    }

    /// Whether a metric is derived from logs, or counted.
    fn is_of_counts(&self, metric: &[u8]) -> bool {
        let name = std::str::from_utf8(metric);
        name.is_ok_and(|name| self.catalogue.is_derived(name) || self.counted.read().contains(name))
    }

    /// Whether so many series more may be there.
    pub(crate) fn has_room_for(&self, series: usize) -> bool {
        self.len().saturating_add(series) <= self.max_series
    }

    /// An error if there is no room for one more series.
    fn check_room(&self) -> Result<(), Rejection> {
        if self.has_room_for(1) { self.check_memory() } else { Err(Rejection::SeriesLimit) }
    }

    fn check_memory(&self) -> Result<(), Rejection> {
        if self.memory_bytes() < self.memory_limit_bytes { Ok(()) } else { Err(Rejection::MemoryLimit) }
    }

    /// Counts so many series as there that are about to be made, or as many as there may be, and gives how many those are. Errors:
    /// there is no memory for any.
    fn reserve_room(&self, many: usize) -> Result<usize, Rejection> {
        self.check_memory()?;
        let grow = |have: usize| Some(have.saturating_add(many).min(self.max_series.max(have)));
        // It is never refused.
        let have = self.series.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow).unwrap_or_default();
        Ok(self.max_series.saturating_sub(have).min(many))
    }

    fn create_beyond_limits(&self, kind: SeriesKind, key: &[u8]) -> Result<Arc<Series>, Rejection> {
        let id = self.reserve_ids(1);
        let (hash, shard_number) = self.place_of(key);
        let mut shard = self.shards[shard_number].write();
        let new = NewSeries { id, hash, shard: shard_number as u32, kind, defined: false };
        let bytes_before = shard.bytes();
        let (series, is_new) = enter(&mut shard, new, key)?;
        if is_new {
            self.grown(1, shard.bytes().saturating_sub(bytes_before));
            self.catalogue.added(kind, key, 1);
        }
        Ok(series)
    }

    /// Numbers for so many new series, in a row from the one given on.
    pub(crate) fn reserve_ids(&self, many: u64) -> u64 {
        self.next_id.fetch_add(many, Ordering::Relaxed)
    }

    /// Notes that there are so many more series, and what they take.
    pub(crate) fn grown(&self, series: usize, bytes: usize) {
        self.series_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.series.fetch_add(series, Ordering::Relaxed);
    }

    /// Takes a series out; the caller holds its shard and has marked it as removed.
    pub(crate) fn remove(&self, shard: &mut Shard, slot: u32) {
        let Some(series) = shard.slot(slot).cloned() else { return };
        let name = series.pairs.iter().filter_map(|pair| shard.pairs.texts(*pair));
        let name = name.into_iter().find(|(name, _)| &***name == METRIC_NAME).map(|(_, value)| value.to_vec());
        shard.remove(slot);
        self.series.fetch_sub(1, Ordering::Relaxed);
        let name = String::from_utf8(name.unwrap_or_default()).unwrap_or_default();
        self.catalogue.removed(series.kind.class(), &name);
    }

    /// How many series there are.
    pub(crate) fn len(&self) -> usize {
        self.series.load(Ordering::Relaxed)
    }

    /// The number that the next new series gets.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.load(Ordering::Relaxed)
    }

    /// Series get numbers from here on.
    pub(crate) fn continue_from(&self, id: u64) {
        self.next_id.fetch_max(id, Ordering::Relaxed);
    }

    /// Memory of everything: series and numbers as last counted, catalogue and spellings as they are.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.series_bytes.load(Ordering::Relaxed) + self.catalogue.bytes() + self.known.bytes()
    }

    /// Adds up what the shards counted, and everything else.
    pub(crate) fn recount(&self) -> usize {
        let all = self.shards.iter().map(|shard| {
            let shard = shard.read();
            shard.bytes() + shard.query_bytes()
        });
        self.series_bytes.store(all.sum(), Ordering::Relaxed);
        self.memory_bytes()
    }
}

/// Enters a series into its shard, unless it is there already; says whether it is new. Counts and catalogue are left to the caller.
fn enter(shard: &mut Shard, new: NewSeries, key: &[u8]) -> Result<(Arc<Series>, bool), Rejection> {
    let class = new.kind.class();
    if let Some(series) = shard.find(new.hash, class) {
        return Ok((series.clone(), false));
    }
    // The keys of a batch are those of label sets, so this cannot fail.
    let state = SeriesState::new(Numbers::new(class));
    let series = shard.insert(new, key, state).map_err(|_| Rejection::LabelsTooLarge)?;
    Ok((series, true))
}

/// The key of the series that takes what has no room under its own labels.
fn overflow_key(key: &[u8]) -> Vec<u8> {
    let mut folded = Vec::new();
    for (name, value) in key::pairs(key) {
        let value = if name == METRIC_NAME.as_bytes() { value } else { OVERFLOW.as_bytes() };
        crate::bytes::put_bytes(&mut folded, name);
        crate::bytes::put_bytes(&mut folded, value);
    }
    folded
}
