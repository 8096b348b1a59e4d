//! Counts that have left the memory window lie on disk, and nobody who asks can tell: against an engine that keeps all of
//! them in memory, over late counts, backfills, ages, snapshots, restarts and crashes.

mod counts_world;
mod pair;

use proptest::prelude::*;
use watchfire_engine::{Engine, TimeRange};
use watchfire_model::Matcher;

use counts_world::*;
use pair::{Pair, steps};

#[test]
fn days_of_counts_lie_on_disk_until_the_retention() {
    Pair::new().lives_for_days(130, 3);
}

#[test]
fn late_counts_take_little_memory_and_are_written_once_in_hours() {
    let dir = tempfile::tempdir().expect("a folder");
    let (engine, _) = open(dir.path(), BLOCKS, 0);
    live(&engine, 0..100);
    let now = 100 * HOUR_MS;
    let before = engine.stats();
    // Each second a late count, anywhere in the days before.
    let mut random = Random(3);
    for second in 0..3000 {
        push(&engine, now, 0, std::iter::once(now - HOUR_MS - random.below(80 * HOUR_MS)));
        engine.tick(at(now + second * 1000));
    }
    engine.sweep_all(at(now + 3_000_000));
    let stats = engine.stats();
    assert!(stats.memory_bytes < before.memory_bytes + 64 * 3000, "{before:?} then {stats:?}");
    assert_eq!(stats.block_bytes, before.block_bytes, "nothing is written for a single count");
    // They are merged at the next turn.
    live(&engine, 101..112);
    let merged = engine.stats();
    assert!(merged.block_files > 0 && merged.memory_bytes < stats.memory_bytes, "{stats:?} then {merged:?}");
}

#[test]
fn when_memory_is_short_counts_go_to_disk_and_none_is_lost() {
    let dirs = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let limited = {
        let mut config = config(dirs[0].path(), MEMORY);
        config.memory_limit_bytes = 100_000;
        Engine::open(config, at(0)).expect("opens").0
    };
    let unlimited = open(dirs[1].path(), MEMORY, 0).0;
    for hour in 0..60 {
        for engine in [&limited, &unlimited] {
            live(engine, hour..hour + 1);
            let back = (hour / 2) * HOUR_MS;
            late(engine, 1, times(0, back, back + 600_000));
            push(engine, (hour + 1) * HOUR_MS, 0, times(0, back, back + 60_000));
        }
        let stats = limited.stats();
        assert!(stats.memory_bytes < 130_000, "{stats:?}");
    }
    assert_eq!(limited.stats().pruned_early_total, 0);
    let now = 60 * HOUR_MS;
    for (start, end) in windows(now, 60, &mut Random(5)) {
        assert_eq!(told(&limited, start, end), told(&unlimited, start, end), "{start} to {end}");
    }
}

/// What the series have counted live, and whether all of it is known.
fn sum(engine: &Engine, now: i64) -> (f64, bool) {
    let counted = engine.counted("events_total", TimeRange { start: at(-1000), end: at(now) }).expect("selects");
    (counted.iter().map(|counted| counted.live).sum(), counted.iter().all(|counted| counted.whole))
}

/// Increases and totals alone.
fn without_seconds(told: &[String]) -> Vec<&str> {
    told.iter().filter_map(|line| Some(line.split_once("increase")?.1.split_once(" buckets")?.0)).collect()
}

#[test]
fn a_damaged_block_costs_its_own_counts() {
    for damage in ["flipped", "cut", "gone"] {
        let dir = tempfile::tempdir().expect("a folder");
        let (engine, _) = open(dir.path(), BLOCKS, 0);
        live(&engine, 0..90);
        let now = 90 * HOUR_MS;
        let (of_all, of_last) = (told(&engine, 0, now), told(&engine, now - 12 * HOUR_MS, now));
        let (all, whole) = sum(&engine, now);
        assert!(whole);
        engine.close().expect("closes");
        drop(engine);
        let files = block_files(dir.path());
        let middle = &files[files.len() / 2];
        let mut bytes = std::fs::read(middle).expect("readable");
        (20..bytes.len()).step_by(50).for_each(|at| bytes[at] ^= 0x40);
        match damage {
            "flipped" => std::fs::write(middle, bytes).expect("writable"),
            "cut" => std::fs::write(middle, &bytes[..20]).expect("writable"),
            _ => std::fs::remove_file(middle).expect("removable"),
        }
        let (engine, report) = open(dir.path(), BLOCKS, now);
        assert_eq!(report.damages.len(), usize::from(damage == "gone"), "{report:?}");
        let (left, whole) = sum(&engine, now);
        assert!(left < all && left > all / 4.0 && !whole, "{damage}: {left} of {all}");
        assert!(damage == "gone" || engine.stats().block_damaged_samples > 0);
        // The running total knows them all the same, and what is behind them is as it was.
        assert_eq!(told(&engine, now - 12 * HOUR_MS, now), of_last, "{damage}");
        assert_eq!(without_seconds(&told(&engine, 0, now)), without_seconds(&of_all), "{damage}");
        // Windows into them have what is left, and never more than there was.
        for (start, end) in windows(now, 40, &mut Random(2)) {
            let found = engine.select(&[Matcher::equal("n", "0")], TimeRange { start: at(start), end: at(end) });
            for view in found.expect("selects") {
                let increase = view.increase(at(start), at(end)).unwrap_or(0.0);
                let most: f64 = times(0, start - 1000, end + 1000).map(|time| count(0, time)).sum();
                assert!((0.0..=most).contains(&increase), "{damage}: {increase} of {most} in {start} to {end}");
            }
        }
        // So it is after a snapshot that was taken since, and another start.
        engine.checkpoint().expect("snapshot");
        drop(engine);
        let (engine, report) = open(dir.path(), BLOCKS, now);
        assert_eq!(report.damages, [], "{damage}");
        assert_eq!(sum(&engine, now), (left, false), "{damage}");
        assert_eq!(told(&engine, now - 12 * HOUR_MS, now), of_last, "{damage}");
        assert_eq!(without_seconds(&told(&engine, 0, now)), without_seconds(&of_all), "{damage}");
        // It goes on, with late counts for what cannot be read.
        push(&engine, now, 0, times(0, 0, now).step_by(600));
        live(&engine, 90..110);
        let pushed: f64 = times(0, 0, now).step_by(600).map(|time| count(0, time)).sum();
        let new: f64 = (0..SERIES).flat_map(|n| times(n, now, 110 * HOUR_MS).map(move |time| count(n, time))).sum();
        let (sum, _) = sum(&engine, 110 * HOUR_MS);
        assert!((sum - left - pushed - new).abs() < 1e-6, "{damage}: {sum} of {left} and {pushed} and {new}");
    }
}

#[test]
fn without_room_on_disk_counts_stay_in_memory() {
    Pair::new().lives_without_room();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn nobody_can_tell_where_counts_lie(steps in steps(), seed in any::<u64>()) {
        Pair::new().run(steps, seed);
    }
}
