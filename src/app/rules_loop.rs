//! The thread that evaluates rules when they are due, and the one that hands their alerts to alerting.
//!
//! Between the two lies a bounded channel: while alerting writes its log, rules go on. If it is full, a round's
//! alerts are dropped: rules hand over levels, so the next round says the same again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use watchfire_alerting::{AlertBatch, Alerting, HandleReport};
use watchfire_model::{Alert, Timestamp};
use watchfire_query_lang::MetricsRead;
use watchfire_rules::{RuleEngine, SampleSink};

use super::backlog::Backlog;

/// Rounds that may wait for alerting.
const ROUNDS_MAX: usize = 64;
/// Longest sleep between two looks at the schedule, so that a reload or a stop is seen soon.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The running threads.
pub struct RulesLoop {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl RulesLoop {
    /// Starts both threads. Rules are evaluated when the backlog, if there is one, is counted.
    pub fn start(
        rules: Arc<RuleEngine>,
        metrics: Arc<dyn MetricsRead>,
        sink: Arc<dyn SampleSink>,
        alerting: Arc<Alerting>,
        backlog: Option<Backlog>,
    ) -> std::io::Result<RulesLoop> {
        let stop = Arc::new(AtomicBool::new(false));
        let (rounds, handed) = bounded(ROUNDS_MAX);
        let evaluate = {
            let (rules, stop) = (rules.clone(), stop.clone());
            let work = move || {
                wait_for(backlog, &stop);
                evaluate(&rules, &*metrics, &*sink, &rounds, &stop);
            };
            std::thread::Builder::new().name("rules".into()).spawn(work)?
        };
        let hand_over = std::thread::Builder::new()
            .name("rules-out".into())
            .spawn(move || hand_over(&rules, &alerting, &handed))?;
        Ok(RulesLoop { stop, threads: vec![evaluate, hand_over] })
    }

    /// Ends both, after what is under way was handed over.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the rules panicked");
            }
        }
    }
}

/// Half of what was accepted before the start must neither page anybody nor be recorded.
fn wait_for(backlog: Option<Backlog>, stop: &AtomicBool) {
    let Some(mut waiter) = backlog.map(|backlog| backlog.waiter(Instant::now())) else { return };
    while !stop.load(Ordering::Acquire) && !waiter.may_begin(Instant::now()) {
        std::thread::sleep(LOOK_EVERY);
    }
}

fn evaluate(
    rules: &RuleEngine,
    metrics: &dyn MetricsRead,
    sink: &dyn SampleSink,
    rounds: &Sender<Vec<Alert>>,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::Acquire) {
        let now = Timestamp::now();
        let wait_ms = rules.next_due(now).map_or(i64::MAX, |due| due.since(now));
        if wait_ms > 0 {
            let wait = Duration::from_millis(wait_ms.unsigned_abs()).min(LOOK_EVERY);
            std::thread::sleep(wait);
            continue;
        }
        let mut round = rules.evaluate_due(now, metrics, sink);
        if !round.alerts.is_empty()
            && let Err(TrySendError::Full(alerts)) = rounds.try_send(round.alerts)
        {
            tracing::warn!(alerts = alerts.len(), "alerting is behind; these alerts are handed over again later");
        }
        // After the hand-over: word goes out before the series that remember it are synced.
        if let Err(error) = round.unwritten.write(sink) {
            tracing::warn!(reason = %error.reason, "series of rules could not be written");
        }
    }
}

fn hand_over(rules: &RuleEngine, alerting: &Alerting, rounds: &Receiver<Vec<Alert>>) {
    while let Ok(alerts) = rounds.recv() {
        // `Closed` means that we are stopping: what was not taken is handed over after the next start.
        let Ok(report) = alerting.handle_blocking(batches(&alerts), Timestamp::now()) else { return };
        rules.acknowledge(acknowledged(&alerts, &report));
    }
}

/// The alerts of each rule together.
fn batches(alerts: &[Alert]) -> Vec<AlertBatch> {
    let mut by_rule: BTreeMap<(&str, &str), Vec<Alert>> = BTreeMap::new();
    for alert in alerts {
        by_rule.entry((&alert.group, &alert.rule)).or_default().push(alert.clone());
    }
    let batch = |((group, rule), alerts): ((&str, &str), _)| AlertBatch {
        group: group.to_owned(),
        rule: rule.to_owned(),
        alerts,
    };
    by_rule.into_iter().map(batch).collect()
}

/// The resolved alerts that alerting has taken over for good.
fn acknowledged<'a>(alerts: &'a [Alert], report: &'a HandleReport) -> impl Iterator<Item = &'a Alert> {
    let taken: std::collections::HashSet<_> = report
        .acknowledged
        .iter()
        .map(|taken| (taken.group.as_str(), taken.rule.as_str(), taken.fingerprint, taken.resolved_at))
        .collect();
    alerts.iter().filter(move |alert| {
        let resolved = alert.resolved_at;
        resolved.is_some_and(|at| taken.contains(&(alert.group.as_str(), alert.rule.as_str(), alert.fingerprint(), at)))
    })
}
