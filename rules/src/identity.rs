//! By what a rule is known again after a restart or a reload.

use std::collections::HashMap;

use xxhash_rust::xxh3::Xxh3;

use crate::journal::RuleKey;
use crate::rule::Rule;

/// The key of a rule; `taken` counts the rules with the same key so far, so that twins in files of one stem differ.
pub(crate) fn rule_key(group: &str, rule: &Rule, taken: &mut HashMap<u64, u64>) -> RuleKey {
    let mut hasher = Xxh3::new();
    add(&mut hasher, group);
    add(&mut hasher, rule.name());
    for (name, text) in rule.label_texts() {
        add(&mut hasher, name);
        add(&mut hasher, text);
    }
    if let Rule::Record(_) = rule {
        // No text of an alerting rule is so long.
        hasher.update(&u64::MAX.to_le_bytes());
    }
    let loose = hasher.digest();
    add(&mut hasher, "");
    add(&mut hasher, &rule.query().to_string());
    let before = taken.entry(hasher.digest()).or_default();
    hasher.update(&before.to_le_bytes());
    *before += 1;
    RuleKey { exact: hasher.digest(), loose, group: group.to_owned(), name: rule.name().to_owned() }
}

/// The text and its length, so that neighbours cannot run into each other.
fn add(hasher: &mut Xxh3, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}
