//! Our own metrics as series, as if we scraped ourselves: `watchfire_*` and `process_*` only.

use prometheus::Registry;
use prometheus::proto::{Metric, MetricFamily, MetricType as FamilyKind};
use watchfire_engine::{FamilyType, MetricType, Said, SampleBatch, SeriesKind};
use watchfire_model::Timestamp;
use watchfire_model::labels::METRIC_NAME;

/// One look at all own metrics.
pub struct SelfScrape {
    families: Vec<MetricFamily>,
}

impl SelfScrape {
    /// Reads them.
    pub fn of(registry: &Registry) -> SelfScrape {
        let mut families = registry.gather();
        families.retain(|family| family.name().starts_with("watchfire_") || family.name().starts_with("process_"));
        SelfScrape { families }
    }

    /// Their samples at `now`, labelled `job="watchfire"` and with `instance`.
    pub fn samples(&self, instance: &str, now: Timestamp) -> SampleBatch {
        let mut batch = SampleBatch::new(now);
        self.families.iter().for_each(|family| add_family(&mut batch, family, instance, now));
        batch
    }

    /// What they are and mean.
    pub fn said(&self) -> impl Iterator<Item = Said<'_>> + Clone {
        let declared = |family: &MetricFamily| match family.get_field_type() {
            FamilyKind::COUNTER => FamilyType::Counter,
            FamilyKind::GAUGE => FamilyType::Gauge,
            FamilyKind::HISTOGRAM => FamilyType::Histogram,
            FamilyKind::SUMMARY | FamilyKind::UNTYPED => FamilyType::Unknown,
        };
        self.families.iter().map(move |family| Said {
            family: family.name(),
            declared: declared(family),
            help: family.help(),
            unit: "",
        })
    }
}

fn add_family(batch: &mut SampleBatch, family: &MetricFamily, instance: &str, now: Timestamp) {
    let kind = match family.get_field_type() {
        FamilyKind::COUNTER => MetricType::Counter,
        FamilyKind::GAUGE => MetricType::Gauge,
        FamilyKind::HISTOGRAM | FamilyKind::SUMMARY | FamilyKind::UNTYPED => MetricType::Untyped,
    };
    let name = family.name();
    for metric in family.get_metric() {
        let mut add = |suffix: &str, kind, extra: Option<(&str, &str)>, value| {
            add_sample(batch, kind, &format!("{name}{suffix}"), metric, extra, instance, now, value);
        };
        match family.get_field_type() {
            FamilyKind::COUNTER => add("", kind, None, metric.get_counter().get_value()),
            FamilyKind::GAUGE => add("", kind, None, metric.get_gauge().get_value()),
            FamilyKind::HISTOGRAM => {
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
            FamilyKind::SUMMARY | FamilyKind::UNTYPED => {}
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
