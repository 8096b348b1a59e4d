//! Lines of a series and its values: `name{a="b"} 1 2+3x4 _ stale`.

use watchfire_model::LabelSet;
use watchfire_query_lang::PointValue;
use watchfire_query_lang::series::{parse_labels, parse_values};

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
        None if line.split_whitespace().next().is_some_and(|word| word.parse::<f64>().is_ok()) => 0,
        None => line.find([' ', '\t']).unwrap_or(line.len()),
    };
    let (name, values) = line.split_at(split);
    let values = parse_values(values).map_err(|error| error.to_string())?.into_iter().map(|value| match value {
        None => Ok(None),
        Some(PointValue::Float(value)) => Ok(Some(value)),
        Some(PointValue::Histogram(_)) => Err(format!("histograms are not loaded by scripts: {line}")),
    });
    let labels = parse_labels(name).map_err(|error| error.to_string())?;
    Ok(Line { labels, values: values.collect::<Result<_, _>>()? })
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
