//! What a crash, a power cut, damage and a full life of snapshots leave: everything acknowledged, nothing twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use watchfire_engine::{
    Derived, Engine, EngineConfig, FamilyType, Increment, MetricType, Observation, OpenError, Said, SampleBatch,
    SeriesKind, SourcePosition, TimeRange,
};
use watchfire_model::{LabelSet, MatchOp, Matcher, Timestamp};

const NOW: i64 = 1_700_000_000_000;

fn at(offset_ms: i64) -> Timestamp {
    Timestamp::from_millis(NOW + offset_ms)
}

fn name(metric: &str, number: u64) -> LabelSet {
    LabelSet::from_pairs([("__name__", metric), ("n", &*number.to_string())]).expect("valid")
}

fn config(dir: &Path) -> EngineConfig {
    EngineConfig { shards: 4, segment_bytes: 4000, ..EngineConfig::new(dir) }
}

fn open(dir: &Path) -> (Engine, watchfire_engine::RecoveryReport) {
    Engine::open(config(dir), at(0)).expect("opens")
}

/// Everything that an engine holds: samples by series and time, events by series and second, observations by
/// series, and the position of the queue.
#[derive(Clone, Debug, PartialEq, Default)]
struct Content {
    samples: BTreeMap<(String, i64), u64>,
    events: BTreeMap<(String, i64), u64>,
    totals: BTreeMap<String, u64>,
    observed: BTreeMap<String, (u64, u64)>,
    applied: Option<u64>,
}

fn content(engine: &Engine) -> Content {
    let (start, end) = (at(-100_000_000), at(100_000_000));
    let any = Matcher::new("__name__", MatchOp::Regex, ".+").expect("valid");
    let mut content = Content { applied: engine.applied("logs", 1, 0), ..Content::default() };
    for view in engine.select(&[any], TimeRange { start, end }).expect("selects") {
        let labels = view.labels().to_string();
        match view.kind() {
            SeriesKind::Samples(_) => {
                let mut samples = Vec::new();
                view.samples(start, end, &mut samples);
                content
                    .samples
                    .extend(samples.iter().map(|s| ((labels.clone(), s.timestamp.millis() - NOW), s.value.to_bits())));
            }
            SeriesKind::Increments => {
                let mut buckets = Vec::new();
                view.buckets(start, end, &mut buckets);
                content.events.extend(buckets.iter().map(|(at, n)| ((labels.clone(), at.millis() - NOW), *n as u64)));
                content.totals.insert(labels, view.total_at(end).unwrap_or(0.0) as u64);
            }
            SeriesKind::Distribution => {
                let window = view.histogram(start, end).map_or(0, |window| window.count());
                content.observed.insert(labels, (window, view.observed().map_or(0, |(_, sum)| sum as u64)));
            }
        }
    }
    content
}

/// A step of a life.
#[derive(Clone, Debug)]
enum Step {
    /// Samples of a series: (number, time offset, value).
    Append(Vec<(u64, i64, u8)>),
    /// One batch of the queue: (number, time offset, count, late).
    Apply(Vec<(u64, i64, u8, bool)>),
    Checkpoint,
    /// The process dies and starts again.
    Crash,
    /// What the last start has left for later is done.
    TakeOver,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec((0u64..6, 0i64..500_000, any::<u8>()), 1..20).prop_map(Step::Append),
        4 => prop::collection::vec((0u64..6, 0i64..500_000, 1u8..9, prop::bool::weighted(0.2)), 0..20).prop_map(Step::Apply),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Crash),
        1 => Just(Step::TakeOver),
    ]
}

/// The naive engine.
#[derive(Default)]
struct Model {
    content: Content,
    newest: BTreeMap<u64, i64>,
}

impl Model {
    fn append(&mut self, samples: &[(u64, i64, u8)]) {
        for (number, offset, value) in samples {
            let newest = self.newest.entry(*number).or_insert(i64::MIN);
            if *offset >= newest.saturating_sub(600_000) {
                let key = (name("samples", *number).to_string(), *offset);
                self.content.samples.entry(key).or_insert(f64::from(*value).to_bits());
                *newest = (*newest).max(*offset);
            }
        }
    }

