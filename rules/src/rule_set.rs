//! Rule files become groups of rules, or the list of everything that is wrong in all of them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::json_tree::{self, Json, Member, Node, places};
use crate::rule::Rule;
use crate::rule_fields::{Fault, ReadRule, read_rule};

/// Largest rule file, bytes.
const FILE_BYTES_MAX: usize = 16 << 20;

/// A mistake in a rule file, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}{}", if hint.is_empty() { String::new() } else { format!("; {hint}") })]
pub struct RuleFileError {
    /// The path as it was given.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// How to mend it; may be empty.
    pub hint: String,
}

/// All rules that are in force together.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    groups: Vec<RuleGroup>,
}

/// The rules of one file.
#[derive(Clone, Debug)]
pub struct RuleGroup {
    /// The stem of the file's name.
    pub name: String,
    /// The path as it was given.
    pub file: String,
    /// In the order of the file.
    pub rules: Vec<LoadedRule>,
}

/// A rule and where it stands.
#[derive(Clone, Debug)]
pub struct LoadedRule {
    /// The rule.
    pub rule: Arc<Rule>,
    /// Line and column of each of its receivers.
    receivers_at: Vec<(usize, usize)>,
}

impl RuleSet {
    /// Reads files given as path and content. A path given again is read once.
    ///
    /// Errors: everything that is wrong in all files, in the order of files and lines; then nothing is loaded.
    pub fn load<P, T>(files: &[(P, T)]) -> Result<RuleSet, Vec<RuleFileError>>
    where
        P: AsRef<Path>,
        T: AsRef<[u8]>,
    {
        let mut set = RuleSet::default();
        let mut errors = Vec::new();
        for (path, content) in files {
            let file = path.as_ref().display().to_string();
            if set.groups.iter().any(|group| group.file == file) {
                continue;
            }
            match load_file(path.as_ref(), &file, content.as_ref()) {
                Ok(group) => set.groups.push(group),
                Err(mut found) => errors.append(&mut found),
            }
        }
        if errors.is_empty() { Ok(set) } else { Err(errors) }
    }

    /// One group per file, in the order given.
    pub fn groups(&self) -> &[RuleGroup] {
        &self.groups
    }

    /// How many rules there are in all groups.
    pub fn rule_count(&self) -> usize {
        self.groups.iter().map(|group| group.rules.len()).sum()
    }

    /// A mistake for every receiver that a rule names and nobody knows.
    pub fn check_receivers<'a>(&self, known: impl IntoIterator<Item = &'a str>) -> Vec<RuleFileError> {
        let known: Vec<&str> = known.into_iter().collect();
        let mut errors = Vec::new();
        for group in &self.groups {
            for loaded in &group.rules {
                for (receiver, (line, column)) in loaded.rule.receivers.iter().zip(&loaded.receivers_at) {
                    if known.contains(&receiver.as_str()) {
                        continue;
                    }
                    let hint = match crate::nearest::nearest(receiver, known.iter().copied()) {
                        Some(nearest) => format!("did you mean `{nearest}`?"),
                        None if known.is_empty() => "define it in `alerting.receivers`".to_owned(),
                        None => format!("define it in `alerting.receivers`, where there are {}", known.join(", ")),
                    };
                    errors.push(RuleFileError {
                        file: group.file.clone(),
                        line: *line,
                        column: *column,
                        message: format!("rule `{}`: unknown receiver `{receiver}`", loaded.rule.name),
                        hint,
                    });
                }
            }
        }
        errors
    }
}

fn load_file(path: &Path, file: &str, content: &[u8]) -> Result<RuleGroup, Vec<RuleFileError>> {
    let whole = |message: String, hint: &str| {
        Err(vec![RuleFileError { file: file.to_owned(), line: 1, column: 1, message, hint: hint.to_owned() }])
    };
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if extension.eq_ignore_ascii_case("yml") || extension.eq_ignore_ascii_case("yaml") {
        return whole(
            "Prometheus rule files come in a later version".to_owned(),
            "write the rules as JSON, as in rules/examples/high_error_rate.json",
        );
    }
    if content.len() > FILE_BYTES_MAX {
        return whole(
            format!("the file has {} bytes, more than {FILE_BYTES_MAX}", content.len()),
            "split it into several files",
        );
    }
    let text = match std::str::from_utf8(content) {
        Ok(text) => text,
        Err(error) => {
            let good = std::str::from_utf8(&content[..error.valid_up_to()]).unwrap_or_default();
            let fault = Fault::new(good.len(), "bytes that are not UTF-8", "save the file as UTF-8");
            return Err(placed(file, good, vec![fault]));
        }
    };
    let mut faults = Vec::new();
    let rules = read_text(text, &mut faults);
    if !faults.is_empty() {
        return Err(placed(file, text, faults));
    }
    let name = path.file_stem().map_or_else(|| file.to_owned(), |stem| stem.to_string_lossy().into_owned());
    let places = places(text, rules.iter().flat_map(|read| read.receiver_offsets.iter().copied()).collect());
    let rules = rules
        .into_iter()
        .map(|read| LoadedRule {
            receivers_at: read.receiver_offsets.iter().filter_map(|offset| places.get(offset).copied()).collect(),
            rule: Arc::new(read.rule),
        })
        .collect();
    Ok(RuleGroup { name, file: file.to_owned(), rules })
}

/// The faults with line and column, in the order of the text.
fn placed(file: &str, text: &str, mut faults: Vec<Fault>) -> Vec<RuleFileError> {
    faults.sort_by_key(|fault| fault.offset);
    let places = places(text, faults.iter().map(|fault| fault.offset).collect());
    let place = |offset: usize| places.get(&offset).copied().unwrap_or((1, 1));
    let error = |fault: Fault| {
        let (line, column) = place(fault.offset);
        RuleFileError { file: file.to_owned(), line, column, message: fault.message, hint: fault.hint }
    };
    faults.into_iter().map(error).collect()
}

fn read_text(text: &str, faults: &mut Vec<Fault>) -> Vec<ReadRule> {
    let (tree, errors) = json_tree::read(text);
    faults.extend(errors.into_iter().map(|error| Fault::new(error.offset, error.message, error.hint)));
    let Some(tree) = tree else { return Vec::new() };
    let nodes: Vec<&Node> = match &tree.value {
        Json::Array(items) => items.iter().collect(),
        Json::Object(members) => match members.iter().find(|member| member.key == "rules") {
            Some(list) => wrapped(list, members, faults),
            None if members.iter().any(|member| member.key == "groups") => {
                faults.push(Fault::new(
                    tree.offset,
                    "Prometheus rule groups come in a later version",
                    "write a list of rules: [{\"name\": …, \"query\": …}]",
                ));
                return Vec::new();
            }
            None => vec![&tree],
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
        nodes.iter().enumerate().filter_map(|(at, node)| read_rule(node, at + 1, faults)).collect();
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
    for (at, read) in rules.iter().enumerate() {
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
            first_at.insert(identity, at + 1);
        }
    }
}

#[cfg(test)]
mod tests;
