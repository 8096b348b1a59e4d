//! Spans of time: a duration, a number of seconds, or an expression of them, which is worked out at once.

use super::{Pair, Rule, literal, meaning, part};
use crate::error::{ParseError, ParseErrorKind};

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

/// The milliseconds of a `span_sum`, which must be positive.
pub(super) fn positive_ms(text: &str, pair: Pair<'_>) -> Result<i64, ParseError> {
    let terms = pair.clone().into_inner();
    let is_plain = terms.clone().count() == 1 && terms.clone().all(|term| is_literal(&term));
    let millis = in_millis(text, &pair, sum(text, pair.clone())?, is_plain)?;
    if millis <= 0 {
        return Err(meaning(text, &pair, "the duration must be greater than 0"));
    }
    Ok(millis)
}

/// The milliseconds of a `span_term`, as `offset` has it.
pub(super) fn term_ms(text: &str, pair: Pair<'_>) -> Result<i64, ParseError> {
    in_millis(text, &pair, term(text, pair.clone())?.signed(), is_literal(&pair))
}

/// Whether a term is only written down, and not worked out.
fn is_literal(term: &Pair<'_>) -> bool {
    let mut parts = term.clone().into_inner();
    parts.all(|part| matches!(part.as_rule(), Rule::sign | Rule::duration | Rule::number))
}

/// What is written is rounded, what is worked out is cut to whole milliseconds, as in Prometheus.
fn in_millis(text: &str, pair: &Pair<'_>, seconds: f64, is_plain: bool) -> Result<i64, ParseError> {
    let millis = seconds * 1000.0;
    let millis = if is_plain { millis.round() } else { millis.trunc() };
    if !millis.is_finite() || millis.abs() > LONGEST_MS {
        return Err(meaning(text, pair, "the duration is out of range"));
    }
    Ok(millis as i64)
}

/// The seconds of a `span_sum`: `^` first, from the right, then signs, then `*`, `/`, `%`, then `+`, `-`.
fn sum(text: &str, pair: Pair<'_>) -> Result<f64, ParseError> {
    let mut terms = Vec::new();
    let mut operators = Vec::new();
    for item in pair.into_inner() {
        match item.as_rule() {
            Rule::span_operator => operators.push(item),
            _ => terms.push(term(text, item)?),
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
            "/" | "%" if value == 0.0 => return Err(meaning(text, operator, "a duration is divided by 0")),
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

fn term(text: &str, pair: Pair<'_>) -> Result<Term, ParseError> {
    let mut negative = false;
    for item in pair.clone().into_inner() {
        let seconds = match item.as_rule() {
            Rule::sign => {
                negative ^= item.as_str() == "-";
                continue;
            }
            Rule::duration => literal::duration_ms(text, &item)? as f64 / 1000.0,
            Rule::number => literal::number(text, &item)?,
            Rule::span_call => call(text, item)?,
            _ => sum(text, part(&mut item.into_inner()))?,
        };
        return Ok(Term { negative, seconds });
    }
    Err(meaning(text, &pair, "a duration is missing"))
}

/// `min_of` and `max_of`; `step` and `range` depend on the query's times and are to come.
fn call(text: &str, pair: Pair<'_>) -> Result<f64, ParseError> {
    let mut parts = pair.clone().into_inner();
    let word = part(&mut parts);
    let lower = word.as_str().to_ascii_lowercase();
    let args: Vec<Pair<'_>> = parts.filter(|item| item.as_rule() == Rule::span_sum).collect();
    let choose = match lower.as_str() {
        "min_of" => f64::min,
        "max_of" => f64::max,
        _ => {
            let message = format!("`{lower}()` in a duration is not in this version yet");
            return Err(ParseError::at(ParseErrorKind::NotYet, text, pair.as_span().start(), message));
        }
    };
    let [left, right] = args.as_slice() else {
        return Err(meaning(text, &word, format!("`{lower}` takes 2 argument(s), {} given", args.len())));
    };
    Ok(choose(sum(text, left.clone())?, sum(text, right.clone())?))
}
