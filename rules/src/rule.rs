//! What a rule says, after its file was read.

use std::sync::Arc;

use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{Histogram, LabelSet};
use watchfire_query_lang::Query;

use crate::template::{External, Facts, Template};

/// Name of the label that carries the rule's name.
pub const ALERT_NAME: &str = "alertname";

/// How the query's value is compared with the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

impl Operator {
    /// All of them.
    pub const ALL: [Operator; 6] = [
        Operator::Greater,
        Operator::GreaterOrEqual,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Equal,
        Operator::NotEqual,
    ];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Equal => "==",
            Operator::NotEqual => "!=",
        }
    }

    /// Whether `value` stands so to `threshold`. A NaN satisfies `!=` only.
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Operator::Greater => value > threshold,
            Operator::GreaterOrEqual => value >= threshold,
            Operator::Less => value < threshold,
            Operator::LessOrEqual => value <= threshold,
            Operator::Equal => value == threshold,
            Operator::NotEqual => value != threshold,
        }
    }
}

/// What it means that a query has no result (for a label set that had one).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum NoData {
    /// The condition is not true: an alert ends.
    #[default]
    Ok,
    /// The condition is true: active alerts go on, and without any result at all the rule itself is the alert.
    Alert,
    /// Nothing is known: alerts stay as they are.
    Keep,
}

impl NoData {
    /// All of them.
    pub const ALL: [NoData; 3] = [NoData::Ok, NoData::Alert, NoData::Keep];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            NoData::Ok => "ok",
            NoData::Alert => "alert",
            NoData::Keep => "keep",
        }
    }
}

/// A rule as it is in force.
#[derive(Clone, Debug)]
pub enum Rule {
    /// Raises alerts.
    Alert(Arc<AlertRule>),
    /// Writes series.
    Record(Arc<RecordingRule>),
}

impl Rule {
    /// The name of its alerts, or of its series.
    pub fn name(&self) -> &str {
        match self {
            Rule::Alert(rule) => &rule.name,
            Rule::Record(rule) => &rule.name,
        }
    }

    /// What is asked; it knows the text it was read from.
    pub fn query(&self) -> &Query {
        match self {
            Rule::Alert(rule) => &rule.query,
            Rule::Record(rule) => &rule.query,
        }
    }

    /// Labels that are added, as they are written, sorted by name.
    pub fn label_texts(&self) -> Vec<(&str, &str)> {
        match self {
            Rule::Alert(rule) => {
                rule.labels.iter().map(|(name, template)| (name.as_str(), template.source())).collect()
            }
            Rule::Record(rule) => rule.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        }
    }

    /// Distance between two evaluations in milliseconds; `None` = that of its group.
    pub fn interval_ms(&self) -> Option<i64> {
        match self {
            Rule::Alert(rule) => rule.interval_ms,
            Rule::Record(_) => None,
        }
    }

    /// Who is told, by name; nobody of a rule that writes series.
    pub fn receivers(&self) -> &[String] {
        match self {
            Rule::Alert(rule) => &rule.receivers,
            Rule::Record(_) => &[],
        }
    }
}

/// Which results of a query raise an alert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Condition {
    /// All: the query itself compares, as Prometheus' do.
    Present,
    /// Those whose value compares so.
    Compared(Comparison),
}

/// A comparison of values with a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// How the value is compared.
    pub operator: Operator,
    /// What it is compared with.
    pub threshold: f64,
    /// Once firing, the condition holds while the value compares so with this (hysteresis).
    pub resolve_threshold: Option<f64>,
}

/// A rule that raises alerts.
#[derive(Clone, Debug)]
pub struct AlertRule {
    /// Its name, and the label `alertname` of its alerts.
    pub name: String,
    /// The query; it knows the text it was read from.
    pub query: Query,
    /// Which of its results raise an alert.
    pub condition: Condition,
    /// How long the condition must hold before it fires, in milliseconds; 0 = at once.
    pub duration_ms: i64,
    /// How long a firing alert goes on firing after the condition ended, in milliseconds.
    pub keep_firing_for_ms: i64,
    /// What no result means.
    pub no_data: NoData,
    /// Distance between two evaluations in milliseconds; `None` = that of its group.
    pub interval_ms: Option<i64>,
    /// Labels that the alerts carry beside those of the result, sorted by name; `alertname` says nothing here.
    pub labels: Vec<(String, Template)>,
    /// Texts for people.
    pub annotations: Vec<(String, Template)>,
    /// Who is told; empty = the default receivers.
    pub receivers: Vec<String>,
    /// What its templates may say of the server.
    pub external: Arc<External>,
}

