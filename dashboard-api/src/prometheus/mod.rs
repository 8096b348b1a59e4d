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
mod notifications;
mod params;
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

use crate::state::Api;
pub(crate) use remote_read::AT_ONCE as REMOTE_READS_AT_ONCE;

/// Routes of these files.
pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .merge(admin::routes())
        .merge(exemplars::routes())
        .merge(federate::routes())
        .merge(notifications::routes())
        .merge(pool_config::routes())
        .merge(query::routes())
        .merge(remote_read::routes())
        .merge(rules::routes())
        .merge(series::routes())
        .merge(status::routes())
        .merge(targets::routes())
}
