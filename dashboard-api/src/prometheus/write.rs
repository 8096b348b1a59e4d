//! Results of queries as JSON, written straight into the answer.

use std::io::Write;

use watchfire_model::histogram::Bucket;
use watchfire_model::{Histogram, LabelSet, Timestamp};
use watchfire_query_lang::{MatrixSeries, Outcome, PointValue};

use crate::numbers::{decimal, number};

/// Writes `"resultType":…,"result":…`.
pub(super) fn outcome(out: &mut Vec<u8>, outcome: &Outcome, at: Timestamp) {
    match outcome {
        Outcome::Scalar(value) => {
            out.extend_from_slice(br#""resultType":"scalar","result":["#);
            time(out, at);
            out.extend_from_slice(b",\"");
            // Unlike those of series; over a range a scalar is a series.
            decimal(out, *value);
            out.extend_from_slice(b"\"]");
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
            list(out, series, |out, series| vector_series(out, series, at));
        }
        Outcome::Matrix(series) => {
            let mut times = PointTimes::default();
            out.extend_from_slice(br#""resultType":"matrix","result":"#);
            list(out, series, |out, series| range_series(out, series, &mut times));
        }
    }
}

/// One series of a vector.
pub(super) fn vector_series(out: &mut Vec<u8>, (labels, value): &(LabelSet, PointValue), at: Timestamp) {
    metric(out, labels);
    match value {
        PointValue::Float(value) => {
            out.extend_from_slice(br#","value":"#);
            point(out, at, *value);
        }
        PointValue::Histogram(histogram) => {
            out.extend_from_slice(br#","histogram":"#);
            histogram_point(out, at, histogram);
        }
    }
    out.push(b'}');
}

/// The beginnings of points (`[1700000000.123,"`), written once for all series of an answer: most have points at the same
/// times.
#[derive(Default)]
pub(super) struct PointTimes {
    /// Ascending, and where the text of each ends.
    ends: Vec<(Timestamp, usize)>,
    texts: Vec<u8>,
}

impl PointTimes {
    /// Writes the beginning of a point. `next` is where its time may be, which begins at 0 with each series.
    fn write(&mut self, out: &mut Vec<u8>, at: Timestamp, next: &mut usize) {
        while self.ends.get(*next).is_some_and(|(have, _)| *have < at) {
            *next += 1;
        }
        match self.ends.get(*next) {
            Some((have, end)) if *have == at => {
                let start = next.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |(_, end)| *end);
                out.extend_from_slice(self.texts.get(start..*end).unwrap_or_default());
                *next += 1;
            }
            // A time that the series before it did not have.
            Some(_) => point_time(out, at),
            None => {
                let start = self.texts.len();
                point_time(&mut self.texts, at);
                self.ends.push((at, self.texts.len()));
                out.extend_from_slice(self.texts.get(start..).unwrap_or_default());
                *next += 1;
            }
        }
    }
}

fn point_time(out: &mut Vec<u8>, at: Timestamp) {
    out.push(b'[');
    time(out, at);
    out.extend_from_slice(b",\"");
}

/// One series of a range.
pub(super) fn range_series(out: &mut Vec<u8>, series: &MatrixSeries, times: &mut PointTimes) {
    metric(out, &series.labels);
    if !series.values.is_empty() {
        out.extend_from_slice(br#","values":"#);
        let mut next = 0;
        list(out, &series.values, |out, (at, value)| {
            times.write(out, *at, &mut next);
            number(out, *value);
            out.extend_from_slice(b"\"]");
        });
    }
    if !series.histograms.is_empty() {
        out.extend_from_slice(br#","histograms":"#);
        list(out, &series.histograms, |out, (at, histogram)| histogram_point(out, *at, histogram));
    }
    out.push(b'}');
}

/// `[seconds,{"count":"3","sum":"2.5","buckets":[[0,"1","2","3"]]}]`; the number of a bucket says which of its bounds
/// belong to it: 0 the upper, 1 the lower, 2 none, 3 both. Empty buckets are left out.
fn histogram_point(out: &mut Vec<u8>, at: Timestamp, histogram: &Histogram) {
    out.push(b'[');
    time(out, at);
    out.extend_from_slice(br#",{"count":"#);
    quoted(out, histogram.count());
    out.extend_from_slice(br#","sum":"#);
    quoted(out, histogram.sum());
    let buckets: Vec<Bucket> = histogram.buckets().filter(|bucket| bucket.count != 0.0).collect();
    if !buckets.is_empty() {
        out.extend_from_slice(br#","buckets":"#);
        list(out, &buckets, |out, bucket| {
            let which = match (bucket.lower_inclusive, bucket.upper_inclusive) {
                (false, true) => b"[0,",
                (true, false) => b"[1,",
                (false, false) => b"[2,",
                (true, true) => b"[3,",
            };
            out.extend_from_slice(which);
            quoted(out, bucket.lower);
            out.push(b',');
            quoted(out, bucket.upper);
            out.push(b',');
            quoted(out, bucket.count);
            out.push(b']');
        });
    }
    out.extend_from_slice(b"}]");
}

/// A list of items, each written by a function.
pub(super) fn list<T>(out: &mut Vec<u8>, items: &[T], mut write: impl FnMut(&mut Vec<u8>, &T)) {
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
    out.push(b',');
    quoted(out, value);
    out.push(b']');
}

/// A value as a text.
pub(super) fn quoted(out: &mut Vec<u8>, value: f64) {
    out.push(b'"');
    number(out, value);
    out.push(b'"');
}

/// Seconds, with three decimals if there are any.
pub(super) fn time(out: &mut Vec<u8>, at: Timestamp) {
    let millis = at.millis();
    let sign = if millis < 0 { "-" } else { "" };
    let (seconds, rest) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
    // Writing to memory cannot fail.
    let _ = match rest {
        0 => write!(out, "{sign}{seconds}"),
        rest => write!(out, "{sign}{seconds}.{rest:03}"),
    };
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use watchfire_model::histogram::HistogramParts;

    use super::*;
    use crate::numbers::tests::written;

    #[test]
    fn times_as_prometheus_writes_them() {
        for (millis, text) in [(0, "0"), (1_435_781_451_781, "1435781451.781"), (1_050, "1.050"), (-1, "-0.001")] {
            assert_eq!(written(|out| time(out, Timestamp::from_millis(millis))), text);
        }
    }

    #[test]
    fn results() {
        let labels = LabelSet::from_pairs([("__name__", "up"), ("a", "x\"y")]).expect("valid");
        let at = Timestamp::from_millis(1_500);
        let vector = Outcome::Vector(vec![(labels.clone(), PointValue::Float(1.0))]);
        assert_eq!(
            written(|out| outcome(out, &vector, at)),
            r#""resultType":"vector","result":[{"metric":{"__name__":"up","a":"x\"y"},"value":[1.500,"1"]}]"#
        );
        let values = vec![(at, 1.0), (at, 2.0)];
        let matrix = Outcome::Matrix(vec![MatrixSeries { values, ..MatrixSeries::default() }]);
        assert_eq!(
            written(|out| outcome(out, &matrix, at)),
            r#""resultType":"matrix","result":[{"metric":{},"values":[[1.500,"1"],[1.500,"2"]]}]"#
        );
        let parts = HistogramParts {
            zero_threshold: 0.5,
            zero_count: 1.0,
            count: 4.0,
            sum: -0.5,
            positive: vec![(1, 2.0), (2, 0.0)],
            negative: vec![(0, 1.0)],
            ..HistogramParts::default()
        };
        let histogram = Arc::new(Histogram::new(parts).expect("valid"));
        let wanted = r#"[1.500,{"count":"4","sum":"-0.5","buckets":[[1,"-1","-0.5","1"],[3,"-0.5","0.5","1"],[0,"1","2","2"]]}]"#;
        let vector = Outcome::Vector(vec![(LabelSet::empty(), PointValue::Histogram(histogram.clone()))]);
        assert_eq!(
            written(|out| outcome(out, &vector, at)),
            format!(r#""resultType":"vector","result":[{{"metric":{{}},"histogram":{wanted}}}]"#)
        );
        let matrix = MatrixSeries { histograms: vec![(at, histogram)], ..MatrixSeries::default() };
        assert_eq!(
            written(|out| outcome(out, &Outcome::Matrix(vec![matrix]), at)),
            format!(r#""resultType":"matrix","result":[{{"metric":{{}},"histograms":[{wanted}]}}]"#)
        );
        let text = Outcome::Text("x".to_owned());
        assert_eq!(written(|out| outcome(out, &text, at)), r#""resultType":"string","result":[1.500,"x"]"#);
        for (value, shown) in [(f64::NAN, "NaN"), (1e21, "1000000000000000000000"), (1e-7, "0.0000001")] {
            let wanted = format!(r#""resultType":"scalar","result":[1.500,"{shown}"]"#);
            assert_eq!(written(|out| outcome(out, &Outcome::Scalar(value), at)), wanted);
        }
    }
}
