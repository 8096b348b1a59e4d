//! `GET /metrics`: our own state and every counted or pushed series, in Prometheus' text format 0.0.4.
//!
//! It is sent as it is written, in pieces: all series together may be as large as the memory for series.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use axum::{Router, routing};
use prometheus::{Encoder, TextEncoder};
use watchfire_engine::{MetricInfo, SeriesKind, SeriesView, TimeRange};
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::sample::is_stale;
use watchfire_model::{Histogram, LabelSet, Matcher, Timestamp};

use crate::error::ApiError;
use crate::pieces::{PIECE_BYTES, Pieces, in_pieces};
use crate::state::Api;

/// How far back the newest sample of a series may lie.
pub(crate) const LOOKBACK_MS: i64 = 300_000;
/// Quantiles shown of a distribution, over the last [`LOOKBACK_MS`].
const QUANTILES: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

/// What these texts are.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/metrics", routing::get(metrics))
}

async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    in_pieces(Exposition::new(api), CONTENT_TYPE).await
}

/// How far an exposition is.
struct Exposition {
    api: Arc<Api>,
    now: Timestamp,
    /// Our own state was written; then the metrics that are left.
    metrics: Option<std::vec::IntoIter<MetricInfo>>,
    /// The series that are left of a metric that was begun, and its name.
    begun: Option<(String, std::vec::IntoIter<SeriesView>)>,
}

impl Exposition {
    fn new(api: Arc<Api>) -> Exposition {
        Exposition { api, now: Timestamp::now(), metrics: None, begun: None }
    }
}

impl Pieces for Exposition {
    fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        let mut text = String::new();
        let range = TimeRange { start: self.now.plus_millis(-LOOKBACK_MS), end: self.now };
        while text.len() < PIECE_BYTES {
            if let Some((name, views)) = &mut self.begun {
                match views.next() {
                    Some(view) => expose_series(name, &view, range, &mut text),
                    None => self.begun = None,
                }
            } else if let Some(metrics) = &mut self.metrics {
                let Some(metric) = metrics.next() else { break };
                expose_head(&metric, &mut text);
                let matcher = Matcher::equal(METRIC_NAME, metric.name.as_str());
                let views = self.api.engine.select(&[matcher], range).map_err(ApiError::internal)?;
                self.begun = Some((metric.name, views.into_iter()));
            } else {
                let mut own = Vec::new();
                TextEncoder::new().encode(&self.api.registry.gather(), &mut own).map_err(ApiError::internal)?;
                text = String::from_utf8(own).map_err(ApiError::internal)?;
                let mut metrics = self.api.engine.metrics("");
                // The registry has shown these already, fresher than our last look at ourselves.
                let is_own = |name: &str| name.starts_with("watchfire_") || name.starts_with("process_");
                metrics.retain(|metric| !is_own(&metric.name));
                self.metrics = Some(metrics.into_iter());
            }
        }
        Ok((!text.is_empty()).then(|| text.into()))
    }
}

fn expose_head(metric: &MetricInfo, text: &mut String) {
    let kind = match metric.kind {
        SeriesKind::Distribution => "summary",
        SeriesKind::Increments | SeriesKind::Samples(_) => metric.kind.as_str(),
    };
    let name = plain_name(&metric.name, true);
    if let Some(help) = &metric.help {
        push(text, format_args!("# HELP {name} {}\n", help.replace('\\', "\\\\").replace('\n', "\\n")));
    }
    push(text, format_args!("# TYPE {name} {kind}\n"));
}

/// A name as every reader of the text format takes it: letters, digits and `_`, of metrics also `:`. All else becomes `_`.
pub(crate) fn plain_name(name: &str, is_metric: bool) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || (is_metric && c == ':');
    let begins_plain = !name.starts_with(|c: char| c.is_ascii_digit());
    if begins_plain && name.chars().all(is_plain) {
        return Cow::Borrowed(name);
    }
    let plain = name.chars().map(|c| if is_plain(c) { c } else { '_' });
    Cow::Owned(if begins_plain { plain.collect() } else { std::iter::once('_').chain(plain.skip(1)).collect() })
}

