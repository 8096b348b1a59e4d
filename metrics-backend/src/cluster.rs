//! The cluster as the seam of queries wants it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use watchfire_engine::{Engine, FamilyInfo, FamilyType, MetricInfo, SeriesKind, TimeRange};
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{LabelSet, Matcher, Timestamp};
use watchfire_query_lang::ast::ValueType;
use watchfire_query_lang::{
    Answer, Asked, EvalError, Found, Language, Limits, LocalMetrics, MetricsRead, Outcome, PointValue, Query,
    RangeSeries, RangeSteps,
};

use crate::ask::{Address, Asker};
use crate::reply::{self, QueryResult};

/// Queries answered by a cluster, but for what only the local engine knows.
pub struct Cluster {
    asker: Asker,
    local: LocalMetrics,
    /// What the last call said, if it failed.
    trouble: Mutex<Option<String>>,
}

/// Who answers a query.
enum Who {
    /// The cluster, this PromQL.
    Cluster(String),
    /// The cluster has the samples, and PromQL no word for what is made of them.
    Samples,
    /// The local engine: nobody else has distributions, nor events by the second.
    Local,
}

impl Cluster {
    /// Nothing is asked yet. Calls wait on `runtime`.
    ///
    /// Errors: what of the address cannot be used, for people.
    pub fn new(address: &Address, engine: Arc<Engine>, runtime: Handle) -> Result<Cluster, String> {
        let asker = Asker::new(address, runtime).map_err(|reason| format!("metrics.backend: {reason}"))?;
        Ok(Cluster { asker, local: LocalMetrics::new(engine), trouble: Mutex::default() })
    }

    /// Why the last call failed, if it did because the cluster was away.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Notes whether the cluster is there.
    fn told<T>(&self, result: Result<T, EvalError>) -> Result<T, EvalError> {
        let trouble = match &result {
            Err(EvalError::Storage { reason, retry: true }) => Some(reason.clone()),
            Ok(_) | Err(_) => None,
        };
        *self.trouble.lock() = trouble;
        result
    }

    /// What is said of metric families, by name.
    fn said(&self) -> Result<BTreeMap<String, Told>, EvalError> {
        let (told, _) = self.call::<BTreeMap<String, Vec<Told>>>(self.asker.get("api/v1/metadata", &[]))?;
        Ok(told.into_iter().map(|(name, said)| (name, said.into_iter().next().unwrap_or_default())).collect())
    }

    fn who(&self, query: &Query, asked: Asked) -> Who {
        if query.language() == Language::PromQl {
            return Who::Cluster(query.text().to_owned());
        }
        let found = self.local.found(query, asked);
        match (found, query.promql_for(found)) {
            (_, Some(promql)) => Who::Cluster(promql),
            (Found::Natives | Found::Increments | Found::Distribution, None) => Who::Local,
            // What is not known here is ordinary samples there.
            (Found::Unknown | Found::Samples, None) => {
                query.promql_for(Found::Samples).map_or(Who::Samples, Who::Cluster)
            }
        }
    }

    /// The cluster's answer; `None` if it is ours to give.
    fn told_by_cluster(&self, query: &Query, asked: Asked, limits: &Limits) -> Result<Option<Answer>, EvalError> {
        match self.who(query, asked) {
            Who::Cluster(promql) => self.ask(promql, asked, limits).map(Some),
            Who::Samples => self.quantiles(query, asked, limits),
            Who::Local => Ok(None),
        }
    }

    fn quantiles(&self, query: &Query, asked: Asked, limits: &Limits) -> Result<Option<Answer>, EvalError> {
        let Some(wanted) = query.quantile_elsewhere(asked, limits)? else { return Ok(None) };
        let (promql, at) = wanted.samples();
        let mut answer = self.ask(promql, Asked::Instant(at), limits)?;
        if let Outcome::Matrix(found) = answer.outcome {
            answer.outcome = wanted.of(found, limits)?;
        }
        Ok(Some(answer))
    }

    fn call<T: DeserializeOwned>(
        &self,
        body: Result<Vec<u8>, EvalError>,
    ) -> Result<(T, watchfire_query_lang::Notes), EvalError> {
        self.told(body.and_then(|body| reply::unwrap(&body)))
    }

