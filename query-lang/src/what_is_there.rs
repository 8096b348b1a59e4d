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
pub(crate) fn label_names(
    engine: &Engine,
    selectors: &[Vec<Matcher>],
    range: Option<TimeRange>,
) -> Result<Vec<String>, EvalError> {
    let of_series = |labels: &LabelSet, names: &mut BTreeSet<String>| {
        for (name, _) in labels.iter().filter(|(name, _)| !names.contains(*name)).collect::<Vec<_>>() {
            names.insert(name.to_owned());
        }
    };
    texts(engine, selectors, range, |matchers| engine.label_names(matchers), of_series)
}

/// The values of a label.
pub(crate) fn label_values(
    engine: &Engine,
    name: &str,
    selectors: &[Vec<Matcher>],
    range: Option<TimeRange>,
) -> Result<Vec<String>, EvalError> {
    let of_series = |labels: &LabelSet, values: &mut BTreeSet<String>| {
        if let Some(value) = labels.get(name).filter(|value| !values.contains(*value)) {
            values.insert(value.to_owned());
        }
    };
    texts(engine, selectors, range, |matchers| engine.label_values(name, matchers), of_series)
}

/// Names or values, sorted: of the index; of the series themselves where both selectors and times are given.
fn texts(
    engine: &Engine,
    selectors: &[Vec<Matcher>],
    range: Option<TimeRange>,
    of_index: impl Fn(&[Matcher]) -> Vec<String>,
    of_series: impl Fn(&LabelSet, &mut BTreeSet<String>),
) -> Result<Vec<String>, EvalError> {
    Ok(match (selectors, range) {
        ([], _) => of_index(&[]),
        ([matchers], None) => of_index(matchers),
        (selectors, None) => {
            let all: BTreeSet<String> = selectors.iter().flat_map(|matchers| of_index(matchers)).collect();
            all.into_iter().collect()
        }
        (selectors, Some(range)) => {
            let mut all = BTreeSet::new();
            series(engine, selectors, Some(range))?.iter().for_each(|labels| of_series(labels, &mut all));
            all.into_iter().collect()
        }
    })
}
