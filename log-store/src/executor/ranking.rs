//! Orders by the number in a field: records without one last, equal ones newest first.

use std::cmp::Ordering;

use parking_lot::Mutex;
use watchfire_model::record::ValueRef;

use super::block::Place;
use crate::query::{Field, Number};

/// Which rows are wanted of an order by field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ranking<'r> {
    pub field: &'r Field,
    /// Largest first.
    pub descending: bool,
    pub count: usize,
}

/// A row's place, and its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ranked {
    pub number: Option<Number>,
    pub place: Place,
}

/// The number that a value is; none for what is not a number (NaN).
pub(crate) fn number_of(value: ValueRef<'_>) -> Option<Number> {
    Number::of_value(value).filter(|number| !number.as_f64().is_nan())
}

impl Ranking<'_> {
    /// The order of two numbers.
    #[inline]
    fn compare_numbers(&self, a: Option<Number>, b: Option<Number>) -> Ordering {
        match (a, b) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => {
                // NaN is left out where numbers are read.
                let order = a.compare(b).unwrap_or(Ordering::Equal);
                if self.descending { order.reverse() } else { order }
            }
        }
    }

    /// The order of two rows.
    pub fn compare(&self, a: &Ranked, b: &Ranked) -> Ordering {
        self.compare_numbers(a.number, b.number).then_with(|| b.place.cmp(&a.place))
    }

    /// Leaves the first `count`, in any order among themselves.
    pub fn cut(&self, rows: &mut Vec<Ranked>) {
        self.cut_by(rows, |row| *row);
    }

    /// [`Ranking::cut`] for anything that is ranked.
    pub fn cut_by<T>(&self, items: &mut Vec<T>, ranked: impl Fn(&T) -> Ranked) {
        if items.len() > self.count && self.count > 0 {
            items.select_nth_unstable_by(self.count - 1, |a, b| self.compare(&ranked(a), &ranked(b)));
        }
        items.truncate(self.count);
    }
}

/// The first rows of all blocks looked at so far, for the others to know what is of no use any more.
#[derive(Debug, Default)]
pub(crate) struct Bar(Mutex<Vec<Ranked>>);

impl Bar {
    /// The last of the first `count`, once there are so many.
    pub fn worst(&self, ranking: &Ranking<'_>) -> Option<Ranked> {
        let first = self.0.lock();
        first.iter().copied().filter(|_| first.len() == ranking.count).max_by(|a, b| ranking.compare(a, b))
    }

    /// Takes in the first rows of a block.
    pub fn raise(&self, ranking: &Ranking<'_>, of_block: &[Ranked]) {
        let mut first = self.0.lock();
        first.extend_from_slice(of_block);
        ranking.cut(&mut first);
    }
}

/// Numbers and rows of one block, of which only the first are kept while they come in. Rows must be in the order of
/// time, so that a row stands for its place.
#[derive(Debug)]
pub(crate) struct Best<'r> {
    ranking: Ranking<'r>,
    rows: Vec<(Option<Number>, u32)>,
    /// The last of the first `count`, once there are so many: what comes after it is of no use.
    worst: Option<(Option<Number>, u32)>,
    /// What comes after this is of no use either.
    bar: Option<Ranked>,
}

impl<'r> Best<'r> {
    pub fn new(ranking: Ranking<'r>, bar: Option<Ranked>) -> Best<'r> {
        Best { ranking, rows: Vec::new(), worst: None, bar }
    }

    /// Adds a row; its number must not be NaN.
    #[inline]
    pub fn add(&mut self, number: Option<Number>, row: u32) {
        if let Some(worst) = self.worst
            && self.compare((number, row), worst) == Ordering::Greater
        {
            return;
        }
        self.rows.push((number, row));
        if self.rows.len() >= self.ranking.count.saturating_mul(2).max(64) {
            self.shrink();
        }
    }

    /// Whether no row up to this place with a number between these can be among the first.
    pub fn is_beaten_by_all(&self, min: Number, max: Number, newest: Place) -> bool {
        let number = Some(if self.ranking.descending { max } else { min });
        // Of equal numbers the newer row would be first.
        self.worst.is_some_and(|(worst, _)| self.ranking.compare_numbers(number, worst) == Ordering::Greater)
            || self
                .bar
                .is_some_and(|bar| self.ranking.compare(&Ranked { number, place: newest }, &bar) == Ordering::Greater)
    }

    fn compare(&self, a: (Option<Number>, u32), b: (Option<Number>, u32)) -> Ordering {
        self.ranking.compare_numbers(a.0, b.0).then_with(|| b.1.cmp(&a.1))
    }

    fn shrink(&mut self) {
        let count = self.ranking.count;
        if self.rows.len() > count && count > 0 {
            let mut rows = std::mem::take(&mut self.rows);
            rows.select_nth_unstable_by(count - 1, |a, b| self.compare(*a, *b));
            self.worst = rows.get(count - 1).copied();
            self.rows = rows;
        }
        self.rows.truncate(count);
    }

    /// The first rows with their numbers, in any order among themselves.
    pub fn finish(mut self) -> Vec<(Option<Number>, u32)> {
        self.shrink();
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Path;
    use proptest::prelude::*;
    use watchfire_model::record::Root;

    proptest! {
        #[test]
        fn the_best_are_those_of_a_whole_sort(
            numbers in prop::collection::vec(prop::option::of(-20i64..20), 0..400),
            count in 0usize..100,
            descending in any::<bool>(),
        ) {
            let field = Field::Leaf(Root::Fields, Path::new("n"));
            let ranking = Ranking { field: &field, descending, count };
            let mut best = Best::new(ranking, None);
            let all: Vec<(Option<Number>, u32)> =
                numbers.iter().zip(0..).map(|(number, row)| (number.map(Number::Int), row)).collect();
            all.iter().for_each(|(number, row)| best.add(*number, *row));
            let mut expected = all;
            expected.sort_by(|a, b| Best::new(ranking, None).compare(*a, *b));
            expected.truncate(count);
            let mut found = best.finish();
            found.sort_by(|a, b| Best::new(ranking, None).compare(*a, *b));
            prop_assert_eq!(found, expected);
        }
    }
}
