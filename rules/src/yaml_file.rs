//! A rule file in YAML: Prometheus' groups of alerting and recording rules.
//!
//! Source: Prometheus' model/rulefmt, whose fields these are and whose checks hold here too. What it accepts is
//! accepted, but for queries that can never give a value, which it only finds when it evaluates them.

use std::collections::HashMap;

use watchfire_model::labels::METRIC_NAME;
use watchfire_model::time::parse_duration_ms;
use watchfire_yaml::faults::Faults;
use watchfire_yaml::section::Section;
use watchfire_yaml::tree::{self, Fault, Kind, Node};

use crate::rule_fields::INTERVAL_MIN_MS;
use crate::rule_set::RuleGroup;
use crate::yaml_rule::read_rule;

/// What a duration looks like, for messages.
pub(crate) const DURATION: &str = "a duration (write 500ms, 30s, 5m, 1h30m or 1d)";

/// A name and a text of a section whose names the user chooses, and where the text stands.
pub(crate) struct Text<'a> {
    pub name: &'a str,
    pub text: &'a str,
    pub node: &'a Node,
}

/// Reads the groups of a file.
///
/// Errors: everything that is wrong in it, in the order of the file.
pub(crate) fn read(file: &str, text: &str) -> Result<Vec<RuleGroup>, Vec<Fault>> {
    let (root, mut faults) = tree::parse_verbatim(text)?;
    let groups = read_root(file, &root, &mut faults);
    if faults.is_empty() { Ok(groups) } else { Err(faults.sorted()) }
}

fn read_root(file: &str, root: &Node, faults: &mut Faults) -> Vec<RuleGroup> {
    if let Kind::List(_) | Kind::Scalar { .. } = root.kind {
        let message =
            format!("the file holds {}, not rule groups; write `groups:` and a list of groups", root.kind.name());
        faults.push(Fault { place: root.place, message });
        return Vec::new();
    }
    let mut top = Section::new("", Some(root), faults);
    let nodes = items(&mut top, "groups");
    let mut groups = Vec::with_capacity(nodes.len());
    let mut named_at: HashMap<String, usize> = HashMap::new();
    for (at, node) in nodes.iter().enumerate() {
        let Some(group) = read_group(file, node, at + 1, &mut top) else { continue };
        if let Some(first) = named_at.get(&group.name) {
            let message = format!("group `{}` has the name of group {first}; rename one", group.name.escape_debug());
            top.fault(node.at("name").place, message);
        }
        named_at.entry(group.name.clone()).or_insert(at + 1);
        groups.push(group);
    }
    top.finish();
    groups
}

/// Reads a group; `position` counts those of the file from 1. `None` if it is none, or has no name.
fn read_group(file: &str, node: &Node, position: usize, top: &mut Section<'_>) -> Option<RuleGroup> {
    if !matches!(node.kind, Kind::Map(_)) {
        let message = format!("group {position} is {}; write `- name: …` and `rules: …`", node.kind.name());
        top.fault(node.place, message);
        return None;
    }
    let title = match &node.at("name").kind {
        Kind::Scalar { text, .. } => format!("group `{}`", text.escape_debug()),
        _ => format!("group {position}"),
    };
    let mut found = Faults::default();
    let mut section = Section::new("", Some(node), &mut found);
    let name = section.required_text("name").map(str::to_owned);
    let interval_ms = section.parsed("interval", DURATION, duration_ms).filter(|interval| *interval > 0);
    if let (Some(1..INTERVAL_MIN_MS), Some(node)) = (interval_ms, section.node("interval")) {
        section.fault(node.place, format!("`interval` is too short; at least {INTERVAL_MIN_MS}ms"));
    }
    let query_offset_ms = section.parsed("query_offset", DURATION, duration_ms);
    let limit = section.parsed("limit", "a whole number (0 is no limit)", |text| text.parse::<i64>().ok());
    let labels = texts(&mut section, "labels");
    let mut of_rules = Vec::new();
    let mut rules = Vec::new();
    for (at, node) in items(&mut section, "rules").iter().enumerate() {
        rules.extend(read_rule(node, at + 1, &labels, &mut of_rules));
    }
    section.finish();
    found.append(&mut of_rules);
    for Fault { place, message } in found.sorted() {
        top.fault(place, format!("{title}: {message}"));
    }
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(0);
    Some(RuleGroup { name: name?, file: file.to_owned(), interval_ms, query_offset_ms, limit, rules })
}

/// The items of a list; something else is a fault, and reads as empty.
fn items<'a>(section: &mut Section<'a>, key: &'static str) -> &'a [Node] {
    match section.node(key) {
        Some(Node { kind: Kind::List(items), .. }) => items,
        Some(node) => {
            section.fault(
                node.place,
                format!("`{key}` must be a list, this is {}; begin each item with `- `", node.kind.name()),
            );
            &[]
        }
        None => &[],
    }
}

/// The names and texts of `labels` or `annotations`, sorted by name.
pub(crate) fn texts<'a>(section: &mut Section<'a>, key: &'static str) -> Vec<Text<'a>> {
    let entries = match section.node(key) {
        Some(Node { kind: Kind::Map(entries), .. }) => entries.as_slice(),
        Some(node) => {
            let message = format!("`{key}` must be a section of names and texts, this is {}", node.kind.name());
            section.fault(node.place, message);
            &[]
        }
        None => &[],
    };
    let mut texts = Vec::with_capacity(entries.len());
    for (name, place, node) in entries {
        if name.is_empty() || (key == "labels" && name == METRIC_NAME) {
            section.fault(*place, format!("`{name}` is no name in `{key}`; choose another"));
        }
        match &node.kind {
            Kind::Scalar { text, .. } => texts.push(Text { name, text, node }),
            Kind::Null => texts.push(Text { name, text: "", node }),
            kind @ (Kind::List(_) | Kind::Map(_)) => {
                section.fault(
                    node.place,
                    format!("`{key}.{name}` must be text, this is {}; put it in quotes", kind.name()),
                );
            }
        }
    }
    texts.sort_by(|a, b| a.name.cmp(b.name));
    texts
}

/// Milliseconds; a plain `0` needs no unit.
pub(crate) fn duration_ms(text: &str) -> Option<i64> {
    if text == "0" { Some(0) } else { parse_duration_ms(text) }
}

#[cfg(test)]
mod tests;
