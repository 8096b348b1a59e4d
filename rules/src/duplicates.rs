//! Rules that are told apart by nothing that one can see.
//!
//! Source: the lint `duplicate-rules` of promtool. Series or alerts of such rules may overwrite each other.

use std::collections::BTreeMap;

use crate::rule::Rule;
use crate::rule_set::RuleSet;

/// Several rules of one file with the same kind, name and labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Their file.
    pub file: String,
    /// Their name.
    pub name: String,
    /// The labels that they add, as `name="value", …`.
    pub labels: String,
    /// The groups in which they stand, one per rule.
    pub groups: Vec<String>,
}

/// By what rules are told apart.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Seen<'r> {
    file: &'r str,
    name: &'r str,
    records: bool,
    labels: Vec<(&'r str, &'r str)>,
}

impl RuleSet {
    /// All rules that have a twin in their file, in the order of files and names.
    pub fn duplicates(&self) -> Vec<Duplicate> {
        let mut seen: BTreeMap<Seen<'_>, Vec<String>> = BTreeMap::new();
        for group in self.groups() {
            for rule in &group.rules {
                let records = matches!(rule, Rule::Record(_));
                let rule = Seen { file: &group.file, name: rule.name(), records, labels: rule.label_texts() };
                seen.entry(rule).or_default().push(group.name.clone());
            }
        }
        let twins = seen.into_iter().filter(|(_, groups)| groups.len() > 1);
        let duplicate = |(Seen { file, name, labels, .. }, groups): (Seen<'_>, _)| {
            let labels: Vec<String> = labels.iter().map(|(name, text)| format!("{name}={text:?}")).collect();
            Duplicate { file: file.to_owned(), name: name.to_owned(), labels: labels.join(", "), groups }
        };
        twins.map(duplicate).collect()
    }
}
