//! Long grids in parts: series that live shorter than a grid is long have values in few of its steps, but a column has
//! room for all of them. Where columns of the whole grid take too much, parts of it are evaluated one after another: in
//! each there are columns only of series that it has values of, and of each part only the values are kept.
//!
//! That gives the same, as what an expression is at one step does not hang on the others.

use watchfire_model::Timestamp;

use super::RangeSeries;
use super::column::{Column, Places, is_absent};
use super::context::{Context, Steps};
use super::limits::EvalError;

/// Into how many parts a grid is cut.
const PARTS: usize = 8;

/// What an expression is over a grid.
pub(crate) enum Gathered {
    /// Made at once.
    Whole(Vec<Column>),
    /// Made in parts: series in the order in which they came first.
    Parts(Vec<RangeSeries>),
}

/// Evaluates a grid, in parts if the whole takes too much memory. `evaluate` gives the columns of the steps of its
/// context.
pub(crate) fn gather(
    ctx: &Context,
    evaluate: &dyn Fn(&Context) -> Result<Vec<Column>, EvalError>,
) -> Result<Gathered, EvalError> {
    match attempt(ctx, evaluate)? {
        Some(columns) => Ok(Gathered::Whole(columns)),
        None => {
            let mut kept = Kept::default();
            kept.parts(ctx, evaluate)?;
            Ok(Gathered::Parts(kept.series))
        }
    }
}

/// The columns; `None`, and nothing is left of it, if they take too much and there are steps to part.
fn attempt(
    ctx: &Context,
    evaluate: &dyn Fn(&Context) -> Result<Vec<Column>, EvalError>,
) -> Result<Option<Vec<Column>>, EvalError> {
    if ctx.steps.count <= 1 {
        return evaluate(ctx).map(Some);
    }
    let before = ctx.guard.used();
    let shelved = ctx.shelved();
    match ctx.guard.capped(|| evaluate(ctx)) {
        Err(EvalError::Memory { .. }) => {
            ctx.forget_since(shelved, std::iter::empty());
            ctx.guard.begin_again(&before);
            Ok(None)
        }
        result => result.map(Some),
    }
}

/// What is kept of the parts so far.
#[derive(Default)]
struct Kept {
    places: Places,
    series: Vec<RangeSeries>,
}

impl Kept {
    /// The parts of a grid, one after another.
    fn parts(
        &mut self,
        ctx: &Context,
        evaluate: &dyn Fn(&Context) -> Result<Vec<Column>, EvalError>,
    ) -> Result<(), EvalError> {
        for steps in parts_of(ctx.steps) {
            let part = Context { steps, is_part: true, shared: None, ..*ctx };
            match attempt(&part, evaluate)? {
                Some(columns) => self.keep(&part, columns)?,
                None => self.parts(&part, evaluate)?,
            }
        }
        Ok(())
    }

    /// Keeps the values of columns.
    fn keep(&mut self, part: &Context, columns: Vec<Column>) -> Result<(), EvalError> {
        for column in &columns {
            let present = column.values.iter().filter(|value| !is_absent(**value)).count();
            if present == 0 {
                continue;
            }
            let (place, is_new) = self.places.place(&column.labels);
            if is_new {
                self.series.push((column.labels.clone(), Vec::new()));
            }
            let points = &mut self.series[place].1;
            let had = points.capacity();
            points.reserve(present);
            let taken = (points.capacity() - had) * size_of::<(Timestamp, f64)>();
            part.guard.reserve(taken + if is_new { size_of::<RangeSeries>() } else { 0 })?;
            let values = part.steps.times().zip(&column.values).filter(|(_, value)| !is_absent(**value));
            points.extend(values.map(|(at, value)| (Timestamp::from_millis(at), *value)));
        }
        part.used_up(columns);
        Ok(())
    }
}

/// The parts of a grid, in the order of time.
fn parts_of(steps: Steps) -> impl Iterator<Item = Steps> {
    let many = steps.count.div_ceil(PARTS).max(1);
    let first = (0..steps.count).step_by(many);
    first.map(move |first| Steps { start: steps.at(first), count: many.min(steps.count - first), ..steps })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_whole() {
        for count in [0, 1, 2, 7, 8, 9, 1000] {
            let steps = Steps { start: 50, step: 7, count };
            let parts: Vec<i64> = parts_of(steps).flat_map(|part| part.times().collect::<Vec<_>>()).collect();
            assert_eq!(parts, steps.times().collect::<Vec<_>>(), "{count} steps");
            assert!(count < 2 || parts_of(steps).all(|part| part.count < count), "{count} steps get fewer");
        }
    }
}
