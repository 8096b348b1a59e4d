//! Samples of the past out of a text, OpenMetrics or Prometheus' own: each line is read by itself, so that a bad one is told
//! with its number and takes none of its neighbours with it.
//!
//! A text may hold more than memory does: its samples go into the engine by the batch. Bringing the same text again adds
//! nothing, as a series has one value per time.

use watchfire_engine::{AppendError, BatchSeries, Engine, FamilyType, MetricType, Said, SampleBatch, SeriesKind};
use watchfire_exposition::labels::Labels;
use watchfire_exposition::{Entry, Format, ParseError, Parser, Series};
use watchfire_model::Timestamp;
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::text::cut;

/// Refusals told in one answer; all are counted.
const TOLD_MAX: usize = 100;
/// Samples that go into the engine at once.
const BATCH_SAMPLES: usize = 1 << 15;
/// Texts of the series of a batch, bytes; the last one may exceed it by a line.
const BATCH_TEXT_BYTES: usize = 2 << 20;
/// Memory of a batch, of its lines and on its way into the engine's log, bytes: for the caller to have ready.
pub(crate) const BATCH_BYTES: usize = 16 << 20;
/// Longest help or unit that is handed on, bytes; real ones are a sentence, and a word.
const SAID_BYTES_MAX: usize = 4096;
/// Memory of a series beside its texts, bytes.
const SERIES_BYTES: usize = 128;

/// What became of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Samples that are stored now.
    pub(crate) accepted: u64,
    /// Samples that were there already.
    pub(crate) duplicates: u64,
    /// Lines and samples that were not taken, by reason.
    pub(crate) refused: Vec<(&'static str, u64)>,
    /// The first of them: line, from 1, and why.
    pub(crate) told: Vec<(u64, String)>,
}

impl Outcome {
    /// How many lines and samples were not taken.
    pub(crate) fn rejected(&self) -> u64 {
        self.refused.iter().map(|(_, count)| count).sum()
    }

    fn refuse(&mut self, line: u64, reason: &'static str, why: impl FnOnce() -> String) {
        match self.refused.iter_mut().find(|(have, _)| *have == reason) {
            Some((_, count)) => *count += 1,
            None => self.refused.push((reason, 1)),
        }
        if self.told.len() < TOLD_MAX {
            self.told.push((line, why()));
        }
    }
}

/// The format of a text whose sender does not name it: only one of the two ends with `# EOF`.
pub(crate) fn format_of(text: &[u8]) -> Format {
    let last = text.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    if last.trim_ascii() == b"# EOF" { Format::OpenMetrics } else { Format::Classic }
}

/// Reads a text that arrived at `now` and stores its samples, durably; lines longer than `line_max` bytes are refused.
///
/// Errors: the engine's log cannot be written; what was stored before stays, and the text may come again.
pub(crate) fn store(
    engine: &Engine,
    text: &[u8],
    format: Format,
    line_max: usize,
    now: Timestamp,
) -> Result<Outcome, AppendError> {
    let mut reader = Reader::new(engine, format, now);
    for (number, line) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
        reader.line = number;
        match line.len() {
            length if length > line_max => reader.outcome.refuse(number, "line_too_long", || {
                format!("the line is longer than {line_max} bytes; see `limits.line`")
            }),
            _ => reader.read(line)?,
        }
    }
    reader.finish()
}

/// The metric family that the lines before said something about.
#[derive(Clone, Default)]
struct Family {
    name: String,
    kind: FamilyType,
    help: String,
    unit: String,
}

struct Reader<'t, 'e> {
    engine: &'e Engine,
    format: Format,
    now: Timestamp,
    line: u64,
    family: Family,
    labels: Labels<'t>,
    batch: SampleBatch,
    /// The series of the batch, by the text in which they stand there.
    named: foldhash::HashMap<&'t [u8], BatchSeries>,
    /// The line of each sample of the batch.
    lines: Vec<u64>,
    /// Memory of the series of the batch.
    text_bytes: usize,
    /// What is said about metrics of the batch.
    said: Vec<Family>,
    /// The last line said that it is the last.
    ended: bool,
    outcome: Outcome,
}

impl<'t, 'e> Reader<'t, 'e> {
    fn new(engine: &'e Engine, format: Format, now: Timestamp) -> Reader<'t, 'e> {
        Reader {
            engine,
            format,
            now,
            line: 0,
            family: Family::default(),
            labels: Labels::default(),
            batch: SampleBatch::new(now).in_any_order().counted_elsewhere(),
            named: foldhash::HashMap::default(),
            lines: Vec::new(),
            text_bytes: 0,
            said: Vec::new(),
            ended: false,
            outcome: Outcome::default(),
        }
    }

