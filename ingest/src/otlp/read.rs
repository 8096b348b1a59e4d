//! A request: sources, their scopes, their metrics, and what becomes of each data point.
//!
//! ```text
//! Request   1 sources*     Source  1 resource  2 scopes*     Scope  2 metrics*
//! Metric    1 name  2 description  3 unit  5 gauge  7 sum  9 histogram  10 exponential histogram  11 summary
//! Data      1 points*  2 temporality (1 delta, 2 cumulative)  3 is monotonic
//! ```

use std::borrow::Cow;

use watchfire_engine::{FamilyType, MetricType, SeriesKind};
use watchfire_model::histogram::HistogramError;
use watchfire_model::{Histogram, Timestamp};
use watchfire_protobuf::{Field, Message};

use super::Fault;
use super::exemplars;
use super::labels::{Labels, Resource};
use super::names::{self, Suffixes};
use super::points::{self, Point, Shape, Value, millis};
use super::value::text;
use crate::remote_write::{About, Gathered};

/// Distance of the samples of `target_info` of a request that spans a long time: half of what an instant selector looks
/// back, nanoseconds.
const INFO_EVERY_NS: u64 = 150_000_000_000;
/// Most of them of one source.
const INFO_MAX: u64 = 1000;
/// Memory that a byte of a point takes at most while it is read: attributes are short and many.
const POINT_BYTES_PER_BYTE: usize = 16;
const INFO: &str = "target_info";

/// Reads a request into samples. A data point that is older than `late_after_ms` does not count as of now.
///
/// Errors: it is no such message, or there is no memory for it. What cannot be kept of one is in the outcome.
pub(crate) fn read(body: &[u8], now: Timestamp, late_after_ms: i64, into: &mut Gathered<'_>) -> Result<(), Fault> {
    let mut request = Message::new(body);
    while let Some((number, field)) = request.next()? {
        if number == 1 {
            let mut reader =
                Reader { now, late_after_ms, into, resource: Resource::default(), times: None, longest: 0 };
            reader.source(field.bytes()?)?;
        }
    }
    Ok(())
}

/// The reading of one source.
struct Reader<'r, 'g> {
    now: Timestamp,
    late_after_ms: i64,
    into: &'r mut Gathered<'g>,
    resource: Resource,
    /// Times of the first and of the last point, nanoseconds.
    times: Option<(u64, u64)>,
    /// Length of the longest point so far, bytes.
    longest: usize,
}

/// A metric, as far as it is the same for all of its points.
struct Metric {
    name: String,
    declared: FamilyType,
    is_delta: bool,
    /// Exemplars of its points are kept; of gauges and summaries they are not, as with Prometheus.
    has_exemplars: bool,
}

/// The series of a metric that have one name: all of them, or those of a part.
struct Part<'m> {
    name: Cow<'m, str>,
    kind: SeriesKind,
}

impl Metric {
    /// What has this suffix behind the metric's name.
    fn part(&self, suffix: &str) -> Part<'_> {
        let name = match suffix {
            "" => Cow::Borrowed(self.name.as_str()),
            suffix => Cow::Owned(format!("{}{suffix}", self.name)),
        };
        Part { name, kind: SeriesKind::Samples(self.declared.type_of(suffix)) }
    }
}

/// What is said of a metric before its points.
#[derive(Default)]
struct Head<'b> {
    name: &'b str,
    help: &'b [u8],
    unit: &'b str,
    data: Option<(u64, Field<'b>)>,
}

#[derive(Default)]
struct Data<'b> {
    points: Vec<Field<'b>>,
    temporality: u64,
    is_monotonic: bool,
}

impl Reader<'_, '_> {
    fn source(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        // What the points need may stand behind them.
        let mut resource = &[][..];
        let mut message = Message::new(bytes);
        while let Some((number, field)) = message.next()? {
            if number == 1 {
                resource = field.bytes()?;
            }
        }
        self.into.ask(resource.len() * 2)?;
        let mut unusable = None;
        match Resource::read(resource)? {
            Ok(read) => self.resource = read,
            Err(why) => unusable = Some(why.0),
        }
        let mut message = Message::new(bytes);
        while let Some((number, field)) = message.next()? {
            if number == 2 {
                let mut scope = Message::new(field.bytes()?);
                while let Some((number, field)) = scope.next()? {
                    if number == 2 {
                        self.metric(field.bytes()?, unusable.as_deref())?;
                    }
                }
            }
        }
        self.info()
    }

