//! From a parsed template and the facts to a text.

use std::borrow::Cow;

use watchfire_model::LabelSet;
use watchfire_query_lang::histogram_text;

use super::functions::call;
use super::go_format::shortest;
use super::{Expr, Facts, Piece};

/// Why an expansion failed, in words for the reader of the alert.
pub(super) type Result<T> = std::result::Result<T, String>;

/// Longest expanded text, bytes.
const EXPANDED_MAX: usize = 256 << 10;

/// A value inside a template.
#[derive(Clone, Debug)]
pub(super) enum Out<'a> {
    Float(f64),
    Int(i64),
    Bool(bool),
    Text(Cow<'a, str>),
    Labels(&'a LabelSet),
}

impl Out<'_> {
    pub(super) fn text<'a>(text: String) -> Out<'a> {
        Out::Text(Cow::Owned(text))
    }

    /// As Go's `%v`.
    pub(super) fn print(&self) -> String {
        match self {
            Out::Float(value) => shortest(*value),
            Out::Int(value) => value.to_string(),
            Out::Bool(value) => value.to_string(),
            Out::Text(text) => text.to_string(),
            Out::Labels(labels) => {
                let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}:{value}")).collect();
                format!("map[{}]", pairs.join(" "))
            }
        }
    }

    /// The name of Go's type.
    pub(super) fn go_type(&self) -> &'static str {
        match self {
            Out::Float(_) => "float64",
            Out::Int(_) => "int",
            Out::Bool(_) => "bool",
            Out::Text(_) => "string",
            Out::Labels(_) => "map[string]string",
        }
    }

    /// Not zero and not empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Out::Float(value) => *value != 0.0,
            Out::Int(value) => *value != 0,
            Out::Bool(value) => *value,
            Out::Text(text) => !text.is_empty(),
            Out::Labels(labels) => !labels.is_empty(),
        }
    }
}

pub(super) fn expand(pieces: &[Piece], facts: Facts<'_>) -> Result<String> {
    let mut out = String::new();
    append(pieces, facts, &mut out)?;
    Ok(out)
}

fn append(pieces: &[Piece], facts: Facts<'_>, out: &mut String) -> Result<()> {
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Action(expr) => match value(expr, facts)? {
                Out::Text(text) => out.push_str(&text),
                other => out.push_str(&other.print()),
            },
            Piece::If { branches, otherwise } => {
                let mut chosen = otherwise;
                for (condition, body) in branches {
                    if value(condition, facts)?.is_true() {
                        chosen = body;
                        break;
                    }
                }
                append(chosen, facts, out)?;
            }
        }
        if out.len() > EXPANDED_MAX {
            return Err(format!("the text grows above {EXPANDED_MAX} bytes"));
        }
    }
    Ok(())
}

fn value<'a>(expr: &'a Expr, facts: Facts<'a>) -> Result<Out<'a>> {
    Ok(match expr {
        Expr::Value => match facts.histogram {
            Some(histogram) => Out::text(histogram_text(histogram)),
            None => Out::Float(facts.value),
        },
        Expr::Labels => Out::Labels(facts.labels),
        // As in Prometheus, a label that is not there is the empty text.
        Expr::Label(name) => Out::Text(Cow::Borrowed(facts.labels.get(name).unwrap_or_default())),
        Expr::ExternalLabels => Out::Labels(&facts.external.labels),
        Expr::ExternalLabel(name) => Out::Text(Cow::Borrowed(facts.external.labels.get(name).unwrap_or_default())),
        Expr::ExternalUrl => Out::Text(Cow::Borrowed(&facts.external.url)),
        Expr::Text(text) => Out::Text(Cow::Borrowed(text)),
        Expr::Float(number) => Out::Float(*number),
        Expr::Int(number) => Out::Int(*number),
        Expr::Bool(truth) => Out::Bool(*truth),
        Expr::Call { function, arguments, pattern } => {
            let arguments = arguments.iter().map(|argument| value(argument, facts)).collect::<Result<_>>()?;
            call(*function, arguments, pattern.as_ref())?
        }
    })
}
