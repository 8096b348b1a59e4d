//! Which series was named by these very bytes before?
//!
//! A sender names a series by the same bytes in each of its requests. Their hash is remembered together with the series
//! they turned out to mean, so that the label set is not read, checked and looked up again for every sample.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashTable;
use parking_lot::{RwLock, RwLockReadGuard};
use watchfire_model::LabelSet;

use crate::append::Target;
use crate::batch::{self, BatchEntry, BatchSeries, SampleBatch};
use crate::engine::Engine;
use crate::fingerprint::{Fingerprint, Fingerprints};
use crate::key;
use crate::series::Series;

/// Memory of a place in the table: a number and a byte of control.
const PLACE_BYTES: usize = 5;

/// How many entries ahead a series is fetched that is likely to be asked for.
const AHEAD: usize = 8;

/// Parts of a spelling that take no second allocation: names and values of sixteen labels.
const PARTS_USUAL: usize = 32;

/// The fingerprint of the bytes by which a sender names a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spelling {
    hash: Fingerprint,
    /// How many bytes; 0 if they are not in one piece, or too many to be counted here.
    length: u16,
}

/// A series that was named before.
#[derive(Clone)]
pub struct KnownSeries(pub(crate) Arc<Series>);

/// Spellings in the order in which they were first met. A sender names its series in the same order each time: who looks for
/// one finds it behind the one before, where the processor has fetched it by then, and asks the table only where the order
/// breaks.
#[derive(Default)]
struct Remembered {
    entries: Vec<(Fingerprint, KnownSeries)>,
    /// How long the spelling of each is, as it says.
    lengths: Vec<u16>,
    /// Numbers of entries, by the hashes of their spellings.
    places: HashTable<u32>,
}

impl Remembered {
    /// The number of the entry of a spelling.
    fn place(&self, spelling: Fingerprint) -> Option<usize> {
        let is_it = |place: &u32| self.entries.get(*place as usize).is_some_and(|(have, _)| *have == spelling);
        self.places.find(spelling.short(), is_it).map(|place| *place as usize)
    }

    fn put(&mut self, spelling: Spelling, series: KnownSeries) {
        let Spelling { hash, length } = spelling;
        if let Some((_, have)) = self.place(hash).and_then(|place| self.entries.get_mut(place)) {
            *have = series;
            return;
        }
        if self.entries.len() == self.entries.capacity() {
            // Twice as much each time would leave half of it empty for long.
            let more = self.entries.len() / 8 + 64;
            self.entries.reserve_exact(more);
            self.lengths.reserve_exact(more);
        }
        self.entries.push((hash, series));
        self.lengths.push(length);
        self.enter(self.entries.len() - 1);
    }

    /// Puts the number of an entry into the table.
    fn enter(&mut self, place: usize) {
        let Remembered { entries, places, .. } = self;
        let hash = |place: &u32| entries.get(*place as usize).map_or(0, |(spelling, _)| spelling.short());
        let place = place as u32;
        places.insert_unique(hash(&place), place, hash);
    }

    /// Lets go of series that are not in the registry any more.
    fn forget_removed(&mut self) {
        let before = self.entries.len();
        let stays: Vec<bool> = self.entries.iter().map(|(_, known)| !known.0.is_removed()).collect();
        let mut of_entries = stays.iter();
        self.entries.retain(|_| of_entries.next() == Some(&true));
        let mut of_lengths = stays.iter();
        self.lengths.retain(|_| of_lengths.next() == Some(&true));
        if self.entries.len() < before {
            if self.entries.len() < self.entries.capacity() / 4 {
                self.entries.shrink_to_fit();
                self.lengths.shrink_to_fit();
            }
            self.places = HashTable::with_capacity(self.entries.len());
            (0..self.entries.len()).for_each(|place| self.enter(place));
        }
    }

    fn memory_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(Fingerprint, KnownSeries)>()
            + self.lengths.capacity() * size_of::<u16>()
            + self.places.capacity() * 8 / 7 * PLACE_BYTES
    }
}

