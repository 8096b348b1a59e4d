//! What an evaluation may use, how it is stopped, and why it can fail.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use watchfire_model::LabelSet;

use super::memory::{Drawn, Held, QueryMemory, Refused};
use super::native::{Below, Shelf};
use super::notes::{AllLifted, Notebook, Weight};
use crate::ast::Span;
use crate::error::ParseError;

/// Stops evaluations from another thread, when the client has left or the server drains. Clones
/// share one switch.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A switch that is off.
    pub fn new() -> CancelToken {
        CancelToken::default()
    }

    /// Evaluations that hold a clone end with [`EvalError::Cancelled`] soon.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it is switched.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many samples an evaluation has read, told also where it has no value.
#[derive(Clone, Debug, Default)]
pub struct SamplesRead(Arc<AtomicU64>);

impl SamplesRead {
    /// Of the evaluation that ended last.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, read: u64) {
        self.0.store(read, Ordering::Relaxed);
    }
}

/// What one evaluation may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Most samples that are read. `limits.query_samples`.
    pub samples_max: u64,
    /// Longest time it may take. `limits.query_timeout`.
    pub timeout: Duration,
    /// Most memory that intermediate and final values may take at once, bytes; an estimate.
    pub memory_max_bytes: u64,
    /// What all evaluations may take together, if that is limited.
    pub memory: Option<QueryMemory>,
    /// A range of times is evaluated in parts if more than this would be taken at once, bytes.
    pub part_bytes: u64,
    /// Most steps of a range evaluation; 11,000 in Prometheus.
    pub steps_max: usize,
    /// How far back an instant selector looks for the newest sample, milliseconds.
    pub lookback_ms: i64,
    /// Step of subqueries that name none, milliseconds.
    pub default_step_ms: i64,
    /// Leaves out what came late (backfilled counts and observations), as if it had never come: for rules.
    pub live_only: bool,
    /// Parts that take no longer than this are evaluated on one core, others on all that have nothing else to do: to go to
    /// others and back costs some tenths of a millisecond.
    pub one_core_for: Duration,
    /// Gives up, as if it had taken too long, where something has to be read from a disk: for threads that may not wait.
    pub at_once: bool,
    /// Counts samples by step too, for [`super::Answer::by_step`], which takes about as long as the evaluation.
    pub by_step: bool,
    /// Who may stop it.
    pub cancel: CancelToken,
    /// Where [`super::answer`] leaves how much was read.
    pub read: SamplesRead,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            samples_max: 50_000_000,
            timeout: Duration::from_secs(120),
            memory_max_bytes: 1 << 30,
            memory: None,
            part_bytes: 128 << 20,
            steps_max: 11_000,
            lookback_ms: 300_000,
            default_step_ms: 60_000,
            live_only: false,
            one_core_for: Duration::from_millis(10),
            at_once: false,
            by_step: false,
            cancel: CancelToken::new(),
            read: SamplesRead::default(),
        }
    }
}

/// Why a query has no value.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvalError {
    /// It would read more samples than allowed.
    #[error("the query reads more than {limit} samples; select fewer series, a shorter range or a longer step")]
    Samples {
        /// The limit.
        limit: u64,
    },
    /// It would take more memory than allowed.
    #[error("the query needs more than {limit} bytes of memory; select fewer series, a shorter range or a longer step")]
    Memory {
        /// The limit.
        limit: u64,
    },
    /// Others are being evaluated that take what there is.
    #[error(
        "the queries that are being answered take the {limit} bytes of memory that `limits.query_memory` gives all of \
             them; ask again, or for fewer series, a shorter range or a longer step"
    )]
    Busy {
        /// The limit.
        limit: u64,
    },
    /// More steps than allowed.
    #[error("the range has {steps} steps, at most {limit} are evaluated; take a longer step")]
    Steps {
        /// Steps asked for.
        steps: u64,
        /// The limit.
        limit: usize,
    },
    /// The range of a range evaluation makes no sense.
    #[error("{reason}")]
    Range {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It took too long.
    #[error("the query took longer than {} s", timeout.as_secs_f64())]
    Timeout {
        /// The limit.
        timeout: Duration,
    },
    /// Its [`CancelToken`] was switched.
    #[error("the query was cancelled")]
    Cancelled,
    /// The query gives something that this kind of evaluation cannot show.
    #[error("{reason}")]
    Type {
        /// What, and the remedy.
        reason: String,
    },
    /// Series that do not go together: several with the same labels, or ambiguous matches.
    #[error("{reason}: {labels}")]
    Labels {
        /// What is wrong.
        reason: &'static str,
        /// The labels in question.
        labels: LabelSet,
    },
    /// A parameter has no meaning, such as a label name or regular expression of `label_replace`.
    #[error("{reason}")]
    Parameter {
        /// What is wrong.
        reason: String,
    },
    /// A remote cluster finds fault with the query.
    #[error("{reason}")]
    Refused {
        /// What it says.
        reason: String,
    },
    /// A span of the query has no meaning at the times that it is asked at.
    #[error("{0}")]
    Query(Box<ParseError>),
    /// The store or remote cluster could not answer.
    #[error("the metrics could not be read: {reason}")]
    Storage {
        /// What it said.
        reason: String,
        /// Whether asking again later can help.
        retry: bool,
    },
}

