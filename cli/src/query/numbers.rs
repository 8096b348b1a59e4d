//! What answers of both kinds of metric queries have in common: labels and values.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

/// Labels of a series.
pub type Labels = BTreeMap<String, String>;

/// A value as it was sent, all digits kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Value(Box<RawValue>);

impl Value {
    /// As text, without the quotes that JSON puts around `NaN`.
    pub fn text(&self) -> &str {
        self.0.get().trim_matches('"')
    }

    /// As JSON.
    pub fn json(&self) -> &str {
        self.0.get()
    }

    /// As a number; not a number where it cannot be read.
    pub fn number(&self) -> f64 {
        match self.text() {
            "+Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            text => text.parse().unwrap_or(f64::NAN),
        }
    }
}

/// All label names of an answer, the metric's name first.
pub fn label_names<'a>(all: impl Iterator<Item = &'a Labels>) -> Vec<&'a str> {
    let names: BTreeSet<&str> = all.flat_map(|labels| labels.keys().map(String::as_str)).collect();
    // `__name__` sorts before lower-case letters, but not before all that a label may begin with.
    let (mut first, others): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|name| *name == "__name__");
    first.extend(others);
    first
}

/// The title of a label's column.
pub fn label_title(name: &str) -> &str {
    if name == "__name__" { "metric" } else { name }
}

/// A series as it is written in queries: `name{a="b"}`, `{}` without labels.
pub fn series_name(labels: &Labels) -> String {
    let name = labels.get("__name__").map_or("", String::as_str);
    let pairs: Vec<String> = labels
        .iter()
        .filter(|(name, _)| *name != "__name__")
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    if pairs.is_empty() && !name.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", pairs.join(", ")) }
}
