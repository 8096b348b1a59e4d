//! Answers of two servers to the same call of Prometheus' API, compared value by value.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::client::Client;
use crate::prometheus::call;

/// Largest difference of two values that counts as none, as a share: sums may be taken in another order.
const TOLERANCE: f64 = 1e-12;

/// Series by their labels as JSON, each with times and values.
type Series = BTreeMap<String, Vec<(f64, f64)>>;

fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => match text.as_str() {
            "+Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            text => text.parse().unwrap_or(f64::NAN),
        },
        value => value.as_f64().unwrap_or(f64::NAN),
    }
}

fn series(answer: &Value) -> Series {
    let pair = |pair: &Value| (number(&pair[0]), number(&pair[1]));
    let rows = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    let row = |row: &Value| {
        let values = row["values"].as_array().map(|values| values.iter().map(pair).collect());
        (row["metric"].to_string(), values.unwrap_or_else(|| vec![pair(&row["value"])]))
    };
    rows.iter().map(row).collect()
}

/// Asks both, and panics where they differ; gives how many points the answer has.
pub fn same(ours: &mut Client, theirs: &mut Client, path: &str, parameters: &[(&str, &str)]) -> usize {
    let ((ours, our_json), (theirs, their_json)) = (call(ours, path, parameters), call(theirs, path, parameters));
    assert_eq!(theirs.status, 200, "{parameters:?}: {}", theirs.text());
    assert_eq!(ours.status, 200, "{parameters:?}: {}", ours.text());
    let (ours, theirs) = (series(&our_json), series(&their_json));
    let names = |series: &Series| series.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&theirs), "{parameters:?}: other series, ours first");
    for (metric, wanted) in &theirs {
        let got = &ours[metric];
        assert_eq!(got.len(), wanted.len(), "{parameters:?}: {metric}: {got:?}\n{wanted:?}");
        for (got, wanted) in got.iter().zip(wanted) {
            let (a, b) = (got.1, wanted.1);
            let is_same = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs());
            assert!(got.0 == wanted.0 && is_same, "{parameters:?}: {metric}: ours {got:?}, theirs {wanted:?}");
        }
    }
    theirs.values().map(Vec::len).sum()
}
