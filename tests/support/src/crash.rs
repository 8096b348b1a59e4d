//! A test that runs itself again as a child, to let the child die at a named place.

use std::path::Path;
use std::process::Command;

/// Runs one test of this test program as a process of its own that shall die at `failpoint`; true if it died.
///
/// `child` is the test's full name; it finds the folder of its work in the environment variable `variable`, and has
/// nothing to do without it.
pub fn dies_at(child: &str, variable: &str, dir: &Path, failpoint: &str) -> bool {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program)
        .args(["--exact", child, "--quiet"])
        .env(variable, dir)
        .env("WATCHFIRE_FAILPOINT", failpoint)
        .output()
        .expect("it runs");
    !output.status.success()
}
