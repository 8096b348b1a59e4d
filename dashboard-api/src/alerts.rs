//! Rules and alerts as they stand: in Prometheus' shape at `/api/v1/rules` and `/api/v1/alerts`, in D1's at
//! `/api/v1/alerting/alerts`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::{Json, Router, routing};
use serde_json::{Map, Value, json};
use watchfire_model::time::format_duration_ms;
use watchfire_model::{Alert, AlertState, Timestamp};
use watchfire_rules::{AlertSnapshot, GroupSnapshot, Rule, RuleSnapshot};

use crate::error::ApiError;
use crate::metrics::Labels;
use crate::params::{Params, shown};
use crate::prometheus::{Asked, Refused, exponential, success};
use crate::state::Api;

/// What Prometheus writes where there is no time.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/rules", routing::get(rules))
        .route("/api/v1/alerts", routing::get(alerts))
        .route("/api/v1/alerting/alerts", routing::get(own_alerts))
}

/// Prometheus' filters: `type`, `rule_name[]`, `rule_group[]`, `file[]`, `exclude_alerts`.
async fn rules(State(api): State<Arc<Api>>, Asked(params): Asked) -> Result<Response, Refused> {
    if let Some(name) =
        ["match[]", "group_limit", "group_next_token"].into_iter().find(|name| params.get(name).is_some())
    {
        return Err(Refused::bad_data(format!("`{name}` is not in this version yet")));
    }
    match params.get("type") {
        None | Some("alert") => {}
        // Recording rules come with a later version; there are none to show.
        Some("record") => return success(&json!({"groups": []})),
        Some(other) => {
            return Err(Refused::parameter("type", format!("`{}` is neither alert nor record", shown(other))));
        }
    }
    let wanted = |name: &str, value: &str| {
        let mut values = params.all(name).peekable();
        values.peek().is_none() || values.any(|have| have == value)
    };
    let with_alerts = params.get("exclude_alerts") != Some("true");
    let mut groups = api.rules.rules_snapshot();
    groups.retain(|group| wanted("rule_group[]", &group.name) && wanted("file[]", &group.file));
    for group in &mut groups {
        group.rules.retain(|snapshot| wanted("rule_name[]", &snapshot.rule.name));
    }
    groups.retain(|group| !group.rules.is_empty());
    let groups: Vec<Value> = groups.iter().map(|snapshot| group(snapshot, with_alerts)).collect();
    success(&json!({ "groups": groups }))
}

async fn alerts(State(api): State<Arc<Api>>) -> Result<Response, Refused> {
    let snapshot = api.rules.alerts_snapshot();
    let active = snapshot.iter().filter(|entry| entry.alert.state != AlertState::Resolved);
    success(&json!({"alerts": active.map(prometheus_alert).collect::<Vec<_>>()}))
}

async fn own_alerts(State(api): State<Arc<Api>>, params: Params) -> Result<Json<Value>, ApiError> {
    params.only(&[])?;
    let alerts: Vec<Value> = api.rules.alerts_snapshot().iter().map(own_alert).collect();
    Ok(Json(json!({ "alerts": alerts })))
}

fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| NO_TIME.to_owned(), Timestamp::to_rfc3339)
}

fn object(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<_, _>>().into()
}

fn group(group: &GroupSnapshot, with_alerts: bool) -> Value {
    json!({
        "name": group.name,
        "file": group.file,
        "interval": group.interval_ms as f64 / 1000.0,
        "limit": 0,
        "rules": group.rules.iter().map(|snapshot| rule(snapshot, with_alerts)).collect::<Vec<_>>(),
        "evaluationTime": group.evaluation_seconds,
        "lastEvaluation": time(group.last_evaluation),
    })
}

fn rule(snapshot: &RuleSnapshot, with_alerts: bool) -> Value {
    let rule = &*snapshot.rule;
    let active = snapshot.alerts.iter().filter(|entry| with_alerts && entry.alert.state != AlertState::Resolved);
    json!({
        "type": "alerting",
        "name": rule.name,
        "query": condition(rule),
        "duration": rule.duration_ms as f64 / 1000.0,
        "keepFiringFor": rule.keep_firing_for_ms as f64 / 1000.0,
        "labels": templates(rule.labels.iter().map(|(name, template)| (name, template.source()))),
        "annotations": templates(rule.annotations.iter().map(|(name, template)| (name, template.source()))),
        "state": snapshot.state.as_str(),
        "health": snapshot.health.as_str(),
        "lastError": snapshot.last_error.as_deref().unwrap_or_default(),
        "evaluationTime": snapshot.evaluation_seconds,
        "lastEvaluation": time(snapshot.last_evaluation),
        "alerts": active.map(prometheus_alert).collect::<Vec<_>>(),
    })
}

/// The query with its comparison, which Prometheus' shape has in one text.
fn condition(rule: &Rule) -> String {
    format!("{} {} {}", rule.query.text(), rule.operator.as_str(), rule.threshold)
}

fn templates<'a>(pairs: impl Iterator<Item = (&'a String, &'a str)>) -> Value {
    pairs.map(|(name, text)| (name.clone(), json!(text))).collect::<Map<_, _>>().into()
}

fn prometheus_alert(entry: &AlertSnapshot) -> Value {
    let alert = &entry.alert;
    let mut shape = json!({
        "labels": Labels(&alert.labels),
        "annotations": object(&alert.annotations),
        "state": alert.state.as_str(),
        "activeAt": time(Some(alert.active_at)),
        "value": exponential(alert.value),
    });
    if let Some(since) = entry.kept_since {
        shape["keepFiringSince"] = json!(time(Some(since)));
    }
    shape
}

/// D1's alert, with what newer clients want beside it.
fn own_alert(entry: &AlertSnapshot) -> Value {
    let Alert { labels, annotations, state, value, active_at, fired_at, resolved_at, evaluated_at, .. } = &entry.alert;
    json!({
        "rule": own_rule(&entry.rule),
        "value": crate::metrics::number(*value),
        "timestamp": evaluated_at.to_rfc3339(),
        "status": state.as_str(),
        "labels": Labels(labels),
        "annotations": object(annotations),
        "active_at": active_at.to_rfc3339(),
        "starts_at": fired_at.unwrap_or(*active_at).to_rfc3339(),
        "ends_at": resolved_at.map(Timestamp::to_rfc3339),
        "fingerprint": format!("{:016x}", entry.alert.fingerprint()),
    })
}

fn own_rule(rule: &Rule) -> Value {
    json!({
        "name": rule.name,
        "query": rule.query.text(),
        "threshold": crate::metrics::number(rule.threshold),
        "operator": rule.operator.as_str(),
        "duration": format_duration_ms(rule.duration_ms),
        "labels": templates(rule.labels.iter().map(|(name, template)| (name, template.source()))),
        "annotations": templates(rule.annotations.iter().map(|(name, template)| (name, template.source()))),
    })
}