    fn apply(&mut self, next: u64, events: &[(u64, i64, u8, bool)]) {
        self.content.applied = Some(next);
        for (number, offset, count, late) in events {
            let labels = name("events", *number).to_string();
            let second = (NOW + offset + 999).div_euclid(1000) * 1000 - NOW;
            *self.content.events.entry((labels.clone(), second)).or_default() += u64::from(*count);
            *self.content.totals.entry(labels).or_default() += if *late { 0 } else { u64::from(*count) };
            let observed = self.content.observed.entry(name("latency", *number).to_string()).or_default();
            observed.0 += 1;
            observed.1 += if *late { 0 } else { u64::from(*count) };
        }
    }
}

fn sample_batch(samples: &[(u64, i64, u8)]) -> SampleBatch {
    let mut batch = SampleBatch::new(at(500_000));
    for (number, offset, value) in samples {
        let series = batch.series(SeriesKind::Samples(MetricType::Gauge), &name("samples", *number));
        batch.push(series, at(*offset), f64::from(*value));
    }
    batch
}

fn derived(first_offset: u64, next_offset: u64, events: &[(u64, i64, u8, bool)]) -> Derived {
    let source = SourcePosition { queue: "logs".into(), epoch: 1, partition: 0, first_offset, next_offset };
    let mut derived = Derived::new(source);
    for (number, offset, count, late) in events {
        let (count, late, time) = (f64::from(*count), *late, at(*offset));
        derived.increments.push(Increment { labels: name("events", *number), at: time, count, late });
        derived.observations.push(Observation { labels: name("latency", *number), at: time, value: count, late });
    }
    derived
}

