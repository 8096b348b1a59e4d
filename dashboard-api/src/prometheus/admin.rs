//! Prometheus' admin API, `admin/tsdb/…`: answered only where `admin_api: true` stands in the configuration.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use http::StatusCode;
use serde_json::json;
use watchfire_engine::{DeleteError, TimeRange};
use watchfire_query_lang::Notes;

use super::go::boolean;
use super::params::Asked;
use super::reply::{Refused, in_background, success_bytes};
use crate::error::ApiError;
use crate::state::Api;

/// Writes a copy of all series into the data folder; gives its name, or why not. Blocks.
pub type Snapshot = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// Routes of this file.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/admin/tsdb/delete_series", routing::post(delete_series).put(delete_series))
        .route("/api/v1/admin/tsdb/clean_tombstones", routing::post(clean_tombstones).put(clean_tombstones))
        .route("/api/v1/admin/tsdb/snapshot", routing::post(snapshot).put(snapshot))
}

/// What is answered where the admin API is off, as with Prometheus.
fn check(api: &Api) -> Result<(), Refused> {
    match api.admin_api {
        true => Ok(()),
        false => Err(Refused::switched_off("admin APIs disabled (set `admin_api: true` in the configuration)")),
    }
}

async fn delete_series(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refused> {
    check(&api)?;
    asked.whole_form()?;
    if asked.params.all("match[]").next().is_none() {
        return Err(Refused::bad_data("no match[] parameter provided"));
    }
    let range = asked.range()?.unwrap_or(TimeRange::ALWAYS);
    // One that means everything is refused, though it deletes everything there: it is rarely meant so.
    let selectors = asked.matchers(&api).await?.map_err(|problem| Refused::parameter("match[]", problem))?;
    let work = move || {
        let mut deleted = 0;
        for matchers in &selectors {
            deleted += api.engine.delete(matchers, range).map_err(refused)?;
        }
        tracing::info!(samples = deleted, "samples were deleted by the admin API");
        Ok::<_, Refused>(())
    };
    tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)??;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn refused(error: DeleteError) -> Refused {
    let message = error.to_string();
    Refused::from(match error {
        DeleteError::Select(_) => ApiError::new(StatusCode::BAD_REQUEST, "bad_data", message),
        DeleteError::Counted { .. } => ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "execution", message),
        DeleteError::Log(error) => {
            tracing::error!(%error, "the engine's log cannot be written");
            let message = "nothing more can be deleted now; the server's log has the cause";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
        }
    })
}

/// What is deleted is gone at once: there are no tombstones to be cleaned.
async fn clean_tombstones(State(api): State<Arc<Api>>) -> Result<Response, Refused> {
    check(&api)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn snapshot(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refused> {
    check(&api)?;
    // There is no head that could be left out: all that is there is in the copy.
    if let Some(Err(problem)) = asked.get("skip_head").map(boolean) {
        return Err(Refused::parameter("skip_head", format!("unable to parse boolean: {problem}")));
    }
    let copy = api.snapshot.clone();
    in_background(move || {
        let name = copy().map_err(|reason| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", reason))?;
        success_bytes(&json!({"name": name}), &Notes::default())
    })
    .await
}
