//! What an operator asks of the whole server: is what was counted what is stored (`POST /api/v1/verify`), and fill the
//! past of a new metric (`POST /api/v1/backfill`).

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json, Router, routing};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use watchfire_model::Timestamp;

use crate::audit::Did;
use crate::error::ApiError;
use crate::metrics::number;
use crate::params::{Params, shown};
use crate::state::Api;

/// Why the server does not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another one is at work.
    Busy,
    /// It cannot be done as asked.
    Impossible(String),
    /// Something failed.
    Failed(String),
    /// Not now.
    NotNow(String),
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        match refusal {
            Refusal::Busy => {
                ApiError::new(StatusCode::CONFLICT, "busy", "another one is at work; wait until it is done")
            }
            Refusal::Impossible(why) => ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "not_possible", why),
            Refusal::Failed(why) => ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", why),
            Refusal::NotNow(why) => ApiError::unavailable("not_now", why),
        }
    }
}

/// What counting again has found.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// Records accepted after this…
    pub start: Timestamp,
    /// …up to this were counted again.
    pub end: Timestamp,
    /// What was asked for behind that, and was left out.
    pub left_out: Option<LeftOut>,
    /// How many they were.
    pub records: u64,
    /// Blocks that could not be read.
    pub damaged_blocks: u64,
    /// Each counter.
    pub metrics: Vec<VerifiedMetric>,
}

/// The end of a range, which could not be counted again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its last moment, as it was asked for.
    pub until: Timestamp,
    /// Why.
    pub why: String,
    /// What to do.
    pub hint: String,
}

/// A counter that was counted again.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedMetric {
    /// Its name.
    pub metric: String,
    /// What the stored records give.
    pub stored: f64,
    /// What was counted as they came.
    pub counted: f64,
    /// How much more was counted than is stored, rounding apart.
    pub difference: f64,
    /// Whether the engine still has the whole range.
    pub whole: bool,
    /// Series that differ: labels as text, stored, counted.
    pub series: Vec<(String, f64, f64)>,
}

/// What a backfill has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Backfilled {
    /// Hours that have something now.
    pub hours: u64,
    /// Records looked at.
    pub records: u64,
    /// Records that had been counted as they came, and were left alone.
    pub counted_before: u64,
    /// Numbers put in: values of a distribution, and counts, those of one series and second as one.
    pub filled: u64,
    /// Numbers that were refused: older than the retention, or no room.
    pub refused: u64,
    /// Blocks that could not be read.
    pub damaged_blocks: u64,
}

/// Counts again what was accepted between two times. Blocks.
pub type Verify = Arc<dyn Fn(Timestamp, Timestamp) -> Result<Verified, Refusal> + Send + Sync>;
/// Fills a metric between two times. Blocks.
pub type Backfill = Arc<dyn Fn(&str, Timestamp, Timestamp) -> Result<Backfilled, Refusal> + Send + Sync>;

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/api/v1/verify", routing::post(verify)).route("/api/v1/backfill", routing::post(backfill))
}

/// `since` and `until`, checked.
fn range(params: &Params, since: &str) -> Result<(Timestamp, Timestamp), ApiError> {
    let now = Timestamp::now();
    let unless_said = Timestamp::parse_parameter(since, now).map_err(ApiError::internal)?;
    let start = params.time("since", now)?.unwrap_or(unless_said);
    let end = params.time("until", now)?.unwrap_or(now);
    if start >= end {
        return Err(ApiError::bad_parameter("since", format!("{start} is not before {end}")));
    }
    Ok((start, end))
}

async fn verify(State(api): State<Arc<Api>>, params: Params) -> Result<(Extension<Did>, Json<Value>), ApiError> {
    params.only(&[&["since", "until"]])?;
    let (start, end) = range(&params, "1h")?;
    let verify = api.verify.clone();
    let done = tokio::task::spawn_blocking(move || verify(start, end)).await.map_err(ApiError::internal)?;
    Ok((Extension(Did(format!("verify: {start} to {end}"))), Json(verified(&done?))))
}

fn verified(done: &Verified) -> Value {
    let metrics: Vec<Value> = done
        .metrics
        .iter()
        .map(|metric| {
            let series = metric.series.iter().map(|(labels, stored, counted)| {
                json!({"series": labels, "stored": number(*stored), "counted": number(*counted)})
            });
            json!({
                "metric": metric.metric,
                "stored": number(metric.stored),
                "counted": number(metric.counted),
                "difference": number(metric.difference),
                "whole": metric.whole,
                "series": series.collect::<Vec<_>>(),
            })
        })
        .collect();
    let left_out = done.left_out.as_ref().map(|left_out| {
        let until = left_out.until.to_rfc3339();
        json!({"from": done.end.to_rfc3339(), "until": until, "why": left_out.why, "hint": left_out.hint})
    });
    let agrees = done.metrics.iter().all(|metric| metric.difference == 0.0 && metric.series.is_empty());
    json!({
        "agrees": agrees && done.damaged_blocks == 0,
        "start": done.start.to_rfc3339(),
        "end": done.end.to_rfc3339(),
        "left_out": left_out,
        "records": done.records,
        "damaged_blocks": done.damaged_blocks,
        "metrics": metrics,
    })
}

async fn backfill(State(api): State<Arc<Api>>, params: Params) -> Result<(Extension<Did>, Json<Backfilled>), ApiError> {
    params.only(&[&["metric", "since", "until"]])?;
    let metric = params.get("metric").map(str::to_owned);
    let metric = metric.ok_or_else(|| ApiError::bad_parameter("metric", "say which metric shall be filled"))?;
    let (start, end) = range(&params, "7d")?;
    let did = Extension(Did(format!("backfill: {}, {start} to {end}", shown(&metric).escape_debug())));
    let backfill = api.backfill.clone();
    let done = tokio::task::spawn_blocking(move || backfill(&metric, start, end)).await.map_err(ApiError::internal)?;
    Ok((did, Json(done?)))
}
