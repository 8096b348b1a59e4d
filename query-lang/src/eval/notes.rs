//! What an evaluation has to say beside its values: warnings and infos, in Prometheus' words.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use watchfire_model::Timestamp;

use super::limits::Guard;
use super::quantile::Lifted;
use crate::ast::Span;

/// Most notes of a kind that an answer shows; how many more there were is said.
const SHOWN_MAX: usize = 10;
/// Most different notes that are kept of an evaluation.
const KEPT_MAX: usize = 1000;

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// The result is hardly what was meant.
    Warning,
    /// The result is what was asked for, which may not be what was meant.
    Info,
}

/// What was noted, each text once.
#[derive(Debug, Default)]
pub(crate) struct Notebook {
    noted: RefCell<BTreeMap<(Weight, String), Span>>,
    lifted: RefCell<Option<AllLifted>>,
}

/// All buckets of classic histograms that had to be lifted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AllLifted {
    largest: Lifted,
    histograms: u64,
    first_ms: i64,
    last_ms: i64,
    offset: usize,
}

impl AllLifted {
    fn and(&self, more: &AllLifted) -> AllLifted {
        let (lower, upper) = self.largest.bounds;
        let bounds = (lower.min(more.largest.bounds.0), upper.max(more.largest.bounds.1));
        AllLifted {
            largest: Lifted { bounds, by: self.largest.by.max(more.largest.by) },
            histograms: self.histograms + more.histograms,
            first_ms: self.first_ms.min(more.first_ms),
            last_ms: self.last_ms.max(more.last_ms),
            offset: self.offset,
        }
    }

    fn info(&self) -> String {
        let Lifted { bounds: (lower, upper), by } = self.largest;
        let time = |millis: i64| {
            let text = Timestamp::from_millis(millis.div_euclid(1000).saturating_mul(1000)).to_rfc3339();
            text.replace(".000Z", "Z")
        };
        format!(
            "input to histogram_quantile needed to be fixed for monotonicity (see \
             https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile), from buckets {} to \
             {}, with a max diff of {}, over {} samples from {} to {}",
            general(lower),
            general(upper),
            general_of_two(by),
            self.histograms,
            time(self.first_ms),
            time(self.last_ms)
        )
    }
}

impl Notebook {
    /// Notes something about a part of the query. `text` has neither kind nor place. Of several parts with the same text that one
    /// is told which Prometheus evaluates last, whatever is evaluated first here.
    pub(crate) fn note(&self, weight: Weight, text: String, about: Span) {
        let mut noted = self.noted.borrow_mut();
        let is_full = noted.len() >= KEPT_MAX;
        match noted.entry((weight, text)) {
            Entry::Occupied(mut have) if is_before(*have.get(), about) => {
                have.insert(about);
            }
            Entry::Vacant(none) if !is_full => {
                none.insert(about);
            }
            Entry::Occupied(_) | Entry::Vacant(_) => {}
        }
    }

    /// Notes a histogram at a time whose buckets had to be lifted.
    pub(crate) fn note_lifted(&self, lifted: Lifted, at_ms: i64, about: Span) {
        let (histograms, offset) = (1, about.start);
        let one = AllLifted { largest: lifted, histograms, first_ms: at_ms, last_ms: at_ms, offset };
        self.add_lifted(one);
    }

    fn add_lifted(&self, more: AllLifted) {
        let mut noted = self.lifted.borrow_mut();
        *noted = Some(noted.map_or(more, |all| all.and(&more)));
    }

    /// Notes what was noted elsewhere, as if it had been noted here.
    pub(crate) fn take_over(&self, other: &Notebook) {
        for ((weight, text), about) in other.noted.take() {
            self.note(weight, text, about);
        }
        if let Some(lifted) = other.lifted.take() {
            self.add_lifted(lifted);
        }
    }

    /// What was noted of buckets that were lifted.
    pub(crate) fn lifted(&self) -> Option<AllLifted> {
        *self.lifted.borrow()
    }

    /// As it was before.
    pub(crate) fn set_lifted(&self, before: Option<AllLifted>) {
        *self.lifted.borrow_mut() = before;
    }

