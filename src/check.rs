//! `watchfire check config|rules FILE…`

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::{CheckKind, EXIT_FAILED};
use crate::load;

/// Reads the files as a start would; prints every fault to stderr, a line each.
pub fn run(kind: CheckKind, files: &[PathBuf]) -> ExitCode {
    let mut faulty = false;
    let mut report = |outcome: Result<String, load::Faults>| match outcome {
        Ok(good) => println!("{good}"),
        Err(faults) => {
            eprintln!("{faults}");
            faulty = true;
        }
    };
    match kind {
        CheckKind::Config => {
            for file in files {
                report(check_config(file));
            }
        }
        CheckKind::Rules => report(load::rules(files, None).map(|rules| {
            let count: usize = rules.groups().iter().map(|group| group.rules.len()).sum();
            format!("good: {count} rules in {} files", files.len())
        })),
    }
    if faulty { ExitCode::from(EXIT_FAILED) } else { ExitCode::SUCCESS }
}

/// The file itself, and the files that it names.
fn check_config(file: &std::path::Path) -> Result<String, load::Faults> {
    let setup = load::setup(Some(file), None)?;
    Ok(format!("good: {} ({} rule files)", file.display(), setup.rule_files.len()))
}
