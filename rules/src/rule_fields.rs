//! One object of a rule file becomes a rule, or a list of everything that is wrong with it.

use std::sync::Arc;

use watchfire_model::nearest;
use watchfire_model::time::parse_duration_ms;
use watchfire_query_lang::Query;
use watchfire_query_lang::ast::ValueType;

use crate::json_tree::{Json, JsonString, Member, Node};
use crate::rule::{ALERT_NAME, AlertRule, Comparison, Condition, NoData, Operator};
use crate::template::Template;

/// The fields of a rule.
const FIELDS: [&str; 12] = [
    "name",
    "query",
    "threshold",
    "operator",
    "duration",
    "labels",
    "annotations",
    "interval",
    "keep_firing_for",
    "resolve_threshold",
    "no_data",
    "receivers",
];

/// What people write who know other formats, and what to write here.
const FOREIGN: [(&str, &str); 9] = [
    ("alert", "the rule's name is given as `name`"),
    ("expr", "it is called `query` here"),
    ("expression", "it is called `query` here"),
    ("for", "it is called `duration` here"),
    ("by", "write it into the query: \"… by service\""),
    ("severity", "write it into the labels: \"labels\": {\"severity\": \"…\"}"),
    ("summary", "write it into the annotations: \"annotations\": {\"summary\": \"…\"}"),
    ("receiver", "it is a list here: \"receivers\": [\"ops\"]"),
    ("record", "rules that record are written as Prometheus' rule groups, in a file named *.yml"),
];

/// Shortest distance between two evaluations, in milliseconds.
pub(crate) const INTERVAL_MIN_MS: i64 = 100;

/// A fault at a byte offset of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub offset: usize,
    pub message: String,
    pub hint: String,
}

impl Fault {
    pub(crate) fn new(offset: usize, message: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault { offset, message: message.into(), hint: hint.into() }
    }
}

/// A rule and the place in the file that later checks point at.
#[derive(Debug)]
pub(crate) struct ReadRule {
    pub rule: AlertRule,
    /// Offset of the rule's name.
    pub name_offset: usize,
    /// Counts the rules of the file from 1.
    pub position: usize,
}

/// Reads a rule; `position` counts the rules of the file from 1. `None` if anything was wrong with the rule itself:
/// one whose receivers are not among the known ones is still compared with others.
pub(crate) fn read_rule(
    node: &Node,
    position: usize,
    known: Option<&[&str]>,
    faults: &mut Vec<Fault>,
) -> Option<ReadRule> {
    let Json::Object(members) = &node.value else {
        faults.push(Fault::new(
            node.offset,
            format!("rule {position} is {}", node.value.kind()),
            "a rule is an object: {\"name\": …, \"query\": …, \"operator\": …, \"threshold\": …}",
        ));
        return None;
    };
    let mut reader = RuleReader { title: title(members, position), members, faults: Vec::new() };
    let receivers = reader.receivers();
    let rule = reader.read(node.offset, &receivers);
    let is_clean = reader.faults.is_empty();
    if let Some(known) = known {
        reader.check_receivers(&receivers, known);
    }
    faults.append(&mut reader.faults);
    let (rule, name_offset) = rule.filter(|_| is_clean)?;
    Some(ReadRule { rule, name_offset, position })
}

/// ``rule 2 `HighErrorRate` ``, as messages begin.
fn title(members: &[Member], position: usize) -> String {
    match members.iter().find(|member| member.key == "name").map(|member| &member.node.value) {
        Some(Json::String(name)) => format!("rule {position} `{}`", name.text.escape_debug()),
        _ => format!("rule {position}"),
    }
}

struct RuleReader<'a> {
    title: String,
    members: &'a [Member],
    faults: Vec<Fault>,
}

