//! All values of one label of a shard, one after another in memory, for expressions that have to see each of them.
//!
//! The texts themselves lie all over the heap, and a million of them is a million waits for memory. So the values of a
//! label with many are copied into one run of bytes when a query first needs them, kept up to date, and forgotten when no
//! query did for a while.
//!
//! ```text
//! bytes = (value, 0xff)*        0xff is in no UTF-8 text
//! ```
//! Beside each value stands the slot of its series, if there is but one, as nearly always with so many values. A pair that
//! was freed, and perhaps given out again, leaves its old text behind, and one that got more series its old slot: such
//! pairs are known, and whoever finds one looks at the pair of now.

use std::sync::atomic::{AtomicBool, Ordering};

use memchr::memmem::Finder;
use roaring::RoaringBitmap;

/// Values of a label beside each other.
#[derive(Default)]
pub(crate) struct Scan {
    bytes: Vec<u8>,
    /// Where each value ends, without its separator.
    ends: Vec<u32>,
    /// The pair of each value.
    pairs: Vec<u32>,
    /// The slot of its only series; `SEVERAL` if it has more.
    slots: Vec<u32>,
    /// Pairs that were freed or got another series since.
    changed: RoaringBitmap,
    /// Values of pairs that were freed since.
    stale: usize,
    /// A query needed it since the last ageing.
    used: AtomicBool,
}

const SEPARATOR: u8 = 0xff;
/// Values that are fetched from memory together.
const TOGETHER: usize = 64;
/// Values that are looked at to find out which of two conditions lets fewer through.
const SAMPLED: usize = 64;

/// No slot: there are fewer series.
const SEVERAL: u32 = u32::MAX;

/// A value that was found.
pub(crate) struct Found<'v> {
    pub(crate) value: &'v [u8],
    pub(crate) pair: u32,
    /// The slot of its only series, if it is known that there is only one.
    pub(crate) slot: Option<u32>,
    /// The pair may be another one by now.
    pub(crate) changed: bool,
}

/// What a value has to have to be looked at closely.
pub(crate) enum Sieve<'a> {
    /// Nothing.
    All,
    /// One of these beginnings.
    Prefixes(&'a [String]),
    /// This inside.
    Inside(&'a Finder<'static>),
    /// One of these beginnings, and this inside.
    Both(&'a [String], &'a Finder<'static>),
}

impl Scan {
    /// A copy of these values, if there is room: four gigabytes of values are not scanned.
    pub(crate) fn of<'v>(values: impl Iterator<Item = (u32, &'v str, Option<u32>)> + Clone) -> Option<Scan> {
        let (many, bytes) =
            values.clone().fold((0, 0), |(many, bytes), (_, value, _)| (many + 1, bytes + value.len() + 1));
        let mut scan = Scan::default();
        scan.bytes.reserve_exact(bytes);
        scan.ends.reserve_exact(many);
        scan.pairs.reserve_exact(many);
        scan.slots.reserve_exact(many);
        let mut values = values;
        let mut block = Vec::with_capacity(TOGETHER);
        loop {
            block.clear();
            block.extend(values.by_ref().take(TOGETHER));
            if block.is_empty() {
                return Some(scan);
            }
            // Reading a little of each, without deciding anything by it, fetches all of them at once.
            let ends = block.iter().map(|(_, value, _)| {
                let value = value.as_bytes();
                value.first().copied().unwrap_or(0) ^ value.last().copied().unwrap_or(0)
            });
            std::hint::black_box(ends.fold(0, |all, end| all ^ end));
            if !block.iter().all(|(pair, value, slot)| scan.push(*pair, value, *slot)) {
                return None;
            }
        }
    }

    /// Adds a value, with the slot of its series if it has but one. Says whether there was room: four gigabytes of
    /// values are not scanned.
    pub(crate) fn push(&mut self, pair: u32, value: &str, slot: Option<u32>) -> bool {
        self.bytes.extend_from_slice(value.as_bytes());
        let Ok(end) = u32::try_from(self.bytes.len()) else { return false };
        self.bytes.push(SEPARATOR);
        self.ends.push(end);
        self.pairs.push(pair);
        self.slots.push(slot.unwrap_or(SEVERAL));
        true
    }

    /// Notes that a pair got another series.
    pub(crate) fn joined(&mut self, pair: u32) {
        self.changed.insert(pair);
    }

    /// Notes that the pair of a value was freed. Says whether so many were that a new copy is better.
    pub(crate) fn freed(&mut self, pair: u32) -> bool {
        self.changed.insert(pair);
        self.stale += 1;
        self.stale > self.pairs.len() / 4
    }

    /// Notes that a query needs it.
    pub(crate) fn touch(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    /// Whether no query needed it since the last time.
    pub(crate) fn age(&mut self) -> bool {
        !std::mem::take(self.used.get_mut())
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + 4 * (self.ends.capacity() + self.pairs.capacity() + self.slots.capacity())
    }

    /// Calls back with pair and value of what the sieve lets through.
    pub(crate) fn each(&self, sieve: &Sieve, found: &mut impl FnMut(Found)) {
        match sieve {
            Sieve::All => self.each_where(|_| true, found),
            // What all have is no sieve.
            Sieve::Prefixes(prefixes) if self.sampled().all(|value| begins_with(value, prefixes)) => {
                self.each_where(|_| true, found);
            }
            Sieve::Prefixes([only]) => {
                let prefix = only.as_bytes();
                // Values of a label often begin alike and differ behind: the end of the prefix decides soonest.
                let (start, last) = prefix.split_at(prefix.len().saturating_sub(8));
                self.each_where(
                    |value| {
                        value.get(start.len()..prefix.len()).is_some_and(|have| have == last)
                            && value.starts_with(start)
                    },
                    found,
                );
            }
            Sieve::Prefixes(prefixes) => {
                self.each_where(|value| begins_with(value, prefixes), found);
            }
            Sieve::Inside(finder) => self.each_with(finder, found),
            Sieve::Both(prefixes, finder) => {
                let by_prefix = self.sampled().filter(|value| begins_with(value, prefixes)).count();
                if by_prefix <= self.sampled().filter(|value| finder.find(value).is_some()).count() {
                    self.each(&Sieve::Prefixes(prefixes), found);
                } else {
                    self.each_with(finder, found);
                }
            }
        }
    }

    fn sampled(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).step_by(self.ends.len() / SAMPLED + 1).map(|at| self.value(at))
    }

    /// The value at a place.
    fn value(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize + 1);
        self.ends.get(at).and_then(|end| self.bytes.get(start..*end as usize)).unwrap_or_default()
    }

    fn tell(&self, number: usize, value: &[u8], found: &mut impl FnMut(Found)) {
        if let (Some(pair), Some(slot)) = (self.pairs.get(number), self.slots.get(number)) {
            let changed = !self.changed.is_empty() && self.changed.contains(*pair);
            let slot = (*slot != SEVERAL && !changed).then_some(*slot);
            found(Found { value, pair: *pair, slot, changed });
        }
    }

    fn each_where(&self, wanted: impl Fn(&[u8]) -> bool, found: &mut impl FnMut(Found)) {
        let mut start = 0;
        for (number, end) in self.ends.iter().enumerate() {
            let end = *end as usize;
            let value = self.bytes.get(start..end).unwrap_or_default();
            if wanted(value) {
                self.tell(number, value, found);
            }
            start = end + 1;
        }
    }

    fn each_with(&self, finder: &Finder, found: &mut impl FnMut(Found)) {
        let (mut at, mut number) = (0, 0);
        while let Some(hit) = self.bytes.get(at..).and_then(|rest| finder.find(rest)) {
            let hit = at + hit;
            // Hits ascend: most often it is the next value, or a far one.
            if self.ends.get(number).is_some_and(|end| (*end as usize) < hit) {
                number += self.ends.get(number..).unwrap_or_default().partition_point(|end| (*end as usize) < hit);
            }
            let Some(end) = self.ends.get(number) else { return };
            self.tell(number, self.value(number), found);
            at = *end as usize + 1;
            number += 1;
        }
    }
}

