//! Delimited messages of `io.prometheus.client.MetricFamily`: written as OpenMetrics first, so that there is one reading of
//! what a target shows; native histograms, which no line can say, stand beside the text with the place of their series.
//!
//! ```text
//! body         = (varint length | MetricFamily)*
//! MetricFamily 1 name  2 help  3 type (0 counter, 1 gauge, 2 summary, 3 untyped, 4 histogram, 5 gauge histogram)
//!              4 metrics*  5 unit
//! Metric       1 labels* (1 name  2 value)  2 gauge  3 counter  4 summary  5 untyped  6 time (ms)  7 histogram
//! Gauge, Untyped 1 value     Counter 1 value  2 exemplar
//! Summary      1 count  2 sum  3 quantiles* (1 quantile  2 value)
//! Exemplar     1 labels*  2 value  3 time (1 seconds  2 nanoseconds)
//! ```
//! Source: `io/prometheus/client/metrics.proto`, and `model/textparse/protobufparse.go` of Prometheus.

mod histogram;
mod lines;
#[cfg(test)]
mod tests;

use watchfire_engine::{Exemplar, FamilyType};
use watchfire_model::Histogram;
use watchfire_model::histogram::HistogramError;
use watchfire_protobuf::{Field, Malformed, Message};

use crate::{Format, Parser};
use lines::Lines;
pub(crate) use lines::{put_series, put_time};

/// Longest text of a body, by the length of the body: names that are said once stand in each line.
const TEXT_PER_BYTE: usize = 32;
/// Beside that, for the smallest bodies, bytes.
const TEXT_BYTES: usize = 1 << 20;
/// No text is longer, bytes.
const TEXT_BYTES_MAX: usize = 256 << 20;
/// Labels that are read of a metric at all; the engine's own limit is lower.
const LABELS_MAX: usize = 1024;

/// What is read of a body that shows histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Native histograms; without them the classic buckets are read.
    pub natives: bool,
    /// The classic buckets, also of those that are native.
    pub classic: bool,
}

/// A native histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct Native {
    /// Where its series begins in the text; see [`Series::at`](crate::Series::at).
    pub at: usize,
    /// What it counts.
    pub histogram: Histogram,
    /// Observations that stand for it.
    pub exemplars: Vec<Exemplar>,
}

/// A body as OpenMetrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// The text; the value of a native histogram is `NaN` there.
    pub text: String,
    /// Native histograms, in the order of their places.
    pub natives: Vec<Native>,
    /// Exemplars that classic histograms have beside those of their buckets, which no line can hold.
    pub of_classic: Vec<OfClassic>,
}

/// The exemplars of a classic histogram itself.
#[derive(Clone, Debug, PartialEq)]
pub struct OfClassic {
    /// Where the first series of the histogram begins in the text.
    pub at: usize,
    /// Those that have a time.
    pub exemplars: Vec<Exemplar>,
}

impl Written {
    /// Reads the text. Units are as the messages have them, whatever their families are called.
    pub fn parser(&self) -> Parser<'_> {
        Parser { of_protobuf: true, ..Parser::new(self.text.as_bytes(), Format::OpenMetrics) }
    }
}

/// Why a body cannot be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProtobufError {
    /// It is no such message.
    #[error("metric family {family}: {source}")]
    Malformed {
        /// Its number, from 1.
        family: u64,
        /// What is wrong.
        source: Malformed,
    },
    /// A text that is none.
    #[error("metric family {family}: a text is no UTF-8")]
    Text {
        /// Its number, from 1.
        family: u64,
    },
    /// A type that nobody knows.
    #[error("metric family {family}: there is no type {kind}")]
    Kind {
        /// Its number, from 1.
        family: u64,
        /// As it stands there.
        kind: u64,
    },
    /// What says that it is a native histogram is none.
    #[error("histogram `{metric}`: {source}")]
    Histogram {
        /// The name of the metric.
        metric: String,
        /// What is wrong.
        source: HistogramError,
    },
    /// More labels than any series has.
    #[error("metric family {family}: a metric has more than 1024 labels")]
    Labels {
        /// Its number, from 1.
        family: u64,
    },
    /// The body says little in much.
    #[error("written out, the body is longer than {limit} bytes")]
    TooLong {
        /// The longest text of a body of its length.
        limit: usize,
    },
}

