//! Of Alertmanager's API v2, beside silences, what its tools ask: `/api/v2/alerts`, `/api/v2/status`. And its errors,
//! which are texts.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use serde_json::{Map, Value, json};
use watchfire_model::{Alert, AlertState, MatchOp, Matcher, Timestamp};

use crate::error::ApiError;
use crate::params::{Params, shown};
use crate::state::Api;

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/api/v2/alerts", routing::get(alerts)).route("/api/v2/status", routing::get(status))
}

/// An error as Alertmanager's clients read it: a text in JSON.
pub struct Refused(ApiError);

impl<E: Into<ApiError>> From<E> for Refused {
    fn from(error: E) -> Refused {
        Refused(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let ApiError { message, hint, .. } = &self.0;
        let told = hint.as_ref().map_or_else(|| message.clone(), |hint| format!("{message}; {hint}"));
        let text = Json(told).into_response();
        let (mut parts, _) = self.0.into_response().into_parts();
        parts.headers.remove(http::header::CONTENT_LENGTH);
        Response::from_parts(parts, text.into_body())
    }
}

/// The matchers of all parameters `filter`.
///
/// Errors: one is no matcher.
pub fn filters(params: &Params) -> Result<Vec<Matcher>, ApiError> {
    let filters = params.all("filter").map(matcher).collect::<Result<Vec<_>, _>>();
    filters.map_err(|problem| ApiError::bad_parameter("filter", problem))
}

fn matcher(text: &str) -> Result<Matcher, String> {
    let split = MatchOp::split(text);
    let (name, op, value) = split.ok_or_else(|| format!("`{}` is no matcher; write name=\"value\"", shown(text)))?;
    Matcher::new(name, op, value).map_err(|error| error.to_string())
}

/// Whether a parameter that is on by default is on.
fn is_on(params: &Params, name: &str) -> Result<bool, ApiError> {
    params.get(name).map_or(Ok(true), |text| {
        text.parse().map_err(|_| ApiError::bad_parameter(name, format!("`{}` is neither true nor false", shown(text))))
    })
}

/// What fires. Pending alerts are Alertmanager's as little as Prometheus sends them there.
async fn alerts(State(api): State<Arc<Api>>, params: Params) -> Result<Json<Vec<Value>>, Refused> {
    params.only(&[&["filter", "active", "silenced", "inhibited", "unprocessed", "receiver"]])?;
    let filters = filters(&params)?;
    let (is_active, is_silenced) = (is_on(&params, "active")?, is_on(&params, "silenced")?);
    // Nothing here is inhibited or waits to be looked at.
    is_on(&params, "inhibited")?;
    is_on(&params, "unprocessed")?;
    let receiver = params.get("receiver").map(|text| Matcher::new("receiver", MatchOp::Regex, text)).transpose();
    let receiver = receiver.map_err(|error| ApiError::bad_parameter("receiver", error))?;
    let active = api.silences.as_ref().map(|silences| silences.active(Timestamp::now()));
    let snapshot = api.rules.alerts_snapshot();
    let firing = snapshot.iter().map(|entry| &entry.alert).filter(|alert| alert.state == AlertState::Firing);
    let mut listed = Vec::new();
    for alert in firing.filter(|alert| filters.iter().all(|filter| filter.matches_labels(&alert.labels))) {
        let silenced_by: Vec<&str> = active.iter().flat_map(|active| active.matching(&alert.labels)).collect();
        let is_shown = if silenced_by.is_empty() { is_active } else { is_silenced };
        let receivers = (api.receivers)(&alert.receivers);
        let is_theirs = |receiver: &Matcher| receivers.iter().any(|name| receiver.matches(name));
        if is_shown && receiver.as_ref().is_none_or(is_theirs) {
            listed.push(document(alert, &receivers, &silenced_by));
        }
    }
    Ok(Json(listed))
}

/// An alert as v2 has it, with who hears of it.
fn document(alert: &Alert, receivers: &[String], silenced_by: &[&str]) -> Value {
    let object = |pairs: &mut dyn Iterator<Item = (&str, &str)>| {
        Value::from(pairs.map(|(name, value)| (name.to_owned(), json!(value))).collect::<Map<_, _>>())
    };
    let annotations = &mut alert.annotations.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let fired_at = alert.fired_at.unwrap_or(alert.active_at);
    json!({
        "labels": object(&mut alert.labels.iter()),
        "annotations": object(annotations),
        "startsAt": fired_at.to_rfc3339(),
        // It fires until an evaluation says otherwise; as Prometheus has it, the next few must come.
        "endsAt": alert.evaluated_at.plus_millis(FIRES_ON_MS).to_rfc3339(),
        "updatedAt": alert.evaluated_at.to_rfc3339(),
        "fingerprint": format!("{:016x}", alert.fingerprint()),
        "receivers": receivers.iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
        "status": {
            "state": if silenced_by.is_empty() { "active" } else { "suppressed" },
            "silencedBy": silenced_by,
            "inhibitedBy": [],
        },
    })
}

/// For so long an alert counts as firing of which nothing more is heard, milliseconds.
const FIRES_ON_MS: i64 = 4 * 60_000;

/// Our own configuration is another one, and holds secrets; there is no cluster.
async fn status(State(api): State<Arc<Api>>, params: Params) -> Result<Json<Value>, Refused> {
    params.only(&[])?;
    let uptime_ms = i64::try_from(api.started.elapsed().as_millis()).unwrap_or(i64::MAX);
    let version = env!("CARGO_PKG_VERSION");
    Ok(Json(json!({
        "cluster": {"name": "", "status": "disabled", "peers": []},
        "config": {"original": ""},
        "uptime": Timestamp::now().plus_millis(-uptime_ms).to_rfc3339(),
        "versionInfo": {
            "version": version, "revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": "",
        },
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read() {
        for (text, name, op, value) in [
            ("alertname=\"X\"", "alertname", MatchOp::Equal, "X"),
            ("a=b", "a", MatchOp::Equal, "b"),
            ("a =~ \"b.*\"", "a", MatchOp::Regex, "b.*"),
            ("a!=\"\"", "a", MatchOp::NotEqual, ""),
            ("a!~c", "a", MatchOp::NotRegex, "c"),
        ] {
            let read = matcher(text).expect(text);
            assert_eq!((read.name(), read.op(), read.value()), (name, op, value), "{text}");
        }
        assert!(matcher("word").is_err() && matcher("a=~\"(\"").is_err());
    }
}