    fn ask(&self, promql: String, asked: Asked, limits: &Limits) -> Result<Answer, EvalError> {
        let mut form = vec![("query", promql), ("timeout", format!("{}ms", limits.timeout.as_millis()))];
        if limits.lookback_ms != Limits::default().lookback_ms {
            form.push(("lookback_delta", format!("{}ms", limits.lookback_ms)));
        }
        let path = match asked {
            Asked::Instant(at) => {
                form.push(("time", seconds(at)));
                "api/v1/query"
            }
            Asked::Range(RangeSteps { start, end, step_ms }) => {
                check(start, end, step_ms, limits)?;
                form.push(("start", seconds(start)));
                form.push(("end", seconds(end)));
                form.push(("step", seconds(Timestamp::from_millis(step_ms))));
                "api/v1/query_range"
            }
        };
        let (result, mut notes) = self.call::<QueryResult>(self.asker.post(path, &form, limits.timeout))?;
        let mut outcome = result.outcome(&mut notes)?;
        // In the order that answers of ours have, whatever the cluster's is.
        if let Outcome::Matrix(series) = &mut outcome {
            series.sort_by(|left, right| left.labels.cmp(&right.labels));
        }
        Ok(Answer::new(outcome, notes, 0))
    }

    /// Parameters that select series.
    fn selection(selectors: &[Vec<Matcher>], range: Option<TimeRange>) -> Vec<(&'static str, String)> {
        let mut form: Vec<_> = selectors.iter().map(|matchers| ("match[]", selector(matchers))).collect();
        if let Some(range) = range {
            // Ranges of ours are left-open, those of the API hold both ends; without one there is none.
            let ends = [("start", range.start.plus_millis(1)), ("end", range.end)];
            let is_bounded = |at: &Timestamp| at.millis().unsigned_abs() < i64::MAX.unsigned_abs() / 2;
            form.extend(ends.into_iter().filter(|(_, at)| is_bounded(at)).map(|(name, at)| (name, seconds(at))));
        }
        form
    }
}

impl MetricsRead for Cluster {
    fn instant(&self, query: &Query, at: Timestamp, limits: &Limits) -> Result<Vec<(LabelSet, f64)>, EvalError> {
        let Some(answer) = self.told_by_cluster(query, Asked::Instant(at), limits)? else {
            return self.local.instant(query, at, limits);
        };
        let mut values = match answer.outcome {
            Outcome::Scalar(value) => return Ok(vec![(LabelSet::empty(), value)]),
            Outcome::Vector(series) => {
                let number = |(labels, value)| match value {
                    PointValue::Float(value) => Some((labels, value)),
                    PointValue::Histogram(_) => None,
                };
                series.into_iter().filter_map(number).collect::<Vec<_>>()
            }
            Outcome::Text(_) | Outcome::Matrix(_) => {
                return Err(EvalError::Type { reason: "the query gives no value at one time".to_owned() });
            }
        };
        if !query.gives_order() {
            values.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        }
        Ok(values)
    }

    fn range(&self, query: &Query, steps: RangeSteps, limits: &Limits) -> Result<Vec<RangeSeries>, EvalError> {
        let Some(answer) = self.told_by_cluster(query, Asked::Range(steps), limits)? else {
            return self.local.range(query, steps, limits);
        };
        match answer.outcome {
            Outcome::Matrix(series) => Ok(series.into_iter().map(|series| (series.labels, series.values)).collect()),
            Outcome::Scalar(_) | Outcome::Text(_) | Outcome::Vector(_) => {
                Err(EvalError::Type { reason: "the query gives no values over a range".to_owned() })
            }
        }
    }

    fn answer(&self, query: &Query, asked: Asked, limits: &Limits) -> Result<Answer, EvalError> {
        let Some(mut answer) = self.told_by_cluster(query, asked, limits)? else {
            return self.local.answer(query, asked, limits);
        };
        if query.value_type() == ValueType::Scalar {
            as_scalar(&mut answer.outcome);
        }
        Ok(answer)
    }

    fn promql(&self, query: &Query, asked: Asked) -> Option<String> {
        match self.who(query, asked) {
            Who::Cluster(promql) => Some(promql),
            Who::Samples | Who::Local => None,
        }
    }

    fn series(&self, selectors: &[Vec<Matcher>], range: Option<TimeRange>) -> Result<Vec<LabelSet>, EvalError> {
        let form = Cluster::selection(selectors, range);
        let patience = self.asker.timeout();
        let (found, _) =
            self.call::<Vec<BTreeMap<String, String>>>(self.asker.post("api/v1/series", &form, patience))?;
        let mut sets = found.into_iter().map(reply::labels).collect::<Result<Vec<_>, _>>()?;
        sets.sort_unstable();
        sets.dedup();
        Ok(sets)
    }

