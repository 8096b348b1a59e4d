//! Spans of time: a duration, a number of seconds, or an expression of them, which is worked out while it is read.
//!
//! `step()` and `range()` are known only when a query is evaluated: one that has them is read once more then.

use std::cell::Cell;

use super::{Pair, Rule, literal, meaning, part};
use crate::error::ParseError;

/// Longest span, milliseconds: what Prometheus can hold in nanoseconds.
const LONGEST_MS: f64 = 9_223_372_036_854.0;

/// A term with its sign still apart, as `^` binds tighter.
#[derive(Clone, Copy)]
struct Term {
    negative: bool,
    seconds: f64,
}

impl Term {
    fn signed(self) -> f64 {
        if self.negative { -self.seconds } else { self.seconds }
    }
}

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

    /// The milliseconds of a `span_sum`, which must be positive.
    pub(super) fn positive_ms(&self, pair: Pair<'_>) -> Result<i64, ParseError> {
        let terms = pair.clone().into_inner();
        let is_plain = terms.clone().count() == 1 && terms.clone().all(|term| is_literal(&term));
        let millis = self.in_millis(&pair, self.sum(pair.clone())?, is_plain)?;
        if millis <= 0 {
            return Err(meaning(self.text, &pair, "the duration must be greater than 0"));
        }
        Ok(millis)
    }

    /// The milliseconds of a `span_term`, as `offset` has it.
    pub(super) fn term_ms(&self, pair: Pair<'_>) -> Result<i64, ParseError> {
        self.in_millis(&pair, self.term(pair.clone())?.signed(), is_literal(&pair))
    }
}

/// Whether a term is only written down, and not worked out.
fn is_literal(term: &Pair<'_>) -> bool {
    let mut parts = term.clone().into_inner();
    parts.all(|part| matches!(part.as_rule(), Rule::sign | Rule::duration | Rule::number))
}

impl Spans<'_> {
    /// What is written is rounded, what is worked out is cut to whole milliseconds, as in Prometheus.
    fn in_millis(&self, pair: &Pair<'_>, seconds: f64, is_plain: bool) -> Result<i64, ParseError> {
        if seconds.is_nan() && self.times.is_none() && self.depends.get() {
            return Ok(UNKNOWN_MS);
        }
        let millis = seconds * 1000.0;
        let millis = if is_plain { millis.round() } else { millis.trunc() };
        if !millis.is_finite() || millis.abs() > LONGEST_MS {
            return Err(meaning(self.text, pair, "the duration is out of range"));
        }
        Ok(millis as i64)
    }

    /// The seconds of a `span_sum`: `^` first, from the right, then signs, then `*`, `/`, `%`, then `+`, `-`.
    fn sum(&self, pair: Pair<'_>) -> Result<f64, ParseError> {
        let mut terms = Vec::new();
        let mut operators = Vec::new();
        for item in pair.into_inner() {
            match item.as_rule() {
                Rule::span_operator => operators.push(item),
                _ => terms.push(self.term(item)?),
            }
        }
        for at in (0..operators.len()).rev().filter(|at| operators[*at].as_str() == "^").collect::<Vec<_>>() {
            terms[at].seconds = terms[at].seconds.powf(terms[at + 1].signed());
            terms.remove(at + 1);
        }
        operators.retain(|operator| operator.as_str() != "^");
        let mut values = terms.into_iter().map(Term::signed);
        let (mut total, mut product) = (0.0, values.next().unwrap_or_default());
        for (operator, value) in operators.iter().zip(values) {
            match operator.as_str() {
                "*" => product *= value,
                "/" | "%" if value == 0.0 => return Err(meaning(self.text, operator, "a duration is divided by 0")),
                "/" => product /= value,
                "%" => product %= value,
                sign => {
                    total += product;
                    product = if sign == "-" { -value } else { value };
                }
            }
        }
        Ok(total + product)
    }

    fn term(&self, pair: Pair<'_>) -> Result<Term, ParseError> {
        let mut negative = false;
        for item in pair.clone().into_inner() {
            let seconds = match item.as_rule() {
                Rule::sign => {
                    negative ^= item.as_str() == "-";
                    continue;
                }
                Rule::duration => literal::duration_ms(self.text, &item)? as f64 / 1000.0,
                Rule::number => literal::number(self.text, &item)?,
                Rule::span_call => self.call(item)?,
                _ => self.sum(part(&mut item.into_inner()))?,
            };
            return Ok(Term { negative, seconds });
        }
        Err(meaning(self.text, &pair, "a duration is missing"))
    }

    /// `min_of` and `max_of`, `step` and `range`. What depends on times that are not known is no number.
    fn call(&self, pair: Pair<'_>) -> Result<f64, ParseError> {
        let mut parts = pair.clone().into_inner();
        let word = part(&mut parts);
        let lower = word.as_str().to_ascii_lowercase();
        let args: Vec<Pair<'_>> = parts.filter(|item| item.as_rule() == Rule::span_sum).collect();
        let of_times: Option<fn(QueryTimes) -> i64> = match lower.as_str() {
            "step" => Some(|times| times.step_ms),
            "range" => Some(|times| times.range_ms),
            _ => None,
        };
        if let Some(of_times) = of_times {
            if !args.is_empty() {
                return Err(meaning(self.text, &word, format!("`{lower}` takes no argument, {} given", args.len())));
            }
            self.depends.set(true);
            return Ok(self.times.map_or(f64::NAN, |times| of_times(times) as f64 / 1000.0));
        }
        let choose = if lower == "min_of" { f64::min } else { f64::max };
        let [left, right] = args.as_slice() else {
            return Err(meaning(self.text, &word, format!("`{lower}` takes 2 argument(s), {} given", args.len())));
        };
        let (left, right) = (self.sum(left.clone())?, self.sum(right.clone())?);
        // The functions would take the one that is a number.
        Ok(if left.is_nan() || right.is_nan() { f64::NAN } else { choose(left, right) })
    }
}
