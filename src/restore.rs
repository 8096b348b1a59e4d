//! `watchfire restore`: a backup becomes a data folder.

use std::path::Path;
use std::process::ExitCode;

use watchfire_cli::failure::{Outcome, conclude, report};
use watchfire_cli::output::show;
use watchfire_model::text::count;

use crate::cli::EXIT_FAILED;

/// Checks the backup and copies it into a folder that is empty or not there.
pub fn run(backup: &Path, data_dir: &Path) -> ExitCode {
    match watchfire_backup::restore(backup, data_dir) {
        Ok(manifest) => conclude(
            show(&format!(
                "restored {}, {:.1} MB, of {}; go on with\n  watchfire serve --data-dir {}\n",
                count(manifest.files.len(), "file"),
                manifest.bytes() as f64 / 1e6,
                manifest.created,
                data_dir.display()
            ))
            .map(|()| Outcome::Complete),
        ),
        Err(error) => {
            report([error.to_string().as_str()]);
            ExitCode::from(EXIT_FAILED)
        }
    }
}
