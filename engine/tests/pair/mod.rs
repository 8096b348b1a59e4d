//! Two engines that are given the same, and asked the same.

use proptest::prelude::*;
use watchfire_engine::Engine;

// What a world is: `open`, what can happen to an engine, and everything that it tells.
use super::{
    BLOCKS, HOUR_MS, MEMORY, MINUTE_MS, Random, SERIES, at, fill, late, live, open, push, times, told, windows,
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
    }

    pub fn check(&self, now: i64, many: usize, random: &mut Random) {
        for (start, end) in windows(now, many, random) {
            let [of_blocks, of_memory] = [0, 1].map(|at| told(self.engines[at].as_ref().expect("open"), start, end));
            assert_eq!(of_blocks, of_memory, "{start} to {end} at {now}");
        }
    }

    /// Lets all of it happen to both, and compares them after each step. `sweeps`: what is kept without a sweep depends on what
    /// was replayed.
    pub fn run(&mut self, steps: Vec<Step>, seed: u64, sweeps: bool) {
        let (mut hour, mut random) = (0, Random(seed));
        for step in steps {
            hour += self.step(step, hour);
            if sweeps {
                self.both(|engine| engine.sweep_all(at(hour * HOUR_MS)));
            }
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
