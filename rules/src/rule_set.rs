//! Rule files become groups of rules, or the list of everything that is wrong in all of them.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use watchfire_yaml::tree;

use crate::json_tree::places;
use crate::rule::Rule;
use crate::rule_fields::Fault;
use crate::template::External;
use crate::{json_file, yaml_file};

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

/// Rules that are evaluated together, one after the other: those of a JSON file, or of a group in a YAML file.
#[derive(Clone, Debug)]
pub struct RuleGroup {
    /// As the YAML file says; of a JSON file, the stem of its name.
    pub name: String,
    /// The path as it was given.
    pub file: String,
    /// Distance between two evaluations of rules that name none themselves, in milliseconds; `None` = the common one.
    pub interval_ms: Option<i64>,
    /// How far before the time of an evaluation its queries look, in milliseconds; `None` = the common one.
    pub query_offset_ms: Option<i64>,
    /// Most alerts or series of one rule; 0 = no limit.
    pub limit: usize,
    /// In the order of the file.
    pub rules: Vec<Rule>,
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
        let mut seen = HashSet::new();
        for (path, content) in files {
            let file = path.as_ref().display().to_string();
            if !seen.insert(file.clone()) {
                continue;
            }
            match load_file(path.as_ref(), &file, content.as_ref(), receivers) {
                Ok(groups) => set.groups.extend(groups),
                Err(mut found) => errors.append(&mut found),
            }
        }
        if errors.is_empty() { Ok(set) } else { Err(errors) }
    }

    /// Adds rules of the server's own, as [`OWN_GROUP`].
    ///
    /// Errors: everything that is wrong in the text.
    pub fn with_own(mut self, text: &str) -> Result<RuleSet, Vec<RuleFileError>> {
        let groups = load_file(Path::new(OWN_GROUP), OWN_GROUP, text.as_bytes(), None)?;
        self.groups.extend(groups.into_iter().map(|group| RuleGroup { name: OWN_GROUP.to_owned(), ..group }));
        Ok(self)
    }

    /// Tells the templates of all rules how this server is called outside.
    #[must_use]
    pub fn with_external(mut self, external: External) -> RuleSet {
        let external = Arc::new(external);
        for rule in self.groups.iter_mut().flat_map(|group| &mut group.rules) {
            if let Rule::Alert(rule) = rule {
                Arc::make_mut(rule).external = Arc::clone(&external);
            }
        }
        self
    }

    /// Puts the groups into the order of their ranks; those of one rank stay as they are.
    pub fn sort_groups_by<K: Ord>(&mut self, rank: impl FnMut(&RuleGroup) -> K) {
        self.groups.sort_by_key(rank);
    }

    /// In the order of the files, and within them.
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
) -> Result<Vec<RuleGroup>, Vec<RuleFileError>> {
    let whole = |message: String, hint: &str| {
        Err(vec![RuleFileError { file: file.to_owned(), line: 1, column: 1, message, hint: hint.to_owned() }])
    };
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
    if is_yaml(path) {
        return yaml_file::read(file, text).map_err(|faults| faults.into_iter().map(|fault| at(file, fault)).collect());
    }
    let mut faults = Vec::new();
    let rules = json_file::read(text, receivers, &mut faults);
    if !faults.is_empty() {
        return Err(placed(file, text, faults));
    }
    let name = path.file_stem().map_or_else(|| file.to_owned(), |stem| stem.to_string_lossy().into_owned());
    let rules = rules.into_iter().map(|read| Rule::Alert(Arc::new(read.rule))).collect();
    Ok(vec![RuleGroup { name, file: file.to_owned(), interval_ms: None, query_offset_ms: None, limit: 0, rules }])
}

/// Whether a file holds Prometheus' groups, by its name.
fn is_yaml(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    extension.eq_ignore_ascii_case("yml") || extension.eq_ignore_ascii_case("yaml")
}

/// A fault of a YAML file; its message says how to mend it.
fn at(file: &str, fault: tree::Fault) -> RuleFileError {
    let tree::Fault { place, message } = fault;
    RuleFileError { file: file.to_owned(), line: place.line, column: place.column, message, hint: String::new() }
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

#[cfg(test)]
mod tests;
