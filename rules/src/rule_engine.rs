//! Evaluates the rules that are due, remembers where their alerts stand, and hands over what people may have
//! to be told.
//!
//! The hand-over is by level, not by edge: what fires is handed over when it begins and once a minute, what is
//! resolved until it is acknowledged; so whoever takes it may lose any single one. A change is in the journal
//! before it is handed over.

mod rehearse;
mod round;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use watchfire_json_log::JsonLogs;
use watchfire_model::{Alert, AlertState, LabelSet, Timestamp};
use watchfire_query_lang::{Limits, MetricsRead};

use crate::journal::{Journal, JournalError, JournalReport};
use crate::rule_set::RuleSet;
use crate::samples::{SAMPLE_EVERY_MS, SampleSink, SeriesSample};
use crate::schedule::Schedule;
use crate::snapshot::{self, AlertSnapshot, GroupSnapshot, Health, RuleStats};
use crate::table::{Carried, GroupDefaults, Owed, OwedKey, Table, shift_by_outage};
use crate::unwritten::Unwritten;

use round::{Store, Work};

/// What fires is handed over again after this time, in milliseconds.
const SWEEP_EVERY_MS: i64 = 60_000;
/// After a restart, alerts whose series is not back yet stay as they are for this time, in milliseconds.
const GRACE_MS: i64 = 60_000;

/// How rules are evaluated.
#[derive(Clone, Debug)]
pub struct RuleEngineConfig {
    /// Folder of the journal; made if it is not there.
    pub dir: PathBuf,
    /// What holds of groups that say nothing themselves.
    pub defaults: GroupDefaults,
    /// What one evaluation may use.
    pub limits: Limits,
}

/// What a call of [`RuleEngine::evaluate_due`] brought.
#[derive(Debug, Default)]
pub struct Round {
    /// Firing and resolved alerts to hand over, rule by rule; on the disk already.
    pub alerts: Vec<Alert>,
    /// Samples of `ALERTS` and `ALERTS_FOR_STATE` and of recording rules that are not in the store yet.
    pub unwritten: Unwritten,
    /// How many rules were evaluated.
    pub evaluated: usize,
    /// How many of them failed.
    pub failed: usize,
}

/// The rules in force. Shared between the thread that evaluates, the API and the thread that acknowledges.
pub struct RuleEngine {
    /// Swapped as a whole by a reload.
    table: RwLock<Arc<Table>>,
    /// What one evaluation needs for itself; held while it runs.
    evaluator: Mutex<Evaluator>,
    /// Acknowledgements that the next evaluation takes over.
    acknowledged: Mutex<Vec<Acknowledged>>,
    journal_bytes: AtomicU64,
    journal_failures: AtomicU64,
    journal_is_behind: AtomicBool,
}

struct Evaluator {
    limits: Limits,
    /// Where queries are written down.
    logs: Option<Arc<JsonLogs>>,
    schedule: Schedule,
    journal: Journal,
    journal_failures: u64,
    /// No rewrite of a journal that is behind before this time.
    retry_journal_at: Timestamp,
    last_clock: Timestamp,
    next_sweep: Timestamp,
    grace_until: Timestamp,
    /// Shortest distance between two samples of an unchanged alert.
    sample_every_ms: i64,
    /// What happens is no news: it is rehearsed.
    is_rehearsal: bool,
    /// Ends that have to be told without their rule.
    owed: BTreeMap<OwedKey, Owed>,
    /// Samples of rules that went with a reload.
    samples: Vec<SeriesSample>,
}

struct Acknowledged {
    group: String,
    rule: String,
    labels: LabelSet,
    resolved_at: Timestamp,
}

