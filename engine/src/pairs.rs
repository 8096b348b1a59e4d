//! The inverted index of a shard: label pair → postings, and label name → its pairs.
//!
//! A pair has a number as long as a series of the shard carries it; its count of references is the
//! length of its postings. Freed numbers are given out again, lowest first, so that the tables shrink.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;
use roaring::RoaringBitmap;

use crate::bytes::Damaged;
use crate::paged::Paged;
use crate::postings::{Postings, put_last};
use crate::values::{Found, Sieve, Values};

/// The values that are left of a label move together when more than one in so many is gone ...
const SPARSE: usize = 4;
/// ... and when more than one in so many is, once series have gone and memory is given back.
const SPARSE_AFTER: usize = 16;

/// A label pair.
struct Pair {
    name: u32,
    /// The place of its value among those of the name.
    place: u32,
    /// The series with it.
    postings: Postings,
}

struct Name {
    text: Arc<str>,
    pairs: RoaringBitmap,
    values: Values,
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
        self.find(self.hasher.hash_one((name, value)), name, value)
    }

    /// The same, with the hash of both.
    fn find(&self, hash: u64, name: u32, value: &[u8]) -> Option<u32> {
        let of_name = self.name_entry(name)?;
        let is_it = |at: &u32| {
            self.entry(*at).is_some_and(|pair| pair.name == name && of_name.values.value(pair.place) == value)
        };
        self.lookup.find(hash, is_it).copied()
    }

    fn entry(&self, pair: u32) -> Option<&Pair> {
        self.pairs.get(pair)
    }

    fn name_entry(&self, name: u32) -> Option<&Name> {
        self.names.get(name as usize)?.as_ref()
    }

    fn name_text(&self, name: u32) -> &str {
        self.name_entry(name).map_or("", |name| &name.text)
    }

    /// The name of a pair, and its value, which is a text.
    pub(crate) fn texts(&self, pair: u32) -> Option<(&Arc<str>, &[u8])> {
        let pair = self.entry(pair)?;
        let name = self.name_entry(pair.name)?;
        Some((&name.text, name.values.value(pair.place)))
    }

    /// The number of a pair's name.
    pub(crate) fn name_of(&self, pair: u32) -> Option<u32> {
        self.entry(pair).map(|pair| pair.name)
    }

    /// The text of a pair's name.
    pub(crate) fn name_text_of(&self, pair: u32) -> Option<Arc<str>> {
        self.name_entry(self.entry(pair)?.name).map(|name| name.text.clone())
    }

    /// The value of a pair, a text.
    pub(crate) fn value_of(&self, pair: u32) -> &[u8] {
        self.texts(pair).map_or(&[], |(_, value)| value)
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
        self.name_entry(name).map(|name| &name.pairs)
    }

    /// Calls back with at least those values of a name that a sieve lets through.
    pub(crate) fn each_value(&self, name: u32, sieve: &Sieve, mut found: impl FnMut(Found)) {
        if let Some(name) = self.name_entry(name) {
            name.values.each(sieve, &mut found);
        }
    }

    /// All names and how many values each has.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&Arc<str>, &RoaringBitmap)> {
        self.names.iter().flatten().map(|name| (&name.text, &name.pairs))
    }

    /// How many pairs there are.
    pub(crate) fn len(&self) -> usize {
        self.lookup.len()
    }

    /// Enters a series under a pair that others have, and says how much memory that took; nothing if there is no such pair.
    pub(crate) fn join(&mut self, number: u32, series: u32) -> Option<usize> {
        let pair = self.pairs.get_mut(number)?;
        if pair.postings.only().is_some()
            && let Some(Some(name)) = self.names.get_mut(pair.name as usize)
        {
            name.values.joined(pair.place);
        }
        pair.postings.insert(series);
        Some(4)
    }

    /// Enters a series under a pair and gives the pair's number, and how much memory that took. `of_name`: some pair with
    /// this name, if one is at hand.
    pub(crate) fn insert(
        &mut self,
        name: &[u8],
        value: &[u8],
        series: u32,
        of_name: Option<u32>,
    ) -> Result<(u32, usize), Damaged> {
        let known = of_name.and_then(|pair| self.name_of(pair)).or_else(|| self.name(name));
        let (name, of_name) = match known {
            Some(name) => (name, 0),
            None => (self.add_name(name)?, NAME_BYTES + name.len()),
        };
        let hash = self.hasher.hash_one((name, value));
        if let Some(number) = self.find(hash, name, value)
            && let Some(bytes) = self.join(number, series)
        {
            return Ok((number, bytes));
        }
        let (number, of_pair) = self.add_pair(hash, name, value, series)?;
        Ok((number, of_pair + of_name))
    }

    fn add_name(&mut self, name: &[u8]) -> Result<u32, Damaged> {
        let text = std::str::from_utf8(name).map_err(|_| Damaged("a label name is no text"))?;
        let number = take_lowest(&mut self.free_names, self.names.len() as u32);
        let entry = Some(Name { text: text.into(), pairs: RoaringBitmap::new(), values: Values::default() });
        put(&mut self.names, number, entry);
        let (names, hasher) = (&self.names, &self.hasher);
        let text_of = |at: &u32| names.get(*at as usize).and_then(Option::as_ref).map_or("", |name| &*name.text);
        self.name_lookup.insert_unique(hasher.hash_one(name), number, |at| hasher.hash_one(text_of(at).as_bytes()));
        Ok(number)
    }

    fn add_pair(&mut self, hash: u64, name: u32, value: &[u8], series: u32) -> Result<(u32, usize), Damaged> {
        const NO_ROOM: Damaged = Damaged("a label has more than four gigabytes of values");
        let number = self.free.min().unwrap_or(self.pairs.next());
        let Some(Some(entry)) = self.names.get_mut(name as usize) else { return Err(NO_ROOM) };
        let before = entry.values.memory_bytes();
        let place = entry.values.push(number, value, series).ok_or(NO_ROOM)?;
        let bytes = PAIR_BYTES + entry.values.memory_bytes() - before;
        put_last(&mut entry.pairs, number);
        self.free.remove(number);
        let mut postings = Postings::new();
        postings.insert(series);
        self.pairs.put(number, Pair { name, place, postings });
        self.lookup.insert_unique(hash, number, hash_of(&self.pairs, &self.names, &self.hasher));
        Ok((number, bytes))
    }

    /// Takes a series out from under a pair; frees the pair, and the name, that nobody carries any more.
    /// Says how much memory came free.
    pub(crate) fn remove(&mut self, pair: u32, series: u32) -> usize {
        let Some(entry) = self.pairs.get_mut(pair) else { return 0 };
        entry.postings.remove(series);
        if !entry.postings.is_empty() {
            return 4;
        }
        let hash = hash_of(&self.pairs, &self.names, &self.hasher)(&pair);
        if let Ok(found) = self.lookup.find_entry(hash, |at| *at == pair) {
            found.remove();
        }
        let Some(freed) = self.pairs.take(pair) else { return 4 };
        self.free.insert(pair);
        let mut bytes = PAIR_BYTES;
        let Some(Some(name)) = self.names.get_mut(freed.name as usize) else { return bytes };
        name.pairs.remove(pair);
        name.values.freed(freed.place);
        if name.pairs.is_empty() {
            bytes += NAME_BYTES + name.text.len() + name.values.memory_bytes();
            let hash = self.hasher.hash_one(name.text.as_bytes());
            if let Ok(found) = self.name_lookup.find_entry(hash, |at| *at == freed.name) {
                found.remove();
            }
            self.names[freed.name as usize] = None;
            self.free_names.insert(freed.name);
        } else {
            bytes += move_together(name, &mut self.pairs, SPARSE);
        }
        bytes
    }

    /// Gives back room that is no longer needed; says how much of it was counted.
    pub(crate) fn shrink(&mut self) -> usize {
        let names = self.names.iter_mut().flatten();
        let bytes = names.map(|name| move_together(name, &mut self.pairs, SPARSE_AFTER)).sum();
        self.pairs.shrink();
        self.free.remove_range(self.pairs.next()..);
        if self.lookup.capacity() > 4 * self.lookup.len() + 64 {
            self.lookup.shrink_to_fit(hash_of(&self.pairs, &self.names, &self.hasher));
        }
        bytes
    }
}

