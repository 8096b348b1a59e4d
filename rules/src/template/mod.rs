//! The templates of rule labels and annotations: `{{ $value | humanize }} on {{ $labels.service }}`.
//!
//! The subset of Go's text/template that rules use, with Prometheus' functions and Go's way to print
//! values. Everything is checked when the rules are loaded: a template that parses can fail at
//! expansion only by the type of a value, and then the text says so instead of being missing.

mod expand;
mod functions;
mod go_format;
mod parse;

use functions::Function;
use watchfire_model::{Histogram, LabelSet};

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TemplateError {
    /// Byte offset into the template.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
    /// How to mend it; may be empty.
    pub hint: String,
}

/// A parsed template and its source.
#[derive(Clone, Debug)]
pub struct Template {
    source: String,
    pieces: Vec<Piece>,
}

/// What a template sees.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// `$labels`: the labels of the query's result, without the metric's name.
    pub labels: &'a LabelSet,
    /// `$value`: the query's value.
    pub value: f64,
    /// The native histogram that it is, which `$value` shows then.
    pub histogram: Option<&'a Histogram>,
    /// `$externalLabels`, `$externalURL`: what does not depend on the result.
    pub external: &'a External,
}

/// How this server is called outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct External {
    /// The labels that all that leaves it carries (`global.external_labels`).
    pub labels: LabelSet,
    /// Where people reach it; may be empty.
    pub url: String,
}

/// The functions that templates know.
pub fn functions() -> impl Iterator<Item = &'static str> {
    functions::FUNCTIONS.iter().map(|(name, ..)| *name)
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Action(Expr),
    /// The first branch whose condition is true, else `otherwise`.
    If {
        branches: Vec<(Expr, Vec<Piece>)>,
        otherwise: Vec<Piece>,
    },
}

#[derive(Clone, Debug)]
enum Expr {
    Value,
    Labels,
    Label(String),
    ExternalLabels,
    ExternalLabel(String),
    ExternalUrl,
    Text(String),
    Float(f64),
    Int(i64),
    Bool(bool),
    Call {
        function: Function,
        arguments: Vec<Expr>,
        /// The first argument compiled, where it is a pattern written out.
        pattern: Option<regex::Regex>,
    },
}

impl Template {
    /// Parses and checks a template.
    pub(crate) fn parse(source: &str) -> Result<Template, TemplateError> {
        Ok(Template { source: source.to_owned(), pieces: parse::parse(source)? })
    }

    /// The template as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text, if no fact has a part in it.
    pub(crate) fn constant(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text for these facts. A failure is told in the text: `<error expanding template: …>`.
    pub fn expand(&self, facts: Facts<'_>) -> String {
        expand::expand(&self.pieces, facts).unwrap_or_else(|reason| format!("<error expanding template: {reason}>"))
    }
}

/// Templates are the same when they are written the same.
impl PartialEq for Template {
    fn eq(&self, other: &Template) -> bool {
        self.source == other.source
    }
}

#[cfg(test)]
mod tests;
