//! Our evaluator against a real Prometheus: the same samples in both, thousands of queries, every value compared.
//!
//! `differential/queries.txt` has queries written by hand; more are made by chance, from a fixed seed
//! (`WATCHFIRE_DIFFERENTIAL_SEED`), as many as `WATCHFIRE_DIFFERENTIAL` says; `WATCHFIRE_DIFFERENTIAL_QUERIES` names a
//! file of queries to ask instead. Each is asked at one time and over a
//! range. Compared are the type, labels, times, values and order of the result, warnings and infos, and of failures
//! whether the text or the evaluation is at fault.

#[path = "differential/chance.rs"]
mod chance;
#[path = "differential/compare.rs"]
mod compare;
#[path = "differential/data.rs"]
mod data;
#[path = "differential/generate.rs"]
mod generate;
#[path = "differential/sides.rs"]
mod sides;

use std::collections::BTreeMap;

use sides::{Got, Ours, Theirs, When};
use watchfire_test_support::Program;
use watchfire_test_support::real::PROMETHEUS;

/// Queries made by chance unless more are asked for.
const MADE: usize = 1500;
/// Seed unless another is asked for.
const SEED: u64 = 20_261_128;
/// Differences that are shown.
const SHOWN_MAX: usize = 40;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The queries written by hand: one per line; lines that begin with `#` and empty ones aside.
fn written(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// The queries of the repository, or those of a file of one's own and nothing else.
fn queries(seed: u64) -> Vec<String> {
    if let Some(file) = std::env::var_os("WATCHFIRE_DIFFERENTIAL_QUERIES") {
        return written(&std::fs::read_to_string(file).expect("a file of queries"));
    }
    let mut maker = generate::Maker::new(seed);
    let made = number("WATCHFIRE_DIFFERENTIAL", MADE as u64);
    let mut queries = written(include_str!("differential/queries.txt"));
    queries.extend((0..made).map(|_| maker.query()).filter(|query| !is_known(query)));
    queries
}

/// Whether Prometheus is known to do otherwise than it says: `timestamp(x @ t offset o)` forgets the offset, and
/// looks for samples where it has loaded none.
///
/// Below functions of counts and sums it does not decode buckets: it does not see that bounds differ, and of gauges, of which
/// rates make no sense, and of sums over time other resets.
/// A float and a histogram of one series at one time are for `label_replace` and `label_join` no collision.
fn is_known(query: &str) -> bool {
    let has = |words: &[&str]| words.iter().any(|word| query.contains(word));
    let is_shallow = has(&["histogram_avg", "histogram_count", "histogram_sum"])
        && (has(&["native_custom", "native_empty", "sum_over_time(native", "avg_over_time(native"])
            || query.matches("native").count() > 1
            || (has(&["native_gauge"]) && has(&["rate(", "increase("])));
    let collides = has(&["label_replace", "label_join"]) && has(&["native_mixed"]);
    is_shallow || collides || (query.contains("timestamp(") && query.contains("@ end() offset"))
}

/// Whether an older Prometheus answers otherwise: its ranges are closed, `atan2` kept the name, deviations of infinite
/// numbers were 0.
fn is_newer(query: &str) -> bool {
    ["[", "offset", "atan2", "stddev", "stdvar"].iter().any(|word| query.contains(word))
}

#[test]
fn every_value_is_that_of_prometheus() {
    let what = "PromQL compared value by value";
    let Some(program) = Program::of_prometheus("prometheus", what) else { return };
    let series = data::series();
    let ours = Ours::new(&series);
    let mut theirs = Theirs::new(&program, &series);
    let seed = number("WATCHFIRE_DIFFERENTIAL_SEED", SEED);
    let own_queries = std::env::var_os("WATCHFIRE_DIFFERENTIAL_QUERIES").is_some();

    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut differences = Vec::new();
    // Samples that were looked at: at all, and at several steps.
    let mut looked_at = [0, 0];
    for (index, query) in queries(seed).into_iter().enumerate() {
        if !program.is_newest && is_newer(&query) {
            continue;
        }
        for when in When::of(index) {
            let (have, want) = (ours.ask(&query, when), theirs.ask(&query, when));
            if !program.is_newest && matches!(want, Got::BadQuery(_) | Got::Failed(_)) {
                continue;
            }
            *counts.entry(want.kind()).or_default() += 1;
            if let Got::Value(.., steps) = &want {
                looked_at[0] += u64::from(steps.iter().any(|step| step[0] > 0));
                looked_at[1] += u64::from(steps.iter().filter(|step| step[0] > 0).count() > 1);
            }
            if let Err(difference) = compare::compare(&query, &have, &want, program.is_newest) {
                differences.push(format!("{query}\n  {when:?}: {difference}"));
            }
        }
    }
    println!("seed {seed}, Prometheus {PROMETHEUS}: {counts:?}, {looked_at:?} looked at samples");
    let shown = differences.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{} differences (seed {seed}), the first are:\n{shown}", differences.len());
    let values: usize = ["vector", "matrix"].iter().filter_map(|kind| counts.get(kind)).sum();
    assert!(
        !program.is_newest || own_queries || values > counts.values().sum::<usize>() / 2,
        "too few queries have values"
    );
    assert!(!program.is_newest || own_queries || looked_at[1] > 1000, "too few queries tell of samples: {looked_at:?}");
}
