//! Running totals of what is counted from logs, at fixed times.
//!
//! The log of the engine has counts of seconds, and other servers know samples only. So every so often each counter is sent
//! as a scrape would see it. Its total at a time of the past is known, so that times that were missed, by a receiver that was
//! away or a restart, are made up for.

use std::collections::{HashSet, VecDeque};

use watchfire_engine::{Engine, SeriesKind, SeriesView, TimeRange};
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{LabelSet, Matcher, Timestamp};

use crate::remote_write::CountedUntil;

/// Times that were missed are made up for so far back, milliseconds: the detail is in memory so long.
const MISSED_MAX_MS: i64 = 86_400_000;
/// What was accepted before a time is counted so long after it, milliseconds.
const SETTLED_AFTER_MS: i64 = 1000;

/// The totals of one series at a time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Total {
    /// Number of the series.
    pub(crate) series: u64,
    pub(crate) kind: SeriesKind,
    /// The samples of each series that is made of it.
    pub(crate) parts: Vec<(LabelSet, Vec<(i64, f64)>)>,
}

/// The round that is being sent.
pub(crate) struct Totals {
    every_ms: i64,
    /// Its time.
    pub(crate) at: i64,
    /// What is not handed on of it, ascending by series.
    pub(crate) waiting: VecDeque<Total>,
    /// The time of the last round that was made here, and the series in it.
    made: Option<(i64, HashSet<u64>)>,
}

impl Totals {
    /// The next round is the first one after a time.
    pub(crate) fn after(at: i64, every_ms: i64) -> Totals {
        let every_ms = every_ms.max(1000);
        // On whole seconds a total is what a search over the same time finds.
        Totals { every_ms, at: at.div_euclid(every_ms) * every_ms, waiting: VecDeque::new(), made: None }
    }

    /// Its last round is to be begun again, as a part of it may not be settled.
    pub(crate) fn again(&mut self) {
        self.at -= self.every_ms;
    }

    /// Time between two rounds, milliseconds.
    pub(crate) fn every_ms(&self) -> i64 {
        self.every_ms
    }

    /// How far all that was handed on goes.
    pub(crate) fn place(&self) -> (i64, u64) {
        match self.waiting.front() {
            Some(total) => (self.at, total.series.saturating_sub(1)),
            None => (self.at, u64::MAX),
        }
    }

    /// Begins the next round, if all that was accepted before its time is counted. Says whether there is one.
    pub(crate) fn begin(&mut self, engine: &Engine, counted_until: &CountedUntil, now: i64) -> bool {
        let oldest = (now - MISSED_MAX_MS).div_euclid(self.every_ms) * self.every_ms;
        let next = (self.at + self.every_ms).max(oldest);
        let settled = next + SETTLED_AFTER_MS;
        if !self.waiting.is_empty() || settled > now || settled > counted_until().millis() {
            return false;
        }
        // What was accepted before the last round and counted after it is in no total yet, the zero before it included.
        let before = self.made.take().filter(|(at, _)| *at == next - self.every_ms);
        let is_new = |series: u64| before.as_ref().is_some_and(|(_, had)| !had.contains(&series));
        self.at = next;
        self.waiting = totals(engine, next, self.every_ms, is_new).into();
        self.made = Some((next, self.waiting.iter().map(|total| total.series).collect()));
        true
    }
}

/// The totals of all series at a time; of new ones with the zero before.
fn totals(engine: &Engine, at: i64, every_ms: i64, is_new: impl Fn(u64) -> bool) -> Vec<Total> {
    let (at, before) = (Timestamp::from_millis(at), Timestamp::from_millis(at - every_ms));
    let mut all = Vec::new();
    for metric in engine.metrics("") {
        if matches!(metric.kind, SeriesKind::Samples(_)) {
            continue;
        }
        let range = TimeRange { start: before, end: at };
        let found = engine.select(&[Matcher::equal(METRIC_NAME, metric.name.as_str())], range);
        let of_view = |view: &SeriesView| total(view, at, before, is_new(view.number()));
        all.extend(found.unwrap_or_default().iter().filter_map(of_view));
    }
    all.sort_unstable_by_key(|total: &Total| total.series);
    all
}

fn total(view: &SeriesView, at: Timestamp, before: Timestamp, is_new: bool) -> Option<Total> {
    let grown = |had: Option<f64>, has: f64| grown(had.filter(|_| !is_new), has, at, before);
    let parts = match view.kind() {
        SeriesKind::Samples(_) => return None,
        SeriesKind::Increments => {
            vec![(view.labels().clone(), grown(view.total_at(before), view.total_at(at)?))]
        }
        SeriesKind::Distribution => {
            let (had, has) = (view.running(before), view.running(at)?);
            let name = view.labels().metric_name();
            let part = |suffix: &str, had: Option<f64>, has: f64| {
                (view.labels().with(METRIC_NAME, &format!("{name}{suffix}")), grown(had, has))
            };
            vec![
                part("_count", had.as_ref().map(|window| window.count() as f64), has.count() as f64),
                part("_sum", had.as_ref().map(|window| window.sum()), has.sum()),
            ]
        }
    };
    Some(Total { series: view.number(), kind: view.kind(), parts })
}

/// A total; the first one with the zero before it, as else nobody could tell how much it has grown.
fn grown(had: Option<f64>, has: f64, at: Timestamp, before: Timestamp) -> Vec<(i64, f64)> {
    match had {
        Some(_) => vec![(at.millis(), has)],
        None => vec![(before.millis(), 0.0), (at.millis(), has)],
    }
}

#[cfg(test)]
mod tests {
    use watchfire_engine::{Derived, EngineConfig, Increment, SourcePosition};

    use super::*;

    #[test]
    fn what_is_counted_late_begins_with_zero_too() {
        let now = Timestamp::now().millis() / 1000 * 1000;
        let folder = tempfile::tempdir().expect("a folder");
        let config = EngineConfig::new(folder.path());
        let (engine, _) = Engine::open(config, Timestamp::from_millis(now)).expect("opens");
        let count = |service: &str, at: i64, offset: u64| {
            let source = SourcePosition {
                queue: "logs".to_owned(),
                epoch: 1,
                partition: 0,
                first_offset: offset,
                next_offset: offset + 1,
            };
            let mut derived = Derived::new(source);
            let labels = LabelSet::from_pairs([("__name__", "log_events_total"), ("service", service)]).expect("valid");
            derived.increments.push(Increment { labels, at: Timestamp::from_millis(at), count: 1.0, late: false });
            engine.apply(&derived).expect("applies");
        };
        let all_is_counted: CountedUntil = std::sync::Arc::new(move || Timestamp::from_millis(now + 100_000));
        let mut totals = Totals::after(now - 3000, 1000);
        let mut round = || {
            assert!(totals.begin(&engine, &all_is_counted, now + 10_000));
            let parts: Vec<(i64, f64)> =
                totals.waiting.drain(..).flat_map(|total| total.parts).flat_map(|(_, samples)| samples).collect();
            parts
        };
        count("early", now - 2500, 0);
        assert_eq!(round(), [(now - 3000, 0.0), (now - 2000, 1.0)]);
        count("late", now - 2500, 1);
        assert_eq!(round(), [(now - 1000, 1.0), (now - 2000, 0.0), (now - 1000, 1.0)]);
        assert_eq!(round(), [(now, 1.0), (now, 1.0)]);
    }
}
