//! Work on inputs that do not hang on each other, as the series of a selector, on all cores that have nothing else to do.
//!
//! Whatever core made it, it is handed over on the thread that asked, in the order of the inputs: a sum adds up what it would
//! add up alone, in the same order, to the last bit, and what is noted, counted and refused is the same.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::context::{Context, Fork};
use super::limits::{EvalError, Guard};
use super::stream::Next;

/// Most cores that work for one process' queries.
const CORES_MAX: usize = 8;
/// How long a core works between two looks at what the others do, about.
const SHARE: Duration = Duration::from_micros(250);
/// Most values that come of it, bytes.
const SHARE_BYTES: usize = 128 << 10;
/// How many shares for each core are made or wait to be handed over.
const SHARES_AHEAD: usize = 4;

/// What is done with inputs `0..n`, each for itself.
pub(crate) trait Work: Sync {
    /// What a thread has to work with; it may remember what inputs before had in common.
    type Tools;

    fn tools(&self) -> Self::Tools;

    /// How many values come of an input at most.
    fn width(&self) -> usize;

    /// Calls back with what comes of each input of a range, in order; of some inputs nothing comes.
    fn each(
        &self,
        ctx: &Context,
        tools: &mut Self::Tools,
        inputs: Range<usize>,
        take: &mut Take,
    ) -> Result<Next, EvalError>;
}

/// What came of an input.
pub(crate) struct Done<'d> {
    pub input: usize,
    /// May be taken away.
    pub values: &'d mut Vec<f64>,
    /// Each step has a value.
    pub is_full: bool,
}

/// What takes it.
pub(crate) type Take<'t> = dyn FnMut(Done) -> Result<Next, EvalError> + 't;

/// Calls back with what comes of so many inputs, in their order. What is quickly done is done on this core alone.
pub(crate) fn in_order<W: Work>(ctx: &Context, work: &W, inputs: usize, take: &mut Take) -> Result<Next, EvalError> {
    let mut tools = work.tools();
    let (mut first, mut many) = (0, 1);
    while first < inputs {
        let piece = first..inputs.min(first + many);
        let started = Instant::now();
        if work.each(ctx, &mut tools, piece.clone(), take)? == Next::Stop {
            return Ok(Next::Stop);
        }
        let took = started.elapsed();
        let pace = took / u32::try_from(piece.len()).unwrap_or(u32::MAX);
        first = piece.end;
        let rest = inputs - first;
        many = (many * 2).min(fitting(SHARE * 8, pace));
        // The first inputs take longer than those that follow: only what took its time tells how long the rest will take.
        let one_core_for = ctx.guard.limits().one_core_for;
        let rest_takes = pace.saturating_mul(u32::try_from(rest).unwrap_or(u32::MAX));
        if took < one_core_for / 64 || rest_takes < one_core_for {
            continue;
        }
        let input_bytes = work.width().max(1) * size_of::<f64>();
        let per_share = fitting(SHARE, pace).min(SHARE_BYTES / input_bytes).max(1);
        let helpers = Helpers::up_to(rest.div_ceil(per_share).saturating_sub(1));
        if helpers.many == 0 {
            continue;
        }
        let ahead = SHARES_AHEAD * (helpers.many + 1);
        let bytes = ahead * per_share * input_bytes;
        // Who has no room for what is made ahead goes on alone.
        if ctx.guard.reserve(bytes).is_ok() {
            let board = Board {
                work,
                fork: ctx.fork(),
                inputs: first..inputs,
                per_share,
                ahead,
                state: Mutex::default(),
                changed: Condvar::new(),
            };
            let next = board.all(ctx, &helpers, &mut tools, take);
            drop(board);
            ctx.guard.shelf().unshare();
            ctx.guard.release(bytes);
            return next;
        }
        ctx.guard.release(bytes);
    }
    Ok(Next::Go)
}

/// The same where all that comes of an input are some values, up to `width`. `make` fills the last of its arguments, which is
/// empty, and `take` gets it.
pub(crate) fn each_in_order<T: Default>(
    ctx: &Context,
    inputs: usize,
    width: usize,
    make: impl Fn(&Context, &mut T, usize, &mut Vec<f64>) -> Result<(), EvalError> + Sync,
    mut take: impl FnMut(usize, &[f64]),
) -> Result<(), EvalError> {
    let each = Each { width, make, tools: PhantomData::<fn() -> T> };
    in_order(ctx, &each, inputs, &mut |Done { input, values, .. }| {
        take(input, values);
        Ok(Next::Go)
    })?;
    Ok(())
}

