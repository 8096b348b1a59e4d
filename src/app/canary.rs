//! The canary: every so often one line of our own goes the whole way (intake, queue, engine, a rule of its own, the
//! notification log, a receiver of its own inside the process), and the time until it arrives is measured.
//!
//! One line is under way at a time. A page belongs to it if its alert began to fire after the line was sent: what
//! comes later than the next line is of a line that was counted as lost already.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus::{Histogram, HistogramOpts, IntCounter, Registry};
use watchfire_alerting::notification::Notification;
use watchfire_alerting::{InnerReceiver, Integration, Receiver};
use watchfire_engine::{Engine, SampleBatch, SeriesKind};
use watchfire_ingest::Intake;
use watchfire_ingest::own_line::take_line;
use watchfire_log_store::EmbeddedStore;
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{LabelSet, Timestamp};
use watchfire_rules::RuleSet;

use crate::config::CANARY as NAME;
use crate::load::duration;

/// The measured time, as a histogram at `/metrics` and a distribution for queries.
const SECONDS: &str = "watchfire_canary_seconds";
/// Bounds of the histogram, seconds.
const BUCKETS: [f64; 12] = [0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0];
/// A rule's time may lie before the line that it sees, by the part of a second in which both lie.
const EARLY_MS: i64 = 1000;

/// What was measured so far, and the line under way.
pub struct Canary {
    every_ms: i64,
    engine: Arc<Engine>,
    store: Arc<EmbeddedStore>,
    /// Guards the line under way and how the one before it ended.
    state: Mutex<State>,
    seconds: Histogram,
    sent: IntCounter,
    lost: IntCounter,
}

#[derive(Debug, Default)]
struct State {
    under_way: Option<Sent>,
    newest_end: Option<End>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Timestamp,
    clock: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Paged,
    Lost(String),
}

impl State {
    /// A line is about to be sent; `true` if the one before is lost: it has no page, or searches do not find it.
    fn send(&mut self, now: Sent, is_found: bool) -> bool {
        let reason = if self.under_way.replace(now).is_some() {
            "its page did not come before the next line was due"
        } else if !is_found {
            "searches did not find it before the next line was due"
        } else {
            return false;
        };
        self.newest_end = Some(End::Lost(reason.to_owned()));
        true
    }

    /// The line could not even be sent.
    fn refused(&mut self, reason: String) {
        self.under_way = None;
        self.newest_end = Some(End::Lost(format!("it was refused: {reason}")));
    }

    /// A page came of an alert that began to fire then: how long its line was under way.
    fn paged(&mut self, fired_at: Timestamp, clock: Instant) -> Option<Duration> {
        let sent = self.under_way.filter(|sent| fired_at.since(sent.at) >= -EARLY_MS)?;
        self.under_way = None;
        self.newest_end = Some(End::Paged);
        Some(clock.saturating_duration_since(sent.clock))
    }
}

impl Canary {
    /// A canary whose times go into `engine` and its counters into `registry`; `store` is to find its lines.
    pub fn new(
        every_ms: i64,
        engine: Arc<Engine>,
        store: Arc<EmbeddedStore>,
        registry: &Registry,
    ) -> prometheus::Result<Canary> {
        let options = HistogramOpts::new(SECONDS, "From a canary line to its page.").buckets(BUCKETS.to_vec());
        let seconds = Histogram::with_opts(options)?;
        let sent = IntCounter::new("watchfire_canary_sent_total", "Canary lines sent.")?;
        let lost = IntCounter::new(
            "watchfire_canary_lost_total",
            "Canary lines refused, or not paged or not found before the next one was due.",
        )?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(sent.clone()))?;
        registry.register(Box::new(lost.clone()))?;
        Ok(Canary { every_ms, engine, store, state: Mutex::default(), seconds, sent, lost })
    }

    /// Its receiver; hears only of its rule.
    pub fn receiver(self: &Arc<Canary>) -> Receiver {
        let canary = self.clone();
        let take = move |page: &Notification| canary.take(page);
        Receiver { name: NAME.to_owned(), integrations: vec![Integration::Inner(InnerReceiver::new(take))] }
    }

    /// Sends lines until it is dropped; the first one when an alert from before the start has ended.
    pub async fn run(&self, intake: &Intake) {
        let mut due = tokio::time::Instant::now();
        let mut newest_offset = None;
        for number in 1u32.. {
            due += duration(self.every_ms);
            tokio::time::sleep_until(due + duration(self.shift_ms(number))).await;
            let now = Sent { at: Timestamp::now(), clock: Instant::now() };
            let is_found = newest_offset.take().is_none_or(|offset| self.store.visible_offset() > offset);
            if self.state.lock().send(now, is_found) {
                self.lost.inc();
                tracing::warn!("the newest canary line was lost: /api/v1/health says how");
            }
            self.sent.inc();
            let line = format!(r#"{{"message":"canary {number}","service":"{NAME}","level":"debug"}}"#);
            match take_line(intake, &line).await {
                Ok(offset) => newest_offset = Some(offset),
                Err(reason) => {
                    self.lost.inc();
                    tracing::warn!(%reason, "the canary line was refused");
                    self.state.lock().refused(reason);
                }
            }
        }
    }

    /// How much later than its time a line is sent, up to a quarter of the distance: if all lines were sent in step
    /// with the rules, all would wait for them equally long. Multiples of the golden ratio fill the span evenly.
    fn shift_ms(&self, number: u32) -> i64 {
        let share = (f64::from(number) * 0.618_033_988_75).fract();
        (self.every_ms as f64 / 4.0 * share) as i64
    }

    /// What is wrong: the newest line was lost. `None` too while the first one is under way.
    pub fn trouble(&self) -> Option<String> {
        match &self.state.lock().newest_end {
            Some(End::Lost(reason)) => Some(format!("the newest canary line was lost: {reason}")),
            Some(End::Paged) | None => None,
        }
    }

    /// Whether the newest line that has ended led to a page.
    pub fn is_alive(&self) -> bool {
        self.state.lock().newest_end == Some(End::Paged)
    }

    /// Distance of its lines, milliseconds.
    pub fn every_ms(&self) -> i64 {
        self.every_ms
    }

    fn take(&self, page: &Notification) {
        let clock = Instant::now();
        let Some(alert) = page.alerts.iter().find(|alert| alert.is_firing()) else { return };
        let Some(time) = self.state.lock().paged(alert.starts_at, clock) else { return };
        self.seconds.observe(time.as_secs_f64());
        let engine = self.engine.clone();
        // The engine waits for its disk.
        tokio::task::spawn_blocking(move || observe(&engine, time));
    }
}

