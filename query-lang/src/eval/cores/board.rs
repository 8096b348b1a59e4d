//! Shares of one piece of work that several threads make, and one hands over in order.

use std::collections::BTreeMap;
use std::ops::Range;
use std::thread;

use parking_lot::{Condvar, Mutex};

use super::{Done, Take, Work};
use crate::eval::context::{Context, Fork};
use crate::eval::limits::{EvalError, Guard};
use crate::eval::stream::Next;

/// What several threads know of one piece of work.
pub(super) struct Board<'b, W> {
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
    /// Of these inputs, so many to a share, of which so many may be ahead.
    pub(super) fn new(
        work: &'b W,
        fork: Fork<'b>,
        inputs: Range<usize>,
        per_share: usize,
        ahead: usize,
    ) -> Board<'b, W> {
        Board { work, fork, inputs, per_share, ahead, state: Mutex::default(), changed: Condvar::new() }
    }

    fn shares(&self) -> usize {
        self.inputs.len().div_ceil(self.per_share)
    }

    /// Hands all shares over, in order; this thread and so many others make them.
    pub(super) fn all(
        &self,
        ctx: &Context,
        helpers: usize,
        tools: &mut W::Tools,
        take: &mut Take,
    ) -> Result<Next, EvalError> {
        thread::scope(|scope| {
            // The helpers end when this does, however that is.
            let _over = Over { board: self, in_panic_only: false };
            for _ in 0..helpers {
                // Where no thread is to be had it is done with fewer.
                let _ = thread::Builder::new().name("query".to_owned()).spawn_scoped(scope, || self.help());
            }
            for number in 0..self.shares() {
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
        while !state.is_over && state.next < self.shares() {
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
        let may = number < self.shares() && number < state.handed + self.ahead;
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