/// Moves the values of a name together if more than one in so many is gone; says how much memory came free.
fn move_together(name: &mut Name, pairs: &mut Paged<Pair>, one_in: usize) -> usize {
    if !name.values.is_sparse(one_in) {
        return 0;
    }
    let before = name.values.memory_bytes();
    name.values.move_together(|pair, place| {
        if let Some(pair) = pairs.get_mut(pair) {
            pair.place = place;
        }
    });
    before.saturating_sub(name.values.memory_bytes())
}

/// What the look-up knows a pair by.
fn hash_of<'p>(
    pairs: &'p Paged<Pair>,
    names: &'p [Option<Name>],
    hasher: &'p foldhash::fast::RandomState,
) -> impl Fn(&u32) -> u64 + 'p {
    move |at| {
        let pair = pairs.get(*at).and_then(|pair| Some((pair, names.get(pair.name as usize)?.as_ref()?)));
        pair.map_or(0, |(pair, name)| hasher.hash_one((pair.name, name.values.value(pair.place))))
    }
}

/// Memory of a new pair beside its value: the entries of the tables.
const PAIR_BYTES: usize = size_of::<Option<Pair>>() + 8 + 4;
/// The same of a new name: its place in a table that grows by doubling, its look-up, its text's counts and the smallest
/// set of pairs.
const NAME_BYTES: usize = size_of::<Option<Name>>() * 3 / 2 + 8 + 4 * 32 + 8 + 24;

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
