//! The two sides of arithmetic and comparisons: which pairs meet, when they may not, and the labels of a pair.

use watchfire_model::LabelSet;
use watchfire_model::labels::METRIC_NAME;

use super::binary::{Pairing, drops_name};
use super::column::{Column, describes_metric, is_absent, join_or};
use super::context::Context;
use super::limits::EvalError;
use super::native::arithmetic;
use crate::ast::{Binary, BinaryOp, Cardinality, Matching};

const MANY_TO_MANY: &str = "several series of one side have the same matching labels; many-to-many matching is not \
                            allowed, so one side must be unique in them";
const NOT_EXPLICIT: &str =
    "several series match the same one; many-to-one matching must be explicit (`group_left` or `group_right`)";
pub(super) const NOT_UNIQUE: &str = "several matches give the same labels; the grouping labels must make them unique";

/// The sides of a pairing, with the one whose series must be unique told apart.
pub(super) struct Sides<'c> {
    ctx: &'c Context<'c>,
    op: BinaryOp,
    /// Whether that is the left one.
    pub is_swapped: bool,
    pub many: &'c [Column],
    pub one: &'c [Column],
    pub many_groups: &'c [usize],
    pub one_groups: &'c [usize],
    /// The columns of each group.
    pub members: Vec<Vec<usize>>,
    pub partners: Vec<Vec<usize>>,
}

impl<'c> Sides<'c> {
    pub fn new(
        ctx: &'c Context<'c>,
        node: &Binary,
        matching: &Matching,
        (left, right): (&'c [Column], &'c [Column]),
        pairing: &'c Pairing,
    ) -> Sides<'c> {
        let is_swapped = matching.cardinality == Cardinality::OneToMany;
        let (many, one) = if is_swapped { (right, left) } else { (left, right) };
        let (many_groups, one_groups) =
            if is_swapped { (&pairing.right, &pairing.left) } else { (&pairing.left, &pairing.right) };
        let (members, partners) = (pairing.members(many_groups), pairing.members(one_groups));
        Sides { ctx, op: node.op, is_swapped, many, one, many_groups, one_groups, members, partners }
    }

    /// The values of a pair as the operator has them, left and right.
    pub fn in_order(&self, many: f64, one: f64) -> (f64, f64) {
        if self.is_swapped { (one, many) } else { (many, one) }
    }

    /// The columns of the "many" side; where notes may be told of which only the last of a step counts, in the order of
    /// labels.
    pub fn many_in_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.many.len()).collect();
        if self.ctx.has_histograms() {
            order.sort_by(|left, right| self.many[*left].labels.cmp(&self.many[*right].labels));
        }
        order
    }

    /// Whether a column of the "many" side has a value at a step that goes together with this one of the other.
    pub fn meet(&self, step: usize, many: usize, one: f64) -> bool {
        let many = self.many[many].values[step];
        let (left, right) = self.in_order(many, one);
        !is_absent(many) && !arithmetic::do_not_meet(self.ctx, self.op, left, right)
    }

    /// An error where the "one" side has two series for a group, at a step where the other side has any.
    pub fn refuse_ambiguous(&self, is_filled: bool) -> Result<(), EvalError> {
        for members in self.partners.iter().filter(|members| members.len() > 1) {
            for step in 0..self.ctx.steps.count {
                if let Some(second) = second_present(self.one, members, step)
                    && (is_filled || self.many.iter().any(|column| !is_absent(column.values[step])))
                {
                    return Err(EvalError::Labels { reason: MANY_TO_MANY, labels: second.labels.clone() });
                }
            }
        }
        Ok(())
    }

    /// An error where two series of the left side meet the same one of the right, or what stands in for it, whether or
    /// not a comparison would filter them away.
    pub fn refuse_implicit(&self, fill: Option<f64>) -> Result<(), EvalError> {
        let groups = self.members.iter().zip(&self.partners);
        for (members, partners) in groups.filter(|(members, _)| members.len() > 1) {
            for step in 0..self.ctx.steps.count {
                // There are no two: that was refused before.
                let partner = partners.iter().map(|at| self.one[*at].values[step]).find(|value| !is_absent(*value));
                let Some(one) = partner.or(fill) else { continue };
                if let Some(second) = members.iter().filter(|at| self.meet(step, **at, one)).nth(1) {
                    return Err(EvalError::Labels { reason: NOT_EXPLICIT, labels: self.many[*second].labels.clone() });
                }
            }
        }
        Ok(())
    }

    /// A column with a value at each step where a column of the "many" side meets the other's value.
    fn met(&self, labels: LabelSet, many: usize, one: impl Fn(usize) -> Option<f64>) -> Result<Column, EvalError> {
        self.ctx.guard.tick()?;
        let mut column = self.ctx.column(labels)?;
        for (step, value) in column.values.iter_mut().enumerate() {
            if one(step).is_some_and(|one| self.meet(step, many, one)) {
                *value = 1.0;
            }
        }
        Ok(column)
    }

    /// An error where two matches of a group have the same labels, also if the comparison drops one of them.
    pub fn refuse_hidden(&self, node: &Binary, matching: &Matching, fill: Option<f64>) -> Result<(), EvalError> {
        for (members, partners) in self.members.iter().zip(&self.partners).filter(|(members, _)| members.len() > 1) {
            let mut met = Vec::new();
            for many in members {
                let labels = &self.many[*many].labels;
                for one in partners.iter().map(|one| &self.one[*one]) {
                    let has = |step: usize| one.values.get(step).copied().filter(|value| !is_absent(*value));
                    met.push(self.met(result_labels(node, matching, labels, &one.labels), *many, has)?);
                }
                if let Some(fill) = fill {
                    let has = |step: usize| (!any_present(self.one, partners, step)).then_some(fill);
                    let partner = matched_labels(matching, labels);
                    met.push(self.met(result_labels(node, matching, labels, &partner), *many, has)?);
                }
            }
            let count = met.len();
            join_or(met, NOT_UNIQUE)?;
            self.ctx.guard.release(count * Column::bytes(self.ctx.steps.count));
        }
        Ok(())
    }
}

