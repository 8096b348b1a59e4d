//! What a person sees at the start: where it listens, where its data lies, and lines to try.

use std::net::SocketAddr;

use watchfire_dashboard_api::roles::Roles;
use watchfire_model::time::format_duration_ms;

use crate::config::{Auth, AuthFiles, Config};

/// The text, ready for a terminal.
pub fn text(
    config: &Config,
    roles: Roles,
    listen: &[SocketAddr],
    metrics: Option<SocketAddr>,
    rule_files: usize,
) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let first = listen.first().map_or_else(String::new, ToString::to_string);
    let addresses: Vec<String> = listen.iter().map(|address| format!("{scheme}://{address}")).collect();
    let key = match &config.auth {
        Auth::Files(AuthFiles { api_keys: Some(_), .. }) => " -H 'X-API-Key: KEY'",
        Auth::Files(_) => " -u NAME",
        Auth::Absent | Auth::None => "",
    };
    let parts = match roles {
        Roles::ALL => String::new(),
        some => format!("\n  runs       {} only", some.names().join(", ")),
    };
    let metrics = metrics.map_or_else(|| "none".to_owned(), |address| format!("{scheme}://{address}/metrics"));
    format!(
        "watchfire {version}{parts}\n\
         \x20 serves     {addresses}\n\
         \x20 metrics    {metrics}\n\
         \x20 data       {data} (logs {logs}, series {series})\n\
         \x20 rules      {rule_files} file{plural}\n\
         \n\
         Send a log, find it, count it, see the alerts:\n\
         \x20 curl{key} -X POST {scheme}://{first}/ingest -H 'Content-Type: application/json' -d '{{\"level\":\"error\",\"service\":\"api\",\"message\":\"it burns\"}}'\n\
         \x20 curl{key} '{scheme}://{first}/api/v1/logs/search?q=burns'\n\
         \x20 curl{key} '{scheme}://{first}/api/v1/metrics/query?query=sum+log_events_total+by+service'\n\
         \x20 curl{key} {scheme}://{first}/api/v1/alerting/alerts\n",
        version = env!("CARGO_PKG_VERSION"),
        addresses = addresses.join(" "),
        data = config.data_dir.display(),
        logs = format_duration_ms(config.logs.retention_ms),
        series = format_duration_ms(config.metrics.retention_ms),
        plural = if rule_files == 1 { "" } else { "s" },
    )
}
