//! The tree of a query.

use watchfire_model::record::ValueRef;

use super::field::Field;
use super::levels::LevelSet;
use super::number::{Number, NumberRange};
use super::pattern::Pattern;
use super::phrase::Phrase;
use super::tokens::{fold, folded_eq, folded_starts_with};

/// A query, ready to run. Two queries are equal if they mean the same node by node, wherever their text stood.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The whole of it.
    pub root: Node,
}

/// A part of a query.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands in the text; empty for what was built, not parsed.
    pub span: Span,
    /// What it asks.
    pub expr: Expr,
}

impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.expr == other.expr
    }
}

/// A stretch of the query's text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

/// What a part of a query asks of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// Every record.
    All,
    /// All of these; at least two.
    And(Vec<Node>),
    /// Any of these; at least two.
    Or(Vec<Node>),
    /// Not this: also records that have no such field.
    Not(Box<Node>),
    /// These words in a row in the message or in one text of `fields` (inside lists too; numbers are no texts).
    Text(Phrase),
    /// This expression in the message or in one text of `fields`.
    TextRegex(Pattern),
    /// A predicate on one field.
    Field(Field, Test),
}

/// What a field's value must be. Which tests stand with which field:
///
/// | field | tests |
/// |---|---|
/// | `level` | `Levels` |
/// | `timestamp`, `accepted_at`, `seq` | `Integers` |
/// | `message`; leaves of `fields`, `error_details`, `performance_metrics`, `insight` | all but `Levels`, `Integers` (`Whole` and `Prefix` only for values without a token) |
/// | the other own texts, `tags.x` | all but `Levels`, `Integers`, `Phrase` |
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// There is a value, not null, at the field or below it.
    Exists,
    /// The words stand in a row in it; numbers, true and false as [`Phrase::matches_value`] says.
    Phrase(Phrase),
    /// It is this, without regard to case.
    Whole(Folded),
    /// It starts with this, without regard to case.
    Prefix(Folded),
    /// It is a number, or a text that spells one, in this range.
    Numbers(NumberRange),
    /// The expression is found in its text.
    Regex(Pattern),
    /// The level is one of these.
    Levels(LevelSet),
    /// The time in milliseconds, or the `seq`, lies in `low..=high`.
    Integers {
        /// Smallest; `i64::MIN` if there is no bound.
        low: i64,
        /// Largest; `i64::MAX` if there is no bound.
        high: i64,
    },
}

/// A lower-cased text to compare whole values with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Folded(Box<str>);

impl Folded {
    /// Lower-cases a text.
    pub fn new(text: &str) -> Folded {
        Folded(fold(text).into())
    }

    /// The lower-cased text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Test {
    /// Whether a text of its own (message, service, id, a tag…) passes. False for level and time tests.
    pub fn matches_text(&self, text: &str) -> bool {
        match self {
            Test::Exists => true,
            Test::Phrase(phrase) => phrase.is_in(text),
            Test::Whole(whole) => folded_eq(text, &whole.0),
            Test::Prefix(prefix) => folded_starts_with(text, &prefix.0),
            Test::Numbers(range) => Number::from_text(text).is_some_and(|number| range.contains(number)),
            Test::Regex(pattern) => pattern.is_in(text),
            Test::Levels(_) | Test::Integers { .. } => false,
        }
    }

    /// Whether a value at the field itself passes: a list if any of its values does; an object inside a list only
    /// [`Test::Exists`]. Numbers, true and false have the text that [`scalar_text`] gives.
    pub fn matches_value(&self, value: ValueRef<'_>) -> bool {
        match (self, value) {
            (Test::Exists, value) => value != ValueRef::Null,
            (test, ValueRef::Text(text)) => test.matches_text(text),
            (test, ValueRef::Array(values)) => values.values().any(|value| test.matches_value(value)),
            (_, ValueRef::Null | ValueRef::Object(_)) => false,
            (Test::Phrase(phrase), value) => phrase.matches_value(value),
            (Test::Numbers(range), value) => Number::of_value(value).is_some_and(|number| range.contains(number)),
            (test, value) => scalar_text(value).is_some_and(|text| test.matches_text(&text)),
        }
    }
}

/// The text of a number, of true and false, to which prefixes and expressions are put: `500`, `12.5` (`5.0` is
/// `5`), `true`. `None` for every other value.
pub fn scalar_text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Int(int) => Some(int.to_string()),
        ValueRef::Float(float) => Some(Number::float(float).to_string()),
        ValueRef::Bool(bool) => Some(bool.to_string()),
        ValueRef::Null | ValueRef::Text(_) | ValueRef::Array(_) | ValueRef::Object(_) => None,
    }
}
