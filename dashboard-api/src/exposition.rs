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
use http::HeaderMap;
use prometheus::proto::MetricFamily;
use watchfire_engine::{MetricInfo, OneByOne, SeriesKind, SeriesView, TimeRange};
use watchfire_exposition::escaping::{Escaping, is_plain};
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::sample::is_stale;
use watchfire_model::{Histogram, LabelSet, Matcher, Timestamp};

use crate::error::ApiError;
use crate::negotiate::{Form, Negotiated};
use crate::numbers::general;
use crate::pieces::{PIECE_BYTES, Pieces, in_pieces};
use crate::self_scrape;
use crate::state::Api;

/// How far back the newest sample of a series may lie.
pub(crate) const LOOKBACK_MS: i64 = 300_000;
/// Quantiles shown of a distribution, over the last [`LOOKBACK_MS`].
const QUANTILES: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/metrics", routing::get(metrics))
}

async fn metrics(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let negotiated = Negotiated::of(&headers, &[Form::Text]);
    in_pieces(Exposition::new(api, negotiated.escaping), negotiated.content_type()).await
}

/// How far an exposition is.
struct Exposition {
    api: Arc<Api>,
    escaping: Escaping,
    now: Timestamp,
    /// Our own state was written; then the metrics that are left.
    metrics: Option<std::vec::IntoIter<MetricInfo>>,
    /// The series that are left of a metric that was begun, and its name as it is written.
    begun: Option<(String, OneByOne)>,
}

impl Exposition {
    fn new(api: Arc<Api>, escaping: Escaping) -> Exposition {
        Exposition { api, escaping, now: Timestamp::now(), metrics: None, begun: None }
    }
}

