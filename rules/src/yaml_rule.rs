//! One rule of a YAML file becomes a rule, or a list of everything that is wrong with it.

use std::sync::Arc;

use watchfire_query_lang::Query;
use watchfire_query_lang::ast::ValueType;
use watchfire_yaml::faults::Faults;
use watchfire_yaml::section::Section;
use watchfire_yaml::tree::{Fault, Kind, Node};

use crate::rule::{AlertRule, Condition, NoData, RecordingRule, Rule};
use crate::template::Template;
use crate::yaml_file::{DURATION, Text, duration_ms, texts};

/// Reads a rule; `position` counts those of the group from 1, `group_labels` are what the rules of the group have where
/// they say nothing themselves. `None` if anything was wrong with it.
pub(crate) fn read_rule(
    node: &Node,
    position: usize,
    group_labels: &[Text<'_>],
    faults: &mut Vec<Fault>,
) -> Option<Rule> {
    if !matches!(node.kind, Kind::Map(_)) {
        let message = format!("rule {position} is {}; a rule has `alert` or `record`, and `expr`", node.kind.name());
        faults.push(Fault { place: node.place, message });
        return None;
    }
    let mut found = Faults::default();
    let rule = read(node, group_labels, &mut found);
    let is_clean = found.is_empty();
    let title = title(node, position);
    faults.extend(found.sorted().into_iter().map(|Fault { place, message }| {
        let message = format!("{title}: {message}");
        Fault { place, message }
    }));
    rule.filter(|_| is_clean)
}

/// ``rule 2 `HighErrorRate` ``, as messages begin.
fn title(node: &Node, position: usize) -> String {
    let name = ["alert", "record"].into_iter().find_map(|key| match &node.entry(key)?.1.kind {
        Kind::Scalar { text, .. } => Some(text),
        Kind::Null | Kind::List(_) | Kind::Map(_) => None,
    });
    name.map_or_else(|| format!("rule {position}"), |name| format!("rule {position} `{}`", name.escape_debug()))
}

fn read(node: &Node, group_labels: &[Text<'_>], faults: &mut Faults) -> Option<Rule> {
    let mut section = Section::new("", Some(node), faults);
    let alert = section.text("alert").filter(|name| !name.is_empty());
    let record = section.text("record").filter(|name| !name.is_empty());
    let query = query(&mut section);
    let duration = section.parsed("for", DURATION, duration_ms);
    let keep_firing_for = section.parsed("keep_firing_for", DURATION, duration_ms);
    let labels = texts(&mut section, "labels");
    let annotations = texts(&mut section, "annotations");
    let rule = match (alert, record) {
        (Some(name), None) => {
            let labels = templates(&mut section, "labels", &merged(&labels, group_labels));
            let annotations = templates(&mut section, "annotations", &annotations.iter().collect::<Vec<_>>());
            query.map(|query| {
                Rule::Alert(Arc::new(AlertRule {
                    name: name.to_owned(),
                    query,
                    condition: Condition::Present,
                    duration_ms: duration.unwrap_or(0),
                    keep_firing_for_ms: keep_firing_for.unwrap_or(0),
                    no_data: NoData::Ok,
                    interval_ms: None,
                    labels,
                    annotations,
                    receivers: Vec::new(),
                    external: Arc::default(),
                }))
            })
        }
        (None, Some(name)) => {
            let has = [
                ("for", duration.is_some_and(|duration| duration != 0)),
                ("keep_firing_for", keep_firing_for.is_some_and(|duration| duration != 0)),
                ("annotations", !annotations.is_empty()),
            ];
            check_recording(&mut section, name, &has);
            let labels = merged(&labels, group_labels);
            let labels = labels.iter().map(|label| (label.name.to_owned(), label.text.to_owned())).collect();
            query.map(|query| Rule::Record(Arc::new(RecordingRule { name: name.to_owned(), query, labels })))
        }
        (Some(_), Some(_)) => {
            let place = section.node("record").map_or(node.place, |node| node.place);
            section.fault(place, "a rule either alerts or records; remove `alert` or `record`");
            None
        }
        (None, None) => {
            section.fault(node.place, "the rule has no name; write `alert: Name` or `record: name`");
            None
        }
    };
    section.finish();
    rule
}

fn query(section: &mut Section<'_>) -> Option<Query> {
    section.required_text("expr")?;
    let node = section.node("expr")?;
    let text = section.text("expr")?;
    let query = match watchfire_query_lang::parse(text) {
        Ok(query) => query,
        Err(error) => {
            let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            section.fault(node.place_at(error.offset), format!("in `expr`: {}{hint}", error.message));
            return None;
        }
    };
    match query.value_type() {
        ValueType::Scalar | ValueType::Vector => Some(query),
        other @ (ValueType::Matrix | ValueType::String) => {
            let message = format!("`expr` gives a {}; a rule needs a number per series", other.name());
            section.fault(node.place_at(0), message);
            None
        }
    }
}

/// What a recording rule must not have, beside what is wrong with its name.
fn check_recording(section: &mut Section<'_>, name: &str, has: &[(&'static str, bool)]) {
    for (key, _) in has.iter().filter(|(_, has)| *has) {
        let place = section.node(key).map(|node| node.place).unwrap_or_default();
        section.fault(place, format!("`{key}` is for alerts, and this rule records; remove it"));
    }
    if name.contains(['{', '}']) {
        let place = section.node("record").map(|node| node.place).unwrap_or_default();
        section.fault(place, "`record` is a name without braces; labels stand in `labels`, a query in `expr`");
    }
}

/// The rule's own and those of its group that it does not have, sorted by name.
fn merged<'t, 'a>(own: &'t [Text<'a>], group: &'t [Text<'a>]) -> Vec<&'t Text<'a>> {
    let others = group.iter().filter(|label| own.iter().all(|own| own.name != label.name));
    let mut all: Vec<&Text<'_>> = own.iter().chain(others).collect();
    all.sort_by(|a, b| a.name.cmp(b.name));
    all
}

fn templates(section: &mut Section<'_>, key: &str, texts: &[&Text<'_>]) -> Vec<(String, Template)> {
    let mut templates = Vec::with_capacity(texts.len());
    for text in texts {
        match Template::parse(text.text) {
            Ok(template) => templates.push((text.name.to_owned(), template)),
            Err(error) => {
                let hint = if error.hint.is_empty() { String::new() } else { format!("; {}", error.hint) };
                let message = format!("in the template of `{key}.{}`: {}{hint}", text.name, error.message);
                section.fault(text.node.place_at(error.offset), message);
            }
        }
    }
    templates
}