/// Lives the steps; gives the model after each acknowledged one.
fn live(dir: &Path, steps: &[Step]) -> (Engine, Model) {
    let (mut engine, mut model) = (open(dir).0, Model::default());
    let mut offset = 0;
    for step in steps {
        match step {
            Step::Append(samples) => {
                engine.append_samples(&sample_batch(samples)).expect("appends");
                model.append(samples);
            }
            Step::Apply(events) => {
                let next = offset + events.len() as u64 + 1;
                assert!(!engine.apply(&derived(offset, next, events)).expect("applies").known);
                assert!(engine.apply(&derived(offset, next, events)).expect("applies").known);
                model.apply(next, events);
                offset = next;
            }
            Step::Checkpoint => engine.checkpoint().expect("checkpoints"),
            Step::TakeOver => engine.take_over(|| true),
            Step::Crash => {
                drop(engine);
                let report;
                (engine, report) = open(dir);
                assert_eq!(report.damages, []);
                assert_eq!((report.records_missing, report.orphans), (0, 0));
            }
        }
    }
    (engine, model)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// All of `got` is in `whole`, with no greater counts.
fn is_part_of(got: &Content, whole: &Content) -> bool {
    got.samples.iter().all(|(key, bits)| whole.samples.get(key) == Some(bits))
        && got.events.iter().all(|(key, count)| whole.events.get(key).is_some_and(|all| count <= all))
        && got.totals.iter().all(|(key, count)| whole.totals.get(key).is_some_and(|all| count <= all))
        && got.observed.iter().all(|(key, (count, sum))| {
            whole.observed.get(key).is_some_and(|(all, all_sum)| count <= all && sum <= all_sum)
        })
        && got.applied <= whole.applied
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn lives_with_crashes_are_exact(steps in prop::collection::vec(step(), 1..40)) {
        let dir = tempfile::tempdir().expect("a folder");
        let (engine, model) = live(dir.path(), &steps);
        prop_assert_eq!(content(&engine), model.content.clone());
        drop(engine);
        prop_assert_eq!(content(&open(dir.path()).0), model.content);
    }

    /// A file is cut anywhere: what is left is a true part, and what the queue gives again makes it whole.
    #[test]
    fn a_cut_log_is_continued_from_the_queue(
        steps in prop::collection::vec(step(), 1..30), cut in 0.0f64..1.0,
    ) {
        let dir = tempfile::tempdir().expect("a folder");
        let (engine, model) = live(dir.path(), &steps);
        drop(engine);
        let last = files(dir.path()).into_iter().rfind(|path| path.extension().is_some_and(|e| e == "log")).expect("a log");
        let bytes = std::fs::read(&last).expect("reads");
        std::fs::write(&last, &bytes[..(bytes.len() as f64 * cut) as usize]).expect("writes");
        let (engine, report) = open(dir.path());
        prop_assert!(report.damages.iter().all(|damage| damage.torn_tail));
        let got = content(&engine);
        prop_assert!(is_part_of(&got, &model.content), "{:?} of {:?}", got, model.content);
        let mut offset = 0;
        for step in &steps {
            match step {
                Step::Apply(events) => {
                    let next = offset + events.len() as u64 + 1;
                    engine.apply(&derived(offset, next, events)).expect("applies");
                    offset = next;
                }
                Step::Append(samples) => { engine.append_samples(&sample_batch(samples)).expect("appends"); }
                Step::Checkpoint | Step::Crash | Step::TakeOver => {}
            }
        }
        prop_assert_eq!(content(&engine), model.content);
    }

    /// A bit flips anywhere: it is told, nothing is counted twice, and the engine lives on.
    #[test]
    fn a_flipped_bit_is_found(
        steps in prop::collection::vec(step(), 1..30), file in any::<prop::sample::Index>(), place in 0.0f64..1.0, bit in 0u8..8,
    ) {
        let dir = tempfile::tempdir().expect("a folder");
        let (engine, model) = live(dir.path(), &steps);
        engine.sync().expect("syncs");
        drop(engine);
        let candidates: Vec<PathBuf> = files(dir.path()).into_iter().filter(|path| path.extension().is_some()).collect();
        let path = &candidates[file.index(candidates.len())];
        let mut bytes = std::fs::read(path).expect("reads");
        let place = ((bytes.len() as f64 * place) as usize).min(bytes.len() - 1);
        bytes[place] ^= 1 << bit;
        std::fs::write(path, &bytes).expect("writes");
        match Engine::open(config(dir.path()), at(0)) {
            Ok((engine, report)) => {
                let got = content(&engine);
                prop_assert!(is_part_of(&got, &model.content), "{:?} of {:?}", got, model.content);
                if got != model.content {
                    prop_assert!(!report.damages.is_empty());
                }
                let before = engine.applied("logs", 1, 0).unwrap_or(0);
                engine.apply(&derived(before, before + 1, &[(1, 0, 1, false)])).expect("applies");
                drop(engine);
                prop_assert_eq!(open(dir.path()).0.applied("logs", 1, 0), Some(before + 1));
            }
            // The version of a head may have become a newer one.
            Err(error) => prop_assert!(matches!(error, OpenError::NewerVersion { .. }), "{error}"),
        }
    }
}

/// The power goes: of each file only what an fdatasync covered is left. The report of `append_samples` covers all
/// before it, so whatever stands in the folder at that moment must be enough.
#[test]
fn what_is_durable_is_there_after_a_power_cut() {
    let dir = tempfile::tempdir().expect("a folder");
    let image = tempfile::tempdir().expect("a folder");
    let (engine, _) = open(dir.path());
    engine.apply(&derived(0, 5, &[(1, 0, 3, false)])).expect("applies");
    engine.append_samples(&sample_batch(&[(1, 0, 9)])).expect("appends");
    assert_eq!(engine.durable_offset("logs", 1, 0), Some(5), "the sync of the samples covered the counts before");
    for path in files(dir.path()).iter().filter(|path| path.extension().is_some()) {
        std::fs::copy(path, image.path().join(path.file_name().expect("a name"))).expect("copies");
    }
    // Applied, but not synced: lost with the power, together with its offset.
    engine.apply(&derived(5, 9, &[(1, 0, 4, false)])).expect("applies");
    assert_eq!(engine.durable_offset("logs", 1, 0), Some(5));
    assert_eq!(engine.applied("logs", 1, 0), Some(9));
    let (after, _) = open(image.path());
    assert_eq!(after.applied("logs", 1, 0), Some(5));
    after.apply(&derived(5, 9, &[(1, 0, 4, false)])).expect("applies");
    assert_eq!(content(&after), content(&engine));
}

#[test]
fn the_snapshot_before_serves_when_the_newest_is_damaged() {
    let dir = tempfile::tempdir().expect("a folder");
    let (engine, _) = open(dir.path());
    for round in 0..4u64 {
        engine.apply(&derived(round * 10, round * 10 + 10, &[(round, 1000, 5, false)])).expect("applies");
        engine.append_samples(&sample_batch(&[(round, 1000, 7)])).expect("appends");
        engine.checkpoint().expect("checkpoints");
    }
    engine.append_samples(&sample_batch(&[(9, 2000, 7)])).expect("appends");
    let whole = content(&engine);
    drop(engine);
    let snapshots: Vec<PathBuf> =
        files(dir.path()).into_iter().filter(|path| path.extension().is_some_and(|e| e == "snap")).collect();
    assert_eq!(snapshots.len(), 2, "one newest, one before");
    let mut bytes = std::fs::read(&snapshots[1]).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&snapshots[1], bytes).expect("writes");
    let (engine, report) = open(dir.path());
    assert_eq!(report.snapshot.as_deref(), Some(&*snapshots[0]));
    let damaged: Vec<&PathBuf> = report.replaced.iter().map(|damage| &damage.file).collect();
    assert_eq!((damaged, report.damages, report.losses), (vec![&snapshots[1]], vec![], vec![]));
    assert_eq!(content(&engine), whole);
    assert_eq!((engine.stats().losses, engine.stats().recovered_damages), (None, 1));
    drop(engine);
    assert_eq!(open(dir.path()).1.replaced, [], "another has its place");
}