impl From<ParseError> for EvalError {
    fn from(error: ParseError) -> EvalError {
        // Boxed, so that results need no more of the stack for it.
        EvalError::Query(Box::new(error))
    }
}

/// How many small steps of work pass between two looks at clock and switch.
const LOOK_EVERY: u32 = 256;

/// What an evaluation had used at some time.
pub(crate) struct Used {
    samples: u64,
    memory_bytes: u64,
    lifted: Option<AllLifted>,
}

/// What the guards of other cores begin with: they may go as far as the one that they were forked off could alone.
pub(crate) struct Forked<'l> {
    limits: &'l Limits,
    started: Instant,
    samples: u64,
    memory_max_bytes: u64,
    shelf: Option<Below>,
}

impl<'l> Forked<'l> {
    pub(crate) fn guard(&self) -> Guard<'l> {
        Guard {
            started: self.started,
            samples: Cell::new(self.samples),
            memory_max_bytes: Cell::new(self.memory_max_bytes),
            shelf: Shelf::on(self.shelf.clone()),
            ..Guard::new(self.limits)
        }
    }
}

/// Counts what an evaluation uses, and stops it.
pub(crate) struct Guard<'l> {
    limits: &'l Limits,
    started: Instant,
    samples: Cell<u64>,
    memory_bytes: Cell<u64>,
    /// Memory that may be taken now.
    memory_max_bytes: Cell<u64>,
    drawn: RefCell<Drawn>,
    until_look: Cell<u32>,
    notes: Notebook,
    shelf: Shelf,
}

impl<'l> Guard<'l> {
    pub(crate) fn new(limits: &'l Limits) -> Guard<'l> {
        Guard {
            limits,
            started: Instant::now(),
            samples: Cell::new(0),
            memory_bytes: Cell::new(0),
            memory_max_bytes: Cell::new(limits.memory_max_bytes),
            drawn: RefCell::new(Drawn::new(limits.memory.clone())),
            until_look: Cell::new(LOOK_EVERY),
            notes: Notebook::default(),
            shelf: Shelf::default(),
        }
    }

    pub(crate) fn limits(&self) -> &'l Limits {
        self.limits
    }

    /// What was noted so far.
    pub(crate) fn notes(&self) -> &Notebook {
        &self.notes
    }

    /// The histograms of the evaluation.
    pub(crate) fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// The result is hardly what was meant.
    pub(crate) fn warn(&self, text: String, about: Span) {
        self.notes.note(Weight::Warning, text, about);
    }

    /// The result may not be what was meant.
    pub(crate) fn inform(&self, text: String, about: Span) {
        self.notes.note(Weight::Info, text, about);
    }

    /// How many samples were read so far.
    pub(crate) fn samples_read(&self) -> u64 {
        self.samples.get()
    }

    /// Samples are read once more: those read since there were so many count no longer.
    pub(crate) fn read_again_since(&self, samples: u64) {
        self.samples.set(samples);
    }

    /// Counts samples that were read.
    pub(crate) fn samples(&self, count: usize) -> Result<(), EvalError> {
        let total = self.samples.get() + count as u64;
        self.samples.set(total);
        if total > self.limits.samples_max {
            return Err(EvalError::Samples { limit: self.limits.samples_max });
        }
        // A thousand samples are about one small step of work.
        self.tick_by(1 + u32::try_from(count / 1024).unwrap_or(LOOK_EVERY))
    }

    /// Counts memory that is taken until [`Guard::release`].
    pub(crate) fn reserve(&self, bytes: usize) -> Result<(), EvalError> {
        let total = self.memory_bytes.get() + bytes as u64;
        self.memory_bytes.set(total);
        if total > self.memory_max_bytes.get() {
            return Err(EvalError::Memory { limit: self.limits.memory_max_bytes });
        }
        let limit = || self.limits.memory.as_ref().map_or(0, QueryMemory::most);
        self.drawn.borrow_mut().draw(total).map_err(|refused| match refused {
            Refused::TooMuch => EvalError::Memory { limit: limit() },
            Refused::Busy => EvalError::Busy { limit: limit() },
        })
    }

