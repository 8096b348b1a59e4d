//! What a value means, which depends on its field.

use std::ops::Bound;

use watchfire_model::time::parse_duration_ms;
use watchfire_model::{Level, Timestamp};

use super::ast::{Folded, Span, Test};
use super::error::QueryError;
use super::field::Field;
use super::levels::LevelSet;
use super::number::{Number, NumberRange};
use super::parse::Parser;
use super::pattern::Pattern;
use super::phrase::Phrase;
use super::scan::Scanned;

/// A value as it stands after a colon.
pub(super) enum Value {
    Exists,
    Text(Scanned),
    Regex { pattern: Pattern, start: usize },
    Bounds(Bounds),
}

/// A comparison or a range.
pub(super) struct Bounds {
    pub low: Option<Scanned>,
    pub high: Option<Scanned>,
    pub inclusive: bool,
    pub start: usize,
}

impl Field {
    /// The test of `field:text` where the text is data; `None` if the field cannot have such a value.
    pub(super) fn text_test(&self, text: &str, star: bool) -> Option<Test> {
        match self {
            Field::Level if star => {
                let start = text.to_ascii_lowercase();
                let levels = LevelSet::of(|level| level.as_str().starts_with(&start));
                (levels != LevelSet::default()).then_some(Test::Levels(levels))
            }
            Field::Level => Level::parse(text).map(|wanted| Test::Levels(LevelSet::of(|level| level == wanted))),
            Field::Timestamp | Field::AcceptedAt | Field::Seq => None,
            Field::Leaf(_, path) if path.as_str().is_empty() => None,
            Field::Core(_) | Field::Leaf(..) => Some(self.column_test(text, star)),
        }
    }

    /// The test of `field:text` for a field that is a column.
    fn column_test(&self, text: &str, star: bool) -> Test {
        let phrase = if self.by_tokens() { Phrase::new(text, star) } else { None };
        match (phrase, star) {
            (Some(phrase), _) => Test::Phrase(phrase),
            (None, true) => Test::Prefix(Folded::new(text)),
            (None, false) => Test::Whole(Folded::new(text)),
        }
    }
}

impl Value {
    /// The test that this value is for a field, whose name stands at `name`.
    pub fn test(self, field: &Field, name: &Scanned, parser: &Parser<'_>) -> Result<Test, QueryError> {
        match field {
            Field::Level => self.level_test(parser),
            Field::Timestamp | Field::AcceptedAt => {
                self.integer_test(parser, |text| Timestamp::parse_parameter(text, parser.now).ok().map(inside))
            }
            Field::Seq => self.integer_test(parser, |text| text.parse().ok()),
            Field::Leaf(root, path) if path.as_str().is_empty() => match self {
                Value::Exists => Ok(Test::Exists),
                Value::Text(_) | Value::Regex { .. } | Value::Bounds(_) => {
                    let root = root.name();
                    let hint = format!(
                        "name one of its fields, {root}.name:value, or write {root}:* for records that have any"
                    );
                    Err(parser.scan.error(
                        name.span.start,
                        format!("`{root}` holds named values and has none itself"),
                        &hint,
                    ))
                }
            },
            Field::Core(_) | Field::Leaf(..) => match self {
                Value::Exists => Ok(Test::Exists),
                Value::Regex { pattern, .. } => Ok(Test::Regex(pattern)),
                Value::Bounds(bounds) => bounds.number_test(parser),
                Value::Text(value) => Ok(field.column_test(&value.text, value.star)),
            },
        }
    }

    fn level_test(self, parser: &Parser<'_>) -> Result<Test, QueryError> {
        let unknown = |value: &Scanned| {
            let hint = format!("levels are {}", Level::ALL.map(Level::as_str).join(", "));
            let shown = parser.scan.excerpt(value.span);
            parser.scan.error(value.span.start, format!("`{shown}` is no level"), &hint)
        };
        Ok(match self {
            Value::Exists => Test::Levels(LevelSet::ALL),
            Value::Text(value) => Field::Level.text_test(&value.text, value.star).ok_or_else(|| unknown(&value))?,
            Value::Regex { pattern, .. } => Test::Levels(LevelSet::of(|level| pattern.is_in(level.as_str()))),
            Value::Bounds(bounds) => {
                let level = |end: &Option<Scanned>| {
                    end.as_ref().map(|end| Level::parse(&end.text).ok_or_else(|| unknown(end))).transpose()
                };
                let (low, high) = (level(&bounds.low)?, level(&bounds.high)?);
                let levels = LevelSet::of(|level| {
                    low.is_none_or(|low| level > low || bounds.inclusive && level == low)
                        && high.is_none_or(|high| level < high || bounds.inclusive && level == high)
                });
                if levels == LevelSet::default() {
                    return Err(parser.scan.error(
                        bounds.start,
                        "no level lies in this range",
                        "trace is the lowest, fatal the highest",
                    ));
                }
                Test::Levels(levels)
            }
        })
    }

