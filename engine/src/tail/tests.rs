//! The log, followed: what was accepted comes in order, named, once, over restarts, snapshots and damage.

use std::collections::HashMap;
use std::os::unix::fs::FileExt;

use watchfire_model::{LabelSet, Timestamp};

use super::*;
use crate::batch::SampleBatch;
use crate::config::EngineConfig;
use crate::kind::MetricType;

const START_MS: i64 = 1_700_000_000_000;

/// What was told, each sample with the name of its series.
#[derive(Default)]
struct Heard {
    names: HashMap<u64, String>,
    old_names: HashMap<u64, String>,
    samples: Vec<(String, i64, f64)>,
    nameless: Vec<u64>,
    /// Series, and trace.
    exemplars: Vec<(String, String)>,
}

impl Follow for Heard {
    fn stretch(&mut self) {
        self.old_names = std::mem::take(&mut self.names);
    }

    fn series(&mut self, number: u64, _: SeriesKind, labels: &[(&str, &str)]) {
        self.names.insert(number, labels.iter().map(|(_, value)| *value).collect::<Vec<_>>().join(" "));
    }

    fn samples(&mut self, number: u64, samples: &[(i64, f64)]) {
        match self.names.get(&number).or(self.old_names.get(&number)) {
            Some(name) => self.samples.extend(samples.iter().map(|(at, value)| (name.clone(), *at, *value))),
            None => self.nameless.push(number),
        }
    }

    fn native(&mut self, _: u64, _: i64, _: &Histogram) {}

    fn exemplar(&mut self, number: u64, exemplar: Exemplar) {
        let trace = exemplar.labels.get("trace_id").unwrap_or_default();
        match self.names.get(&number).or(self.old_names.get(&number)) {
            Some(name) => self.exemplars.push((name.clone(), trace.to_owned())),
            None => self.nameless.push(number),
        }
    }
}

fn open(dir: &std::path::Path, held_from: Option<u64>) -> Arc<Engine> {
    let config = EngineConfig { log_held_from: held_from, ..EngineConfig::new(dir) };
    Arc::new(Engine::open(config, Timestamp::from_millis(START_MS)).expect("opens").0)
}

fn append(engine: &Engine, round: i64, series: usize) {
    let mut batch = SampleBatch::new(Timestamp::from_millis(START_MS));
    for number in 0..series {
        let pairs = [("__name__", "m".to_owned()), ("number", number.to_string())];
        let labels = LabelSet::from_pairs(pairs).expect("valid");
        let named = batch.series(SeriesKind::Samples(MetricType::Gauge), &labels);
        batch.push(named, Timestamp::from_millis(START_MS + round * 10), (round * 1000) as f64 + number as f64);
    }
    let report = engine.append_samples(&batch).expect("appends");
    assert_eq!(report.accepted as usize, series);
}

fn wanted(rounds: std::ops::Range<i64>, series: usize) -> Vec<(String, i64, f64)> {
    let sample = |round: i64, number: usize| {
        (format!("m {number}"), START_MS + round * 10, (round * 1000) as f64 + number as f64)
    };
    rounds.flat_map(|round| (0..series).map(move |number| sample(round, number))).collect()
}

/// Reads all that is there; gives the records that were lost.
fn drain(tail: &mut LogTail, heard: &mut Heard) -> u64 {
    let mut lost = 0;
    loop {
        match tail.step(heard).expect("reads") {
            Step::Nothing => return lost,
            Step::Record(_) => {}
            Step::Lost(records) => lost += records,
        }
    }
}

#[test]
fn what_was_taken_since_the_beginning_is_told_once_and_in_order() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path(), None);
    append(&engine, 0, 5);
    let mut tail = engine.follow_log(None).expect("follows");
    let mut heard = Heard::default();
    assert_eq!(drain(&mut tail, &mut heard), 0);
    assert_eq!(heard.samples, [], "what was there before is not told");
    append(&engine, 1, 5);
    let mut batch = SampleBatch::new(Timestamp::from_millis(START_MS));
    let labels = LabelSet::from_pairs([("__name__", "m"), ("number", "0")]).expect("valid");
    let named = batch.series(SeriesKind::Samples(MetricType::Gauge), &labels);
    for (at, trace) in [(5, "a"), (5, "a"), (6, "b")] {
        let labels = LabelSet::from_pairs([("trace_id", trace)]).expect("valid");
        batch.push_exemplar(named, Exemplar { labels, value: 1.0, at: Timestamp::from_millis(at), is_dated: true });
    }
    assert_eq!(engine.append_samples(&batch).expect("appends").exemplars, 3);
    for round in 2..200 {
        append(&engine, round, 5);
        if round % 50 == 0 {
            engine.checkpoint().expect("a snapshot");
            drain(&mut tail, &mut heard);
        }
    }
    assert_eq!(drain(&mut tail, &mut heard), 0);
    assert_eq!(heard.nameless, []);
    assert_eq!(heard.samples, wanted(1..200, 5));
    assert_eq!(heard.exemplars, ["a", "b"].map(|trace| ("m 0".to_owned(), trace.to_owned())));
}