/// Puts a time into the distribution.
fn observe(engine: &Engine, time: Duration) {
    let now = Timestamp::now();
    let mut batch = SampleBatch::new(now);
    let series = batch.series(SeriesKind::Distribution, &LabelSet::empty().with(METRIC_NAME, SECONDS));
    batch.push(series, now, time.as_secs_f64());
    if let Err(error) = engine.append_samples(&batch) {
        tracing::warn!(%error, "the time of a canary line could not be stored");
    }
}

/// The rules, and that of a canary which sends a line this often; `check_interval_ms` is how often rules are evaluated.
pub fn with_rule(rules: RuleSet, every_ms: Option<i64>, check_interval_ms: i64) -> Result<RuleSet, String> {
    let Some(every_ms) = every_ms else { return Ok(rules) };
    let added = rules.with_own(&rule(every_ms, check_interval_ms));
    added.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// The rule that sees a line: it fires with the line, and is over before the next, which comes three quarters of the
/// distance later at the earliest. (A window reaches to the end of its second, and the end is seen one evaluation
/// later: that is a second and an eighth of the distance on top.) It is as long as that allows, for a late evaluation
/// to see the line too. Its alert has to come and go between two lines, so it is evaluated at the pace of the others,
/// but eight times in the distance at least.
fn rule(every_ms: i64, check_interval_ms: i64) -> String {
    let window_s = (every_ms * 5 / 8000 - 1).max(1);
    let interval_ms = check_interval_ms.min(every_ms / 8);
    serde_json::json!({
        "name": "WatchfireCanary",
        "query": format!("sum log_events_total over {window_s}s service={NAME}"),
        "threshold": 0,
        "operator": ">",
        "duration": "0s",
        "interval": format!("{interval_ms}ms"),
        "receivers": [NAME],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
    }

    #[test]
    fn a_page_belongs_to_the_line_before_it() {
        let begun = Instant::now();
        let clock = |seconds: i64| begun + Duration::from_secs(seconds.unsigned_abs());
        let sent = |seconds| Sent { at: at(seconds), clock: clock(seconds) };
        let mut state = State::default();
        assert!(!state.send(sent(0), true));
        assert_eq!(state.paged(at(1), clock(2)), Some(Duration::from_secs(2)));
        assert_eq!(state.newest_end, Some(End::Paged));
        assert_eq!(state.paged(at(1), clock(3)), None, "told twice");
        assert!(!state.send(sent(30), true));
        assert!(state.send(sent(60), true), "the line of 30 is lost");
        assert_eq!(state.paged(at(31), clock(61)), None, "its page comes too late");
        assert_eq!(state.paged(at(60), clock(61)), Some(Duration::from_secs(1)));
        assert!(state.send(sent(90), false), "the line of 60 was paged, but cannot be found");
        assert!(matches!(&state.newest_end, Some(End::Lost(reason)) if reason.contains("searches")));
        state.refused("full".to_owned());
        assert!(matches!(&state.newest_end, Some(End::Lost(reason)) if reason.contains("full")));
        assert!(!state.send(sent(120), true), "what was refused is counted once");
    }

    #[test]
    fn the_rule_is_one() {
        for (every_ms, check_interval_ms, interval_ms) in
            [(5000, 1000, 625), (30_000, 30_000, 3750), (30_000, 100, 100)]
        {
            let rules = with_rule(RuleSet::default(), Some(every_ms), check_interval_ms).expect("a good rule");
            let of_rules: Vec<_> =
                rules.groups().iter().flat_map(|group| &group.rules).map(|rule| rule.interval_ms()).collect();
            assert_eq!(of_rules, [Some(interval_ms)]);
        }
    }
}
