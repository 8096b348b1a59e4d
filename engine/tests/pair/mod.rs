//! Two engines that are given the same, and asked the same.

use watchfire_engine::Engine;

// What a world is: `open`, and everything that an engine tells.
use super::{BLOCKS, MEMORY, Random, open, told, windows};

/// An engine whose past goes to blocks, and one that keeps it in memory.
pub struct Pair {
    pub dirs: [tempfile::TempDir; 2],
    pub engines: [Option<Engine>; 2],
}

impl Pair {
    pub fn new() -> Pair {
        let dirs = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
        let mut pair = Pair { dirs, engines: [None, None] };
        pair.open(0);
        pair
    }

    fn open(&mut self, now: i64) {
        for ((dir, engine), memory_ms) in self.dirs.iter().zip(&mut self.engines).zip([BLOCKS, MEMORY]) {
            let (opened, report) = open(dir.path(), memory_ms, now);
            assert_eq!((report.damages, report.orphans), (vec![], 0));
            *engine = Some(opened);
        }
    }

    pub fn both(&self, work: impl Fn(&Engine)) {
        self.engines.iter().flatten().for_each(work);
    }

    pub fn of_blocks(&self) -> &Engine {
        self.engines[0].as_ref().expect("open")
    }

    pub fn restart(&mut self, killed: bool, now: i64) {
        self.both(|engine| if killed { engine.sync() } else { engine.close() }.expect("durable"));
        self.engines = [None, None];
        self.open(now);
    }

    pub fn check(&self, now: i64, many: usize, random: &mut Random) {
        for (start, end) in windows(now, many, random) {
            let [of_blocks, of_memory] = [0, 1].map(|at| told(self.engines[at].as_ref().expect("open"), start, end));
            assert_eq!(of_blocks, of_memory, "{start} to {end} at {now}");
        }
    }
}