#[test]
fn after_a_restart_it_goes_on_where_it_was_with_all_names() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path(), None);
    append(&engine, 0, 3);
    engine.checkpoint().expect("a snapshot");
    let mut tail = engine.follow_log(None).expect("follows");
    (1..30).for_each(|round| append(&engine, round, 3));
    let mut heard = Heard::default();
    for _ in 0..10 {
        tail.step(&mut heard).expect("reads");
    }
    let position = tail.position(tail.next());
    tail.release(position);
    (30..40).for_each(|round| append(&engine, round, 3));
    // Two snapshots would delete the log before them.
    engine.checkpoint().expect("a snapshot");
    engine.checkpoint().expect("a snapshot");
    drop((tail, engine));
    let engine = open(dir.path(), Some(position.names_from));
    (40..50).for_each(|round| append(&engine, round, 3));
    engine.checkpoint().expect("a snapshot");
    engine.checkpoint().expect("a snapshot");
    let mut tail = engine.follow_log(Some(position)).expect("follows");
    engine.let_go_of_log();
    let mut heard = Heard::default();
    assert_eq!(drain(&mut tail, &mut heard), 0);
    assert_eq!(heard.nameless, []);
    // Names are read from an earlier place; what was read of samples there is passed over by the reader.
    assert_eq!(heard.samples[heard.samples.len() - 39 * 3..], wanted(11..50, 3));
    let position = tail.position(tail.next());
    tail.release(position);
    let before = engine.log_bytes_from(0).expect("lists");
    append(&engine, 50, 3);
    engine.checkpoint().expect("a snapshot");
    engine.checkpoint().expect("a snapshot");
    assert!(engine.log_bytes_from(0).expect("lists") < before, "what nobody holds goes");
}

#[test]
fn names_are_told_anew_in_each_stretch_and_those_of_two_ago_can_go() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path(), None);
    let mut tail = engine.follow_log(None).expect("follows");
    let (mut heard, mut begun) = (Heard::default(), engine.wal.stretches().count());
    let many = 20_000;
    let first = begun;
    let mut round = 0;
    while begun < first + 3 {
        append(&engine, round, many);
        round += 1;
        begun = engine.wal.stretches().count();
        drain(&mut tail, &mut heard);
    }
    assert_eq!(heard.nameless, []);
    assert_eq!(heard.samples.len(), round as usize * many);
    let position = tail.position(tail.next());
    assert!(position.names_from > 1, "{position:?}");
    // A reader that begins there knows all names it needs.
    let mut again = engine.follow_log(Some(position)).expect("follows");
    append(&engine, round, many);
    let mut heard = Heard::default();
    drain(&mut again, &mut heard);
    assert_eq!(heard.nameless, []);
    assert_eq!(heard.samples[heard.samples.len() - many..], wanted(round..round + 1, many));
}

#[test]
fn damage_costs_its_record_and_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path(), None);
    let mut tail = engine.follow_log(None).expect("follows");
    (0..10).for_each(|round| append(&engine, round, 1));
    let (_, path) = segment::list(dir.path()).expect("lists").pop().expect("a file");
    let found = segment::read(&path, true, |_| Ok(())).unwrap_or_else(|error| panic!("{error:?}"));
    let file = std::fs::File::options().read(true).write(true).open(path).expect("opens");
    let middle = found.good_end / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle).expect("reads");
    file.write_all_at(&[byte[0] ^ 1], middle).expect("writes");
    let mut heard = Heard::default();
    assert_eq!(drain(&mut tail, &mut heard), 1);
    assert_eq!(heard.samples.len(), 9);
    // Who comes from another log is told all of this one.
    let other = LogPosition { next: 1 << 40, names_from: 1 << 39 };
    let mut tail = engine.follow_log(Some(other)).expect("follows");
    let mut heard = Heard::default();
    assert_eq!(drain(&mut tail, &mut heard), 1);
    assert_eq!(heard.samples.len(), 9);
}

#[test]
fn names_that_the_log_does_not_tell_are_found_in_memory() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path(), None);
    append(&engine, 0, 4);
    let tail = engine.follow_log(None).expect("follows");
    let mut heard = Heard::default();
    tail.name(&[2, 3, 99], &mut heard);
    assert_eq!(heard.names.len(), 2);
}
