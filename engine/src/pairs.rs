//! The inverted index of a shard: label pair → postings, and label name → its pairs.
//!
//! A pair has a number as long as a series of the shard carries it; its count of references is the
//! length of its postings. Freed numbers are given out again, lowest first, so that the tables shrink.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;
use parking_lot::RwLock;
use roaring::RoaringBitmap;

use crate::paged::Paged;
use crate::postings::Postings;
use crate::scan::{Found, Scan, Sieve};
use crate::texts::Texts;

/// Values of a label with fewer are looked at where they lie.
const SCAN_FROM: u64 = 512;

/// A label pair.
struct Pair {
    name: u32,
    value: Arc<str>,
    /// The series with it.
    postings: Postings,
}

struct Name {
    text: Arc<str>,
    pairs: RoaringBitmap,
    /// Its values beside each other, if there are many and queries look through them.
    scan: RwLock<Option<Scan>>,
}

/// The pairs of one shard.
#[derive(Default)]
pub(crate) struct Pairs {
    pairs: Paged<Pair>,
    free: RoaringBitmap,
    lookup: HashTable<u32>,
    names: Vec<Option<Name>>,
    free_names: RoaringBitmap,
    name_lookup: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
}

impl Pairs {
    /// The number of a name that some series has.
    pub(crate) fn name(&self, text: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(text);
        self.name_lookup.find(hash, |at| self.name_text(*at).as_bytes() == text).copied()
    }

    /// The number of a pair that some series has.
    pub(crate) fn pair(&self, name: u32, value: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one((name, value));
        self.lookup
            .find(hash, |at| self.entry(*at).is_some_and(|pair| pair.name == name && pair.value.as_bytes() == value))
            .copied()
    }

    fn entry(&self, pair: u32) -> Option<&Pair> {
        self.pairs.get(pair)
    }

    fn name_text(&self, name: u32) -> &str {
        self.names.get(name as usize).and_then(Option::as_ref).map_or("", |name| &name.text)
    }

    /// Name and value of a pair.
    pub(crate) fn texts(&self, pair: u32) -> Option<(&Arc<str>, &Arc<str>)> {
        let pair = self.entry(pair)?;
        let name = self.names.get(pair.name as usize)?.as_ref()?;
        Some((&name.text, &pair.value))
    }

    /// The number of a pair's name.
    pub(crate) fn name_of(&self, pair: u32) -> Option<u32> {
        self.entry(pair).map(|pair| pair.name)
    }

    /// The value of a pair.
    pub(crate) fn value_of(&self, pair: u32) -> &str {
        self.entry(pair).map_or("", |pair| &pair.value)
    }

    /// The series with a pair.
    pub(crate) fn postings(&self, pair: u32) -> Option<&Postings> {
        self.entry(pair).map(|pair| &pair.postings)
    }

    /// All pairs have numbers below this one.
    pub(crate) fn end(&self) -> u32 {
        self.pairs.next()
    }

    /// All pairs of a name.
    pub(crate) fn pairs_of(&self, name: u32) -> Option<&RoaringBitmap> {
        self.names.get(name as usize)?.as_ref().map(|name| &name.pairs)
    }

    /// Calls back with at least those values of a name that a sieve lets through; with some perhaps twice.
    pub(crate) fn each_value(&self, name: u32, sieve: &Sieve, mut found: impl FnMut(Found)) {
        let Some(entry) = self.names.get(name as usize).and_then(Option::as_ref) else { return };
        if entry.pairs.len() >= SCAN_FROM {
            if entry.scan.read().is_none() {
                *entry.scan.write() = self.scan_of(entry);
            }
            if let Some(scan) = &*entry.scan.read() {
                scan.touch();
                scan.each(sieve, &mut |one: Found| {
                    let is_now = |now: &Pair| now.name == name && now.value.as_bytes() == one.value;
                    if !one.changed || self.entry(one.pair).is_some_and(is_now) {
                        found(one);
                    }
                });
                return;
            }
        }
        entry.pairs.iter().for_each(|pair| {
            found(Found { value: self.value_of(pair).as_bytes(), pair, slot: None, changed: false });
        });
    }

    fn scan_of(&self, entry: &Name) -> Option<Scan> {
        let entries = entry.pairs.iter().filter_map(|number| Some((number, self.entry(number)?)));
        Scan::of(entries.map(|(number, pair)| (number, &*pair.value, pair.postings.only())))
    }

    /// Forgets the copies of values that no query looked through since the last time.
    pub(crate) fn age_scans(&self) {
        for name in self.names.iter().flatten() {
            let mut scan = name.scan.write();
            if scan.as_mut().is_some_and(Scan::age) {
                *scan = None;
            }
        }
    }

    /// Memory of the copies of values.
    pub(crate) fn scans_bytes(&self) -> usize {
        self.names.iter().flatten().filter_map(|name| name.scan.read().as_ref().map(Scan::memory_bytes)).sum()
    }

