//! A leaf of a query, and what it asks of one column.

use std::borrow::Cow;
use std::ops::Bound;

use watchfire_model::record::{Column, Core, Root, ValueRef};

use crate::query::{
    Field, Folded, Number, NumberRange, Pattern, Phrase, Relation, Test, column_matches, text_in_value,
};
use crate::values::Raw;

/// A part of a query that looks at values of columns.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leaf<'q> {
    /// Words in the message or a text of `fields`.
    Text(&'q Phrase),
    /// An expression there.
    TextRegex(&'q Pattern),
    /// A test of a field.
    Field(&'q Field, &'q Test),
}

impl<'q> Leaf<'q> {
    /// What this asks of a column; `None` if it does not look there.
    pub fn on<'c>(&self, column: Column<'c>) -> Option<ColumnTest<'q, 'c>> {
        let is_searched = matches!(column, Column::Core(Core::Message) | Column::Leaf(Root::Fields, _));
        let kind = match self {
            Leaf::Text(_) | Leaf::TextRegex(_) if !is_searched => return None,
            Leaf::Text(phrase) => Kind::Words(phrase),
            Leaf::TextRegex(pattern) => Kind::Regex(pattern),
            Leaf::Field(field, test) => match (field.relation(column), test) {
                (Relation::Apart, _) => return None,
                (Relation::Below, Test::Exists) => Kind::Exists,
                (Relation::Below, _) => return None,
                (Relation::Above(_), _) => Kind::Inside,
                (Relation::Same, Test::Exists) => Kind::Exists,
                (Relation::Same, Test::Phrase(phrase)) => Kind::Phrase(phrase),
                (Relation::Same, Test::Whole(whole)) => Kind::Whole(whole),
                (Relation::Same, Test::Numbers(range)) => Kind::Numbers(range),
                (Relation::Same, Test::Regex(pattern)) => Kind::FieldRegex(pattern),
                (Relation::Same, Test::Prefix(_) | Test::Levels(_) | Test::Integers { .. }) => Kind::Other,
            },
        };
        Some(ColumnTest { leaf: *self, column, kind })
    }

    /// Whether a value of a column passes.
    pub fn matches(&self, column: Column<'_>, value: ValueRef<'_>) -> bool {
        self.on(column).is_some_and(|test| test.matches_value(value))
    }
}

/// What a leaf asks of the values of one column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColumnTest<'q, 'c> {
    leaf: Leaf<'q>,
    column: Column<'c>,
    /// What quick ways go by; the answer is always that of [`ColumnTest::matches_value`].
    pub kind: Kind<'q>,
}

