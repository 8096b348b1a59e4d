//! Our own state as Prometheus metrics: figures that the parts keep anyway, read when somebody asks.

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// Whether a figure only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One figure with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Label names and values.
    pub labels: Vec<(&'static str, String)>,
    /// The figure.
    pub value: f64,
}

impl Reading {
    /// A figure without labels.
    pub fn plain(value: f64) -> Vec<Reading> {
        vec![Reading { labels: Vec::new(), value }]
    }
}

/// A metric whose figures are read when they are asked for.
pub struct OwnMetric {
    desc: Desc,
    kind: Kind,
    read: Box<dyn Fn() -> Vec<Reading> + Send + Sync>,
}

impl OwnMetric {
    /// A metric of this name; `labels` are all label names that its readings have.
    ///
    /// Errors: a name or label that Prometheus does not take.
    pub fn new(
        kind: Kind,
        name: &str,
        help: &str,
        labels: &[&str],
        read: impl Fn() -> Vec<Reading> + Send + Sync + 'static,
    ) -> prometheus::Result<OwnMetric> {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(name.to_owned(), help.to_owned(), labels, Default::default())?;
        Ok(OwnMetric { desc, kind, read: Box::new(read) })
    }
}

impl Collector for OwnMetric {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let metric = |reading: Reading| {
            let labels = reading.labels.into_iter().map(|(name, value)| {
                let mut pair = LabelPair::default();
                pair.set_name(name.to_owned());
                pair.set_value(value);
                pair
            });
            let mut metric = Metric::from_label(labels.collect());
            match self.kind {
                Kind::Counter => {
                    let mut counter = Counter::default();
                    counter.set_value(reading.value);
                    metric.set_counter(counter);
                }
                Kind::Gauge => {
                    let mut gauge = Gauge::default();
                    gauge.set_value(reading.value);
                    metric.set_gauge(gauge);
                }
            }
            metric
        };
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(match self.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
        });
        let metrics: Vec<Metric> = (self.read)().into_iter().map(metric).collect();
        // The encoder refuses a family without metrics.
        if metrics.is_empty() {
            return Vec::new();
        }
        family.set_metric(metrics);
        vec![family]
    }
}
