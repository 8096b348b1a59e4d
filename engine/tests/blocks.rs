//! What has left the memory window lies on disk, and nobody who asks can tell: against a sorted map, over appends,
//! imports, deletions, ages, snapshots, restarts and crashes.

mod blocks_world;

use proptest::prelude::*;
use std::collections::BTreeMap;
use watchfire_engine::{Engine, MetricType, SampleBatch, SeriesKind, TimeRange};
use watchfire_model::Matcher;

use blocks_world::*;

#[test]
fn days_lie_on_disk_until_the_retention() {
    let dir = tempfile::tempdir().expect("a folder");
    let (engine, _) = open(dir.path(), 0);
    live(&engine, 0..24);
    engine.sweep_all(at(24 * HOUR_MS));
    let of_a_day = engine.stats();
    live(&engine, 24..120);
    engine.sweep_all(at(120 * HOUR_MS));
    let stats = engine.stats();
    assert_eq!(stats.samples, 120 * 60 * ALL);
    assert!(stats.spilled_total >= 100 * 60 * ALL && stats.block_bytes > 0, "{stats:?}");
    assert!(
        stats.memory_bytes < of_a_day.memory_bytes + of_a_day.memory_bytes / 4,
        "a day in memory: {of_a_day:?}, five: {stats:?}"
    );
    let all: Vec<(i64, u64)> =
        (0..120 * HOUR_MS).step_by(60_000).map(|time| (time, value(2, time).to_bits())).collect();
    assert_eq!(read(&engine, 2, -1, 120 * HOUR_MS), all);
    assert_eq!(read(&engine, 2, 60_000, 180_000), all[2..4]);
    for number in [NATIVE, MIXED] {
        assert_eq!(held(&engine, number, -1, 120 * HOUR_MS), appended(number, 0, 120 * HOUR_MS));
        let some = appended(number, HOUR_MS, 3 * HOUR_MS);
        assert_eq!(held(&engine, number, HOUR_MS - 1, 3 * HOUR_MS - 1), some);
    }
    // Days that are over are in one piece each: far fewer files than stretches.
    assert!(stats.block_files < 20, "{stats:?}");

    engine.close().expect("closes");
    drop(engine);
    let (engine, report) = open(dir.path(), 120 * HOUR_MS);
    assert_eq!(report.damages, []);
    assert_eq!(read(&engine, 2, -1, 120 * HOUR_MS), all);
    assert_eq!(held(&engine, NATIVE, -1, 120 * HOUR_MS), appended(NATIVE, 0, 120 * HOUR_MS));

    // What is too old goes, and its files with it.
    live(&engine, 120..240);
    engine.sweep_all(at(240 * HOUR_MS));
    engine.checkpoint().expect("snapshot");
    engine.checkpoint().expect("snapshot");
    let oldest = read(&engine, 2, -1, 240 * HOUR_MS).first().expect("samples").0;
    assert!((64 * HOUR_MS..240 * HOUR_MS - RETENTION_MS + 1).contains(&oldest), "{oldest}");
    let oldest = read_natives(&engine, NATIVE, -1, 240 * HOUR_MS).first().expect("histograms").0;
    assert!((64 * HOUR_MS..240 * HOUR_MS - RETENTION_MS + 1).contains(&oldest), "{oldest}");
    let sizes: u64 = block_files(dir.path()).iter().map(|path| path.metadata().expect("there").len()).sum();
    assert_eq!(sizes, engine.stats().block_bytes);
    assert!(sizes < 2 * stats.block_bytes, "{sizes} after ten days, {} after five", stats.block_bytes);
}

