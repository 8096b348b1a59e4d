//! Rules that are told apart by nothing that one can see.
//!
//! Source: the lint `duplicate-rules` of promtool, which looks at each file alone. Series or alerts of such rules may overwrite
//! each other, whichever file they stand in.

use std::collections::BTreeMap;

use crate::rule::Rule;
use crate::rule_set::RuleSet;

/// Several rules with the same kind, name and labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The file of the first one.
    pub file: String,
    /// Their name.
    pub name: String,
    /// The labels that they add, as `name="value", …`.
    pub labels: String,
    /// The groups in which they stand, one per rule; behind those of another file stands which.
    pub groups: Vec<String>,
}

/// By what rules are told apart.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Seen<'r> {
    name: &'r str,
    records: bool,
    labels: Vec<(&'r str, &'r str)>,
}

impl RuleSet {
    /// All rules that have a twin, in the order of names.
    pub fn duplicates(&self) -> Vec<Duplicate> {
        let mut seen: BTreeMap<Seen<'_>, Vec<(&str, &str)>> = BTreeMap::new();
        for group in self.groups() {
            for rule in &group.rules {
                let records = matches!(rule, Rule::Record(_));
                let rule = Seen { name: rule.name(), records, labels: rule.label_texts() };
                seen.entry(rule).or_default().push((&group.file, &group.name));
            }
        }
        let twins = seen.into_iter().filter(|(_, places)| places.len() > 1);
        let duplicate = |(Seen { name, labels, .. }, places): (Seen<'_>, Vec<(&str, &str)>)| {
            let labels: Vec<String> = labels.iter().map(|(name, text)| format!("{name}={text:?}")).collect();
            let file = places.first().map_or("", |(file, _)| file);
            let group =
                |(of, group): &(&str, &str)| if *of == file { (*group).to_owned() } else { format!("{group} of {of}") };
            let groups = places.iter().map(group).collect();
            Duplicate { file: file.to_owned(), name: name.to_owned(), labels: labels.join(", "), groups }
        };
        twins.map(duplicate).collect()
    }
}
