//! Classic histograms read as native ones with custom buckets: the series of a histogram (`_bucket`, `_sum`, `_count`)
//! become one.
//!
//! Source: `model/textparse/nhcbparse.go` and `util/convertnhcb` of Prometheus. Two things are other than there: the series of
//! a histogram need not stand beside each other within their family, and what makes no histogram keeps its classic series.

mod classic;

use std::ops::Range;

use foldhash::{HashMap, HashMapExt};
use watchfire_engine::FamilyType;
use watchfire_model::ResetHint;
use watchfire_model::labels::METRIC_NAME;

use crate::labels::Labels;
use crate::protobuf::{Native, OfClassic, put_series, put_time};
use crate::{Entry, Exemplar, Format, ParseError, Parser, parse_number};
use classic::{Classic, Part};

/// The label that holds the upper bound of a bucket.
const BOUND: &str = "le";

/// A body in which native histograms stand for classic ones.
pub struct Converted {
    text: Vec<u8>,
    format: Format,
    of_protobuf: bool,
    /// Native histograms, in the order of their places.
    pub natives: Vec<Native>,
}

impl Converted {
    /// Reads the text.
    pub fn parser(&self) -> Parser<'_> {
        Parser { of_protobuf: self.of_protobuf, ..Parser::new(&self.text, self.format) }
    }

    fn push_line(&mut self, line: &[u8]) {
        self.text.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            self.text.push(b'\n');
        }
    }

    fn push_native(&mut self, native: Native, line: &[u8]) {
        self.natives.push(Native { at: self.text.len(), ..native });
        self.push_line(line);
    }
}

/// What stands beside the lines of a body.
#[derive(Default)]
pub struct Beside {
    /// Its native histograms.
    pub natives: Vec<Native>,
    /// Exemplars of its classic ones.
    pub of_classic: Vec<OfClassic>,
}

/// Converts the classic histograms of a body; what is native there is not converted. `keep` leaves the classic series beside
/// what they became.
///
/// Errors: the body cannot be read.
pub fn convert(mut parser: Parser<'_>, beside: Beside, keep: bool) -> Result<Converted, ParseError> {
    let (format, of_protobuf) = (parser.format, parser.of_protobuf);
    let body = parser.cursor.rest();
    let mut to = Converted { text: Vec::with_capacity(body.len()), format, of_protobuf, natives: Vec::new() };
    let mut natives = beside.natives.into_iter().peekable();
    let mut of_classic = beside.of_classic.into_iter().peekable();
    let mut family: Option<Family> = None;
    let mut labels = Labels::default();
    while let Some(entry) = parser.next_entry()? {
        let end = parser.at();
        match entry {
            Entry::Help { .. } | Entry::Unit { .. } => to.push_line(last_line(body, end)),
            Entry::Type { metric, kind } => {
                if let Some(family) = family.take() {
                    family.end(body, keep, &mut to);
                }
                family = match kind {
                    FamilyType::Histogram => Some(Family::new(metric.into_owned(), ResetHint::Unknown)),
                    // As text it has parts of other names, and Prometheus leaves them.
                    FamilyType::GaugeHistogram if of_protobuf => {
                        Some(Family::new(metric.into_owned(), ResetHint::Gauge))
                    }
                    _ => None,
                };
                to.push_line(last_line(body, end));
            }
            Entry::Sample { series, value, at_ms, exemplar } => {
                let line = series.at()..end;
                let native = natives.next_if(|native| native.at == series.at());
                let own = of_classic.next_if(|own| own.at == series.at()).map(|own| own.exemplars);
                let Some(family) = &mut family else {
                    let line = body.get(line).unwrap_or_default();
                    match native {
                        Some(native) => to.push_native(native, line),
                        None => to.push_line(line),
                    }
                    continue;
                };
                parser.labels(series, &mut labels)?;
                family.add(Line { extent: line, value, at_ms, exemplar, own }, native, &mut labels);
            }
        }
    }
    if let Some(family) = family {
        family.end(body, keep, &mut to);
    }
    if format == Format::OpenMetrics {
        to.push_line(b"# EOF");
    }
    Ok(to)
}

