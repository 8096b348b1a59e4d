//! Our own metrics as `status/self_metrics` of Prometheus shows its own: JSON of the protobuf messages.

use prometheus::proto::{Metric, MetricFamily, MetricType};
use serde_json::{Value, json};

/// A family as JSON; the kind's member has the kind's name.
pub(super) fn family(family: &MetricFamily) -> Value {
    let kind = family.get_field_type();
    let word = match kind {
        MetricType::COUNTER => "COUNTER",
        MetricType::GAUGE => "GAUGE",
        MetricType::HISTOGRAM => "HISTOGRAM",
        MetricType::SUMMARY => "SUMMARY",
        MetricType::UNTYPED => "UNTYPED",
    };
    let metrics: Vec<Value> = family.get_metric().iter().map(|metric| metric_of(kind, metric)).collect();
    json!({"name": family.name(), "help": family.help(), "type": word, "metric": metrics})
}

fn metric_of(kind: MetricType, metric: &Metric) -> Value {
    let mut shown = match kind {
        MetricType::COUNTER => json!({"counter": value(metric.get_counter().get_value())}),
        MetricType::GAUGE => json!({"gauge": value(metric.get_gauge().get_value())}),
        MetricType::HISTOGRAM => json!({"histogram": histogram(metric)}),
        // We have none of these.
        MetricType::SUMMARY => json!({"summary": {}}),
        MetricType::UNTYPED => json!({"untyped": {}}),
    };
    let labels = metric.get_label().iter();
    let labels: Vec<Value> = labels.map(|pair| json!({"name": pair.name(), "value": pair.value()})).collect();
    if !labels.is_empty() {
        shown["label"] = labels.into();
    }
    shown
}

fn value(value: f64) -> Value {
    json!({"value": double(value)})
}

/// Whole numbers of 64 bits are texts there.
fn histogram(metric: &Metric) -> Value {
    let histogram = metric.get_histogram();
    let buckets = histogram.get_bucket().iter();
    let buckets: Vec<Value> = buckets
        .map(|bucket| {
            json!({"cumulativeCount": bucket.cumulative_count().to_string(), "upperBound": double(bucket.upper_bound())})
        })
        .collect();
    json!({
        "sampleCount": histogram.get_sample_count().to_string(),
        "sampleSum": double(histogram.get_sample_sum()),
        "bucket": buckets,
    })
}

/// A number as protobuf's JSON has it.
fn double(value: f64) -> Value {
    match value {
        value if value.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        value => json!(value),
    }
}
