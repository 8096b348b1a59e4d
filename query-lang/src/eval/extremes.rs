//! `topk` and `bottomk`: the k largest or smallest of each group, under their own labels. NaN gives way to every number.
//!
//! Which of equal values stay is nowhere said. To give those that Prometheus gives, the series are looked at in the order
//! of labels (in which it has them if that is how they came) and kept in a heap that moves them as its heap does.

use std::ops::Range;

use super::column::{Column, is_absent};
use super::context::Context;
use super::cores;
use super::groups::Groups;
use super::limits::EvalError;
use crate::ast::{Aggregate, AggregateOp};

pub(super) fn eval(
    ctx: &Context,
    node: &Aggregate,
    k: &[f64],
    mut columns: Vec<Column>,
) -> Result<Vec<Column>, EvalError> {
    columns.sort_by(|left, right| left.labels.cmp(&right.labels));
    let groups = Groups::new(ctx, &node.grouping, &columns)?;
    let mut out = Vec::with_capacity(columns.len());
    for column in &columns {
        out.push(ctx.column(column.labels.clone())?);
    }
    // Columns in the order in which an instant result lists them.
    let mut order = Vec::with_capacity(columns.len());
    let members = groups.members();
    // The values that stay: the step, the number of the column, and the value.
    let of_steps = |ctx: &Context, best: &mut Best, group: usize, steps: Range<usize>, stay: &mut Vec<f64>| {
        for step in steps {
            ctx.guard.tick()?;
            // Below 1 there are none; more than there are is all.
            let k = if k[step] < 1.0 { 0 } else { (k[step] as usize).min(members[group].len()) };
            best.begin(node.op == AggregateOp::TopK);
            for at in &members[group] {
                let value = columns[*at].values[step];
                if !is_absent(value) {
                    best.add(k, value, *at);
                }
            }
            if ctx.is_instant {
                best.list();
            }
            stay.extend(best.kept.iter().flat_map(|(value, at)| [step as f64, *at as f64, *value]));
        }
        Ok(())
    };
    let most = k.iter().copied().fold(0.0, f64::max).min(columns.len() as f64) as usize;
    cores::by_steps(ctx, members.len(), 3 * most, of_steps, |_, _, stay| {
        for [step, at, value] in stay.as_chunks().0 {
            let at = *at as usize;
            out[at].values[*step as usize] = *value;
            if ctx.is_instant {
                order.push(at);
            }
        }
    })?;
    ctx.used_up(columns);
    if ctx.is_instant && !ctx.is_range() {
        let mut slots: Vec<Option<Column>> = out.into_iter().map(Some).collect();
        return Ok(order.into_iter().filter_map(|at| slots[at].take()).collect());
    }
    out.retain(Column::has_values);
    Ok(out)
}

/// The best so far, the worst of them first: each stands before the two at twice its place.
#[derive(Default)]
struct Best {
    is_largest: bool,
    /// Values, and whose they are.
    kept: Vec<(f64, usize)>,
}

impl Best {
    /// Forgets them all.
    fn begin(&mut self, is_largest: bool) {
        self.is_largest = is_largest;
        self.kept.clear();
    }

    /// Whether a value is worse than another, so that it stands before it.
    fn is_worse(&self, left: f64, right: f64) -> bool {
        left.is_nan() || if self.is_largest { left < right } else { left > right }
    }

    fn add(&mut self, k: usize, value: f64, at: usize) {
        if self.kept.len() < k {
            self.kept.push((value, at));
            self.rise();
        } else if let Some(worst) = self.kept.first_mut() {
            let is_better = if self.is_largest { worst.0 < value } else { worst.0 > value };
            if is_better || (worst.0.is_nan() && !value.is_nan()) {
                *worst = (value, at);
                self.sink();
            }
        }
    }

    /// Moves the last one to its place.
    fn rise(&mut self) {
        let mut at = self.kept.len() - 1;
        while at > 0 {
            let above = (at - 1) / 2;
            if !self.is_worse(self.kept[at].0, self.kept[above].0) {
                return;
            }
            self.kept.swap(at, above);
            at = above;
        }
    }

    /// Moves the first one to its place.
    fn sink(&mut self) {
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            if left >= self.kept.len() {
                return;
            }
            let takes_right = right < self.kept.len() && self.is_worse(self.kept[right].0, self.kept[left].0);
            let below = if takes_right { right } else { left };
            if !self.is_worse(self.kept[below].0, self.kept[at].0) {
                return;
            }
            self.kept.swap(at, below);
            at = below;
        }
    }

    /// Puts the best first; equal ones in the order of labels.
    fn list(&mut self) {
        let is_largest = self.is_largest;
        self.kept.sort_by(|(left, left_at), (right, right_at)| {
            let by_value = if is_largest { right.partial_cmp(left) } else { left.partial_cmp(right) };
            by_value.unwrap_or_else(|| left.is_nan().cmp(&right.is_nan())).then(left_at.cmp(right_at))
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Best;

    proptest! {
        #[test]
        fn the_k_best_stay(values in prop::collection::vec(-5i32..5, 0..40), k in 0usize..10, is_largest: bool) {
            let mut best = Best { is_largest, kept: Vec::new() };
            for (at, value) in values.iter().enumerate() {
                best.add(k, f64::from(*value), at);
            }
            let mut sorted = values.clone();
            sorted.sort_by(|left, right| if is_largest { right.cmp(left) } else { left.cmp(right) });
            sorted.truncate(k);
            best.list();
            let listed: Vec<i32> = best.kept.iter().map(|(_, at)| values[*at]).collect();
            prop_assert_eq!(listed, sorted);
        }
    }
}
