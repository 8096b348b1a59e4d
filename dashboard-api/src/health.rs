//! How the server is doing: `/api/v1/health`, `/health`, `/queue/status`, `/-/healthy`, `/-/ready`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::params::Params;
use crate::roles::Roles;
use crate::state::Api;

/// Overall state, worst first in the order of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All is well.
    Ok,
    /// It serves, but something needs a look.
    Degraded,
    /// Not ready yet.
    Starting,
    /// Stopping: nothing new is accepted.
    Draining,
}

impl Status {
    /// As it stands in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Degraded => "degraded",
            Status::Starting => "starting",
            Status::Draining => "draining",
        }
    }
}

/// A part of the server.
#[derive(Clone, Debug)]
pub struct Component {
    /// `queue`, `log_store`, `engine`, `alerting`, `disk`.
    pub name: &'static str,
    /// `ok`, or what is wrong in words.
    pub problem: Option<String>,
    /// Figures by name.
    pub figures: Vec<(&'static str, f64)>,
}

/// A reading of the whole server.
#[derive(Clone, Debug)]
pub struct Health {
    /// Of all.
    pub status: Status,
    /// What runs in this process.
    pub roles: Roles,
    /// Its parts.
    pub components: Vec<Component>,
    /// What replay has done so far, while starting.
    pub progress: Option<String>,
}

/// The queue as D2's `/queue/status` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueStatus {
    /// Accepted and not yet taken by the slowest consumer.
    pub pending_records: u64,
    /// How many consumers read it.
    pub consumers: usize,
    /// Offset of the newest record; `None` while it is empty.
    pub last_offset: Option<u64>,
}

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/health", routing::get(health))
        .route("/health", routing::get(short_health))
        .route("/queue/status", routing::get(queue_status))
        .route("/-/healthy", routing::get(|| async { "watchfire is healthy\n" }))
        .route("/-/ready", routing::get(ready))
        .route("/-/reload", routing::post(reload).put(reload))
}

async fn health(State(api): State<Arc<Api>>) -> Response {
    let health = (api.health)();
    let mut components = Map::new();
    for component in &health.components {
        let mut part = Map::new();
        let status = if component.problem.is_some() { "degraded" } else { "ok" };
        part.insert("status".to_owned(), json!(status));
        if let Some(problem) = &component.problem {
            part.insert("problem".to_owned(), json!(problem));
        }
        part.extend(
            component.figures.iter().map(|(name, figure)| ((*name).to_owned(), crate::metrics::number(*figure))),
        );
        components.insert(component.name.to_owned(), Value::Object(part));
    }
    let body = json!({
        "status": health.status.as_str(),
        "version": env!("CARGO_PKG_VERSION"),
        "roles": health.roles.names(),
        "uptime_s": api.started.elapsed().as_secs(),
        "components": components,
    });
    let code = match health.status {
        Status::Ok | Status::Degraded => StatusCode::OK,
        Status::Starting | Status::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, Json(body)).into_response()
}

async fn short_health(State(api): State<Arc<Api>>) -> Json<Value> {
    let health = (api.health)();
    let serves = matches!(health.status, Status::Ok | Status::Degraded);
    Json(json!({
        "status": if serves { "healthy" } else { "unhealthy" },
        "api": "online",
        "redis": "not_configured",
        "roles": health.roles.names(),
        "websocket_connections": api.tail.readers(),
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

async fn queue_status(State(api): State<Arc<Api>>, params: Params) -> Result<Json<Value>, ApiError> {
    params.only(&[])?;
    let queue = (api.queue_status)();
    Ok(Json(json!({
        "status": "success",
        "queue_name": "log_queue",
        "pending_messages": queue.pending_records,
        "consumer_groups": queue.consumers,
        "consumers": queue.consumers,
        "last_message_id": queue.last_offset.map(|offset| offset.to_string()),
    })))
}

async fn ready(State(api): State<Arc<Api>>) -> Response {
    let health = (api.health)();
    match health.status {
        Status::Ok | Status::Degraded => "watchfire is ready\n".into_response(),
        Status::Starting => {
            let progress = health.progress.unwrap_or_else(|| "the queue is being replayed".to_owned());
            ApiError::unavailable("starting", progress).into_response()
        }
        Status::Draining => ApiError::unavailable("draining", "the server is stopping").into_response(),
    }
}

async fn reload(State(api): State<Arc<Api>>) -> Result<String, ApiError> {
    let reload = api.reload.clone();
    let outcome = tokio::task::spawn_blocking(move || reload()).await.map_err(ApiError::internal)?;
    // 500 as Prometheus answers, with the text of every fault.
    outcome.map_err(|faults| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "reload_failed", faults))
}