fn begins_with(value: &[u8], prefixes: &[String]) -> bool {
    prefixes.iter().any(|prefix| value.starts_with(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sieves_let_through_what_they_say(
            values in prop::collection::vec("[ab]{1,12}é?", 0..200),
            needle in "[ab]{1,9}",
            prefixes in prop::collection::vec("[ab]{1,11}", 1..3),
        ) {
            let copied = values.iter().enumerate().map(|(pair, value)| (pair as u32, &**value, Some(7)));
            let mut scan = Scan::of(copied.clone().take(values.len() / 2)).expect("there is room");
            for (pair, value, _) in copied.skip(values.len() / 2) {
                prop_assert!(scan.push(pair, value, None));
            }
            scan.joined(3);
            let through = |sieve: &Sieve| {
                let mut out = Vec::new();
                scan.each(sieve, &mut |found: Found| {
                    assert_eq!(found.changed, found.pair == 3);
                    assert_eq!(found.slot.is_some(), found.pair != 3 && (found.pair as usize) < values.len() / 2);
                    out.push((found.pair, String::from_utf8_lossy(found.value).into_owned()));
                });
                out
            };
            let wanted = |keep: &dyn Fn(&str) -> bool| -> Vec<(u32, String)> {
                let all = values.iter().enumerate().filter(|(_, value)| keep(value));
                all.map(|(pair, value)| (pair as u32, value.clone())).collect()
            };
            prop_assert_eq!(through(&Sieve::All), wanted(&|_| true));
            let finder = Finder::new(needle.as_bytes()).into_owned();
            prop_assert_eq!(through(&Sieve::Inside(&finder)), wanted(&|value| value.contains(&*needle)));
            let begins = |value: &str| prefixes.iter().any(|prefix| value.starts_with(&**prefix));
            // Beginnings that all of some values have are no sieve; of two conditions one is tested, whichever it is.
            let all = through(&Sieve::All);
            let by_prefix = through(&Sieve::Prefixes(&prefixes));
            prop_assert!(by_prefix == wanted(&begins) || by_prefix == all);
            let both = through(&Sieve::Both(&prefixes, &finder));
            prop_assert!(both == wanted(&begins) || both == wanted(&|value| value.contains(&*needle)) || both == all);
        }
    }
}