    /// Asks for the memory of a point while it is read; those before have left theirs.
    fn room(&mut self, bytes: usize) -> Result<(), Fault> {
        let more = bytes.saturating_sub(self.longest);
        self.longest += more;
        Ok(self.into.ask(more * POINT_BYTES_PER_BYTE)?)
    }

    fn metric(&mut self, bytes: &[u8], unusable: Option<&str>) -> Result<(), Fault> {
        let head = read_head(bytes)?;
        let Some((number, field)) = head.data else { return Ok(()) };
        let data = self.read_data(field)?;
        for point in &data.points {
            let at = points::time_of(*point)?;
            let (first, last) = self.times.unwrap_or((at, at));
            self.times = Some((first.min(at), last.max(at)));
        }
        let (shape, suffixes, declared) = match number {
            5 => (Shape::Number, Suffixes::Gauge, FamilyType::Gauge),
            7 if data.is_monotonic => (Shape::Number, Suffixes::Counter, FamilyType::Counter),
            7 => (Shape::Number, Suffixes::Other, FamilyType::Gauge),
            9 => (Shape::Histogram, Suffixes::Other, FamilyType::Histogram),
            10 => (Shape::Exponential, Suffixes::Other, FamilyType::Histogram),
            _ => (Shape::Summary, Suffixes::Other, FamilyType::Summary),
        };
        let has_temporality = matches!(number, 7 | 9 | 10);
        let is_delta = has_temporality && data.temporality == 1;
        let name = names::metric(head.name, head.unit, suffixes);
        let why = match &name {
            _ if unusable.is_some() => unusable.map(str::to_owned),
            None => Some("nothing is left of its name".to_owned()),
            _ if has_temporality && !matches!(data.temporality, 1 | 2) => {
                Some("its temporality is not said".to_owned())
            }
            _ if is_delta && number == 7 && !data.is_monotonic => {
                Some("a delta sum that may fall cannot be counted; send it as cumulative".to_owned())
            }
            _ if is_delta && shape == Shape::Exponential => {
                Some("changes of an exponential histogram cannot be counted; send it as cumulative".to_owned())
            }
            Some(_) => None,
        };
        let (None, Some(name)) = (why.as_ref(), name) else {
            let count = data.points.len() as u64;
            let name = watchfire_model::text::cut(head.name, 200);
            self.into.refuse("unusable", count, || format!("metric `{name}`: {}", why.unwrap_or_default()));
            return Ok(());
        };
        let unit = names::unit(head.unit);
        self.into.describe(name.as_bytes(), About { declared, help: head.help, unit: unit.as_bytes() })?;
        let metric = Metric { name, declared, is_delta, has_exemplars: has_temporality && !is_delta };
        for point in data.points {
            self.room(point.bytes()?.len())?;
            let point = points::read(point, shape)?;
            self.into.count_as_one(true)?;
            self.point(&metric, &point)?;
        }
        Ok(())
    }

