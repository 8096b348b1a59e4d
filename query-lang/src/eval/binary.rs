//! Binary operators, and how the series of two vectors meet.

use watchfire_model::LabelSet;
use watchfire_model::labels::METRIC_NAME;

use super::column::{ABSENT, Column, Places, Value, is_absent, join_or, join_same_labels, without_name};
use super::context::Context;
use super::limits::EvalError;
use super::native::arithmetic;
use super::native::notes::Note;
use super::sides::{NOT_UNIQUE, Sides, any_present, matched_labels, may_hide_matches, result_labels};
use super::stream;
use crate::ast::{Binary, BinaryOp, Cardinality, Expr, Matching, Span};

pub(crate) fn eval(ctx: &Context, node: &Binary) -> Result<Value, EvalError> {
    if let Some(columns) = stream::compared_columns(ctx, node)? {
        return Ok(Value::Vector(columns));
    }
    let below = if node.op.is_trim() { ctx.of_buckets() } else { *ctx };
    let left = super::eval(&below, &node.left)?;
    let right = super::eval(&below, &node.right)?;
    match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => {
            // Comparisons of scalars always have `bool`, so that nothing is filtered.
            if node.op.is_trim() {
                let reason = format!("`{}` cuts histograms, and stands between two scalars", node.op.as_str());
                return Err(EvalError::Parameter { reason });
            }
            let values = left.iter().zip(&right).map(|(left, right)| match apply(node.op, *left, *right) {
                Outcome::Number(value) => value,
                Outcome::Holds(holds) => f64::from(u8::from(holds)),
            });
            Ok(Value::Scalar(values.collect()))
        }
        (Value::Vector(columns), Value::Scalar(scalar)) => {
            with_scalar(ctx, node, columns, &scalar, false).map(Value::Vector)
        }
        (Value::Scalar(scalar), Value::Vector(columns)) => {
            with_scalar(ctx, node, columns, &scalar, true).map(Value::Vector)
        }
        (Value::Vector(left), Value::Vector(right)) => vectors(ctx, node, left, right).map(Value::Vector),
        (Value::Text, _) | (_, Value::Text) => {
            Err(EvalError::Type { reason: format!("`{}` stands beside a text", node.op.as_str()) })
        }
    }
}

/// The series of a vector by their labels; of `or` those of its left side first.
pub(super) fn in_order(ctx: &Context, expr: &Expr) -> Result<Vec<Column>, EvalError> {
    if let Expr::Binary(node) = expr.without_parens()
        && node.op == BinaryOp::Or
    {
        let left = in_order(ctx, &node.left)?;
        return vectors(ctx, node, left, in_order(ctx, &node.right)?);
    }
    let mut columns = super::eval_vector(ctx, expr)?;
    columns.sort_by(|left, right| left.labels.cmp(&right.labels));
    Ok(columns)
}

fn vectors(ctx: &Context, node: &Binary, left: Vec<Column>, right: Vec<Column>) -> Result<Vec<Column>, EvalError> {
    let plain = Matching::plain(Cardinality::OneToOne);
    let matching = node.matching.as_ref().unwrap_or(&plain);
    // With nothing on one side all of the other stays.
    if node.op == BinaryOp::Or && (left.is_empty() || right.is_empty()) {
        return Ok(if left.is_empty() { right } else { left });
    }
    let pairing = Pairing::new(matching, &left, &right);
    match node.op {
        BinaryOp::And => keep_where(ctx, left, &right, &pairing, true),
        BinaryOp::Unless => keep_where(ctx, left, &right, &pairing, false),
        BinaryOp::Or => either(ctx, left, right, &pairing),
        _ => pairwise(ctx, node, matching, left, right, &pairing),
    }
}

/// What an operator makes of two numbers.
enum Outcome {
    Number(f64),
    Holds(bool),
}

fn apply(op: BinaryOp, left: f64, right: f64) -> Outcome {
    if let Some(number) = op.arithmetic(left, right) {
        return Outcome::Number(number);
    }
    Outcome::Holds(match op {
        BinaryOp::Equal => left == right,
        BinaryOp::NotEqual => left != right,
        BinaryOp::Greater => left > right,
        BinaryOp::Less => left < right,
        BinaryOp::GreaterOrEqual => left >= right,
        BinaryOp::LessOrEqual => left <= right,
        // Set operators do not look at numbers, no number is cut, and the others are done.
        _ => true,
    })
}

