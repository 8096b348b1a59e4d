//! Series by what their senders call them: found again, kept apart, and told when they are gone.

use watchfire_engine::{Engine, EngineConfig, MetricType, SampleBatch, SeriesKind, TimeRange};
use watchfire_model::{Matcher, Timestamp};

const NOW: i64 = 1_700_000_000_000;
const DAY: i64 = 86_400_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(NOW + millis)
}

/// Appends a value of a series by its labels, and has the engine remember what it is called.
fn append_named(engine: &Engine, name: &str, millis: i64, value: f64) {
    let mut batch = SampleBatch::new(at(millis));
    let kind = SeriesKind::Samples(MetricType::Gauge);
    let series = batch.series_of(kind, &mut [("__name__", name)]).expect("a label set");
    batch.push(series, at(millis), value);
    batch.spell(series, engine.spellings().of(name.as_bytes()));
    assert_eq!(engine.append_samples(&batch).expect("appends").accepted, 1);
}

/// Appends a value to a series by what it is called: how many were accepted, and how many are gone.
fn append_known(engine: &Engine, name: &str, millis: i64, value: f64) -> (u64, u64) {
    let mut batch = SampleBatch::new(at(millis));
    {
        let spellings = engine.spellings();
        let known = spellings.series(spellings.of(name.as_bytes())).expect("it was named before");
        let series = batch.series_known(known);
        batch.push(series, at(millis), value);
    }
    let report = engine.append_samples(&batch).expect("appends");
    assert_eq!(report.rejected, []);
    (report.accepted, report.gone)
}

fn values(engine: &Engine, name: &str) -> Vec<f64> {
    let range = TimeRange { start: at(-DAY), end: at(30 * DAY) };
    let views = engine.select(&[Matcher::equal("__name__", name)], range).expect("selects");
    let mut samples = Vec::new();
    views.iter().for_each(|view| view.samples(range.start, range.end, &mut samples));
    samples.iter().map(|sample| sample.value).collect()
}

#[test]
fn a_series_is_found_by_what_it_is_called_also_after_a_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    {
        let (engine, _) = Engine::open(EngineConfig::new(folder.path()), at(0)).expect("opens");
        append_named(&engine, "up", 0, 1.0);
        append_named(&engine, "down", 0, 2.0);
        assert_eq!(append_known(&engine, "up", 1000, 3.0), (1, 0));
        assert_eq!(append_known(&engine, "down", 1000, 4.0), (1, 0));
        // A snapshot names all series; the log behind it must define them again for whoever reads it alone.
        engine.checkpoint().expect("can be written");
        assert_eq!(append_known(&engine, "up", 2000, 5.0), (1, 0));
        // No close: the process is gone.
    }
    let (engine, report) = Engine::open(EngineConfig::new(folder.path()), at(0)).expect("opens");
    assert_eq!(report.damages, []);
    assert_eq!((values(&engine, "up"), values(&engine, "down")), (vec![1.0, 3.0, 5.0], vec![2.0, 4.0]));
}

#[test]
fn a_series_that_was_pruned_is_told_as_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (engine, _) = Engine::open(EngineConfig::new(folder.path()), at(0)).expect("opens");
    append_named(&engine, "up", 0, 1.0);
    // Somebody who has looked it up before it goes.
    let mut batch = SampleBatch::new(at(20 * DAY));
    {
        let spellings = engine.spellings();
        let series = batch.series_known(spellings.series(spellings.of(b"up")).expect("it was named"));
        batch.push(series, at(20 * DAY), 2.0);
    }
    engine.sweep_all(at(20 * DAY));
    let report = engine.append_samples(&batch).expect("appends");
    assert_eq!((report.accepted, report.gone), (0, 1));
    let spellings = engine.spellings();
    assert!(spellings.series(spellings.of(b"up")).is_none(), "it is not remembered any more");
    drop(spellings);
    append_named(&engine, "up", 20 * DAY, 2.0);
    assert_eq!(append_known(&engine, "up", 20 * DAY + 1000, 3.0), (1, 0));
    assert_eq!(values(&engine, "up"), [2.0, 3.0]);
}

#[test]
fn spellings_are_not_mixed_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let (engine, _) = Engine::open(EngineConfig::new(folder.path()), at(0)).expect("opens");
    let spellings = engine.spellings();
    let parts = |texts: &[&str]| spellings.of_parts(texts.iter().map(|text| spellings.of(text.as_bytes())));
    let all =
        [parts(&[]), parts(&["ab"]), parts(&["a", "b"]), parts(&["b", "a"]), spellings.of(b"ab"), spellings.of(b"")];
    for (index, one) in all.iter().enumerate() {
        assert!(all[index + 1..].iter().all(|other| other != one), "{index}");
    }
    assert_eq!(parts(&["a", "b"]), parts(&["a", "b"]));
}
