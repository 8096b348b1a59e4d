//! The lines that a family becomes.

use std::fmt::Write;

use crate::bounds::bound_text;

use super::{Family, Fault, Metric, Native, OfClassic, Shown, Written};
use watchfire_engine::Exemplar;

/// Times that a line can tell, milliseconds: beyond them, a number of seconds names none any more.
const TIMES_MS: std::ops::RangeInclusive<i64> = -9_000_000_000_000_000..=9_000_000_000_000_000;

/// The text so far.
pub(super) struct Lines {
    written: Written,
    limit: usize,
}

impl Lines {
    /// Of at most so many bytes.
    pub(super) fn new(limit: usize) -> Lines {
        Lines { written: Written::default(), limit }
    }

    pub(super) fn finish(mut self) -> Written {
        self.written.text.push_str("# EOF\n");
        self.written
    }

    /// What is said of a family.
    pub(super) fn head(&mut self, family: &Family<'_>, help: &str, unit: &str) {
        let text = &mut self.written.text;
        let name = quoted(family.name);
        if !help.is_empty() {
            push(text, format_args!("# HELP {name} {}\n", escaped(help)));
        }
        push(text, format_args!("# TYPE {name} {}\n", family.kind.as_str()));
        // A line can tell any other.
        if !unit.is_empty() && !unit.contains('\n') {
            push(text, format_args!("# UNIT {name} {unit}\n"));
        }
    }

    /// A line; `bound` is a label of which the value is a number.
    ///
    /// Errors: the text is too long.
    pub(super) fn sample(
        &mut self,
        metric: &Metric<'_>,
        suffix: &str,
        bound: Option<(&str, f64)>,
        value: f64,
        exemplar: Option<&Shown<'_>>,
    ) -> Result<(), Fault> {
        let text = &mut self.written.text;
        put_series(text, metric.name, suffix, metric.labels.iter().copied());
        if let Some((label, value)) = bound {
            push(text, format_args!(",\"{label}\"=\"{}\"", bound_text(value)));
        }
        push(text, format_args!("}} {}", number(value)));
        put_time(text, metric.at_ms);
        if let Some(Shown { labels, value, at_ms }) = exemplar {
            let pairs: Vec<String> =
                labels.iter().map(|(label, value)| format!("{}={}", quoted(label), quoted(value))).collect();
            push(text, format_args!(" # {{{}}} {}", pairs.join(","), number(*value)));
            put_time(text, *at_ms);
        }
        text.push('\n');
        if text.len() > self.limit { Err(Fault::TooLong) } else { Ok(()) }
    }

    /// A native histogram: the line of its series, and itself beside it.
    pub(super) fn native(&mut self, metric: &Metric<'_>, make: impl FnOnce(usize) -> Native) -> Result<(), Fault> {
        self.written.natives.push(make(self.written.text.len()));
        self.sample(metric, "", None, f64::NAN, None)
    }

    /// Exemplars of the classic histogram whose lines come next.
    pub(super) fn exemplars_of_classic(&mut self, exemplars: Vec<Exemplar>) {
        self.written.of_classic.push(OfClassic { at: self.written.text.len(), exemplars });
    }
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(arguments);
}

/// Writes the name, with what its family adds to it, and the labels of a series, up to the closing brace.
pub(crate) fn put_series<'l>(
    text: &mut String,
    name: &str,
    suffix: &str,
    labels: impl Iterator<Item = (&'l str, &'l str)>,
) {
    push(text, format_args!("{{\"{}{suffix}\"", escaped(name)));
    for (label, value) in labels {
        push(text, format_args!(",\"{}\"=\"{}\"", escaped(label), escaped(value)));
    }
}

/// Writes a time as OpenMetrics has it, a blank before it.
pub(crate) fn put_time(text: &mut String, at_ms: Option<i64>) {
    if let Some(at) = at_ms.filter(|at| TIMES_MS.contains(at)) {
        let sign = if at < 0 { "-" } else { "" };
        push(text, format_args!(" {sign}{}.{:03}", at.unsigned_abs() / 1000, at.unsigned_abs() % 1000));
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", escaped(name))
}

fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => format!("{value:e}"),
    }
}
