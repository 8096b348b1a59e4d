//! Engines over days of what they are given, one with a short memory window and one that keeps all.

use std::path::{Path, PathBuf};

use watchfire_engine::{Derived, Engine, EngineConfig, RecoveryReport, SourcePosition};
use watchfire_model::Timestamp;

/// A whole hour, and a whole day.
pub const START: i64 = 19_700 * DAY_MS;
pub const MINUTE_MS: i64 = 60_000;
pub const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 24 * HOUR_MS;
pub const RETENTION_MS: i64 = 6 * DAY_MS;
/// How an engine keeps what is old.
pub const BLOCKS: i64 = 8 * HOUR_MS;
pub const MEMORY: i64 = 2 * RETENTION_MS;

pub fn at(offset_ms: i64) -> Timestamp {
    Timestamp::from_millis(START + offset_ms)
}

pub fn config(dir: &Path, memory_ms: i64) -> EngineConfig {
    EngineConfig { shards: 2, memory_ms, retention_ms: RETENTION_MS, segment_bytes: 100_000, ..EngineConfig::new(dir) }
}

pub fn open(dir: &Path, memory_ms: i64, now: i64) -> (Engine, RecoveryReport) {
    Engine::open(config(dir, memory_ms), at(now)).expect("opens")
}

/// One record of the log, the next one of the queue.
pub fn apply(engine: &Engine, fill: impl FnOnce(&mut Derived)) {
    let first_offset = engine.applied("logs", 1, 0).unwrap_or(0);
    let queue = "logs".to_owned();
    let source = SourcePosition { queue, epoch: 1, partition: 0, first_offset, next_offset: first_offset + 1 };
    let mut derived = Derived::new(source);
    fill(&mut derived);
    assert_eq!(engine.apply(&derived).expect("applies").rejected, []);
}

/// A number without a pattern.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as i64).rem_euclid(end.max(1))
    }
}

/// Windows of the last days.
pub fn windows(now: i64, many: usize, random: &mut Random) -> Vec<(i64, i64)> {
    let kept = now - RETENTION_MS + DAY_MS;
    (0..many)
        .map(|_| {
            let length = [1000, 61_000, 5 * MINUTE_MS, 3 * HOUR_MS, DAY_MS, 3 * DAY_MS][random.below(6) as usize];
            let end = now - random.below(RETENTION_MS - DAY_MS);
            ((end - length + random.below(3)).max(kept), end.max(kept))
        })
        .chain([(kept, now), (now - HOUR_MS, now)])
        .collect()
}

pub fn block_files(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir).expect("the folder").map(|file| file.expect("readable").path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|ending| ending == "blk")).collect();
    files.sort();
    files
}
