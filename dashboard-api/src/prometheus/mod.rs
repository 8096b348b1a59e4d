//! Prometheus' HTTP API: what its clients (Grafana's data source, promtool, …) call, in its shapes, with its error
//! types and codes. Both listeners serve it; docs/prometheus.md is the user's page of it.
//!
//! Parameters come in the query string, a form or JSON; unknown ones are ignored, as Prometheus does.

pub mod admin;
mod answer;
mod exemplars;
mod federate;
mod go;
pub mod known;
mod moment;
mod notifications;
mod openapi;
mod params;
mod plain;
mod pool_config;
mod query;
mod remote_read;
mod reply;
mod rules;
mod self_metrics;
mod series;
mod status;
mod targets;
mod tree;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use http::Method;

use crate::state::Api;
pub(crate) use plain::nothing_at;
pub(crate) use remote_read::AT_ONCE as REMOTE_READS_AT_ONCE;

/// Routes of these files.
pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .merge(admin::routes())
        .merge(exemplars::routes())
        .merge(federate::routes())
        .merge(notifications::routes())
        .merge(openapi::routes())
        .merge(pool_config::routes())
        .merge(query::routes())
        .merge(remote_read::routes())
        .merge(rules::routes())
        .merge(series::routes())
        .merge(status::routes())
        .merge(targets::routes())
        .method_not_allowed_fallback(plain::wrong_method)
        .route_layer(middleware::from_fn(without_head))
}

/// HEAD is refused, as there: it would cost as much as the whole answer.
async fn without_head(request: Request, next: Next) -> Response {
    match *request.method() {
        Method::HEAD => plain::wrong_method(request).await,
        _ => next.run(request).await,
    }
}
