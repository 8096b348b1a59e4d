//! A rule of the configuration: which records, which number, under which labels.

use std::fmt::Write;

use foldhash::fast::RandomState;
use watchfire_log_store::query::{self, Field, Query, QueryError, Relation};
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::record::{Column, ValueRef};
use watchfire_model::{LabelSet, RecordView, Timestamp};

use super::built_in::label_text;
use super::series::SeriesId;
use super::{BatchReport, Collected, Moment};

/// What becomes of a rule's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// Events counted, or their values added up.
    Counter,
    /// The newest value.
    Gauge,
    /// All values, as a histogram.
    Distribution,
}

impl RuleKind {
    /// As the configuration writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            RuleKind::Counter => "counter",
            RuleKind::Gauge => "gauge",
            RuleKind::Distribution => "distribution",
        }
    }

    /// `counter`, `gauge`, `distribution` (or `histogram`).
    pub fn parse(text: &str) -> Option<RuleKind> {
        Some(match text {
            "counter" => RuleKind::Counter,
            "gauge" => RuleKind::Gauge,
            "distribution" | "histogram" => RuleKind::Distribution,
            _ => return None,
        })
    }
}

/// A rule as the configuration writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleConfig {
    /// Name of the metric.
    pub metric: String,
    /// What becomes of the values.
    pub kind: RuleKind,
    /// Which records, in the search language; empty for all.
    pub matching: String,
    /// Label names, and the field that gives each value.
    pub labels: Vec<(String, String)>,
    /// The field that gives the number; a counter counts 1 without.
    pub value: Option<String>,
    /// Most series of the metric; 1000 unless said.
    pub max_series: u32,
}

/// The part of a rule that a fault lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RulePart {
    /// The metric's name.
    Metric,
    /// What becomes of the values.
    Kind,
    /// The name of this label.
    Label(String),
    /// The field that gives this label.
    LabelField(String),
    /// The field that gives the number.
    Value,
    /// The condition, at this byte.
    Where {
        /// Offset in bytes.
        offset: usize,
    },
}

/// A fault of one rule of several.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct RuleFault {
    /// The rule's place in the list.
    pub rule: usize,
    /// Where in the rule.
    pub part: RulePart,
    /// What is wrong.
    pub error: RuleError,
}

/// Why a rule cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// No name that a metric may have.
    #[error("`{name}` is no metric name; use letters, digits, `_` and `:`, no digit first")]
    Metric {
        /// The name given.
        name: String,
    },
    /// The name is one of the metrics that every record is counted in, or begins like our own.
    #[error("the metric `{name}` is made by the server itself; choose another name")]
    Taken {
        /// The name given.
        name: String,
    },
    /// Another rule makes the same metric, as something else.
    #[error(
        "the metric `{name}` is a {other} in an earlier rule and a {kind} here; a metric has one type, so give one of them another name"
    )]
    OtherKind {
        /// The name given.
        name: String,
        /// What this rule makes of it.
        kind: &'static str,
        /// What the earlier one does.
        other: &'static str,
    },
    /// No name that a label may have.
    #[error("`{name}` is no label name; use letters, digits and `_`, no digit first")]
    Label {
        /// The name given.
        name: String,
    },
    /// Not the name of a field.
    #[error("`{name}` is no field; write `fields.name`, `tags.name`, `service`, …")]
    Field {
        /// The name given.
        name: String,
    },
    /// A gauge or a distribution without a value.
    #[error("a {kind} needs `value`, the field that gives the number")]
    NoValue {
        /// `gauge` or `distribution`.
        kind: &'static str,
    },
    /// The condition is no search.
    #[error("in the search: {}{}", .0.message, .0.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
    Where(QueryError),
}

/// A rule, compiled.
pub(super) struct Rule {
    metric: String,
    kind: RuleKind,
    query: Query,
    labels: Vec<(String, Field)>,
    value: Option<Field>,
    /// Label values, each with 0xff behind it, to the series.
    series: hashbrown::HashMap<String, SeriesId, RandomState>,
    key: String,
}

impl Rule {
    /// Name of its metric.
    pub(super) fn metric(&self) -> &str {
        &self.metric
    }

    /// What becomes of its values.
    pub(super) fn kind(&self) -> RuleKind {
        self.kind
    }

    /// Compiles a rule. On any fault, all of them.
    pub(super) fn new(config: &RuleConfig, now: Timestamp) -> Result<Rule, Vec<(RulePart, RuleError)>> {
        let mut faults = Vec::new();
        let metric = config.metric.clone();
        if !is_name(&metric, true) {
            faults.push((RulePart::Metric, RuleError::Metric { name: metric.clone() }));
        } else if super::built_in::max_series().contains_key(&metric) || metric.starts_with("watchfire_") {
            faults.push((RulePart::Metric, RuleError::Taken { name: metric.clone() }));
        }
        let labels = labels(config, &mut faults);
        let value = config.value.as_deref().and_then(|name| field(name, || RulePart::Value, &mut faults));
        match (config.kind, &config.value) {
            (RuleKind::Gauge | RuleKind::Distribution, None) => {
                faults.push((RulePart::Value, RuleError::NoValue { kind: config.kind.as_str() }));
            }
            (RuleKind::Counter | RuleKind::Gauge | RuleKind::Distribution, _) => {}
        }
        match query::parse(&config.matching, now) {
            Ok(query) if faults.is_empty() => {
                let series = hashbrown::HashMap::default();
                Ok(Rule { metric, kind: config.kind, query, labels, value, series, key: String::new() })
            }
            Ok(_) => Err(faults),
            Err(error) => {
                faults.push((RulePart::Where { offset: error.offset }, RuleError::Where(error)));
                Err(faults)
            }
        }
    }