fn expose_series(name: &str, view: &SeriesView, range: TimeRange, text: &mut String) {
    match view.kind() {
        SeriesKind::Samples(_) => {
            // Native histograms cannot be said in a line.
            if let Some((_, Newest::Float(value))) = newest(view, range) {
                line(text, name, view.labels(), None, value);
            }
        }
        SeriesKind::Increments => {
            if let Some(total) = view.total_at(range.end) {
                line(text, name, view.labels(), None, total);
            }
        }
        SeriesKind::Distribution => expose_distribution(view, range, text),
    }
}

fn expose_distribution(view: &SeriesView, range: TimeRange, text: &mut String) {
    let name = view.labels().metric_name();
    if let Some(window) = view.histogram(range.start, range.end) {
        for quantile in QUANTILES {
            if let Some(value) = window.quantile(quantile) {
                line(text, name, view.labels(), Some(&quantile.to_string()), value);
            }
        }
    }
    if let Some((count, sum)) = view.observed() {
        line(text, &format!("{name}_sum"), view.labels(), None, sum);
        line(text, &format!("{name}_count"), view.labels(), None, count as f64);
    }
}

/// The newest that a series holds.
pub(crate) enum Newest {
    Float(f64),
    Native(Histogram),
}

/// The newest of a range, if it does not say that the series ended.
pub(crate) fn newest(view: &SeriesView, range: TimeRange) -> Option<(Timestamp, Newest)> {
    let (mut samples, mut natives) = (Vec::new(), Vec::new());
    view.samples_and_natives(range.start, range.end, &mut samples, &mut natives);
    match (samples.pop(), natives.pop()) {
        (Some(sample), native) if native.as_ref().is_none_or(|(at, _)| *at < sample.timestamp) => {
            (!is_stale(sample.value)).then_some((sample.timestamp, Newest::Float(sample.value)))
        }
        (_, native) => native.map(|(at, histogram)| (at, Newest::Native(histogram))),
    }
}

fn line(text: &mut String, name: &str, labels: &LabelSet, quantile: Option<&str>, value: f64) {
    let labels = labels.iter().filter(|(label, _)| *label != METRIC_NAME);
    // A label of that name in the data would stand twice in the line.
    let labels = labels.map(|(label, value)| (if label == "quantile" { "exported_quantile" } else { label }, value));
    put_sample(text, name, labels.chain(quantile.map(|quantile| ("quantile", quantile))), value);
    text.push('\n');
}

/// Appends a line up to its value.
pub(crate) fn put_sample<'l>(
    text: &mut String,
    name: &str,
    labels: impl Iterator<Item = (&'l str, &'l str)>,
    value: f64,
) {
    text.push_str(&plain_name(name, true));
    let mut separator = '{';
    for (label, value) in labels {
        let label = plain_name(label, false);
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        push(text, format_args!("{separator}{label}=\"{value}\""));
        separator = ',';
    }
    if separator == ',' {
        text.push('}');
    }
    text.push(' ');
    put_value(text, value);
}

/// Appends a value as these texts have it.
pub(crate) fn put_value(text: &mut String, value: f64) {
    match value {
        value if value.is_nan() => text.push_str("NaN"),
        f64::INFINITY => text.push_str("+Inf"),
        f64::NEG_INFINITY => text.push_str("-Inf"),
        value => push(text, format_args!("{value}")),
    }
}

pub(crate) fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_that_every_reader_takes() {
        for (name, label, value, line) in [
            ("up", "job", "a\"b\\c\nd", "up{job=\"a\\\"b\\\\c\\nd\"} 1"),
            ("http.server.requests", "k8s.pod", "x", "http_server_requests{k8s_pod=\"x\"} 1"),
            ("9lives", "1st", "x", "_lives{_st=\"x\"} 1"),
            ("a:b", "a:b", "é", "a:b{a_b=\"é\"} 1"),
            ("evil 1\nother{", "x\"=\"", "", "evil_1_other_{x___=\"\"} 1"),
        ] {
            let mut text = String::new();
            put_sample(&mut text, name, [(label, value)].into_iter(), 1.0);
            assert_eq!(text, line);
        }
    }
}
