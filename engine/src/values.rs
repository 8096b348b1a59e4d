//! All values of one label of a shard, one after another in pages: where they are kept, and where expressions look
//! through them.
//!
//! A million texts that lie each somewhere else in the heap are a million waits for memory, and as many allocations. All of
//! them in one would move to a larger place again and again, and take both meanwhile.
//!
//! ```text
//! bytes of a page = (value, 0xff)*        0xff is in no UTF-8 text
//! ```
//! Beside each value stand its pair and the slot of its series, if there is but one, as nearly always with so many
//! values. A value that nobody has any more leaves its bytes behind until a quarter of all are such; then the others
//! move together.

use memchr::memmem::Finder;

/// Values of a page.
const PAGE: usize = 1024;

/// Where a value ends in its page, without its separator, and whose it is.
#[derive(Clone, Copy)]
struct Place {
    end: u32,
    /// `GONE` if nobody has the value any more.
    pair: u32,
    /// The slot of its only series; `SEVERAL` if it has more.
    slot: u32,
}

/// Values beside each other.
#[derive(Default)]
struct Page {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

/// Values of a label.
#[derive(Default)]
pub(crate) struct Values {
    /// All but the last are full.
    pages: Vec<Page>,
    /// Places whose value nobody has any more.
    gone: usize,
    /// Memory of the pages, bytes.
    page_bytes: usize,
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
    /// Adds a value of a pair that has one series so far, and gives its place. `None` if there is no room: a page has
    /// four gigabytes at most.
    pub(crate) fn push(&mut self, pair: u32, value: &[u8], slot: u32) -> Option<u32> {
        let place = u32::try_from(self.len()).ok()?;
        if self.pages.last().is_none_or(|page| page.places.len() == PAGE) {
            self.begin_page();
        }
        let page = self.pages.last_mut()?;
        let before = page.memory_bytes();
        let end = u32::try_from(page.bytes.len() + value.len()).ok().filter(|end| *end < u32::MAX)?;
        make_room(&mut page.bytes, value.len() + 1);
        make_room(&mut page.places, 1);
        page.bytes.extend_from_slice(value);
        page.bytes.push(SEPARATOR);
        page.places.push(Place { end, pair, slot });
        self.page_bytes += page.memory_bytes() - before;
        Some(place)
    }

    /// Begins a page behind a full one, with room for as much as that has.
    fn begin_page(&mut self) {
        let mut page = Page::default();
        if let Some(full) = self.pages.last_mut() {
            let before = full.memory_bytes();
            full.bytes.shrink_to_fit();
            page.bytes.reserve_exact(full.bytes.len());
            page.places.reserve_exact(PAGE);
            self.page_bytes -= before - full.memory_bytes();
        }
        self.page_bytes += page.memory_bytes();
        self.pages.push(page);
    }

    fn len(&self) -> usize {
        self.pages.last().map_or(0, |last| (self.pages.len() - 1) * PAGE + last.places.len())
    }

    fn place_mut(&mut self, at: u32) -> Option<&mut Place> {
        self.pages.get_mut(at as usize / PAGE)?.places.get_mut(at as usize % PAGE)
    }

    /// Notes that the pair of a place has several series.
    pub(crate) fn joined(&mut self, place: u32) {
        if let Some(place) = self.place_mut(place) {
            place.slot = SEVERAL;
        }
    }

    /// Notes that nobody has the value of a place any more.
    pub(crate) fn freed(&mut self, place: u32) {
        if let Some(place) = self.place_mut(place).filter(|place| place.pair != GONE) {
            place.pair = GONE;
            self.gone += 1;
        }
    }

    /// Whether more than one value in so many is gone.
    pub(crate) fn is_sparse(&self, one_in: usize) -> bool {
        self.gone * one_in > self.len()
    }

    /// Moves the values together that are left, and calls back with the pair and the new place of each.
    pub(crate) fn move_together(&mut self, mut moved: impl FnMut(u32, u32)) {
        for page in std::mem::take(self).pages {
            for (value, Place { pair, slot, .. }) in page.values().filter(|(_, place)| place.pair != GONE) {
                // There is room for a part of what there was room for.
                if let Some(place) = self.push(*pair, value, *slot) {
                    moved(*pair, place);
                }
            }
        }
        if let Some(last) = self.pages.last_mut() {
            self.page_bytes -= last.memory_bytes();
            last.bytes.shrink_to_fit();
            last.places.shrink_to_fit();
            self.page_bytes += last.memory_bytes();
        }
    }

    /// The value at a place.
    pub(crate) fn value(&self, at: u32) -> &[u8] {
        self.pages.get(at as usize / PAGE).map_or(&[], |page| page.value(at as usize % PAGE))
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.pages.capacity() * size_of::<Page>() + self.page_bytes
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
        // Places are numbered by 32 bits.
        (0..self.len()).step_by(self.len() / SAMPLED + 1).map(|at| self.value(at as u32))
    }

    fn each_where(&self, wanted: impl Fn(&[u8]) -> bool, found: &mut impl FnMut(Found)) {
        for page in &self.pages {
            for (value, place) in page.values().filter(|(value, _)| wanted(value)) {
                tell(place, value, found);
            }
        }
    }

    fn each_with(&self, finder: &Finder, found: &mut impl FnMut(Found)) {
        self.pages.iter().for_each(|page| page.each_with(finder, found));
    }
}

impl Page {
    fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.places.capacity() * size_of::<Place>()
    }

    fn value(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).and_then(|before| self.places.get(before)).map_or(0, |it| it.end as usize + 1);
        self.places.get(at).and_then(|it| self.bytes.get(start..it.end as usize)).unwrap_or_default()
    }

    /// All of them, also those that nobody has any more.
    fn values(&self) -> impl Iterator<Item = (&[u8], &Place)> {
        let mut start = 0;
        self.places.iter().map(move |place| {
            let value = self.bytes.get(start..place.end as usize).unwrap_or_default();
            start = place.end as usize + 1;
            (value, place)
        })
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
            tell(place, self.value(number), found);
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
            some in prop::collection::vec("[ab]{1,12}é?", 0..200),
            times in prop::sample::select(vec![1usize, 1, 1, 15]),
            gone in prop::collection::vec(0usize..200, 0..90),
            moves in any::<bool>(),
            needle in "[ab]{1,9}",
            prefixes in prop::collection::vec("[ab]{1,11}", 1..3),
        ) {
            // Fifteen times as many take several pages.
            let values = vec![some; times].concat();
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
