//! `GET /federate`: the newest samples of the series that are asked for, as another Prometheus scrapes them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use axum::{Router, routing};
use http::StatusCode;
use watchfire_engine::{SeriesKind, SeriesView, TimeRange};
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{Matcher, Timestamp};

use super::params::Asked;
use super::reply::Refused;
use crate::error::ApiError;
use crate::exposition::{CONTENT_TYPE, LOOKBACK_MS, newest, push, put_sample};
use crate::pieces::{PIECE_BYTES, Pieces, in_pieces};
use crate::state::Api;

/// Stands in every line, so that the reader's own label of that name cannot take its place.
const INSTANCE: &str = "instance";

/// Routes of this file.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/federate", routing::get(federate))
}

async fn federate(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refused> {
    let now = Timestamp::now();
    let range = TimeRange { start: now.plus_millis(-LOOKBACK_MS), end: now };
    let federation = Federation { api, selectors: asked.matchers()?, range, found: None, metric: String::new() };
    Ok(in_pieces(federation, CONTENT_TYPE).await?)
}

/// How far an answer is.
struct Federation {
    api: Arc<Api>,
    selectors: Vec<Vec<Matcher>>,
    range: TimeRange,
    /// The series that are left, by metric and labels, once they were looked for.
    found: Option<std::vec::IntoIter<SeriesView>>,
    /// The metric whose series are being written.
    metric: String,
}

impl Federation {
    fn find(&self) -> Result<Vec<SeriesView>, ApiError> {
        let mut found = Vec::new();
        for matchers in &self.selectors {
            let views = self.api.engine.select(matchers, self.range);
            let views = views.map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "bad_data", error.to_string()))?;
            // Histograms cannot be said in a line.
            found.extend(views.into_iter().filter(|view| view.kind() != SeriesKind::Distribution));
        }
        found.sort_by(|a, b| {
            let (a, b) = (a.labels(), b.labels());
            a.metric_name().cmp(b.metric_name()).then_with(|| a.cmp(b))
        });
        found.dedup_by(|a, b| a.labels() == b.labels());
        Ok(found)
    }

    fn put(&mut self, view: &SeriesView, text: &mut String) {
        let (at, value) = match view.kind() {
            SeriesKind::Samples(_) => match newest(view, self.range) {
                Some(sample) => (sample.timestamp, sample.value),
                None => return,
            },
            SeriesKind::Increments => match view.total_at(self.range.end) {
                Some(total) => (self.range.end, total),
                None => return,
            },
            SeriesKind::Distribution => return,
        };
        let labels = view.labels();
        let name = labels.metric_name();
        let instance = labels.get(INSTANCE).is_none().then_some((INSTANCE, ""));
        let others = labels.iter().filter(|(label, _)| *label != METRIC_NAME).chain(instance);
        let begun = text.len();
        put_sample(text, name, others, value);
        push(text, format_args!(" {}\n", at.millis()));
        if self.metric != name {
            self.metric = name.to_owned();
            let shown = text[begun..].split(['{', ' ']).next().unwrap_or_default();
            let head = format!("# TYPE {shown} untyped\n");
            text.insert_str(begun, &head);
        }
    }
}

impl Pieces for Federation {
    fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        let mut left = match self.found.take() {
            Some(left) => left,
            None => self.find()?.into_iter(),
        };
        let mut text = String::new();
        while text.len() < PIECE_BYTES
            && let Some(view) = left.next()
        {
            self.put(&view, &mut text);
        }
        self.found = Some(left);
        Ok((!text.is_empty()).then(|| text.into()))
    }
}