#[test]
fn a_snapshot_of_the_first_version_is_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let before = {
        let (engine, _) = open(dir.path());
        for offset in 0..200 {
            let source = SourcePosition {
                queue: "logs".into(),
                epoch: 1,
                partition: 0,
                first_offset: offset,
                next_offset: offset + 1,
            };
            let mut derived = Derived::new(source);
            let (labels, when) = (name("hits_total", offset % 7), at(offset as i64 * 1000));
            derived.increments.push(Increment { labels, at: when, count: 1.0, late: offset % 9 == 0 });
            engine.apply(&derived).expect("applies");
            if offset == 100 {
                engine.checkpoint().expect("checkpoints");
            }
        }
        content(&engine)
    };
    // Magic number, version, a number of eight bytes, checksum: the head of a snapshot. Beside that number nothing has
    // changed for what the first version could hold of this (see `old_histograms.rs` and `old_log.rs` for the rest).
    let mut heads = 0;
    for file in std::fs::read_dir(dir.path()).expect("the folder is there").flatten() {
        let mut bytes = std::fs::read(file.path()).expect("a file");
        if bytes.starts_with(b"WFSNP") {
            assert_eq!(bytes[6..8], 10u16.to_le_bytes());
            bytes[6..8].copy_from_slice(&1u16.to_le_bytes());
            let checksum = crc32fast::hash(&bytes[..16]);
            bytes[16..20].copy_from_slice(&checksum.to_le_bytes());
            std::fs::write(file.path(), bytes).expect("the file can be written");
            heads += 1;
        }
    }
    assert!(heads >= 1, "{heads} files");
    let (engine, report) = open(dir.path());
    assert_eq!(report.damages, []);
    assert_eq!(content(&engine), before);
}

#[test]
fn a_folder_belongs_to_one_and_a_newer_version_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let (engine, _) = open(dir.path());
    assert!(matches!(Engine::open(config(dir.path()), at(0)), Err(OpenError::Locked { .. })));
    engine.append_samples(&sample_batch(&[(1, 0, 9)])).expect("appends");
    drop(engine);
    let log = files(dir.path()).into_iter().find(|path| path.extension().is_some_and(|e| e == "log")).expect("a log");
    let mut bytes = std::fs::read(&log).expect("reads");
    bytes[6] = 10;
    let crc = crc32fast::hash(&bytes[..16]).to_le_bytes();
    bytes[16..20].copy_from_slice(&crc);
    std::fs::write(&log, bytes).expect("writes");
    assert!(matches!(Engine::open(config(dir.path()), at(0)), Err(OpenError::NewerVersion { version: 10, .. })));
}

/// Overwrites a stretch in the middle of the newest log with zeros.
fn punch_a_hole(dir: &Path) {
    let log = files(dir).into_iter().rfind(|path| path.extension().is_some_and(|e| e == "log")).expect("a log");
    let mut bytes = std::fs::read(&log).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 20].fill(0);
    std::fs::write(&log, bytes).expect("writes");
}

fn twenty_batches(dir: &Path, synced: bool) -> Content {
    let (engine, _) = Engine::open(EngineConfig::new(dir), at(0)).expect("opens");
    for batch in 0..20u64 {
        engine.apply(&derived(batch, batch + 1, &[(batch % 3, batch as i64 * 1000, 1, false)])).expect("applies");
    }
    if synced {
        engine.sync().expect("syncs");
        // The record that tells that the ones before it were durable.
        engine.apply(&derived(20, 21, &[])).expect("applies");
    }
    content(&engine)
}

