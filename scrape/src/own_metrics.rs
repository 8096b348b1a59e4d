//! `watchfire_scrape_*`: what scraping does, for who watches us.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Counters and gauges of all jobs together.
pub(crate) struct ScrapeMetrics {
    pub(crate) good: IntCounter,
    pub(crate) failed: IntCounter,
    pub(crate) samples: IntCounter,
    pub(crate) refused: IntCounterVec,
    pub(crate) discovery_failures: IntCounter,
    pub(crate) targets: IntGauge,
    pub(crate) faulty_targets: IntGauge,
}

impl ScrapeMetrics {
    /// Registers them. Errors: a name is taken.
    pub(crate) fn new(registry: &Registry) -> Result<ScrapeMetrics, prometheus::Error> {
        let scrapes = IntCounterVec::new(Opts::new("watchfire_scrapes_total", "Scrapes of targets."), &["result"])?;
        Ok(ScrapeMetrics {
            good: scrapes.with_label_values(&["good"]),
            failed: scrapes.with_label_values(&["failed"]),
            refused: register(
                registry,
                IntCounterVec::new(
                    Opts::new("watchfire_scrape_refused_samples_total", "Scraped samples that were not stored."),
                    &["reason"],
                )?,
            )?,
            samples: register(
                registry,
                IntCounter::new("watchfire_scrape_samples_total", "Samples that targets showed.")?,
            )?,
            discovery_failures: register(
                registry,
                IntCounter::new(
                    "watchfire_scrape_discovery_failures_total",
                    "Sources of targets that could not be read, each time that is noticed.",
                )?,
            )?,
            targets: register(registry, IntGauge::new("watchfire_scrape_targets", "Targets that are scraped.")?)?,
            faulty_targets: register(
                registry,
                IntGauge::new("watchfire_scrape_faulty_targets", "Discovered targets that cannot be scraped.")?,
            )?,
        })
        .and_then(|metrics| register(registry, scrapes).map(|_| metrics))
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
