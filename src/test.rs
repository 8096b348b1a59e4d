//! `watchfire test rules FILE…`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use regex::Regex;
use watchfire_cli::failure::report;
use watchfire_cli::output::show;
use watchfire_model::text::count;
use watchfire_rehearsal::unit::{self, Failure, FileOutcome, TestFile};

use crate::check::{named, quote};
use crate::cli::{EXIT_FAILED, EXIT_USAGE, Test};
use crate::load;

/// Runs the tests of all files; prints to stderr what did not come out as expected.
pub fn run(options: &Test) -> ExitCode {
    let chosen = match Regex::new(&options.run.join("|")) {
        Ok(chosen) => chosen,
        Err(error) => {
            let told = format!("--run: {error}; write a regular expression that finds names of tests");
            report([told.as_str()]);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let mut faults = Vec::new();
    let files: Vec<PathBuf> = options.files.iter().flat_map(|pattern| named(pattern, &mut faults)).collect();
    report(faults.iter().map(String::as_str));
    let mut failed = !faults.is_empty();
    let mut outcomes = Vec::new();
    for file in &files {
        let outcome = test_file(file, &chosen);
        failed |= outcome.1.iter().any(|(_, failures)| !failures.is_empty());
        outcomes.push(outcome);
    }
    if let Some(path) = &options.junit
        && let Err(error) = std::fs::write(path, unit::junit(&outcomes))
    {
        report([format!("{}: cannot be written: {error}", path.display()).as_str()]);
        failed = true;
    }
    if failed { ExitCode::from(EXIT_FAILED) } else { ExitCode::SUCCESS }
}

/// Runs the chosen tests of a file, and says how they went.
fn test_file(file: &Path, chosen: &Regex) -> FileOutcome {
    let name = file.display().to_string();
    let whole = |faults: Vec<String>| {
        report(faults.iter().map(String::as_str));
        let message = faults.join("\n");
        (name.clone(), vec![(name.clone(), vec![Failure { line: 1, column: 1, message }])])
    };
    let text = match load::read(file) {
        Ok(text) => text,
        Err(faults) => return whole(faults.0),
    };
    let test = match TestFile::parse(&text) {
        Ok(test) => test,
        Err(faults) => {
            let line = |fault: &watchfire_yaml::tree::Fault| {
                let (line, column) = (fault.place.line, fault.place.column);
                format!("{name}:{line}:{column}: {}{}", fault.message, quote(&text, line, column))
            };
            return whole(faults.iter().map(line).collect());
        }
    };
    let rules = match unit::load_rules(file, &test) {
        Ok(named) => {
            named
                .unmatched
                .iter()
                .for_each(|pattern| eprintln!("{name}: warning: no rule file has the name {pattern}"));
            named.rules
        }
        Err(faults) => return whole(faults),
    };
    let mut outcomes = Vec::new();
    for (number, group) in test.tests.iter().enumerate() {
        let title = group.name.clone();
        if !chosen.is_match(title.as_deref().unwrap_or_default()) {
            continue;
        }
        let failures =
            unit::run(&test, group, &rules).unwrap_or_else(|message| vec![Failure { line: 1, column: 1, message }]);
        for Failure { line, column, message } in &failures {
            eprintln!("{name}:{line}:{column}: {message}");
        }
        outcomes.push((title.unwrap_or_else(|| format!("unnamed#{number}")), failures));
    }
    let failed = outcomes.iter().filter(|(_, failures)| !failures.is_empty()).count();
    let tests = count(outcomes.len(), "test");
    let told = match failed {
        0 => format!("good: {name}, {tests}\n"),
        failed => format!("failed: {name}, {failed} of {tests}\n"),
    };
    match show(&told) {
        Ok(()) => (name, outcomes),
        Err(failure) => whole(vec![failure.to_string()]),
    }
}
