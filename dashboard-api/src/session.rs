//! `/api/v1/session`: a browser exchanges a key, or a name and password, for a cookie (docs/security.md).
//!
//! The page keeps no secret: the cookie is out of its reach (HttpOnly), goes to us only (SameSite=Strict) and ends
//! by itself. WebSockets carry it too.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;
use watchfire_model::Timestamp;

use crate::audit::{self, Actor};
use crate::auth::credentials::{COOKIE, Sent, cookie};
use crate::auth::sessions::LIFETIME;
use crate::auth::{Access, Identity};
use crate::error::ApiError;
use crate::params::Params;
use crate::serve::{Peer, Secured};

/// The routes of this file.
pub fn router(access: Arc<Access>) -> Router {
    let methods = routing::get(show).post(open).delete(close);
    Router::new().route("/api/v1/session", methods).with_state(access)
}

/// Who the sender is, and by which means one can say it.
async fn show(State(access): State<Arc<Access>>, Peer(peer): Peer, headers: HeaderMap) -> Response {
    let identity = access.identify(&Sent::of(&headers), peer).await.ok().flatten();
    answer(&access, identity.as_ref())
}

/// Takes `{"key"}` or `{"username", "password"}`, or what the headers say, and answers a cookie.
async fn open(State(access): State<Arc<Access>>, Peer(peer): Peer, request: Request) -> Result<Response, ApiError> {
    let secured = request.extensions().get::<Secured>().is_some() || is_forwarded_tls(request.headers());
    let by_headers = Sent::of(request.headers());
    let params = Params::from_request(request, &()).await?;
    let sent = match (params.get("key"), params.get("username"), params.get("password")) {
        (Some(key), _, _) => Sent::Key(key.as_bytes().to_vec()),
        (None, Some(name), password) => Sent::Password(name.to_owned(), password.unwrap_or_default().to_owned()),
        (None, None, _) => match by_headers {
            // A session does not prolong itself: a stolen cookie would live for ever.
            Sent::Session(_) => Sent::Nothing,
            sent => sent,
        },
    };
    let Some(identity) = access.identify(&sent, peer).await? else { return Ok(answer(&access, None)) };
    let now = Instant::now();
    let token = access.sessions.open(identity.holder.clone(), now).map_err(ApiError::internal)?;
    let identity = Identity { ends: Some(now + LIFETIME), ..identity };
    audit::record(Actor::Known(&identity), Some(peer), "login", "done");
    Ok(with_cookie(answer(&access, Some(&identity)), &token, LIFETIME, secured))
}

/// Ends the session, if there is one.
async fn close(State(access): State<Arc<Access>>, request: Request) -> Response {
    let secured = request.extensions().get::<Secured>().is_some() || is_forwarded_tls(request.headers());
    if let Some(token) = cookie(request.headers()) {
        access.sessions.close(token.as_bytes());
    }
    with_cookie(StatusCode::NO_CONTENT.into_response(), "", Duration::ZERO, secured)
}

/// Whether a proxy before us speaks TLS. Who lies here only makes their own cookie stricter.
fn is_forwarded_tls(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https")
}

fn answer(access: &Access, identity: Option<&Identity>) -> Response {
    let mut body = json!({
        "required": access.is_required(),
        "authenticated": identity.is_some(),
        "methods": access.methods(),
    });
    if let Some(identity) = identity {
        body["name"] = json!(&*identity.name);
        body["scopes"] = json!(identity.scopes.names().collect::<Vec<_>>());
    }
    if let Some(ends) = identity.and_then(|identity| identity.ends) {
        let left_ms = i64::try_from(ends.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(i64::MAX);
        body["expires_at"] = json!(Timestamp::now().plus_millis(left_ms).to_rfc3339());
    }
    let mut response = Json(body).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn with_cookie(mut response: Response, token: &str, lifetime: Duration, secured: bool) -> Response {
    let secure = if secured { "; Secure" } else { "" };
    let seconds = lifetime.as_secs();
    let text = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    // Hex digits and plain words always make a header.
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}
