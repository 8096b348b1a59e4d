//! Queries of metrics: `/api/v1/metrics/query`, `/range`, `/api/query`, and what there is: `/api/metrics`.

mod range;

use std::sync::Arc;

use axum::extract::State;
use axum::{Json, Router, routing};
use http::StatusCode;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};
use watchfire_engine::MetricInfo;
use watchfire_model::time::parse_duration_ms;
use watchfire_model::{LabelSet, Timestamp};
use watchfire_query_lang::{Asked as When, CancelToken, EvalError, Limits, ParseError, Query};

use crate::asked_by::AskedBy;
use crate::error::{ApiError, Where};
use crate::params::{Params, shown};
use crate::state::Api;

/// What clients of Prometheus send along with a query; it changes nothing here.
const OF_PROMETHEUS: [&str; 5] = ["timeout", "limit", "stats", "lookback_delta", "dedup"];

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/metrics/query", routing::get(instant).post(instant))
        .route("/api/v1/metrics/range", routing::get(range::range).post(range::range))
        .route("/api/query", routing::get(instant).post(instant))
        .route("/api/metrics", routing::get(catalogue))
}

impl From<ParseError> for ApiError {
    fn from(error: ParseError) -> ApiError {
        let place = Where { line: error.line, column: error.column, offset: error.offset };
        let told = ApiError::new(StatusCode::BAD_REQUEST, "query_parse", error.message);
        ApiError { place: Some(place), hint: error.hint, ..told }
    }
}

impl From<EvalError> for ApiError {
    fn from(error: EvalError) -> ApiError {
        let message = error.to_string();
        let (status, code) = match error {
            EvalError::Timeout { .. } => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            EvalError::Cancelled => (StatusCode::SERVICE_UNAVAILABLE, "cancelled"),
            EvalError::Busy { .. } => return ApiError::unavailable("busy", message),
            EvalError::Storage { retry: true, .. } => return ApiError::unavailable("storage", message),
            EvalError::Range { .. } | EvalError::Query(_) | EvalError::Refused { .. } => {
                (StatusCode::BAD_REQUEST, "bad_parameter")
            }
            EvalError::Samples { .. } | EvalError::Memory { .. } | EvalError::Steps { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "limit")
            }
            EvalError::Type { .. }
            | EvalError::Labels { .. }
            | EvalError::Parameter { .. }
            | EvalError::Storage { retry: false, .. } => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
        };
        ApiError::new(status, code, message)
    }
}

/// Cancels an evaluation when its request is dropped, because the client left.
pub(crate) struct CancelOnDrop(pub(crate) CancelToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Runs an evaluation off the async threads.
async fn evaluate<T: Send + 'static>(
    api: &Arc<Api>,
    work: impl FnOnce(&Api, &Limits) -> Result<T, EvalError> + Send + 'static,
) -> Result<T, ApiError> {
    let limits = api.limits.of_query();
    let _cancel_on_drop = CancelOnDrop(limits.cancel.clone());
    let api = api.clone();
    let done = tokio::task::spawn_blocking(move || work(&api, &limits)).await.map_err(ApiError::internal)?;
    done.map_err(ApiError::from)
}

async fn read_query(api: &Api, params: &Params) -> Result<Query, ApiError> {
    let text = params.get("query").ok_or_else(|| {
        ApiError::bad_parameter("query", "it is missing").hint("try `query=rate log_events_total by service`")
    })?;
    Ok(api.reading.read(text, Query::parse).await??)
}

async fn instant(State(api): State<Arc<Api>>, by: AskedBy, params: Params) -> Result<Json<Instant>, ApiError> {
    params.only(&[&["query", "time"], &OF_PROMETHEUS])?;
    let query = read_query(&api, &params).await?;
    let now = Timestamp::now();
    let at = params.time("time", now)?.unwrap_or(now);
    let text = query.text().to_owned();
    let (result, promql) = evaluate(&api, move |api, limits| {
        let ask = || api.metrics.instant(&query, at, limits);
        let result = by.evaluate(api, query.text(), When::Instant(at), ask)?;
        Ok((result, api.metrics.promql(&query, When::Instant(at))))
    })
    .await?;
    Ok(Json(Instant { text, promql, at, result }))
}

/// A step in seconds (with decimals) or as a duration, milliseconds.
pub fn read_step(name: &str, text: &str) -> Result<i64, ApiError> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds < 1e12).map(|seconds| (seconds * 1000.0) as i64);
    let millis = seconds.or_else(|| parse_duration_ms(text)).filter(|millis| *millis > 0);
    millis.ok_or_else(|| {
        ApiError::bad_parameter(name, format!("`{}` is no step; write 15s, 1m or a number of seconds", shown(text)))
    })
}

async fn catalogue(State(api): State<Arc<Api>>, params: Params) -> Result<Json<Vec<Value>>, ApiError> {
    params.only(&[&["prefix"]])?;
    let prefix = params.get("prefix").unwrap_or_default().to_owned();
    let list = move |api: &Api| {
        let metrics = api.metrics.metrics(&prefix)?;
        let row = |metric: MetricInfo| {
            json!({
                "name": metric.name,
                "type": metric.kind.as_str(),
                "help": metric.help.unwrap_or_default(),
                "series": metric.series,
                "labels": metric.labels.iter().map(|label| &**label).collect::<Vec<&str>>(),
            })
        };
        Ok::<Vec<Value>, EvalError>(metrics.into_iter().map(row).collect())
    };
    let api = api.clone();
    let listed = tokio::task::spawn_blocking(move || list(&api)).await.map_err(ApiError::internal)?;
    Ok(Json(listed?))
}

/// A value; numbers that JSON cannot hold are texts.
pub struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.0;
        if value.is_finite() {
            if value.fract() == 0.0 && value.abs() < 9e15 && !(value == 0.0 && value.is_sign_negative()) {
                return serializer.serialize_i64(value as i64);
            }
            return serializer.serialize_f64(value);
        }
        serializer.serialize_str(if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        })
    }
}

/// The same as a value of JSON.
pub fn number(value: f64) -> Value {
    serde_json::to_value(Number(value)).unwrap_or_default()
}

/// Labels as an object.
pub struct Labels<'a>(pub &'a LabelSet);

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

struct Instant {
    text: String,
    promql: Option<String>,
    at: Timestamp,
    result: Vec<(LabelSet, f64)>,
}

struct InstantSeries<'a>(&'a LabelSet, f64);

impl Serialize for InstantSeries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("labels", &Labels(self.0))?;
        map.serialize_entry("value", &Number(self.1))?;
        map.end()
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("query", &self.text)?;
        map.serialize_entry("promql", &self.promql)?;
        map.serialize_entry("time", &self.at.millis())?;
        if let [(_, value)] = self.result.as_slice() {
            map.serialize_entry("value", &Number(*value))?;
        }
        let result: Vec<_> = self.result.iter().map(|(labels, value)| InstantSeries(labels, *value)).collect();
        map.serialize_entry("result", &result)?;
        map.end()
    }
}
