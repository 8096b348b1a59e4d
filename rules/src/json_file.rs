//! A rule file in JSON: a rule, a list of rules, or `{"rules": […]}`.

use std::collections::{HashMap, HashSet};

use crate::json_tree::{self, Json, Member, Node};
use crate::rule_fields::{Fault, ReadRule, read_rule};

/// Reads the rules of a JSON file; `receivers` are those whose names rules may use, where they are known.
pub(crate) fn read(text: &str, receivers: Option<&[&str]>, faults: &mut Vec<Fault>) -> Vec<ReadRule> {
    let (tree, errors) = json_tree::read(text);
    faults.extend(errors.into_iter().map(|error| Fault::new(error.offset, error.message, error.hint)));
    let Some(tree) = tree else { return Vec::new() };
    // What is wrong with the writing of a value is said once; that it does not fit its field either adds nothing.
    let told: HashSet<usize> = faults.iter().map(|fault| fault.offset).collect();
    let mut found = Vec::new();
    let rules = read_tree(&tree, receivers, &mut found);
    faults.extend(found.into_iter().filter(|fault| !told.contains(&fault.offset)));
    rules
}

fn read_tree(tree: &Node, receivers: Option<&[&str]>, faults: &mut Vec<Fault>) -> Vec<ReadRule> {
    let nodes: Vec<&Node> = match &tree.value {
        Json::Array(items) => items.iter().collect(),
        Json::Object(members) => match members.iter().find(|member| member.key == "rules") {
            Some(list) => wrapped(list, members, faults),
            None if members.iter().any(|member| member.key == "groups") => {
                faults.push(Fault::new(
                    tree.offset,
                    "Prometheus rule groups stand in a file of the other format",
                    "name the file *.yml (JSON is YAML too), or write a list of rules: [{\"name\": …, \"query\": …}]",
                ));
                return Vec::new();
            }
            None => vec![tree],
        },
        other => {
            faults.push(Fault::new(
                tree.offset,
                format!("the file holds {}, not rules", other.kind()),
                "write a rule, a list of rules, or {\"rules\": [ … ]}",
            ));
            return Vec::new();
        }
    };
    let rules: Vec<ReadRule> =
        nodes.iter().enumerate().filter_map(|(at, node)| read_rule(node, at + 1, receivers, faults)).collect();
    find_twins(&rules, faults);
    rules
}

/// The rules of `{"rules": […]}`.
fn wrapped<'a>(list: &'a Member, members: &[Member], faults: &mut Vec<Fault>) -> Vec<&'a Node> {
    for other in members.iter().filter(|member| member.key != "rules") {
        faults.push(Fault::new(
            other.offset,
            format!("unknown field `{}` beside `rules`", other.key.escape_debug()),
            "fields of a rule stand inside the rule",
        ));
    }
    match &list.node.value {
        Json::Array(items) => items.iter().collect(),
        other => {
            let message = format!("`rules` is {}, not a list", other.kind());
            faults.push(Fault::new(list.node.offset, message, "\"rules\": [{…}, {…}]"));
            Vec::new()
        }
    }
}

/// Two rules of one name that ask the same and add the same labels would raise the same alert.
fn find_twins(rules: &[ReadRule], faults: &mut Vec<Fault>) {
    let mut first_at = HashMap::new();
    for read in rules {
        let rule = &read.rule;
        let labels: Vec<_> = rule.labels.iter().map(|(name, template)| (name, template.source())).collect();
        let identity = (&rule.name, rule.query.to_string(), labels);
        if let Some(first) = first_at.get(&identity) {
            faults.push(Fault::new(
                read.name_offset,
                format!("rule `{}` has the name, query and labels of rule {first}", rule.name.escape_debug()),
                "give one another name or label, or their alerts cannot be told apart",
            ));
        } else {
            first_at.insert(identity, read.position);
        }
    }
}
