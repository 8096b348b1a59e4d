//! Spans of time that are worked out: `5m * 2`, `max_of(1m, step())`.

use super::{BinaryOp, NumberLiteral, Span};

/// A span of time as it was written. One that is only written down is no expression but its milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub enum SpanExpr {
    /// `5m`, or a number of seconds, with its sign.
    Number(NumberLiteral),
    /// `step()`: the distance between two evaluations.
    Step,
    /// `range()`: from the first evaluation to the last.
    Range,
    /// `min_of(a, b)`, `max_of(a, b)`
    Choice(Box<SpanChoice>),
    /// `-` before what is no number.
    Minus(Box<SpanExpr>),
    /// `a * b`
    Binary(Box<SpanBinary>),
    /// `(a)`
    Paren(Box<SpanExpr>),
}

/// The smaller or the larger of two spans.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanChoice {
    /// Whether the larger one is taken.
    pub is_max: bool,
    /// One.
    pub left: SpanExpr,
    /// The other.
    pub right: SpanExpr,
}

impl SpanChoice {
    /// The function's name.
    pub const fn word(&self) -> &'static str {
        if self.is_max { "max_of" } else { "min_of" }
    }
}

/// Two spans and an operator.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanBinary {
    /// The operator: one of those that the grammar has for spans, all of arithmetic.
    pub op: BinaryOp,
    /// Left side.
    pub left: SpanExpr,
    /// Right side.
    pub right: SpanExpr,
    /// Where the operator stands.
    pub span: Span,
}

impl SpanExpr {
    /// The span in brackets; more than one pair says nothing more.
    #[must_use]
    pub fn in_parens(self) -> SpanExpr {
        match self {
            SpanExpr::Paren(_) => self,
            inner => SpanExpr::Paren(Box::new(inner)),
        }
    }

    /// The span with its sign turned.
    #[must_use]
    pub fn negated(self) -> SpanExpr {
        match self {
            SpanExpr::Number(number) => SpanExpr::Number(NumberLiteral { value: -number.value, ..number }),
            inner => SpanExpr::Minus(Box::new(inner)),
        }
    }
}
