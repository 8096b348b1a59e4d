//! What is read of a request: a batch for the engine, and what could not be taken.

use std::fmt::Write;

use watchfire_engine::{AppendReport, MetricType, SampleBatch, SeriesKind};
use watchfire_model::Timestamp;
use watchfire_model::labels::METRIC_NAME;

use super::ReadError;

/// Refusals told in one answer; all are counted.
const TOLD_MAX: usize = 10;
/// Longest text of a series in a refusal, bytes.
const SERIES_TEXT_BYTES_MAX: usize = 200;
/// Labels that are read of a series at all; the engine's own limit is lower.
const LABELS_MAX: usize = 1 << 16;
/// Memory that is asked for at once, bytes.
const STEP_BYTES: usize = 64 << 10;
/// Memory of a sample here, in the batch, and on its way into the engine's log, bytes.
const SAMPLE_BYTES: usize = 64;
/// Memory of a series here and in the batch, its texts aside, bytes.
const SERIES_BYTES: usize = 128;

/// One series of a request while it is read.
#[derive(Default)]
pub(super) struct Draft<'b> {
    /// Labels as they lie in the body.
    pub(super) pairs: Vec<(&'b str, &'b str)>,
    /// Milliseconds and values.
    pub(super) samples: Vec<(i64, f64)>,
    /// Native histograms, which are not kept yet.
    pub(super) histograms: u64,
    pub(super) kind: MetricType,
    /// Why it cannot be taken.
    pub(super) fault: Option<String>,
}

impl<'b> Draft<'b> {
    pub(super) fn clear(&mut self) {
        self.pairs.clear();
        self.samples.clear();
        self.histograms = 0;
        self.kind = MetricType::Untyped;
        self.fault = None;
    }

    /// Adds a label, if its name and value are texts.
    pub(super) fn label(&mut self, name: &'b [u8], value: &'b [u8]) {
        match (std::str::from_utf8(name), std::str::from_utf8(value)) {
            (Ok(name), Ok(value)) if self.pairs.len() < LABELS_MAX => self.pairs.push((name, value)),
            (Ok(_), Ok(_)) => self.fault = Some("it has too many labels".to_owned()),
            _ => self.fault = Some("a label is no UTF-8".to_owned()),
        }
    }
}

/// What became of the samples of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Samples that are stored now, repeats of such included.
    pub(crate) samples: u64,
    /// What was not taken, by reason.
    pub(crate) refused: Vec<(&'static str, u64)>,
    /// The first refusals, for people.
    pub(crate) told: Vec<String>,
}

impl Outcome {
    fn refuse(&mut self, reason: &'static str, count: u64, tell: impl FnOnce() -> String) {
        match self.refused.iter_mut().find(|(have, _)| *have == reason) {
            Some((_, have)) => *have += count,
            None => self.refused.push((reason, count)),
        }
        if self.told.len() < TOLD_MAX {
            self.told.push(tell());
        }
    }
}

/// What was read of a request.
pub(crate) struct Gathered<'g> {
    /// For the engine.
    pub(crate) batch: SampleBatch,
    outcome: Outcome,
    asked_bytes: usize,
    grow: &'g mut dyn FnMut(usize) -> bool,
}

impl<'g> Gathered<'g> {
    pub(super) fn new(now: Timestamp, grow: &'g mut dyn FnMut(usize) -> bool) -> Gathered<'g> {
        Gathered { batch: SampleBatch::new(now), outcome: Outcome::default(), asked_bytes: 0, grow }
    }

    /// Asks for memory, in steps. Errors: there is none.
    #[inline]
    pub(super) fn ask(&mut self, bytes: usize) -> Result<(), ReadError> {
        self.asked_bytes += bytes;
        if self.asked_bytes < STEP_BYTES || (self.grow)(std::mem::take(&mut self.asked_bytes)) {
            Ok(())
        } else {
            Err(ReadError::NoMemory)
        }
    }

    /// Adds a sample to a series that is being read.
    pub(super) fn sample(&mut self, draft: &mut Draft<'_>, at: i64, value: f64) -> Result<(), ReadError> {
        self.ask(SAMPLE_BYTES)?;
        draft.samples.push((at, value));
        Ok(())
    }

    /// Takes a series that was read, or notes why not.
    pub(super) fn add(&mut self, draft: &mut Draft<'_>) -> Result<(), ReadError> {
        self.ask(SERIES_BYTES + draft.pairs.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>())?;
        if draft.histograms > 0 {
            self.outcome.refuse("native_histogram", draft.histograms, || {
                format!("{}: native histograms are not kept yet", series_text(&draft.pairs))
            });
        }
        let fault = draft.fault.take().or_else(|| {
            let named = draft.pairs.iter().any(|(name, value)| *name == METRIC_NAME && !value.is_empty());
            (!named).then(|| format!("it has no metric name, a label `{METRIC_NAME}`"))
        });
        // Sorted by the batch; the text is made before, and only of what is refused.
        let series = match fault {
            Some(fault) => Err(fault),
            None if draft.samples.is_empty() => return Ok(()),
            None => {
                let kind = SeriesKind::Samples(draft.kind);
                self.batch.series_of(kind, &mut draft.pairs).map_err(|error| error.to_string())
            }
        };
        match series {
            Ok(series) => {
                for (at, value) in &draft.samples {
                    self.batch.push(series, Timestamp::from_millis(*at), *value);
                }
            }
            Err(fault) => {
                let count = (draft.samples.len() as u64).max(1);
                self.outcome.refuse("invalid_labels", count, || format!("{}: {fault}", series_text(&draft.pairs)));
            }
        }
        Ok(())
    }

    /// What became of all of it, by what the engine says of the batch.
    pub(crate) fn into_outcome(mut self, report: &AppendReport) -> Outcome {
        self.outcome.samples = report.accepted + report.duplicates;
        for (point, rejection) in &report.rejected {
            let batch = &self.batch;
            self.outcome.refuse(rejection.as_str(), 1, || {
                format!("{}: {rejection}", series_text(&batch.labels_of_point(*point)))
            });
        }
        self.outcome
    }
}

/// A series as people write it, cut when it is long.
fn series_text(pairs: &[(&str, &str)]) -> String {
    let name = pairs.iter().find(|(name, _)| *name == METRIC_NAME).map_or("", |(_, value)| value);
    let mut text = format!("{name}{{");
    for (index, (name, value)) in pairs.iter().filter(|(name, _)| *name != METRIC_NAME).enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}{name}={value:?}");
        if text.len() > SERIES_TEXT_BYTES_MAX {
            break;
        }
    }
    text.push('}');
    if text.len() > SERIES_TEXT_BYTES_MAX {
        let end = (0..=SERIES_TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_written_as_people_write_it() {
        assert_eq!(series_text(&[("__name__", "up"), ("job", "a\"b"), ("x", "é")]), "up{job=\"a\\\"b\", x=\"é\"}");
        let long = "é".repeat(1000);
        let text = series_text(&[("__name__", "up"), ("job", &long)]);
        assert!(text.len() < SERIES_TEXT_BYTES_MAX + 8 && text.ends_with('…'), "{text}");
        assert_eq!(series_text(&[]), "{}");
    }
}
