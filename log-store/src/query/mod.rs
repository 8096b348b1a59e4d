//! The search language: `level:error service:api "connection refused" duration_ms:>5000 -host:db1`.
//!
//! One language for every store; `docs/search.md` tells it to people. What a query means is [`matches()`], word for
//! word; a store may answer in any way that gives the same.
//!
//! Invariants:
//! - a query that is printed reads back as an equal query;
//! - nesting is at most [`DEPTH_MAX`] deep, so that whoever walks the tree may recurse;
//! - what comes as data (filters of an API) is never parsed.

mod ast;
mod display;
mod error;
mod field;
mod filters;
mod foreign;
mod levels;
mod matches;
mod number;
mod parse;
mod pattern;
mod phrase;
mod scan;
mod tokens;
mod value;

pub use ast::{Expr, Folded, Node, Query, Span, Test, scalar_text};
pub use error::QueryError;
pub use field::{Field, FieldName, Path, Relation};
pub use filters::FilterError;
pub use levels::LevelSet;
pub use matches::{column_matches, matches, text_in_value};
pub use number::{Number, NumberRange};
pub use parse::parse;
pub use pattern::Pattern;
pub use phrase::Phrase;
pub use tokens::{Token, Tokens, fold, folded, folded_eq, folded_starts_with, is_token_byte, is_token_char, tokens};

/// Longest query, bytes.
pub const QUERY_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of brackets and negations.
pub const DEPTH_MAX: usize = 100;
/// Most clauses (words, phrases, predicates) of a query.
pub const CLAUSES_MAX: usize = 1024;
/// Most words of a phrase.
pub const WORDS_MAX: usize = 1000;
/// Most regular expressions of a query.
pub const PATTERNS_MAX: usize = 32;

#[cfg(test)]
mod tests;