impl<'a> RuleReader<'a> {
    /// The rule and the offset of its name.
    fn read(&mut self, offset: usize, receivers: &[(String, usize)]) -> Option<(AlertRule, usize)> {
        self.unknown_fields();
        let name = self.name(offset);
        let query = self.query(offset);
        let operator = self.operator(offset);
        let threshold = self.number("threshold");
        if self.find("threshold").is_none() {
            self.missing(offset, "threshold", "\"threshold\": 10");
        }
        let duration_ms = self.duration("duration").unwrap_or(0);
        let keep_firing_for_ms = self.duration("keep_firing_for").unwrap_or(0);
        let interval_ms = self.interval();
        let resolve_threshold = self.resolve_threshold(operator, threshold);
        let no_data = self.no_data();
        let labels = self.texts("labels");
        let annotations = self.texts("annotations");
        let (name, name_offset) = name?;
        let comparison = Comparison { operator: operator?, threshold: threshold?, resolve_threshold };
        let rule = AlertRule {
            name,
            query: query?,
            condition: Condition::Compared(comparison),
            duration_ms,
            keep_firing_for_ms,
            no_data,
            interval_ms,
            labels,
            annotations,
            receivers: receivers.iter().map(|(name, _)| name.clone()).collect(),
            external: Arc::default(),
        };
        Some((rule, name_offset))
    }

