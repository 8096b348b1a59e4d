//! Which series was named by these very bytes before?
//!
//! A sender names a series by the same bytes in each of its requests. Their hash is remembered together with the series
//! they turned out to mean, so that the label set is not read, checked and looked up again for every sample.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{RwLock, RwLockReadGuard};
use watchfire_model::LabelSet;

use crate::batch::{self, BatchEntry, BatchSeries, SampleBatch};
use crate::engine::Engine;
use crate::fingerprint::{Fingerprint, Fingerprints};
use crate::key;
use crate::series::Series;

/// Memory of an entry: hash and pointer, a byte of control, and the room that a table keeps free.
const ENTRY_BYTES: usize = 29;

/// Parts of a spelling that take no second allocation: names and values of sixteen labels.
const PARTS_USUAL: usize = 32;

/// The fingerprint of the bytes by which a sender names a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spelling(Fingerprint);

impl Hash for Spelling {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.short());
    }
}

/// A series that was named before.
#[derive(Clone)]
pub struct KnownSeries(pub(crate) Arc<Series>);

/// The hash of a spelling is its own hash.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        debug_assert!(false, "spellings are hashed as numbers");
    }

    fn write_u64(&mut self, spelling: u64) {
        self.0 = spelling;
    }
}

type Table = HashMap<Spelling, KnownSeries, BuildHasherDefault<AsItIs>>;

/// All spellings that are remembered.
pub(crate) struct Known {
    /// Of spellings in one piece.
    whole: Fingerprints,
    /// Of those that consist of parts.
    in_parts: Fingerprints,
    /// Held alone; no other lock is taken meanwhile.
    table: RwLock<Table>,
    bytes: AtomicUsize,
    most: usize,
}

impl Known {
    /// Of at most so many spellings; past that all are forgotten.
    pub(crate) fn new(most: usize) -> Known {
        let (whole, in_parts) = (Fingerprints::new(), Fingerprints::new());
        Known { whole, in_parts, table: RwLock::default(), bytes: AtomicUsize::new(0), most }
    }

    /// Memory of the table.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Lets go of series that are not in the registry any more.
    pub(crate) fn forget_removed(&self) {
        self.change(|table| table.retain(|_, known| !known.0.is_removed()));
    }

    fn change(&self, change: impl FnOnce(&mut Table)) {
        let mut table = self.table.write();
        change(&mut table);
        if table.len() < table.capacity() / 4 {
            table.shrink_to_fit();
        }
        self.bytes.store(table.capacity() * ENTRY_BYTES, Ordering::Relaxed);
    }
}

/// The spellings as they are remembered at the moment; nothing is added as long as somebody has them.
pub struct Spellings<'e> {
    known: &'e Known,
    table: RwLockReadGuard<'e, Table>,
}

impl Spellings<'_> {
    /// The hash of a spelling.
    pub fn of(&self, bytes: &[u8]) -> Spelling {
        Spelling(self.known.whole.of(bytes))
    }

    /// The hash of a spelling that consists of parts. It is another one than that of the parts' bytes in a row.
    pub fn of_parts(&self, parts: impl Iterator<Item = Spelling>) -> Spelling {
        let mut all = Vec::with_capacity(PARTS_USUAL * size_of::<Fingerprint>());
        parts.for_each(|part| all.extend_from_slice(&part.0.to_le_bytes()));
        Spelling(self.known.in_parts.of(&all))
    }

    /// The series that was named so before.
    pub fn series(&self, spelling: Spelling) -> Option<&KnownSeries> {
        self.table.get(&spelling)
    }
}

impl Engine {
    /// What spellings of label sets are known.
    pub fn spellings(&self) -> Spellings<'_> {
        Spellings { known: &self.registry.known, table: self.registry.known.table.read() }
    }

    /// The labels of the series of a point, which is named by its number as in a report; none if there is no such point.
    pub fn labels_of_point(&self, batch: &SampleBatch, point: u32) -> LabelSet {
        let series = batch.points.get(point as usize).map(|point| BatchSeries(point.series));
        series.map(|series| self.labels_of_series(batch, series)).unwrap_or_default()
    }

    /// The labels of a series of a batch.
    pub fn labels_of_series(&self, batch: &SampleBatch, series: BatchSeries) -> LabelSet {
        let mut key = Vec::new();
        match batch.entry(series) {
            Some(BatchEntry { known: Some(batch::Known::Series(series)), .. }) => {
                self.registry.shards[series.shard as usize].read().key_of(series, &mut key);
            }
            Some(entry) => key.extend_from_slice(batch.key(entry)),
            None => {}
        }
        let pairs = key::checked_pairs(&key).unwrap_or_default();
        LabelSet::from_pairs(pairs).unwrap_or_default()
    }

    /// Remembers which series these spellings name, as far as they are series by now.
    pub fn remember(&self, batch: &SampleBatch, named: &[(Spelling, BatchSeries)]) {
        let known = &self.registry.known;
        let found = named.iter().filter_map(|(spelling, series)| {
            let entry = batch.entry(*series)?;
            Some((*spelling, KnownSeries(self.registry.find(entry.kind, batch.key(entry))?)))
        });
        let found: Vec<(Spelling, KnownSeries)> = found.collect();
        if !found.is_empty() {
            known.change(|table| {
                if table.len() + found.len() > known.most {
                    table.clear();
                }
                table.extend(found);
            });
        }
    }
}
