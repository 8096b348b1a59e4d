//! Silences, as Alertmanager's API v2 has them: `/api/v2/silences`, `/api/v2/silence/{id}`.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::{Extension, Json, Router, routing};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use watchfire_alerting::silences::{Asked, MatcherText, Silence, SilenceError, Silences};
use watchfire_model::{LabelSet, Timestamp};

use crate::alertmanager::{Refused, filters};
use crate::audit::{Did, quoted};
use crate::body;
use crate::error::ApiError;
use crate::params::{Params, shown};
use crate::state::Api;

/// Longest body, bytes.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Matchers that are told to the audit.
const AUDITED_MATCHERS_MAX: usize = 10;

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v2/silences", routing::get(list).post(set))
        .route("/api/v2/silence/{id}", routing::get(get).delete(expire))
}

/// A silence as clients send it; with an id, the one that shall change.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    #[serde(default)]
    id: Option<String>,
    matchers: Vec<MatcherText>,
    starts_at: String,
    ends_at: String,
    created_by: String,
    comment: String,
}

impl From<SilenceError> for ApiError {
    fn from(error: SilenceError) -> ApiError {
        let message = error.to_string();
        match error {
            SilenceError::Unknown(_) => ApiError::not_found(message),
            SilenceError::Ended(_) => ApiError::new(StatusCode::CONFLICT, "ended", message),
            SilenceError::Fault(_) => ApiError::new(StatusCode::BAD_REQUEST, "silence", message),
            SilenceError::TooMany => ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "limit", message),
            SilenceError::Io(error) => {
                tracing::error!(%error, "silences cannot be written");
                ApiError::unavailable("storage", message)
            }
        }
    }
}

fn silences(api: &Api) -> Result<Arc<Silences>, ApiError> {
    // Without the role the request was answered before.
    api.silences.clone().ok_or_else(|| ApiError::not_found("nobody is told of alerts by this process"))
}

async fn list(State(api): State<Arc<Api>>, params: Params) -> Result<Json<Vec<Value>>, Refused> {
    // Compared with what silences match; all of them must fit.
    let filters = filters(&params)?;
    let now = Timestamp::now();
    let fits = |silence: &Arc<Silence>| {
        let pairs = silence.matchers.iter().map(|matcher| (matcher.name.as_str(), matcher.value.as_str()));
        let labels = LabelSet::from_pairs(pairs).unwrap_or_else(|_| LabelSet::empty());
        filters.iter().all(|filter| filter.matches_labels(&labels))
    };
    let listed = silences(&api)?.list(now);
    Ok(Json(listed.iter().filter(|silence| fits(silence)).map(|silence| document(silence, now)).collect()))
}

async fn set(State(api): State<Arc<Api>>, request: Request) -> Result<(Option<Extension<Did>>, Json<Value>), Refused> {
    Params::of_query(&request).only(&[])?;
    let sent = body::read(request.into_body(), BODY_BYTES_MAX).await?;
    let asked: Sent = serde_json::from_slice(&sent).map_err(|error| ApiError::malformed_json(&sent, &error))?;
    let time = |name: &str, text: &str| {
        Timestamp::parse_date_time(text)
            .ok_or_else(|| ApiError::bad_parameter(name, format!("`{}` is no date and time", shown(text))))
    };
    let asked = Asked {
        starts_at: time("startsAt", &asked.starts_at)?,
        ends_at: time("endsAt", &asked.ends_at)?,
        id: asked.id,
        matchers: asked.matchers,
        created_by: asked.created_by,
        comment: asked.comment,
    };
    let silences = silences(&api)?;
    let setting = silences.clone();
    let done = tokio::task::spawn_blocking(move || setting.set(&asked, Timestamp::now()));
    let id = done.await.map_err(ApiError::internal)??;
    Ok((did("set", &silences, &id), Json(json!({ "silenceID": id }))))
}

/// The id in the address.
type Named = Result<Path<String>, PathRejection>;

async fn get(State(api): State<Arc<Api>>, id: Named, params: Params) -> Result<Json<Value>, Refused> {
    let Path(id) = id?;
    params.only(&[])?;
    let silence = silences(&api)?.get(&id).ok_or(SilenceError::Unknown(shown(&id)))?;
    Ok(Json(document(&silence, Timestamp::now())))
}

async fn expire(
    State(api): State<Arc<Api>>,
    id: Named,
    params: Params,
) -> Result<(Option<Extension<Did>>, ()), Refused> {
    let Path(id) = id?;
    params.only(&[])?;
    let silences = silences(&api)?;
    let (ending, ended) = (silences.clone(), id.clone());
    let done = tokio::task::spawn_blocking(move || ending.expire(&ended, Timestamp::now()));
    done.await.map_err(ApiError::internal)??;
    Ok((did("ended", &silences, &id), ()))
}

/// What was done to a silence, for those who ask later who did it.
fn did(verb: &str, silences: &Silences, id: &str) -> Option<Extension<Did>> {
    let silence = silences.get(id)?;
    let matchers = silence.matchers.iter().take(AUDITED_MATCHERS_MAX).map(|matcher| {
        let sign = match (matcher.is_equal, matcher.is_regex) {
            (true, false) => "=",
            (false, false) => "!=",
            (true, true) => "=~",
            (false, true) => "!~",
        };
        format!("{}{sign}{}", shown(&matcher.name).escape_debug(), quoted(&matcher.value))
    });
    let matchers = matchers.collect::<Vec<String>>().join(" ");
    let (until, comment) = (silence.ends_at, quoted(&silence.comment));
    Some(Extension(Did(format!("silence {verb}: {id}, until {until}, comment {comment}, {matchers}"))))
}

fn document(silence: &Silence, now: Timestamp) -> Value {
    json!({
        "id": silence.id,
        "status": {"state": silence.state(now).as_str()},
        "updatedAt": silence.updated_at.to_rfc3339(),
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "startsAt": silence.starts_at.to_rfc3339(),
        "endsAt": silence.ends_at.to_rfc3339(),
        "matchers": silence.matchers,
    })
}
