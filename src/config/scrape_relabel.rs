//! `relabel_configs` and `metric_relabel_configs`.

use watchfire_scrape::relabel::{Action, Anchored, RelabelRule};
use watchfire_yaml::section::Section;
use watchfire_yaml::tree::Node;

/// Reads a list of rules; all that is wrong with each is told.
pub fn read(job: &mut Section<'_>, key: &'static str) -> Vec<RelabelRule> {
    let path = job.name(key);
    job.list(key).into_iter().map(|node| read_rule(node, &path, job)).collect()
}

fn read_rule(node: &Node, path: &str, job: &mut Section<'_>) -> RelabelRule {
    let mut section = Section::new(path, Some(node), job.faults());
    let before = section.faults().len();
    let mut rule = RelabelRule {
        source_labels: section.texts("source_labels").into_iter().map(|(name, _)| name.to_owned()).collect(),
        ..RelabelRule::default()
    };
    // Here an empty text is one, and not the default.
    for (key, text) in [
        ("separator", &mut rule.separator),
        ("target_label", &mut rule.target_label),
        ("replacement", &mut rule.replacement),
    ] {
        section.defaults_to(key, format!("{text:?}"));
        if let Some(given) = section.text(key) {
            given.clone_into(text);
        }
    }
    rule.regex = read_regex(&mut section);
    rule.modulus = section.integer("modulus", 0).unwrap_or_default();
    let names = Action::NAMES.map(|(name, _)| name);
    let action = section.word("action", &names, Action::parse);
    rule.action = action.unwrap_or_default();
    let is_read = section.faults().len() == before;
    section.finish();
    // Of what could not be read it is not known what it contradicts.
    for fault in rule.faults().into_iter().filter(|_| is_read) {
        let place = node.entry(fault.key).map_or(node.place, |(_, value)| value.place);
        job.fault(place, format!("`{path}`: {fault}"));
    }
    rule
}

fn read_regex(section: &mut Section<'_>) -> Option<Anchored> {
    let node = section.node("regex")?;
    let text = section.text("regex")?;
    match Anchored::new(text) {
        Ok(regex) => Some(regex),
        Err(reason) => {
            let message = format!("`{}`: `{text}` is no regular expression: {reason}", section.name("regex"));
            section.fault(node.place, message);
            None
        }
    }
}