/// All spellings that are remembered.
pub(crate) struct Known {
    /// Of spellings in one piece.
    whole: Fingerprints,
    /// Of those that consist of parts.
    in_parts: Fingerprints,
    /// Held alone; no other lock is taken meanwhile.
    remembered: RwLock<Remembered>,
    bytes: AtomicUsize,
    most: usize,
}

impl Known {
    /// Of at most so many spellings; past that all are forgotten.
    pub(crate) fn new(most: usize) -> Known {
        let (whole, in_parts) = (Fingerprints::new(), Fingerprints::new());
        Known { whole, in_parts, remembered: RwLock::default(), bytes: AtomicUsize::new(0), most }
    }

    /// Memory of the table.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Lets go of series that are not in the registry any more.
    pub(crate) fn forget_removed(&self) {
        self.change(Remembered::forget_removed);
    }

    fn change(&self, change: impl FnOnce(&mut Remembered)) {
        let mut remembered = self.remembered.write();
        change(&mut remembered);
        self.bytes.store(remembered.memory_bytes(), Ordering::Relaxed);
    }
}

/// The spellings as they are remembered at the moment; nothing is added as long as somebody has them.
pub struct Spellings<'e> {
    known: &'e Known,
    remembered: RwLockReadGuard<'e, Remembered>,
    /// The entry behind the one that was found last.
    expected: Cell<usize>,
}

impl Spellings<'_> {
    /// The hash of a spelling.
    pub fn of(&self, bytes: &[u8]) -> Spelling {
        Spelling { hash: self.known.whole.of(bytes), length: u16::try_from(bytes.len()).unwrap_or(0) }
    }

    /// The hash of a spelling that consists of parts. It is another one than that of the parts' bytes in a row.
    pub fn of_parts(&self, parts: impl Iterator<Item = Spelling>) -> Spelling {
        let mut all = Vec::with_capacity(PARTS_USUAL * size_of::<Fingerprint>());
        parts.for_each(|part| all.extend_from_slice(&part.hash.to_le_bytes()));
        Spelling { hash: self.known.in_parts.of(&all), length: 0 }
    }

    /// How many bytes the spelling has that is likely to come next, if that is known. Who finds as many, and that they are a
    /// spelling, need not look for where it ends.
    pub fn expected_length(&self) -> Option<usize> {
        let length = self.remembered.lengths.get(self.expected.get())?;
        (*length > 0).then_some(usize::from(*length))
    }

    /// The series that was named so before.
    pub fn series(&self, spelling: Spelling) -> Option<&KnownSeries> {
        let entries = &self.remembered.entries;
        let mut place = self.expected.get();
        if entries.get(place).is_none_or(|(expected, _)| *expected != spelling.hash) {
            place = self.remembered.place(spelling.hash)?;
        }
        self.expected.set(place + 1);
        if let Some((_, soon)) = entries.get(place + AHEAD) {
            soon.0.prefetch();
        }
        entries.get(place).map(|(_, series)| series)
    }
}

impl Engine {
    /// What spellings of label sets are known.
    pub fn spellings(&self) -> Spellings<'_> {
        let known = &self.registry.known;
        Spellings { known, remembered: known.remembered.read(), expected: Cell::new(0) }
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

    /// Remembers which series the spellings of a batch name, as far as they are series by now.
    pub(crate) fn remember(&self, batch: &SampleBatch, targets: &[Target]) {
        if batch.spelled.is_empty() {
            return;
        }
        let known = &self.registry.known;
        known.change(|remembered| {
            if remembered.entries.len() + batch.spelled.len() > known.most {
                *remembered = Remembered::default();
            }
            for (spelling, series) in &batch.spelled {
                if let Some(Target { series: Ok(series), .. }) = targets.get(series.0 as usize) {
                    remembered.put(*spelling, KnownSeries(Arc::clone(series)));
                }
            }
        });
    }
}