impl RuleEngine {
    /// Opens the journal and puts its alerts back where they stood.
    ///
    /// Errors: a folder that cannot be written, a journal of a newer version. Damage is no error but logged and
    /// reported.
    pub fn open(
        config: RuleEngineConfig,
        rules: &RuleSet,
        now: Timestamp,
    ) -> Result<(RuleEngine, JournalReport), JournalError> {
        let (journal, replayed, report) = Journal::open(&config.dir)?;
        if report.cut_bytes > 0 || !report.damaged.is_empty() {
            let (cut_bytes, damaged) = (report.cut_bytes, report.damaged.len());
            let path = config.dir.join(crate::journal::FILE);
            let path = path.display();
            tracing::warn!(%path, cut_bytes, damaged, "the journal of alert rules was damaged; the good part is in force");
        }
        let last_seen = replayed.last_seen;
        let table = Table::new(rules, config.defaults);
        // Whatever a rule recorded before the start is not known any more.
        let left = table.give(Carried::from_journal(replayed)).into_iter();
        let owed: Vec<Owed> = left.flat_map(|one| one.ends(now, &mut Vec::new())).collect();
        shift_by_outage(&table, last_seen, now);
        let mut evaluator = Evaluator::new(config.limits, table.schedule(now), journal, now);
        evaluator.owed = owed.into_iter().map(|owed| (owed.key(), owed)).collect();
        if report != JournalReport::default() {
            evaluator.rewrite_journal(&table, now);
        }
        let engine = RuleEngine::over(table, evaluator);
        engine.publish(&engine.evaluator.lock());
        Ok((engine, report))
    }

    /// Writes each query of a rule down, where queries are.
    #[must_use]
    pub fn with_logs(mut self, logs: Arc<JsonLogs>) -> RuleEngine {
        self.evaluator.get_mut().logs = Some(logs);
        self
    }

    fn over(table: Table, evaluator: Evaluator) -> RuleEngine {
        RuleEngine {
            table: RwLock::new(Arc::new(table)),
            evaluator: Mutex::new(evaluator),
            acknowledged: Mutex::default(),
            journal_bytes: AtomicU64::default(),
            journal_failures: AtomicU64::default(),
            journal_is_behind: AtomicBool::default(),
        }
    }

    /// When [`RuleEngine::evaluate_due`] has something to do next, `now` at the earliest; `None` without rules.
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let evaluator = self.evaluator.lock();
        let sweep = (!evaluator.owed.is_empty()).then_some(evaluator.next_sweep.max(now));
        match evaluator.schedule.next_due(now) {
            Some(due) => Some(due.min(evaluator.next_sweep.max(now))),
            None => sweep,
        }
    }

    /// Evaluates all rules that are due, each at its planned time, and returns what is to be handed over, and what is
    /// then to be written. What a rule reads that rules before it gave is written into `sink` before it is evaluated.
    ///
    /// Blocks while queries run. A rule that fails leaves its alerts as they are. If the journal cannot be
    /// written, that is counted and the alerts are handed over all the same: word late is worse than word twice.
    pub fn evaluate_due(&self, now: Timestamp, metrics: &dyn MetricsRead, sink: &dyn SampleSink) -> Round {
        let mut evaluator = self.evaluator.lock();
        let evaluator = &mut *evaluator;
        let table = Arc::clone(&self.table.read());
        let mut work = Work::new(now, std::mem::take(&mut evaluator.samples));
        work.acknowledge(&table, evaluator, std::mem::take(&mut *self.acknowledged.lock()));
        while let Some(due) = evaluator.schedule.pop(now) {
            work.evaluate_batch(&table, evaluator, due, &Store { metrics, sink });
        }
        if evaluator.next_sweep <= now || evaluator.next_sweep.since(now) > SWEEP_EVERY_MS {
            evaluator.next_sweep = now.plus_millis(SWEEP_EVERY_MS);
            work.sweep(&table, evaluator);
        }
        evaluator.commit(&table, &mut work);
        self.publish(evaluator);
        work.round
    }

    /// Takes back resolved alerts: who tells people has taken them over and will not forget them. Others are
    /// ignored. Does not wait for an evaluation.
    pub fn acknowledge<'a>(&self, alerts: impl IntoIterator<Item = &'a Alert>) {
        let taken = alerts.into_iter().filter_map(|alert| {
            Some(Acknowledged {
                group: alert.group.clone(),
                rule: alert.rule.clone(),
                labels: alert.labels.clone(),
                resolved_at: alert.resolved_at?,
            })
        });
        self.acknowledged.lock().extend(taken);
    }

    /// Puts other rules in force, as a whole. Alerts of rules that are still there stay; those of rules that are
    /// gone are resolved, and series that they recorded end. Waits for an evaluation that runs.
    pub fn reload(&self, rules: &RuleSet, defaults: GroupDefaults, now: Timestamp) {
        let mut evaluator = self.evaluator.lock();
        let evaluator = &mut *evaluator;
        let next = Table::new(rules, defaults);
        let before = Arc::clone(&self.table.read());
        next.keep_counters(&before);
        for left in next.give(before.take()) {
            for mut owed in left.ends(now, &mut evaluator.samples) {
                let labels = owed.alert.labels.clone();
                crate::samples::end(&labels, &mut owed.tracked, now, &mut evaluator.samples);
                evaluator.owed.insert(owed.key(), owed);
            }
        }
        evaluator.schedule = next.schedule(now);
        evaluator.next_sweep = now;
        evaluator.rewrite_journal(&next, now);
        self.publish(evaluator);
        *self.table.write() = Arc::new(next);
    }

    /// All groups with their rules and alerts, in the order of the files.
    pub fn rules_snapshot(&self) -> Vec<GroupSnapshot> {
        let table = Arc::clone(&self.table.read());
        table.shown_groups().map(snapshot::group).collect()
    }

    /// The same without the rules: names, limits, and how the evaluations went.
    pub fn groups_snapshot(&self) -> Vec<GroupSnapshot> {
        let table = Arc::clone(&self.table.read());
        table.shown_groups().map(snapshot::group_alone).collect()
    }

    /// The alerts of all rules: pending, firing, and for 15 minutes resolved ones.
    pub fn alerts_snapshot(&self) -> Vec<AlertSnapshot> {
        let table = Arc::clone(&self.table.read());
        snapshot::alerts(&table)
    }

    /// Numbers for own metrics.
    pub fn stats(&self) -> RuleStats {
        let table = Arc::clone(&self.table.read());
        let mut stats = RuleStats::default();
        for slot in table.slots() {
            let state = slot.state.lock();
            stats.failing_rules += usize::from(state.health == Health::Err);
            if slot.is_own() {
                continue;
            }
            stats.rules += 1;
            for (_, tracked) in state.set.active() {
                match tracked.life.state() {
                    AlertState::Pending => stats.pending += 1,
                    AlertState::Firing => stats.firing += 1,
                    AlertState::Resolved => {}
                }
            }
        }
        stats.journal_bytes = self.journal_bytes.load(Ordering::Relaxed);
        stats.journal_failures = self.journal_failures.load(Ordering::Relaxed);
        stats.journal_is_behind = self.journal_is_behind.load(Ordering::Relaxed);
        stats
    }

    /// Makes the numbers of the journal readable without waiting for an evaluation.
    fn publish(&self, evaluator: &Evaluator) {
        self.journal_bytes.store(evaluator.journal.bytes(), Ordering::Relaxed);
        self.journal_failures.store(evaluator.journal_failures, Ordering::Relaxed);
        self.journal_is_behind.store(evaluator.journal.is_behind(), Ordering::Relaxed);
    }
}

