//! The plainer kinds of such work: inputs of which some numbers come, and steps of a grid.

use std::marker::PhantomData;
use std::ops::Range;

use super::{Done, Take, Work, in_order};
use crate::eval::context::Context;
use crate::eval::limits::EvalError;
use crate::eval::stream::Next;

/// [`in_order`] where all that comes of an input are some values, up to `width`. `make` fills the last of its arguments, which is
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
