//! Two engines that are given the same, and asked the same.

use proptest::prelude::*;
use watchfire_engine::Engine;

// What a world is: `open`, what can happen to an engine, and everything that it tells.
use super::{
    BLOCKS, HOUR_MS, MEMORY, MINUTE_MS, Random, SERIES, SWEEPS, at, block_files, fill, late, live, open, push, times,
    told, windows,
};

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
        self.sweep(now);
    }

    /// Makes the same again what depends on what was replayed.
    fn sweep(&self, now: i64) {
        if SWEEPS {
            self.both(|engine| engine.sweep_all(at(now)));
        }
    }

    pub fn check(&self, now: i64, many: usize, random: &mut Random) {
        for (start, end) in windows(now, many, random) {
            let [of_blocks, of_memory] = [0, 1].map(|at| told(self.engines[at].as_ref().expect("open"), start, end));
            assert_eq!(of_blocks, of_memory, "{start} to {end} at {now}");
        }
    }

    /// Days go to disk, a piece each, and go for good with the retention. `memory_percent`: so much at most is in memory after five
    /// days of what is after two; `snapshot_share`: by so much at least a snapshot is smaller than that of the other.
    pub fn lives_for_days(mut self, memory_percent: u64, snapshot_share: u64) {
        let mut random = Random(1);
        self.both(|engine| live(engine, 0..48));
        let of_two_days = self.of_blocks().stats();
        self.both(|engine| live(engine, 48..130));
        let stats = self.of_blocks().stats();
        assert!(stats.spilled_total > 0 && stats.block_bytes > 0, "{stats:?}");
        assert!(
            stats.memory_bytes < of_two_days.memory_bytes * memory_percent / 100,
            "two days: {of_two_days:?}, five: {stats:?}"
        );
        assert_eq!(stats.samples, self.engines[1].as_ref().expect("open").stats().samples);
        self.check(130 * HOUR_MS, 60, &mut random);
        // Days that are over are in one piece each: far fewer files than stretches.
        assert!(stats.block_files < 20, "{stats:?}");
        self.both(|engine| engine.checkpoint().expect("snapshot"));
        let [small, large] = [0, 1].map(|at| self.engines[at].as_ref().expect("open").stats().snapshot_bytes);
        assert!(small * snapshot_share < large, "a snapshot names blocks: {small} of {large}");
        self.restart(false, 130 * HOUR_MS);
        self.check(130 * HOUR_MS, 20, &mut random);

        self.both(|engine| live(engine, 130..250));
        self.check(250 * HOUR_MS, 20, &mut random);
        self.both(|engine| engine.checkpoint().expect("snapshot"));
        self.both(|engine| engine.checkpoint().expect("snapshot"));
        let sizes: u64 =
            block_files(self.dirs[0].path()).iter().map(|path| path.metadata().expect("there").len()).sum();
        assert_eq!(sizes, self.of_blocks().stats().block_bytes);
        assert!(sizes < 2 * stats.block_bytes, "{sizes} after ten days, {} after five", stats.block_bytes);
    }

    /// Where blocks cannot be written all stays in memory, and goes when they can.
    pub fn lives_without_room(mut self) {
        self.both(|engine| live(engine, 0..8));
        // A folder where the next block will be.
        let block = |dir: &std::path::Path, number: u64| dir.join(format!("block-{number:020}.blk"));
        let dir = self.dirs[0].path().to_owned();
        (1..100).for_each(|number| std::fs::create_dir(block(&dir, number)).expect("makable"));
        self.both(|engine| live(engine, 8..30));
        assert!(self.of_blocks().stats().block_failures_total > 0);
        self.both(|engine| push(engine, 30 * HOUR_MS, 0, times(0, 0, 20 * HOUR_MS).step_by(50)));
        self.check(30 * HOUR_MS, 30, &mut Random(1));
        (1..100).for_each(|number| std::fs::remove_dir(block(&dir, number)).expect("removable"));
        self.both(|engine| live(engine, 30..45));
        assert!(self.of_blocks().stats().spilled_total > 0);
        self.both(|engine| push(engine, 45 * HOUR_MS, 0, times(0, 0, 20 * HOUR_MS).step_by(50)));
        self.check(45 * HOUR_MS, 30, &mut Random(1));
        // And again, with late ones for what lies in blocks.
        let next = 1 + block_files(&dir)
            .iter()
            .filter_map(|path| path.file_stem()?.to_str()?[6..].parse::<u64>().ok())
            .max()
            .expect("files");
        (next..next + 100).for_each(|number| std::fs::create_dir(block(&dir, number)).expect("makable"));
        let before = self.of_blocks().stats().block_failures_total;
        self.both(|engine| live(engine, 45..60));
        assert!(self.of_blocks().stats().block_failures_total > before);
        self.check(60 * HOUR_MS, 30, &mut Random(1));
        (next..next + 100).for_each(|number| std::fs::remove_dir(block(&dir, number)).expect("removable"));
        self.both(|engine| live(engine, 60..75));
        self.check(75 * HOUR_MS, 30, &mut Random(1));
        self.restart(true, 75 * HOUR_MS);
        self.check(75 * HOUR_MS, 30, &mut Random(1));
    }

    /// Lets all of it happen to both, and compares them after each step.
    pub fn run(&mut self, steps: Vec<Step>, seed: u64) {
        let (mut hour, mut random) = (0, Random(seed));
        for step in steps {
            hour += self.step(step, hour);
            self.sweep(hour * HOUR_MS);
            self.check(hour * HOUR_MS, 6, &mut random);
        }
    }

    /// Gives how many hours it takes.
    fn step(&mut self, step: Step, hour: i64) -> i64 {
        let now = hour * HOUR_MS;
        match step {
            Step::Live(hours) => {
                self.both(|engine| live(engine, hour..hour + hours));
                return hours;
            }
            Step::Late(number, ago, long, each) => {
                let (from, to) = (now - (ago + long) * MINUTE_MS, now - ago * MINUTE_MS);
                self.both(|engine| late(engine, number, times(0, from, to).step_by(each)));
            }
            Step::Push(number, ago, long, each) => {
                let (from, to) = (now - (ago + long) * MINUTE_MS, now - ago * MINUTE_MS);
                self.both(|engine| push(engine, now, number, times(0, from, to).step_by(each)));
            }
            Step::Fill(number, ago, long, each) => {
                let (from, to) = (hour - ago - long, hour - ago);
                let times = || times(0, from * HOUR_MS, to * HOUR_MS).step_by(each);
                self.both(|engine| fill(engine, number, from..to, times()));
            }
            Step::Snapshot => self.both(|engine| engine.checkpoint().expect("snapshot")),
            Step::Restart { killed } => self.restart(killed, now),
        }
        0
    }
}

