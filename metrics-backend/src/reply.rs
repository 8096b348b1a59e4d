//! The answers of Prometheus' HTTP API.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::collections::BTreeMap;
use watchfire_model::{LabelSet, Timestamp};
use watchfire_query_lang::{EvalError, MatrixSeries, Notes, Outcome, PointValue};

/// What every answer is wrapped in.
#[derive(Deserialize)]
struct Wrapped<T> {
    status: String,
    data: Option<T>,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Option<Vec<String>>,
    #[serde(default)]
    infos: Option<Vec<String>>,
}

/// The data of an answer, and what is said of it. Errors: what the cluster says, or that it says nothing of the kind.
pub(crate) fn unwrap<T: DeserializeOwned>(body: &[u8]) -> Result<(T, Notes), EvalError> {
    let wrapped: Wrapped<T> = serde_json::from_slice(body).map_err(|error| EvalError::Storage {
        reason: format!("`metrics.backend` does not answer as Prometheus' API does: {error}"),
        retry: true,
    })?;
    let notes = Notes { warnings: wrapped.warnings.unwrap_or_default(), infos: wrapped.infos.unwrap_or_default() };
    match (wrapped.status.as_str(), wrapped.data) {
        ("success", Some(data)) => Ok((data, notes)),
        _ => {
            let reason = format!("`metrics.backend` says: {}: {}", wrapped.error_type, wrapped.error);
            Err(match wrapped.error_type.as_str() {
                // VictoriaMetrics tells the status again instead of a kind.
                "execution" | "422" => EvalError::Parameter { reason },
                "bad_data" | "400" => EvalError::Refused { reason },
                other => {
                    let retry = matches!(other, "timeout" | "unavailable" | "internal" | "503");
                    EvalError::Storage { reason, retry }
                }
            })
        }
    }
}

/// The result of a query.
#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub(crate) enum QueryResult {
    Scalar(Point),
    String((f64, String)),
    Vector(Vec<InstantSeries>),
    Matrix(Vec<RangeSeries>),
}

/// A time in seconds and a value as text.
type Point = (f64, String);

