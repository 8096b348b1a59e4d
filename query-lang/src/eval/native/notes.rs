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
pub(crate) type Note = (Weight, String);

pub(crate) fn mixed_with_floats(metric: &str) -> Note {
    (Weight::Warning, format!("encountered a mix of histograms and floats for metric name {metric:?}"))
}

pub(crate) fn mixed_in_aggregation() -> Note {
    (Weight::Warning, "encountered a mix of histograms and floats for aggregation".to_owned())
}

pub(crate) fn mixed_schemas(metric: &str) -> Note {
    let text = format!(
        "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {metric:?}"
    );
    (Weight::Warning, text)
}

pub(crate) fn mixed_with_classic() -> Note {
    (Weight::Warning, "vector contains a mix of classic and native histograms".to_owned())
}

pub(crate) fn no_counter(metric: &str) -> Note {
    (Weight::Warning, format!("this native histogram metric is not a counter: {metric:?}"))
}

pub(crate) fn no_gauge(metric: &str) -> Note {
    (Weight::Warning, format!("this native histogram metric is not a gauge: {metric:?}"))
}

pub(crate) fn resets_collide(doing: Doing) -> Note {
    (Weight::Warning, format!("conflicting counter resets during histogram {}", doing.as_str()))
}

/// What a note of bounds that differ begins with.
const RECONCILED: &str = "mismatched custom buckets were reconciled during";

pub(crate) fn bounds_reconciled(doing: Doing) -> Note {
    (Weight::Info, format!("{RECONCILED} {}", doing.as_str()))
}

pub(crate) fn incompatible_buckets(op: &str) -> Note {
    (Weight::Warning, format!("incompatible bucket layout encountered for binary operator {op}"))
}

pub(crate) fn incompatible_types(left: &str, op: &str, right: &str) -> Note {
    let text = format!("incompatible sample types encountered for binary operator {op:?}: {left} {op} {right}");
    (Weight::Info, text)
}

pub(crate) fn ignored_in_aggregation(op: &str) -> Note {
    (Weight::Info, format!("ignored histogram in {op} aggregation"))
}

pub(crate) fn ignored_in_range(metric: &str) -> Note {
    let text =
        format!("ignored histograms in a range containing both floats and histograms for metric name {metric:?}");
    (Weight::Info, text)
}

impl Context<'_> {
    /// Notes something about a part of the query.
    pub(crate) fn note(&self, (weight, text): Note, about: Span) {
        if self.detail == Detail::Counts && text.starts_with(RECONCILED) {
            return;
        }
        self.guard.notes().note(weight, text, about);
    }
}
