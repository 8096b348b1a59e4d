//! What figures over matching records are asked for, and what comes out: counted, summed, by fields and time.

use std::time::Duration;

use crate::query::{Field, Number, Query};
use crate::search::{SearchCost, TimeRange};

/// Most bars of time that figures are given for.
pub const STEPS_MAX: usize = 11_000;
/// Most rows of an answer.
pub const ROWS_MAX: usize = 100_000;
/// So many different values, or values of a quantile, are told apart exactly; more are estimated within 1 %.
pub const EXACT_MAX: usize = 10_000;

/// A question for figures.
#[derive(Clone, Debug)]
pub struct StatsRequest {
    /// What must be true of a record.
    pub query: Query,
    /// Of which event times.
    pub range: TimeRange,
    /// A group per combination of values of these; a record with several values of a field (a list) is in the group
    /// of each, one without a value in that of none.
    pub by: Vec<Field>,
    /// What is asked of each group.
    pub measures: Vec<Measure>,
    /// Figures for each multiple of this width, milliseconds; over the whole range if absent.
    pub step_ms: Option<i64>,
    /// Groups at most: those with the largest first figure over the whole range.
    pub limit: usize,
    /// Time after which the work is given up.
    pub time_limit: Duration,
    /// Memory for groups, bytes.
    pub memory_limit_bytes: usize,
}

impl StatsRequest {
    /// How many records match, with default limits (30 s, 256 MiB, 100 groups).
    pub fn new(query: Query, range: TimeRange) -> StatsRequest {
        StatsRequest {
            query,
            range,
            by: Vec::new(),
            measures: vec![Measure::Count],
            step_ms: None,
            limit: 100,
            time_limit: Duration::from_secs(30),
            memory_limit_bytes: 256 << 20,
        }
    }
}

/// One figure of a group. The number of a record is that of the field's first column that is one, as in an order by
/// field: a number, or a text that spells one; times are milliseconds since the epoch.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// Records.
    Count,
    /// Different values of a field, as texts; those of lists one by one.
    Distinct(Field),
    /// Sum of its numbers.
    Sum(Field),
    /// Their mean.
    Avg(Field),
    /// The smallest.
    Min(Field),
    /// The largest.
    Max(Field),
    /// The smallest number with at least a share `q` (in `0..=1`) of all at or below it.
    Quantile(Field, f64),
}

/// Why a text is no measure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeasureError {
    /// None of the known words.
    #[error("`{0}` is no figure")]
    Unknown(String),
    /// A word that needs a field.
    #[error("`{0}` needs a field: {0}(duration_ms)")]
    NeedsField(String),
    /// No field of that name.
    #[error("`{0}` is no field")]
    NoField(String),
    /// A field whose values are no numbers.
    #[error("`{0}` is neither a number nor a time")]
    NoNumber(String),
    /// An object of the record, such as `tags`.
    #[error("`{0}` holds named values and has none itself")]
    Object(String),
    /// A time or number of the record, whose values are not counted.
    #[error("`{0}` is another in each record")]
    EachRecord(String),
}

impl Measure {
    /// Reads `count`, `distinct(user_id)`, `avg(duration_ms)`, `p99.9(duration_ms)`.
    pub fn parse(text: &str) -> Result<Measure, MeasureError> {
        let text = text.trim();
        let cut = |text: &str| text.chars().take(80).collect::<String>();
        let unknown = || MeasureError::Unknown(cut(text));
        let (word, argument) = match text.split_once('(') {
            None => (text, None),
            Some((word, rest)) => (word.trim(), Some(rest.strip_suffix(')').ok_or_else(unknown)?.trim())),
        };
        let word = word.to_ascii_lowercase();
        if word == "count" {
            return if argument.is_none_or(|inside| inside.is_empty() || inside == "*") {
                Ok(Measure::Count)
            } else {
                Err(unknown())
            };
        }
        let quantile = match word.strip_prefix('p') {
            Some(percent) if percent.starts_with(|first: char| first.is_ascii_digit()) => {
                let percent = percent.parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent));
                Some(percent.ok_or_else(unknown)? / 100.0)
            }
            _ => None,
        };
        if quantile.is_none() && !["distinct", "sum", "avg", "min", "max"].contains(&word.as_str()) {
            return Err(unknown());
        }
        let name = argument.filter(|name| !name.is_empty()).ok_or_else(|| MeasureError::NeedsField(word.clone()))?;
        let field = Field::parse(name).ok_or_else(|| MeasureError::NoField(cut(name)))?;
        if field.is_object() {
            return Err(MeasureError::Object(cut(name)));
        }
        if word != "distinct" && !field.may_be_number() {
            return Err(MeasureError::NoNumber(cut(name)));
        }
        if word == "distinct" && field.is_each_records() {
            return Err(MeasureError::EachRecord(cut(name)));
        }
        Ok(match (quantile, word.as_str()) {
            (Some(q), _) => Measure::Quantile(field, q),
            (None, "distinct") => Measure::Distinct(field),
            (None, "sum") => Measure::Sum(field),
            (None, "avg") => Measure::Avg(field),
            (None, "min") => Measure::Min(field),
            (None, _) => Measure::Max(field),
        })
    }
}

/// A figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// `None` if no record of the group has a number to make it from.
    pub value: Option<Number>,
    /// It was estimated, within 1 %.
    pub is_approximate: bool,
}

/// The figures of one group, at one time if there is a step.
#[derive(Clone, Debug, PartialEq)]
pub struct StatsRow {
    /// A value per field of `by`.
    pub by: Vec<Option<String>>,
    /// Where its step begins, milliseconds since the epoch.
    pub time_ms: Option<i64>,
    /// A figure per measure.
    pub figures: Vec<Figure>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct StatsResponse {
    /// By time, then the groups with the largest first figure first; steps without records are left out.
    pub rows: Vec<StatsRow>,
    /// How many groups there are, shown or not.
    pub groups: u64,
    /// False if damaged blocks were left out.
    pub is_exact: bool,
    /// What it took.
    pub cost: SearchCost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_read() {
        let field = |name: &str| Field::parse(name).expect("a field");
        for (text, measure) in [
            ("count", Measure::Count),
            ("COUNT(*)", Measure::Count),
            ("count()", Measure::Count),
            ("distinct(user_id)", Measure::Distinct(field("user_id"))),
            (" avg( duration_ms ) ", Measure::Avg(field("duration_ms"))),
            ("p95(fields.a.b)", Measure::Quantile(field("a.b"), 0.95)),
            ("p99.9(x)", Measure::Quantile(field("x"), 0.999)),
            ("max(timestamp)", Measure::Max(Field::Timestamp)),
        ] {
            match (Measure::parse(text), measure) {
                (Ok(Measure::Quantile(field, q)), Measure::Quantile(wanted, p)) => {
                    assert!(field == wanted && (q - p).abs() < 1e-12, "{text}");
                }
                (read, measure) => assert_eq!(read, Ok(measure), "{text}"),
            }
        }
        for (text, message) in [
            ("median(x)", "`median(x)` is no figure"),
            ("p101(x)", "`p101(x)` is no figure"),
            ("sum", "`sum` needs a field: sum(duration_ms)"),
            ("avg()", "`avg` needs a field: avg(duration_ms)"),
            ("sum(service)", "`service` is neither a number nor a time"),
            ("sum(x", "`sum(x` is no figure"),
            ("min(tags.)", "`tags.` is no field"),
        ] {
            assert_eq!(Measure::parse(text).map_err(|error| error.to_string()), Err(message.to_owned()), "{text}");
        }
    }
}
