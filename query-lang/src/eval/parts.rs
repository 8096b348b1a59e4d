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
/// How often. What ranges and subqueries look back at is read again for each part: a query that needs more parts would take
/// longer than anybody waits.
const DEPTH_MAX: usize = 3;

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
    match attempt(ctx, evaluate) {
        Err(EvalError::Memory { .. }) if ctx.steps.count > 1 => {
            let mut kept = Kept::default();
            kept.parts(ctx, evaluate, 1)?;
            Ok(Gathered::Parts(kept.series))
        }
        result => result.map(Gathered::Whole),
    }
}

/// The columns; if they take too much, nothing is left of what was done. One step cannot be cut, and may take all there is.
fn attempt(
    ctx: &Context,
    evaluate: &dyn Fn(&Context) -> Result<Vec<Column>, EvalError>,
) -> Result<Vec<Column>, EvalError> {
    if ctx.steps.count <= 1 {
        return evaluate(ctx);
    }
    let before = ctx.guard.used();
    let shelved = ctx.shelved();
    let result = ctx.guard.capped(|| evaluate(ctx));
    if let Err(EvalError::Memory { .. }) = result {
        ctx.forget_since(shelved, std::iter::empty());
        ctx.guard.begin_again(&before);
    }
    result
}

/// What is kept of the parts so far.
#[derive(Default)]
struct Kept {
    places: Places,
    series: Vec<RangeSeries>,
}

impl Kept {
    /// The parts of a grid, one after another; `depth` says how often the whole was cut by then.
    fn parts(
        &mut self,
        ctx: &Context,
        evaluate: &dyn Fn(&Context) -> Result<Vec<Column>, EvalError>,
        depth: usize,
    ) -> Result<(), EvalError> {
        for steps in parts_of(ctx.steps) {
            let part = Context { steps, is_part: true, shared: None, ..*ctx };
            match attempt(&part, evaluate) {
                Err(EvalError::Memory { .. }) if steps.count > 1 && depth < DEPTH_MAX => {
                    self.parts(&part, evaluate, depth + 1)?;
                }
                result => self.keep(&part, result?)?,
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