/// What is wrong inside a family.
#[derive(Debug)]
enum Fault {
    Malformed(Malformed),
    Text,
    Kind(u64),
    Labels,
    Histogram(HistogramError),
    TooLong,
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Fault {
        Fault::Malformed(malformed)
    }
}

/// Writes a body as OpenMetrics.
///
/// Errors: the first thing that is wrong with it; nothing of such a body counts, as with Prometheus.
pub fn write(body: &[u8], wanted: Wanted) -> Result<Written, ProtobufError> {
    let limit = (body.len() * TEXT_PER_BYTE + TEXT_BYTES).min(TEXT_BYTES_MAX);
    let mut lines = Lines::new(limit);
    let (mut rest, mut family) = (body, 0);
    while !rest.is_empty() {
        family += 1;
        let written = delimited(rest).and_then(|(message, behind)| {
            rest = behind;
            write_family(message, wanted, &mut lines)
        });
        written.map_err(|(name, fault)| match fault {
            Fault::Malformed(source) => ProtobufError::Malformed { family, source },
            Fault::Text => ProtobufError::Text { family },
            Fault::Kind(kind) => ProtobufError::Kind { family, kind },
            Fault::Labels => ProtobufError::Labels { family },
            Fault::Histogram(source) => ProtobufError::Histogram { metric: name.to_owned(), source },
            Fault::TooLong => ProtobufError::TooLong { limit },
        })?;
    }
    Ok(lines.finish())
}

/// What is wrong, and the name of the family as far as it is known.
type NamedFault<'b> = (&'b str, Fault);

/// A message in front of which its length stands, and what is behind it.
fn delimited(bytes: &[u8]) -> Result<(&[u8], &[u8]), NamedFault<'_>> {
    let cut = || ("", Fault::Malformed(Malformed::Cut));
    let (mut length, mut shift) = (0u64, 0);
    for (at, byte) in bytes.iter().enumerate().take(10) {
        length |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        shift += 7;
        if *byte < 0x80 {
            let length = usize::try_from(length).map_err(|_| cut())?;
            return bytes.get(at + 1..).and_then(|rest| rest.split_at_checked(length)).ok_or_else(cut);
        }
    }
    Err(cut())
}

/// What a family says of all its metrics.
struct Family<'b> {
    name: &'b str,
    kind: FamilyType,
    wanted: Wanted,
}

fn text<'b>(field: Field<'b>) -> Result<&'b str, Fault> {
    std::str::from_utf8(field.bytes()?).map_err(|_| Fault::Text)
}

/// Writes what one family says.
fn write_family<'b>(bytes: &'b [u8], wanted: Wanted, lines: &mut Lines) -> Result<(), NamedFault<'b>> {
    let mut head = Message::new(bytes);
    let (mut name, mut help, mut unit, mut kind) = ("", "", "", 0);
    let mut read_head = || {
        while let Some((number, field)) = head.next()? {
            match number {
                1 => name = text(field)?,
                2 => help = text(field)?,
                3 => kind = field.unsigned()?,
                5 => unit = text(field)?,
                _ => {}
            }
        }
        Ok(())
    };
    read_head().map_err(|fault| ("", fault))?;
    let kind = match kind {
        0 => FamilyType::Counter,
        1 => FamilyType::Gauge,
        2 => FamilyType::Summary,
        3 => FamilyType::Unknown,
        4 => FamilyType::Histogram,
        5 => FamilyType::GaugeHistogram,
        other => return Err((name, Fault::Kind(other))),
    };
    let family = Family { name, kind, wanted };
    lines.head(&family, help, unit);
    let mut message = Message::new(bytes);
    let mut read = || {
        while let Some((number, field)) = message.next()? {
            if number == 4 {
                write_metric(&family, field, lines)?;
            }
        }
        Ok(())
    };
    read().map_err(|fault| (name, fault))
}

/// Labels, as they lie in a message.
type Pairs<'b> = Vec<(&'b str, &'b str)>;

fn read_label(field: Field<'_>) -> Result<(&str, &str), Fault> {
    let mut label = Message::new(field.bytes()?);
    let (mut name, mut value) = ("", "");
    while let Some((number, field)) = label.next()? {
        match number {
            1 => name = text(field)?,
            2 => value = text(field)?,
            _ => {}
        }
    }
    Ok((name, value))
}

