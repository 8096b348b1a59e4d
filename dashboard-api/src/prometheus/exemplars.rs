//! `query_exemplars`: the exemplars of the series that a query reads.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use http::StatusCode;
use watchfire_engine::{Exemplar, SeriesExemplars};
use watchfire_model::Timestamp;

use super::moment::Moment;
use super::params::Asked;
use super::reply::{Refused, Reply, written};
use super::write;
use crate::error::ApiError;
use crate::state::Api;

/// Routes of this file.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/api/v1/query_exemplars", routing::get(exemplars).post(exemplars))
}

async fn exemplars(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refused> {
    let start = asked.time("start")?.map_or(Timestamp::from_millis(i64::MIN), Moment::millis);
    let end = asked.time("end")?.map_or(Timestamp::from_millis(i64::MAX), Moment::millis);
    if end < start {
        return Err(Refused::bad_data("end timestamp must not be before start timestamp"));
    }
    let query = asked.query_alone(&api).await?;
    let mut selectors = Vec::new();
    query.root().for_each_selector(&mut |matchers| selectors.push(matchers.to_vec()));
    if selectors.is_empty() {
        // Nothing can be found, as Prometheus says it.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let select = move || {
        let mut reply = Reply::new();
        put(reply.data(), &api.engine.exemplars(&selectors, start, end));
        written(reply.finish(&Default::default()))
    };
    Ok(tokio::task::spawn_blocking(select).await.map_err(ApiError::internal)?)
}

fn put(out: &mut Vec<u8>, series: &[SeriesExemplars]) {
    write::list(out, series, |out, (labels, exemplars)| {
        out.extend_from_slice(b"{\"seriesLabels\":");
        write::labels(out, labels);
        out.extend_from_slice(b",\"exemplars\":");
        write::list(out, exemplars, put_exemplar);
        out.push(b'}');
    });
}

fn put_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar) {
    out.extend_from_slice(b"{\"labels\":");
    write::labels(out, &exemplar.labels);
    out.extend_from_slice(b",\"value\":");
    write::quoted(out, exemplar.value);
    out.extend_from_slice(b",\"timestamp\":");
    write::time(out, exemplar.at);
    out.push(b'}');
}