/// The value that a pair leaves: the number, or for a comparison `kept` where it holds (0 or 1 with `bool`).
fn outcome(node: &Binary, left: f64, right: f64, kept: f64) -> f64 {
    match apply(node.op, left, right) {
        Outcome::Number(value) => value,
        Outcome::Holds(holds) if node.returns_bool => f64::from(u8::from(holds)),
        Outcome::Holds(true) => kept,
        Outcome::Holds(false) => ABSENT,
    }
}

/// Leaves the values for which a comparison with a number holds; says how many are left.
pub(super) fn filter(op: BinaryOp, values: &mut [f64], number: f64) -> usize {
    let mut left = 0;
    for value in values {
        let holds = !is_absent(*value) && matches!(apply(op, *value, number), Outcome::Holds(true));
        if holds {
            left += 1;
        } else {
            *value = ABSENT;
        }
    }
    left
}

/// Whether the result is another metric than its left side.
pub(super) fn drops_name(node: &Binary) -> bool {
    node.returns_bool || !(node.op.is_comparison() || node.op.is_trim())
}

/// The values of pairs, and what is to be said of them: of each step only the last, as in Prometheus.
struct Calculated<'c> {
    ctx: &'c Context<'c>,
    node: &'c Binary,
    /// Whether there can be histograms, or an operator that wants some.
    looks_closely: bool,
    notes: Vec<Option<Note>>,
}

impl<'c> Calculated<'c> {
    fn new(ctx: &'c Context<'c>, node: &'c Binary) -> Calculated<'c> {
        let looks_closely = ctx.has_histograms() || node.op.is_trim();
        let notes = if looks_closely { vec![None; ctx.steps.count] } else { Vec::new() };
        Calculated { ctx, node, looks_closely, notes }
    }

    /// The value of a pair at a step; `kept` is that of a comparison that holds.
    fn value(&mut self, step: usize, left: f64, right: f64, kept: f64) -> Result<f64, EvalError> {
        if self.looks_closely && arithmetic::concerns(self.node.op, left, right) {
            let mut other = None;
            let note = self.notes.get_mut(step).unwrap_or(&mut other);
            return arithmetic::outcome(self.ctx, self.node, (left, right), kept, note);
        }
        Ok(outcome(self.node, left, right, kept))
    }

    fn tell(self) {
        let about = Span { start: self.node.left.span().start, end: self.node.right.span().end };
        self.notes.into_iter().flatten().for_each(|note| self.ctx.note(note, about));
    }
}

fn with_scalar(
    ctx: &Context,
    node: &Binary,
    mut columns: Vec<Column>,
    scalar: &[f64],
    scalar_is_left: bool,
) -> Result<Vec<Column>, EvalError> {
    let mut calculated = Calculated::new(ctx, node);
    for column in &mut columns {
        if drops_name(node) {
            column.labels = without_name(&column.labels);
        }
        for (step, (value, scalar)) in column.values.iter_mut().zip(scalar).enumerate() {
            if !is_absent(*value) {
                let (left, right) = if scalar_is_left { (*scalar, *value) } else { (*value, *scalar) };
                *value = calculated.value(step, left, right, *value)?;
            }
        }
    }
    calculated.tell();
    columns.retain(Column::has_values);
    // As long as names stay, no two are the same that were not before.
    if drops_name(node) { join_same_labels(columns) } else { Ok(columns) }
}

/// Which series of both sides agree in the labels that count.
pub(super) struct Pairing {
    /// The group of each left and right column.
    pub left: Vec<usize>,
    pub right: Vec<usize>,
    groups: usize,
}

impl Pairing {
    fn new(matching: &Matching, left: &[Column], right: &[Column]) -> Pairing {
        let mut places = Places::default();
        let mut group = |column: &Column| {
            let key: LabelSet = if matching.on {
                column.labels.retain(|name| matching.labels.iter().any(|label| label == name))
            } else {
                column.labels.retain(|name| name != METRIC_NAME && !matching.labels.iter().any(|label| label == name))
            };
            places.place(&key).0
        };
        let left: Vec<usize> = left.iter().map(&mut group).collect();
        let right: Vec<usize> = right.iter().map(&mut group).collect();
        let groups = left.iter().chain(&right).max().map_or(0, |most| most + 1);
        Pairing { left, right, groups }
    }

    /// The columns of each group.
    pub fn members(&self, of: &[usize]) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.groups];
        for (column, group) in of.iter().enumerate() {
            members[*group].push(column);
        }
        members
    }
}