/// The power goes before a sync, and of the unsynced pages a middle one is lost: the queue makes it whole.
#[test]
fn a_hole_in_what_was_not_durable_is_left_to_the_queue() {
    let dir = tempfile::tempdir().expect("a folder");
    let whole = twenty_batches(dir.path(), false);
    punch_a_hole(dir.path());
    for _ in 0..2 {
        let (engine, report) = Engine::open(EngineConfig::new(dir.path()), at(0)).expect("opens");
        let applied = engine.applied("logs", 1, 0).expect("something was applied");
        assert!(applied > 0 && applied < 20, "{report:?}");
        assert_eq!(content(&engine).totals.values().sum::<u64>(), applied);
        assert_eq!((report.records_lost, report.losses), (0, vec![]), "the queue has them all");
        assert_eq!(engine.stats().losses, None);
    }
    let (engine, _) = Engine::open(EngineConfig::new(dir.path()), at(0)).expect("opens");
    for batch in engine.applied("logs", 1, 0).expect("something")..20 {
        engine.apply(&derived(batch, batch + 1, &[(batch % 3, batch as i64 * 1000, 1, false)])).expect("applies");
    }
    assert_eq!(content(&engine), whole);
    drop(engine);
    let (engine, report) = Engine::open(EngineConfig::new(dir.path()), at(0)).expect("opens");
    assert_eq!((report.damages, report.records_missing), (vec![], 0), "it was settled the first time");
    assert_eq!(content(&engine), whole);
}

/// Bytes of the durable part go bad: the rest is served, the loss is told, nothing is counted twice.
#[test]
fn a_hole_in_what_was_durable_costs_only_itself() {
    let dir = tempfile::tempdir().expect("a folder");
    let whole = twenty_batches(dir.path(), true);
    punch_a_hole(dir.path());
    let (engine, report) = Engine::open(EngineConfig::new(dir.path()), at(0)).expect("opens");
    assert_eq!(engine.applied("logs", 1, 0), Some(21));
    assert!(!report.damages.is_empty() && report.records_left_to_queue == 0);
    assert_eq!(
        (report.records_lost, engine.stats().lost_records_total),
        (report.records_missing, report.records_missing)
    );
    let (got, wanted) = (content(&engine), whole);
    assert!(is_part_of(&got, &wanted));
    let losses = engine.stats().losses.expect("something is lost");
    let text = std::fs::read_to_string(&losses.file).expect("it is written down");
    assert_eq!((losses.places, report.losses.len()), (report.damages.len() as u64, report.damages.len()), "{text}");
    for damage in &report.losses {
        let name = damage.file.file_name().expect("a name").display();
        assert!(text.contains(&format!("{name} at byte {}", damage.offset)), "{text}");
    }
    let missing = wanted.totals.values().sum::<u64>() - got.totals.values().sum::<u64>();
    assert_eq!(missing, report.records_missing);
    // Who restores a backup of it is told as well.
    let copy = dir.path().join("copy");
    engine.backup_to(&copy).expect("backs up");
    let of_copy = open(&copy).0.stats().losses.expect("told");
    assert_eq!((of_copy.since, of_copy.places), (losses.since, losses.places));
}

fn said<'a>(declared: FamilyType, help: &'a str, unit: &'a str) -> Said<'a> {
    Said { family: "temp_celsius", declared, help, unit }
}

/// What was said last about a metric is there after every kind of end, also when the snapshot knows better than the
/// first half of the log, and the second half better than the snapshot.
#[test]
fn what_is_said_about_a_metric_outlives_a_crash() {
    let dir = tempfile::tempdir().expect("a folder");
    let (engine, _) = open(dir.path());
    let mut batch = SampleBatch::new(at(0));
    let series = batch.series(SeriesKind::Samples(MetricType::Untyped), &name("temp_celsius", 1));
    batch.push(series, at(0), 21.5);
    engine.append_samples(&batch).expect("appends");
    let long = "x".repeat(10_000);
    let gauge = SeriesKind::Samples(MetricType::Gauge);
    let counter = SeriesKind::Samples(MetricType::Counter);
    let untyped = SeriesKind::Samples(MetricType::Untyped);
    let (unknown, celsius) = (FamilyType::Unknown, Some("celsius"));
    let steps = [
        (said(FamilyType::Gauge, "", ""), gauge, None, None),
        (said(unknown, "How warm it is.", ""), gauge, Some("How warm it is."), None),
        (said(FamilyType::Counter, "How warm.", "celsius"), counter, Some("How warm."), celsius),
        (said(unknown, &long, &long), counter, long.get(..4096), long.get(..256)),
        (said(FamilyType::StateSet, "", "celsius"), gauge, long.get(..4096), celsius),
        (said(FamilyType::Histogram, "", ""), untyped, long.get(..4096), celsius),
    ];
    let mut declared = FamilyType::Unknown;
    let mut engine = engine;
    for (number, (said, kind, help, unit)) in steps.into_iter().enumerate() {
        engine.describe([said].into_iter()).expect("written");
        let logged = engine.stats().log_bytes;
        engine.describe([said].into_iter()).expect("known");
        assert_eq!(engine.stats().log_bytes, logged, "a repetition is not logged");
        if number == 1 {
            engine.checkpoint().expect("a snapshot");
        }
        drop(engine);
        let report;
        (engine, report) = open(dir.path());
        assert_eq!((report.damages, report.records_missing), (vec![], 0), "step {number}");
        if said.declared != FamilyType::Unknown {
            declared = said.declared;
        }
        let told = engine.family_of("temp_celsius").expect("a family");
        assert_eq!(
            (told.declared, told.kind, told.help.as_deref(), told.unit.as_deref()),
            (declared, kind, help, unit)
        );
        assert_eq!(engine.metric_kind("temp_celsius"), Some(kind));
    }
    // Of what has no series nothing is kept.
    engine.describe([Said { family: "absent", ..said(FamilyType::Gauge, "x", "") }].into_iter()).expect("passed over");
    assert_eq!(engine.family_of("absent"), None);
}

