//! Many series, found after a crash as they were before it: entered shard by shard, and once however often the log defines them.

use watchfire_engine::{Cardinality, Engine, EngineConfig, MetricInfo, MetricType, SampleBatch, SeriesKind, TimeRange};
use watchfire_model::{MatchOp, Matcher, Timestamp};
use watchfire_test_support::fleet;

const NOW: i64 = 1_700_000_000_000;
const SERIES: usize = 3000;
const RANGE: TimeRange =
    TimeRange { start: Timestamp::from_millis(NOW - 1), end: Timestamp::from_millis(NOW + 1_000_000) };

fn open(folder: &std::path::Path) -> Engine {
    let (engine, report) = Engine::open(EngineConfig::new(folder), Timestamp::from_millis(NOW)).expect("opens");
    assert_eq!((report.damages, report.orphans, report.records_lost), (vec![], 0, 0));
    engine
}

/// A sample of each series at a time, in some requests.
fn append(engine: &Engine, step: usize) {
    let at = Timestamp::from_millis(NOW + step as i64 * fleet::STEP_MS);
    for numbers in (0..SERIES).collect::<Vec<_>>().chunks(500) {
        let mut batch = SampleBatch::new(Timestamp::from_millis(NOW));
        for number in numbers {
            let labels = fleet::labels_of(*number);
            let said = if fleet::grows(&labels) { MetricType::Counter } else { MetricType::Gauge };
            let series = batch.series(SeriesKind::Samples(said), &labels);
            batch.push(series, at, fleet::value(*number, step, fleet::grows(&labels)));
        }
        assert_eq!(engine.append_samples(&batch).expect("appends").accepted, numbers.len() as u64);
    }
}

/// Everything that is told of the series: metrics, cardinality, values of labels, and what selectors find, with samples.
type Told = (Vec<MetricInfo>, Cardinality, Vec<Vec<String>>, Vec<Vec<String>>);

fn told(engine: &Engine) -> Told {
    let regex = |name: &str, text: &str| Matcher::new(name, MatchOp::Regex, text).expect("valid");
    let selectors = [
        vec![regex("__name__", ".+")],
        vec![Matcher::equal("container", "main"), Matcher::equal("zone", "zone-3")],
        vec![regex("pod", "pod-1.*"), Matcher::equal("__name__", "node_load1")],
        vec![Matcher::new("version", MatchOp::NotEqual, "").expect("valid"), regex("instance", ".*:9100")],
        vec![Matcher::equal("code", "404"), regex("route", ".*/1?7")],
    ];
    let found = |selector: &Vec<Matcher>| {
        let views = engine.select(selector, RANGE).expect("selects");
        let mut found: Vec<String> = Vec::new();
        for view in &views {
            let mut samples = Vec::new();
            view.samples(RANGE.start, RANGE.end, &mut samples);
            found.push(format!("{} {} {samples:?}", view.labels(), view.kind().as_str()));
        }
        found.sort_unstable();
        assert!(!found.is_empty());
        found
    };
    let names = engine.label_names(&[], TimeRange::ALWAYS);
    let values = names.iter().map(|name| engine.label_values(name, &[], TimeRange::ALWAYS));
    let values = values.chain([names.clone()]).collect();
    (engine.metrics(""), engine.cardinality(20), values, selectors.iter().map(found).collect())
}

#[test]
fn what_is_told_of_many_series_is_the_same_after_a_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = open(folder.path());
    (0..3).for_each(|step| append(&engine, step));
    let (before, stats) = (told(&engine), engine.stats());
    assert_eq!(stats.series, SERIES as u64);
    // No close: the process is gone.
    drop(engine);
    let engine = open(folder.path());
    assert_eq!(told(&engine), before);
    // Series that are there are found by their labels, and not made again.
    append(&engine, 3);
    assert_eq!(engine.stats().series, SERIES as u64);
    let before = told(&engine);
    drop(engine);
    // Its log defines all series under the numbers that they have.
    assert_eq!(told(&open(folder.path())), before);
}
