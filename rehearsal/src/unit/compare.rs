//! What is expected beside what was got, as a difference: `-` is missing, `+` was not expected.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchfire_model::{Histogram, LabelSet, ResetHint};
use watchfire_query_lang::PointValue;
use watchfire_query_lang::series::print_histogram;

use super::file::AlertTexts;

const MISSING: &str = "-";
const TOO_MUCH: &str = "+";
const SAME: &str = " ";

/// The difference of two lists without regard to their order, a line per member; none if they are the same.
fn differ<T>(
    expected: &[T],
    mut got: Vec<T>,
    same: impl Fn(&T, &T) -> bool,
    show: impl Fn(&T) -> String,
) -> Option<String> {
    let mut lines = Vec::new();
    let mut has_missing = false;
    for wanted in expected {
        match got.iter().position(|one| same(wanted, one)) {
            Some(at) => lines.push((SAME, show(&got.swap_remove(at)))),
            None => {
                has_missing = true;
                lines.push((MISSING, show(wanted)));
            }
        }
    }
    if !has_missing && got.is_empty() {
        return None;
    }
    lines.extend(got.iter().map(|one| (TOO_MUCH, show(one))));
    if expected.is_empty() {
        lines.insert(0, (MISSING, "nothing".to_owned()));
    } else if lines.iter().all(|(mark, _)| *mark == MISSING) {
        lines.push((TOO_MUCH, "nothing".to_owned()));
    }
    // Members that differ in one thing stand together.
    lines.sort_by(|(left_mark, left), (right_mark, right)| {
        let place = |mark: &str| [SAME, MISSING, TOO_MUCH].iter().position(|one| *one == mark);
        (place(left_mark), left).cmp(&(place(right_mark), right))
    });
    let line = |(mark, text): &(&str, String)| {
        text.lines().map(|line| format!("    {mark} {line}")).collect::<Vec<_>>().join("\n")
    };
    Some(lines.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// How the alerts differ, if they do.
pub(super) fn alerts_differ(expected: &[AlertTexts], got: Vec<AlertTexts>) -> Option<String> {
    differ(
        expected,
        got,
        |wanted, one| wanted == one,
        |alert| {
            let labels = texts(&alert.labels, ", ", "=");
            let annotations = texts(&alert.annotations, "\n    ", ": ");
            let separator = if annotations.is_empty() { "" } else { "\n    " };
            format!("{{{labels}}}{separator}{annotations}")
        },
    )
}

fn texts(texts: &BTreeMap<String, String>, between: &str, is: &str) -> String {
    texts.iter().map(|(name, text)| format!("{name}{is}{text:?}")).collect::<Vec<_>>().join(between)
}

/// How the values of a query differ, if they do.
pub(super) fn samples_differ(
    expected: &[(LabelSet, PointValue)],
    got: Vec<(LabelSet, PointValue)>,
    is_fuzzy: bool,
) -> Option<String> {
    let same = |(labels, value): &(LabelSet, PointValue), (other_labels, other): &(LabelSet, PointValue)| {
        labels == other_labels && is_same(value, other, is_fuzzy)
    };
    differ(expected, got, same, |(labels, value)| match value {
        PointValue::Float(value) => format!("{labels} {value}"),
        PointValue::Histogram(histogram) => format!("{labels} {}", print_histogram(histogram)),
    })
}

/// Whether two values are the same. NaN is as expected where NaN is expected; of whether a histogram began anew, only that
/// it is no counter counts.
fn is_same(left: &PointValue, right: &PointValue, is_fuzzy: bool) -> bool {
    match (left, right) {
        (PointValue::Float(left), PointValue::Float(right)) => {
            left == right
                || (left.is_nan() && right.is_nan())
                || (is_fuzzy && (left.next_up() == *right || left.next_down() == *right))
        }
        (PointValue::Histogram(left), PointValue::Histogram(right)) => {
            let is_gauge = |histogram: &Arc<Histogram>| histogram.hint() == ResetHint::Gauge;
            left.equals(right) && is_gauge(left) == is_gauge(right)
        }
        (PointValue::Float(_), PointValue::Histogram(_)) | (PointValue::Histogram(_), PointValue::Float(_)) => false,
    }
}
