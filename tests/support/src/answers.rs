//! Answers of two servers to the same call of Prometheus' API, compared value by value.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::client::Client;
use crate::prometheus::call;

/// Largest difference of two values that counts as none, as a share: sums may be taken in another order.
const TOLERANCE: f64 = 1e-12;

/// Series by their labels as JSON, each with times and values: one number, or all those of a histogram.
type Series = BTreeMap<String, Vec<(f64, Vec<f64>)>>;

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

/// Count, sum and buckets of a histogram.
fn histogram(value: &Value) -> Vec<f64> {
    let buckets = value["buckets"].as_array().into_iter().flatten().flat_map(|bucket| bucket.as_array());
    [&value["count"], &value["sum"]].into_iter().chain(buckets.flatten()).map(number).collect()
}

fn series(answer: &Value) -> Series {
    let rows = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    let row = |row: &Value| {
        let all = |one: &str, many: &str| {
            let one = row.get(one).cloned();
            one.into_iter().chain(row[many].as_array().cloned().into_iter().flatten()).collect::<Vec<Value>>()
        };
        let mut points: Vec<(f64, Vec<f64>)> =
            all("value", "values").iter().map(|pair| (number(&pair[0]), vec![number(&pair[1])])).collect();
        points.extend(all("histogram", "histograms").iter().map(|pair| (number(&pair[0]), histogram(&pair[1]))));
        (row["metric"].to_string(), points)
    };
    rows.iter().map(row).collect()
}

fn is_same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
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
            let is_same = got.1.len() == wanted.1.len() && got.1.iter().zip(&wanted.1).all(|(a, b)| is_same(*a, *b));
            assert!(got.0 == wanted.0 && is_same, "{parameters:?}: {metric}: ours {got:?}, theirs {wanted:?}");
        }
    }
    theirs.values().map(Vec::len).sum()
}
