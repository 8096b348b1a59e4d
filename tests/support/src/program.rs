//! The programs of a real Prometheus, as tests and benches run them.

use std::path::PathBuf;
use std::process::Command;

use crate::real::{PROMETHEUS, debian_prometheus_folder, prometheus_folder};

/// A program of Prometheus (`prometheus`, `promtool`).
pub struct Program {
    /// To be run.
    pub path: PathBuf,
    /// Whether it is the version that we are compared with; an older one may not know all that we test.
    pub is_newest: bool,
}

impl Program {
    /// The newest one that there is, which is said where it is an older one or none.
    pub fn of_prometheus(name: &str, tests: &str) -> Option<Program> {
        let newest = prometheus_folder().join(name);
        if newest.is_file() {
            return Some(Program { path: newest, is_newest: true });
        }
        let older = [debian_prometheus_folder().join("usr/bin").join(name), PathBuf::from("/usr/bin").join(name)];
        let Some(path) = older.into_iter().find(|path| path.is_file()) else {
            println!("SKIP: {tests}: no {name}; `cargo xtask servers` builds or unpacks it");
            return None;
        };
        println!("SKIP: {tests} against Prometheus {PROMETHEUS}: only Debian's older {name} is here");
        Some(Program { path, is_newest: false })
    }

    /// To be given arguments.
    pub fn command(&self) -> Command {
        Command::new(&self.path)
    }
}