impl Pieces for Exposition {
    fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        let mut text = String::new();
        let range = TimeRange { start: self.now.plus_millis(-LOOKBACK_MS), end: self.now };
        while text.len() < PIECE_BYTES {
            if let Some((name, views)) = &mut self.begun {
                match views.next(&self.api.engine) {
                    Some(view) => expose_series(self.escaping, name, &view, range, &mut text),
                    None => self.begun = None,
                }
            } else if let Some(metrics) = &mut self.metrics {
                let Some(metric) = metrics.next() else { break };
                let name = self.escaping.metric(&metric.name).into_owned();
                expose_head(&metric, &name, &mut text);
                let matcher = Matcher::equal(METRIC_NAME, metric.name.as_str());
                let views = self.api.engine.select_one_by_one(&[matcher], range).map_err(ApiError::internal)?;
                self.begun = Some((name, views));
            } else {
                self.api.registry.gather().iter().for_each(|family| expose_own(family, &mut text));
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

/// A family of our own state.
fn expose_own(family: &MetricFamily, text: &mut String) {
    put_head(family.name(), Some(family.help()), self_scrape::declared(family).as_str(), text);
    for metric in family.get_metric() {
        self_scrape::each_sample(family, metric, |name, extra, value| {
            let labels = metric.get_label().iter().map(|pair| (pair.name(), pair.value()));
            put_sample(text, Escaping::Underscores, name, labels.chain(extra), value);
            text.push('\n');
        });
    }
}

fn expose_head(metric: &MetricInfo, name: &str, text: &mut String) {
    let kind = match metric.kind {
        SeriesKind::Distribution => "summary",
        SeriesKind::Increments | SeriesKind::Samples(_) => metric.kind.as_str(),
    };
    put_head(name, metric.help.as_deref(), kind, text);
}

fn put_head(name: &str, help: Option<&str>, kind: &str, text: &mut String) {
    let name = quoted(name, true);
    if let Some(help) = help {
        push(text, format_args!("# HELP {name} {}\n", help.replace('\\', "\\\\").replace('\n', "\\n")));
    }
    push(text, format_args!("# TYPE {name} {kind}\n"));
}

/// A name of a text: between quotes, if it is none that every reader takes.
pub(crate) fn quoted(name: &str, is_metric: bool) -> Cow<'_, str> {
    match is_plain(name, is_metric) {
        true => Cow::Borrowed(name),
        false => Cow::Owned(format!("\"{}\"", escaped(name))),
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn expose_series(escaping: Escaping, name: &str, view: &SeriesView, range: TimeRange, text: &mut String) {
    let mut put = |suffix: &str, quantile: Option<&str>, value| {
        let name = if suffix.is_empty() { Cow::Borrowed(name) } else { Cow::Owned(format!("{name}{suffix}")) };
        line(text, escaping, &name, view.labels(), quantile, value);
    };
    match view.kind() {
        SeriesKind::Samples(_) => {
            // Native histograms cannot be said in a line.
            if let Some((_, Newest::Float(value))) = newest(view, range) {
                put("", None, value);
            }
        }
        SeriesKind::Increments => {
            if let Some(total) = view.total_at(range.end) {
                put("", None, total);
            }
        }
        SeriesKind::Distribution => expose_distribution(view, range, put),
    }
}

fn expose_distribution(view: &SeriesView, range: TimeRange, mut put: impl FnMut(&str, Option<&str>, f64)) {
    if let Some(window) = view.histogram(range.start, range.end) {
        for quantile in QUANTILES {
            if let Some(value) = window.quantile(quantile) {
                put("", Some(&quantile.to_string()), value);
            }
        }
    }
    if let Some((count, sum)) = view.observed() {
        put("_sum", None, sum);
        put("_count", None, count as f64);
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

fn line(text: &mut String, escaping: Escaping, name: &str, labels: &LabelSet, quantile: Option<&str>, value: f64) {
    let labels = labels.iter().filter(|(label, _)| *label != METRIC_NAME);
    // A label of that name in the data would stand twice in the line.
    let labels = labels.map(|(label, value)| (if label == "quantile" { "exported_quantile" } else { label }, value));
    put_sample(text, escaping, name, labels.chain(quantile.map(|quantile| ("quantile", quantile))), value);
    text.push('\n');
}

/// Appends a line up to its value; the name of the metric is as it is to be written.
pub(crate) fn put_sample<'l>(
    text: &mut String,
    escaping: Escaping,
    name: &str,
    labels: impl Iterator<Item = (&'l str, &'l str)>,
    value: f64,
) {
    // What has to stand between quotes stands among the labels.
    let mut separator = if is_plain(name, true) { '{' } else { ',' };
    if separator == ',' {
        text.push('{');
    }
    text.push_str(&quoted(name, true));
    for (label, value) in labels {
        let label = escaping.label(label);
        push(text, format_args!("{separator}{}=\"{}\"", quoted(&label, false), escaped(value)));
        separator = ',';
    }
    if separator == ',' {
        text.push('}');
    }
    text.push(' ');
    text.push_str(&general(value));
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
        let (plain, utf8) = (Escaping::Underscores, Escaping::AllowUtf8);
        for (escaping, name, label, value, line) in [
            (plain, "up", "job", "a\"b\\c\nd", "up{job=\"a\\\"b\\\\c\\nd\"} 1"),
            (plain, "http.server.requests", "k8s.pod", "x", "http_server_requests{k8s_pod=\"x\"} 1"),
            (plain, "9lives", "1st", "x", "_lives{_st=\"x\"} 1"),
            (plain, "a:b", "a:b", "é", "a:b{a_b=\"é\"} 1"),
            (plain, "evil 1\nother{", "x\"=\"", "", "evil_1_other_{x___=\"\"} 1"),
            (utf8, "http.requests", "k8s.pod", "x", "{\"http.requests\",\"k8s.pod\"=\"x\"} 1"),
            (utf8, "up", "a:b", "x", "up{\"a:b\"=\"x\"} 1"),
            (utf8, "evil\n\"", "x\"=\"", "", "{\"evil\\n\\\"\",\"x\\\"=\\\"\"=\"\"} 1"),
        ] {
            let mut text = String::new();
            put_sample(&mut text, escaping, &escaping.metric(name), [(label, value)].into_iter(), 1.0);
            assert_eq!(text, line);
        }
        let mut text = String::new();
        put_sample(&mut text, utf8, "a.b", std::iter::empty(), 1.0);
        assert_eq!(text, "{\"a.b\"} 1");
    }
}
