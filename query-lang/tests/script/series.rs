//! Lines of a series and its values: `name{a="b"} 1 2+3x4 _ stale`.

use watchfire_model::sample::STALE_NAN_BITS;
use watchfire_model::{LabelSet, MatchOp};
use watchfire_query_lang::ast::Expr;
use watchfire_query_lang::parse;

/// A series and its value, or none, at each step.
pub struct Line {
    /// Its labels; none for a scalar.
    pub labels: LabelSet,
    /// Its values.
    pub values: Vec<Option<f64>>,
}

/// Reads a line; one of values only has no labels.
pub fn parse_line(line: &str) -> Result<Line, String> {
    let split = match line.rfind('}') {
        Some(at) => at + 1,
        None if number(line.split_whitespace().next().unwrap_or("")).is_ok() => 0,
        None => line.find([' ', '\t']).unwrap_or(line.len()),
    };
    let (name, values) = line.split_at(split);
    let mut out = Vec::new();
    for word in values.split_whitespace() {
        expand(word, &mut out)?;
    }
    Ok(Line { labels: labels(name.trim())?, values: out })
}

fn labels(text: &str) -> Result<LabelSet, String> {
    if text.is_empty() || text == "{}" {
        return Ok(LabelSet::empty());
    }
    let query = parse(text).map_err(|error| error.to_string())?;
    let Expr::Vector(selector) = query.root() else { return Err(format!("`{text}` is no series")) };
    if selector.matchers.iter().any(|matcher| matcher.op() != MatchOp::Equal) {
        return Err(format!("`{text}` is no series"));
    }
    let pairs = selector.matchers.iter().map(|matcher| (matcher.name(), matcher.value()));
    LabelSet::from_pairs(pairs).map_err(|error| error.to_string())
}

fn number(word: &str) -> Result<f64, String> {
    word.parse().map_err(|_| format!("`{word}` is no number"))
}

/// `v`, `_`, `stale`, `_xN` (N times nothing), `vxN`, `v+dxN`, `v-dxN` (v and then N more).
fn expand(word: &str, out: &mut Vec<Option<f64>>) -> Result<(), String> {
    let Some((value, times)) = word.rsplit_once('x') else {
        out.push(match word {
            "_" => None,
            "stale" => Some(f64::from_bits(STALE_NAN_BITS)),
            _ => Some(number(word)?),
        });
        return Ok(());
    };
    let times: usize = times.parse().map_err(|_| format!("`{word}` is repeated how often?"))?;
    if value == "_" {
        out.extend(std::iter::repeat_n(None, times));
        return Ok(());
    }
    // The sign of the difference is the last one that belongs neither to an exponent nor to the value itself.
    let sign = value
        .char_indices()
        .rev()
        .find(|(at, c)| *at > 0 && matches!(c, '+' | '-') && !value[..*at].ends_with(['e', 'E', '+', '-']));
    let (first, difference) = match sign {
        Some((at, _)) => (number(&value[..at])?, number(&value[at..])?),
        None => (number(value)?, 0.0),
    };
    out.extend((0..=times).map(|step| Some(first + difference * step as f64)));
    Ok(())
}

/// Whether two values differ by at most a share of the larger one.
pub fn same(left: Option<f64>, right: Option<f64>, share: f64) -> bool {
    match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) => {
            left == right
                || (left.is_nan() && right.is_nan())
                || (left - right).abs() <= share * left.abs().max(right.abs())
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Values as a script writes them.
pub fn print_values(values: &[Option<f64>]) -> String {
    let words = values.iter().map(|value| value.map_or("_".to_owned(), |value| value.to_string()));
    words.collect::<Vec<_>>().join(" ")
}
