//! `watchfire check metrics`: what is unwise in an exposition, as `promtool check metrics` has it.

use std::io::Read;
use std::path::Path;

use watchfire_exposition::lint::{Finding, lint};
use watchfire_model::text::count;

use super::Found;
use crate::load;

/// Reads a file, or standard input for `-`, and says what is wrong or unwise in it.
pub(super) fn check(file: &Path, found: &mut Found) {
    let (name, text) = match bytes_of(file) {
        Ok(read) => read,
        Err(faults) => return found.faults.extend(faults),
    };
    match lint(&text) {
        Ok((findings, families)) if findings.is_empty() => {
            found.good.push(format!("good: {name}, {}", count(families, "metric")));
        }
        Ok((findings, _)) => {
            let told = |Finding { line, metric, problem }| format!("{name}:{line}:1: {metric}: {problem}");
            found.lint.extend(findings.into_iter().map(told));
        }
        Err(error) => {
            found.faults.push(format!("{name}:{}:1: expected {}, found {}", error.line, error.expected, error.found));
        }
    }
}

/// The name that a file is told by, and what stands in it.
fn bytes_of(file: &Path) -> Result<(String, Vec<u8>), Vec<String>> {
    if file != Path::new("-") {
        return load::read_bytes(file).map(|text| (file.display().to_string(), text)).map_err(|faults| faults.0);
    }
    let mut text = Vec::new();
    match std::io::stdin().lock().read_to_end(&mut text) {
        Ok(_) => Ok(("stdin".to_owned(), text)),
        Err(error) => Err(vec![format!("stdin cannot be read: {error}")]),
    }
}
