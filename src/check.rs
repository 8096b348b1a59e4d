//! `watchfire check config|rules|routes|metrics|queries FILE…`

mod metrics;
mod queries;
mod routes;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use watchfire_cli::failure::report;
use watchfire_cli::output::show;
use watchfire_dashboard_api::auth::Credentials;
use watchfire_model::Timestamp;
use watchfire_model::text::count;
use watchfire_rules::{Duplicate, RuleSet};

use crate::cli::{Check, CheckKind, EXIT_FAILED, EXIT_LINT, EXIT_USAGE};
use crate::load::{self, Setup};
use crate::writable::unwritable;

/// Most characters of a line that are shown around a place.
const QUOTED_MAX: usize = 100;

/// What was found.
#[derive(Default)]
struct Found {
    /// What is good, and what there is to show.
    good: Vec<String>,
    /// What is no fault, but unwise.
    lint: Vec<String>,
    faults: Vec<String>,
}

/// Reads the files as a start would; prints every fault to stderr, a line each, below it the place in a rule file.
///
/// Lines of a configuration are not shown: they may hold secrets.
pub fn run(options: &Check) -> ExitCode {
    if options.kind != CheckKind::Routes && (!options.labels.is_empty() || options.verify_receivers.is_some()) {
        report(["--labels and --verify-receivers are for `check routes`"]);
        return ExitCode::from(EXIT_USAGE);
    }
    let mut found = Found::default();
    let files: Vec<PathBuf> = options.files.iter().flat_map(|pattern| named(pattern, &mut found.faults)).collect();
    match options.kind {
        CheckKind::Config => files.iter().for_each(|file| check_config(file, &mut found)),
        CheckKind::Rules if files.is_empty() => {}
        CheckKind::Rules => check_rules(&files, &mut found),
        CheckKind::Metrics => files.iter().for_each(|file| metrics::check(file, &mut found)),
        CheckKind::Queries => files.iter().for_each(|file| queries::check(file, &mut found)),
        CheckKind::Routes => files.iter().for_each(|file| check_routes(file, options, &mut found)),
    }
    let good: String = found.good.iter().map(|line| format!("{line}\n")).collect();
    found.faults.extend(show(&good).err().map(|failure| failure.to_string()));
    found.lint.iter().for_each(|line| eprintln!("{line}"));
    report(found.faults.iter().map(String::as_str));
    match (found.faults.is_empty(), found.lint.is_empty()) {
        (false, _) => ExitCode::from(EXIT_FAILED),
        // As with promtool, where looking for what is unwise is all that this is for.
        (true, false) if options.lint_fatal || options.kind == CheckKind::Metrics => ExitCode::from(EXIT_LINT),
        (true, _) => ExitCode::SUCCESS,
    }
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
fn check_config(file: &Path, found: &mut Found) {
    let setup = match load::setup(Some(file), None) {
        Ok(setup) => setup,
        Err(faults) => return found.faults.extend(faults.0),
    };
    let faulty = load::client_file_faults(&setup.config);
    if !faulty.is_empty() {
        return found.faults.extend(faulty);
    }
    let (rules, files) = (setup.rules.rule_count(), setup.rule_files.len());
    found.good.push(format!("good: {}, with {}", file.display(), counted(rules, files)));
    found.lint.extend(lint_of(&setup.rules));
    let concern = setup.tls.as_ref().and_then(|material| material.concern(Timestamp::now()));
    let certificate = setup.config.tls.as_ref().map(|files| files.cert.display());
    found.lint.extend(certificate.zip(concern).map(|(file, concern)| format!("{file}: {concern}")));
    found.lint.extend(lint_of_access(&setup).map(|told| format!("{}: {told}", file.display())));
    let unwritable = unwritable(&setup.config).into_iter();
    found.lint.extend(unwritable.map(|told| format!("{}: {told}", file.display())));
}

/// What is unwise in who may come in: nobody, or everybody's pages.
fn lint_of_access(setup: &Setup) -> impl Iterator<Item = &'static str> {
    let nobody = setup.credentials.as_ref().is_some_and(Credentials::is_empty).then_some(
        "`auth`: the files name no key and no user, so that nobody can come in; `watchfire keys add` and `watchfire users add` \
         make them",
    );
    let all_pages = setup.credentials.is_none() && setup.config.cors.iter().any(|origin| origin == "*");
    let all_pages = all_pages.then_some(
        "`cors`: without `auth` \"*\" lets each page that is opened in a browser here read and write; name the origins that \
         may, or add `auth: {api_keys_file: FILE}`",
    );
    nobody.into_iter().chain(all_pages)
}

/// What is unwise in rules: twins.
fn lint_of(rules: &RuleSet) -> impl Iterator<Item = String> {
    rules.duplicates().into_iter().map(|twins| {
        let Duplicate { file, name, labels, groups } = twins;
        let count = groups.len();
        format!(
            "{file}: {count} rules are called {name}{{{labels}}} (in {}), and may write over each other; rename all but one, \
             or give them labels that tell them apart",
            groups.join(", ")
        )
    })
}

fn check_routes(file: &Path, options: &Check, found: &mut Found) {
    let routes = match routes::check(file, &options.labels) {
        Ok(routes) => routes,
        Err(faults) => return found.faults.extend(faults),
    };
    found.good.push(format!("good: {}", file.display()));
    found.good.extend(routes.shown);
    found.lint.extend(routes.lint);
    let wanted = options.verify_receivers.as_ref().map(|names| names.iter().filter(|name| !name.is_empty()).collect());
    if wanted.is_some_and(|wanted: BTreeSet<&String>| !wanted.into_iter().eq(&routes.told)) {
        let told: Vec<&str> = routes.told.iter().map(String::as_str).collect();
        let told = if told.is_empty() { "nobody".to_owned() } else { told.join(",") };
        found.faults.push(format!("{}: told is {told}, and not as --verify-receivers says", file.display()));
    }
}

/// So many rules in so many files, in words.
fn counted(rules: usize, files: usize) -> String {
    format!("{} in {}", count(rules, "rule"), count(files, "file"))
}

fn check_rules(files: &[PathBuf], found: &mut Found) {
    match checked_rules(files) {
        Ok(Checked { rules, .. }) => {
            found.good.push(format!("good: {}", counted(rules.rule_count(), files.len())));
            found.lint.extend(lint_of(&rules));
        }
        Err(faults) => found.faults.extend(faults),
    }
}

/// Rule files without a fault.
pub struct Checked {
    /// Names and texts of the files.
    pub texts: Vec<(String, String)>,
    /// What they say.
    pub rules: RuleSet,
}

/// Reads rule files.
///
/// Errors: all that is wrong in all of them, each fault above the line that is meant.
pub fn checked_rules(files: &[PathBuf]) -> Result<Checked, Vec<String>> {
    let (texts, mut faults) = load::rule_texts(files);
    match RuleSet::load_with_receivers(&texts, None) {
        Ok(rules) if faults.is_empty() => return Ok(Checked { texts, rules }),
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
