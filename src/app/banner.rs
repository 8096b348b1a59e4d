//! What a person sees at the start: where it listens, where its data lies, and lines to try.

use std::net::SocketAddr;

use watchfire_dashboard_api::roles::Roles;
use watchfire_model::text::count;
use watchfire_model::time::format_duration_ms;

use crate::config::{Auth, AuthFiles, Config, TlsFiles};

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
    let curl = format!("curl{}{key}", config.tls.as_ref().map_or_else(String::new, certificates));
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
         \x20 rules      {rule_files}\n\
         \n\
         Send a log, find it, count it, see the alerts:\n\
         \x20 {curl} -X POST {scheme}://{first}/ingest -H 'Content-Type: application/json' -d '{{\"level\":\"error\",\"service\":\"api\",\"message\":\"it burns\"}}'\n\
         \x20 {curl} '{scheme}://{first}/api/v1/logs/search?q=burns'\n\
         \x20 {curl} '{scheme}://{first}/api/v1/metrics/query?query=sum+log_events_total+by+service'\n\
         \x20 {curl} {scheme}://{first}/api/v1/alerting/alerts\n",
        version = env!("CARGO_PKG_VERSION"),
        addresses = addresses.join(" "),
        data = config.data_dir.display(),
        logs = format_duration_ms(config.logs.retention_ms),
        series = format_duration_ms(config.metrics.retention_ms),
        rule_files = count(rule_files, "file"),
    )
}

/// How curl is told whom to trust and, if clients need a certificate, where theirs is.
fn certificates(files: &TlsFiles) -> String {
    // Trusted itself, a certificate needs no authority.
    let trusted = format!(" --cacert {}", in_shell(&files.cert.to_string_lossy()));
    match &files.client_ca {
        Some(_) => format!("{trusted} --cert CLIENT.pem --key CLIENT-KEY.pem"),
        None => trusted,
    }
}

/// A word as a shell reads it back.
fn in_shell(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_to_try_say_whom_to_trust_and_who_asks() {
        let tls = |client_ca: Option<&str>| {
            let files =
                TlsFiles { cert: "our certs/a.pem".into(), key: "a.key".into(), client_ca: client_ca.map(Into::into) };
            let keys = AuthFiles { api_keys: Some("keys.txt".into()), basic_users: None };
            let config = Config { tls: Some(files), auth: Auth::Files(keys), ..Config::default() };
            text(&config, Roles::ALL, &config.listen, None, 1)
        };
        let lines =
            |shown: &str, begin: &str| shown.lines().filter(|line| line.trim_start().starts_with(begin)).count();
        let shown = tls(None);
        let begin = "curl --cacert 'our certs/a.pem' -H 'X-API-Key: KEY' ";
        assert_eq!((lines(&shown, begin), lines(&shown, "curl ")), (4, 4), "{shown}");
        let shown = tls(Some("clients.pem"));
        let begin = "curl --cacert 'our certs/a.pem' --cert CLIENT.pem --key CLIENT-KEY.pem -H 'X-API-Key: KEY' ";
        assert_eq!((lines(&shown, begin), lines(&shown, "curl ")), (4, 4), "{shown}");
        let config = Config::default();
        let shown = text(&config, Roles::ALL, &config.listen, None, 0);
        assert!(
            shown.contains("\n  curl -X POST http://127.0.0.1:8080/ingest") && shown.contains("0 files\n"),
            "{shown}"
        );
    }
}