struct Each<T, F> {
    width: usize,
    make: F,
    tools: PhantomData<fn() -> T>,
}

impl<T: Default, F> Work for Each<T, F>
where
    F: Fn(&Context, &mut T, usize, &mut Vec<f64>) -> Result<(), EvalError> + Sync,
{
    type Tools = (T, Vec<f64>);

    fn tools(&self) -> Self::Tools {
        Default::default()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn each(
        &self,
        ctx: &Context,
        (tools, values): &mut Self::Tools,
        inputs: Range<usize>,
        take: &mut Take,
    ) -> Result<Next, EvalError> {
        for input in inputs {
            values.clear();
            (self.make)(ctx, tools, input, values)?;
            take(Done { input, values, is_full: false })?;
        }
        Ok(Next::Go)
    }
}

/// Steps that are looked at together: as many values of a column as lie in one line of the cache.
pub(crate) const STEPS_AT_ONCE: usize = 8;

/// The same for the steps of each of so many groups, where up to `width` values come of a step.
pub(crate) fn by_steps<T: Default>(
    ctx: &Context,
    groups: usize,
    width: usize,
    make: impl Fn(&Context, &mut T, usize, Range<usize>, &mut Vec<f64>) -> Result<(), EvalError> + Sync,
    mut take: impl FnMut(usize, Range<usize>, &[f64]),
) -> Result<(), EvalError> {
    let steps = ctx.steps.count;
    let blocks = steps.div_ceil(STEPS_AT_ONCE);
    let place = |input: usize| {
        let first = input % blocks * STEPS_AT_ONCE;
        (input / blocks, first..steps.min(first + STEPS_AT_ONCE))
    };
    each_in_order(
        ctx,
        groups * blocks,
        width * STEPS_AT_ONCE,
        |ctx, tools: &mut T, input, values| {
            let (group, steps) = place(input);
            make(ctx, tools, group, steps, values)
        },
        |input, values| {
            let (group, steps) = place(input);
            take(group, steps, values);
        },
    )
}

/// How many inputs take so long, at least 1.
fn fitting(time: Duration, pace: Duration) -> usize {
    let many = time.as_nanos() / pace.as_nanos().max(1);
    usize::try_from(many).unwrap_or(usize::MAX).max(1)
}

/// Cores that are taken to help, until it is dropped. Whoever asks works on a core too.
struct Helpers {
    many: usize,
}

static HELPING: AtomicUsize = AtomicUsize::new(0);

impl Helpers {
    fn up_to(wanted: usize) -> Helpers {
        static CORES: OnceLock<usize> = OnceLock::new();
        let cores =
            *CORES.get_or_init(|| thread::available_parallelism().map_or(1, |cores| cores.get().min(CORES_MAX)));
        let spare = |helping: usize| (cores - 1).saturating_sub(helping).min(wanted);
        let had = HELPING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |helping| Some(helping + spare(helping)));
        Helpers { many: had.map_or(0, spare) }
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        HELPING.fetch_sub(self.many, Ordering::Relaxed);
    }
}

/// What several threads know of one piece of work.
struct Board<'b, W> {
    work: &'b W,
    fork: Fork<'b>,
    inputs: Range<usize>,
    per_share: usize,
    /// How many shares may be begun that are not handed over.
    ahead: usize,
    state: Mutex<State<'b>>,
    changed: Condvar,
}

#[derive(Default)]
struct State<'b> {
    /// The next share that nobody has begun.
    next: usize,
    /// How many were handed over.
    handed: usize,
    made: BTreeMap<usize, Share<'b>>,
    /// Columns that are not needed any more, for others to come.
    spare: Vec<Vec<f64>>,
    /// Nothing more is needed.
    is_over: bool,
}

/// What came of some inputs, and what it took.
struct Share<'b> {
    made: Vec<(usize, Vec<f64>, bool)>,
    guard: Guard<'b>,
    ended: Result<Next, EvalError>,
}