    fn label_names(&self, selectors: &[Vec<Matcher>], range: Option<TimeRange>) -> Result<Vec<String>, EvalError> {
        let form = Cluster::selection(selectors, range);
        let patience = self.asker.timeout();
        let (names, _) = self.call::<BTreeSet<String>>(self.asker.post("api/v1/labels", &form, patience))?;
        Ok(names.into_iter().collect())
    }

    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        range: Option<TimeRange>,
    ) -> Result<Vec<String>, EvalError> {
        let path = format!("api/v1/label/{}/values", escaped(name));
        let form = Cluster::selection(selectors, range);
        let (values, _) = self.call::<BTreeSet<String>>(self.asker.get(&path, &form))?;
        Ok(values.into_iter().collect())
    }

    fn metrics(&self, prefix: &str) -> Result<Vec<MetricInfo>, EvalError> {
        let mut told = self.said()?;
        let names = self.label_values(METRIC_NAME, &[], None)?;
        let info = |name: String| {
            let said = told.remove(&name).unwrap_or_default();
            let help = (!said.help.is_empty()).then(|| said.help.clone());
            MetricInfo { name, kind: said.kind(), help, series: 0, labels: Vec::new(), overflowed: 0 }
        };
        Ok(names.into_iter().filter(|name| name.starts_with(prefix)).map(info).collect())
    }

    fn families(&self, prefix: &str) -> Result<Vec<FamilyInfo>, EvalError> {
        let mut told = self.said()?;
        for name in self.label_values(METRIC_NAME, &[], None)? {
            told.entry(name).or_default();
        }
        let some = |text: &str| (!text.is_empty()).then(|| text.into());
        let info = |(name, said): (String, Told)| FamilyInfo {
            name: name.into(),
            declared: said.declared(),
            kind: said.kind(),
            help: some(&said.help),
            unit: some(&said.unit),
        };
        Ok(told.into_iter().filter(|(name, _)| name.starts_with(prefix)).map(info).collect())
    }
}

/// VictoriaMetrics answers a scalar as a vector of one value without labels, and NaN as none at all.
fn as_scalar(outcome: &mut Outcome) {
    let Outcome::Vector(series) = outcome else { return };
    match series.as_slice() {
        [] => *outcome = Outcome::Scalar(f64::NAN),
        [(labels, PointValue::Float(value))] if labels.is_empty() => *outcome = Outcome::Scalar(*value),
        _ => {}
    }
}

/// What is said of a metric.
#[derive(Default, Deserialize)]
struct Told {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    help: String,
    #[serde(default)]
    unit: String,
}

impl Told {
    fn declared(&self) -> FamilyType {
        FamilyType::named(&self.r#type).unwrap_or_default()
    }

    fn kind(&self) -> SeriesKind {
        SeriesKind::Samples(self.declared().type_of(""))
    }
}

fn check(start: Timestamp, end: Timestamp, step_ms: i64, limits: &Limits) -> Result<(), EvalError> {
    if step_ms <= 0 {
        return Err(EvalError::Range { reason: "the step must be greater than 0" });
    }
    let length = end.since(start);
    if length < 0 {
        return Err(EvalError::Range { reason: "the end of the range lies before its start" });
    }
    let steps = length.unsigned_abs() / step_ms.unsigned_abs() + 1;
    if usize::try_from(steps).unwrap_or(usize::MAX) > limits.steps_max {
        return Err(EvalError::Steps { steps, limit: limits.steps_max });
    }
    Ok(())
}

/// A time, or a length of time, in seconds.
fn seconds(at: Timestamp) -> String {
    let millis = at.millis();
    let sign = if millis < 0 { "-" } else { "" };
    format!("{sign}{}.{:03}", millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000)
}

/// A selector as PromQL has it.
fn selector(matchers: &[Matcher]) -> String {
    let conditions: Vec<String> = matchers
        .iter()
        .map(|matcher| format!("{}{}{}", label(matcher.name()), matcher.op().as_str(), quoted(matcher.value())))
        .collect();
    format!("{{{}}}", conditions.join(","))
}

/// The name of a label; in quotes if it would not be read as one else.
fn label(name: &str) -> String {
    let is_plain =
        !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_plain { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// A name as Prometheus reads it in a path, whatever stands in it.
fn escaped(name: &str) -> String {
    if label(name) == name {
        return name.to_owned();
    }
    let mut out = "U__".to_owned();
    for c in name.chars() {
        match c {
            '_' => out.push_str("__"),
            c if c.is_ascii_alphanumeric() => out.push(c),
            c => out.push_str(&format!("_{:x}_", u32::from(c))),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use watchfire_model::MatchOp;

    use super::*;

    #[test]
    fn selectors_times_and_names_are_written_as_the_api_reads_them() {
        let matchers =
            [Matcher::equal("__name__", "up"), Matcher::new("a.b", MatchOp::NotRegex, "x\"\\d\n").expect("valid")];
        assert_eq!(selector(&matchers), "{__name__=\"up\",\"a.b\"!~\"x\\\"\\\\d\\n\"}");
        assert_eq!(seconds(Timestamp::from_millis(1_700_000_000_007)), "1700000000.007");
        assert_eq!(seconds(Timestamp::from_millis(-1500)), "-1.500");
        assert_eq!(escaped("my.metric_a"), "U__my_2e_metric__a");
        assert_eq!(escaped("job"), "job");
    }
}