    fn unknown_fields(&mut self) {
        for member in self.members.iter().filter(|member| !FIELDS.contains(&member.key.as_str())) {
            let key = member.key.as_str();
            let hint = match FOREIGN.iter().find(|(foreign, _)| *foreign == key) {
                Some((_, hint)) => (*hint).to_owned(),
                None => match nearest(key, FIELDS) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => format!("a rule has the fields {}", FIELDS.join(", ")),
                },
            };
            self.fault(member.offset, format!("unknown field `{}`", key.escape_debug()), hint);
        }
    }

    fn name(&mut self, offset: usize) -> Option<(String, usize)> {
        let Some(node) = self.find("name") else {
            self.missing(offset, "name", "\"name\": \"HighErrorRate\"");
            return None;
        };
        let text = &self.string(node, "name", "\"HighErrorRate\"")?.text;
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            self.fault(node.offset, "the name is empty or has control characters", "name what is wrong when it fires");
            return None;
        }
        Some((text.clone(), node.offset))
    }

    fn query(&mut self, offset: usize) -> Option<Query> {
        let Some(node) = self.find("query") else {
            self.missing(offset, "query", "\"query\": \"rate error_count service=api\"");
            return None;
        };
        let text = self.string(node, "query", "\"rate error_count service=api\"")?;
        match watchfire_query_lang::parse(&text.text) {
            Ok(query) => match query.value_type() {
                ValueType::Scalar | ValueType::Vector => Some(query),
                other @ (ValueType::Matrix | ValueType::String) => {
                    let message = format!("the query gives {}, which cannot be compared", other.name());
                    self.fault(text.offset_in_file(0), message, "a rule needs a number per series");
                    None
                }
            },
            Err(error) => {
                let message = format!("in the query: {}", error.message);
                self.fault(text.offset_in_file(error.offset), message, error.hint.unwrap_or_default());
                None
            }
        }
    }

    fn operator(&mut self, offset: usize) -> Option<Operator> {
        let all = Operator::ALL.map(Operator::as_str).join(" ");
        let Some(node) = self.find("operator") else {
            self.missing(offset, "operator", "\"operator\": \">\"");
            return None;
        };
        let text = &self.string(node, "operator", "\">\"")?.text;
        let found = Operator::ALL.into_iter().find(|operator| operator.as_str() == text.trim());
        if found.is_none() {
            let hint = match text.trim() {
                "=" => "equality is written ==".to_owned(),
                "<>" | "=/=" => "inequality is written !=".to_owned(),
                "=>" => "write >=".to_owned(),
                "=<" => "write <=".to_owned(),
                _ => format!("one of {all}"),
            };
            self.fault(node.offset, format!("unknown operator `{}`", text.escape_debug()), hint);
        }
        found
    }

    /// A number, or one that JSON cannot hold as a string. Absent without complaint.
    fn number(&mut self, field: &str) -> Option<f64> {
        let node = self.find(field)?;
        match &node.value {
            Json::Number(number) => Some(*number),
            Json::String(text) if text.text == "+Inf" => Some(f64::INFINITY),
            Json::String(text) if text.text == "-Inf" => Some(f64::NEG_INFINITY),
            other => {
                let hint = match other {
                    Json::String(text) if text.text.trim().parse::<f64>().is_ok_and(f64::is_finite) => {
                        format!("without quotes: \"{field}\": {}", text.text.trim())
                    }
                    _ => format!("write a number: \"{field}\": 10"),
                };
                self.fault(node.offset, format!("`{field}` is {}, not a number", other.kind()), hint);
                None
            }
        }
    }

    /// Milliseconds. Absent without complaint.
    fn duration(&mut self, field: &str) -> Option<i64> {
        let node = self.find(field)?;
        match &node.value {
            Json::String(text) => {
                let millis = parse_duration_ms(&text.text);
                if millis.is_none() {
                    let message = format!("`{field}` is no duration: `{}`", text.text.escape_debug());
                    self.fault(node.offset, message, "write 30s, 5m, 1h30m, 500ms or 0s");
                }
                millis
            }
            Json::Number(number) => {
                let seconds = if *number > 0.0 { format!("{number}s") } else { "5m".to_owned() };
                let hint = format!("give the unit: \"{field}\": \"{seconds}\"");
                self.fault(node.offset, format!("`{field}` has no unit"), hint);
                None
            }
            other => {
                let message = format!("`{field}` is {}, not a duration", other.kind());
                self.fault(node.offset, message, format!("\"{field}\": \"5m\""));
                None
            }
        }
    }

    fn interval(&mut self) -> Option<i64> {
        let interval_ms = self.duration("interval")?;
        if interval_ms < INTERVAL_MIN_MS {
            let offset = self.find("interval").map_or(0, |node| node.offset);
            self.fault(offset, "`interval` is too short", format!("at least {INTERVAL_MIN_MS}ms"));
            return None;
        }
        Some(interval_ms)
    }

    fn resolve_threshold(&mut self, operator: Option<Operator>, threshold: Option<f64>) -> Option<f64> {
        let resolve = self.number("resolve_threshold")?;
        let (operator, threshold) = (operator?, threshold?);
        let wrong = match operator {
            Operator::Greater | Operator::GreaterOrEqual if resolve > threshold => "at most the threshold",
            Operator::Less | Operator::LessOrEqual if resolve < threshold => "at least the threshold",
            Operator::Equal | Operator::NotEqual => "only with > >= < or <=; remove it, or compare otherwise",
            Operator::Greater | Operator::GreaterOrEqual | Operator::Less | Operator::LessOrEqual => {
                return Some(resolve);
            }
        };
        let offset = self.find("resolve_threshold").map_or(0, |node| node.offset);
        let message = format!("`resolve_threshold` does not go with `{} {threshold}`", operator.as_str());
        self.fault(offset, message, wrong);
        None
    }

    fn no_data(&mut self) -> NoData {
        let Some(node) = self.find("no_data") else { return NoData::default() };
        let Some(text) = self.string(node, "no_data", "\"ok\"") else { return NoData::default() };
        let found = NoData::ALL.into_iter().find(|policy| policy.as_str() == text.text);
        if found.is_none() {
            let message = format!("unknown `no_data`: `{}`", text.text.escape_debug());
            self.fault(node.offset, message, "one of ok, alert, keep");
        }
        found.unwrap_or_default()
    }

    /// `labels` or `annotations`, sorted by name.
    fn texts(&mut self, field: &str) -> Vec<(String, Template)> {
        let Some(node) = self.find(field) else { return Vec::new() };
        let Json::Object(members) = &node.value else {
            let message = format!("`{field}` is {}, not an object", node.value.kind());
            self.fault(node.offset, message, format!("\"{field}\": {{\"name\": \"text\"}}"));
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(members.len());
        for member in members {
            self.check_label_name(field, member);
            let Json::String(text) = &member.node.value else {
                let message = format!("`{field}.{}` is {}, not a string", member.key, member.node.value.kind());
                self.fault(member.node.offset, message, "put it in double quotes");
                continue;
            };
            match Template::parse(&text.text) {
                Ok(template) => texts.push((member.key.clone(), template)),
                Err(error) => {
                    let message = format!("in the template of `{field}.{}`: {}", member.key, error.message);
                    self.fault(text.offset_in_file(error.offset), message, error.hint);
                }
            }
        }
        texts.sort_by(|a, b| a.0.cmp(&b.0));
        texts
    }

    fn check_label_name(&mut self, field: &str, member: &Member) {
        let key = member.key.as_str();
        let is_name = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            let message = format!("`{}` is no name in `{field}`", key.escape_debug());
            self.fault(member.offset, message, "letters, digits and _ only, no digit first");
        } else if field == "labels" && key.starts_with("__") {
            self.fault(member.offset, format!("label `{key}` is reserved"), "choose a name without leading __");
        } else if field == "labels" && key == ALERT_NAME {
            self.fault(member.offset, "label `alertname` is the rule's name already", "remove it");
        }
    }

    /// Names of receivers, and where they stand.
    fn receivers(&mut self) -> Vec<(String, usize)> {
        let Some(node) = self.find("receivers") else { return Vec::new() };
        let Json::Array(items) = &node.value else {
            let message = format!("`receivers` is {}, not a list", node.value.kind());
            self.fault(node.offset, message, "\"receivers\": [\"ops\"]");
            return Vec::new();
        };
        let mut receivers: Vec<(String, usize)> = Vec::with_capacity(items.len());
        for item in items {
            let Some(name) = self.string(item, "receivers", "\"ops\"") else { continue };
            if name.text.trim().is_empty() {
                self.fault(item.offset, "the name of a receiver is empty", "as in `alerting.receivers[].name`");
            } else if receivers.iter().any(|(have, _)| *have == name.text) {
                self.fault(item.offset, format!("receiver `{}` stands twice", name.text.escape_debug()), "remove one");
            } else {
                receivers.push((name.text.clone(), item.offset));
            }
        }
        receivers
    }

    /// A mistake for every receiver that nobody knows.
    fn check_receivers(&mut self, receivers: &[(String, usize)], known: &[&str]) {
        for (receiver, offset) in receivers.iter().filter(|(receiver, _)| !known.contains(&receiver.as_str())) {
            let hint = match nearest(receiver, known.iter().copied()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None if known.is_empty() => "define it in `alerting.receivers`".to_owned(),
                None => format!("define it in `alerting.receivers`, where there are {}", known.join(", ")),
            };
            self.fault(*offset, format!("unknown receiver `{}`", receiver.escape_debug()), hint);
        }
    }

    fn find(&self, field: &str) -> Option<&'a Node> {
        self.members.iter().find(|member| member.key == field).map(|member| &member.node)
    }

    fn string(&mut self, node: &'a Node, field: &str, example: &str) -> Option<&'a JsonString> {
        if let Json::String(text) = &node.value {
            return Some(text);
        }
        let message = format!("`{field}` is {}, not a string", node.value.kind());
        self.fault(node.offset, message, format!("write {example}"));
        None
    }

    fn missing(&mut self, offset: usize, field: &str, example: &str) {
        self.fault(offset, format!("`{field}` is missing"), format!("add {example}"));
    }

    fn fault(&mut self, offset: usize, message: impl std::fmt::Display, hint: impl Into<String>) {
        self.faults.push(Fault::new(offset, format!("{}: {message}", self.title), hint));
    }
}
