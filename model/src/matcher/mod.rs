//! A condition on one label.

mod alternatives;
mod budget;

use std::sync::Arc;

use regex::Regex;

use crate::{LabelSet, re2};
use alternatives::Alternatives;
pub use budget::MatcherBudget;

/// How a label's value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

impl MatchOp {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        }
    }

    /// By whether the value is a regular expression, and whether what matches is meant.
    pub const fn of(is_regex: bool, is_equal: bool) -> MatchOp {
        match (is_regex, is_equal) {
            (false, true) => MatchOp::Equal,
            (false, false) => MatchOp::NotEqual,
            (true, true) => MatchOp::Regex,
            (true, false) => MatchOp::NotRegex,
        }
    }

    /// Whether the value is a regular expression.
    pub const fn is_regex(self) -> bool {
        matches!(self, MatchOp::Regex | MatchOp::NotRegex)
    }

    /// Whether what matches is meant, and not what does not.
    pub const fn is_equal(self) -> bool {
        matches!(self, MatchOp::Equal | MatchOp::Regex)
    }

    /// Takes `name="value"`, `name!=value`, `name=~"expression"` or `name!~expression` apart; the value may stand in quotes.
    /// `None` if it is none of these.
    pub fn split(text: &str) -> Option<(&str, MatchOp, &str)> {
        let (name, rest) = text.split_at(text.find(['=', '!'])?);
        let ops = [MatchOp::Regex, MatchOp::NotRegex, MatchOp::NotEqual, MatchOp::Equal];
        let (op, value) = ops.into_iter().find_map(|op| Some((op, rest.strip_prefix(op.as_str())?)))?;
        let (name, value) = (name.trim(), value.trim());
        let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
        (!name.is_empty()).then_some((name, op, value))
    }
}

/// Why a matcher cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` {reason}")]
pub struct MatcherError {
    /// The text given.
    pub pattern: String,
    /// What is wrong with it, on one line.
    pub reason: String,
}

/// Largest compiled size of a matcher's regular expression, bytes.
const REGEX_BYTES_MAX: usize = 10 << 20;
/// Usual expressions are smaller.
const REGEX_BYTES_USUAL: usize = 64 << 10;

/// A regular expression, as it is tried.
#[derive(Clone, Debug)]
enum Compiled {
    Regex { regex: Regex, is_large: bool },
    Alternatives(Arc<Alternatives>),
}

impl Compiled {
    fn new(expression: &str) -> Result<Compiled, MatcherError> {
        if let Some(alternatives) = Alternatives::of(expression) {
            return Ok(Compiled::Alternatives(Arc::new(alternatives)));
        }
        let refused = |reason| MatcherError { pattern: expression.to_owned(), reason };
        let not_one = |why: &str| refused(format!("is not a regular expression: {why}"));
        let anchored = re2::anchored(expression).map_err(|why| not_one(&why))?;
        let build = |bytes_max| regex::RegexBuilder::new(&anchored).size_limit(bytes_max).build();
        let (built, is_large) = match build(REGEX_BYTES_USUAL) {
            Err(regex::Error::CompiledTooBig(_)) => (build(REGEX_BYTES_MAX), true),
            built => (built, false),
        };
        built.map(|regex| Compiled::Regex { regex, is_large }).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                refused("is too large an expression: compiled it takes more than 10 MiB".to_owned())
            }
            error => not_one(&re2::reason(&error)),
        })
    }

    fn matches(&self, value: &str) -> bool {
        match self {
            Compiled::Regex { regex, .. } => regex.is_match(value),
            Compiled::Alternatives(alternatives) => alternatives.matches(value),
        }
    }
}

/// A condition on one label; a missing label counts as the empty value.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    compiled: Option<Compiled>,
}

impl Matcher {
    /// Compiles the regular expression of `=~` and `!~`, anchored at both ends (RE2 syntax).
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Result<Matcher, MatcherError> {
        let value = value.into();
        let compiled = if op.is_regex() { Some(Compiled::new(&value)?) } else { None };
        Ok(Matcher { name: name.into(), op, value, compiled })
    }

    /// `name = value`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Matcher {
        Matcher { name: name.into(), op: MatchOp::Equal, value: value.into(), compiled: None }
    }

    /// The label's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The comparison.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The value or pattern as given.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The expression of `=~` and `!~` as the `regex` package reads it, without anchors, to be read with `.` for all
    /// characters. `None` for other comparisons.
    pub fn expression(&self) -> Option<String> {
        // It was translated when the matcher was made, so this does not fail.
        self.op.is_regex().then(|| re2::translated(&self.value).ok()).flatten()
    }

    /// Whether a value (`""` for a missing label) satisfies the condition.
    pub fn matches(&self, value: &str) -> bool {
        let is_it = self.compiled.as_ref().map_or_else(|| self.value == value, |compiled| compiled.matches(value));
        is_it == self.op.is_equal()
    }

    /// Whether its expression takes up to megabytes of memory.
    pub fn is_large(&self) -> bool {
        matches!(self.compiled, Some(Compiled::Regex { is_large: true, .. }))
    }

    /// How many texts, or beginnings of texts, stand beside each other in the expression if it is nothing else.
    pub fn alternatives(&self) -> usize {
        self.row().map_or(0, Alternatives::len)
    }

    /// All values that satisfy the expression, sorted, if it is a row of texts.
    pub fn texts(&self) -> Option<Vec<&str>> {
        let mut texts: Vec<&str> = self.row()?.texts()?.collect();
        texts.sort_unstable();
        Some(texts)
    }

    fn row(&self) -> Option<&Alternatives> {
        match &self.compiled {
            Some(Compiled::Alternatives(alternatives)) => Some(alternatives),
            Some(Compiled::Regex { .. }) | None => None,
        }
    }

    /// Whether a series satisfies the condition.
    pub fn matches_labels(&self, labels: &LabelSet) -> bool {
        self.matches(labels.get(&self.name).unwrap_or(""))
    }

    /// Whether series without the label satisfy the condition.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }
}

/// Equal when written the same.
impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}
impl Eq for Matcher {}

/// `name="value"`, as PromQL writes it.
impl std::fmt::Display for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op.as_str(), self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regexes_are_anchored_and_missing_is_empty() {
        let matcher = Matcher::new("a", MatchOp::Regex, "x|y.*").expect("valid");
        assert!(matcher.matches("x") && matcher.matches("yes"));
        assert!(!matcher.matches("xx") && !matcher.matches(""));
        let not = Matcher::new("a", MatchOp::NotRegex, "x").expect("valid");
        assert!(not.matches_labels(&LabelSet::empty()) && not.matches_empty());
        assert!(Matcher::new("a", MatchOp::Regex, "(").is_err());
        let exploding =
            Matcher::new("a", MatchOp::Regex, r"(\pL{1000}){1}\pL{1000}").expect_err("too large").to_string();
        assert!(exploding.ends_with("compiled it takes more than 10 MiB"), "{exploding}");
        let large = |value| Matcher::new("a", MatchOp::Regex, value).expect("valid").is_large();
        assert!(large(r"\p{L}{1,50}") && !large(r"[a-z]+-\d+.*"));
        let many: Vec<String> = (0..20_000).map(|number| format!("pod-{number}\\.x")).collect();
        let many = Matcher::new("a", MatchOp::NotRegex, many.join("|")).expect("valid");
        assert_eq!((many.alternatives(), many.texts().map(|texts| texts.len())), (20_000, Some(20_000)));
        assert!(!many.matches("pod-19999.x") && many.matches("pod-19999-x"));
    }
}
