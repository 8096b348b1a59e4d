//! A native histogram in words: `{{schema:1 sum:5 count:4 buckets:[1 2 1] offset:-1}}`.

use watchfire_model::histogram::{Buckets, HistogramParts};
use watchfire_model::{Histogram, ResetHint};

use super::{SeriesError, error};

/// How it begins.
pub(super) const OPEN: &str = "{{";
const CLOSE: &str = "}}";
const KEYS: &str = "schema, sum, count, z_bucket, z_bucket_w, buckets, offset, n_buckets, n_offset, custom_values and \
                    counter_reset_hint";
/// Most buckets of a side.
const BUCKETS_MAX: usize = 100_000;

/// Reads the histogram at the beginning of `rest`; answers it and the length of its text.
pub(super) fn parse(rest: &str) -> Result<(Histogram, usize), SeriesError> {
    if !rest.starts_with(OPEN) {
        return error(0, "expected a histogram: {{sum:1 count:2 buckets:[2]}}");
    }
    let Some(close) = rest.find(CLOSE) else { return error(0, "`{{` is never closed; end the histogram with `}}`") };
    let inside = rest.get(OPEN.len()..close).unwrap_or_default();
    let mut parts = HistogramParts::default();
    let (mut positive, mut negative) = (Side::default(), Side::default());
    let mut at = 0;
    while let Some(blanks) = inside.get(at..).and_then(|rest| rest.find(|c: char| !c.is_whitespace())) {
        at += blanks;
        let entry = entry(inside.get(at..).unwrap_or_default());
        let Some((key, value)) = entry.split_once(':') else {
            return error(OPEN.len() + at, format!("`{entry}` is no `key:value`; there are {KEYS}"));
        };
        let read = match key {
            "schema" => whole(value).map(|value| parts.schema = value),
            "sum" => number(value).map(|value| parts.sum = value),
            "count" => number(value).map(|value| parts.count = value),
            "z_bucket" => number(value).map(|value| parts.zero_count = value),
            "z_bucket_w" => number(value).map(|value| parts.zero_threshold = value),
            "custom_values" => numbers(value).map(|values| parts.bounds = values.into()),
            "buckets" => numbers(value).map(|values| positive.counts = values),
            "n_buckets" => numbers(value).map(|values| negative.counts = values),
            "offset" => whole(value).map(|value| positive.offset = value),
            "n_offset" => whole(value).map(|value| negative.offset = value),
            "counter_reset_hint" => hint(value).map(|value| parts.hint = value),
            _ => return error(OPEN.len() + at, format!("a histogram has no `{key}`; there are {KEYS}")),
        };
        if read.is_none() {
            return error(OPEN.len() + at, format!("`{value}` cannot be the `{key}` of a histogram"));
        }
        at += entry.len();
    }
    parts.positive = positive.buckets();
    parts.negative = negative.buckets();
    let histogram = Histogram::new(parts).or_else(|fault| error(0, fault.to_string()))?;
    Ok((histogram, close + CLOSE.len()))
}

/// The text up to the next blank that stands in no brackets.
fn entry(rest: &str) -> &str {
    let mut is_inside = false;
    let end = rest.find(|c: char| {
        is_inside = (is_inside || c == '[') && c != ']';
        c.is_whitespace() && !is_inside
    });
    rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest)
}

#[derive(Default)]
struct Side {
    offset: i32,
    counts: Vec<f64>,
}

impl Side {
    fn buckets(self) -> Buckets {
        // There is no bucket beyond the last number.
        let number = |nth: usize| i32::try_from(nth).ok()?.checked_add(self.offset);
        self.counts.iter().enumerate().map_while(|(nth, count)| Some((number(nth)?, *count))).collect()
    }
}

fn whole(text: &str) -> Option<i32> {
    text.parse().ok()
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

fn numbers(text: &str) -> Option<Vec<f64>> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    let numbers: Vec<f64> = inside.split_whitespace().map(number).collect::<Option<_>>()?;
    (numbers.len() <= BUCKETS_MAX).then_some(numbers)
}

fn hint(text: &str) -> Option<ResetHint> {
    Some(match text {
        "unknown" => ResetHint::Unknown,
        "reset" => ResetHint::Reset,
        "not_reset" => ResetHint::NotReset,
        "gauge" => ResetHint::Gauge,
        _ => return None,
    })
}

/// The histogram in the same words; of the hint only that it is a gauge, and without empty buckets at its ends.
pub fn print_histogram(histogram: &Histogram) -> String {
    let mut words = Vec::new();
    let mut put = |key: &str, value: f64| {
        if value != 0.0 {
            words.push(format!("{key}:{value}"));
        }
    };
    put("schema", f64::from(histogram.schema()));
    put("count", histogram.count());
    put("sum", histogram.sum());
    put("z_bucket", histogram.zero_count());
    put("z_bucket_w", histogram.zero_threshold());
    if histogram.is_custom() {
        words.push(format!("custom_values:{}", list(histogram.bounds())));
    }
    if histogram.hint() == ResetHint::Gauge {
        words.push("counter_reset_hint:gauge".to_owned());
    }
    for (key, offset_key, buckets) in
        [("buckets", "offset", histogram.positive()), ("n_buckets", "n_offset", histogram.negative())]
    {
        let holds_something = |(_, count): &(i32, f64)| *count != 0.0;
        let Some(from) = buckets.iter().position(holds_something) else { continue };
        let to = buckets.iter().rposition(holds_something).map_or(buckets.len(), |last| last + 1);
        let buckets = buckets.get(from..to).unwrap_or_default();
        let Some(first) = buckets.first().map(|(number, _)| *number) else { continue };
        if first != 0 {
            words.push(format!("{offset_key}:{first}"));
        }
        words.push(format!("{key}:{}", list(&with_gaps(buckets))));
    }
    format!("{OPEN}{}{CLOSE}", words.join(" "))
}

/// The counts of neighbours, zeroes where there is no bucket.
fn with_gaps(buckets: &[(i32, f64)]) -> Vec<f64> {
    let mut counts = Vec::with_capacity(buckets.len());
    let mut next = buckets.first().map_or(0, |(number, _)| *number);
    for (number, count) in buckets {
        while next < *number && counts.len() < BUCKETS_MAX {
            counts.push(0.0);
            next += 1;
        }
        counts.push(*count);
        next = number.saturating_add(1);
    }
    counts
}

fn list(values: &[f64]) -> String {
    let words: Vec<String> = values.iter().map(f64::to_string).collect();
    format!("[{}]", words.join(" "))
}
