//! Label set → series, across the shards, within the limits.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::RwLock;
use watchfire_model::labels::METRIC_NAME;

use crate::catalogue::Catalogue;
use crate::config::EngineConfig;
use crate::fingerprint::{Fingerprint, Fingerprints};
use crate::key;
use crate::kind::SeriesKind;
use crate::known::Known;
use crate::limits::Rejection;
use crate::series::{Numbers, Series, SeriesState};
use crate::shard::{NewSeries, Shard, Wanted};

/// Value of every label of the series that takes what is past a metric's cap.
pub const OVERFLOW: &str = "__overflow__";

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

    /// The shard of a label set. The table inside a shard uses the lowest and the highest bits of the same number.
    fn shard_of(&self, hash: Fingerprint) -> usize {
        (hash.short() >> 40) as usize & (self.shards.len() - 1)
    }

    /// The fingerprint of a key and the number of its shard.
    pub(crate) fn place_of(&self, key: &[u8]) -> (Fingerprint, usize) {
        let hash = self.fingerprints.of(key);
        (hash, self.shard_of(hash))
    }

    /// The series of a key, if there is one.
    pub(crate) fn find(&self, kind: SeriesKind, key: &[u8]) -> Option<Arc<Series>> {
        let hash = self.fingerprints.of(key);
        self.shards[self.shard_of(hash)].read().find(hash, kind.class()).cloned()
    }

    /// Looks many keys up, each shard's together; calls back with the number of a key and its series where there is one.
    pub(crate) fn find_all<'k>(
        &self,
        keys: impl Iterator<Item = (u32, SeriesKind, &'k [u8])>,
        mut found: impl FnMut(u32, &Arc<Series>),
    ) {
        let mut by_shard: Vec<Vec<Wanted>> = self.shards.iter().map(|_| Vec::new()).collect();
        for (number, kind, key) in keys {
            let hash = self.fingerprints.of(key);
            by_shard[self.shard_of(hash)].push(Wanted { hash, class: kind.class(), number });
        }
        for (shard, wanted) in self.shards.iter().zip(&by_shard) {
            if !wanted.is_empty() {
                shard.read().find_many(wanted, &mut found);
            }
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
    pub(crate) fn resolve(&self, kind: SeriesKind, key: &[u8], cap: Option<u32>) -> Result<Resolved, Rejection> {
        if let Some(series) = self.find(kind, key) {
            return Ok(Resolved { series, overflowed: false });
        }
        let Some(cap) = cap else {
            return Ok(Resolved { series: self.create(kind, key)?, overflowed: false });
        };
        if self.catalogue.series_of(kind.class(), key) < cap {
            match self.create(kind, key) {
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

    fn create(&self, kind: SeriesKind, key: &[u8]) -> Result<Arc<Series>, Rejection> {
        let mut labels = 0;
        for (name, value) in key::pairs(key) {
            labels += 1;
            if name.len().max(value.len()) > self.label_bytes || labels > self.labels_per_series {
                return Err(Rejection::LabelsTooLarge);
            }
        }
        if !kind.is_additive() && (self.catalogue.is_derived(key) || self.is_counted(key)) {
            return Err(Rejection::KindMismatch);
        }
        if self.series.load(Ordering::Relaxed) >= self.max_series {
            return Err(Rejection::SeriesLimit);
        }
        if self.memory_bytes() >= self.memory_limit_bytes {
            return Err(Rejection::MemoryLimit);
        }
        self.create_beyond_limits(kind, key)
    }

    fn is_counted(&self, key: &[u8]) -> bool {
        let name = key::value_of(key, METRIC_NAME).and_then(|name| std::str::from_utf8(name).ok());
        name.is_some_and(|name| self.counted.read().contains(name))
    }

    fn create_beyond_limits(&self, kind: SeriesKind, key: &[u8]) -> Result<Arc<Series>, Rejection> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (hash, shard_number) = self.place_of(key);
        let mut shard = self.shards[shard_number].write();
        if let Some(series) = shard.find(hash, kind.class()) {
            return Ok(series.clone());
        }
        let before = shard.identity_bytes + shard.numbers_bytes;
        let new = NewSeries { id, hash, shard: shard_number as u32, kind, defined: false };
        let state = SeriesState::new(Numbers::new(kind.class()));
        // The keys of a batch are those of label sets, so this cannot fail.
        let series = shard.insert(new, key, state).map_err(|_| Rejection::LabelsTooLarge)?;
        let after = shard.identity_bytes + shard.numbers_bytes;
        self.grown(1, after.saturating_sub(before));
        self.catalogue.added(kind, key, 1);
        Ok(series)
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
            shard.identity_bytes + shard.numbers_bytes + shard.query_bytes()
        });
        self.series_bytes.store(all.sum(), Ordering::Relaxed);
        self.memory_bytes()
    }
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
