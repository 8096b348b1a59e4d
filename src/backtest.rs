//! `watchfire backtest rules FILE…`: the files are read and checked here, and run by the server.

use std::path::PathBuf;
use std::process::ExitCode;

use watchfire_cli::backtest::Backtest;

use crate::check::{checked_rules, named};
use crate::cli::EXIT_FAILED;

/// Sends the rules to the server, if they are good; else tells every fault.
pub fn run(options: Backtest) -> ExitCode {
    let mut faults = Vec::new();
    let files: Vec<PathBuf> = options.files.iter().flat_map(|pattern| named(pattern, &mut faults)).collect();
    match checked_rules(&files) {
        Ok(checked) if faults.is_empty() => watchfire_cli::run(options.run(checked.texts)),
        checked => {
            faults.extend(checked.err().into_iter().flatten());
            watchfire_cli::failure::report(faults.iter().map(String::as_str));
            ExitCode::from(EXIT_FAILED)
        }
    }
}
