//! Counting and picking over blocks: totals, levels, bars, the first places of an order.

use std::cmp::Ordering;

use watchfire_model::record::ValueRef;

use super::block::{BarCounts, Place, Wanted};
use crate::query::{Number, scalar_text};

/// What the blocks so far came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub levels: [u64; 8],
    pub bars: Vec<BarCounts>,
    /// First places by time, each with the number of its block.
    pub places: Vec<(Place, usize)>,
    /// First places by a field.
    pub keyed: Vec<Keyed>,
}

/// A place in an order by field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keyed {
    pub number: Option<Number>,
    pub place: Place,
    pub part: usize,
}

/// The order by field: records without a number last, equal ones newest first.
pub(crate) fn compare_keyed(a: &Keyed, b: &Keyed, descending: bool) -> Ordering {
    let by_number = match (a.number, b.number) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => {
            // NaN was left out when the number was read.
            let order = a.compare(b).unwrap_or(Ordering::Equal);
            if descending { order.reverse() } else { order }
        }
    };
    by_number.then_with(|| b.place.cmp(&a.place))
}

/// Leaves the first `count` of an order by field, in no particular order.
pub(crate) fn cut_keyed(items: &mut Vec<Keyed>, count: usize, descending: bool) {
    if items.len() > count && count > 0 {
        items.select_nth_unstable_by(count - 1, |a, b| compare_keyed(a, b, descending));
    }
    items.truncate(count);
}

impl Tally {
    /// Adds what other blocks came to.
    pub fn merge(mut self, other: Tally, wanted: &Wanted, by_field: Option<bool>) -> Tally {
        for (mine, theirs) in self.levels.iter_mut().zip(other.levels) {
            *mine += theirs;
        }
        if self.bars.is_empty() {
            self.bars = other.bars;
        } else {
            for (mine, theirs) in self.bars.iter_mut().zip(&other.bars) {
                mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
            }
        }
        self.places.extend(other.places);
        wanted.cut_by(&mut self.places, |(place, _)| *place);
        self.keyed.extend(other.keyed);
        if let Some(descending) = by_field {
            cut_keyed(&mut self.keyed, wanted.count, descending);
        }
        self
    }

    pub fn total(&self) -> u64 {
        self.levels.iter().sum()
    }
}

/// Calls `count` with the text of a value: of each, for a list; not at all for null and objects.
pub(crate) fn count_text(value: ValueRef<'_>, times: u64, count: &mut dyn FnMut(&str, u64)) {
    match value {
        ValueRef::Text(text) => count(text, times),
        ValueRef::Array(values) => values.values().for_each(|value| count_text(value, times, count)),
        value => {
            if let Some(text) = scalar_text(value) {
                count(&text, times);
            }
        }
    }
}
