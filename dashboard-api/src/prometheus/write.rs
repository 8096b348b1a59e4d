//! Results of queries as JSON, written straight into the answer.

use std::io::Write;

use watchfire_model::{LabelSet, Timestamp};
use watchfire_query_lang::{Outcome, RangeSeries};

/// Writes `"resultType":…,"result":…`.
pub(super) fn outcome(out: &mut Vec<u8>, outcome: &Outcome, at: Timestamp) {
    match outcome {
        Outcome::Scalar(value) => {
            out.extend_from_slice(br#""resultType":"scalar","result":"#);
            point(out, at, *value);
        }
        Outcome::Text(value) => {
            out.extend_from_slice(br#""resultType":"string","result":["#);
            time(out, at);
            out.push(b',');
            text(out, value);
            out.push(b']');
        }
        Outcome::Vector(series) => {
            out.extend_from_slice(br#""resultType":"vector","result":"#);
            list(out, series, |out, (labels, value)| {
                metric(out, labels);
                out.extend_from_slice(br#","value":"#);
                point(out, at, *value);
                out.push(b'}');
            });
        }
        Outcome::Matrix(series) => {
            out.extend_from_slice(br#""resultType":"matrix","result":"#);
            list(out, series, range_series);
        }
    }
}

fn range_series(out: &mut Vec<u8>, (labels, points): &RangeSeries) {
    metric(out, labels);
    out.extend_from_slice(br#","values":"#);
    list(out, points, |out, (at, value)| point(out, *at, *value));
    out.push(b'}');
}

fn list<T>(out: &mut Vec<u8>, items: &[T], mut write: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// The opening of a series: `{"metric":{…}`.
fn metric(out: &mut Vec<u8>, of: &LabelSet) {
    out.extend_from_slice(br#"{"metric":"#);
    labels(out, of);
}

/// Labels as an object.
pub(super) fn labels(out: &mut Vec<u8>, labels: &LabelSet) {
    out.push(b'{');
    for (index, (name, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        text(out, name);
        out.push(b':');
        text(out, value);
    }
    out.push(b'}');
}

fn text(out: &mut Vec<u8>, text: &str) {
    // Writing a text to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

/// `[seconds,"value"]`
fn point(out: &mut Vec<u8>, at: Timestamp, value: f64) {
    out.push(b'[');
    time(out, at);
    out.extend_from_slice(b",\"");
    number(out, value);
    out.extend_from_slice(b"\"]");
}

/// Seconds, with three decimals if there are any.
fn time(out: &mut Vec<u8>, at: Timestamp) {
    let millis = at.millis();
    let sign = if millis < 0 { "-" } else { "" };
    let (seconds, rest) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
    // Writing to memory cannot fail.
    let _ = match rest {
        0 => write!(out, "{sign}{seconds}"),
        rest => write!(out, "{sign}{seconds}.{rest:03}"),
    };
}

/// A number with all its digits, very small and very large ones with an exponent.
fn number(out: &mut Vec<u8>, value: f64) {
    let magnitude = value.abs();
    let has_exponent = !value.is_finite() || (magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude));
    // Writing to memory cannot fail.
    let _ = if has_exponent { out.write_all(exponential(value).as_bytes()) } else { write!(out, "{value}") };
}

/// A number with an exponent of at least two digits: `1.5e+00`, `NaN`, `+Inf`.
pub(crate) fn exponential(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn numbers_and_times_as_prometheus_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-2.5e-7, "-2.5e-07"),
            (0.000001, "0.000001"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::MAX, "1.7976931348623157e+308"),
        ] {
            assert_eq!(written(|out| number(out, value)), text);
        }
        for (millis, text) in [(0, "0"), (1_435_781_451_781, "1435781451.781"), (1_050, "1.050"), (-1, "-0.001")] {
            assert_eq!(written(|out| time(out, Timestamp::from_millis(millis))), text);
        }
    }

    #[test]
    fn results() {
        let labels = LabelSet::from_pairs([("__name__", "up"), ("a", "x\"y")]).expect("valid");
        let at = Timestamp::from_millis(1_500);
        let vector = Outcome::Vector(vec![(labels.clone(), 1.0)]);
        assert_eq!(
            written(|out| outcome(out, &vector, at)),
            r#""resultType":"vector","result":[{"metric":{"__name__":"up","a":"x\"y"},"value":[1.500,"1"]}]"#
        );
        let matrix = Outcome::Matrix(vec![(LabelSet::empty(), vec![(at, 1.0), (at, 2.0)])]);
        assert_eq!(
            written(|out| outcome(out, &matrix, at)),
            r#""resultType":"matrix","result":[{"metric":{},"values":[[1.500,"1"],[1.500,"2"]]}]"#
        );
        let text = Outcome::Text("x".to_owned());
        assert_eq!(written(|out| outcome(out, &text, at)), r#""resultType":"string","result":[1.500,"x"]"#);
        let scalar = Outcome::Scalar(f64::NAN);
        assert_eq!(written(|out| outcome(out, &scalar, at)), r#""resultType":"scalar","result":[1.500,"NaN"]"#);
    }
}
