//! Series as tests of rules write them: `name{a="b"}` with `1 2+3x4 _ stale {{sum:1 count:2}}`.
//!
//! Source: Prometheus' promql/parser (ParseSeriesDesc, ParseMetric), whose notation this is.
//!
//! ```text
//! v          a number, or `stale`: the series ends
//! _          nothing at this time; `_xN`: N times
//! vxN        v, and N times more; v+dxN, v-dxN: each by d away from the one before
//! {{…}}      a native histogram, alone or with `xN`, `+{{…}}xN`, `-{{…}}xN`
//! ```

mod histogram;

use std::sync::Arc;

use watchfire_model::sample::STALE_NAN_BITS;
use watchfire_model::{Histogram, LabelSet, MatchOp};

use crate::ast::{Expr, Shift};
use crate::eval::PointValue;

pub use histogram::print_histogram;

/// Most values of one series.
pub const VALUES_MAX: usize = 5_000_000;

/// Why a text describes no series.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SeriesError {
    /// Byte offset into the text.
    pub offset: usize,
    /// What is wrong, and how to mend it.
    pub message: String,
}

fn error<T>(offset: usize, message: impl Into<String>) -> Result<T, SeriesError> {
    Err(SeriesError { offset, message: message.into() })
}

/// The labels that `name{a="b"}` says; none of an empty text.
pub fn parse_labels(text: &str) -> Result<LabelSet, SeriesError> {
    const FORM: &str = "write name{label=\"value\"}";
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).is_some_and(is_blank) {
        return Ok(LabelSet::empty());
    }
    let query = match crate::parse(text) {
        Ok(query) => query,
        Err(fault) => return error(fault.offset, format!("{}; {FORM}", fault.message)),
    };
    let Expr::Vector(selector) = query.root() else {
        return error(0, format!("`{trimmed}` names no series; {FORM}"));
    };
    if selector.shift != Shift::default() {
        return error(0, format!("`offset` and `@` are for queries, not for the name of a series; {FORM}"));
    }
    if let Some(matcher) = selector.matchers.iter().find(|matcher| matcher.op() != MatchOp::Equal) {
        return error(0, format!("the label `{}` has no value of its own; {FORM}", matcher.name()));
    }
    let pairs = selector.matchers.iter().map(|matcher| (matcher.name(), matcher.value()));
    LabelSet::from_pairs(pairs).or_else(|fault| error(0, fault.to_string()))
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// The value, or none, at each step.
pub fn parse_values(text: &str) -> Result<Vec<Option<PointValue>>, SeriesError> {
    let mut values = Vec::new();
    let mut at = 0;
    while let Some(blanks) = text.get(at..).and_then(|rest| rest.find(|c: char| !c.is_whitespace())) {
        at += blanks;
        let length = item(text.get(at..).unwrap_or_default(), &mut values).map_err(|mut fault| {
            fault.offset += at;
            fault
        })?;
        at += length;
    }
    Ok(values)
}

/// Reads the item at the beginning of `rest`; answers its length.
fn item(rest: &str, values: &mut Vec<Option<PointValue>>) -> Result<usize, SeriesError> {
    if rest.starts_with(histogram::OPEN) {
        return histogram_item(rest, values);
    }
    let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let word = rest.get(..length).unwrap_or_default();
    let (value, times) = match word.rsplit_once('x') {
        Some((value, times)) => (value, Some(count(times, word, values.len())?)),
        None => (word, None),
    };
    if value == "_" {
        values.extend(std::iter::repeat_n(None, times.unwrap_or(1)));
        return Ok(length);
    }
    // The sign of the difference is the first one that belongs neither to the value itself nor to its exponent.
    let sign = value
        .char_indices()
        .skip(1)
        .find(|(at, c)| matches!(c, '+' | '-') && !value.get(..*at).unwrap_or_default().ends_with(['e', 'E']));
    let (first, difference) = match sign {
        Some((at, _)) => (number(value.get(..at).unwrap_or_default())?, number(value.get(at..).unwrap_or_default())?),
        None => (number(value)?, 0.0),
    };
    if sign.is_some() && times.is_none() {
        return error(length, format!("`{word}` says by how much, and not how often; write {word}xN"));
    }
    let mut now = first;
    for _ in 0..=times.unwrap_or(0) {
        values.push(Some(PointValue::Float(now)));
        if sign.is_some() {
            now += difference;
        }
    }
    Ok(length)
}

fn histogram_item(rest: &str, values: &mut Vec<Option<PointValue>>) -> Result<usize, SeriesError> {
    let (base, mut at) = histogram::parse(rest)?;
    let tail = |at: usize| rest.get(at..).unwrap_or_default();
    let sign = tail(at).chars().next().filter(|c| matches!(c, '+' | '-'));
    let step = match sign {
        Some(_) => {
            let (step, length) = histogram::parse(tail(at + 1)).map_err(|mut fault| {
                fault.offset += at + 1;
                fault
            })?;
            at += 1 + length;
            Some(step)
        }
        None => None,
    };
    let end = at + tail(at).find(char::is_whitespace).unwrap_or(tail(at).len());
    let word = rest.get(at..end).unwrap_or_default();
    let times = match word.strip_prefix('x') {
        Some(times) => count(times, word, values.len()).map_err(|fault| SeriesError { offset: at, ..fault })?,
        None if word.is_empty() && step.is_none() => 0,
        None => return error(at, format!("expected xN behind the histogram, found `{word}`")),
    };
    let mut now = base;
    for nth in 0..=times {
        if let (Some(step), true) = (&step, nth > 0) {
            now = moved(&now, step, sign == Some('-')).or_else(|why| error(0, why))?;
        }
        values.push(Some(PointValue::Histogram(Arc::new(now.clone()))));
    }
    Ok(end)
}

fn moved(now: &Histogram, step: &Histogram, is_down: bool) -> Result<Histogram, String> {
    if now.schema() > step.schema() {
        return Err(format!("a histogram of schema {} cannot grow by one of schema {}", now.schema(), step.schema()));
    }
    let mut next = now.clone();
    let moved = if is_down { next.subtract(step) } else { next.add(step) };
    moved.map_err(|_| "these histograms have buckets that cannot be added".to_owned())?;
    Ok(next)
}

/// How often; the whole series stays bounded.
fn count(times: &str, word: &str, before: usize) -> Result<usize, SeriesError> {
    match times.parse::<usize>() {
        Ok(times) if before.saturating_add(times) < VALUES_MAX => Ok(times),
        Ok(_) => error(0, format!("`{word}`: a series has at most {VALUES_MAX} values")),
        Err(_) => error(0, format!("`{word}`: how often? write a whole number behind the x")),
    }
}

fn number(word: &str) -> Result<f64, SeriesError> {
    if word == "stale" {
        return Ok(f64::from_bits(STALE_NAN_BITS));
    }
    word.parse().or_else(|_| error(0, format!("`{word}` is no number; write 1, 1.5e3, Inf, NaN, _ or stale")))
}

#[cfg(test)]
mod tests;
