//! Against the outside world: a real HTTP server on a real socket, a real SMTP server in a process of its own.

mod conformance;
mod crash;
mod email;
mod heartbeat;
mod http_sink;
mod service;
mod smtp_sink;
mod webhook;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use watchfire_alerting::Target;
use watchfire_alerting::notification::{FlowKey, IntegrationKind, Notification, NotifiedAlert, Reason};
use watchfire_model::{Alert, AlertState, LabelSet, Timestamp};

/// Longest time that a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);
const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Waits for what must happen, or fails.
async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

fn tls_file(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

fn labels(pairs: &[(&str, &str)]) -> LabelSet {
    LabelSet::from_pairs(pairs.iter().copied()).expect("the labels of a test are valid")
}

/// A message with one firing alert.
fn notification(id: &str, summary: &str) -> Arc<Notification> {
    let target = Target { receiver: "ops".into(), kind: IntegrationKind::Webhook, index: 0 };
    let alert = NotifiedAlert {
        labels: labels(&[("alertname", "HighErrorRate"), ("service", "api"), ("text", summary)]),
        annotations: vec![("summary".to_owned(), summary.to_owned())],
        starts_at: START,
        ends_at: None,
        value: 12.5,
    };
    Arc::new(Notification {
        id: id.into(),
        flow: FlowKey { group_key: "{}/{group=\"rules\"}:{alertname=\"HighErrorRate\"}".into(), target },
        group_labels: labels(&[("alertname", "HighErrorRate")]),
        created_at: START,
        reason: Reason::FirstNotification,
        alerts: vec![Arc::new(alert)],
    })
}

/// An alert of `rule` for a service, firing since `START`.
fn firing(rule: &str, service: &str) -> Alert {
    Alert {
        rule: rule.to_owned(),
        group: "rules".to_owned(),
        labels: labels(&[("alertname", rule), ("service", service), ("severity", "critical")]),
        annotations: vec![("summary".to_owned(), format!("{service} burns"))],
        state: AlertState::Firing,
        value: 12.5,
        active_at: START,
        fired_at: Some(START),
        resolved_at: None,
        evaluated_at: START,
        receivers: Vec::new(),
    }
}

fn resolved(rule: &str, service: &str) -> Alert {
    let resolved_at = Some(START.plus_millis(60_000));
    Alert { state: AlertState::Resolved, resolved_at, ..firing(rule, service) }
}