/// A rule that writes what its query gives as series of its own.
#[derive(Clone, Debug)]
pub struct RecordingRule {
    /// The name of the series.
    pub name: String,
    /// The query; it knows the text it was read from.
    pub query: Query,
    /// Labels that the series carry beside those of the result, sorted by name; an empty value takes a label away.
    pub labels: Vec<(String, String)>,
}

impl RecordingRule {
    /// The series for a result: its labels, then the rule's, under the rule's name.
    pub(crate) fn series_labels(&self, result: &LabelSet) -> LabelSet {
        let is_overridden = |name: &str| name == METRIC_NAME || self.labels.iter().any(|(own, _)| own == name);
        let mut labels: Vec<(Arc<str>, Arc<str>)> = Vec::with_capacity(result.len() + self.labels.len() + 1);
        labels.push((METRIC_NAME.into(), self.name.as_str().into()));
        labels.extend(result.shared().iter().filter(|(name, _)| !is_overridden(name)).cloned());
        labels.extend(self.labels.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())));
        LabelSet::from_pairs(labels).expect("names of rule labels are unique, checked at load, and override the others")
    }
}

impl AlertRule {
    /// Whether a value lets the condition hold, for an alert that fires already or not.
    pub fn condition_holds(&self, value: f64, is_firing: bool) -> bool {
        let Condition::Compared(Comparison { operator, threshold, resolve_threshold }) = self.condition else {
            return true;
        };
        let fires = operator.holds(value, threshold);
        match resolve_threshold {
            Some(resolve) if is_firing => fires || operator.holds(value, resolve),
            _ => fires,
        }
    }

    /// The identity of the alert for a result: its labels without the metric's name, then the rule's, then
    /// `alertname`; the later wins, and empty values drop.
    pub(crate) fn alert_labels(&self, result: &LabelSet, value: f64, histogram: Option<&Histogram>) -> LabelSet {
        let facts = Facts { labels: result, value, histogram, external: &self.external };
        let mut labels: Vec<(Arc<str>, Arc<str>)> = Vec::with_capacity(result.len() + self.labels.len() + 1);
        let is_reserved = |name: &str| name == ALERT_NAME || name == METRIC_NAME;
        let is_overridden = |name: &str| is_reserved(name) || self.labels.iter().any(|(own, _)| own == name);
        labels.extend(result.shared().iter().filter(|(name, _)| !is_overridden(name)).cloned());
        for (name, template) in self.labels.iter().filter(|(name, _)| name != ALERT_NAME) {
            let value = match template.constant() {
                Some(text) => text.into(),
                None => template.expand(facts).into(),
            };
            labels.push((name.as_str().into(), value));
        }
        labels.push((ALERT_NAME.into(), self.name.as_str().into()));
        LabelSet::from_pairs(labels).expect("names of rule labels are unique, checked at load, and override the others")
    }

    /// The annotations for a result, sorted by name. Empty ones drop, but for Prometheus' rules, which keep them.
    pub(crate) fn expand_annotations(&self, facts: Facts<'_>) -> Vec<(String, String)> {
        self.annotations
            .iter()
            .map(|(name, template)| (name.clone(), template.expand(facts)))
            .filter(|(_, text)| self.condition == Condition::Present || !text.is_empty())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Operator;

    #[test]
    fn operators_compare() {
        let table = [(">", 0b001), (">=", 0b011), ("<", 0b100), ("<=", 0b110), ("==", 0b010), ("!=", 0b101)];
        for (operator, (text, holds)) in Operator::ALL.into_iter().zip(table) {
            assert_eq!(operator.as_str(), text);
            for (bit, value) in [(0b100, 9.0), (0b010, 10.0), (0b001, 11.0)] {
                assert_eq!(operator.holds(value, 10.0), holds & bit != 0, "{value} {text} 10");
            }
            assert_eq!(operator.holds(f64::NAN, 10.0), text == "!=");
        }
    }
}
