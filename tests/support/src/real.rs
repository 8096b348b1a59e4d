//! Real programs that were built or unpacked for tests: where they lie. `cargo xtask servers` puts them there.
//!
//! This file uses nothing but the standard library, so that `xtask` can share it; tests find programs by `program`.

use std::path::PathBuf;

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
