//! Alerts as they stand in D1's shape, at `/api/v1/alerting/alerts`; in Prometheus' they are in `prometheus::rules`.

use std::sync::Arc;

use axum::extract::State;
use axum::{Json, Router, routing};
use serde_json::{Map, Value, json};
use watchfire_model::time::format_duration_ms;
use watchfire_model::{Alert, Timestamp};
use watchfire_query_lang::ast::Expr;
use watchfire_rules::template::Template;
use watchfire_rules::{AlertRule, AlertSnapshot, Condition};

use crate::error::ApiError;
use crate::metrics::Labels;
use crate::params::Params;
use crate::state::Api;

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/api/v1/alerting/alerts", routing::get(own_alerts))
}

async fn own_alerts(State(api): State<Arc<Api>>, params: Params) -> Result<Json<Value>, ApiError> {
    params.only(&[])?;
    let active = api.silences.as_ref().map(|silences| silences.active(Timestamp::now()));
    let snapshot = api.rules.alerts_snapshot();
    let shown = |alert: &AlertSnapshot| {
        let silenced_by: Vec<&str> = active.iter().flat_map(|active| active.matching(&alert.alert.labels)).collect();
        own_alert(alert, &silenced_by)
    };
    let alerts: Vec<Value> = snapshot.iter().map(shown).collect();
    Ok(Json(json!({ "alerts": alerts })))
}

fn object(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<_, _>>().into()
}

/// D1's alert, with what newer clients want beside it.
fn own_alert(entry: &AlertSnapshot, silenced_by: &[&str]) -> Value {
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
        "silenced": !silenced_by.is_empty(),
        "silenced_by": silenced_by,
    })
}

fn own_rule(rule: &AlertRule) -> Value {
    let Asked { query, operator, threshold } = Asked::of(rule);
    json!({
        "name": rule.name,
        "query": query,
        "threshold": threshold.map(crate::metrics::number),
        "operator": operator,
        "duration": format_duration_ms(rule.duration_ms),
        "labels": templates(&rule.labels),
        "annotations": templates(&rule.annotations),
    })
}

/// A rule's condition in D1's parts.
struct Asked {
    query: String,
    operator: Option<&'static str>,
    threshold: Option<f64>,
}

impl Asked {
    /// A query that compares with a number itself is taken apart; without such a comparison there is no threshold.
    fn of(rule: &AlertRule) -> Asked {
        let root = rule.query.root().without_parens();
        match (rule.condition, root) {
            (Condition::Compared(than), _) => Asked {
                query: rule.query.text().to_owned(),
                operator: Some(than.operator.as_str()),
                threshold: Some(than.threshold),
            },
            (Condition::Present, Expr::Binary(node)) if node.op.is_comparison() && !node.returns_bool => {
                match number(&node.right) {
                    Some(threshold) => Asked {
                        query: node.left.to_string(),
                        operator: Some(node.op.as_str()),
                        threshold: Some(threshold),
                    },
                    None => Asked::whole(rule),
                }
            }
            (Condition::Present, _) => Asked::whole(rule),
        }
    }

    fn whole(rule: &AlertRule) -> Asked {
        Asked { query: rule.query.to_string(), operator: None, threshold: None }
    }
}

/// The value of a number that is written out, with a sign or without.
fn number(expr: &Expr) -> Option<f64> {
    match expr.without_parens() {
        Expr::Number(literal) => Some(literal.value),
        Expr::Unary(node) => number(&node.expr).map(|value| if node.negative { -value } else { value }),
        _ => None,
    }
}

fn templates(pairs: &[(String, Template)]) -> Value {
    pairs.iter().map(|(name, text)| (name.clone(), json!(text.source()))).collect::<Map<_, _>>().into()
}