impl Evaluator {
    fn new(limits: Limits, schedule: Schedule, journal: Journal, now: Timestamp) -> Evaluator {
        Evaluator {
            limits,
            logs: None,
            schedule,
            journal,
            journal_failures: 0,
            retry_journal_at: now,
            last_clock: now,
            next_sweep: now,
            grace_until: now.plus_millis(GRACE_MS),
            sample_every_ms: SAMPLE_EVERY_MS,
            is_rehearsal: false,
            owed: BTreeMap::new(),
            samples: Vec::new(),
        }
    }

    /// Writes what must survive, whole. A failure is told, counted and tried again later.
    fn rewrite_journal(&mut self, table: &Table, now: Timestamp) {
        let alerts = table.stored();
        let owed = self.owed.values().map(|owed| &owed.alert);
        match self.journal.rewrite(alerts.iter().chain(owed), Some(now)) {
            Ok(()) => self.last_clock = now,
            Err(error) => self.journal_failed(&error, now),
        }
    }

    fn journal_failed(&mut self, error: &std::io::Error, now: Timestamp) {
        self.journal_failures += 1;
        self.retry_journal_at = now.plus_millis(round::JOURNAL_RETRY_MS);
        tracing::error!(%error, "the journal of alert rules cannot be written; a restart now would forget changes");
    }
}

/// Counts an evaluation of a batch.
fn count_batch(counters: &crate::table::GroupCounters, missed: u64, at: Timestamp, duration_us: u64) {
    counters.iterations.fetch_add(1, Ordering::Relaxed);
    counters.missed.fetch_add(missed, Ordering::Relaxed);
    counters.last_duration_us.store(duration_us, Ordering::Relaxed);
    counters.last_evaluation_ms.store(at.millis().max(0).unsigned_abs(), Ordering::Relaxed);
}

#[cfg(test)]
mod tests;