    pub(super) fn forget_series(&mut self) {
        self.series.clear();
    }

    pub(super) fn record(
        &mut self,
        view: &RecordView<'_>,
        seq: u64,
        moment: Moment,
        collected: &mut Collected,
        report: &mut BatchReport,
    ) {
        if !query::matches(&self.query, view, seq) {
            return;
        }
        let value = match &self.value {
            None => 1.0,
            Some(field) => {
                let mut value = None;
                with_value(field, view, seq, |found| value = number_of(found));
                // A counter does not go down.
                match value.filter(|value| self.kind != RuleKind::Counter || *value >= 0.0) {
                    Some(value) => value,
                    None => {
                        report.unusable += 1;
                        return;
                    }
                }
            }
        };
        let series = self.series(view, seq, collected);
        match self.kind {
            RuleKind::Counter => collected.table.count(series, moment.at, moment.late, value),
            RuleKind::Gauge => collected.gauges.push((series, moment, value)),
            RuleKind::Distribution => collected.observe(series, moment, value),
        }
    }

    /// The series of the record's label values.
    fn series(&mut self, view: &RecordView<'_>, seq: u64, collected: &mut Collected) -> SeriesId {
        let Rule { metric, labels, series, key, .. } = self;
        key.clear();
        for (_, field) in labels.iter() {
            with_value(field, view, seq, |value| write_label(value, key));
            // No text of UTF-8 has this code point in a label more than once per value: it is our own end mark.
            key.push('\u{10ffff}');
        }
        if let Some(series) = series.get(key.as_str()) {
            return *series;
        }
        let values = key.split('\u{10ffff}');
        let pairs = labels.iter().map(|(name, _)| name.as_str()).zip(values);
        let set = LabelSet::from_pairs(std::iter::once((METRIC_NAME, metric.as_str())).chain(pairs));
        // Names were checked to be different when the rule was made.
        let id = collected.table.add(set.unwrap_or_default());
        series.insert(key.clone(), id);
        id
    }
}

/// The labels whose fields are known.
fn labels(config: &RuleConfig, faults: &mut Vec<(RulePart, RuleError)>) -> Vec<(String, Field)> {
    let mut labels = Vec::with_capacity(config.labels.len());
    for (at, (name, from)) in config.labels.iter().enumerate() {
        let stands_twice = config.labels.iter().take(at).any(|(have, _)| have == name);
        if !is_name(name, false) || name.starts_with("__") || stands_twice {
            faults.push((RulePart::Label(name.clone()), RuleError::Label { name: name.clone() }));
        }
        labels.extend(field(from, || RulePart::LabelField(name.clone()), faults).map(|field| (name.clone(), field)));
    }
    labels
}

/// The field of that name; a fault of `part` if there is none.
fn field(name: &str, part: impl FnOnce() -> RulePart, faults: &mut Vec<(RulePart, RuleError)>) -> Option<Field> {
    let field = Field::parse(name);
    if field.is_none() {
        faults.push((part(), RuleError::Field { name: name.to_owned() }));
    }
    field
}

/// Shows the value of a field, if the record has it.
fn with_value(field: &Field, view: &RecordView<'_>, seq: u64, mut show: impl FnMut(ValueRef<'_>)) {
    match field {
        Field::Level => show(ValueRef::Text(view.level().as_str())),
        Field::Timestamp => show(ValueRef::Int(view.timestamp().millis())),
        Field::AcceptedAt => show(ValueRef::Int(view.accepted_at().millis())),
        Field::Seq => show(ValueRef::Int(i64::try_from(seq).unwrap_or(i64::MAX))),
        Field::Core(_) | Field::Leaf(..) => {
            let found = view.entries().find(|(column, _): &(Column<'_>, _)| field.relation(*column) == Relation::Same);
            if let Some((_, value)) = found {
                show(value);
            }
        }
    }
}

/// The finite number that a value is, or that its text says.
pub(super) fn number_of(value: ValueRef<'_>) -> Option<f64> {
    let number = match value {
        ValueRef::Int(int) => int as f64,
        ValueRef::Float(float) => float,
        ValueRef::Text(text) => text.trim().parse().ok()?,
        ValueRef::Null | ValueRef::Bool(_) | ValueRef::Array(_) | ValueRef::Object(_) => return None,
    };
    number.is_finite().then_some(number)
}

/// Appends a value as a label shows it; lists and objects show nothing.
fn write_label(value: ValueRef<'_>, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = match value {
        ValueRef::Text(text) => {
            let text = label_text(text);
            if text.contains('\u{10ffff}') {
                out.push_str(&text.replace('\u{10ffff}', "\u{fffd}"));
            } else {
                out.push_str(text);
            }
            Ok(())
        }
        ValueRef::Bool(bool) => write!(out, "{bool}"),
        ValueRef::Int(int) => write!(out, "{int}"),
        ValueRef::Float(float) => write!(out, "{float}"),
        ValueRef::Null | ValueRef::Array(_) | ValueRef::Object(_) => Ok(()),
    };
}

/// A name of a metric (with colons) or of a label.
fn is_name(name: &str, colons: bool) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (colons && byte == b':');
    !name.is_empty() && name.len() <= 200 && name.bytes().all(good) && !name.starts_with(|c: char| c.is_ascii_digit())
}
