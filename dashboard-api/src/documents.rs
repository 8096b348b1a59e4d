//! The endpoints of the user's documents: `/recent` (D4), `/api/logs`, `/api/log-levels`, `/api/services` (D3).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use serde_json::{Value, json};
use watchfire_log_store::document::Members;
use watchfire_log_store::query::{Field, Query};
use watchfire_log_store::{Hit, SearchRequest, TimeRange};
use watchfire_model::Timestamp;
use watchfire_model::record::Core;

use crate::error::ApiError;
use crate::filters::with_filters;
use crate::logs::{LIMIT_MAX, document, time_range};
use crate::params::Params;
use crate::state::Api;

const DAY_MS: i64 = 86_400_000;
/// Most names that a list of values holds.
const VALUES_MAX: usize = 10_000;

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/recent", routing::get(recent))
        .route("/api/logs", routing::get(logs))
        .route("/api/log-levels", routing::get(|api, params| values(api, params, Field::Level)))
        .route("/api/services", routing::get(|api, params| values(api, params, Field::Core(Core::Service))))
}

async fn recent(State(api): State<Arc<Api>>, params: Params) -> Result<Response, ApiError> {
    params.only(&[&["limit", "offset", "levels", "source", "sinceMinutes"]])?;
    let now = Timestamp::now();
    let minutes = params.number("sinceMinutes", 0, 100 * 366 * 24 * 60)?;
    let range = if minutes == 0 {
        TimeRange::ALL
    } else {
        TimeRange { start: now.plus_millis(-(minutes as i64) * 60_000), ..TimeRange::ALL }
    };
    let filters = [("levels", Field::Level), ("source", Field::Core(Core::Source))];
    let request = SearchRequest {
        limit: params.number("limit", 50, LIMIT_MAX)?,
        offset: params.number("offset", 0, LIMIT_MAX)?,
        time_limit: api.limits.timeout,
        ..SearchRequest::new(with_filters(Query::all(), &params, &filters)?, range)
    };
    let response = api.store.search(request).await?;
    let rows: Vec<Value> = response.hits.iter().map(row).collect();
    Ok(([("x-total-count", response.total.to_string())], Json(rows)).into_response())
}

/// A record in D4's words: `seq` as integer id, and the service where no source was named.
fn row(hit: &Hit) -> Value {
    let record = &hit.record;
    let insight = if record.insight.is_empty() { Value::Null } else { json!(Members(&record.insight)) };
    json!({
        "id": hit.seq,
        "source": record.source.as_ref().unwrap_or(&record.service),
        "level": record.level.as_str(),
        "message": record.message,
        "timestamp": record.timestamp.to_rfc3339(),
        "insight": insight,
    })
}

async fn logs(State(api): State<Arc<Api>>, params: Params) -> Result<Response, ApiError> {
    params.only(&[&["start_time", "end_time", "level", "service", "limit"]])?;
    let range = time_range(&params, ("start_time", "end_time"), DAY_MS, Timestamp::now())?;
    let filters = [("level", Field::Level), ("service", Field::Core(Core::Service))];
    let request = SearchRequest {
        limit: params.number("limit", 100, LIMIT_MAX)?,
        time_limit: api.limits.timeout,
        ..SearchRequest::new(with_filters(Query::all(), &params, &filters)?, range)
    };
    let response = api.store.search(request).await?;
    Ok(Json(response.hits.iter().map(document).collect::<Vec<_>>()).into_response())
}

async fn values(State(api): State<Arc<Api>>, params: Params, field: Field) -> Result<Json<Vec<String>>, ApiError> {
    params.only(&[])?;
    let counted = api.store.distinct(field, TimeRange::ALL, VALUES_MAX).await?;
    let mut values: Vec<String> = counted.into_iter().map(|counted| counted.value).collect();
    values.sort();
    Ok(Json(values))
}
