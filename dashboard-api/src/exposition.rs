//! `GET /metrics`: our own state and every counted or pushed series, in Prometheus' text format 0.0.4.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use http::header;
use prometheus::{Encoder, TextEncoder};
use watchfire_engine::{MetricInfo, SeriesKind, SeriesView, TimeRange};
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{LabelSet, Matcher, Sample, Timestamp};

use crate::error::ApiError;
use crate::state::Api;

/// How far back the newest sample of a series may lie.
const LOOKBACK_MS: i64 = 300_000;
/// Quantiles shown of a distribution, over the last [`LOOKBACK_MS`].
const QUANTILES: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/metrics", routing::get(metrics))
}

async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    let text = tokio::task::spawn_blocking(move || expose(&api, Timestamp::now())).await.map_err(ApiError::internal)?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text?).into_response())
}

fn expose(api: &Api, now: Timestamp) -> Result<String, ApiError> {
    let mut own = Vec::new();
    TextEncoder::new().encode(&api.registry.gather(), &mut own).map_err(ApiError::internal)?;
    let mut text = String::from_utf8(own).map_err(ApiError::internal)?;
    for metric in api.engine.metrics("") {
        // The registry has shown these already, fresher than our last look at ourselves.
        if !metric.name.starts_with("watchfire_") && !metric.name.starts_with("process_") {
            expose_metric(api, &metric, now, &mut text)?;
        }
    }
    Ok(text)
}

fn expose_metric(api: &Api, metric: &MetricInfo, now: Timestamp, text: &mut String) -> Result<(), ApiError> {
    let range = TimeRange { start: now.plus_millis(-LOOKBACK_MS), end: now };
    let views = api.engine.select(&[Matcher::equal(METRIC_NAME, metric.name.as_str())], range);
    let kind = match metric.kind {
        SeriesKind::Distribution => "summary",
        SeriesKind::Increments | SeriesKind::Samples(_) => metric.kind.as_str(),
    };
    let name = &metric.name;
    if let Some(help) = &metric.help {
        push(text, format_args!("# HELP {name} {}\n", help.replace('\\', "\\\\").replace('\n', "\\n")));
    }
    push(text, format_args!("# TYPE {name} {kind}\n"));
    for view in views.map_err(ApiError::internal)? {
        match view.kind() {
            SeriesKind::Samples(_) => {
                if let Some(sample) = newest(&view, range) {
                    line(text, name, view.labels(), None, sample.value);
                }
            }
            SeriesKind::Increments => {
                if let Some(total) = view.total_at(now) {
                    line(text, name, view.labels(), None, total);
                }
            }
            SeriesKind::Distribution => expose_distribution(&view, range, text),
        }
    }
    Ok(())
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

/// The newest sample of a range, if it does not say that the series ended.
fn newest(view: &SeriesView, range: TimeRange) -> Option<Sample> {
    let mut samples = Vec::new();
    view.samples(range.start, range.end, &mut samples);
    samples.pop().filter(|sample| !watchfire_model::sample::is_stale(sample.value))
}

fn line(text: &mut String, name: &str, labels: &LabelSet, quantile: Option<&str>, value: f64) {
    text.push_str(name);
    let mut separator = '{';
    let labels = labels.iter().filter(|(label, _)| *label != METRIC_NAME);
    // A label of that name in the data would stand twice in the line.
    let labels = labels.map(|(label, value)| (if label == "quantile" { "exported_quantile" } else { label }, value));
    for (label, value) in labels.chain(quantile.map(|quantile| ("quantile", quantile))) {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        push(text, format_args!("{separator}{label}=\"{value}\""));
        separator = ',';
    }
    if separator == ',' {
        text.push('}');
    }
    let value = match value {
        value if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    };
    push(text, format_args!(" {value}\n"));
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(arguments);
}