    /// All names and how many values each has.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&Arc<str>, &RoaringBitmap)> {
        self.names.iter().flatten().map(|name| (&name.text, &name.pairs))
    }

    /// Enters a series under a pair and gives the pair's number, and how much memory that took beside the texts.
    pub(crate) fn insert(&mut self, name: &str, value: &str, series: u32, texts: &Texts) -> (u32, usize) {
        let (name, of_name) = match self.name(name.as_bytes()) {
            Some(name) => (name, 0),
            None => (self.add_name(name, texts), NAME_BYTES),
        };
        if let Some(number) = self.pair(name, value.as_bytes())
            && let Some(pair) = self.pairs.get_mut(number)
        {
            pair.postings.insert(series);
            if let Some(Some(name)) = self.names.get_mut(name as usize)
                && let Some(scan) = name.scan.get_mut()
            {
                scan.joined(number);
            }
            return (number, 4);
        }
        let mut postings = Postings::new();
        postings.insert(series);
        (self.add_pair(name, value, postings, texts), PAIR_BYTES + of_name)
    }

    fn add_name(&mut self, text: &str, texts: &Texts) -> u32 {
        let number = take_lowest(&mut self.free_names, self.names.len() as u32);
        let entry = Some(Name { text: texts.intern(text), pairs: RoaringBitmap::new(), scan: RwLock::default() });
        put(&mut self.names, number, entry);
        let (names, hasher) = (&self.names, &self.hasher);
        let text_of = |at: &u32| names.get(*at as usize).and_then(Option::as_ref).map_or("", |name| &*name.text);
        self.name_lookup
            .insert_unique(hasher.hash_one(text.as_bytes()), number, |at| hasher.hash_one(text_of(at).as_bytes()));
        number
    }

    fn add_pair(&mut self, name: u32, value: &str, postings: Postings, texts: &Texts) -> u32 {
        let number = take_lowest(&mut self.free, self.pairs.next());
        let only = postings.only();
        self.pairs.put(number, Pair { name, value: texts.intern(value), postings });
        let (pairs, hasher) = (&self.pairs, &self.hasher);
        self.lookup.insert_unique(hasher.hash_one((name, value.as_bytes())), number, |at| {
            pairs.get(*at).map_or(0, |pair| hasher.hash_one((pair.name, pair.value.as_bytes())))
        });
        if let Some(Some(entry)) = self.names.get_mut(name as usize) {
            entry.pairs.insert(number);
            let scan = entry.scan.get_mut();
            if scan.as_mut().is_some_and(|scan| !scan.push(number, value, only)) {
                *scan = None;
            }
        }
        number
    }

    /// Takes a series out from under a pair; frees the pair, and the name, that nobody carries any more.
    /// Says how much memory came free beside the texts.
    pub(crate) fn remove(&mut self, pair: u32, series: u32, texts: &Texts) -> usize {
        let Some(entry) = self.pairs.get_mut(pair) else { return 0 };
        entry.postings.remove(series);
        if !entry.postings.is_empty() {
            return 4;
        }
        let Some(freed) = self.pairs.take(pair) else { return 4 };
        self.free.insert(pair);
        let hash = self.hasher.hash_one((freed.name, freed.value.as_bytes()));
        if let Ok(found) = self.lookup.find_entry(hash, |at| *at == pair) {
            found.remove();
        }
        texts.released(1);
        let mut bytes = PAIR_BYTES;
        if let Some(Some(name)) = self.names.get_mut(freed.name as usize) {
            name.pairs.remove(pair);
            let scan = name.scan.get_mut();
            if scan.as_mut().is_some_and(|scan| scan.freed(pair)) {
                *scan = None;
            }
            if name.pairs.is_empty() {
                let hash = self.hasher.hash_one(name.text.as_bytes());
                if let Ok(found) = self.name_lookup.find_entry(hash, |at| *at == freed.name) {
                    found.remove();
                }
                self.names[freed.name as usize] = None;
                self.free_names.insert(freed.name);
                texts.released(1);
                bytes += NAME_BYTES;
            }
        }
        bytes
    }

    /// Gives back table room that is no longer needed.
    pub(crate) fn shrink(&mut self) {
        self.pairs.shrink();
        self.free.remove_range(self.pairs.next()..);
        if self.lookup.capacity() > 4 * self.lookup.len() + 64 {
            let (pairs, hasher) = (&self.pairs, &self.hasher);
            self.lookup.shrink_to_fit(|at| {
                pairs.get(*at).map_or(0, |pair| hasher.hash_one((pair.name, pair.value.as_bytes())))
            });
        }
    }
}

/// Memory of a new pair beside its text: the entries of the tables.
const PAIR_BYTES: usize = size_of::<Option<Pair>>() + 8 + 4;
/// The same of a new name: its place in a table that grows by doubling, its look-up, and the smallest set of pairs.
const NAME_BYTES: usize = size_of::<Option<Name>>() * 3 / 2 + 8 + 4 * 32 + 8;

/// The lowest free number, else the next one.
fn take_lowest(free: &mut RoaringBitmap, next: u32) -> u32 {
    match free.min() {
        Some(number) => {
            free.remove(number);
            number
        }
        None => next,
    }
}

fn put<T>(slots: &mut Vec<T>, at: u32, value: T) {
    match slots.get_mut(at as usize) {
        Some(slot) => *slot = value,
        None => slots.push(value),
    }
}