    fn read(&mut self, line: &'t [u8]) -> Result<(), AppendError> {
        let mut parser = Parser::new(line, self.format).within(self.family.kind);
        let entry = match parser.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => {
                self.ended = true;
                return Ok(());
            }
            Err(error) => {
                self.malformed(&error);
                return Ok(());
            }
        };
        self.ended = false;
        match entry {
            Entry::Sample { series, value, at_ms: Some(at), exemplar } => {
                if let Some(series) = self.series(&parser, series) {
                    let at = Timestamp::from_millis(at);
                    self.batch.push(series, at, value);
                    if let Some(exemplar) = exemplar.and_then(|exemplar| exemplar.kept(at)) {
                        self.batch.push_exemplar(series, exemplar);
                    }
                    self.lines.push(self.line);
                }
                if self.batch.len() >= BATCH_SAMPLES || self.text_bytes >= BATCH_TEXT_BYTES {
                    self.flush()?;
                }
            }
            Entry::Sample { at_ms: None, .. } => self.outcome.refuse(self.line, "no_time", || {
                "the sample has no time; write it behind the value, or send what is of now to /api/v1/metrics"
                    .to_owned()
            }),
            Entry::Type { metric, kind } => {
                self.of_family(&metric);
                self.family.kind = kind;
            }
            Entry::Help { metric, text } => {
                self.of_family(&metric);
                self.family.help = cut(&text, SAID_BYTES_MAX).to_owned();
            }
            Entry::Unit { metric, unit } => {
                self.of_family(&metric);
                self.family.unit = cut(unit, SAID_BYTES_MAX).to_owned();
            }
        }
        Ok(())
    }

    /// What is said from now on is said of this family.
    fn of_family(&mut self, name: &str) {
        if self.family.name != name {
            self.family = Family { name: name.to_owned(), ..Family::default() };
        }
    }

    fn malformed(&mut self, error: &ParseError) {
        let why = || format!("expected {}, found {}", error.expected, error.found);
        self.outcome.refuse(self.line, "malformed", why);
    }

    /// The series of a sample in the batch; `None` if it is none, which is told.
    fn series(&mut self, parser: &Parser<'t>, series: Series<'t>) -> Option<BatchSeries> {
        if let Some(named) = self.named.get(series.text).copied() {
            return Some(named);
        }
        if let Err(error) = parser.labels(series, &mut self.labels) {
            self.malformed(&error);
            return None;
        }
        let metric = self.labels.get(METRIC_NAME);
        let suffix = metric.strip_prefix(self.family.name.as_str()).filter(|_| !self.family.name.is_empty());
        let said = suffix.map_or(MetricType::Untyped, |suffix| self.family.kind.type_of(suffix));
        let is_of_family = said != MetricType::Untyped || suffix == Some("");
        if is_of_family && self.said.last().is_none_or(|last| last.name != self.family.name) {
            self.text_bytes += self.family.name.len() + self.family.help.len() + self.family.unit.len();
            self.said.push(self.family.clone());
        }
        let mut pairs: Vec<(&str, &str)> = self.labels.iter().collect();
        match self.batch.series_of(SeriesKind::Samples(said), &mut pairs) {
            Ok(named) => {
                self.text_bytes += series.text.len() + SERIES_BYTES;
                self.named.insert(series.text, named);
                Some(named)
            }
            Err(error) => {
                self.outcome.refuse(self.line, "invalid_labels", || error.to_string());
                None
            }
        }
    }

    /// Puts what was read so far into the engine.
    fn flush(&mut self) -> Result<(), AppendError> {
        let report = self.engine.append_samples(&self.batch)?;
        self.outcome.accepted += report.accepted;
        self.outcome.duplicates += report.duplicates;
        for (point, rejection) in &report.rejected {
            let line = self.lines.get(*point as usize).copied().unwrap_or_default();
            self.outcome.refuse(line, rejection.as_str(), || rejection.to_string());
        }
        self.engine.describe(self.said.iter().map(|Family { name, kind, help, unit }| Said {
            family: name,
            declared: *kind,
            help,
            unit,
        }))?;
        self.said.clear();
        self.batch.clear(self.now);
        self.named.clear();
        self.lines.clear();
        self.text_bytes = 0;
        Ok(())
    }

    fn finish(mut self) -> Result<Outcome, AppendError> {
        self.flush()?;
        if self.format == Format::OpenMetrics && !self.ended {
            let why = || "expected `# EOF` at the end, found the end: the text may have been cut off".to_owned();
            self.outcome.refuse(self.line, "malformed", why);
        }
        self.outcome.told.sort_by_key(|(line, _)| *line);
        Ok(self.outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_of_the_formats_ends_so() {
        for (text, format) in [
            ("m 1 2\n# EOF\n", Format::OpenMetrics),
            ("m 1 2\r\n# EOF \n\n", Format::OpenMetrics),
            ("# EOF", Format::OpenMetrics),
            ("m 1 2\n# EOF\nm 1 3\n", Format::Classic),
            ("m 1 2", Format::Classic),
            ("", Format::Classic),
        ] {
            assert_eq!(format_of(text.as_bytes()), format, "{text:?}");
        }
    }
}
