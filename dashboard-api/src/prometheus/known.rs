//! Queries that were asked before. Dashboards and rules of other programs ask the same texts again and again: they are read
//! once, and how long the last answer took tells whether the next is worth a thread of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use watchfire_query_lang::{Asked, ParseError, Query};

/// Longest text that is kept, bytes.
const TEXT_BYTES_MAX: usize = 1 << 10;
/// Bytes of texts of a generation; trees take some twenty times that.
const TEXTS_BYTES_MAX: usize = 64 << 10;
/// Texts of a generation: each may have an expression that takes some ten kilobytes.
const TEXTS_MAX: usize = 500;
/// What took no longer is computed where it is asked: handing it to another thread takes about a tenth of a millisecond.
const BRIEF: Duration = Duration::from_micros(400);

/// A query, and what is known of its answers.
pub(super) struct Known {
    pub(super) query: Query,
    /// How long an answer at a moment took, microseconds.
    moment: Took,
    /// How long the answer over a range took, and how many steps it had.
    range: Took,
}

struct Took {
    micros: AtomicU32,
    steps: AtomicU32,
}

impl Took {
    fn never() -> Took {
        Took { micros: AtomicU32::new(u32::MAX), steps: AtomicU32::new(0) }
    }
}

/// How many values a series of an answer has at most.
fn steps_of(asked: Asked) -> u32 {
    match asked {
        Asked::Instant(_) => 1,
        Asked::Range(range) => {
            let steps = range.end.millis().abs_diff(range.start.millis()) / range.step_ms.unsigned_abs().max(1);
            u32::try_from(steps).unwrap_or(u32::MAX)
        }
    }
}

impl Known {
    fn took(&self, asked: Asked) -> &Took {
        match asked {
            Asked::Instant(_) => &self.moment,
            Asked::Range(_) => &self.range,
        }
    }

    /// Whether the last answer of this kind took so little that the next is not worth another thread.
    pub(super) fn is_brief(&self, asked: Asked) -> bool {
        let took = self.took(asked);
        Duration::from_micros(u64::from(took.micros.load(Ordering::Relaxed))) <= BRIEF
            && steps_of(asked) <= took.steps.load(Ordering::Relaxed)
    }

    /// Notes how long an answer took.
    pub(super) fn note(&self, asked: Asked, time: Duration) {
        let took = self.took(asked);
        // Of one without the other the worst is that a query is computed in the wrong place once.
        took.steps.store(steps_of(asked), Ordering::Relaxed);
        took.micros.store(u32::try_from(time.as_micros()).unwrap_or(u32::MAX), Ordering::Relaxed);
    }
}

/// The queries that were asked last, in two generations.
#[derive(Default)]
pub struct KnownQueries(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<Box<str>, Arc<Known>>,
    old: HashMap<Box<str>, Arc<Known>>,
    young_bytes: usize,
}

impl KnownQueries {
    /// The query of a text.
    ///
    /// Errors: as [`Query::parse`]; texts that are none are not kept, nor those that take much memory.
    pub(super) fn read(&self, text: &str) -> Result<Arc<Known>, ParseError> {
        if let Some(known) = self.0.lock().get(text) {
            return Ok(known);
        }
        let known = Arc::new(Known { query: Query::parse(text)?, moment: Took::never(), range: Took::never() });
        if text.len() <= TEXT_BYTES_MAX && !known.query.is_large() {
            self.0.lock().put(text.into(), known.clone());
        }
        Ok(known)
    }
}

impl Generations {
    fn get(&mut self, text: &str) -> Option<Arc<Known>> {
        if let Some(known) = self.young.get(text) {
            return Some(known.clone());
        }
        let (text, known) = self.old.remove_entry(text)?;
        self.put(text, known.clone());
        Some(known)
    }

    fn put(&mut self, text: Box<str>, known: Arc<Known>) {
        if self.young_bytes + text.len() > TEXTS_BYTES_MAX || self.young.len() >= TEXTS_MAX {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += text.len();
        self.young.insert(text, known);
    }
}

#[cfg(test)]
mod tests {
    use watchfire_model::Timestamp;
    use watchfire_query_lang::RangeSteps;

    use super::*;

    #[test]
    fn what_is_asked_again_stays_and_the_rest_goes() {
        let queries = KnownQueries::default();
        let first = queries.read("sum(up)").expect("a query");
        for number in 0..4000 {
            let text = format!("up{{job=\"a job with a name of some length\"}} > {number}");
            queries.read(&text).expect("a query");
            assert!(Arc::ptr_eq(&first, &queries.read("sum(up)").expect("a query")));
        }
        let kept = queries.0.lock();
        let bytes = kept.young.keys().chain(kept.old.keys()).map(|text| text.len()).sum::<usize>();
        assert!(kept.young.len() + kept.old.len() < 4000 && bytes <= 2 * TEXTS_BYTES_MAX);
        drop(kept);
        assert!(queries.read("sum(").is_err());
    }

    #[test]
    fn what_was_brief_is_expected_to_be_so_again() {
        let known = KnownQueries::default().read("up").expect("a query");
        let range = |seconds: i64| {
            let start = Timestamp::from_millis(0);
            Asked::Range(RangeSteps { start, end: start.plus_millis(seconds * 1000), step_ms: 1000 })
        };
        assert!(!known.is_brief(range(60)), "nothing is known");
        known.note(range(60), BRIEF);
        assert!(known.is_brief(range(60)) && known.is_brief(range(5)));
        assert!(!known.is_brief(range(61)) && !known.is_brief(Asked::Instant(Timestamp::from_millis(0))));
        known.note(range(60), BRIEF * 2);
        assert!(!known.is_brief(range(60)));
    }
}