#[derive(Deserialize)]
pub(crate) struct InstantSeries {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    value: Option<Point>,
    histogram: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(crate) struct RangeSeries {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<Point>,
    #[serde(default)]
    histograms: Option<Vec<IgnoredAny>>,
}

/// Said where histograms are left out.
const HISTOGRAMS: &str = "native histograms of `metrics.backend` are not shown";

impl QueryResult {
    /// As our own evaluation gives it.
    pub(crate) fn outcome(self, notes: &mut Notes) -> Result<Outcome, EvalError> {
        let mut has_histograms = false;
        let outcome = match self {
            QueryResult::Scalar((_, value)) => Outcome::Scalar(number(&value)?),
            QueryResult::String((_, text)) => Outcome::Text(text),
            QueryResult::Vector(series) => {
                let mut out = Vec::with_capacity(series.len());
                for InstantSeries { metric, value, histogram } in series {
                    has_histograms |= histogram.is_some();
                    if let Some((_, value)) = value {
                        out.push((labels(metric)?, PointValue::Float(number(&value)?)));
                    }
                }
                Outcome::Vector(out)
            }
            QueryResult::Matrix(series) => {
                let mut out = Vec::with_capacity(series.len());
                for RangeSeries { metric, values, histograms } in series {
                    has_histograms |= histograms.is_some_and(|histograms| !histograms.is_empty());
                    let values = values.into_iter().map(|(at, value)| Ok((time(at)?, number(&value)?)));
                    let values = values.collect::<Result<Vec<_>, EvalError>>()?;
                    if !values.is_empty() {
                        out.push(MatrixSeries { labels: labels(metric)?, values, ..MatrixSeries::default() });
                    }
                }
                Outcome::Matrix(out)
            }
        };
        if has_histograms {
            notes.warnings.push(HISTOGRAMS.to_owned());
        }
        Ok(outcome)
    }
}

fn wrong(what: &str) -> EvalError {
    EvalError::Storage { reason: format!("`metrics.backend` answers with {what}"), retry: false }
}

fn number(text: &str) -> Result<f64, EvalError> {
    // `+Inf`, `-Inf` and `NaN` are read, too.
    text.parse().map_err(|_| wrong("a value that is no number"))
}

fn time(seconds: f64) -> Result<Timestamp, EvalError> {
    let millis = (seconds * 1000.0).round();
    if millis.abs() < 9e15 { Ok(Timestamp::from_millis(millis as i64)) } else { Err(wrong("a time far away")) }
}

/// The label set of names and values.
pub(crate) fn labels(pairs: BTreeMap<String, String>) -> Result<LabelSet, EvalError> {
    LabelSet::from_pairs(pairs).map_err(|error| wrong(&format!("labels that are none: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(result: &str) -> Result<(Outcome, Notes), EvalError> {
        let body = format!("{{\"status\":\"success\",\"data\":{result},\"warnings\":[\"w\"]}}");
        let (result, mut notes) = unwrap::<QueryResult>(body.as_bytes())?;
        result.outcome(&mut notes).map(|outcome| (outcome, notes))
    }

    #[test]
    fn results_of_all_types_are_read() {
        let (scalar, notes) = outcome(r#"{"resultType":"scalar","result":[1.5,"+Inf"]}"#).expect("read");
        assert_eq!((scalar, notes.warnings), (Outcome::Scalar(f64::INFINITY), vec!["w".to_owned()]));
        let (text, _) = outcome(r#"{"resultType":"string","result":[1.5,"a"]}"#).expect("read");
        assert_eq!(text, Outcome::Text("a".to_owned()));
        let vector = r#"{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"2.5"]},{"metric":{},"histogram":[1,{}]}]}"#;
        let (vector, notes) = outcome(vector).expect("read");
        let labels = LabelSet::from_pairs([("a", "b")]).expect("valid");
        assert_eq!(vector, Outcome::Vector(vec![(labels.clone(), PointValue::Float(2.5))]));
        assert_eq!(notes.warnings.last().map(String::as_str), Some(HISTOGRAMS));
        let matrix = r#"{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1.001,"1"],[2,"3"]]}]}"#;
        let values = vec![(Timestamp::from_millis(1001), 1.0), (Timestamp::from_millis(2000), 3.0)];
        let series = MatrixSeries { labels, values, histograms: Vec::new() };
        assert_eq!(outcome(matrix).expect("read").0, Outcome::Matrix(vec![series]));
    }

    #[test]
    fn what_is_no_answer_is_told() {
        let refused = br#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
        let error = unwrap::<QueryResult>(refused).err().expect("an error");
        let reason = "`metrics.backend` says: bad_data: parse error".to_owned();
        assert_eq!(error, EvalError::Refused { reason });
        let refused = br#"{"status":"error","errorType":"422","error":"unknown func"}"#;
        let error = unwrap::<QueryResult>(refused).err().expect("an error");
        let reason = "`metrics.backend` says: 422: unknown func".to_owned();
        assert_eq!(error, EvalError::Parameter { reason });
        for (kind, retry) in [("unavailable", true), ("not_acceptable", false)] {
            let refused = format!(r#"{{"status":"error","errorType":"{kind}","error":"no"}}"#);
            let error = unwrap::<QueryResult>(refused.as_bytes()).err().expect("an error");
            assert_eq!(error, EvalError::Storage { reason: format!("`metrics.backend` says: {kind}: no"), retry });
        }
        for body in ["", "{}", "[]", "<html>", r#"{"status":"success","data":{"resultType":"new","result":[]}}"#] {
            assert!(matches!(unwrap::<QueryResult>(body.as_bytes()), Err(EvalError::Storage { .. })), "{body}");
        }
        for result in [
            r#"{"resultType":"scalar","result":[1,"x"]}"#,
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1e300,"1"]]}]}"#,
        ] {
            assert!(outcome(result).is_err(), "{result}");
        }
    }
}
