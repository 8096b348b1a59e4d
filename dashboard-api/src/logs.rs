//! `/api/v1/logs/search` and a record by its id.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use watchfire_log_store::document::{Document, Names};
use watchfire_log_store::query::Field;
use watchfire_log_store::{Cursor, Hit, Order, SearchError, SearchRequest, SearchResponse, TimeRange};
use watchfire_model::{Level, Timestamp};

use crate::error::ApiError;
use crate::filters::filtered_query;
use crate::params::{Params, shown};
use crate::state::Api;

/// Most records of one answer, and the deepest offset.
pub const LIMIT_MAX: usize = 10_000;
/// Most bars of a histogram.
const BUCKETS_MAX: usize = 2000;
/// The range of a search that names none.
const DEFAULT_RANGE_MS: i64 = 3_600_000;

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/logs/search", routing::get(search).post(search))
        .route("/api/v1/logs/{id}", routing::get(by_id))
        .route("/api/v1/logs/stats", routing::any(|| later("log statistics")))
        .route("/api/v1/logs/fields", routing::any(|| later("facets")))
        .route("/api/v1/logs/context", routing::any(|| later("context around a record")))
        .route("/api/v1/saved/{name}", routing::any(|| later("saved searches")))
        .route("/api/v1/import", routing::any(|| later("import over HTTP")))
}

/// What API.md names and this version does not do.
async fn later(what: &str) -> ApiError {
    let message = format!("{what} is not in this version yet");
    ApiError::new(StatusCode::NOT_FOUND, "not_in_this_version", message)
}

/// Times from `start` (default: an hour before the end) to `end` (default: now), the end included.
pub fn time_range(
    params: &Params,
    names: (&str, &str),
    default_ms: i64,
    now: Timestamp,
) -> Result<TimeRange, ApiError> {
    let end = params.time(names.1, now)?;
    // Without an end everything up to now is meant, and clocks ahead of ours (by at most ten minutes) too.
    let last = end.unwrap_or_else(|| now.plus_millis(600_000));
    let start = params.time(names.0, now)?.unwrap_or_else(|| end.unwrap_or(now).plus_millis(-default_ms));
    if last < start {
        return Err(ApiError::bad_parameter(names.0, "the start lies after the end"));
    }
    Ok(TimeRange { start, end: last.plus_millis(1) })
}

fn read_order(params: &Params) -> Result<Order, ApiError> {
    if let Some(text) = params.get("sort") {
        let (descending, name) = match text.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, text),
        };
        let field = Field::parse(name)
            .ok_or_else(|| ApiError::bad_parameter("sort", format!("`{}` is no field", shown(text))))?;
        if matches!(field, Field::Level | Field::Core(_)) {
            let problem = format!("`{}` is neither a number nor a time", shown(name));
            let hint = "sort by timestamp, accepted_at, seq or a field with numbers (duration_ms, fields.x)";
            return Err(ApiError::bad_parameter("sort", problem).hint(hint));
        }
        return Ok(Order::ByField { field, descending });
    }
    match params.get("order") {
        None | Some("desc") => Ok(Order::NewestFirst),
        Some("asc") => Ok(Order::OldestFirst),
        Some(other) => Err(ApiError::bad_parameter("order", format!("`{}` is neither asc nor desc", shown(other)))),
    }
}

fn read_request(time_limit: Duration, params: &Params, now: Timestamp) -> Result<SearchRequest, ApiError> {
    let range = time_range(params, ("start", "end"), DEFAULT_RANGE_MS, now)?;
    let cursor = params.get("cursor").map(Cursor::decode).transpose();
    let cursor = cursor.map_err(|error| ApiError::bad_parameter("cursor", error))?;
    let order = read_order(params)?;
    let offset = params
        .number("offset", 0, LIMIT_MAX)
        .map_err(|error| error.hint("walk further with `cursor`: pass `next_cursor` of the answer before"))?;
    if cursor.is_some() && offset > 0 {
        return Err(ApiError::bad_parameter("offset", "a cursor says where to go on already; leave one of them out"));
    }
    Ok(SearchRequest {
        limit: params.number("limit", 100, LIMIT_MAX)?,
        offset,
        cursor,
        order,
        buckets: params.number("buckets", 60, BUCKETS_MAX)?,
        time_limit,
        ..SearchRequest::new(filtered_query(params, now)?, range)
    })
}

async fn search(State(api): State<Arc<Api>>, headers: HeaderMap, params: Params) -> Result<Response, ApiError> {
    let begun = Instant::now();
    let request = read_request(api.limits.timeout, &params, Timestamp::now())?;
    let response = api.store.search(request).await?;
    let wants_lines = headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes() == b"application/x-ndjson");
    if wants_lines {
        return Ok(lines(&response.hits));
    }
    let took_ms = begun.elapsed().as_millis() as u64;
    Ok(Json(Found { response: &response, took_ms }).into_response())
}

/// A record a line.
fn lines(hits: &[Hit]) -> Response {
    let mut body = Vec::new();
    for hit in hits {
        // Writing to a vector cannot fail, and a record has text keys only.
        let _ = serde_json::to_writer(&mut body, &document(hit));
        body.push(b'\n');
    }
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from(body)).into_response()
}