/// `and`, `unless`: left values where the right side has, or has not, a partner.
fn keep_where(
    ctx: &Context,
    mut left: Vec<Column>,
    right: &[Column],
    pairing: &Pairing,
    partnered: bool,
) -> Result<Vec<Column>, EvalError> {
    let partners = pairing.members(&pairing.right);
    for (column, group) in left.iter_mut().zip(&pairing.left) {
        ctx.guard.tick()?;
        for step in 0..ctx.steps.count {
            if any_present(right, &partners[*group], step) != partnered {
                column.values[step] = ABSENT;
            }
        }
    }
    left.retain(Column::has_values);
    Ok(left)
}

/// `or`: all of the left, and of the right what has no partner there.
fn either(
    ctx: &Context,
    left: Vec<Column>,
    mut right: Vec<Column>,
    pairing: &Pairing,
) -> Result<Vec<Column>, EvalError> {
    let partners = pairing.members(&pairing.left);
    for (column, group) in right.iter_mut().zip(&pairing.right) {
        ctx.guard.tick()?;
        for step in 0..ctx.steps.count {
            if any_present(&left, &partners[*group], step) {
                column.values[step] = ABSENT;
            }
        }
    }
    right.retain(Column::has_values);
    let mut all = left;
    all.append(&mut right);
    join_same_labels(all)
}

/// Arithmetic and comparisons.
fn pairwise(
    ctx: &Context,
    node: &Binary,
    matching: &Matching,
    left: Vec<Column>,
    right: Vec<Column>,
    pairing: &Pairing,
) -> Result<Vec<Column>, EvalError> {
    let sides = Sides::new(ctx, node, matching, (&left, &right), pairing);
    // With `group_right` Prometheus 3.15 takes `fill_right` for the "one" side all the same, which is the left one then.
    let fill_one = matching.fill.right.map(|fill| fill.value);
    let fill_many = matching.fill.left.map(|fill| fill.value);
    // A step without any series on one side has no result, unless it is filled.
    let is_filled = fill_one.is_some() || fill_many.is_some();
    sides.refuse_ambiguous(is_filled)?;
    if matching.cardinality == Cardinality::OneToOne {
        sides.refuse_implicit(fill_one)?;
    }
    if may_hide_matches(node, matching) {
        sides.refuse_hidden(node, matching, fill_one)?;
    }
    let mut out = Vec::with_capacity(sides.many.len());
    let mut calculated = Calculated::new(ctx, node);
    let mut value = |step: usize, many: f64, one: f64| {
        let (left, right) = sides.in_order(many, one);
        calculated.value(step, left, right, left)
    };
    for at in sides.many_in_order() {
        let (column, group) = (&sides.many[at], &sides.many_groups[at]);
        let partners = &sides.partners[*group];
        for partner in partners {
            ctx.guard.tick()?;
            let partner = &sides.one[*partner];
            let mut result = ctx.column(result_labels(node, matching, &column.labels, &partner.labels))?;
            for (step, result) in result.values.iter_mut().enumerate() {
                let (many, one) = (column.values[step], partner.values[step]);
                if !is_absent(many) && !is_absent(one) {
                    *result = value(step, many, one)?;
                }
            }
            out.push(result);
        }
        if let Some(fill) = fill_one {
            ctx.guard.tick()?;
            let partner_labels = matched_labels(matching, &column.labels);
            let mut result = ctx.column(result_labels(node, matching, &column.labels, &partner_labels))?;
            for (step, result) in result.values.iter_mut().enumerate() {
                if !is_absent(column.values[step]) && !any_present(sides.one, partners, step) {
                    *result = value(step, column.values[step], fill)?;
                }
            }
            out.push(result);
        }
    }
    if let Some(fill) = fill_many {
        for (column, group) in sides.one.iter().zip(sides.one_groups) {
            ctx.guard.tick()?;
            let many_labels = matched_labels(matching, &column.labels);
            let mut result = ctx.column(result_labels(node, matching, &many_labels, &column.labels))?;
            for (step, result) in result.values.iter_mut().enumerate() {
                let one = column.values[step];
                if !is_absent(one) && !sides.members[*group].iter().any(|at| sides.meet(step, *at, one)) {
                    *result = value(step, fill, one)?;
                }
            }
            out.push(result);
        }
    }
    calculated.tell();
    ctx.used_up(left);
    ctx.used_up(right);
    out.retain(Column::has_values);
    join_or(out, NOT_UNIQUE)
}
