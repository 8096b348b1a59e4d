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

/// What a metric family is, as its sender declares it: what a `# TYPE` says. What the samples of its series are follows
/// from it and from their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum FamilyType {
    /// Nothing is said.
    #[default]
    Unknown,
    /// A running total.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Buckets, a count and a sum.
    Histogram,
    /// Buckets that may shrink.
    GaugeHistogram,
    /// Quantiles, a count and a sum.
    Summary,
    /// Labels that say something, with the value 1.
    Info,
    /// States, of which each is on or off.
    StateSet,
}

/// What the names of series have behind the name of their family.
pub(crate) const SUFFIXES: [&str; 7] = ["_bucket", "_count", "_sum", "_total", "_info", "_gcount", "_gsum"];

impl FamilyType {
    /// All of them, by the number that remote-write gives them; they have the same on disk.
    const BY_CODE: [FamilyType; 8] = [
        FamilyType::Unknown,
        FamilyType::Counter,
        FamilyType::Gauge,
        FamilyType::Histogram,
        FamilyType::GaugeHistogram,
        FamilyType::Summary,
        FamilyType::Info,
        FamilyType::StateSet,
    ];

    /// The type, or what series of this kind tell by themselves if nothing is said.
    pub fn or_of(self, kind: SeriesKind) -> FamilyType {
        match (self, kind) {
            (FamilyType::Unknown, SeriesKind::Increments | SeriesKind::Samples(MetricType::Counter)) => {
                FamilyType::Counter
            }
            (FamilyType::Unknown, SeriesKind::Samples(MetricType::Gauge)) => FamilyType::Gauge,
            (declared, _) => declared,
        }
    }

    /// The word of the HTTP API and of OpenMetrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            FamilyType::Unknown => "unknown",
            FamilyType::Counter => "counter",
            FamilyType::Gauge => "gauge",
            FamilyType::Histogram => "histogram",
            FamilyType::GaugeHistogram => "gaugehistogram",
            FamilyType::Summary => "summary",
            FamilyType::Info => "info",
            FamilyType::StateSet => "stateset",
        }
    }

    /// The type of this word.
    pub fn named(word: &str) -> Option<FamilyType> {
        FamilyType::BY_CODE.into_iter().find(|known| known.as_str() == word)
    }

    /// The number that remote-write gives it, in both versions.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The type of this number.
    pub fn from_code(code: u64) -> Option<FamilyType> {
        FamilyType::BY_CODE.get(usize::try_from(code).ok()?).copied()
    }

    /// What the samples of a series are whose name is that of its family and this suffix; `Untyped` if a family of this
    /// type has no such series.
    pub fn type_of(self, suffix: &str) -> MetricType {
        match (self, suffix) {
            (FamilyType::Counter, "" | "_total")
            | (FamilyType::Histogram, "_bucket" | "_count" | "_sum")
            | (FamilyType::Summary, "_count" | "_sum") => MetricType::Counter,
            (FamilyType::Gauge | FamilyType::StateSet | FamilyType::Summary, "")
            | (FamilyType::Info, "" | "_info")
            | (FamilyType::GaugeHistogram, "_bucket" | "_gcount" | "_gsum") => MetricType::Gauge,
            _ => MetricType::Untyped,
        }
    }

    /// Whether a metric is a series of several names.
    pub fn has_parts(self) -> bool {
        matches!(self, FamilyType::Histogram | FamilyType::GaugeHistogram | FamilyType::Summary)
    }
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
