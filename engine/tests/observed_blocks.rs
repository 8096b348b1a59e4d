//! Observations that have left the memory window lie on disk, and nobody who asks can tell: against an engine that keeps all of
//! them in memory, over late ones, backfills, ages, snapshots, restarts and crashes.

mod observed_world;
mod pair;

use proptest::prelude::*;
use watchfire_engine::{Engine, TimeRange};
use watchfire_model::Matcher;

use observed_world::*;
use pair::{Pair, steps};

#[test]
fn days_of_observations_lie_on_disk_until_the_retention() {
    Pair::new().lives_for_days(115, 2);
}

#[test]
fn late_observations_take_little_memory_and_are_written_once_in_hours() {
    let pair = Pair::new();
    pair.both(|engine| live(engine, 0..100));
    let now = 100 * HOUR_MS;
    let before = pair.of_blocks().stats();
    // Each second a late observation, anywhere in the days before.
    pair.both(|engine| {
        let mut random = Random(3);
        for second in 0..3000 {
            push(engine, now, 0, std::iter::once(now - HOUR_MS - random.below(80 * HOUR_MS)));
            engine.tick(at(now + second * 1000));
        }
        engine.sweep_all(at(now + 3_000_000));
    });
    let stats = pair.of_blocks().stats();
    assert!(stats.memory_bytes < before.memory_bytes + 64 * 3000, "{before:?} then {stats:?}");
    assert_eq!(stats.block_bytes, before.block_bytes, "nothing is written for a single observation");
    pair.check(now, 20, &mut Random(4));
    // They are moved at the next turn, and merged with the days that they belong to.
    pair.both(|engine| live(engine, 101..112));
    let merged = pair.of_blocks().stats();
    assert!(merged.block_files > 0 && merged.memory_bytes < stats.memory_bytes, "{stats:?} then {merged:?}");
    assert!(merged.block_files < 25, "{merged:?}");
    pair.check(112 * HOUR_MS, 20, &mut Random(4));
}

#[test]
fn when_memory_is_short_observations_go_to_disk_and_none_is_lost() {
    let dirs = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let limited = {
        let mut config = config(dirs[0].path(), MEMORY);
        config.memory_limit_bytes = 300_000;
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
        assert!(stats.memory_bytes < 360_000, "{stats:?}");
    }
    let stats = limited.stats();
    assert!(stats.spilled_total > 0 && unlimited.stats().memory_bytes > 2 * stats.memory_bytes, "{stats:?}");
    // Windows of whole minutes: what is finer may be gone. (Times are told as fine as they are known.)
    let without_times = |told: Vec<String>| -> Vec<String> {
        told.into_iter().filter_map(|line| Some(line.split_once(" at [")?.0.to_owned())).collect()
    };
    for (start, end) in windows(60 * HOUR_MS, 60, &mut Random(5)) {
        let (start, end) = (start / MINUTE_MS * MINUTE_MS, end / MINUTE_MS * MINUTE_MS);
        let [of_limited, of_unlimited] = [&limited, &unlimited].map(|engine| without_times(told(engine, start, end)));
        assert_eq!(of_limited, of_unlimited, "{start} to {end}");
    }
}

/// Windows alone.
fn whole_windows(told: &[String]) -> Vec<&str> {
    told.iter().filter_map(|line| Some(line.split_once("window")?.1.split_once(" at [")?.0)).collect()
}

