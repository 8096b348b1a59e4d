//! What does this text say about metrics? The formats in which they are shown: Prometheus' own (0.0.4, and 1.0.0, which
//! adds quoted names) and OpenMetrics 1.0.
//!
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/>, the OpenMetrics specification, and what
//! Prometheus' own lexers accept where the two differ.
//!
//! [`Parser`] walks over a body and borrows from it. The labels of a series are not taken apart by it: [`Series::text`] is
//! enough for who has seen the series before, and [`Parser::labels`] does it for who has not. A scrape counts as a whole or
//! not at all; who brings in old files gives each line to a parser of its own.
//!
//! Invariant: no bytes make it panic.

mod bounds;
mod classic;
mod cursor;
pub mod custom_buckets;
pub mod escaping;
pub mod labels;
pub mod lint;
pub mod native;
mod openmetrics;
pub mod protobuf;
mod series;
pub mod spans;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use cursor::Cursor;
pub use series::Series;
use watchfire_engine::FamilyType;
use watchfire_model::{LabelSet, Timestamp};

/// Which of the two grammars a body follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain`: blanks are free, times are milliseconds.
    Classic,
    /// `application/openmetrics-text`: one blank each, times are seconds, `# EOF` ends it.
    OpenMetrics,
}

/// A line of an exposition that says something.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<'b> {
    /// `# HELP`
    Help {
        /// The metric family.
        metric: Cow<'b, str>,
        /// What it means.
        text: Cow<'b, str>,
    },
    /// `# TYPE`
    Type {
        /// The metric family.
        metric: Cow<'b, str>,
        /// What it is.
        kind: FamilyType,
    },
    /// `# UNIT`
    Unit {
        /// The metric family.
        metric: Cow<'b, str>,
        /// Its unit, which its name ends with.
        unit: &'b str,
    },
    /// A sample.
    Sample {
        /// Whose it is.
        series: Series<'b>,
        /// The value; each "not a number" is the same one, and never a staleness marker.
        value: f64,
        /// Its time, milliseconds, if the target gives one.
        at_ms: Option<i64>,
        /// An observation that stands for it.
        exemplar: Option<Box<Exemplar<'b>>>,
    },
}

/// Labels of an exemplar that are longer, bytes, have more characters than are kept.
const LABEL_BYTES_MAX: usize = 512;

/// One observation behind a sample of OpenMetrics, as `# {trace_id="abc"} 0.67 1600096945.479`.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar<'b> {
    /// Where it comes from.
    pub labels: labels::Labels<'b>,
    /// What was observed.
    pub value: f64,
    /// When, milliseconds, if that is said.
    pub at_ms: Option<i64>,
}

impl Exemplar<'_> {
    /// As it is kept, by a sample of this time; `None` if its labels are none, or longer than any that are kept.
    pub fn kept(&self, sample_at: Timestamp) -> Option<watchfire_engine::Exemplar> {
        let bytes = self.labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if bytes > LABEL_BYTES_MAX {
            return None;
        }
        Some(watchfire_engine::Exemplar {
            labels: LabelSet::from_pairs(self.labels.iter()).ok()?,
            value: self.value,
            at: self.at_ms.map_or(sample_at, Timestamp::from_millis),
            is_dated: self.at_ms.is_some(),
        })
    }
}

/// Where and why a body cannot be read. Nothing of such a body counts when it is scraped, as with Prometheus.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected {expected}, found {found}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What should stand there.
    pub expected: &'static str,
    /// What stands there, shortened.
    pub found: String,
}

/// Walks over a body, entry by entry.
pub struct Parser<'b> {
    cursor: Cursor<'b>,
    format: Format,
    /// What the last `# TYPE` says.
    kind: FamilyType,
    /// Written of messages: a unit need not be the end of its family's name, and a gauge histogram has the parts of a histogram.
    of_protobuf: bool,
    ended: bool,
}

impl<'b> Parser<'b> {
    /// Begins at the first byte.
    pub fn new(body: &'b [u8], format: Format) -> Parser<'b> {
        Parser { cursor: Cursor::new(body), format, kind: FamilyType::default(), of_protobuf: false, ended: false }
    }

    /// Begins within a family whose `# TYPE` was read before.
    pub fn within(self, kind: FamilyType) -> Parser<'b> {
        Parser { kind, ..self }
    }

    /// The next entry; `None` at the end, also when asked again.
    ///
    /// Errors: what stands there is no entry; the walk ends there.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'b>>, ParseError> {
        if self.ended {
            return Ok(None);
        }
        let entry = match self.format {
            Format::Classic => classic::next(&mut self.cursor),
            Format::OpenMetrics => openmetrics::next(&mut self.cursor, self.of_protobuf),
        };
        self.ended = !matches!(entry, Ok(Some(_)));
        if let Ok(Some(Entry::Type { kind, .. })) = &entry {
            self.kind = *kind;
        }
        entry
    }

    /// How many bytes of the body are read.
    pub fn at(&self) -> usize {
        self.cursor.at.min(self.cursor.len())
    }

    /// The labels of a series that this parser gave last; bounds of buckets and quantiles as OpenMetrics writes them.
    ///
    /// Errors: they are none.
    pub fn labels(&self, series: Series<'b>, labels: &mut labels::Labels<'b>) -> Result<(), ParseError> {
        series::read_labels(&self.cursor, series, self.format, labels)?;
        bounds::normalise(self.kind, labels);
        Ok(())
    }
}

/// A number as Go's `strconv.ParseFloat` reads it, hexadecimal and underscores excepted: `1e3`, `+Inf`, `NaN`.
fn parse_number(token: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(token).ok()?;
    let value: f64 = text.parse().ok()?;
    if value.is_nan() {
        // Go knows no sign here; and what says "the series ended" is not for targets to say.
        return text.starts_with(['n', 'N']).then_some(NORMAL_NAN);
    }
    // A number that is too large is an error to Go, and infinity to Rust.
    let is_named = |text: &str| text.trim_start_matches(['+', '-']).starts_with(['i', 'I']);
    (value.is_finite() || is_named(text)).then_some(value)
}

/// The "not a number" of Prometheus' storage.
const NORMAL_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// A text with the escapes of help texts and, with `quote`, of label values taken out; others stay as they are.
fn unescape(text: &str, quote: bool) -> Cow<'_, str> {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        let mut ahead = rest.clone();
        match ahead.next() {
            Some('n') => plain.push('\n'),
            Some('\\') => plain.push('\\'),
            Some('"') if quote => plain.push('"'),
            _ => {
                plain.push('\\');
                continue;
            }
        }
        rest = ahead;
    }
    Cow::Owned(plain)
}
