//! The process dies where blocks are written, named and deleted. (A binary of its own: a process that another test starts
//! holds the locks of open engines for a moment.)

mod blocks_world;

use std::path::PathBuf;

use watchfire_test_support::crash::dies_at;

use blocks_world::*;

/// Where the child does its work.
const DIR: &str = "ENGINE_BLOCKS_DIR";

/// Runs in a process of its own, started by the test below.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    let (engine, _) = open(&dir, 0);
    for hour in 0..60 {
        append(&engine, hour * HOUR_MS, (hour + 1) * HOUR_MS);
        std::fs::write(dir.join("acknowledged"), (hour + 1).to_string()).expect("writable");
        engine.tick(at((hour + 1) * HOUR_MS));
        if hour % 7 == 6 {
            engine.checkpoint().expect("snapshot");
        }
    }
}

#[test]
fn wherever_the_process_dies_every_sample_is_there_once() {
    for place in ["engine.block_write", "engine.block_swap", "engine.block_delete", "engine.snapshot_rename"] {
        for hit in [1, 2, 3] {
            let dir = tempfile::tempdir().expect("a folder");
            assert!(dies_at("child", DIR, dir.path(), &format!("{place}:{hit}")), "{place}:{hit}");
            let hours = std::fs::read_to_string(dir.path().join("acknowledged")).expect("there");
            let hours: i64 = hours.parse().expect("a number");
            let (engine, report) = open(dir.path(), hours * HOUR_MS);
            assert_eq!(report.damages.iter().filter(|damage| !damage.torn_tail).count(), 0, "{report:?}");
            for number in 0..ALL {
                let wanted = appended(number, 0, hours * HOUR_MS);
                assert_eq!(held(&engine, number, -1, hours * HOUR_MS), wanted, "{place}:{hit}");
            }
            // What the crash left and nothing names goes in time.
            live(&engine, hours..hours + 30);
            engine.checkpoint().expect("snapshot");
            let sizes: u64 = block_files(dir.path()).iter().map(|path| path.metadata().expect("there").len()).sum();
            assert_eq!(sizes, engine.stats().block_bytes, "{place}:{hit}");
        }
    }
}
