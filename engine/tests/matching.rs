//! Selections against the definition of a matcher, on labels with so many values that they are scanned side by side.

use std::collections::BTreeSet;

use watchfire_engine::{Engine, EngineConfig, MetricType, SampleBatch, SeriesKind, TimeRange};
use watchfire_model::{LabelSet, MatchOp, Matcher, Timestamp};

const NOW: i64 = 1_700_000_000_000;
const DAY: i64 = 86_400_000;
const KIND: SeriesKind = SeriesKind::Samples(MetricType::Gauge);

/// Every third series has no `host`.
fn labels(number: u64) -> LabelSet {
    let mut pairs = vec![
        ("__name__".to_owned(), "load".to_owned()),
        ("pod".to_owned(), format!("checkout-{:02x}-{number:05x}", number % 17)),
        ("rack".to_owned(), format!("rack-{}", number % 601)),
        ("zone".to_owned(), format!("zone-{}", number % 10)),
    ];
    if !number.is_multiple_of(3) {
        pairs.push(("host".to_owned(), format!("10.0.{}.{}", number / 50, number % 50)));
    }
    LabelSet::from_pairs(pairs).expect("valid")
}

fn push(engine: &Engine, numbers: std::ops::Range<u64>, at: i64) {
    let mut batch = SampleBatch::new(Timestamp::from_millis(at));
    for number in numbers {
        let series = batch.series(KIND, &labels(number));
        batch.push(series, Timestamp::from_millis(at), 1.0);
    }
    let report = engine.append_samples(&batch).expect("appends");
    assert_eq!(report.rejected, []);
}

fn check(engine: &Engine, living: &[LabelSet]) {
    let one = |name: &str, op, value: &str| Matcher::new(name, op, value).expect("valid");
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};
    let cases: Vec<Vec<Matcher>> = vec![
        vec![one("pod", Regex, "checkout-0a-000.*")],
        vec![one("pod", Regex, ".*-0000[0-9a-f]")],
        vec![one("pod", Regex, ".*[13579bdf]")],
        vec![one("pod", Regex, "(checkout-01|checkout-02)-.+7")],
        vec![one("pod", Regex, "checkout-01-00001|checkout-10-00010")],
        vec![one("pod", Regex, "nothing.*")],
        vec![one("pod", NotRegex, "checkout-0.*")],
        vec![one("pod", NotRegex, ".*-000.*")],
        vec![one("pod", NotEqual, "checkout-01-00001")],
        vec![one("host", Regex, "10\\.0\\.1.*")],
        vec![one("host", Regex, "10.*|")],
        vec![one("host", NotRegex, "10\\.0\\.1.*")],
        vec![one("host", NotRegex, ".+")],
        vec![one("host", NotRegex, "")],
        vec![one("host", Equal, ""), one("pod", Regex, ".*5")],
        vec![one("rack", Regex, "rack-[0-9]*[05]")],
        vec![one("rack", NotRegex, "rack-[0-9]*[05]")],
        vec![one("zone", Equal, "zone-3"), one("rack", Regex, "rack-[0-9]*[05]")],
        vec![one("zone", Equal, "zone-3"), one("rack", NotRegex, ".*-.*[13579]")],
        vec![one("zone", Equal, "zone-3"), one("rack", Regex, "rack-2.|"), one("pod", NotRegex, ".*-0[0-9a-f]-.*")],
        vec![one("__name__", Equal, "load"), one("host", NotRegex, ".*\\.7"), one("pod", Regex, ".*[0-4]")],
        vec![one("__name__", Equal, "load"), one("host", Regex, ".*\\.7|"), one("host", NotEqual, "10.0.3.7")],
    ];
    let range = TimeRange { start: Timestamp::from_millis(NOW - DAY), end: Timestamp::from_millis(NOW + 2 * DAY) };
    for matchers in cases {
        let found = engine.select(&matchers, range).expect("there is a matcher");
        let found: BTreeSet<String> = found.iter().map(|view| view.labels().to_string()).collect();
        let fits = |labels: &&LabelSet| {
            matchers.iter().all(|matcher| matcher.matches(labels.get(matcher.name()).unwrap_or_default()))
        };
        let wanted: BTreeSet<String> = living.iter().filter(fits).map(LabelSet::to_string).collect();
        assert!(found == wanted, "{matchers:?}: {} found, {} wanted", found.len(), wanted.len());
    }
}

#[test]
fn expressions_find_what_they_match_while_series_come_and_go() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = EngineConfig { shards: 2, retention_ms: DAY, ..EngineConfig::new(dir.path()) };
    let (engine, _) = Engine::open(config, Timestamp::from_millis(NOW)).expect("opens");
    let sets = |numbers: std::ops::Range<u64>| numbers.map(labels).collect::<Vec<_>>();
    push(&engine, 0..4000, NOW);
    check(&engine, &sets(0..4000));
    // Later values are seen by the copies that the first round made.
    push(&engine, 4000..5000, NOW + DAY);
    check(&engine, &sets(0..5000));
    // A few go, and their numbers are given out again: the copies are stale in places. Then most go.
    push(&engine, 600..4000, NOW + DAY);
    let later = NOW + DAY + 60_000;
    engine.sweep_all(Timestamp::from_millis(later));
    push(&engine, 5000..5300, later);
    let living: Vec<LabelSet> = sets(600..5300);
    check(&engine, &living);
    push(&engine, 5000..5300, later + DAY);
    engine.sweep_all(Timestamp::from_millis(later + DAY));
    check(&engine, &sets(5000..5300));
    assert_eq!(engine.stats().series, 300);
}
