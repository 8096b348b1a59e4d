//! Whether two answers are the same.

use std::collections::BTreeMap;

use watchfire_query_lang::ast::{AggregateOp, Expr};
use watchfire_query_lang::parse;

use crate::sides::{Got, Point, Rows};

/// Values that differ by less than this share are taken as equal: logarithms, powers and the like are rounded
/// differently by the libraries of Go and Rust in the last place, and what is computed from them differs accordingly.
const SHARE: f64 = 1e-12;

/// The first difference. Notes are compared only with the newest version.
pub fn compare(query: &str, have: &Got, want: &Got, with_notes: bool) -> Result<(), String> {
    match (have, want) {
        (Got::Text(have), Got::Text(want)) if have == want => Ok(()),
        (Got::BadQuery(_), Got::BadQuery(_)) | (Got::Failed(_), Got::Failed(_)) => Ok(()),
        (Got::Value(kind, have, notes, counts), Got::Value(wanted_kind, want, wanted_notes, wanted_counts))
            if kind == wanted_kind =>
        {
            if let Err(difference) = rows(query, have, want) {
                // Over a range it looks at series in any order, so that any of equal values can be the largest.
                let chooses = query.contains("topk") || query.contains("bottomk");
                let has_no_order = kind == "matrix" || query.contains("count_values");
                // So it does with those of `or`, of which it takes the first.
                let takes_any = query.contains("limitk") && query.contains(" or ") && kind == "matrix";
                let counts = |rows: &Rows| -> Vec<(i64, usize)> {
                    by_time(rows).into_iter().map(|(at, values)| (at, values.len())).collect()
                };
                if takes_any && counts(have) == counts(want) {
                    return Ok(());
                }
                if !(chooses && has_no_order && (is_chosen_inside(query) || by_time(have) == by_time(want))) {
                    return Err(difference);
                }
            }
            if kind == "vector" && is_sorted(query) {
                order(have, want)?;
            }
            let sorted = |notes: &[String]| {
                let is_range = kind == "matrix";
                let defined = notes.iter().filter(|note| is_defined(query, note, is_range));
                let mut notes: Vec<String> = defined.map(|note| defined_part(query, note, is_range)).collect();
                notes.sort();
                notes.dedup();
                notes
            };
            if with_notes && sorted(notes) != sorted(wanted_notes) {
                return Err(format!("notes {notes:?}, not {wanted_notes:?}"));
            }
            if with_notes && counts != wanted_counts {
                return Err(format!("samples {counts:?}, not {wanted_counts:?}"));
            }
            Ok(())
        }
        _ => Err(format!("{}, not {}", brief(have), brief(want))),
    }
}

/// Whether the query itself is an order by values.
fn is_sorted(query: &str) -> bool {
    let root = parse(query).ok();
    let call = root.as_ref().and_then(|query| match query.root() {
        Expr::Call(call) => Some(call.function.name),
        _ => None,
    });
    matches!(call, Some("sort" | "sort_desc"))
}

/// Whether a note is always told: where Prometheus decodes counts and sums only, it knows of resets between the steps, not
/// of those between the samples; and of the notes of an operator at a step it tells the last, and of a mixed
/// group what it met before the first float, over a range in any order.
fn is_defined(query: &str, note: &str, is_range: bool) -> bool {
    let is_shallow = ["histogram_avg", "histogram_count", "histogram_sum"].iter().any(|word| query.contains(word));
    !(is_shallow && note.contains("conflicting counter resets"))
        && !(is_range && (note.contains("for binary operator") || note.contains("reconciled during aggregation")))
}

/// A note without what is not defined: Prometheus counts the histograms that it mended twice for each that follows, looks
/// at those under `@` once or at each step, and of metrics that `or` puts together but that do not go together it tells over a
/// range those that it came upon last, in any order.
fn defined_part(query: &str, note: &str, is_range: bool) -> String {
    let mut note = match (note.find(", over "), note.rfind(" (")) {
        (Some(start), Some(end)) if start < end => format!("{}{}", &note[..start], &note[end..]),
        _ => note.to_owned(),
    };
    if let (true, Some(start), Some(end)) =
        (is_range && query.contains(" or "), note.find(" buckets schemas for metric name"), note.rfind(" ("))
    {
        note.replace_range(start..end, "");
    }
    if let Some(place) = note.rfind(" (").filter(|_| note.contains("for binary operator")) {
        note.truncate(place);
    }
    note
}

fn brief(got: &Got) -> String {
    let text = got.to_string();
    text.chars().take(400).collect()
}

