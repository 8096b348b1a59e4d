//! Rule files become groups of rules, or the list of everything that is wrong in all of them.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use crate::json_tree::{self, Json, Member, Node, places};
use crate::rule::Rule;
use crate::rule_fields::{Fault, ReadRule, read_rule};

/// Largest rule file, bytes.
const FILE_BYTES_MAX: usize = 16 << 20;

/// The group of the server's own rules: no file's stem, so that it cannot meet a user's. They are evaluated and handed
/// over as all others, but are not shown and leave no series.
pub const OWN_GROUP: &str = "watchfire/own";

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

/// A rule that was read.
#[derive(Clone, Debug)]
pub struct LoadedRule {
    /// The rule.
    pub rule: Arc<Rule>,
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
        RuleSet::load_with_receivers(files, None)
    }

    /// [`RuleSet::load`], and a receiver that is not among the known ones is a mistake too; `None` where they are
    /// not known.
    ///
    /// Errors: as those of [`RuleSet::load`], all at once.
    pub fn load_with_receivers<P, T>(
        files: &[(P, T)],
        receivers: Option<&[&str]>,
    ) -> Result<RuleSet, Vec<RuleFileError>>
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
            match load_file(path.as_ref(), &file, content.as_ref(), receivers) {
                Ok(group) => set.groups.push(group),
                Err(mut found) => errors.append(&mut found),
            }
        }
        if errors.is_empty() { Ok(set) } else { Err(errors) }
    }

    /// Adds rules of the server's own, as [`OWN_GROUP`].
    ///
    /// Errors: everything that is wrong in the text.
    pub fn with_own(mut self, text: &str) -> Result<RuleSet, Vec<RuleFileError>> {
        let group = load_file(Path::new(OWN_GROUP), OWN_GROUP, text.as_bytes(), None)?;
        self.groups.push(RuleGroup { name: OWN_GROUP.to_owned(), ..group });
        Ok(self)
    }

    /// One group per file, in the order given.
    pub fn groups(&self) -> &[RuleGroup] {
        &self.groups
    }

    /// How many rules there are in all groups.
    pub fn rule_count(&self) -> usize {
        self.groups.iter().map(|group| group.rules.len()).sum()
    }
}

fn load_file(
    path: &Path,
    file: &str,
    content: &[u8],
    receivers: Option<&[&str]>,
) -> Result<RuleGroup, Vec<RuleFileError>> {
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
    let rules = read_text(text, receivers, &mut faults);
    if !faults.is_empty() {
        return Err(placed(file, text, faults));
    }
    let name = path.file_stem().map_or_else(|| file.to_owned(), |stem| stem.to_string_lossy().into_owned());
    let rules = rules.into_iter().map(|read| LoadedRule { rule: Arc::new(read.rule) }).collect();
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

fn read_text(text: &str, receivers: Option<&[&str]>, faults: &mut Vec<Fault>) -> Vec<ReadRule> {
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
                    "Prometheus rule groups come in a later version",
                    "write a list of rules: [{\"name\": …, \"query\": …}]",
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

#[cfg(test)]
mod tests;
