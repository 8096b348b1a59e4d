//! Programs of the system that tests run beside the server.

use std::path::PathBuf;
use std::process::Child;

/// Ends with its test.
pub struct Daemon(pub Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where an installed program is; that it is not is said.
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let others = ["/usr/sbin", "/sbin", "/usr/lib/systemd", "/lib/systemd"].map(PathBuf::from);
    let found = std::env::split_paths(&path).chain(others).map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        println!("SKIP: {name}: it is not installed and could not be installed");
    }
    found
}