/// Whether more is made of what was chosen.
fn is_chosen_inside(query: &str) -> bool {
    let root = parse(query).ok();
    !matches!(root.as_ref().map(|query| query.root().without_parens()), Some(Expr::Aggregate(node))
        if matches!(node.op, AggregateOp::TopK | AggregateOp::BottomK))
}

/// The values of each time, whose ever they are, to twelve digits.
fn by_time(rows: &Rows) -> BTreeMap<i64, Vec<String>> {
    let mut all: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (at, value) in rows.iter().flat_map(|(_, points)| points) {
        all.entry(*at).or_default().push(format!("{:.11e}", value.number()));
    }
    all.values_mut().for_each(|values| values.sort());
    all
}

/// How far values may differ: what is squared, or is the rest of a division, loses the digits that numbers have in
/// common or that a library has rounded.
fn share(query: &str) -> f64 {
    let has = |words: &[&str]| words.iter().any(|word| query.contains(word));
    let deviates = has(&["stddev", "stdvar"]);
    let is_periodic = has(&["%", "sin(", "cos(", "tan("]);
    let is_tiny = has(&["exp("]) && has(&["ln(", "log2(", "log10("]);
    if is_tiny
        || (deviates && has(&["ts_of", "time", "predict_linear"]))
        || (is_periodic && has(&["^", "cosh(", "sinh(", "exp("]))
    {
        // Powers near 0 have few digits; of times nearly all digits are in common; a power may be any number of divisors or turns away.
        f64::INFINITY
    } else if deviates {
        1e-6
    } else if has(&["%"]) {
        1e-9
    } else {
        SHARE
    }
}

fn rows(query: &str, have: &Rows, want: &Rows) -> Result<(), String> {
    let by_labels =
        |rows: &Rows| -> BTreeMap<BTreeMap<String, String>, Vec<(i64, Point)>> { rows.iter().cloned().collect() };
    let (have_rows, want_rows) = (by_labels(have), by_labels(want));
    if have_rows.len() != have.len() {
        return Err("a series twice".to_owned());
    }
    for (labels, points) in &want_rows {
        let Some(have) = have_rows.get(labels) else { return Err(format!("without {labels:?} {:?}", points.first())) };
        let mut pairs = have.iter().zip(points);
        if let Some((have, want)) =
            pairs.find(|(have, want)| have.0 != want.0 || !same_point(&have.1, &want.1, share(query)))
        {
            return Err(format!("{labels:?} has {have:?}, not {want:?}"));
        }
        if have.len() != points.len() {
            return Err(format!("{labels:?} has {} points, not {}", have.len(), points.len()));
        }
    }
    match have_rows.keys().find(|labels| !want_rows.contains_key(*labels)) {
        Some(labels) => Err(format!("too much: {labels:?} {:?}", have_rows[labels].first())),
        None => Ok(()),
    }
}

/// The order of values; equal ones may stand in any order.
fn order(have: &Rows, want: &Rows) -> Result<(), String> {
    let values =
        |rows: &Rows| -> Vec<f64> { rows.iter().filter_map(|(_, points)| Some(points.first()?.1.number())).collect() };
    let (have, want) = (values(have), values(want));
    if have.iter().zip(&want).all(|(have, want)| same(*have, *want, SHARE)) {
        Ok(())
    } else {
        Err(format!("the order {have:?}, not {want:?}"))
    }
}

fn same_point(have: &Point, want: &Point, share: f64) -> bool {
    match (have, want) {
        (Point::Float(have), Point::Float(want)) => same(*have, *want, share),
        (Point::Histogram(count, sum, buckets), Point::Histogram(wanted_count, wanted_sum, wanted_buckets)) => {
            // What is subtracted loses the digits that were in common.
            let share = share.max(1e-9);
            // Times NaN or Inf even the empty buckets are something, of which a histogram has as many as its sender wrote.
            let buckets_mean_something = count.is_finite() || wanted_count.is_finite();
            same(*count, *wanted_count, share)
                && same(*sum, *wanted_sum, share)
                && (!buckets_mean_something || same_buckets(buckets, wanted_buckets, share))
        }
        _ => false,
    }
}

fn same_buckets(have: &[(u8, [f64; 3])], want: &[(u8, [f64; 3])], share: f64) -> bool {
    have.len() == want.len()
        && have.iter().zip(want).all(|((which, numbers), (wanted_which, wanted))| {
            which == wanted_which && numbers.iter().zip(wanted).all(|(have, want)| same(*have, *want, share))
        })
}

fn same(have: f64, want: f64, share: f64) -> bool {
    have == want || (have.is_nan() && want.is_nan()) || (have - want).abs() <= share * have.abs().max(want.abs())
}
