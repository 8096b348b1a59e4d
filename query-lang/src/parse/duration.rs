//! Spans of time: a duration, a number of seconds, or an expression of them, which is worked out while it is read.
//!
//! `step()` and `range()` are known only when a query is evaluated: one that has them is read once more then.

use std::cell::Cell;

use super::promql::{SIGN_PRECEDENCE, binary_op};
use super::{DEPTH_MAX, Pair, Rule, literal, meaning, part, span};
use crate::ast::{BinaryOp, NumberLiteral, SpanBinary, SpanChoice, SpanExpr};
use crate::error::{ParseError, ParseErrorKind};

/// Longest span, milliseconds: what Prometheus can hold in nanoseconds.
const LONGEST_MS: f64 = 9_223_372_036_854.0;

/// The times of the evaluation, which `step()` and `range()` stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueryTimes {
    /// Distance between two steps, milliseconds; 0 at one moment.
    pub step_ms: i64,
    /// From the first to the last, milliseconds.
    pub range_ms: i64,
}

/// A span that depends on times which are not known yet.
const UNKNOWN_MS: i64 = 1000;

/// Works spans out.
pub(super) struct Spans<'t> {
    text: &'t str,
    times: Option<QueryTimes>,
    /// Whether a span that was worked out depends on the times.
    depends: Cell<bool>,
}

impl<'t> Spans<'t> {
    /// Without times, what depends on them is a second long.
    pub(super) fn new(text: &'t str, times: Option<QueryTimes>) -> Spans<'t> {
        Spans { text, times, depends: Cell::new(false) }
    }

    /// Whether any span depended on the times.
    pub(super) fn depend_on_times(&self) -> bool {
        self.depends.get()
    }

    /// A `span_sum`, which must be positive; what is shorter than a millisecond comes to none.
    pub(super) fn positive(&self, pair: Pair<'_>) -> Result<Worked, ParseError> {
        let worked = self.worked(&pair, self.sum(pair.clone())?)?;
        if !worked.is_positive {
            return Err(meaning(self.text, &pair, "the duration must be greater than 0"));
        }
        Ok(worked)
    }

    /// A `span_term`, as `offset` has it.
    pub(super) fn term(&self, pair: Pair<'_>) -> Result<Worked, ParseError> {
        let mut terms = Terms::default();
        self.read_term(pair.clone(), &mut terms)?;
        let built = terms.finish(self.text, &pair)?;
        self.worked(&pair, built)
    }
}

/// A span that was worked out.
pub(super) struct Worked {
    pub millis: i64,
    /// Before it was cut to milliseconds.
    is_positive: bool,
    /// It is a part of a millisecond.
    pub is_fraction: bool,
    /// From what; nothing if it was only written down.
    pub expr: Option<Box<SpanExpr>>,
}

/// A span as it was written, and how deep it is.
struct Built {
    expr: SpanExpr,
    depth: usize,
}

/// What waits for its right side.
enum Pending {
    Minus,
    Infix { op: BinaryOp, at: crate::ast::Span },
}

/// Operator precedence by a stack of what waits, so that long chains do not recurse.
#[derive(Default)]
struct Terms {
    done: Vec<Built>,
    waiting: Vec<Pending>,
}

impl Terms {
    /// Puts together what binds at least as tightly as an operator of this precedence.
    fn reduce(&mut self, precedence: u8, is_right: bool) {
        while let Some(top) = self.waiting.last() {
            let before = match top {
                Pending::Minus => SIGN_PRECEDENCE,
                Pending::Infix { op, .. } => op.precedence(),
            };
            if before < precedence || (before == precedence && is_right) {
                return;
            }
            let (Some(pending), Some(right)) = (self.waiting.pop(), self.done.pop()) else { return };
            let built = match pending {
                Pending::Minus => Built { expr: right.expr.negated(), depth: right.depth + 1 },
                Pending::Infix { op, at } => {
                    let Some(left) = self.done.pop() else { return };
                    let depth = left.depth.max(right.depth) + 1;
                    let binary = SpanBinary { op, left: left.expr, right: right.expr, span: at };
                    Built { expr: SpanExpr::Binary(Box::new(binary)), depth }
                }
            };
            self.done.push(built);
        }
    }

    fn finish(mut self, text: &str, pair: &Pair<'_>) -> Result<Built, ParseError> {
        self.reduce(0, false);
        let built = self.done.pop().ok_or_else(|| meaning(text, pair, "a duration is missing"))?;
        if built.depth > DEPTH_MAX {
            let message = format!("the duration is nested more than {DEPTH_MAX} deep");
            return Err(ParseError::at(ParseErrorKind::Limit, text, pair.as_span().start(), message));
        }
        Ok(built)
    }
}

impl Spans<'_> {
    /// What is written is rounded to nanoseconds, and all is cut to whole milliseconds, as in Prometheus.
    fn worked(&self, pair: &Pair<'_>, built: Built) -> Result<Worked, ParseError> {
        let seconds = self.seconds(&built.expr)?;
        let is_plain = matches!(built.expr, SpanExpr::Number(_));
        let expr = (!is_plain).then(|| Box::new(built.expr));
        if seconds.is_nan() && self.times.is_none() && self.depends.get() {
            return Ok(Worked { millis: UNKNOWN_MS, is_positive: true, is_fraction: false, expr });
        }
        let millis = if is_plain { (seconds * 1e9).round() / 1e6 } else { seconds * 1000.0 };
        // Of an expression all below a millisecond is cut off before it is looked at.
        let is_fraction = is_plain && millis > 0.0 && millis < 1.0;
        let (is_positive, millis) = (seconds > 0.0, millis.trunc());
        if !millis.is_finite() || millis.abs() > LONGEST_MS {
            return Err(meaning(self.text, pair, "the duration is out of range"));
        }
        Ok(Worked { millis: millis as i64, is_positive, is_fraction, expr })
    }