#[test]
fn a_block_that_is_damaged_or_gone_costs_its_own_samples() {
    let dir = tempfile::tempdir().expect("a folder");
    let (engine, _) = open(dir.path(), 0);
    live(&engine, 0..50);
    engine.close().expect("closes");
    drop(engine);
    let files = block_files(dir.path());
    assert!(files.len() > 2, "{files:?}");
    // Those before are merged already, and wait to be deleted.
    let [.., damaged, gone] = files.as_slice() else { panic!("{files:?}") };
    let mut bytes = std::fs::read(damaged).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(damaged, bytes).expect("writable");
    let (engine, report) = open(dir.path(), 50 * HOUR_MS);
    assert_eq!(report.damages, []);
    let lost = |engine: &Engine, number| {
        let held = held(engine, number, -1, 50 * HOUR_MS);
        appended(number, 0, 50 * HOUR_MS)
            .iter()
            .zip(&held)
            .map(|(all, left)| all.len() - left.len())
            .collect::<Vec<_>>()
    };
    let all_lost: Vec<usize> = (0..ALL).flat_map(|number| lost(&engine, number)).collect();
    let one_lost: usize = all_lost.iter().sum();
    assert_eq!(all_lost.iter().filter(|lost| **lost > 0).count(), 1, "one series has the damage: {all_lost:?}");
    let stats = engine.stats();
    assert!(one_lost < 24 * 60 && stats.block_damaged_samples >= one_lost as u64, "{all_lost:?}");
    assert_eq!(stats.damaged_blocks, std::slice::from_ref(damaged));
    (0..ALL).for_each(|number| drop(lost(&engine, number)));
    assert_eq!(
        engine.stats().block_damaged_samples,
        stats.block_damaged_samples,
        "each once, however often it is read"
    );
    drop(engine);

    std::fs::remove_file(gone).expect("removable");
    let begun = dir.path().join(format!("block-{:020}.blk", 1000));
    std::fs::write(&begun, "WF").expect("writable");
    let (engine, report) = open(dir.path(), 50 * HOUR_MS);
    assert_eq!(report.damages.iter().map(|damage| &damage.file).collect::<Vec<_>>(), [gone]);
    assert!(!begun.exists(), "a crash left it before anything stood in it");
    for number in 0..ALL {
        let lost: usize = lost(&engine, number).iter().sum();
        assert!((1..20 * 60).contains(&lost), "{number}: {lost}");
    }
    drop(engine);
    // What is left is all that there is from then on; what is not there is told by each start.
    let (engine, report) = open(dir.path(), 50 * HOUR_MS);
    assert_eq!(report.damages, []);
    let losses = engine.stats().losses.expect("told");
    let name = gone.file_name().and_then(|name| name.to_str()).expect("ASCII");
    assert!(losses.places == 1 && std::fs::read_to_string(losses.file).expect("there").contains(name));
    (0..ALL).for_each(|number| drop(lost(&engine, number)));
    let read = engine.stats();
    assert_eq!(read.damaged_blocks, std::slice::from_ref(damaged));
    // With the retention the block goes; what could not be read of it stays counted.
    live(&engine, 50..250);
    engine.sweep_all(at(250 * HOUR_MS));
    let after = engine.stats();
    assert_eq!((after.damaged_blocks, after.block_damaged_samples), (Vec::new(), read.block_damaged_samples));
}

#[test]
fn without_room_on_disk_samples_stay_in_memory() {
    let dir = tempfile::tempdir().expect("a folder");
    let (engine, _) = open(dir.path(), 0);
    live(&engine, 0..8);
    // A folder where the next block will be.
    for number in 1..100 {
        std::fs::create_dir(dir.path().join(format!("block-{number:020}.blk"))).expect("makable");
    }
    live(&engine, 8..20);
    let stats = engine.stats();
    assert!(stats.block_failures_total > 0 && stats.spilled_total == 0, "{stats:?}");
    assert_eq!(read(&engine, 1, -1, 20 * HOUR_MS).len(), 20 * 60);
    assert_eq!(read_natives(&engine, NATIVE, -1, 20 * HOUR_MS).len(), 20 * 60);
    for number in 1..100 {
        std::fs::remove_dir(dir.path().join(format!("block-{number:020}.blk"))).expect("removable");
    }
    live(&engine, 20..30);
    assert!(engine.stats().spilled_total > 0);
    assert_eq!(read(&engine, 1, -1, 30 * HOUR_MS).len(), 30 * 60);
    assert_eq!(read_natives(&engine, NATIVE, -1, 30 * HOUR_MS).len(), 30 * 60);
}

#[test]
fn a_backup_has_the_blocks() {
    let dir = tempfile::tempdir().expect("a folder");
    let (engine, _) = open(&dir.path().join("engine"), 0);
    live(&engine, 0..30);
    let copy = dir.path().join("copy");
    engine.backup_to(&copy).expect("backs up");
    let (copied, report) = open(&copy, 30 * HOUR_MS);
    assert_eq!(report.damages, []);
    for number in 0..ALL {
        assert_eq!(held(&copied, number, -1, 30 * HOUR_MS), appended(number, 0, 30 * HOUR_MS));
    }
    assert!(copied.stats().block_files > 0);
}

#[test]
fn what_a_start_leaves_resting_and_what_lies_on_disk_are_seen_together() {
    let dir = tempfile::tempdir().expect("a folder");
    let (engine, _) = open(dir.path(), 0);
    live(&engine, 0..18);
    // Between samples of which some lie on disk.
    let mut batch = SampleBatch::new(at(18 * HOUR_MS)).in_any_order();
    let series = batch.series(SeriesKind::Samples(MetricType::Gauge), &labels(0));
    let imported = (8 * HOUR_MS + 7..15 * HOUR_MS).step_by(60_000).map(|time| (time, (time as f64).to_bits()));
    imported.clone().for_each(|(time, bits)| batch.push(series, at(time), f64::from_bits(bits)));
    engine.append_samples(&batch).expect("imports");
    assert!(engine.stats().block_files > 0);
    drop(engine);
    let [floats, _] = appended(0, 0, 18 * HOUR_MS);
    let all: BTreeMap<i64, u64> = floats.into_iter().chain(imported).collect();
    let (engine, _) = open(dir.path(), 18 * HOUR_MS);
    assert!(read(&engine, 0, -1, 18 * HOUR_MS).into_iter().eq(all));
}