/// Whether a comparison can drop one of two matches that would have the same labels.
pub(super) fn may_hide_matches(node: &Binary, matching: &Matching) -> bool {
    node.op.is_comparison()
        && !node.returns_bool
        && matching.cardinality != Cardinality::OneToOne
        && !matching.include.is_empty()
}

/// The labels that a missing partner is given: those that count.
pub(super) fn matched_labels(matching: &Matching, labels: &LabelSet) -> LabelSet {
    let listed = |name: &str| matching.labels.iter().any(|label| label == name);
    labels.retain(|name| if matching.on { listed(name) } else { name != METRIC_NAME && !listed(name) })
}

/// Labels of a pair: those of the "many" side, less what does not count one-to-one, plus what `group_…` takes over.
pub(super) fn result_labels(node: &Binary, matching: &Matching, many: &LabelSet, one: &LabelSet) -> LabelSet {
    let drops_name = drops_name(node);
    let mut labels = many.retain(|name| {
        let listed = || matching.labels.iter().any(|label| label == name);
        !(drops_name && describes_metric(name))
            && (matching.cardinality != Cardinality::OneToOne || listed() == matching.on)
    });
    for name in &matching.include {
        labels = labels.with(name, one.get(name).unwrap_or(""));
    }
    labels
}

/// The second of the columns that have a value at a step.
fn second_present<'c>(columns: &'c [Column], members: &[usize], step: usize) -> Option<&'c Column> {
    members.iter().map(|at| &columns[*at]).filter(|column| !is_absent(column.values[step])).nth(1)
}

pub(super) fn any_present(columns: &[Column], members: &[usize], step: usize) -> bool {
    members.iter().any(|at| !is_absent(columns[*at].values[step]))
}