fn push_label<'b>(field: Field<'b>, labels: &mut Pairs<'b>) -> Result<(), Fault> {
    if labels.len() >= LABELS_MAX {
        return Err(Fault::Labels);
    }
    labels.push(read_label(field)?);
    Ok(())
}

fn write_metric(family: &Family<'_>, field: Field<'_>, lines: &mut Lines) -> Result<(), Fault> {
    let mut message = Message::new(field.bytes()?);
    let (mut labels, mut value, mut at_ms) = (Vec::new(), None, 0);
    let wanted = match family.kind {
        FamilyType::Counter => 3,
        FamilyType::Gauge => 2,
        FamilyType::Summary => 4,
        FamilyType::Histogram | FamilyType::GaugeHistogram => 7,
        FamilyType::Unknown | FamilyType::Info | FamilyType::StateSet => 5,
    };
    while let Some((number, field)) = message.next()? {
        match number {
            1 => push_label(field, &mut labels)?,
            6 => at_ms = field.signed()?,
            number if number == wanted => value = Some(field.bytes()?),
            _ => {}
        }
    }
    // A message that is not there is one of zeros.
    let value = value.unwrap_or_default();
    // As Prometheus takes it, the beginning of all time is none.
    let metric = Metric { name: family.name, labels, at_ms: Some(at_ms).filter(|at| *at != 0) };
    match family.kind {
        FamilyType::Summary => write_summary(&metric, value, lines),
        FamilyType::Histogram | FamilyType::GaugeHistogram => histogram::write(family, &metric, value, lines),
        _ => write_number(&metric, value, lines),
    }
}

/// Whose the lines of a metric are.
struct Metric<'b> {
    name: &'b str,
    labels: Pairs<'b>,
    /// Milliseconds.
    at_ms: Option<i64>,
}

fn write_number(metric: &Metric<'_>, value: &[u8], lines: &mut Lines) -> Result<(), Fault> {
    let mut message = Message::new(value);
    let (mut number_value, mut exemplar) = (0.0, None);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => number_value = field.double()?,
            2 => exemplar = Some(Shown::read(field)?),
            _ => {}
        }
    }
    lines.sample(metric, "", None, number_value, exemplar.as_ref())
}

fn write_summary(metric: &Metric<'_>, value: &[u8], lines: &mut Lines) -> Result<(), Fault> {
    let mut message = Message::new(value);
    let (mut count, mut sum) = (0, 0.0);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => count = field.unsigned()?,
            2 => sum = field.double()?,
            _ => {}
        }
    }
    lines.sample(metric, "_count", None, count as f64, None)?;
    lines.sample(metric, "_sum", None, sum, None)?;
    let mut message = Message::new(value);
    while let Some((number, field)) = message.next()? {
        if number == 3 {
            let (quantile, value) = read_pair(field)?;
            lines.sample(metric, "", Some(("quantile", quantile)), value, None)?;
        }
    }
    Ok(())
}

/// Two doubles.
fn read_pair(field: Field<'_>) -> Result<(f64, f64), Malformed> {
    let mut message = Message::new(field.bytes()?);
    let (mut first, mut second) = (0.0, 0.0);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => first = field.double()?,
            2 => second = field.double()?,
            _ => {}
        }
    }
    Ok((first, second))
}

/// An exemplar as it lies in a message.
struct Shown<'b> {
    labels: Pairs<'b>,
    value: f64,
    /// Milliseconds.
    at_ms: Option<i64>,
}

impl<'b> Shown<'b> {
    fn read(field: Field<'b>) -> Result<Shown<'b>, Fault> {
        let mut message = Message::new(field.bytes()?);
        let mut shown = Shown { labels: Vec::new(), value: 0.0, at_ms: None };
        while let Some((number, field)) = message.next()? {
            match number {
                1 => push_label(field, &mut shown.labels)?,
                2 => shown.value = field.double()?,
                3 => shown.at_ms = Some(read_time(field)?),
                _ => {}
            }
        }
        Ok(shown)
    }
}

/// A time in seconds and nanoseconds, as milliseconds.
fn read_time(field: Field<'_>) -> Result<i64, Malformed> {
    let mut message = Message::new(field.bytes()?);
    let (mut seconds, mut nanoseconds) = (0i64, 0i64);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => seconds = field.signed()?,
            2 => nanoseconds = field.signed()?,
            _ => {}
        }
    }
    Ok(seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000))
}
