//! A log as an earlier program wrote it.
//!
//! `data/wal-2.log` is a log of format version 2: a server of that time took 40 samples, five seconds apart, of each of
//! three series of `temp_celsius`, counted 21 lines of level `error`, and was killed.

use std::path::Path;

use watchfire_engine::{Engine, EngineConfig, SampleBatch, TimeRange};
use watchfire_model::{Matcher, Sample, Timestamp};

/// The time of the first sample, seconds.
const START: i64 = 1_795_875_035;

fn seconds(at: i64) -> Timestamp {
    Timestamp::from_millis(at * 1000)
}

fn range() -> TimeRange {
    TimeRange { start: seconds(START - 3600), end: seconds(START + 3600) }
}

/// The samples of a room, as they were sent.
fn sent(room: &str) -> Vec<Sample> {
    let value = |number: i64| match room {
        "a" => 21.5 + number as f64 * 0.01,
        "b" => -3.0 + number as f64,
        _ => 1.0 / 3.0 + number as f64,
    };
    (0..40).map(|number| Sample { timestamp: seconds(START + number * 5), value: value(number) }).collect()
}

fn check(engine: &Engine, samples: usize) {
    for room in ["a", "b", "c"] {
        let matchers = [Matcher::equal("__name__", "temp_celsius"), Matcher::equal("room", room)];
        let views = engine.select(&matchers, range()).expect("selects");
        let mut have = Vec::new();
        views.iter().for_each(|view| view.samples(range().start, range().end, &mut have));
        assert_eq!(have.get(..40), Some(&*sent(room)), "{room}");
        assert_eq!(have.len(), samples, "{room}");
    }
    let matchers = [Matcher::equal("__name__", "log_events_total"), Matcher::equal("level", "error")];
    let views = engine.select(&matchers, range()).expect("selects");
    let counted: f64 = views.iter().filter_map(|view| view.increase(range().start, range().end)).sum();
    assert_eq!(counted, 21.0);
}

#[test]
fn a_log_of_version_2_is_read_and_goes_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wal-2.log");
    std::fs::copy(sample, dir.path().join("wal-00000000000000000001.log")).expect("copies");
    for round in 0..3 {
        let (engine, report) = Engine::open(EngineConfig::new(dir.path()), seconds(START + 300)).expect("opens");
        assert_eq!((report.damages, report.orphans, report.records_missing), (vec![], 0, 0), "round {round}");
        check(&engine, 40 + round);
        let mut batch = SampleBatch::new(seconds(START + 300));
        for view in engine.select(&[Matcher::equal("__name__", "temp_celsius")], range()).expect("selects") {
            let series = batch.series(view.kind(), view.labels());
            batch.push(series, seconds(START + 300 + round as i64), 0.5);
        }
        engine.append_samples(&batch).expect("appends");
        check(&engine, 41 + round);
    }
}
