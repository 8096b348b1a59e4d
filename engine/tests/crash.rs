//! The process dies at each place where the engine's files change. What was acknowledged is there afterwards, and
//! the queue, read again from where the engine says, makes every count exact.

use std::io::Write;
use std::path::Path;

use watchfire_engine::{
    Derived, Engine, EngineConfig, Exemplar, Increment, MetricType, Observation, SampleBatch, SeriesKind,
    SourcePosition, TimeRange,
};
use watchfire_model::{LabelSet, Matcher, Timestamp};
use watchfire_test_support::crash::dies_at;

const NOW: i64 = 1_700_000_000_000;
const BATCHES: u64 = 60;
/// Where the child does its work.
const DIR: &str = "ENGINE_CRASH_DIR";

fn at(offset_ms: i64) -> Timestamp {
    Timestamp::from_millis(NOW + offset_ms)
}

fn labels(metric: &str, number: u64) -> LabelSet {
    LabelSet::from_pairs([("__name__", metric), ("n", &*number.to_string())]).expect("valid")
}

fn open(dir: &Path) -> Engine {
    let config = EngineConfig { shards: 2, segment_bytes: 1500, ..EngineConfig::new(dir.join("engine")) };
    let (engine, report) = Engine::open(config, at(0)).expect("opens");
    assert!(report.damages.iter().all(|damage| damage.torn_tail), "{report:?}");
    assert_eq!((report.records_missing, report.orphans), (0, 0));
    engine
}

/// Takes the batches that are not applied yet, and writes down the samples that were acknowledged.
fn live(dir: &Path) {
    let engine = open(dir);
    let mut acknowledged =
        std::fs::File::options().create(true).append(true).open(dir.join("acknowledged")).expect("opens");
    for batch in engine.applied("logs", 1, 0).unwrap_or(0)..BATCHES {
        let source = SourcePosition {
            queue: "logs".into(),
            epoch: 1,
            partition: 0,
            first_offset: batch,
            next_offset: batch + 1,
        };
        let mut derived = Derived::new(source);
        let time = at(batch as i64 * 300);
        for n in 0..5 {
            derived.increments.push(Increment {
                labels: labels("events_total", n),
                at: time,
                count: 1.0,
                late: n == 4,
            });
        }
        derived.observations.push(Observation { labels: labels("latency", 1), at: time, value: 5.0, late: false });
        engine.apply(&derived).expect("applies");
        let mut samples = SampleBatch::new(time);
        let series = samples.series(SeriesKind::Samples(MetricType::Gauge), &labels("up", batch % 7));
        samples.push(series, time, batch as f64);
        let trace = LabelSet::from_pairs([("trace_id", &*batch.to_string())]).expect("valid");
        samples.push_exemplar(series, Exemplar { labels: trace, value: batch as f64, at: time, is_dated: true });
        engine.append_samples(&samples).expect("appends");
        writeln!(acknowledged, "{batch}").expect("writes");
        if batch % 10 == 9 {
            engine.checkpoint().expect("checkpoints");
        }
    }
}

/// Runs in a process of its own, started by the test below.
#[test]
fn child() {
    if let Some(dir) = std::env::var_os(DIR) {
        live(Path::new(&dir));
    }
}

/// Runs the child until it dies or ends; true if it died.
fn dies(dir: &Path, failpoint: &str) -> bool {
    dies_at("child", DIR, dir, failpoint)
}

/// The values of the exemplars.
fn exemplars(engine: &Engine) -> Vec<u64> {
    let of_all = engine.exemplars(&[vec![Matcher::equal("__name__", "up")]], at(-1000), at(100_000));
    let mut values: Vec<u64> =
        of_all.iter().flat_map(|(_, exemplars)| exemplars).map(|exemplar| exemplar.value as u64).collect();
    values.sort_unstable();
    values
}

/// Events, live events, observations, and the values of the samples.
fn content(engine: &Engine) -> (f64, f64, u64, Vec<u64>) {
    let range = TimeRange { start: at(-1000), end: at(100_000) };
    let views = |metric: &str| engine.select(&[Matcher::equal("__name__", metric)], range).expect("selects");
    let events = views("events_total").iter().filter_map(|view| view.increase(range.start, range.end)).sum();
    let totals = views("events_total").iter().filter_map(|view| view.total_at(range.end)).sum();
    let observed =
        views("latency").iter().filter_map(|view| view.histogram(range.start, range.end)).map(|w| w.count()).sum();
    let mut samples = Vec::new();
    views("up").iter().for_each(|view| view.samples(range.start, range.end, &mut samples));
    let mut values: Vec<u64> = samples.iter().map(|sample| sample.value as u64).collect();
    values.sort_unstable();
    (events, totals, observed, values)
}

#[test]
fn nothing_is_lost_or_doubled_wherever_the_process_dies() {
    let places = [
        "engine.wal_append",
        "engine.wal_sync",
        "engine.snapshot_write",
        "engine.snapshot_rename",
        "engine.wal_delete",
    ];
    for place in places {
        let mut deaths = 0;
        for hit in [1, 2, 5, 23] {
            let dir = tempfile::tempdir().expect("a folder");
            let what = format!("{place}:{hit}");
            if !dies(dir.path(), &what) {
                continue;
            }
            deaths += 1;
            {
                let engine = open(dir.path());
                let applied = engine.applied("logs", 1, 0).unwrap_or(0) as f64;
                let ((events, totals, observed, values), exemplars) = (content(&engine), exemplars(&engine));
                assert_eq!((events, totals, observed), (5.0 * applied, 4.0 * applied, applied as u64), "{what}");
                let acknowledged = std::fs::read_to_string(dir.path().join("acknowledged")).unwrap_or_default();
                for line in acknowledged.lines() {
                    let number = line.parse().expect("a number");
                    assert!(values.contains(&number), "{what}: sample {line} is lost");
                    assert!(exemplars.contains(&number), "{what}: exemplar {line} is lost");
                }
            }
            // And it goes on from there.
            live(dir.path());
            let engine = open(dir.path());
            let (events, totals, observed, values) = content(&engine);
            let all = BATCHES as f64;
            assert_eq!((events, totals, observed), (5.0 * all, 4.0 * all, BATCHES), "{what}");
            for values in [values, exemplars(&engine)] {
                let are_once = values.windows(2).all(|pair| pair[0] < pair[1]);
                assert!(are_once && values.len() as u64 >= BATCHES - 1, "{what}: {values:?}");
            }
        }
        assert!(deaths > 0, "{place} was never reached");
    }
}
