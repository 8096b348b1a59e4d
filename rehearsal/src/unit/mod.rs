//! Tests of rules, in promtool's file format.
//!
//! Source: Prometheus' cmd/promtool/unittest.go, whose behaviour this is: every group is evaluated at every
//! `evaluation_interval`, whatever its own interval is; input up to that time has been taken in before; queries are asked
//! at the end. Beside its rule files ours may be named too, and input may be counted events or observations.

mod compare;
mod fields;
mod file;
mod junit;
mod run;

use std::path::{Path, PathBuf};

use watchfire_rules::RuleSet;

pub use file::{TestFile, TestGroup};
pub use junit::{FileOutcome, junit};
pub use run::run;

/// A test that did not give what it expects, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Line of the test file, from 1.
    pub line: usize,
    /// Column of the test file, from 1.
    pub column: usize,
    /// What is different; several lines.
    pub message: String,
}

/// The rules that a test file names.
#[derive(Debug, Default)]
pub struct NamedRules {
    /// All of them together.
    pub rules: RuleSet,
    /// Patterns that no file has as its name.
    pub unmatched: Vec<String>,
}

/// Reads the rule files of a test file; their names are meant from the folder of that file.
///
/// Errors: all that is wrong in all of them, a line each.
pub fn load_rules(test_file: &Path, test: &TestFile) -> Result<NamedRules, Vec<String>> {
    let folder = test_file.parent().unwrap_or(Path::new(""));
    let (mut texts, mut faults, mut unmatched) = (Vec::new(), Vec::new(), Vec::new());
    for pattern in &test.rule_files {
        let before = (texts.len(), faults.len());
        for path in named(&folder.join(pattern)) {
            match std::fs::read(&path) {
                Ok(text) => texts.push((path, text)),
                Err(error) => faults.push(format!("{}:1:1: cannot be read: {error}", path.display())),
            }
        }
        if before == (texts.len(), faults.len()) {
            unmatched.push(pattern.clone());
        }
    }
    match RuleSet::load(&texts) {
        Ok(rules) if faults.is_empty() => Ok(NamedRules { rules, unmatched }),
        Ok(_) => Err(faults),
        Err(errors) => {
            faults.extend(errors.iter().map(ToString::to_string));
            Err(faults)
        }
    }
}

/// The files that a pattern means, sorted.
fn named(pattern: &Path) -> Vec<PathBuf> {
    if pattern.is_file() {
        return vec![pattern.to_owned()];
    }
    let Some(text) = pattern.to_str() else { return Vec::new() };
    glob::glob(text).into_iter().flatten().flatten().filter(|path| path.is_file()).collect()
}