/// What happens to both engines.
#[derive(Clone, Debug)]
pub enum Step {
    Live(i64),
    /// Of which series, how many minutes ago it ends, how long it is, each how-manieth of its times.
    Late(u64, i64, i64, usize),
    Push(u64, i64, i64, usize),
    /// Of which series, how many hours ago it ends, how many.
    Fill(u64, i64, i64, usize),
    Snapshot,
    Restart {
        killed: bool,
    },
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let minutes = 5 * 24 * 60i64;
    let step = prop_oneof![
        5 => (1i64..14).prop_map(Step::Live),
        3 => (0..SERIES - 1, 0..minutes, 1i64..900, 1usize..40).prop_map(|(n, ago, long, each)| Step::Late(n, ago, long, each)),
        2 => (0..SERIES - 1, 0..minutes, 1i64..900, 1usize..40).prop_map(|(n, ago, long, each)| Step::Push(n, ago, long, each)),
        2 => (0..SERIES - 1, 0i64..110, 1i64..30, 1usize..40).prop_map(|(n, ago, long, each)| Step::Fill(n, ago, long, each)),
        1 => Just(Step::Snapshot),
        2 => any::<bool>().prop_map(|killed| Step::Restart { killed }),
    ];
    prop::collection::vec(step, 1..24)
}