    fn read_data<'b>(&mut self, field: Field<'b>) -> Result<Data<'b>, Fault> {
        let mut data = Data::default();
        let mut message = Message::new(field.bytes()?);
        while let Some((number, field)) = message.next()? {
            match number {
                1 => {
                    self.into.ask(size_of::<Field<'_>>())?;
                    data.points.push(field);
                }
                2 => data.temporality = field.unsigned()?,
                3 => data.is_monotonic = field.unsigned()? != 0,
                _ => {}
            }
        }
        Ok(data)
    }

    fn point(&mut self, metric: &Metric, point: &Point<'_>) -> Result<(), Fault> {
        let labels = match self.resource.labels(&point.attributes)? {
            Ok(labels) => labels,
            Err(why) => {
                self.into.refuse("unusable", 1, || format!("metric `{}`: {}", metric.name, why.0));
                return Ok(());
            }
        };
        let mut exemplars = Vec::new();
        for field in point.exemplars.iter().filter(|_| metric.has_exemplars) {
            exemplars.extend(exemplars::read(*field, point.at())?);
        }
        match &point.value {
            Value::Nothing => Ok(()),
            Value::Number(value) => {
                self.put(metric, &metric.part(""), &labels, point, *value)?;
                Ok(self.into.exemplars(exemplars)?)
            }
            Value::Histogram { count, sum, counts, bounds } => {
                if let Some(sum) = sum {
                    self.put(metric, &metric.part("_sum"), &labels, point, *sum)?;
                }
                self.put(metric, &metric.part("_count"), &labels, point, *count as f64)?;
                let mut labels = labels;
                let mut below = 0u64;
                let bucket = metric.part("_bucket");
                // Both come in ascending order.
                let mut rest = exemplars.into_iter().peekable();
                for (bound, count) in bounds.iter().zip(counts) {
                    below = below.wrapping_add(*count);
                    labels.set("le", &plain(*bound));
                    self.put(metric, &bucket, &labels, point, below as f64)?;
                    let inside = std::iter::from_fn(|| rest.next_if(|exemplar| exemplar.value <= *bound)).collect();
                    self.into.exemplars(inside)?;
                }
                labels.set("le", "+Inf");
                self.put(metric, &bucket, &labels, point, *count as f64)?;
                Ok(self.into.exemplars(rest.collect())?)
            }
            Value::Native(histogram) => {
                self.put_native(metric, &labels, point, histogram)?;
                // What is none was put nowhere.
                let exemplars = if histogram.is_ok() || point.is_end() { exemplars } else { Vec::new() };
                Ok(self.into.exemplars(exemplars)?)
            }
            Value::Summary { count, sum, quantiles } => {
                self.put(metric, &metric.part("_sum"), &labels, point, *sum)?;
                self.put(metric, &metric.part("_count"), &labels, point, *count as f64)?;
                let (mut labels, quantile_part) = (labels, metric.part(""));
                for (quantile, value) in quantiles {
                    labels.set("quantile", &plain(*quantile));
                    self.put(metric, &quantile_part, &labels, point, *value)?;
                }
                Ok(())
            }
        }
    }

    /// One value of a part of the metric: a sample, or of a delta an increment.
    fn put(
        &mut self,
        metric: &Metric,
        part: &Part<'_>,
        labels: &Labels,
        point: &Point<'_>,
        value: f64,
    ) -> Result<(), Fault> {
        let mut pairs = labels.pairs(&part.name);
        if !metric.is_delta {
            return Ok(self.into.point(part.kind, &mut pairs, point.at(), false, point.or_end(value))?);
        }
        // What was not recorded has not happened; a change of nothing says that the series is there.
        if point.is_end() {
            return Ok(());
        }
        let late = self.now.since(point.at()) > self.late_after_ms;
        let at = if late { point.at() } else { self.now };
        Ok(self.into.point(SeriesKind::Increments, &mut pairs, at, late, value)?)
    }

    /// A native histogram, if it is one.
    fn put_native(
        &mut self,
        metric: &Metric,
        labels: &Labels,
        point: &Point<'_>,
        histogram: &Result<Histogram, HistogramError>,
    ) -> Result<(), Fault> {
        if point.is_end() {
            return self.put(metric, &metric.part(""), labels, point, 0.0);
        }
        let whole = metric.part("");
        let mut pairs = labels.pairs(&whole.name);
        match histogram {
            Ok(histogram) => Ok(self.into.native(whole.kind, &mut pairs, point.at(), histogram.clone())?),
            Err(why) => {
                self.into.refuse("invalid_histogram", 1, || format!("metric `{}`: {why}", metric.name));
                Ok(())
            }
        }
    }

    /// What is known of the source, as long as the request spans.
    fn info(&mut self) -> Result<(), Fault> {
        let (Some(labels), Some((first, last))) = (self.resource.info.take(), self.times) else { return Ok(()) };
        let kind = SeriesKind::Samples(MetricType::Gauge);
        let mut pairs = labels.pairs(INFO);
        let span = (last - first).min(INFO_EVERY_NS * INFO_MAX);
        let steps = span.div_ceil(INFO_EVERY_NS);
        let first = last - span;
        self.into.count_as_one(false)?;
        for step in 0..=steps {
            let at = if step == steps { last } else { first + step * INFO_EVERY_NS };
            self.into.point(kind, &mut pairs, Timestamp::from_millis(millis(at)), false, 1.0)?;
        }
        let about = About { declared: FamilyType::Gauge, help: b"Target metadata", unit: b"" };
        Ok(self.into.describe(INFO.as_bytes(), about)?)
    }
}

fn read_head(bytes: &[u8]) -> Result<Head<'_>, Fault> {
    let mut head = Head::default();
    let mut message = Message::new(bytes);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => head.name = text(field)?,
            2 => head.help = field.bytes()?,
            3 => head.unit = text(field)?,
            5 | 7 | 9 | 10 | 11 => head.data = Some((number, field)),
            _ => {}
        }
    }
    Ok(head)
}

/// A number without an exponent, as it stands in `le` and `quantile`.
fn plain(number: f64) -> String {
    match number {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        number => number.to_string(),
    }
}