/// A hit as it is shown.
pub fn document(hit: &Hit) -> Document<'_> {
    Document { record: &hit.record, seq: Some(hit.seq), names: Names::Canonical }
}

async fn by_id(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    match api.store.get_by_id(id.clone()).await? {
        Some(hit) => Ok(Json(document(&hit)).into_response()),
        None => Err(ApiError::not_found(format!("no record has the id `{}`", shown(&id)))),
    }
}

/// The answer of a search, written without copies.
struct Found<'a> {
    response: &'a SearchResponse,
    took_ms: u64,
}

impl Serialize for Found<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let response = self.response;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("total", &response.total)?;
        map.serialize_entry("total_exact", &response.total_exact)?;
        map.serialize_entry("took_ms", &self.took_ms)?;
        map.serialize_entry("logs", &response.hits.iter().map(document).collect::<Vec<_>>())?;
        map.serialize_entry("next_cursor", &response.next_cursor)?;
        if let Some(histogram) = &response.histogram {
            let bars = histogram.buckets.iter().enumerate().map(|(number, bucket)| {
                let time = histogram.start_ms.saturating_add(histogram.step_ms.saturating_mul(number as i64));
                serde_json::json!({"time": time, "total": bucket.total, "levels": levels(&bucket.levels)})
            });
            let histogram = serde_json::json!({
                "start": histogram.start_ms, "step": histogram.step_ms, "buckets": bars.collect::<Vec<_>>(),
            });
            map.serialize_entry("histogram", &histogram)?;
        }
        map.serialize_entry("levels", &levels(&response.levels))?;
        if response.cost.damaged_blocks > 0 {
            map.serialize_entry("damaged_blocks", &response.cost.damaged_blocks)?;
        }
        map.end()
    }
}

/// Counts by name, those above zero.
fn levels(counts: &[u64; 8]) -> serde_json::Map<String, serde_json::Value> {
    let counted = Level::ALL.iter().zip(counts).filter(|(_, count)| **count > 0);
    counted.map(|(level, count)| (level.as_str().to_owned(), (*count).into())).collect()
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> ApiError {
        let (status, code) = match error {
            SearchError::TimedOut { .. } => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            SearchError::Cancelled => (StatusCode::SERVICE_UNAVAILABLE, "cancelled"),
            SearchError::Memory { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "too_large"),
            SearchError::CursorWithSort | SearchError::CursorMismatch => {
                return ApiError::bad_parameter("cursor", error);
            }
            SearchError::Unavailable { .. } => return ApiError::unavailable("log_store", error.to_string()),
        };
        ApiError::new(status, code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::FromRequest;

    use super::*;

    /// What a search with this query string asks for.
    async fn request(query: &str) -> Result<SearchRequest, ApiError> {
        let uri = format!("/api/v1/logs/search?{query}");
        let request = http::Request::get(uri).body(Body::empty()).expect("a request");
        let params = Params::from_request(request, &()).await?;
        read_request(Duration::from_secs(1), &params, Timestamp::from_millis(1_714_550_400_000))
    }

    #[tokio::test]
    async fn sorts_by_numbers_and_times_only() {
        for name in ["level", "message", "service", "source", "host", "id", "correlation_id", "-user_id", "-LEVEL"] {
            let error = request(&format!("sort={name}")).await.expect_err(name);
            assert_eq!((error.status, error.code), (StatusCode::BAD_REQUEST, "bad_parameter"));
            let name = name.trim_start_matches('-');
            assert_eq!(error.message, format!("`sort`: `{name}` is neither a number nor a time"));
        }
        for name in ["timestamp", "-accepted_at", "seq", "-duration_ms", "fields.level", "tags.port"] {
            let order = request(&format!("sort={name}")).await.expect(name).order;
            assert!(matches!(order, Order::ByField { descending, .. } if descending == name.starts_with('-')));
        }
    }

    #[tokio::test]
    async fn a_cursor_takes_no_offset() {
        let cursor = Cursor { timestamp: Timestamp::from_millis(5), seq: 3, upper: 9, newest_first: true, query: 7 };
        let text = cursor.encode();
        let error = request(&format!("cursor={text}&offset=1")).await.expect_err("both");
        assert_eq!((error.status, error.code), (StatusCode::BAD_REQUEST, "bad_parameter"));
        assert!(error.message.starts_with("`offset`: "), "{}", error.message);
        let read = request(&format!("cursor={text}&offset=0")).await.expect("no offset");
        assert_eq!((read.cursor, read.offset), (Some(cursor), 0));
    }

    #[test]
    fn a_cursor_of_another_search_is_a_bad_parameter() {
        let error = ApiError::from(SearchError::CursorMismatch);
        assert_eq!((error.status, error.code), (StatusCode::BAD_REQUEST, "bad_parameter"));
        let told = "this cursor belongs to another search; pass it with the same q, filters, range and order";
        assert_eq!(error.message, format!("`cursor`: {told}"));
    }
}
