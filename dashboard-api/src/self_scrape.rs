//! Our own metrics as series, as if we scraped ourselves: `watchfire_*` and `process_*` only.

use prometheus::Registry;
use prometheus::proto::{Metric, MetricFamily, MetricType as FamilyType};
use watchfire_engine::{MetricType, SampleBatch, SeriesKind};
use watchfire_model::Timestamp;
use watchfire_model::labels::METRIC_NAME;

/// Reads all own metrics into a batch of samples at `now`, labelled `job="watchfire"` and with `instance`.
pub fn scrape(registry: &Registry, instance: &str, now: Timestamp) -> SampleBatch {
    let mut batch = SampleBatch::new(now);
    for family in registry.gather() {
        let name = family.name();
        if name.starts_with("watchfire_") || name.starts_with("process_") {
            add_family(&mut batch, &family, instance, now);
        }
    }
    batch
}

fn add_family(batch: &mut SampleBatch, family: &MetricFamily, instance: &str, now: Timestamp) {
    let kind = match family.get_field_type() {
        FamilyType::COUNTER => MetricType::Counter,
        FamilyType::GAUGE => MetricType::Gauge,
        FamilyType::HISTOGRAM | FamilyType::SUMMARY | FamilyType::UNTYPED => MetricType::Untyped,
    };
    let name = family.name();
    for metric in family.get_metric() {
        let mut add = |suffix: &str, kind, extra: Option<(&str, &str)>, value| {
            add_sample(batch, kind, &format!("{name}{suffix}"), metric, extra, instance, now, value);
        };
        match family.get_field_type() {
            FamilyType::COUNTER => add("", kind, None, metric.get_counter().get_value()),
            FamilyType::GAUGE => add("", kind, None, metric.get_gauge().get_value()),
            FamilyType::HISTOGRAM => {
                let histogram = metric.get_histogram();
                for bucket in histogram.get_bucket() {
                    let bound = bucket.upper_bound();
                    let bound = if bound.is_infinite() { "+Inf".to_owned() } else { bound.to_string() };
                    let count = bucket.cumulative_count() as f64;
                    add("_bucket", MetricType::Counter, Some(("le", &bound)), count);
                }
                add("_count", MetricType::Counter, None, histogram.get_sample_count() as f64);
                add("_sum", MetricType::Counter, None, histogram.get_sample_sum());
            }
            FamilyType::SUMMARY | FamilyType::UNTYPED => {}
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "a plain list of what makes one sample")]
fn add_sample(
    batch: &mut SampleBatch,
    kind: MetricType,
    name: &str,
    metric: &Metric,
    extra: Option<(&str, &str)>,
    instance: &str,
    now: Timestamp,
    value: f64,
) {
    let own = [(METRIC_NAME, name), ("job", "watchfire"), ("instance", instance)];
    let labels = metric.get_label().iter().map(|pair| (pair.name(), pair.value()));
    let mut pairs: Vec<(&str, &str)> = own.into_iter().chain(labels).chain(extra).collect();
    match batch.series_of(SeriesKind::Samples(kind), &mut pairs) {
        Ok(series) => batch.push(series, now, value),
        Err(error) => tracing::warn!(name, %error, "an own metric has impossible labels"),
    }
}
