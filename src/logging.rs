//! Our own log lines: to stderr for whoever watches the process, and into our own store.

use tracing_subscriber::filter::{Directive, LevelFilter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};
use watchfire_ingest::own_log::{OwnLog, own_log};

/// What is logged unless `WATCHFIRE_LOG` says otherwise.
const DEFAULT_FILTER: &str = "info";

/// Starts logging; what the answer collects is stored once somebody runs it.
pub fn start(json: bool) -> OwnLog {
    let chosen = || EnvFilter::try_from_env("WATCHFIRE_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    // Who changed what is written down however little else is.
    let audit = Directive::from(LevelFilter::INFO);
    let audit = format!("{}=info", watchfire_dashboard_api::audit::TARGET).parse().unwrap_or(audit);
    let filter = || chosen().add_directive(audit.clone());
    let to_stderr = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let to_stderr = if json { to_stderr.json().boxed() } else { to_stderr.boxed() };
    let (own, lines) = own_log();
    // An error means that somebody has installed a subscriber already; then lines go there.
    let _ =
        tracing_subscriber::registry().with(to_stderr.with_filter(filter())).with(own.with_filter(filter())).try_init();
    lines
}