    /// A `span_sum`: `^` first, from the right, then signs, `*`, `/`, `%`, then `+`, `-`.
    fn sum(&self, pair: Pair<'_>) -> Result<Built, ParseError> {
        let mut terms = Terms::default();
        for item in pair.clone().into_inner() {
            if item.as_rule() != Rule::span_operator {
                self.read_term(item, &mut terms)?;
                continue;
            }
            let op = binary_op(item.as_str());
            let op = op.ok_or_else(|| meaning(self.text, &item, "this is no operator of durations"))?;
            terms.reduce(op.precedence(), op == BinaryOp::Power);
            terms.waiting.push(Pending::Infix { op, at: span(&item) });
        }
        terms.finish(self.text, &pair)
    }

    /// A `span_term`: signs, and what they stand before.
    fn read_term(&self, pair: Pair<'_>, terms: &mut Terms) -> Result<(), ParseError> {
        for item in pair.into_inner() {
            let number = |value, is_duration| SpanExpr::Number(NumberLiteral { value, is_duration, span: span(&item) });
            let built = match item.as_rule() {
                Rule::sign => {
                    terms.waiting.extend((item.as_str() == "-").then_some(Pending::Minus));
                    continue;
                }
                Rule::duration => {
                    let seconds = literal::duration_ms(self.text, &item)? as f64 / 1000.0;
                    Built { expr: number(seconds, true), depth: 1 }
                }
                Rule::number => Built { expr: number(literal::number(self.text, &item)?, false), depth: 1 },
                Rule::span_call => self.call(item)?,
                _ => {
                    let inner = self.sum(part(&mut item.into_inner()))?;
                    Built { expr: inner.expr.in_parens(), depth: inner.depth + 1 }
                }
            };
            terms.done.push(built);
        }
        Ok(())
    }

    /// `min_of` and `max_of`, `step` and `range`.
    fn call(&self, pair: Pair<'_>) -> Result<Built, ParseError> {
        let mut parts = pair.clone().into_inner();
        let word = part(&mut parts);
        let lower = word.as_str().to_ascii_lowercase();
        let args: Vec<Pair<'_>> = parts.filter(|item| item.as_rule() == Rule::span_sum).collect();
        let of_times = match lower.as_str() {
            "step" => Some(SpanExpr::Step),
            "range" => Some(SpanExpr::Range),
            _ => None,
        };
        if let Some(expr) = of_times {
            if !args.is_empty() {
                return Err(meaning(self.text, &word, format!("`{lower}` takes no argument, {} given", args.len())));
            }
            self.depends.set(true);
            return Ok(Built { expr, depth: 1 });
        }
        let [left, right] = args.as_slice() else {
            return Err(meaning(self.text, &word, format!("`{lower}` takes 2 argument(s), {} given", args.len())));
        };
        let (left, right) = (self.sum(left.clone())?, self.sum(right.clone())?);
        let depth = left.depth.max(right.depth) + 1;
        let choice = SpanChoice { is_max: lower == "max_of", left: left.expr, right: right.expr };
        Ok(Built { expr: SpanExpr::Choice(Box::new(choice)), depth })
    }

    /// What a span comes to. What depends on times that are not known is no number.
    fn seconds(&self, expr: &SpanExpr) -> Result<f64, ParseError> {
        let of_times =
            |chosen: fn(QueryTimes) -> i64| self.times.map_or(f64::NAN, |times| chosen(times) as f64 / 1000.0);
        Ok(match expr {
            SpanExpr::Number(number) => number.value,
            SpanExpr::Step => of_times(|times| times.step_ms),
            SpanExpr::Range => of_times(|times| times.range_ms),
            SpanExpr::Minus(inner) => -self.seconds(inner)?,
            SpanExpr::Paren(inner) => self.seconds(inner)?,
            SpanExpr::Choice(choice) => {
                let (left, right) = (self.seconds(&choice.left)?, self.seconds(&choice.right)?);
                // The functions would take the one that is a number.
                match left.is_nan() || right.is_nan() {
                    true => f64::NAN,
                    false if choice.is_max => left.max(right),
                    false => left.min(right),
                }
            }
            SpanExpr::Binary(node) => {
                let (left, right) = (self.seconds(&node.left)?, self.seconds(&node.right)?);
                if right == 0.0 && matches!(node.op, BinaryOp::Divide | BinaryOp::Modulo) {
                    let message = "a duration is divided by 0";
                    return Err(ParseError::at(ParseErrorKind::Meaning, self.text, node.span.start, message));
                }
                // The grammar has no other operators here.
                node.op.arithmetic(left, right).unwrap_or(f64::NAN)
            }
        })
    }
}
