//! `POST /api/v1/metrics`: samples and observations that are pushed.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use watchfire_engine::{AppendError, MetricType, SampleBatch, SeriesKind};
use watchfire_model::Timestamp;
use watchfire_model::labels::METRIC_NAME;

use crate::body;
use crate::error::ApiError;
use crate::params::Params;
use crate::state::Api;

/// Errors told in one answer.
const ERRORS_MAX: usize = 100;
/// Largest body, bytes.
const BODY_BYTES_MAX: usize = 16 << 20;

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/api/v1/metrics", routing::post(push))
}

/// A metric as D1 writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pushed {
    name: String,
    value: Value,
    #[serde(default)]
    timestamp: Option<Value>,
    #[serde(default)]
    labels: std::collections::BTreeMap<String, String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

async fn push(State(api): State<Arc<Api>>, request: Request) -> Result<Response, ApiError> {
    Params::of_query(&request).only(&[])?;
    let encoding = request.headers().get(header::CONTENT_ENCODING).cloned();
    let body = body::read(request.into_body(), BODY_BYTES_MAX).await?;
    let stored = tokio::task::spawn_blocking(move || {
        let packing = encoding.as_ref().map(HeaderValue::as_bytes).filter(|packing| *packing != b"identity");
        match packing {
            None => store(&api, &body),
            Some(packing) => {
                let (unpacked, _held) = (api.unpack)(packing, &body)?;
                store(&api, &unpacked)
            }
        }
    });
    stored.await.map_err(ApiError::internal)?
}

fn store(api: &Api, body: &[u8]) -> Result<Response, ApiError> {
    let now = Timestamp::now();
    let mut batch = SampleBatch::new(now);
    let mut errors = Vec::new();
    // Index of the item that each point came from.
    let mut items = Vec::new();
    let read = read_items(body)?;
    let count = read.len();
    for (index, item) in read.into_iter().enumerate() {
        match item.and_then(|item| add(api, &mut batch, item, now)) {
            Ok(()) => items.push(index),
            Err(error) => errors.push((index, error)),
        }
    }
    let report = api.engine.append_samples(&batch).map_err(|AppendError::Log(error)| {
        tracing::error!(%error, "the engine's log cannot be written");
        ApiError::unavailable("storage", "the metrics cannot be written now; the server's log has the cause")
    })?;
    for (point, rejection) in &report.rejected {
        let index = items.get(*point as usize).copied().unwrap_or_default();
        errors.push((index, rejection.to_string()));
    }
    let rejected = errors.len();
    errors.sort();
    errors.truncate(ERRORS_MAX);
    if rejected == count {
        let message = errors.first().map_or("the body is empty; send a metric", |(_, error)| error);
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "rejected", message));
    }
    let errors: Vec<Value> = errors.iter().map(|(index, error)| json!({"index": index, "error": error})).collect();
    let body = json!({"accepted": count - rejected, "rejected": rejected, "errors": errors});
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

/// The items of an array, of a single object, or of NDJSON; each on its own may be wrong.
fn read_items(body: &[u8]) -> Result<Vec<Result<Pushed, String>>, ApiError> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        let items: Vec<Value> = serde_json::from_slice(body).map_err(|error| ApiError::malformed_json(body, &error))?;
        return Ok(items.into_iter().map(read_item).collect());
    }
    if let Ok(single) = serde_json::from_slice::<Value>(body) {
        return Ok(vec![read_item(single)]);
    }
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let read = |line: &[u8]| {
        let item = serde_json::from_slice(line).map_err(|error| format!("the line is no JSON: {error}"))?;
        read_item(item)
    };
    Ok(lines.map(read).collect())
}

fn read_item(item: Value) -> Result<Pushed, String> {
    if !item.is_object() {
        return Err("a metric is an object: {\"name\": …, \"value\": …}".to_owned());
    }
    let labels = item.get("labels").and_then(Value::as_object).into_iter().flatten();
    if let Some((name, value)) = labels.into_iter().find(|(_, value)| !value.is_string()) {
        return Err(format!("the label `{}` is {value}, and must be text: {}", name.escape_debug(), as_text(value)));
    }
    serde_json::from_value(item).map_err(|error| error.to_string())
}

/// How a label's value is written that was none.
fn as_text(value: &Value) -> String {
    match value {
        Value::Number(_) | Value::Bool(_) => format!("\"{value}\""),
        _ => "\"…\"".to_owned(),
    }
}

/// Refuses observations under the name of plain samples: a metric is one or the other.
fn check_kind(api: &Api, name: &str, kind: SeriesKind) -> Result<(), String> {
    match api.engine.metric_kind(name) {
        Some(SeriesKind::Samples(_)) if kind == SeriesKind::Distribution => {
            Err(format!("`{name}` has plain samples; give the histogram another name"))
        }
        _ => Ok(()),
    }
}

fn add(api: &Api, batch: &mut SampleBatch, item: Pushed, now: Timestamp) -> Result<(), String> {
    let value = match &item.value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "+Inf" | "Inf" => Some(f64::INFINITY),
            "-Inf" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    };
    let value = value.ok_or("`value` must be a number, \"NaN\", \"+Inf\" or \"-Inf\"")?;
    let at = match &item.timestamp {
        None | Some(Value::Null) => Some(now),
        Some(Value::Number(number)) => number.as_f64().and_then(Timestamp::from_number),
        Some(Value::String(text)) => Timestamp::parse_parameter(text, now).ok(),
        Some(_) => None,
    };
    let at = at.ok_or("`timestamp` is no time; write RFC 3339 or unix seconds or milliseconds")?;
    let kind = match item.kind.as_deref() {
        None => SeriesKind::Samples(MetricType::Untyped),
        Some("gauge") => SeriesKind::Samples(MetricType::Gauge),
        Some("counter") => SeriesKind::Samples(MetricType::Counter),
        Some("histogram") => SeriesKind::Distribution,
        Some(other) => return Err(format!("`type`: `{other}` is none of counter, gauge, histogram")),
    };
    let is_name = |text: &str, colons: bool| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
        text.chars().all(plain) && text.chars().next().is_some_and(|first| !first.is_ascii_digit())
    };
    if !is_name(&item.name, true) {
        return Err(format!("`{}` is no metric name; use letters, digits, `_` and `:`", item.name));
    }
    if let Some(name) = item.labels.keys().find(|name| !is_name(name, false) || *name == METRIC_NAME) {
        return Err(format!("`{name}` is no label name; use letters, digits and `_`"));
    }
    check_kind(api, &item.name, kind)?;
    let most = api.limits.labels_per_series;
    if item.labels.len() > most {
        return Err(format!("{} labels are more than {most}, the most a series may have", item.labels.len()));
    }
    let own = [(METRIC_NAME, item.name.as_str())];
    let labels = item.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut pairs: Vec<(&str, &str)> = own.into_iter().chain(labels).collect();
    let series = batch.series_of(kind, &mut pairs).map_err(|error| error.to_string())?;
    batch.push(series, at, value);
    Ok(())
}
