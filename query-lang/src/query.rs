//! A parsed query: its text, its language, its tree.

use std::borrow::Cow;

use watchfire_model::Matcher;

use crate::ast::{Edges, Expr, Shift, ValueType};
use crate::error::{ParseError, ParseErrorKind};
use crate::parse::{Parsed, QueryTimes};

/// How a query is spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `p95 latency service=api over 5m`
    Short,
    /// `histogram_quantile(0.95, …)`
    PromQl,
}

/// A query that can be evaluated many times; `Send` and `Sync`.
///
/// Its `Display` is the query in its canonical spelling, which reads back as the same tree.
#[derive(Clone, Debug)]
pub struct Query {
    text: String,
    language: Language,
    root: Expr,
    /// Whether spans in it depend on the times of the evaluation; those in `root` are only stand-ins then.
    depends_on_times: bool,
}

impl Query {
    /// Whether an expression of a matcher takes up to megabytes of memory: such a query is not worth keeping.
    pub fn is_large(&self) -> bool {
        let mut is_large = false;
        self.root().for_each_selector(&mut |matchers| is_large |= matchers.iter().any(Matcher::is_large));
        is_large
    }

    /// Reads a text of either language (API.md, 4): it is the short form if its first word is one
    /// of the short form's functions and the next a metric name, otherwise PromQL.
    ///
    /// Errors: the place, what is wrong, and if known how to mend it.
    pub fn parse(text: &str) -> Result<Query, ParseError> {
        Query::read(text, None)
    }

    fn read(text: &str, times: Option<QueryTimes>) -> Result<Query, ParseError> {
        let Parsed { language, root, depends_on_times } = crate::parse::parse_text(text, times)?;
        Ok(Query { text: text.to_owned(), language, root, depends_on_times })
    }

    /// The query as it is at the times of an evaluation.
    ///
    /// Errors: a span is not positive or too long then.
    pub(crate) fn at_times(&self, times: QueryTimes) -> Result<Cow<'_, Query>, ParseError> {
        match self.depends_on_times {
            true => Ok(Cow::Owned(Query::read(&self.text, Some(times))?)),
            false => Ok(Cow::Borrowed(self)),
        }
    }

    /// Reads the matchers of a series selector, as `match[]` of Prometheus' API has them.
    ///
    /// Errors: as [`Query::parse`], and for every other query, and for shifted selectors.
    pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
        matchers(text, crate::parse::parse_text(text, None)?.root)
    }

    /// The same, of a selector that may be one that every series meets: `{}`, `{a=""}`.
    pub fn parse_selector_of_any(text: &str) -> Result<Vec<Matcher>, ParseError> {
        matchers(text, crate::parse::parse_selector_of_any(text)?)
    }

    /// The text as given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How it is spelt.
    pub fn language(&self) -> Language {
        self.language
    }

    /// The tree.
    pub fn root(&self) -> &Expr {
        &self.root
    }

    /// What it gives.
    pub fn value_type(&self) -> ValueType {
        self.root.value_type()
    }
}

/// The matchers of a selector that is neither shifted nor anything else.
fn matchers(text: &str, root: Expr) -> Result<Vec<Matcher>, ParseError> {
    let error = |message| ParseError::at(ParseErrorKind::Meaning, text, 0, message);
    match root {
        Expr::Vector(selector)
            if selector.shift == Shift::default()
                && selector.offset_expr.is_none()
                && selector.edges == Edges::Open =>
        {
            Ok(selector.matchers)
        }
        Expr::Vector(_) => Err(error("a selector of series takes neither `offset` nor `@`, `anchored` or `smoothed`")),
        _ => Err(error("only a selector of series stands here: `name{label=\"value\"}`")),
    }
}

/// Equal when they mean the same.
impl PartialEq for Query {
    fn eq(&self, other: &Query) -> bool {
        self.root == other.root
    }
}

impl std::fmt::Display for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.root.fmt(f)
    }
}