    /// Does something that may take [`Limits::part_bytes`] more than is taken now.
    pub(crate) fn capped<T>(&self, work: impl FnOnce() -> T) -> T {
        let most = self.memory_max_bytes.get();
        self.memory_max_bytes.set(most.min(self.memory_bytes.get().saturating_add(self.limits.part_bytes)));
        let done = work();
        self.memory_max_bytes.set(most);
        done
    }

    /// What a guard begins with that counts on another core until it joins this one. Its histograms are shared from then on.
    pub(crate) fn fork(&self) -> Forked<'l> {
        Forked {
            limits: self.limits,
            started: self.started,
            samples: self.samples.get(),
            memory_max_bytes: self.memory_max_bytes.get().saturating_sub(self.memory_bytes.get()),
            shelf: self.shelf.share(),
        }
    }

    /// Counts and notes what another core counted and noted since it was forked off.
    pub(crate) fn join(&self, other: &Guard, forked: &Forked) -> Result<(), EvalError> {
        self.notes.take_over(&other.notes);
        let samples = other.samples.get() - forked.samples;
        self.samples(usize::try_from(samples).unwrap_or(usize::MAX))
    }

    /// What is used so far, for [`Guard::begin_again`].
    pub(crate) fn used(&self) -> Used {
        Used { samples: self.samples.get(), memory_bytes: self.memory_bytes.get(), lifted: self.notes.lifted() }
    }

    /// What was done since then is dropped, and done again.
    pub(crate) fn begin_again(&self, before: &Used) {
        self.samples.set(before.samples);
        self.memory_bytes.set(before.memory_bytes);
        self.drawn.borrow_mut().shrink(before.memory_bytes);
        self.notes.set_lifted(before.lifted);
    }

    /// Nothing is left of the evaluation but an answer of so many bytes.
    pub(crate) fn keep_only(&self, bytes: usize) -> Result<(), EvalError> {
        self.release(usize::MAX);
        self.reserve(bytes)
    }

    /// What is taken at the end, for the answer to hold, which takes so many bytes.
    pub(crate) fn held(self, bytes: usize) -> Result<Held, EvalError> {
        self.keep_only(bytes)?;
        let mut drawn = self.drawn.into_inner();
        drawn.shrink(self.memory_bytes.get());
        Ok(Held::new(drawn))
    }

    /// Gives memory back.
    pub(crate) fn release(&self, bytes: usize) {
        self.memory_bytes.set(self.memory_bytes.get().saturating_sub(bytes as u64));
    }

    /// Counts a text that is made, as if it were there to the end.
    pub(crate) fn text(&self, bytes: usize) -> Result<(), EvalError> {
        self.reserve(bytes)?;
        // Some kilobytes are about one small step of work.
        self.tick_by(1 + u32::try_from(bytes / 4096).unwrap_or(LOOK_EVERY))
    }

    /// One small step of work, some microseconds.
    pub(crate) fn tick(&self) -> Result<(), EvalError> {
        self.tick_by(1)
    }

    fn tick_by(&self, steps: u32) -> Result<(), EvalError> {
        let left = self.until_look.get();
        if left > steps {
            self.until_look.set(left - steps);
            return Ok(());
        }
        self.until_look.set(LOOK_EVERY);
        self.look()
    }

    /// Looks at the switch and the clock.
    pub(crate) fn look(&self) -> Result<(), EvalError> {
        if self.limits.cancel.is_cancelled() {
            return Err(EvalError::Cancelled);
        }
        if self.started.elapsed() > self.limits.timeout {
            return Err(EvalError::Timeout { timeout: self.limits.timeout });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_counted() {
        let limits = Limits { samples_max: 10, memory_max_bytes: 100, ..Limits::default() };
        let guard = Guard::new(&limits);
        assert_eq!(guard.samples(10), Ok(()));
        assert_eq!(guard.samples(1), Err(EvalError::Samples { limit: 10 }));
        assert_eq!(guard.reserve(100), Ok(()));
        guard.release(50);
        assert_eq!(guard.reserve(50), Ok(()));
        assert_eq!(guard.reserve(1), Err(EvalError::Memory { limit: 100 }));
    }

    #[test]
    fn a_switch_or_the_clock_stops_it() {
        let limits = Limits::default();
        let guard = Guard::new(&limits);
        limits.cancel.clone().cancel();
        let steps = (0..=LOOK_EVERY).map(|_| guard.tick()).find(Result::is_err);
        assert_eq!(steps, Some(Err(EvalError::Cancelled)));
        let limits = Limits { timeout: Duration::ZERO, ..Limits::default() };
        assert_eq!(Guard::new(&limits).look(), Err(EvalError::Timeout { timeout: Duration::ZERO }));
    }
}