/// The parts of a family are known by it, from before they have series until the last of them has gone.
#[test]
fn what_is_said_of_a_family_holds_for_its_parts() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut engine, _) = open(dir.path());
    let said = |family, declared| Said { family, declared, help: "How long.", unit: "seconds" };
    let all = [
        said("took_seconds", FamilyType::Histogram),
        said("hits", FamilyType::Counter),
        said("plain", FamilyType::Counter),
        said("other", FamilyType::Summary),
    ];
    let logged = engine.stats().log_bytes;
    engine.describe(all.into_iter()).expect("passed over");
    assert!(engine.families("").is_empty() && engine.stats().log_bytes == logged, "none has series");
    let names = ["took_seconds_bucket", "took_seconds_sum", "hits_total", "plain", "plain_total", "other_bucket"];
    let mut batch = SampleBatch::new(at(0));
    for metric in names {
        let series = batch.series(SeriesKind::Samples(MetricType::Untyped), &name(metric, 1));
        batch.push(series, at(0), 1.0);
    }
    engine.append_samples(&batch).expect("appends");
    engine.describe(all.into_iter()).expect("written");
    for is_again in [false, true] {
        if is_again {
            drop(engine);
            engine = open(dir.path()).0;
        }
        let logged = engine.stats().log_bytes;
        engine.describe(all.into_iter()).expect("known");
        assert_eq!(engine.stats().log_bytes, logged, "a repetition is not logged");
        let told =
            |family: watchfire_engine::FamilyInfo| (family.name.to_string(), family.declared, family.unit.is_some());
        let wanted = [
            ("hits", FamilyType::Counter, true),
            ("other_bucket", FamilyType::Unknown, false),
            ("plain", FamilyType::Counter, true),
            ("plain_total", FamilyType::Unknown, false),
            ("took_seconds", FamilyType::Histogram, true),
        ];
        let wanted = wanted.map(|(name, declared, has_unit)| (name.to_owned(), declared, has_unit));
        assert_eq!(engine.families("").into_iter().map(told).collect::<Vec<_>>(), wanted);
        let metrics: Vec<_> =
            engine.metrics("").into_iter().map(|metric| (metric.name, metric.kind.as_str())).collect();
        let wanted = ["counter", "untyped", "counter", "untyped", "counter", "counter"];
        let mut sorted = names;
        sorted.sort_unstable();
        assert_eq!(metrics, sorted.map(str::to_owned).into_iter().zip(wanted).collect::<Vec<_>>());
        assert_eq!(engine.metric_kind("took_seconds"), None, "no series bears the family's name");
        let of_part = engine.family_of("took_seconds_sum").expect("its family");
        assert_eq!((&*of_part.name, of_part.help.as_deref()), ("took_seconds", Some("How long.")));
    }
    let matcher = |metric: &str| [Matcher::equal("__name__", metric)];
    let ever = TimeRange { start: at(-1), end: at(1) };
    let mut seconds = 0..;
    for (metric, is_left) in [("took_seconds_bucket", true), ("took_seconds_sum", false)] {
        engine.delete(&matcher(metric), ever).expect("deleted");
        // Each shard has its turn.
        seconds.by_ref().take(1000).for_each(|second| engine.tick(at(second * 1000)));
        assert_eq!(engine.family_of("took_seconds").is_some(), is_left, "{metric}");
    }
}
