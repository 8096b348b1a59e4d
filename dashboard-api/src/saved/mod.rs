//! Saved searches and queries: `GET|PUT|DELETE /api/v1/saved/{name}`, `GET /api/v1/saved`.
//!
//! An entry is an object with `q` (a search) or `query` (a query of metrics), which must be one that can be asked,
//! what else such a call takes, and what its page wants to remember of it, under `view`.

pub mod file;

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use http::StatusCode;
use serde_json::{Map, Value, json};
use watchfire_model::Timestamp;
use watchfire_query_lang::Query;

use crate::body;
use crate::error::ApiError;
use crate::filters::SEARCHED;
use crate::logs;
use crate::metrics::read_step;
use crate::params::{Params, shown, unknown_of};
use crate::state::Api;
use file::{ENTRY_BYTES_MAX, Entry, NAME_CHARS_MAX, SaveError, is_name};

/// What an entry may have beside [`SEARCHED`]: `view` is anything, for the page that saved it.
const MEMBERS: [&str; 9] = ["query", "limit", "order", "sort", "buckets", "step", "columns", "description", "view"];

/// What of [`MEMBERS`] a search does not take.
const NOT_OF_SEARCHES: [&str; 5] = ["query", "step", "columns", "description", "view"];

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    let one = routing::get(get).put(put).delete(delete);
    Router::new().route("/api/v1/saved", routing::get(list)).route("/api/v1/saved/{name}", one)
}

/// The name in the address.
type Named = Result<Path<String>, PathRejection>;

impl From<SaveError> for ApiError {
    fn from(error: SaveError) -> ApiError {
        let message = error.to_string();
        match error {
            SaveError::TooMany | SaveError::TooLarge => {
                ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "limit", message)
            }
            SaveError::Io(error) => {
                tracing::error!(%error, "saved searches cannot be written");
                ApiError::unavailable("storage", message)
            }
        }
    }
}

async fn list(State(api): State<Arc<Api>>, params: Params) -> Result<Json<Value>, ApiError> {
    params.only(&[])?;
    let saved: Vec<Value> = api.saved.list().into_iter().map(|(name, entry)| document(&name, entry)).collect();
    Ok(Json(json!({ "saved": saved })))
}

async fn get(State(api): State<Arc<Api>>, name: Named, params: Params) -> Result<Json<Value>, ApiError> {
    let Path(name) = name?;
    params.only(&[])?;
    let entry = api.saved.get(&name).ok_or_else(|| unknown(&name))?;
    Ok(Json(document(&name, entry)))
}

async fn put(State(api): State<Arc<Api>>, name: Named, request: Request) -> Result<Response, ApiError> {
    let Path(name) = name?;
    if !is_name(&name) {
        let problem = format!("`{}` is no name for a saved search", shown(&name));
        return Err(ApiError::bad_parameter("name", problem)
            .hint(format!("use letters, digits, blanks, `-`, `_` and `.`, up to {NAME_CHARS_MAX} of them")));
    }
    Params::of_query(&request).only(&[])?;
    let sent = body::read(request.into_body(), ENTRY_BYTES_MAX).await?;
    let entry = Entry { saved_at: Timestamp::now(), members: read_entry(&sent)? };
    let (kept, name_kept) = (entry.clone(), name.clone());
    let is_new =
        tokio::task::spawn_blocking(move || api.saved.put(&name_kept, kept)).await.map_err(ApiError::internal)??;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(document(&name, entry))).into_response())
}

async fn delete(State(api): State<Arc<Api>>, name: Named, params: Params) -> Result<StatusCode, ApiError> {
    let Path(name) = name?;
    params.only(&[])?;
    let wanted = name.clone();
    let was_there =
        tokio::task::spawn_blocking(move || api.saved.delete(&wanted)).await.map_err(ApiError::internal)??;
    if was_there { Ok(StatusCode::NO_CONTENT) } else { Err(unknown(&name)) }
}

fn unknown(name: &str) -> ApiError {
    ApiError::not_found(format!("nothing is saved as `{}`", shown(name))).hint("GET /api/v1/saved lists what there is")
}

/// An entry as it is shown; sent back, it is saved again.
fn document(name: &str, entry: Entry) -> Value {
    let mut members = entry.members;
    members.insert("name".to_owned(), json!(name));
    members.insert("saved_at".to_owned(), json!(entry.saved_at.to_rfc3339()));
    Value::Object(members)
}

/// What was sent, if it can be asked.
fn read_entry(sent: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let mut members: Map<String, Value> =
        serde_json::from_slice(sent).map_err(|error| ApiError::malformed_json(sent, &error))?;
    // The name stands in the address, the time is ours.
    members.remove("name");
    members.remove("saved_at");
    let known = [&SEARCHED[..], &MEMBERS].concat();
    if let Some(unknown) = members.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(unknown_of("field", unknown, &known));
    }
    let text = |name: &str| match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(ApiError::bad_parameter(name, "a text is wanted")),
    };
    let (search, query) = (text("q")?, text("query")?);
    // The search itself, and what goes with it: read as a call would read it.
    let asked = members.iter().filter(|(name, _)| !NOT_OF_SEARCHES.contains(&name.as_str()));
    logs::check(&Params::of_members(asked)?, Timestamp::now())?;
    if let Some(query) = query {
        Query::parse(query)?;
    }
    if let Some(step) = Params::of_members(members.iter().filter(|(name, _)| *name == "step"))?.get("step") {
        read_step("step", step)?;
    }
    if search.is_none() && query.is_none() {
        return Err(ApiError::bad_parameter("q", "it is missing, and so is `query`")
            .hint("send `q` for a search of logs, or `query` for a query of metrics"));
    }
    Ok(members)
}
