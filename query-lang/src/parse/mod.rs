//! From text to tree: chooses the language, checks the limits, and hands over to the grammar.

mod check;
mod duration;
mod literal;
mod message;
mod promql;
mod scan;
mod short;

use pest::Parser;

use crate::ast::Expr;
use crate::error::{ParseError, ParseErrorKind};
use crate::query::Language;

/// The grammar and the parser that is made of it.
mod grammar {
    #![allow(missing_docs, reason = "the rules are documented in the grammar")]
    /// The generated parser.
    #[derive(pest_derive::Parser)]
    #[grammar = "grammar.pest"]
    pub(super) struct Grammar;
}

pub(crate) use duration::QueryTimes;
use grammar::{Grammar, Rule};
pub(crate) use scan::is_short_word;

type Pair<'t> = pest::iterators::Pair<'t, Rule>;
type Pairs<'t> = pest::iterators::Pairs<'t, Rule>;

/// Longest text of a query, bytes: what a form may have.
pub const TEXT_BYTES_MAX: usize = 10 << 20;
/// Most words of a query: names, numbers, strings and signs. Each takes some hundred bytes while the text is read, however
/// short it is.
pub const WORDS_MAX: usize = 200_000;
/// Deepest nesting of brackets.
pub const BRACKETS_MAX: usize = 100;
/// Deepest tree; chains of operators count too (`a + b + c` is 3 deep).
pub const DEPTH_MAX: usize = 500;

/// What a text says.
pub(crate) struct Parsed {
    pub language: Language,
    pub root: Expr,
    /// Whether spans in it depend on the times of the evaluation.
    pub depends_on_times: bool,
}

/// Reads a text, for an evaluation at certain times or for any.
pub(crate) fn parse_text(text: &str, times: Option<QueryTimes>) -> Result<Parsed, ParseError> {
    check_size(text)?;
    if scan::is_short_form(text) {
        let pairs = Grammar::parse(Rule::short_query, text).map_err(|error| message::explain(text, &error, true))?;
        let root = short::build(text, pairs)?;
        return Ok(Parsed { language: Language::Short, root, depends_on_times: false });
    }
    let (root, depends_on_times) = parse_promql(text, times, Conditions::Needed)?;
    Ok(Parsed { language: Language::PromQl, root, depends_on_times })
}

/// Reads a selector of PromQL, which may be one that every series meets.
pub(crate) fn parse_selector_of_any(text: &str) -> Result<Expr, ParseError> {
    check_size(text)?;
    Ok(parse_promql(text, None, Conditions::Free)?.0)
}

/// The tree of a text of PromQL, and whether spans in it depend on the times.
fn parse_promql(text: &str, times: Option<QueryTimes>, conditions: Conditions) -> Result<(Expr, bool), ParseError> {
    scan::check(text)?;
    let pairs = Grammar::parse(Rule::promql_query, text).map_err(|error| message::explain(text, &error, false))?;
    promql::build(text, pairs, times, conditions)
}

/// Whether a selector needs a condition that not every series meets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Conditions {
    Needed,
    Free,
}

fn check_size(text: &str) -> Result<(), ParseError> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("the query has {} bytes; at most {TEXT_BYTES_MAX} are read", text.len());
        return Err(ParseError::at(ParseErrorKind::Limit, text, 0, message));
    }
    if text.len() > WORDS_MAX
        && let Some(at) = scan::word_beyond(text, WORDS_MAX)
    {
        let message = format!("the query has more than {WORDS_MAX} names, numbers, strings and signs");
        return Err(ParseError::at(ParseErrorKind::Limit, text, at, message).with_hint("split it into recording rules"));
    }
    Ok(())
}

/// A part that the grammar always gives.
fn part<'t>(pairs: &mut Pairs<'t>) -> Pair<'t> {
    pairs.next().expect("the grammar gives this part")
}

/// An error at the start of a part.
fn meaning(text: &str, pair: &Pair<'_>, message: impl Into<String>) -> ParseError {
    ParseError::at(ParseErrorKind::Meaning, text, pair.as_span().start(), message)
}

/// A span of the tree.
fn span(pair: &Pair<'_>) -> crate::ast::Span {
    crate::ast::Span { start: pair.as_span().start(), end: pair.as_span().end() }
}