/// Kinds of tests for which there are quick ways.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'q> {
    /// A value that is not null.
    Exists,
    /// Words in a row in a text; no number matches.
    Words(&'q Phrase),
    /// Words in a row in a text, or the number that they spell.
    Phrase(&'q Phrase),
    /// A whole text without regard to case.
    Whole(&'q Folded),
    /// A number in a range.
    Numbers(&'q NumberRange),
    /// An expression in a text; no number matches.
    Regex(&'q Pattern),
    /// An expression in a text or in the text of a number.
    FieldRegex(&'q Pattern),
    /// Inside objects of lists: only lists can match.
    Inside,
    /// Anything else.
    Other,
}

/// The integers of a range of numbers, both ends included; none if `low > high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IntBounds {
    pub low: i64,
    pub high: i64,
}

impl IntBounds {
    const NONE: IntBounds = IntBounds { low: 1, high: 0 };

    pub fn of(range: &NumberRange) -> IntBounds {
        let low = match range.low {
            Bound::Unbounded => Some(i64::MIN),
            Bound::Included(low) => smallest_from(low),
            Bound::Excluded(Number::Int(low)) => low.checked_add(1),
            Bound::Excluded(low) => smallest_from(low),
        };
        let high = match range.high {
            Bound::Unbounded => Some(i64::MAX),
            Bound::Included(high) => largest_to(high),
            Bound::Excluded(Number::Int(high)) => high.checked_sub(1),
            Bound::Excluded(high) => largest_to(high),
        };
        match (low, high) {
            (Some(low), Some(high)) if low <= high => IntBounds { low, high },
            _ => IntBounds::NONE,
        }
    }

    #[inline]
    pub fn contains(self, int: i64) -> bool {
        self.low <= int && int <= self.high
    }
}

/// The smallest integer at or above a number.
fn smallest_from(number: Number) -> Option<i64> {
    match number {
        Number::Int(int) => Some(int),
        Number::Float(float) if float.is_nan() || float >= 9_223_372_036_854_775_808.0 => None,
        // Below the range the conversion saturates, which is what is wanted.
        Number::Float(float) => Some(float.ceil() as i64),
    }
}

/// The largest integer at or below a number.
fn largest_to(number: Number) -> Option<i64> {
    match number {
        Number::Int(int) => Some(int),
        Number::Float(float) if float.is_nan() || float < -9_223_372_036_854_775_808.0 => None,
        Number::Float(float) => Some(float.floor() as i64),
    }
}

impl<'q> ColumnTest<'q, '_> {
    /// Whether a value passes.
    pub fn matches_value(&self, value: ValueRef<'_>) -> bool {
        match self.leaf {
            Leaf::Text(phrase) => text_in_value(value, &|text| phrase.is_in(text)),
            Leaf::TextRegex(pattern) => text_in_value(value, &|text| pattern.is_in(text)),
            Leaf::Field(field, test) => column_matches(field, test, self.column, value),
        }
    }

    /// [`ColumnTest::matches_value`] for a value as it lies in a column; damaged bytes match nothing.
    #[inline]
    pub fn matches(&self, value: Raw<'_>) -> bool {
        match (self.kind, value) {
            (Kind::Exists, value) => !matches!(value, Raw::Null),
            (Kind::Numbers(range), Raw::Int(int)) => range.contains(Number::Int(int)),
            (Kind::Words(_) | Kind::Regex(_), Raw::Null | Raw::Bool(_) | Raw::Int(_) | Raw::Float(_)) => false,
            (_, value) => value.value().is_some_and(|value| self.matches_value(value)),
        }
    }

    /// The words that every matching text has in a row, if the test is of that kind; for filters.
    pub fn words(&self) -> Option<Cow<'q, Phrase>> {
        match self.kind {
            Kind::Words(phrase) | Kind::Phrase(phrase) => Some(Cow::Borrowed(phrase)),
            // Lower-casing other characters may bring forth what is no part of a word.
            Kind::Whole(whole) if whole.as_str().is_ascii() => Phrase::new(whole.as_str(), false).map(Cow::Owned),
            _ => None,
        }
    }

    /// The integers that pass, if the test is of that kind.
    pub fn int_bounds(&self) -> Option<IntBounds> {
        match self.kind {
            Kind::Numbers(range) => Some(IntBounds::of(range)),
            Kind::Phrase(phrase) if !phrase.is_prefix() => Some(match phrase.number() {
                Some(Number::Int(int)) => IntBounds { low: int, high: int },
                Some(Number::Float(_)) | None => IntBounds::NONE,
            }),
            Kind::Words(_) | Kind::Regex(_) | Kind::Inside => Some(IntBounds::NONE),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = Number> {
        prop_oneof![
            (-5i64..5).prop_map(Number::Int),
            (-50i64..50).prop_map(|tenths| Number::float(tenths as f64 / 10.0)),
            prop::sample::select(vec![1e300, -1e300, f64::NAN, 9_223_372_036_854_775_808.0, -9.3e18])
                .prop_map(Number::float),
            prop::sample::select(vec![i64::MIN, i64::MAX]).prop_map(Number::Int),
        ]
    }

    fn bound() -> impl Strategy<Value = Bound<Number>> {
        prop_oneof![Just(Bound::Unbounded), number().prop_map(Bound::Included), number().prop_map(Bound::Excluded)]
    }

    proptest! {
        #[test]
        fn bounds_hold_the_integers_of_the_range(low in bound(), high in bound(), near in -6i64..6, far in any::<i64>()) {
            let range = NumberRange { low, high };
            let bounds = IntBounds::of(&range);
            for int in [near, far, i64::MIN, i64::MAX] {
                prop_assert_eq!(bounds.contains(int), range.contains(Number::Int(int)), "{}", int);
            }
        }
    }
}
