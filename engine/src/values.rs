//! All values of one label of a shard, one after another in memory: where they are kept, and where expressions look
//! through them.
//!
//! A million texts that lie each somewhere else in the heap are a million waits for memory, and as many allocations.
//!
//! ```text
//! bytes = (value, 0xff)*        0xff is in no UTF-8 text
//! ```
//! Beside each value stand its pair and the slot of its series, if there is but one, as nearly always with so many
//! values. A value that nobody has any more leaves its bytes behind until a quarter of all are such; then the others
//! move together.

use memchr::memmem::Finder;

/// Where a value ends, without its separator, and whose it is.
#[derive(Clone, Copy)]
struct Place {
    end: u32,
    /// `GONE` if nobody has the value any more.
    pair: u32,
    /// The slot of its only series; `SEVERAL` if it has more.
    slot: u32,
}

/// Values of a label beside each other.
#[derive(Default)]
pub(crate) struct Values {
    bytes: Vec<u8>,
    places: Vec<Place>,
    /// Places whose value nobody has any more.
    gone: usize,
}

const SEPARATOR: u8 = 0xff;
/// Values that are looked at to find out which of two conditions lets fewer through.
const SAMPLED: usize = 64;
/// No slot: there are fewer series.
const SEVERAL: u32 = u32::MAX;
/// No pair: there are fewer.
const GONE: u32 = u32::MAX;

/// A value that was found.
pub(crate) struct Found<'v> {
    pub(crate) value: &'v [u8],
    pub(crate) pair: u32,
    /// The slot of its only series, if it is known that there is only one.
    pub(crate) slot: Option<u32>,
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

impl Values {
    /// Adds a value of a pair that has one series so far, and gives its place. `None` if there is no room: a shard keeps
    /// four gigabytes of values of a label.
    pub(crate) fn push(&mut self, pair: u32, value: &[u8], slot: u32) -> Option<u32> {
        let end = u32::try_from(self.bytes.len() + value.len()).ok().filter(|end| *end < u32::MAX)?;
        let place = u32::try_from(self.places.len()).ok()?;
        make_room(&mut self.bytes, value.len() + 1);
        make_room(&mut self.places, 1);
        self.bytes.extend_from_slice(value);
        self.bytes.push(SEPARATOR);
        self.places.push(Place { end, pair, slot });
        Some(place)
    }

    /// Notes that the pair of a place has several series.
    pub(crate) fn joined(&mut self, place: u32) {
        if let Some(place) = self.places.get_mut(place as usize) {
            place.slot = SEVERAL;
        }
    }

    /// Notes that nobody has the value of a place any more.
    pub(crate) fn freed(&mut self, place: u32) {
        if let Some(place) = self.places.get_mut(place as usize)
            && place.pair != GONE
        {
            place.pair = GONE;
            self.gone += 1;
        }
    }

    /// Whether more than one value in so many is gone.
    pub(crate) fn is_sparse(&self, one_in: usize) -> bool {
        self.gone * one_in > self.places.len()
    }

    /// Moves the values together that are left, and calls back with the pair and the new place of each.
    pub(crate) fn move_together(&mut self, mut moved: impl FnMut(u32, u32)) {
        let left = self.places.len() - self.gone;
        let mut together = Values { bytes: Vec::new(), places: Vec::with_capacity(left), gone: 0 };
        let kept = || (0u32..).zip(&self.places).filter(|(_, place)| place.pair != GONE);
        together.bytes.reserve_exact(kept().map(|(at, _)| self.value(at).len() + 1).sum());
        for (at, Place { pair, slot, .. }) in kept() {
            // There is room for a part of what there was room for.
            if let Some(place) = together.push(*pair, self.value(at), *slot) {
                moved(*pair, place);
            }
        }
        *self = together;
    }

    /// The value at a place.
    pub(crate) fn value(&self, at: u32) -> &[u8] {
        let at = at as usize;
        let start = at.checked_sub(1).and_then(|before| self.places.get(before)).map_or(0, |it| it.end as usize + 1);
        self.places.get(at).and_then(|it| self.bytes.get(start..it.end as usize)).unwrap_or_default()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.places.capacity() * size_of::<Place>()
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
        let places = (0u32..).zip(&self.places).step_by(self.places.len() / SAMPLED + 1);
        places.map(|(at, _)| self.value(at))
    }

    fn each_where(&self, wanted: impl Fn(&[u8]) -> bool, found: &mut impl FnMut(Found)) {
        let mut start = 0;
        for place in &self.places {
            let end = place.end as usize;
            let value = self.bytes.get(start..end).unwrap_or_default();
            if wanted(value) {
                tell(place, value, found);
            }
            start = end + 1;
        }
    }

    fn each_with(&self, finder: &Finder, found: &mut impl FnMut(Found)) {
        let (mut at, mut number) = (0, 0);
        while let Some(hit) = self.bytes.get(at..).and_then(|rest| finder.find(rest)) {
            let hit = at + hit;
            // Hits ascend: most often it is the next value, or a far one.
            let is_before = |place: &Place| (place.end as usize) < hit;
            if self.places.get(number).is_some_and(is_before) {
                number += self.places.get(number..).unwrap_or_default().partition_point(is_before);
            }
            let Some(place) = self.places.get(number) else { return };
            // Places are numbered by 32 bits.
            tell(place, self.value(number as u32), found);
            at = place.end as usize + 1;
            number += 1;
        }
    }
}

#[inline]
fn tell(place: &Place, value: &[u8], found: &mut impl FnMut(Found)) {
    if place.pair != GONE {
        found(Found { value, pair: place.pair, slot: (place.slot != SEVERAL).then_some(place.slot) });
    }
}

/// Room for a quarter more than there is; of twice as much, as usual, half would stay empty.
fn make_room<T>(all: &mut Vec<T>, more: usize) {
    if all.capacity() - all.len() < more {
        all.reserve_exact(more.max(all.len() / 4));
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
            gone in prop::collection::vec(0usize..200, 0..90),
            moves in any::<bool>(),
            needle in "[ab]{1,9}",
            prefixes in prop::collection::vec("[ab]{1,11}", 1..3),
        ) {
            let mut all = Values::default();
            for (pair, value) in (0u32..).zip(&values) {
                prop_assert_eq!(all.push(pair, value.as_bytes(), 7), Some(pair));
            }
            all.joined(3);
            gone.iter().for_each(|place| all.freed(*place as u32));
            prop_assert!(!all.is_sparse(1));
            if moves {
                let mut places = Vec::new();
                all.move_together(|pair, place| places.push((pair, place)));
                for (pair, place) in places {
                    prop_assert_eq!(all.value(place), values[pair as usize].as_bytes());
                }
                prop_assert!(!all.is_sparse(usize::MAX));
            }
            let through = |sieve: &Sieve| {
                let mut out = Vec::new();
                all.each(sieve, &mut |found: Found| {
                    assert_eq!(found.slot, (found.pair != 3).then_some(7));
                    out.push((found.pair, String::from_utf8_lossy(found.value).into_owned()));
                });
                out
            };
            let wanted = |keep: &dyn Fn(&str) -> bool| -> Vec<(u32, String)> {
                let all = values.iter().enumerate().filter(|(pair, value)| !gone.contains(pair) && keep(value));
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
