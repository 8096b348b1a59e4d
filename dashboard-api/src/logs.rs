//! `/api/v1/logs/search`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
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
use crate::filters::{SEARCHED, filtered_query};
use crate::params::{Params, shown};
use crate::state::Api;
use crate::stream;

/// Most records of one answer, and the deepest offset.
pub const LIMIT_MAX: usize = 10_000;
/// Most bars of a histogram.
const BUCKETS_MAX: usize = 2000;
/// The range of a search that names none.
pub const DEFAULT_RANGE_MS: i64 = 3_600_000;

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/api/v1/logs/search", routing::get(search).post(search))
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

fn read_request(
    time_limit: Duration,
    params: &Params,
    now: Timestamp,
    limit_max: usize,
) -> Result<SearchRequest, ApiError> {
    params.only(&[&SEARCHED, &["limit", "offset", "cursor", "order", "sort", "buckets"]])?;
    let cursor = params.get("cursor").map(Cursor::decode).transpose();
    let cursor = cursor.map_err(|error| ApiError::bad_parameter("cursor", error))?;
    // A walk goes on in the range that it began with.
    let now = cursor.map_or(now, |cursor| cursor.now);
    let range = time_range(params, ("start", "end"), DEFAULT_RANGE_MS, now)?;
    let order = read_order(params)?;
    let offset = params
        .number("offset", 0, LIMIT_MAX)
        .map_err(|error| error.hint("walk further with `cursor`: pass `next_cursor` of the answer before"))?;
    if cursor.is_some() && offset > 0 {
        return Err(ApiError::bad_parameter("offset", "a cursor says where to go on already; leave one of them out"));
    }
    Ok(SearchRequest {
        limit: params.number("limit", 100, limit_max)?,
        offset,
        cursor,
        now,
        order,
        buckets: params.number("buckets", 60, BUCKETS_MAX)?,
        time_limit,
        ..SearchRequest::new(filtered_query(params, now)?, range)
    })
}

/// Whether a search with these parameters could be asked.
pub fn check(params: &Params, now: Timestamp) -> Result<(), ApiError> {
    read_request(Duration::ZERO, params, now, LIMIT_MAX).map(drop)
}

async fn search(State(api): State<Arc<Api>>, headers: HeaderMap, params: Params) -> Result<Response, ApiError> {
    let begun = Instant::now();
    let now = Timestamp::now();
    if wants_lines(&headers) {
        return lines(api, &params, now).await;
    }
    let request = read_request(api.limits.timeout, &params, now, LIMIT_MAX)?;
    let response = api.store.search(request).await?;
    let took_ms = begun.elapsed().as_millis() as u64;
    Ok(Json(Found { response: &response, took_ms }).into_response())
}

/// Whether a client asks for a record a line.
fn wants_lines(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let kinds =
        accepted.flat_map(|value| value.split(',')).map(|kind| kind.split(';').next().unwrap_or_default().trim());
    kinds
        .into_iter()
        .any(|kind| ["application/x-ndjson", "application/ndjson"].iter().any(|lines| kind.eq_ignore_ascii_case(lines)))
}

/// The records of a search as a stream: all of them unless said. Sorted ones come on one page.
async fn lines(api: Arc<Api>, params: &Params, now: Timestamp) -> Result<Response, ApiError> {
    let is_limited = params.get("limit").is_some();
    if params.get("sort").is_some() {
        let request = read_request(api.limits.timeout, params, now, LIMIT_MAX)?;
        let limit = if is_limited { request.limit } else { LIMIT_MAX };
        return stream::page(&api, SearchRequest { limit, buckets: 0, ..request }).await;
    }
    let request = read_request(api.limits.timeout, params, now, usize::MAX)?;
    let limit = is_limited.then_some(request.limit);
    stream::lines(api, request, limit).await
}

/// A hit as it is shown.
pub fn document(hit: &Hit) -> Document<'_> {
    Document { record: &hit.record, seq: Some(hit.seq), names: Names::Canonical }
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
            SearchError::Memory { .. } | SearchError::Rows { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "limit"),
            SearchError::Steps { .. } => return ApiError::bad_parameter("step", error),
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
        let request = http::Request::get(uri).body(axum::body::Body::empty()).expect("a request");
        let params = Params::from_request(request, &()).await?;
        read_request(Duration::from_secs(1), &params, Timestamp::from_millis(1_714_550_400_000), LIMIT_MAX)
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
        let (timestamp, now) = (Timestamp::from_millis(5), Timestamp::from_millis(1_714_550_000_000));
        let cursor = Cursor { timestamp, seq: 3, upper: 9, newest_first: true, search: 7, now };
        let text = cursor.encode();
        let error = request(&format!("cursor={text}&offset=1")).await.expect_err("both");
        assert_eq!((error.status, error.code), (StatusCode::BAD_REQUEST, "bad_parameter"));
        assert!(error.message.starts_with("`offset`: "), "{}", error.message);
        let read = request(&format!("cursor={text}&offset=0")).await.expect("no offset");
        assert_eq!((read.cursor, read.offset, read.now), (Some(cursor), 0, now));
        assert_eq!(read.range.start, now.plus_millis(-DEFAULT_RANGE_MS), "relative times are those of the first page");
    }

    #[test]
    fn a_cursor_of_another_search_is_a_bad_parameter() {
        let error = ApiError::from(SearchError::CursorMismatch);
        assert_eq!((error.status, error.code), (StatusCode::BAD_REQUEST, "bad_parameter"));
        let told = "this cursor belongs to another search; pass it with the same q, filters, range and order";
        assert_eq!(error.message, format!("`cursor`: {told}"));
    }
}
