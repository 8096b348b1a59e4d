//! All values of one label of a shard, one after another in memory, for expressions that have to see each of them.
//!
//! The texts themselves lie all over the heap, and a million of them is a million waits for memory. So the values of a
//! label with many are copied into one run of bytes when a query first needs them, kept up to date, and forgotten when no
//! query did for a while.
//!
//! ```text
//! bytes = (value, 0xff)*        0xff is in no UTF-8 text
//! ```
//! A pair that was freed, and perhaps given out again, leaves its old text behind: whoever finds it compares it with the
//! pair's text of now.

use std::sync::atomic::{AtomicBool, Ordering};

use memchr::memmem::Finder;

/// Values of a label beside each other.
#[derive(Default)]
pub(crate) struct Scan {
    bytes: Vec<u8>,
    /// Where each value ends, without its separator.
    ends: Vec<u32>,
    /// The pair of each value.
    pairs: Vec<u32>,
    /// Values of pairs that were freed since.
    stale: usize,
    /// A query needed it since the last ageing.
    used: AtomicBool,
}

const SEPARATOR: u8 = 0xff;
/// Values that are looked at to find out which of two conditions lets fewer through.
const SAMPLED: usize = 64;

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
    /// Adds a value. Says whether there was room: four gigabytes of values are not scanned.
    pub(crate) fn push(&mut self, pair: u32, value: &str) -> bool {
        self.bytes.extend_from_slice(value.as_bytes());
        let Ok(end) = u32::try_from(self.bytes.len()) else { return false };
        self.bytes.push(SEPARATOR);
        self.ends.push(end);
        self.pairs.push(pair);
        true
    }

    /// Notes that the pair of a value was freed. Says whether so many were that a new copy is better.
    pub(crate) fn freed(&mut self) -> bool {
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

    /// Whether it may hold values of pairs that were freed since.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale > 0
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + 4 * (self.ends.capacity() + self.pairs.capacity())
    }

    /// Calls back with pair and value of what the sieve lets through.
    pub(crate) fn each(&self, sieve: &Sieve, found: &mut impl FnMut(u32, &str)) {
        match sieve {
            Sieve::All => self.each_where(|_| true, found),
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
                self.each_where(|value| prefixes.iter().any(|prefix| value.starts_with(prefix.as_bytes())), found);
            }
            Sieve::Inside(finder) => self.each_with(finder, found),
            Sieve::Both(prefixes, finder) => {
                let sampled = || (0..self.ends.len()).step_by(self.ends.len() / SAMPLED + 1).map(|at| self.value(at));
                let begins = |value: &&[u8]| prefixes.iter().any(|prefix| value.starts_with(prefix.as_bytes()));
                let by_prefix = sampled().filter(begins).count();
                if by_prefix <= sampled().filter(|value| finder.find(value).is_some()).count() {
                    self.each(&Sieve::Prefixes(prefixes), found);
                } else {
                    self.each_with(finder, found);
                }
            }
        }
    }

    /// The value at a place.
    fn value(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize + 1);
        self.ends.get(at).and_then(|end| self.bytes.get(start..*end as usize)).unwrap_or_default()
    }

    fn each_where(&self, wanted: impl Fn(&[u8]) -> bool, found: &mut impl FnMut(u32, &str)) {
        let mut start = 0;
        for (end, pair) in self.ends.iter().zip(&self.pairs) {
            let end = *end as usize;
            let value = self.bytes.get(start..end).unwrap_or_default();
            if wanted(value) {
                tell(*pair, value, found);
            }
            start = end + 1;
        }
    }

    fn each_with(&self, finder: &Finder, found: &mut impl FnMut(u32, &str)) {
        let (mut at, mut number) = (0, 0);
        while let Some(hit) = self.bytes.get(at..).and_then(|rest| finder.find(rest)) {
            let hit = at + hit;
            // Hits ascend: most often it is the next value, or a far one.
            if self.ends.get(number).is_some_and(|end| (*end as usize) < hit) {
                number += self.ends.get(number..).unwrap_or_default().partition_point(|end| (*end as usize) < hit);
            }
            let (Some(end), Some(pair)) = (self.ends.get(number), self.pairs.get(number)) else { return };
            tell(*pair, self.value(number), found);
            at = *end as usize + 1;
            number += 1;
        }
    }
}

fn tell(pair: u32, value: &[u8], found: &mut impl FnMut(u32, &str)) {
    // Only whole texts are pushed.
    if let Ok(value) = std::str::from_utf8(value) {
        found(pair, value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sieves_let_through_what_they_say(
            values in prop::collection::vec("[ab]{1,12}é?", 0..60),
            needle in "[ab]{1,9}",
            prefixes in prop::collection::vec("[ab]{1,11}", 1..3),
        ) {
            let mut scan = Scan::default();
            for (pair, value) in values.iter().enumerate() {
                prop_assert!(scan.push(pair as u32, value));
            }
            let through = |sieve: &Sieve| {
                let mut out = Vec::new();
                scan.each(sieve, &mut |pair, value: &str| out.push((pair, value.to_owned())));
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
            prop_assert_eq!(through(&Sieve::Prefixes(&prefixes)), wanted(&begins));
            // One of the two conditions is tested, whichever it is.
            let both = through(&Sieve::Both(&prefixes, &finder));
            prop_assert!(both == wanted(&begins) || both == wanted(&|value| value.contains(&*needle)));
        }
    }
}
