//! Values over the step grid: a column per series.

use hashbrown::HashMap;
use watchfire_model::LabelSet;
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::sample::{STALE_NAN_BITS, is_stale};

use super::limits::EvalError;

/// Stands in a column where the series has no value: the staleness marker, which selectors never let through.
pub(crate) const ABSENT: f64 = f64::from_bits(STALE_NAN_BITS);

/// Whether a column has no value there.
pub(crate) fn is_absent(value: f64) -> bool {
    is_stale(value)
}

/// A series of a result: a value, or [`ABSENT`], for every step.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub labels: LabelSet,
    pub values: Vec<f64>,
}

impl Column {
    /// What it takes in memory, about.
    pub fn bytes(steps: usize) -> usize {
        std::mem::size_of::<Column>() + steps * 8
    }

    pub fn has_values(&self) -> bool {
        self.values.iter().any(|value| !is_absent(*value))
    }
}

/// What an expression gave: an entry per step.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Vec<f64>),
    Vector(Vec<Column>),
    /// Functions read texts from the tree.
    Text,
}

/// Labels that describe a metric and do not outlive a change of its values.
pub(crate) fn describes_metric(name: &str) -> bool {
    matches!(name, METRIC_NAME | "__type__" | "__unit__")
}

/// The labels without the metric's name.
pub(crate) fn without_name(labels: &LabelSet) -> LabelSet {
    if labels.iter().any(|(name, _)| describes_metric(name)) {
        labels.retain(|name| !describes_metric(name))
    } else {
        labels.clone()
    }
}

/// A place for each distinct label set, in the order of first sight.
#[derive(Default)]
pub(crate) struct Places {
    places: HashMap<LabelSet, usize, foldhash::fast::RandomState>,
}

impl Places {
    /// The place of a label set and whether it is new.
    pub fn place(&mut self, labels: &LabelSet) -> (usize, bool) {
        let next = self.places.len();
        if let Some(at) = self.places.get(labels) {
            return (*at, false);
        }
        self.places.insert(labels.clone(), next);
        (next, true)
    }
}

const SAME_LABELS: &str = "several series of the result have the same labels";

/// Joins columns with the same labels; an error where two of them have a value at the same step.
pub(crate) fn join_same_labels(columns: Vec<Column>) -> Result<Vec<Column>, EvalError> {
    join_or(columns, SAME_LABELS)
}

/// [`join_same_labels`] with a reason of its own.
pub(crate) fn join_or(columns: Vec<Column>, reason: &'static str) -> Result<Vec<Column>, EvalError> {
    if columns.len() < 2 {
        return Ok(columns);
    }
    let mut places = Places::default();
    let mut out: Vec<Column> = Vec::with_capacity(columns.len());
    for column in columns {
        let (place, is_new) = places.place(&column.labels);
        if is_new {
            out.push(column);
            continue;
        }
        for (have, value) in out[place].values.iter_mut().zip(&column.values) {
            if is_absent(*value) {
                continue;
            }
            if !is_absent(*have) {
                return Err(EvalError::Labels { reason, labels: column.labels });
            }
            *have = *value;
        }
    }
    Ok(out)
}

/// An error if two columns have the same labels, whatever their values.
pub(crate) fn refuse_same_labels(columns: &[Column]) -> Result<(), EvalError> {
    if columns.len() < 2 {
        return Ok(());
    }
    let mut places = Places::default();
    match columns.iter().find(|column| !places.place(&column.labels).1) {
        Some(column) => Err(EvalError::Labels { reason: SAME_LABELS, labels: column.labels.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(label: &str, values: &[f64]) -> Column {
        let labels = LabelSet::from_pairs([("a", label)]).expect("valid");
        Column { labels, values: values.to_vec() }
    }

    #[test]
    fn columns_join_where_they_do_not_overlap() {
        let joined =
            join_same_labels(vec![column("x", &[1.0, ABSENT]), column("y", &[5.0, 5.0]), column("x", &[ABSENT, 2.0])])
                .expect("no overlap");
        assert_eq!(joined.iter().map(|column| column.values.clone()).collect::<Vec<_>>(), [[1.0, 2.0], [5.0, 5.0]]);
        assert!(join_same_labels(vec![column("x", &[1.0]), column("x", &[1.0])]).is_err());
        assert!(refuse_same_labels(&[column("x", &[1.0]), column("x", &[ABSENT])]).is_err());
    }

    #[test]
    fn ordinary_nans_are_values() {
        assert!(is_absent(ABSENT) && !is_absent(f64::NAN) && !is_absent(ABSENT + 1.0));
    }
}
