//! One round of evaluation: from what is due to what is handed over and journaled.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use watchfire_json_log::query::{LoggedQuery, Origin, QueryStats};
use watchfire_model::{Alert, AlertState, LabelSet, Timestamp};
use watchfire_query_lang::{EvalError, InstantValues, MetricsRead, SharedColumns};

use super::{Acknowledged, Evaluator, Round, count_batch};
use crate::alert_set::{AlertSet, Change, Tracked};
use crate::journal;
use crate::newest;
use crate::rule::{AlertRule, Rule};
use crate::samples::{self, SampleSink, SeriesSample};
use crate::schedule::Due;
use crate::snapshot::{Health, to_alert};
use crate::state::Life;
use crate::table::{CLOCK_EVERY_MS, Group, Owed, Slot, SlotState, Table};
use crate::unwritten::Unwritten;

/// A journal that could not be written is tried again after this time, in milliseconds.
pub(super) const JOURNAL_RETRY_MS: i64 = 5000;

/// What rules read, and where they write.
pub(super) struct Store<'a> {
    pub metrics: &'a dyn MetricsRead,
    pub sink: &'a dyn SampleSink,
}

/// How the rules of a batch are asked.
struct Asked<'g> {
    /// Whose they are.
    group: &'g Group,
    /// The time of the evaluation.
    at: Timestamp,
    /// The time at which queries look.
    asked_at: Timestamp,
    shared: SharedColumns<'g>,
}

/// What a round has gathered so far.
pub(super) struct Work {
    now: Timestamp,
    pub round: Round,
    /// Entries for the journal.
    entries: Vec<u8>,
    entry_count: usize,
    /// Whether the entries must be on the disk before the hand-over.
    is_urgent: bool,
    /// Whether some alert waits for time to pass.
    is_waiting: bool,
    /// Of one rule; here to be allocated once.
    changes: Vec<Change>,
}

impl Work {
    pub fn new(now: Timestamp, samples: Vec<SeriesSample>) -> Work {
        Work {
            now,
            round: Round { unwritten: Unwritten::new(samples), ..Round::default() },
            entries: Vec::new(),
            entry_count: 0,
            is_urgent: false,
            is_waiting: false,
            changes: Vec::new(),
        }
    }

    /// Notes that the ends of these alerts are in other hands.
    pub fn acknowledge(&mut self, table: &Table, evaluator: &mut Evaluator, taken: Vec<Acknowledged>) {
        for Acknowledged { group, rule, labels, resolved_at } in taken {
            for slot in table.named(&group, &rule) {
                let mut state = slot.state.lock();
                if let Some(tracked) = state.set.alerts.get_mut(&labels)
                    && tracked.life.resolved_at() == Some(resolved_at)
                    && !tracked.is_acknowledged
                {
                    tracked.is_acknowledged = true;
                    self.forget(slot.key.exact, &labels);
                }
            }
            let key = (group, rule, labels);
            if evaluator.owed.get(&key).is_some_and(|owed| owed.alert.life.resolved_at() == Some(resolved_at))
                && let Some(owed) = evaluator.owed.remove(&key)
            {
                self.forget(owed.alert.rule.exact, &owed.alert.labels);
            }
        }
    }

    /// Evaluates the rules of a batch, one after the other, all at one time.
    pub fn evaluate_batch(&mut self, table: &Table, evaluator: &mut Evaluator, due: Due, store: &Store<'_>) {
        let Some(batch) = table.batches.get(due.batch) else { return };
        let Some(group) = table.groups.get(batch.group) else { return };
        let started = Instant::now();
        let slots = batch.slots.iter().filter_map(|at| group.slots.get(*at));
        let failures = self.evaluate_in_order(group, slots, evaluator, due.at, store);
        group.counters.failures.fetch_add(failures, Ordering::Relaxed);
        count_batch(&group.counters, due.missed, due.at, micros(started.elapsed()));
        if due.missed > 0 && !evaluator.is_rehearsal {
            tracing::warn!(group = %group.name, missed = due.missed, "evaluations passed over: the rules are late");
        }
    }