/// The line that ends at a place.
fn last_line(body: &[u8], end: usize) -> &[u8] {
    let line = body.get(..end).unwrap_or(body);
    let before = line.strip_suffix(b"\n").unwrap_or(line);
    line.get(memchr::memrchr(b'\n', before).map_or(0, |at| at + 1)..).unwrap_or_default()
}

/// A sample as it stands in the body.
struct Line<'b> {
    extent: Range<usize>,
    value: f64,
    at_ms: Option<i64>,
    exemplar: Option<Box<Exemplar<'b>>>,
    /// Exemplars of the histogram itself.
    own: Option<Vec<watchfire_engine::Exemplar>>,
}

/// All that a family of histograms shows.
struct Family {
    name: String,
    hint: ResetHint,
    /// Lines that are parts of a histogram, by its number, and others.
    lines: Vec<(Range<usize>, Option<usize>)>,
    natives: Vec<(Range<usize>, Native)>,
    classic: Vec<Classic>,
    /// The number of a histogram, by its labels in order.
    numbers: HashMap<String, usize>,
    key: String,
}

impl Family {
    fn new(name: String, hint: ResetHint) -> Family {
        let (lines, natives, classic) = (Vec::new(), Vec::new(), Vec::new());
        Family { name, hint, lines, natives, classic, numbers: HashMap::new(), key: String::new() }
    }

    /// Adds a sample; labels are used up.
    fn add(&mut self, mut line: Line<'_>, native: Option<Native>, labels: &mut Labels<'_>) {
        let part = match labels.get(METRIC_NAME).strip_prefix(self.name.as_str()) {
            Some("_sum") => Some(Part::Sum),
            Some("_count") => Some(Part::Count),
            Some("_bucket") => parse_number(labels.get(BOUND).as_bytes()).filter(|le| !le.is_nan()).map(Part::Bucket),
            _ => None,
        };
        if native.is_none() && part.is_none() {
            self.lines.push((line.extent, None));
            return;
        }
        labels.remove(METRIC_NAME);
        if part.is_some() {
            labels.remove(BOUND);
        }
        let number = self.number(labels);
        let Some(classic) = self.classic.get_mut(number) else { return };
        match (native, part) {
            (Some(native), _) => {
                classic.is_native = true;
                self.natives.push((line.extent, native));
            }
            (None, Some(part)) => {
                classic.add(part, &mut line);
                self.lines.push((line.extent, Some(number)));
            }
            (None, None) => {}
        }
    }

    /// The number of the histogram with these labels.
    fn number(&mut self, labels: &Labels<'_>) -> usize {
        let mut pairs: Vec<(&str, &str)> = labels.iter().collect();
        pairs.sort_unstable();
        self.key.clear();
        for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
            self.key.push_str(text);
            // No text of labels holds it.
            self.key.push(char::MAX);
        }
        if let Some(number) = self.numbers.get(&self.key) {
            return *number;
        }
        let number = self.classic.len();
        self.numbers.insert(self.key.clone(), number);
        self.classic.push(Classic::of(&pairs));
        number
    }

    /// Writes what became of it.
    fn end(self, body: &[u8], keep: bool, to: &mut Converted) {
        let Family { name, hint, lines, natives, classic, .. } = self;
        let made: Vec<_> = classic.into_iter().map(|classic| classic.convert(hint)).collect();
        for (line, number) in lines {
            let is_made = number.and_then(|number| made.get(number)).is_some_and(Option::is_some);
            if keep || !is_made {
                to.push_line(body.get(line).unwrap_or_default());
            }
        }
        for (line, native) in natives {
            to.push_native(native, body.get(line).unwrap_or_default());
        }
        for made in made.into_iter().flatten() {
            let mut line = String::new();
            put_series(&mut line, &name, "", made.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            line.push_str("} NaN");
            match (to.format, made.at_ms) {
                (Format::OpenMetrics, at_ms) => put_time(&mut line, at_ms),
                (Format::Classic, Some(at_ms)) => line.push_str(&format!(" {at_ms}")),
                (Format::Classic, None) => {}
            }
            to.push_native(made.native, line.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
