//! Tests of what a user may not do: they are run as nobody if we are root, who may do everything.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

const NOBODY: u32 = 65534;

/// Runs the test with this name as nobody if we are root, and says so; otherwise it is to be run here.
pub fn runs_as_nobody(test: &str) -> bool {
    let own = tempfile::NamedTempFile::new().and_then(|file| file.as_file().metadata()).expect("a file");
    if own.uid() != 0 {
        return false;
    }
    let program = std::env::current_exe().expect("we run");
    let status = Command::new(program).args([test, "--exact", "--nocapture"]).uid(NOBODY).gid(NOBODY).status();
    assert!(status.expect("it can be started").success(), "{test} fails as nobody");
    true
}
