//! The process dies where blocks are written, named and deleted. (For binaries that have nothing else: a process that another
//! test starts holds the locks of open engines for a moment.)

use std::path::PathBuf;

use watchfire_engine::Engine;
use watchfire_test_support::crash::dies_at;

// What a world is.
use super::{
    BLOCKS, HOUR_MS, MEMORY, MINUTE_MS, Random, SWEEPS, at, block_files, fill, late, live, open, push, times, told,
    windows,
};

/// Where the child does its work.
const DIR: &str = "ENGINE_DYING_DIR";

/// What comes in an hour beside what is live: what is late, and hours that are filled, far back.
fn past(engine: &Engine, hour: i64) {
    let back = (hour - 1 - hour * 7 % 40).max(0) * HOUR_MS;
    late(engine, 1, times(0, back, back + 20 * MINUTE_MS));
    late(engine, 0, times(2, back, back + HOUR_MS));
    push(engine, (hour + 1) * HOUR_MS, 0, times(1, back, back + 10 * MINUTE_MS));
    if hour % 5 == 4 {
        let first = (hour - 2 - hour * 11 % 30).max(0);
        fill(engine, 0, first..first + 2, times(1, first * HOUR_MS, (first + 2) * HOUR_MS));
    }
}

fn an_hour(engine: &Engine, hour: i64) {
    live(engine, hour..hour + 1);
    past(engine, hour);
    engine.sync().expect("durable");
}

/// Runs in a process of its own, started by the test below.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    let (engine, _) = open(&dir, BLOCKS, 0);
    for hour in 0..70 {
        an_hour(&engine, hour);
        if hour % 7 == 6 {
            engine.checkpoint().expect("snapshot");
        }
        std::fs::write(dir.join("acknowledged"), (hour + 1).to_string()).expect("writable");
    }
}

#[test]
fn wherever_the_process_dies_everything_is_there_once() {
    for place in [
        "engine.block_write",
        "engine.block_swap",
        "engine.block_delete",
        "engine.snapshot_write",
        "engine.snapshot_rename",
    ] {
        for hit in [1, 2, 4] {
            let dir = tempfile::tempdir().expect("a folder");
            assert!(dies_at("dying::child", DIR, dir.path(), &format!("{place}:{hit}")), "{place}:{hit}");
            let hours = std::fs::read_to_string(dir.path().join("acknowledged")).expect("there");
            let hours: i64 = hours.parse().expect("a number");
            let (engine, report) = open(dir.path(), BLOCKS, hours * HOUR_MS);
            assert_eq!(report.damages.iter().filter(|damage| !damage.torn_tail).count(), 0, "{report:?}");
            let model_dir = tempfile::tempdir().expect("a folder");
            let model = open(model_dir.path(), MEMORY, 0).0;
            (0..hours).for_each(|hour| an_hour(&model, hour));
            // The hour in which it died: in a tick, before the past of it came, or after all of it.
            let records = |engine: &Engine| engine.applied("logs", 1, 0).unwrap_or(0);
            match records(&engine) - records(&model) {
                0 => {}
                1 => live(&model, hours..hours + 1),
                _ => an_hour(&model, hours),
            }
            let now = (hours + 1) * HOUR_MS;
            if SWEEPS {
                [&engine, &model].into_iter().for_each(|engine| engine.sweep_all(at(now)));
            }
            for (start, end) in windows(now, 30, &mut Random(hit)) {
                assert_eq!(told(&engine, start, end), told(&model, start, end), "{place}:{hit}, {start} to {end}");
            }
            // What the crash left and nothing names goes in time.
            live(&engine, hours + 1..hours + 30);
            engine.checkpoint().expect("snapshot");
            engine.checkpoint().expect("snapshot");
            let sizes: u64 = block_files(dir.path()).iter().map(|path| path.metadata().expect("there").len()).sum();
            assert_eq!(sizes, engine.stats().block_bytes, "{place}:{hit}");
        }
    }
}
