//! Real programs that were built or unpacked for tests: where they lie. `cargo xtask servers` puts them there.
//!
//! This file uses nothing but the standard library, so that `xtask` can share it.

use std::path::PathBuf;
use std::process::Command;

/// The Prometheus that we are compared with.
pub const PROMETHEUS: &str = "3.15.0";
/// Its Go module's version.
pub const PROMETHEUS_MODULE: &str = "v0.315.0";

/// Where such programs are kept: `WATCHFIRE_SERVERS`, or a folder in the user's cache.
pub fn folder() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("WATCHFIRE_SERVERS").unwrap_or_else(|| {
        let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
        cache.unwrap_or_else(std::env::temp_dir).join("watchfire-servers")
    })
}

/// Where the newest Prometheus and its tools are built to.
pub fn prometheus_folder() -> PathBuf {
    folder().join(format!("prometheus-{PROMETHEUS}"))
}

/// Where Debian's package of it is unpacked to, when it cannot be built.
pub fn debian_prometheus_folder() -> PathBuf {
    folder().join("prometheus-debian")
}

/// Where Debian's package of VictoriaMetrics is unpacked to, for benches.
pub fn victoria_metrics_folder() -> PathBuf {
    folder().join("victoria-metrics")
}

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
