//! `watchfire check config|rules FILE…`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use watchfire_rules::RuleSet;

use crate::cli::{CheckKind, EXIT_FAILED};
use crate::load;

/// Most characters of a line that are shown around a place.
const QUOTED_MAX: usize = 100;

/// Reads the files as a start would; prints every fault to stderr, a line each, below it the place in a rule file.
///
/// Lines of a configuration are not shown: they may hold secrets.
pub fn run(kind: CheckKind, patterns: &[PathBuf]) -> ExitCode {
    let mut faults = Vec::new();
    let files: Vec<PathBuf> = patterns.iter().flat_map(|pattern| named(pattern, &mut faults)).collect();
    let mut report = |outcome: Result<String, Vec<String>>| match outcome {
        Ok(good) => println!("{good}"),
        Err(told) => faults.extend(told),
    };
    match kind {
        CheckKind::Config => files.iter().for_each(|file| report(check_config(file))),
        CheckKind::Rules if files.is_empty() => {}
        CheckKind::Rules => report(check_rules(&files)),
    }
    faults.iter().for_each(|fault| eprintln!("{fault}"));
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) }
}

/// The files that a path or a pattern of paths means; a pattern that means none is a fault.
pub fn named(pattern: &Path, faults: &mut Vec<String>) -> Vec<PathBuf> {
    let Some(text) = pattern.to_str().filter(|text| text.contains(['*', '?', '[']) && !pattern.exists()) else {
        return vec![pattern.to_owned()];
    };
    let found = match glob::glob(text) {
        Ok(found) => found,
        Err(error) => {
            faults.push(format!("{text}: {}; put a character that is meant into brackets: [*]", error.msg));
            return Vec::new();
        }
    };
    let found: Vec<PathBuf> = found.flatten().filter(|file| file.is_file()).collect();
    if found.is_empty() {
        faults.push(format!("{text}: no file has such a name; mend the pattern"));
    }
    found
}

/// The file itself, and the files that it names.
fn check_config(file: &Path) -> Result<String, Vec<String>> {
    let setup = load::setup(Some(file), None).map_err(|faults| faults.0)?;
    let (rules, files) = (setup.rules.rule_count(), setup.rule_files.len());
    Ok(format!("good: {}, with {}", file.display(), counted(rules, files)))
}

/// So many rules in so many files, in words.
fn counted(rules: usize, files: usize) -> String {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    format!("{rules} rule{} in {files} file{}", plural(rules), plural(files))
}

fn check_rules(files: &[PathBuf]) -> Result<String, Vec<String>> {
    let (texts, mut faults) = load::rule_texts(files);
    match RuleSet::load_with_receivers(&texts, None) {
        Ok(rules) if faults.is_empty() => {
            return Ok(format!("good: {}", counted(rules.rule_count(), files.len())));
        }
        Ok(_) => {}
        Err(errors) => faults.extend(errors.iter().map(|error| {
            let text = texts.iter().find(|(file, _)| *file == error.file).map_or("", |(_, text)| text);
            format!("{error}{}", quote(text, error.line, error.column))
        })),
    }
    Err(faults)
}

/// A line of a text with a mark under one of its characters, each after a line end; nothing if there is no such line.
pub fn quote(text: &str, line: usize, column: usize) -> String {
    let Some(quoted) = text.lines().nth(line.saturating_sub(1)).filter(|line| !line.trim().is_empty()) else {
        return String::new();
    };
    let length = quoted.chars().count();
    let before = column.saturating_sub(1).min(length);
    // A longer line is shown from its middle on.
    let skipped = if length <= QUOTED_MAX { 0 } else { before.saturating_sub(QUOTED_MAX / 2) };
    // What would move the cursor or colour the terminal takes one column, as all else.
    let plain = |character: char| if character.is_control() { ' ' } else { character };
    let shown: String = quoted.chars().skip(skipped).take(QUOTED_MAX).map(plain).collect();
    let (number, margin) = (line.to_string(), " ".repeat(line.to_string().len()));
    format!("\n  {number} | {}\n  {margin} | {}^", shown.trim_end(), " ".repeat(before - skipped))
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn the_mark_stands_under_the_character() {
        assert_eq!(quote("a\n\tb \u{1b}[31mc", 2, 4), "\n  2 |  b  [31mc\n    |    ^");
        assert_eq!(quote("{\"é\": 1", 1, 8), "\n  1 | {\"é\": 1\n    |        ^");
        let long = format!("{}!{}", "x".repeat(500), "y".repeat(500));
        let quoted = quote(&long, 1, 501);
        let lines: Vec<&str> = quoted.lines().skip(1).collect();
        assert_eq!(lines[0].find('!'), lines[1].find('^'));
        assert!(lines[0].len() < 120);
        for (line, column) in [(0, 0), (3, 1), (2, 1)] {
            assert_eq!(quote("a\n\n", line, column).is_empty(), line != 0, "{line}");
        }
    }
}
