//! When an expression looks: the `offset` and `@` that all of its selectors share.

use crate::ast::{At, Expr, Shift, ValueType};
use crate::eval::context::Context;

/// The time at which something looks.
#[derive(Clone, Copy)]
struct Reference {
    /// If `@` fixes it, milliseconds.
    at: Option<i64>,
    offset_ms: i64,
}

impl Reference {
    fn of(ctx: &Context, shift: &Shift) -> Reference {
        let at = shift.at.map(|at| match at {
            At::Time(millis) => millis,
            At::Start => ctx.query_start,
            At::End => ctx.query_end,
        });
        Reference { at, offset_ms: shift.offset_ms }
    }

    /// What it is within something that is shifted itself; what is fixed stays.
    fn within(self, outer: Reference) -> Reference {
        match self.at {
            Some(_) => self,
            None => Reference { at: outer.at, offset_ms: self.offset_ms.saturating_add(outer.offset_ms) },
        }
    }

    fn is_same(self, other: Reference) -> bool {
        match (self.at, other.at) {
            (Some(at), Some(other_at)) => at.saturating_sub(self.offset_ms) == other_at.saturating_sub(other.offset_ms),
            (None, None) => self.offset_ms == other.offset_ms,
            _ => false,
        }
    }
}

/// What a walk over an expression has found.
#[derive(Default)]
struct Found {
    first: Option<Reference>,
    /// Two selectors look at different times, or a part has values without looking anywhere.
    differs: bool,
}

/// The shift that all selectors of an expression share; none if they share none.
pub(super) fn shift_of(ctx: &Context, expr: &Expr) -> Shift {
    let mut found = Found::default();
    walk(ctx, expr, &[], &mut found);
    match found.first.filter(|_| !found.differs) {
        Some(reference) => Shift { at: reference.at.map(At::Time), offset_ms: reference.offset_ms },
        None => Shift::default(),
    }
}

/// Whether there is a selector in it. `outer`: the shifts of the subqueries around it, the innermost last.
fn walk(ctx: &Context, expr: &Expr, outer: &[Reference], found: &mut Found) -> bool {
    if !matches!(expr.value_type(), ValueType::Vector | ValueType::Matrix) {
        return false;
    }
    let has_selector = match expr {
        Expr::Vector(node) => return note(Reference::of(ctx, &node.shift), outer, found),
        Expr::Matrix(node) => return note(Reference::of(ctx, &node.selector.shift), outer, found),
        Expr::Number(_) | Expr::String(_) => false,
        Expr::ShortAggregate(_) | Expr::ShortRate(_) | Expr::ShortQuantile(_) => false,
        Expr::Paren(node) => walk(ctx, &node.expr, outer, found),
        Expr::Unary(node) => walk(ctx, &node.expr, outer, found),
        Expr::Subquery(node) => {
            let inner = [outer, &[Reference::of(ctx, &node.shift)]].concat();
            walk(ctx, &node.expr, &inner, found)
        }
        // Both sides are walked, whatever the first one has.
        Expr::Binary(node) => walk(ctx, &node.left, outer, found) | walk(ctx, &node.right, outer, found),
        Expr::Aggregate(node) => {
            let of_parameter = node.parameter.as_ref().is_some_and(|parameter| walk(ctx, parameter, outer, found));
            of_parameter | walk(ctx, &node.expr, outer, found)
        }
        Expr::Call(node) => {
            // The second argument of `info` is conditions, and looks nowhere.
            let args = if node.function.name == "info" { node.args.get(..1) } else { node.args.get(..) };
            args.into_iter().flatten().fold(false, |has, arg| walk(ctx, arg, outer, found) | has)
        }
    };
    found.differs |= !has_selector;
    has_selector
}

fn note(reference: Reference, outer: &[Reference], found: &mut Found) -> bool {
    let reference = outer.iter().rev().fold(reference, |inner, outer| inner.within(*outer));
    match found.first {
        None => found.first = Some(reference),
        Some(first) => found.differs |= !first.is_same(reference),
    }
    true
}
