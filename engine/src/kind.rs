//! What the numbers of a series are.

/// What a sender says its samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum MetricType {
    /// A running total that only grows, or starts again at zero.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Nothing was said.
    #[default]
    Untyped,
}

/// What a series holds, and so how it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SeriesKind {
    /// Values at times, by Prometheus' rules.
    Samples(MetricType),
    /// Events counted per second.
    Increments,
    /// Histograms of observations per interval.
    Distribution,
}

/// What may share a label set without being the same series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SeriesClass {
    Samples = 0,
    Increments = 1,
    Distribution = 2,
}

impl SeriesKind {
    pub(crate) fn class(self) -> SeriesClass {
        match self {
            SeriesKind::Samples(_) => SeriesClass::Samples,
            SeriesKind::Increments => SeriesClass::Increments,
            SeriesKind::Distribution => SeriesClass::Distribution,
        }
    }

    /// Whether points add up, so that applying one twice would be wrong.
    pub(crate) fn is_additive(self) -> bool {
        !matches!(self, SeriesKind::Samples(_))
    }

    /// As it stands on disk.
    pub(crate) fn code(self) -> u8 {
        match self {
            SeriesKind::Samples(MetricType::Counter) => 1,
            SeriesKind::Samples(MetricType::Gauge) => 2,
            SeriesKind::Samples(MetricType::Untyped) => 3,
            SeriesKind::Increments => 4,
            SeriesKind::Distribution => 5,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<SeriesKind> {
        Some(match code {
            1 => SeriesKind::Samples(MetricType::Counter),
            2 => SeriesKind::Samples(MetricType::Gauge),
            3 => SeriesKind::Samples(MetricType::Untyped),
            4 => SeriesKind::Increments,
            5 => SeriesKind::Distribution,
            _ => return None,
        })
    }

    /// `counter`, `gauge`, `untyped` or `distribution`, as people name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            SeriesKind::Samples(MetricType::Counter) | SeriesKind::Increments => "counter",
            SeriesKind::Samples(MetricType::Gauge) => "gauge",
            SeriesKind::Samples(MetricType::Untyped) => "untyped",
            SeriesKind::Distribution => "distribution",
        }
    }
}