#[test]
fn a_damaged_block_costs_its_own_observations() {
    for damage in ["flipped", "head", "cut", "gone"] {
        let dir = tempfile::tempdir().expect("a folder");
        let (engine, _) = open(dir.path(), BLOCKS, 0);
        live(&engine, 0..90);
        let now = 90 * HOUR_MS;
        let (of_all, of_last) = (told(&engine, -HOUR_MS, now), told(&engine, now - 12 * HOUR_MS, now));
        engine.close().expect("closes");
        drop(engine);
        let files = block_files(dir.path());
        let middle = &files[files.len() / 2];
        let mut bytes = std::fs::read(middle).expect("readable");
        match damage {
            "flipped" => (20..bytes.len()).step_by(50).for_each(|at| bytes[at] ^= 0x40),
            "head" => bytes[3] ^= 0x40,
            _ => bytes.truncate(20),
        }
        if damage == "gone" { std::fs::remove_file(middle) } else { std::fs::write(middle, bytes) }.expect("possible");
        let (mut engine, report) = open(dir.path(), BLOCKS, now);
        let is_told = matches!(damage, "gone" | "head");
        assert_eq!(report.damages.len(), usize::from(is_told), "{report:?}");
        for round in 0..3 {
            let what = format!("{damage}, round {round}");
            engine.sweep_all(at(now));
            // What is behind it is as it was, and so are windows around it, and the running total.
            assert_eq!(told(&engine, now - 12 * HOUR_MS, now), of_last, "{what}");
            assert_eq!(whole_windows(&told(&engine, -HOUR_MS, now)), whole_windows(&of_all), "{what}");
            // Windows into it have what is left, and never more than there was.
            let (mut have, mut had) = (0, 0);
            for (start, end) in windows(now, 40, &mut Random(2)) {
                let (start, end) = (start / MINUTE_MS * MINUTE_MS, end / MINUTE_MS * MINUTE_MS);
                let range = TimeRange { start: at(start), end: at(end) };
                for view in engine.select(&[Matcher::equal("n", "0")], range).expect("selects") {
                    let count = view.histogram(range.start, range.end).map_or(0, |window| window.count());
                    let most =
                        times(0, start - 10_000, end).filter(|time| *time > start && *time <= end).count() as u64;
                    assert!(count <= most, "{what}: {count} of {most} in {start} to {end}");
                    (have, had) = (have + count, had + most);
                }
            }
            assert!(have < had && have > had / 4, "{what}: {have} of {had}");
            assert!(is_told || engine.stats().block_damaged_samples > 0, "{what}");
            match round {
                // A snapshot that was taken since says the same; what is not there is told once.
                0 => engine.checkpoint().expect("snapshot"),
                _ => engine.sync().expect("durable"),
            }
            drop(engine);
            let (again, report) = open(dir.path(), BLOCKS, now);
            assert_eq!(report.damages.len(), 0, "{what}: {report:?}");
            engine = again;
        }
        // It goes on, with observations for what cannot be read.
        push(&engine, now, 0, times(0, 0, now).step_by(600));
        live(&engine, 90..110);
        let all = TimeRange { start: at(-HOUR_MS), end: at(110 * HOUR_MS) };
        let counted = |number: u64| {
            let views = engine.select(&[Matcher::equal("n", number.to_string())], all).expect("selects");
            views.iter().filter_map(|view| view.histogram(all.start, all.end)).map(|window| window.count()).sum::<u64>()
        };
        let wanted = |number: u64| times(number, 0, 110 * HOUR_MS).count() as u64;
        assert_eq!(counted(1), wanted(1), "{damage}");
        assert_eq!(counted(0), wanted(0) + times(0, 0, now).step_by(600).count() as u64, "{damage}");
    }
}

#[test]
fn without_room_on_disk_observations_stay_in_memory() {
    Pair::new().lives_without_room();
}

#[test]
fn a_backup_has_the_observations_in_blocks() {
    let pair = Pair::new();
    pair.both(|engine| live(engine, 0..60));
    let dir = tempfile::tempdir().expect("a folder");
    let copy = dir.path().join("copy");
    pair.of_blocks().backup_to(&copy).expect("backs up");
    let (copied, report) = open(&copy, BLOCKS, 60 * HOUR_MS);
    assert_eq!(report.damages, []);
    assert!(copied.stats().block_files > 0);
    for (start, end) in windows(60 * HOUR_MS, 20, &mut Random(7)) {
        assert_eq!(told(&copied, start, end), told(pair.of_blocks(), start, end), "{start} to {end}");
    }
}

#[test]
fn series_that_end_leave_nothing_on_disk() {
    let dir = tempfile::tempdir().expect("a folder");
    let (engine, _) = open(dir.path(), BLOCKS, 0);
    live(&engine, 0..40);
    assert!(engine.stats().block_files > 0);
    for hour in 41..41 + (RETENTION_MS + DAY_MS) / HOUR_MS {
        engine.tick(at(hour * HOUR_MS));
        engine.sweep_all(at(hour * HOUR_MS));
    }
    assert_eq!(engine.stats().series, 0);
    engine.checkpoint().expect("snapshot");
    engine.checkpoint().expect("snapshot");
    assert_eq!(block_files(dir.path()), Vec::<std::path::PathBuf>::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn nobody_can_tell_where_observations_lie(steps in steps(), seed in any::<u64>()) {
        Pair::new().run(steps, seed);
    }
}