    /// Times (in milliseconds) and `seq`, read by `number`.
    fn integer_test(self, parser: &Parser<'_>, number: impl Fn(&str) -> Option<i64>) -> Result<Test, QueryError> {
        let read = |value: &Scanned| {
            number(value.text.trim()).filter(|_| !value.star).ok_or_else(|| {
                let hint = "a time is RFC 3339 (2024-01-01T00:00:00Z), unix seconds or milliseconds, now, now-1h30m, or how long ago (1h); seq is an integer";
                let shown = parser.scan.excerpt(value.span);
                parser.scan.error(value.span.start, format!("`{shown}` is no time and no number"), hint)
            })
        };
        match self {
            Value::Exists => Ok(Test::Integers { low: i64::MIN, high: i64::MAX }),
            Value::Text(value) => read(&value).map(|number| Test::Integers { low: number, high: number }),
            Value::Regex { start, .. } => {
                let hint = "compare it instead: timestamp:>now-1h, timestamp:[now-2h TO now-1h]";
                Err(parser.scan.error(start, "this field has no text to put an expression to", hint))
            }
            Value::Bounds(bounds) => {
                let step = i64::from(!bounds.inclusive);
                let low = bounds.low.as_ref().map(&read).transpose()?.map_or(i64::MIN, |low| low.saturating_add(step));
                let high =
                    bounds.high.as_ref().map(&read).transpose()?.map_or(i64::MAX, |high| high.saturating_sub(step));
                if low > high {
                    return Err(empty_range(parser, &bounds));
                }
                Ok(Test::Integers { low, high })
            }
        }
    }
}

impl Bounds {
    fn number_test(self, parser: &Parser<'_>) -> Result<Test, QueryError> {
        let read = |end: &Option<Scanned>| {
            let Some(end) = end else { return Ok(Bound::Unbounded) };
            let number = Number::from_text(&end.text).ok_or_else(|| not_a_number(parser, &end.text, end.span))?;
            Ok(if self.inclusive { Bound::Included(number) } else { Bound::Excluded(number) })
        };
        let (low, high) = (read(&self.low)?, read(&self.high)?);
        if let (Bound::Included(low), Bound::Included(high)) = (low, high)
            && low.compare(high) == Some(std::cmp::Ordering::Greater)
        {
            return Err(empty_range(parser, &self));
        }
        Ok(Test::Numbers(NumberRange { low, high }))
    }
}

fn empty_range(parser: &Parser<'_>, bounds: &Bounds) -> QueryError {
    parser.scan.error(bounds.start, "an empty range: it begins after its end", "the smaller end stands first: [1 TO 5]")
}

fn not_a_number(parser: &Parser<'_>, text: &str, span: Span) -> QueryError {
    let hint = if Timestamp::parse_date_time(text).is_some() || text.starts_with("now") {
        "times are compared on timestamp and accepted_at only"
    } else if parse_duration_ms(text).is_some() {
        "leave the unit out: the number goes by the unit of the field"
    } else {
        "only numbers and times can be compared; other values match by field:value, field:val* or field:/regex/"
    };
    parser.scan.error(span.start, format!("`{}` is no number", parser.scan.excerpt(span)), hint)
}

/// Years 1 to 9999, as far as times can be printed.
fn inside(time: Timestamp) -> i64 {
    const FIRST_MS: i64 = -62_135_596_800_000;
    const LAST_MS: i64 = 253_402_300_799_999;
    time.millis().clamp(FIRST_MS + 1, LAST_MS - 1)
}
