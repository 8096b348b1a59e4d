//! `/api/v1/logs/context`: what was logged around a record, and `/api/v1/logs/{id}`: the record alone.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use serde::Serialize;
use watchfire_log_store::context::ContextRequest;
use watchfire_log_store::document::Document;
use watchfire_model::Timestamp;

use crate::error::ApiError;
use crate::filters::{FILTER_NAMES, filtered_query};
use crate::logs::document;
use crate::params::{Params, shown};
use crate::state::Api;

/// Most records on one side.
const SIDE_MAX: usize = 1000;

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/logs/context", routing::get(context).post(context))
        .route("/api/v1/logs/{id}", routing::get(by_id))
}

#[derive(Serialize)]
struct Around<'a> {
    before: Vec<Document<'a>>,
    record: Document<'a>,
    after: Vec<Document<'a>>,
    took_ms: u64,
}

async fn context(State(api): State<Arc<Api>>, params: Params) -> Result<Response, ApiError> {
    let begun = Instant::now();
    params.only(&[&FILTER_NAMES, &["q", "id", "before", "after", "scope"]])?;
    let Some(id) = params.get("id") else {
        return Err(ApiError::bad_parameter("id", "it is missing").hint("pass the `id` of a record of a search"));
    };
    let all = match params.get("scope") {
        None | Some("source") => false,
        Some("all") => true,
        Some(other) => {
            let problem = format!("`{}` is neither source nor all", shown(other));
            return Err(ApiError::bad_parameter("scope", problem)
                .hint("source: the record's own service and host; all: every record"));
        }
    };
    let request = ContextRequest {
        id: id.to_owned(),
        before: params.number("before", 10, SIDE_MAX)?,
        after: params.number("after", 10, SIDE_MAX)?,
        all,
        query: filtered_query(&params, Timestamp::now())?,
        time_limit: api.limits.timeout,
    };
    let Some(found) = api.store.context(request).await? else { return Err(unknown_id(id)) };
    let around = Around {
        before: found.before.iter().map(document).collect(),
        record: document(&found.record),
        after: found.after.iter().map(document).collect(),
        took_ms: begun.elapsed().as_millis() as u64,
    };
    Ok(Json(around).into_response())
}

async fn by_id(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    params: Params,
) -> Result<Response, ApiError> {
    let Path(id) = id?;
    params.only(&[])?;
    match api.store.get_by_id(id.clone()).await? {
        Some(hit) => Ok(Json(document(&hit)).into_response()),
        None => Err(unknown_id(&id)),
    }
}

fn unknown_id(id: &str) -> ApiError {
    ApiError::not_found(format!("no record has the id `{}`", shown(id)))
}