    /// Evaluates rules of a group one after the other, all at one time, whenever they are due; answers how many failed.
    pub fn evaluate_in_order<'s>(
        &mut self,
        group: &Group,
        slots: impl Iterator<Item = &'s Arc<Slot>>,
        evaluator: &mut Evaluator,
        at: Timestamp,
        store: &Store<'_>,
    ) -> u64 {
        let asked =
            Asked { group, at, asked_at: at.plus_millis(-group.query_offset_ms), shared: group.shared.at_one_time() };
        slots.map(|slot| u64::from(!self.evaluate(slot, evaluator, &asked, store))).sum()
    }

    /// Evaluates a rule; `false` if that failed.
    fn evaluate(&mut self, slot: &Arc<Slot>, evaluator: &mut Evaluator, asked: &Asked<'_>, store: &Store<'_>) -> bool {
        let started = Instant::now();
        let Asked { group, at, asked_at, shared } = asked;
        let (at, asked_at) = (*at, *asked_at);
        let written = if self.round.unwritten.hold_up(&slot.reads) {
            shared.forget();
            self.round.unwritten.write(store.sink).map_err(|error| error.to_string())
        } else {
            Ok(())
        };
        let results = written.and_then(|()| {
            let begun = Instant::now();
            let results = store.metrics.instant_shared(slot.rule.query(), asked_at, &evaluator.limits, shared);
            write_down(evaluator, group, slot, asked_at, begun.elapsed(), &results);
            results.map_err(|error| error.to_string())
        });
        let mut state = slot.state.lock();
        let state = &mut *state;
        let outcome = results.and_then(|results| {
            state.newest = newest::telling_value(&slot.rule, &results.values);
            match &slot.rule {
                Rule::Alert(rule) => self.step_alerts(slot, rule, state, evaluator, asked, &results),
                Rule::Record(rule) => {
                    let step = state.recorded.step(rule, &results, asked_at, group.limit, self.round.unwritten.out());
                    self.round.unwritten.of_rule(slot);
                    step.map_err(|error| error.to_string())
                }
            }
        });
        state.last_evaluation = Some(at);
        state.evaluation_us = micros(started.elapsed());
        self.round.evaluated += 1;
        self.is_waiting |= state.set.is_waiting();
        match outcome {
            Ok(()) => {
                state.health = Health::Ok;
                state.last_error = None;
                true
            }
            Err(error) => {
                self.round.failed += 1;
                if state.last_error.as_ref() != Some(&error) && !evaluator.is_rehearsal {
                    tracing::warn!(group = %slot.key.group, rule = %slot.key.name, %error, "rule cannot be evaluated");
                }
                state.health = Health::Err;
                state.last_error = Some(error);
                false
            }
        }
    }

    /// Applies the results of an alerting rule's query to its alerts.
    fn step_alerts(
        &mut self,
        slot: &Slot,
        rule: &AlertRule,
        state: &mut SlotState,
        evaluator: &mut Evaluator,
        asked: &Asked<'_>,
        results: &InstantValues,
    ) -> Result<(), String> {
        let mut changes = std::mem::take(&mut self.changes);
        let (at, asked_at, limit) = (asked.at, asked.asked_at, asked.group.limit);
        let in_grace = at < evaluator.grace_until;
        let step = state.set.step(rule, results, at, in_grace, limit, &mut changes);
        let told_before = self.round.alerts.len();
        for change in changes.drain(..) {
            self.apply(slot, &mut state.set, change, evaluator, asked_at);
        }
        self.changes = changes;
        if !slot.is_own() {
            if !evaluator.is_rehearsal {
                log_news(slot, self.round.alerts.get(told_before..).unwrap_or_default());
            }
            for (labels, tracked) in &mut state.set.alerts {
                samples::sample(labels, tracked, asked_at, evaluator.sample_every_ms, self.round.unwritten.out());
            }
        }
        step.map_err(|error| error.to_string())
    }

    /// Journals a change, and hands it over if people may have to hear of it.
    fn apply(
        &mut self,
        slot: &Slot,
        set: &mut AlertSet,
        change: Change,
        evaluator: &mut Evaluator,
        asked_at: Timestamp,
    ) {
        let Change { labels, before } = change;
        let Some(tracked) = set.alerts.get_mut(&labels) else {
            if let Some(mut before) = before {
                samples::end(&labels, &mut before, asked_at, self.round.unwritten.out());
            }
            self.forget(slot.key.exact, &labels);
            self.is_urgent = true;
            return;
        };
        self.put(slot, &labels, tracked);
        let state = tracked.life.state();
        let before_state = before.as_ref().map(|before| before.life.state());
        match state {
            AlertState::Pending => {
                // Its end before was not taken over yet and must still be told.
                if let Some(mut end) = before.filter(is_owed) {
                    end.handed_over_at = None;
                    let owed = Owed::new(slot.stored(&labels, &end), end);
                    self.entry_count += usize::from(journal::put(&mut self.entries, &owed.alert));
                    evaluator.owed.insert(owed.key(), owed);
                }
            }
            AlertState::Firing | AlertState::Resolved if before_state != Some(state) => {
                // Newer word of the same alert replaces the older.
                let key = (slot.key.group.clone(), slot.key.name.clone(), labels);
                if let Some(owed) = evaluator.owed.remove(&key) {
                    self.forget(owed.alert.rule.exact, &owed.alert.labels);
                }
                let (_, _, labels) = key;
                self.hand_over(slot, &labels, tracked);
            }
            AlertState::Firing | AlertState::Resolved => {}
        }
    }

    fn put(&mut self, slot: &Slot, labels: &LabelSet, tracked: &Tracked) {
        self.is_urgent = true;
        let is_written = journal::put(&mut self.entries, &slot.stored(labels, tracked));
        self.entry_count += usize::from(is_written);
        if !is_written {
            tracing::error!(group = %slot.key.group, rule = %slot.key.name, "an alert is too large to be remembered");
        }
    }

    fn forget(&mut self, rule: u64, labels: &LabelSet) {
        self.entry_count += usize::from(journal::forget(&mut self.entries, rule, labels));
    }

    fn hand_over(&mut self, slot: &Slot, labels: &LabelSet, tracked: &mut Tracked) {
        tracked.handed_over_at = Some(self.now);
        self.round.alerts.push(to_alert(&slot.key.group, &slot.key.name, slot.rule.receivers(), labels, tracked));
    }

    /// Hands over again whatever fires, and whatever is resolved and not acknowledged.
    pub fn sweep(&mut self, table: &Table, evaluator: &mut Evaluator) {
        for slot in table.slots() {
            let mut state = slot.state.lock();
            // Of a rule that cannot be evaluated nothing is known.
            if state.health == Health::Err {
                continue;
            }
            for (labels, tracked) in &mut state.set.alerts {
                let is_told = match tracked.life {
                    Life::Pending { .. } => continue,
                    Life::Firing { .. } => false,
                    Life::Resolved { .. } => tracked.is_acknowledged,
                };
                if !is_told && tracked.handed_over_at != Some(self.now) {
                    self.hand_over(slot, labels, tracked);
                }
            }
        }
        for owed in evaluator.owed.values_mut() {
            owed.handed_over_at = Some(self.now);
            let alert = &owed.alert;
            let (group, rule) = (&alert.rule.group, &alert.rule.name);
            self.round.alerts.push(to_alert(group, rule, &alert.receivers, &alert.labels, &owed.tracked));
        }
    }
}

