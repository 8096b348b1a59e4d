//! `GET /federate`: the newest samples of the series that are asked for, as another Prometheus scrapes them.
//!
//! Native histograms are told where protobuf is; those of custom bounds as classic ones, in text too.
//! Source: `web/federate.go` of Prometheus.

mod protobuf;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use axum::{Router, routing};
use http::{HeaderMap, StatusCode};
use watchfire_engine::{SeriesKind, SeriesView, TimeRange};
use watchfire_exposition::escaping::Escaping;
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{Histogram, LabelSet, Matcher, Timestamp};

use super::params::Asked;
use super::plain::Plain;
use crate::error::ApiError;
use crate::exposition::{LOOKBACK_MS, Newest, newest};
use crate::negotiate::{Form, Negotiated};
use crate::pieces::{PIECE_BYTES, Pieces, in_pieces};
use crate::state::Api;

/// Stands in every line, so that the reader's own label of that name cannot take its place.
const INSTANCE: &str = "instance";

/// Labels that series carry which have none of these names.
type Added = BTreeMap<String, String>;

/// Routes of this file.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/federate", routing::get(federate))
}

async fn federate(State(api): State<Arc<Api>>, headers: HeaderMap, asked: Asked) -> Result<Response, Plain> {
    if let Some(fault) = asked.fault() {
        return Err(Plain::new(StatusCode::BAD_REQUEST, fault));
    }
    let now = Timestamp::now();
    let range = TimeRange { start: now.plus_millis(-LOOKBACK_MS), end: now };
    let negotiated = Negotiated::of(&headers, &[Form::Protobuf, Form::Text]);
    let written = match negotiated.form {
        Form::Protobuf => Written::Protobuf(protobuf::Families::default()),
        Form::Text => Written::Text(text::Lines::default()),
    };
    let escaping = negotiated.escaping;
    // Of a selector without any condition nothing is found, which is no error here.
    let selectors = asked.matchers_of_any(&api).await?;
    let mut selectors = selectors.map_err(|problem| Plain::new(StatusCode::BAD_REQUEST, problem))?;
    selectors.retain(|matchers| !matchers.is_empty());
    let external = api.external_labels();
    let mut added: Added = external.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    added.entry(INSTANCE.to_owned()).or_default();
    let federation = Federation { api, selectors, range, added, found: None, escaping, written };
    Ok(in_pieces(federation, negotiated.content_type()).await?)
}

/// What is written.
enum Written {
    Text(text::Lines),
    Protobuf(protobuf::Families),
}

/// The newest of one series.
struct Told<'t> {
    labels: &'t LabelSet,
    added: &'t Added,
    escaping: Escaping,
    at: Timestamp,
    value: &'t Newest,
}

impl<'t> Told<'t> {
    /// Its labels without the name of the metric, and those that are added.
    fn others(&self) -> impl Iterator<Item = (&'t str, &'t str)> + use<'t> {
        let Told { labels, added, .. } = *self;
        let added = added.iter().filter(|(name, _)| labels.get(name).is_none());
        let added = added.map(|(name, value)| (name.as_str(), value.as_str()));
        labels.iter().filter(|(label, _)| *label != METRIC_NAME).chain(added)
    }
}

/// The bounds of a custom histogram, without infinity, and how much lies at or below each.
fn cumulative(histogram: &Histogram) -> impl Iterator<Item = (f64, f64)> + '_ {
    let (mut buckets, mut count) = (histogram.positive().iter().peekable(), 0.0);
    histogram.bounds().iter().zip(0..).map(move |(bound, place)| {
        count += buckets.next_if(|(have, _)| *have == place).map_or(0.0, |(_, count)| *count);
        (*bound, count)
    })
}

/// How far an answer is.
struct Federation {
    api: Arc<Api>,
    selectors: Vec<Vec<Matcher>>,
    range: TimeRange,
    added: Added,
    /// The series that are left, by metric and labels, once they were looked for.
    found: Option<std::vec::IntoIter<SeriesView>>,
    escaping: Escaping,
    written: Written,
}

impl Federation {
    fn find(&self) -> Result<Vec<SeriesView>, ApiError> {
        let mut found = Vec::new();
        for matchers in &self.selectors {
            let views = self.api.engine.select(matchers, self.range);
            let views = views.map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "bad_data", error.to_string()))?;
            // Of distributions there is no newest sample.
            found.extend(views.into_iter().filter(|view| view.kind() != SeriesKind::Distribution));
        }
        found.sort_by(|a, b| {
            let (a, b) = (a.labels(), b.labels());
            a.metric_name().cmp(b.metric_name()).then_with(|| a.cmp(b))
        });
        found.dedup_by(|a, b| a.labels() == b.labels());
        Ok(found)
    }

    /// The newest of a series, if it can be told.
    fn newest(&self, view: &SeriesView) -> Option<(Timestamp, Newest)> {
        match view.kind() {
            SeriesKind::Samples(_) => newest(view, self.range),
            SeriesKind::Increments => Some((self.range.end, Newest::Float(view.total_at(self.range.end)?))),
            SeriesKind::Distribution => None,
        }
    }
}

impl Pieces for Federation {
    fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        let mut left = match self.found.take() {
            Some(left) => left,
            None => self.find()?.into_iter(),
        };
        let mut out = Vec::new();
        while out.len() < PIECE_BYTES
            && let Some(view) = left.next()
        {
            if let Some((at, value)) = self.newest(&view) {
                let (labels, added, escaping) = (view.labels(), &self.added, self.escaping);
                let told = Told { labels, added, escaping, at, value: &value };
                match &mut self.written {
                    Written::Text(text) => text.put(&told, &mut out),
                    Written::Protobuf(protobuf) => protobuf.put(&told, &mut out),
                }
            }
        }
        if left.len() == 0
            && let Written::Protobuf(protobuf) = &mut self.written
        {
            protobuf.end(&mut out);
        }
        self.found = Some(left);
        Ok((!out.is_empty()).then(|| out.into()))
    }
}
