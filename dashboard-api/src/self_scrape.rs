//! Our own metrics as series, as if we scraped ourselves: `watchfire_*` and `process_*` only.

use prometheus::Registry;
use prometheus::proto::{Metric, MetricFamily, MetricType as FamilyKind};
use watchfire_engine::{FamilyType, MetricType, Said, SampleBatch, SeriesKind};
use watchfire_model::Timestamp;
use watchfire_model::labels::METRIC_NAME;

use crate::numbers::general;

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
        self.families.iter().map(|family| Said {
            family: family.name(),
            declared: declared(family),
            help: family.help(),
            unit: "",
        })
    }
}

/// What a family is.
pub(crate) fn declared(family: &MetricFamily) -> FamilyType {
    match family.get_field_type() {
        FamilyKind::COUNTER => FamilyType::Counter,
        FamilyKind::GAUGE => FamilyType::Gauge,
        FamilyKind::HISTOGRAM => FamilyType::Histogram,
        FamilyKind::SUMMARY | FamilyKind::UNTYPED => FamilyType::Unknown,
    }
}

/// The samples of a metric of a family: name, a label of the sample's own, value.
pub(crate) fn each_sample(
    family: &MetricFamily,
    metric: &Metric,
    mut each: impl FnMut(&str, Option<(&str, &str)>, f64),
) {
    let name = family.name();
    match family.get_field_type() {
        FamilyKind::COUNTER => each(name, None, metric.get_counter().get_value()),
        FamilyKind::GAUGE => each(name, None, metric.get_gauge().get_value()),
        FamilyKind::HISTOGRAM => {
            let (histogram, bucket_name) = (metric.get_histogram(), format!("{name}_bucket"));
            let count = histogram.get_sample_count() as f64;
            for bucket in histogram.get_bucket() {
                let bound = general(bucket.upper_bound());
                each(&bucket_name, Some(("le", &bound)), bucket.cumulative_count() as f64);
            }
            if !histogram.get_bucket().last().is_some_and(|bucket| bucket.upper_bound() == f64::INFINITY) {
                each(&bucket_name, Some(("le", "+Inf")), count);
            }
            each(&format!("{name}_sum"), None, histogram.get_sample_sum());
            each(&format!("{name}_count"), None, count);
        }
        // We have none of these.
        FamilyKind::SUMMARY | FamilyKind::UNTYPED => {}
    }
}

fn add_family(batch: &mut SampleBatch, family: &MetricFamily, instance: &str, now: Timestamp) {
    let kind = match family.get_field_type() {
        FamilyKind::COUNTER | FamilyKind::HISTOGRAM => MetricType::Counter,
        FamilyKind::GAUGE => MetricType::Gauge,
        FamilyKind::SUMMARY | FamilyKind::UNTYPED => MetricType::Untyped,
    };
    for metric in family.get_metric() {
        each_sample(family, metric, |name, extra, value| {
            add_sample(batch, kind, name, metric, extra, instance, now, value);
        });
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
        Ok(series) => {
            // They tell what is refused, and are as many as there are parts.
            batch.beyond_limits(series);
            batch.push(series, now, value);
        }
        Err(error) => tracing::warn!(name, %error, "an own metric has impossible labels"),
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Histogram, HistogramOpts};

    use super::*;

    #[test]
    fn a_histogram_has_all_its_buckets() {
        let options = HistogramOpts::new("h", "What is tested.").buckets(vec![0.000_01, 0.5, 2e6]);
        let histogram = Histogram::with_opts(options).expect("valid");
        [0.25, 3e6].into_iter().for_each(|value| histogram.observe(value));
        let registry = Registry::new();
        registry.register(Box::new(histogram)).expect("the first one");
        let (families, mut samples) = (registry.gather(), Vec::new());
        for metric in families[0].get_metric() {
            each_sample(&families[0], metric, |name, extra, value| {
                let bound = extra.map(|(label, bound)| format!("{label}={bound}")).unwrap_or_default();
                samples.push(format!("{name} {bound} {value}"));
            });
        }
        let wanted = [
            "h_bucket le=1e-05 0",
            "h_bucket le=0.5 1",
            "h_bucket le=2e+06 1",
            "h_bucket le=+Inf 2",
            "h_sum  3000000.25",
            "h_count  2",
        ];
        assert_eq!(samples, wanted);
    }
}