impl Evaluator {
    /// Brings the round's changes to the disk.
    pub(super) fn commit(&mut self, table: &Table, work: &mut Work) {
        let now = work.now;
        if work.is_waiting && now.since(self.last_clock) >= CLOCK_EVERY_MS {
            self.last_clock = now;
            work.entry_count += usize::from(journal::clock(&mut work.entries, now));
        }
        if self.journal.is_behind() && now < self.retry_journal_at {
            return;
        }
        if self.journal.wants_rewrite() {
            self.rewrite_journal(table, now);
            return;
        }
        if work.entry_count == 0 {
            return;
        }
        let written = if work.is_urgent {
            self.journal.append(&work.entries, work.entry_count)
        } else {
            self.journal.append_unsynced(&work.entries, work.entry_count)
        };
        if let Err(error) = written {
            self.journal_failed(&error, now);
        }
    }
}

/// Writes a query down, if that is wanted of the rules that people see.
fn write_down(
    evaluator: &Evaluator,
    group: &Group,
    slot: &Slot,
    at: Timestamp,
    evaluated: Duration,
    results: &Result<InstantValues, EvalError>,
) {
    let Some(logs) = evaluator.logs.as_ref().filter(|_| !slot.is_own()) else { return };
    let samples_read = results.as_ref().ok().and_then(|results| results.samples_read);
    logs.query(&LoggedQuery {
        query: slot.rule.query().text(),
        start: at,
        end: at,
        step_ms: 0,
        error: results.as_ref().err().map(EvalError::to_string),
        stats: QueryStats { evaluated, samples_read, ..QueryStats::default() },
        origin: Origin::RuleGroup { file: &group.file, name: &group.name },
    });
}

/// One line per rule and evaluation, however many alerts there are.
fn log_news(slot: &Slot, told: &[Alert]) {
    if let Some(first) = told.first() {
        let firing = told.iter().filter(|alert| alert.state == AlertState::Firing).count();
        let (group, rule, resolved) = (&slot.key.group, &slot.key.name, told.len() - firing);
        tracing::info!(%group, %rule, firing, resolved, value = first.value, labels = %first.labels, "alerts");
    }
}

/// Resolved, and nobody has taken that over.
fn is_owed(before: &Tracked) -> bool {
    matches!(before.life, Life::Resolved { .. }) && !before.is_acknowledged
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
