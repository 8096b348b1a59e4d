//! The configuration and the rules that go with the traffic, as files that a person can read and take over.

use std::net::SocketAddr;

use watchfire_model::time::format_duration_ms;

/// `config.yaml`: one pattern for the database's log, one metric made of its messages, and who is told. Paths are
/// absolute, so that the files also serve a later `watchfire serve --config`. Without a receiver's address it is for
/// that: the demo's receiver ends with it.
///
/// Without a port for metrics it is the one that a server takes if it is free.
pub fn config(listen: SocketAddr, metrics_port: Option<u16>, rules_path: &str, webhook_url: Option<&str>) -> String {
    let metrics_port = metrics_port.map_or_else(String::new, |port| format!("port: {port}, "));
    let rules_path = serde_json::json!(rules_path);
    let receivers = webhook_url.map_or_else(
        || {
            "  receivers: []       # the demo's own ended with it; for one that is there:\n\
             # - {name: ops, webhook: {url: \"http://127.0.0.1:9000/hook\"}}"
                .to_owned()
        },
        |url| format!("  receivers:\n    - {{name: terminal, webhook: {{url: {}}}}}", serde_json::json!(url)),
    );
    format!(
        r#"# Written by `watchfire demo`.
listen: ["{listen}"]
metrics: {{{metrics_port}late_after: 10s}}       # what is older is history: right in graphs, unseen by rules
parsers:
  - name: postgres
    pattern: '^(?P<timestamp>\S+ \S+) UTC \[(?P<pid>\d+)\] (?P<user>\w+)@(?P<database>\w+) (?P<level>[A-Z]+):  (?P<message>(?:duration: (?P<duration_ms>[\d.]+) ms)?.*?)(?: /\*(?P<correlation_id>[0-9a-f]+)\*/)?$'
    fields: {{level: level, fields.db_user: user}}
extract:
  - {{metric: db_refused_total, type: counter, where: 'service:api "connection refused"', labels: {{host: host}}}}
  - {{metric: payment_amount_eur, type: distribution, where: 'service:billing', value: fields.structured_data.payment@32473.amount}}
alerting:
  rules_path: {rules_path}
{receivers}
"#
    )
}

/// `alert_rules.json`: quick enough for an incident of a minute, or of one so many times faster.
pub fn rules(speed: u32) -> String {
    let [hold, window, minute] =
        [10_000, 30_000, 60_000].map(|millis: u32| format_duration_ms(i64::from(millis / speed.max(1))));
    format!(
        r#"[
  {{
    "name": "SlowRequests",
    "query": "p95 request_duration_ms over {window} by service",
    "operator": ">",
    "threshold": 800,
    "duration": "{hold}",
    "labels": {{"severity": "warning"}},
    "annotations": {{"summary": "5 % of the requests to {{{{ $labels.service }}}} take longer than {{{{ printf \"%.0f\" $value }}}} ms"}}
  }},
  {{
    "name": "DatabaseRefuses",
    "query": "rate db_refused_total over {window}",
    "operator": ">",
    "threshold": 0.5,
    "duration": "{hold}",
    "labels": {{"severity": "critical"}},
    "annotations": {{"summary": "{{{{ printf \"%.1f\" $value }}}} connections to the database refused a second"}}
  }},
  {{
    "name": "ManyErrors",
    "query": "rate error_count over {minute} by service",
    "operator": ">",
    "threshold": 1,
    "duration": "{hold}",
    "labels": {{"severity": "critical"}},
    "annotations": {{"summary": "{{{{ $labels.service }}}} logs {{{{ printf \"%.1f\" $value }}}} errors a second"}}
  }}
]
"#
    )
}