impl<'b, W: Work> Board<'b, W> {
    /// Hands all shares over, in order; this thread makes them too.
    fn all(&self, ctx: &Context, helpers: &Helpers, tools: &mut W::Tools, take: &mut Take) -> Result<Next, EvalError> {
        thread::scope(|scope| {
            // The helpers end when this does, however that is.
            let _over = Over { board: self, in_panic_only: false };
            for _ in 0..helpers.many {
                // Where no thread is to be had it is done with fewer.
                let _ = thread::Builder::new().name("query".to_owned()).spawn_scoped(scope, || self.help());
            }
            for number in 0..self.inputs.len().div_ceil(self.per_share) {
                // There is none only when a helper's panic is about to become ours.
                let Some(share) = self.share(number, tools) else { return Err(EvalError::Cancelled) };
                if self.hand_over(ctx, share, take)? == Next::Stop {
                    return Ok(Next::Stop);
                }
            }
            Ok(Next::Go)
        })
    }

    /// Makes shares until there are none left.
    fn help(&self) {
        let _over = Over { board: self, in_panic_only: true };
        let mut tools = self.work.tools();
        while let Some(number) = self.begin_or_wait() {
            let share = self.make(number, &mut tools);
            self.put(number, share);
        }
    }

    fn begin_or_wait(&self) -> Option<usize> {
        let mut state = self.state.lock();
        while !state.is_over && state.next < self.inputs.len().div_ceil(self.per_share) {
            if let Some(number) = self.begin(&mut state) {
                return Some(number);
            }
            self.changed.wait(&mut state);
        }
        None
    }

    /// A share that nobody has begun, if one may be.
    fn begin(&self, state: &mut State) -> Option<usize> {
        let number = state.next;
        let may = number < self.inputs.len().div_ceil(self.per_share) && number < state.handed + self.ahead;
        state.next += usize::from(may);
        may.then_some(number)
    }

    fn put(&self, number: usize, share: Share<'b>) {
        self.state.lock().made.insert(number, share);
        self.changed.notify_all();
    }

    /// The share of a number, as soon as it is made; until then others are.
    fn share(&self, number: usize, tools: &mut W::Tools) -> Option<Share<'b>> {
        loop {
            let mut state = self.state.lock();
            let begun = loop {
                if let Some(share) = state.made.remove(&number) {
                    return Some(share);
                }
                if state.is_over {
                    return None;
                }
                match self.begin(&mut state) {
                    Some(begun) => break begun,
                    None => self.changed.wait(&mut state),
                }
            };
            drop(state);
            let share = self.make(begun, tools);
            if begun == number {
                return Some(share);
            }
            self.put(begun, share);
        }
    }

    fn make(&self, number: usize, tools: &mut W::Tools) -> Share<'b> {
        let first = self.inputs.start + number * self.per_share;
        let inputs = first..self.inputs.end.min(first + self.per_share);
        let mut spare = {
            let mut state = self.state.lock();
            let left = state.spare.len().saturating_sub(inputs.len());
            state.spare.split_off(left)
        };
        let guard = self.fork.guard.guard();
        let mut made = Vec::with_capacity(inputs.len());
        let ctx = self.fork.context(&guard);
        let ended = guard.look().and_then(|()| {
            self.work.each(&ctx, tools, inputs, &mut |Done { input, values, is_full }| {
                made.push((input, std::mem::replace(values, spare.pop().unwrap_or_default()), is_full));
                Ok(Next::Go)
            })
        });
        Share { made, guard, ended }
    }

    /// Hands over what came of a share, as if it had been made here.
    fn hand_over(&self, ctx: &Context, share: Share<'b>, take: &mut Take) -> Result<Next, EvalError> {
        ctx.guard.join(&share.guard, &self.fork.guard)?;
        let mut spare = Vec::new();
        for (input, mut values, is_full) in share.made {
            ctx.adopt(&share.guard, &mut values)?;
            if take(Done { input, values: &mut values, is_full })? == Next::Stop {
                return Ok(Next::Stop);
            }
            if values.capacity() > 0 {
                spare.push(values);
            }
        }
        let mut state = self.state.lock();
        state.handed += 1;
        state.spare.append(&mut spare);
        drop(state);
        self.changed.notify_all();
        share.ended
    }
}

/// Tells all, as it is dropped, that nothing more is needed.
struct Over<'o, 'b, W> {
    board: &'o Board<'b, W>,
    in_panic_only: bool,
}

impl<W> Drop for Over<'_, '_, W> {
    fn drop(&mut self) {
        if thread::panicking() || !self.in_panic_only {
            self.board.state.lock().is_over = true;
            self.board.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use watchfire_engine::{Engine, EngineConfig};
    use watchfire_model::Timestamp;

    use super::super::at_once;
    use super::super::limits::Limits;
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
}
