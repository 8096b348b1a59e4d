//! Work on inputs that do not hang on each other, as the series of a selector, on all cores that have nothing else to do.
//!
//! Whatever core made it, it is handed over on the thread that asked, in the order of the inputs: a sum adds up what it would
//! add up alone, in the same order, to the last bit, and what is noted, counted and refused is the same.

mod board;
mod each;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use each::{STEPS_AT_ONCE, by_steps, each_in_order};

use super::context::Context;
use super::limits::EvalError;
use super::stream::Next;
use board::Board;

/// Most cores that work for one process' queries.
const CORES_MAX: usize = 8;
/// How long one core goes on alone before it looks again whether there is another.
const ALONE_MAX: Duration = Duration::from_millis(2);
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
        let pace = Pace { took: started.elapsed(), inputs: piece.len() };
        first = piece.end;
        many = (many * 2).min(pace.inputs_in(ALONE_MAX));
        if pace.is_long(inputs - first, ctx.guard.limits().one_core_for)
            && let Some(next) = on_all(ctx, work, first..inputs, &pace, &mut tools, take)
        {
            return next;
        }
    }
    Ok(Next::Go)
}

/// How quickly inputs were done.
struct Pace {
    took: Duration,
    inputs: usize,
}

impl Pace {
    /// How many inputs are done in some time, at least 1.
    fn inputs_in(&self, time: Duration) -> usize {
        let many = time.as_nanos() * self.inputs as u128 / self.took.as_nanos().max(1);
        usize::try_from(many).unwrap_or(usize::MAX).max(1)
    }

    /// Whether so many more take longer than some time. The first inputs take longer than those that follow: only what took
    /// its time tells how long the rest will take.
    fn is_long(&self, more: usize, time: Duration) -> bool {
        self.took >= time / 64
            && more > 0
            && self.took.as_nanos() * more as u128 >= time.as_nanos() * self.inputs as u128
    }
}

/// Does the rest on all cores; `None`, and nothing was done, if there is no other one, or no room for what is made ahead.
fn on_all<W: Work>(
    ctx: &Context,
    work: &W,
    inputs: Range<usize>,
    pace: &Pace,
    tools: &mut W::Tools,
    take: &mut Take,
) -> Option<Result<Next, EvalError>> {
    let input_bytes = work.width().max(1) * size_of::<f64>();
    let per_share = pace.inputs_in(SHARE).min(SHARE_BYTES / input_bytes).max(1);
    let helpers = Helpers::up_to(inputs.len().div_ceil(per_share).saturating_sub(1))?;
    let ahead = SHARES_AHEAD * (helpers.many + 1);
    let bytes = ahead * per_share * input_bytes;
    let has_room = ctx.guard.reserve(bytes).is_ok();
    let next =
        has_room.then(|| Board::new(work, ctx.fork(), inputs, per_share, ahead).all(ctx, helpers.many, tools, take));
    ctx.guard.shelf().unshare();
    ctx.guard.release(bytes);
    next
}

/// Cores that are taken to help, until it is dropped. Whoever asks works on a core too.
struct Helpers {
    many: usize,
}

static HELPING: AtomicUsize = AtomicUsize::new(0);

impl Helpers {
    /// `None` if there is none that has nothing else to do, or none is wanted.
    fn up_to(wanted: usize) -> Option<Helpers> {
        static CORES: OnceLock<usize> = OnceLock::new();
        let cores =
            *CORES.get_or_init(|| thread::available_parallelism().map_or(1, |cores| cores.get().min(CORES_MAX)));
        let spare = |helping: usize| (cores - 1).saturating_sub(helping).min(wanted);
        let had = HELPING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |helping| Some(helping + spare(helping)));
        let many = had.map_or(0, spare);
        (many > 0).then_some(Helpers { many })
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        HELPING.fetch_sub(self.many, Ordering::Relaxed);
    }
}
