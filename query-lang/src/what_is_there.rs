//! Which series, names and values are there? Answered by the local engine.

use std::collections::BTreeSet;

use watchfire_engine::{Engine, TimeRange};
use watchfire_model::{LabelSet, Matcher};

use crate::eval::EvalError;

/// The label sets of all series that one of the selectors finds, each once, sorted.
pub(crate) fn series(
    engine: &Engine,
    selectors: &[Vec<Matcher>],
    range: Option<TimeRange>,
) -> Result<Vec<LabelSet>, EvalError> {
    let mut all = Vec::new();
    for matchers in selectors {
        let views = engine.select(matchers, range.unwrap_or(TimeRange::ALWAYS));
        let views = views.map_err(|error| EvalError::Parameter { reason: error.to_string() })?;
        all.extend(views.iter().map(|view| view.labels().clone()));
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// The names of labels.
pub(crate) fn label_names(engine: &Engine, selectors: &[Vec<Matcher>], range: Option<TimeRange>) -> Vec<String> {
    texts(selectors, |matchers| engine.label_names(matchers, range.unwrap_or(TimeRange::ALWAYS)))
}

/// The values of a label.
pub(crate) fn label_values(
    engine: &Engine,
    name: &str,
    selectors: &[Vec<Matcher>],
    range: Option<TimeRange>,
) -> Vec<String> {
    texts(selectors, |matchers| engine.label_values(name, matchers, range.unwrap_or(TimeRange::ALWAYS)))
}

/// Names or values of what the selectors find, or of everything without one, each once, sorted.
fn texts(selectors: &[Vec<Matcher>], of_one: impl Fn(&[Matcher]) -> Vec<String>) -> Vec<String> {
    match selectors {
        [] => of_one(&[]),
        [matchers] => of_one(matchers),
        selectors => {
            let all: BTreeSet<String> = selectors.iter().flat_map(|matchers| of_one(matchers)).collect();
            all.into_iter().collect()
        }
    }
}
