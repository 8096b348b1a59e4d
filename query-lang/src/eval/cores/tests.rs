use std::panic::{AssertUnwindSafe, catch_unwind};

use watchfire_engine::{Engine, EngineConfig};
use watchfire_model::Timestamp;

use super::super::at_once;
use super::super::limits::{Guard, Limits};
use super::*;
use crate::ast::Span;

/// Squares, each noted and counted as a sample. Of multiples of 7 nothing comes.
struct Squares {
    fails_at: usize,
    panics_unless: Option<thread::ThreadId>,
}

impl Work for Squares {
    type Tools = Vec<f64>;

    fn tools(&self) -> Vec<f64> {
        Vec::new()
    }

    fn width(&self) -> usize {
        2000
    }

    fn each(
        &self,
        ctx: &Context,
        values: &mut Vec<f64>,
        inputs: Range<usize>,
        take: &mut Take,
    ) -> Result<Next, EvalError> {
        assert!(self.panics_unless.is_none_or(|asking| asking == thread::current().id()), "a helper fails");
        for input in inputs {
            ctx.guard.samples(1)?;
            if input == self.fails_at {
                return Err(EvalError::Parameter { reason: format!("{input} is no good") });
            }
            if input % 7 == 0 {
                continue;
            }
            ctx.guard.inform(format!("an odd one: {}", input % 5), Span { start: input, end: input });
            values.clear();
            values.resize(1 + input % 3, (input * input) as f64);
            if take(Done { input, values, is_full: input % 2 == 0 })? == Next::Stop {
                return Ok(Next::Stop);
            }
        }
        Ok(Next::Go)
    }
}

fn engine() -> (tempfile::TempDir, Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    let (engine, _) = Engine::open(EngineConfig::new(folder.path()), Timestamp::from_millis(0)).expect("it opens");
    (folder, engine)
}

/// How work ends, and what else can be seen of it: what was handed over if it did not fail, what was read and noted if it
/// was not stopped.
fn seen(engine: &Engine, work: &Squares, stops_at: usize, limits: &Limits) -> (Result<Next, EvalError>, String) {
    let guard = Guard::new(limits);
    let ctx = at_once(engine, &guard, Timestamp::from_millis(0));
    let mut handed = Vec::new();
    let ended = in_order(&ctx, work, 5000, &mut |Done { input, values, is_full }| {
        handed.push((input, std::mem::take(values), is_full));
        Ok(if input == stops_at { Next::Stop } else { Next::Go })
    });
    let shown = match ended {
        Ok(Next::Go) => {
            format!("{handed:?} {} {:?}", guard.samples_read(), guard.notes().told(&"q".repeat(5000)))
        }
        Ok(Next::Stop) => format!("{handed:?}"),
        Err(_) => String::new(),
    };
    (ended, shown)
}

#[test]
fn on_all_cores_it_is_as_on_one() {
    let (_folder, engine) = engine();
    for (fails_at, stops_at, samples_max) in
        [(9999, 9999, 9999), (4000, 9999, 9999), (1, 9999, 9999), (9999, 3001, 9999), (9999, 9999, 2500)]
    {
        let work = Squares { fails_at, panics_unless: None };
        let alone = Limits { samples_max, one_core_for: Duration::MAX, ..Limits::default() };
        let on_all = Limits { one_core_for: Duration::ZERO, ..alone.clone() };
        for _ in 0..20 {
            let (have, want) = (seen(&engine, &work, stops_at, &on_all), seen(&engine, &work, stops_at, &alone));
            assert_eq!(have.0, want.0);
            assert!(have.1 == want.1, "fails at {fails_at}, stops at {stops_at}, {samples_max} samples");
        }
    }
}

#[test]
fn a_panic_on_another_core_is_one_on_ours() {
    let (_folder, engine) = engine();
    let work = Squares { fails_at: 9999, panics_unless: Some(thread::current().id()) };
    let limits = Limits { one_core_for: Duration::ZERO, ..Limits::default() };
    // A helper may come too late to do anything.
    let panics = || catch_unwind(AssertUnwindSafe(|| seen(&engine, &work, 9999, &limits))).is_err();
    let is_alone = thread::available_parallelism().is_ok_and(|cores| cores.get() == 1);
    assert!(is_alone || (0..10_000).any(|_| panics()));
}