    /// The notes with their places in the text of the query.
    pub(crate) fn told(&self, query: &str) -> Notes {
        let mut notes = Notes::default();
        let (mut more_warnings, mut more_infos) = (0, 0);
        if let Some(all) = *self.lifted.borrow() {
            let key = (Weight::Info, all.info());
            self.noted.borrow_mut().insert(key, Span { start: all.offset, end: all.offset });
        }
        for ((weight, text), about) in self.noted.borrow().iter() {
            let (list, more, kind) = match weight {
                Weight::Warning => (&mut notes.warnings, &mut more_warnings, "warning"),
                Weight::Info => (&mut notes.infos, &mut more_infos, "info"),
            };
            if list.len() < SHOWN_MAX {
                list.push(format!("PromQL {kind}: {text} ({})", place(query, about.start)));
            } else {
                *more += 1;
            }
        }
        if more_warnings > 0 {
            notes.warnings.push(format!("{more_warnings} more warning annotations omitted"));
        }
        if more_infos > 0 {
            notes.infos.push(format!("{more_infos} more info annotations omitted"));
        }
        notes
    }
}

/// Whether one part of a query is evaluated before another: what stands left of it, and what stands in it.
fn is_before(one: Span, other: Span) -> bool {
    (one.end, Reverse(one.start)) < (other.end, Reverse(other.start))
}

/// `line:column` of a byte, both counted from 1.
fn place(query: &str, offset: usize) -> String {
    let before = query.get(..offset).unwrap_or(query);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{line}:{column}")
}

/// A number as `%g` of Go writes it, which messages of Prometheus have.
pub(crate) fn general(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        -4..6 => value.to_string(),
        exponent => format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}

/// The same as OpenMetrics writes it: what looks like a whole number has a decimal too.
pub(crate) fn general_float(value: f64) -> String {
    // Like `%g`, but with an exponent from 1e21 on only.
    let text = if (1e6..1e21).contains(&value.abs()) { value.to_string() } else { general(value) };
    if value.is_finite() && !text.contains(['.', 'e']) { format!("{text}.0") } else { text }
}

/// The same with two digits, as `%.2g` writes it.
fn general_of_two(value: f64) -> String {
    let rounded = format!("{value:.1e}").parse().unwrap_or(value);
    let text = general(rounded);
    match text.parse::<f64>().map(f64::abs) {
        // With two digits the exponent begins at a hundred.
        Ok(100.0..1e6) => {
            let scientific = format!("{rounded:e}");
            let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
            format!("{digits}e+{exponent:0>2}")
        }
        _ => text,
    }
}

/// Notes a quantile that is none.
pub(crate) fn check_quantile(guard: &Guard, q: f64, about: Span) {
    if !(0.0..=1.0).contains(&q) {
        guard.warn(format!("quantile value should be between 0 and 1, got {}", general(q)), about);
    }
}

/// Warnings and infos of an answer, as Prometheus' API shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// The result is hardly what was meant.
    pub warnings: Vec<String>,
    /// The result is what was asked for, which may not be what was meant.
    pub infos: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_go_writes_them() {
        for (value, text) in [
            (1.5, "1.5"),
            (-1.0, "-1"),
            (1e6, "1e+06"),
            (123456.0, "123456"),
            (0.0001, "0.0001"),
            (1.25e-5, "1.25e-05"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(general(value), text);
        }
    }

    #[test]
    fn two_digits() {
        for (value, text) in [(0.384, "0.38"), (0.3, "0.3"), (12.0, "12"), (123.0, "1.2e+02"), (1e9, "1e+09")] {
            assert_eq!(general_of_two(value), text);
        }
    }

    #[test]
    fn each_text_once_with_its_place_and_ten_of_a_kind() {
        let notebook = Notebook::default();
        let about = Span { start: 7, end: 9 };
        for number in (0..12).chain(0..12) {
            notebook.note(Weight::Warning, format!("odd {number:02}"), about);
        }
        notebook.note(Weight::Info, "fine".to_owned(), Span::default());
        let notes = notebook.told("sum(\n  \u{e9}x");
        assert_eq!(notes.warnings.len(), 11);
        assert_eq!(notes.warnings[0], "PromQL warning: odd 00 (2:3)");
        assert_eq!(notes.warnings[10], "2 more warning annotations omitted");
        assert_eq!(notes.infos, ["PromQL info: fine (1:1)"]);
    }
}
