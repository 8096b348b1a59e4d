//! What there is to say of histograms, in Prometheus' words.

use crate::ast::Span;
use crate::eval::context::{Context, Detail};
use crate::eval::notes::Weight;

/// What was done with histograms.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Doing {
    Addition,
    Subtraction,
    Aggregation,
}

impl Doing {
    fn as_str(self) -> &'static str {
        match self {
            Doing::Addition => "addition",
            Doing::Subtraction => "subtraction",
            Doing::Aggregation => "aggregation",
        }
    }
}

/// A note without its place.
#[derive(Clone)]
pub(crate) struct Note {
    weight: Weight,
    text: String,
    /// Whether only who asks for buckets is told.
    is_of_buckets: bool,
}

impl Note {
    fn warning(text: String) -> Note {
        Note { weight: Weight::Warning, text, is_of_buckets: false }
    }

    fn info(text: String) -> Note {
        Note { weight: Weight::Info, text, is_of_buckets: false }
    }
}

pub(crate) fn mixed_with_floats(metric: &str) -> Note {
    Note::warning(format!("encountered a mix of histograms and floats for metric name {metric:?}"))
}

pub(crate) fn mixed_in_aggregation() -> Note {
    Note::warning("encountered a mix of histograms and floats for aggregation".to_owned())
}

pub(crate) fn mixed_schemas(metric: &str) -> Note {
    let text = format!(
        "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {metric:?}"
    );
    Note::warning(text)
}

pub(crate) fn mixed_with_classic() -> Note {
    Note::warning("vector contains a mix of classic and native histograms".to_owned())
}

pub(crate) fn no_counter(metric: &str) -> Note {
    Note::warning(format!("this native histogram metric is not a counter: {metric:?}"))
}

pub(crate) fn no_gauge(metric: &str) -> Note {
    Note::warning(format!("this native histogram metric is not a gauge: {metric:?}"))
}

pub(crate) fn resets_collide(doing: Doing) -> Note {
    Note::warning(format!("conflicting counter resets during histogram {}", doing.as_str()))
}

pub(crate) fn bounds_reconciled(doing: Doing) -> Note {
    let text = format!("mismatched custom buckets were reconciled during {}", doing.as_str());
    Note { is_of_buckets: true, ..Note::info(text) }
}

pub(crate) fn incompatible_buckets(op: &str) -> Note {
    Note::warning(format!("incompatible bucket layout encountered for binary operator {op}"))
}

pub(crate) fn incompatible_types(left: &str, op: &str, right: &str) -> Note {
    let text = format!("incompatible sample types encountered for binary operator {op:?}: {left} {op} {right}");
    Note::info(text)
}

pub(crate) fn ignored_in_aggregation(op: &str) -> Note {
    Note::info(format!("ignored histogram in {op} aggregation"))
}

pub(crate) fn ignored_in_range(metric: &str) -> Note {
    let text =
        format!("ignored histograms in a range containing both floats and histograms for metric name {metric:?}");
    Note::info(text)
}

impl Context<'_> {
    /// Notes something about a part of the query.
    pub(crate) fn note(&self, note: Note, about: Span) {
        if self.detail == Detail::Counts && note.is_of_buckets {
            return;
        }
        self.guard.notes().note(note.weight, note.text, about);
    }
}