/// What happens to an engine.
#[derive(Clone, Debug)]
enum Step {
    /// Hours with samples.
    Live(i64),
    /// An import into the past: how many minutes ago it ends, how long it is, its first value.
    Import(u64, i64, i64, i64),
    /// A histogram that comes late: of which series, and how many minutes.
    Late(u64, i64),
    /// A deletion: how many minutes ago it ends, how long it is.
    Delete(u64, i64, i64),
    Snapshot,
    /// The process ends; without a snapshot if it is killed.
    Restart {
        killed: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1i64..14).prop_map(Step::Live),
        2 => (0..SERIES, 0i64..7000, 1i64..900, 0i64..100).prop_map(|(n, ago, long, v)| Step::Import(n, ago, long, v)),
        1 => (SERIES..ALL, 0i64..3000).prop_map(|(n, ago)| Step::Late(n, ago)),
        2 => (0..ALL, 0i64..7000, 1i64..3000).prop_map(|(n, ago, long)| Step::Delete(n, ago, long)),
        1 => Just(Step::Snapshot),
        2 => any::<bool>().prop_map(|killed| Step::Restart { killed }),
    ];
    prop::collection::vec(step, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn nobody_can_tell_where_samples_lie(steps in steps()) {
        let dir = tempfile::tempdir().expect("a folder");
        let mut engine = open(dir.path(), 0).0;
        // Of each series its floats, and its histograms.
        let mut model: Vec<[BTreeMap<i64, u64>; 2]> = vec![Default::default(); ALL as usize];
        let mut hour = 0;
        for step in steps {
            let now = hour * HOUR_MS;
            match step {
                Step::Live(hours) => {
                    live(&engine, hour..hour + hours);
                    for (number, model) in (0..).zip(&mut model) {
                        let new = appended(number, now, now + hours * HOUR_MS);
                        model.iter_mut().zip(new).for_each(|(model, new)| model.extend(new));
                    }
                    hour += hours;
                }
                Step::Import(number, ago, long, first) => {
                    let (from, to) = (now - (ago + long) * 60_000 + 7, now - ago * 60_000);
                    let mut batch = SampleBatch::new(at(now)).in_any_order();
                    let series = batch.series(SeriesKind::Samples(MetricType::Gauge), &labels(number));
                    for time in (from..to).step_by(60_000).filter(|time| *time >= now - RETENTION_MS) {
                        let new = (first + time) as f64;
                        batch.push(series, at(time), new);
                        model[number as usize][0].entry(time).or_insert(new.to_bits());
                    }
                    engine.append_samples(&batch).expect("imports");
                }
                Step::Late(number, ago) => {
                    let (time, model) = (now - ago * 60_000 + 7, &mut model[number as usize]);
                    let newest = model.iter().filter_map(|of| of.last_key_value()).map(|(time, _)| *time).max();
                    let mut batch = SampleBatch::new(at(now));
                    let series = batch.series(SeriesKind::Samples(MetricType::Gauge), &labels(number));
                    batch.push_native(series, at(time), histogram(3.0));
                    engine.append_samples(&batch).expect("appends");
                    if newest.is_none_or(|newest| time >= newest - LATE_MS) && time >= now - RETENTION_MS {
                        model[1].insert(time, 3f64.to_bits());
                    }
                }
                Step::Delete(number, ago, long) => {
                    let (after, until) = (now - (ago + long) * 60_000, now - ago * 60_000);
                    let range = TimeRange { start: at(after), end: at(until) };
                    let gone = engine.delete(&[Matcher::equal("n", number.to_string())], range).expect("deletes");
                    let mut wanted = 0;
                    for model in &mut model[number as usize] {
                        let before = model.len();
                        model.retain(|time, _| *time <= after || *time > until);
                        wanted += before - model.len();
                    }
                    prop_assert!(gone as usize >= wanted);
                }
                Step::Snapshot => engine.checkpoint().expect("snapshot"),
                Step::Restart { killed } => {
                    if killed { engine.sync() } else { engine.close() }.expect("durable");
                    drop(engine);
                    let (again, report) = open(dir.path(), now);
                    prop_assert_eq!((report.damages, report.orphans), (vec![], 0));
                    engine = again;
                }
            }
            // What is older than the retention goes some time.
            let (now, kept) = (hour * HOUR_MS, hour * HOUR_MS - RETENTION_MS);
            for (number, model) in (0..).zip(&mut model) {
                for of in model.iter_mut() {
                    *of = of.split_off(&kept);
                }
                let within = |from: i64, to: i64| {
                    let of = |of: &BTreeMap<i64, u64>| of.range(from + 1..=to).map(|(time, bits)| (*time, *bits)).collect::<Vec<_>>();
                    [of(&model[0]), of(&model[1])]
                };
                prop_assert_eq!(held(&engine, number, kept - 1, now + HOUR_MS), within(kept - 1, now + HOUR_MS));
                let part = (kept - 1).max(now - 26 * HOUR_MS);
                prop_assert_eq!(held(&engine, number, part, part + 5 * HOUR_MS), within(part, part + 5 * HOUR_MS));
            }
        }
    }
}
