//! The alerts of one rule, and what one evaluation does to them.
//!
//! Invariants: keys are the alerts' identities (the labels after the rule's were applied); an evaluation that
//! fails changes nothing; `step` is a function of the rule, the results, the alerts and the time alone.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{AlertState, Histogram, LabelSet, Timestamp};
use watchfire_query_lang::InstantValues;

use crate::rule::{AlertRule, NoData};
use crate::state::{Condition, Life, Timing, next_state};
use crate::template::Facts;

/// Most alerts of one rule; more is an error of the rule.
pub(crate) const ALERTS_MAX: usize = 100_000;
/// How long a resolved alert that was handed over is still shown, in milliseconds.
const RESOLVED_SHOWN_MS: i64 = 15 * 60_000;
/// How long a resolved alert that nobody takes is kept, in milliseconds.
const RESOLVED_KEPT_MS: i64 = 24 * 3_600_000;

/// Why the results of a query could not be applied to the alerts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StepError {
    /// Two results give one alert.
    #[error(
        "two results have the same labels {labels} once the rule's labels are applied; keep a label that tells them apart"
    )]
    Twins { labels: LabelSet },
    /// More alerts than are kept.
    #[error("{count} alerts at once, at most {ALERTS_MAX} are kept; let the query give fewer series")]
    TooMany { count: usize },
    /// More alerts than the group allows.
    #[error(
        "{count} alerts, and the group's limit is {limit}; they are dropped; raise it, or let the query give fewer"
    )]
    Limit { count: usize, limit: usize },
}

/// An alert and what is known of it beside its labels.
#[derive(Clone, Debug)]
pub(crate) struct Tracked {
    /// The labels of the query's result.
    pub result_labels: LabelSet,
    pub annotations: Vec<(String, String)>,
    /// Value of the last evaluation in which the condition held.
    pub value: f64,
    /// The native histogram that it was.
    pub histogram: Option<Arc<Histogram>>,
    pub life: Life,
    pub evaluated_at: Timestamp,
    /// It came from the journal, and its series has not been seen since.
    pub is_restored: bool,
    /// The annotations belong to an older form of the rule.
    pub is_stale: bool,
    /// Resolved, and who tells people has taken it over.
    pub is_acknowledged: bool,
    /// When it was last handed over; `None` if not since the start.
    pub handed_over_at: Option<Timestamp>,
    /// The state and time of its newest `ALERTS` sample.
    pub sampled: Option<(AlertState, Timestamp)>,
}

/// What an evaluation changed of one alert; its present state is in the set, or it is gone.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub labels: LabelSet,
    pub before: Option<Tracked>,
}

/// The alerts of one rule.
#[derive(Clone, Debug, Default)]
pub(crate) struct AlertSet {
    pub alerts: BTreeMap<LabelSet, Tracked>,
}

/// A result for which the condition is true.
struct Holding {
    labels: LabelSet,
    result_labels: LabelSet,
    value: f64,
    histogram: Option<Arc<Histogram>>,
}

impl AlertSet {
    /// Applies the results of an evaluation at `now`. `in_grace`: alerts from before a restart whose series is
    /// not back yet stay as they are. `limit`: most alerts, 0 is none; if there are more, all of them are dropped.
    pub fn step(
        &mut self,
        rule: &AlertRule,
        results: &InstantValues,
        now: Timestamp,
        in_grace: bool,
        limit: usize,
        changes: &mut Vec<Change>,
    ) -> Result<(), StepError> {
        let holding = self.holding(rule, results)?;
        let timing = Timing { duration_ms: rule.duration_ms, keep_firing_for_ms: rule.keep_firing_for_ms };
        if !self.alerts.is_empty() {
            self.step_others(rule, &results.values, &holding, timing, now, in_grace, changes);
        }
        for held in holding {
            self.step_held(rule, held, timing, now, changes);
        }
        self.check_limit(limit, changes)
    }

    /// Drops all alerts if more are active than the group allows, as Prometheus does.
    fn check_limit(&mut self, limit: usize, changes: &mut Vec<Change>) -> Result<(), StepError> {
        if limit == 0 || self.alerts.len() <= limit {
            return Ok(());
        }
        let count = self.active().count();
        if count <= limit {
            return Ok(());
        }
        changes.clear();
        let dropped = std::mem::take(&mut self.alerts).into_iter();
        changes.extend(dropped.map(|(labels, tracked)| Change { labels, before: Some(tracked) }));
        Err(StepError::Limit { count, limit })
    }

    /// The results for which the condition is true, sorted by the labels of their alerts.
    fn holding(&self, rule: &AlertRule, results: &InstantValues) -> Result<Vec<Holding>, StepError> {
        let mut holding = Vec::new();
        let mut histograms = results.histograms.iter().peekable();
        for (place, (result, value)) in results.values.iter().enumerate() {
            let histogram = histograms.next_if(|(of, _)| *of == place).map(|(_, histogram)| histogram);
            if !rule.condition_holds(*value, true) {
                continue;
            }
            let labels = rule.alert_labels(result, *value, histogram.map(Arc::as_ref));
            if rule.condition_holds(*value, self.is_firing(&labels)) {
                let histogram = histogram.cloned();
                holding.push(Holding { labels, result_labels: result.clone(), value: *value, histogram });
            }
        }
        if results.values.is_empty() && rule.no_data == NoData::Alert && self.active().next().is_none() {
            let labels = rule.alert_labels(&LabelSet::empty(), f64::NAN, None);
            let result_labels = LabelSet::empty();
            holding.push(Holding { labels, result_labels, value: f64::NAN, histogram: None });
        }
        if holding.len() > ALERTS_MAX {
            return Err(StepError::TooMany { count: holding.len() });
        }
        holding.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        match holding.windows(2).find(|pair| pair[0].labels == pair[1].labels) {
            Some(pair) => Err(StepError::Twins { labels: pair[0].labels.clone() }),
            None => Ok(holding),
        }
    }

    /// The alerts for which the condition is not true or nothing is known.
    #[expect(clippy::too_many_arguments, reason = "the facts of one evaluation, passed on within this file")]
    fn step_others(
        &mut self,
        rule: &AlertRule,
        results: &[(LabelSet, f64)],
        holding: &[Holding],
        timing: Timing,
        now: Timestamp,
        in_grace: bool,
        changes: &mut Vec<Change>,
    ) {
        let presence = Presence::new(results);
        self.alerts.retain(|labels, tracked| {
            if holding.binary_search_by(|held| held.labels.cmp(labels)).is_ok() {
                return true;
            }
            if let Life::Resolved { resolved_at, .. } = tracked.life {
                let age_ms = now.since(resolved_at);
                let is_over = age_ms > RESOLVED_KEPT_MS || (tracked.is_acknowledged && age_ms > RESOLVED_SHOWN_MS);
                if is_over && !tracked.is_acknowledged {
                    changes.push(Change { labels: labels.clone(), before: Some(tracked.clone()) });
                }
                return !is_over;
            }
            let is_watched = rule.no_data != NoData::Ok || tracked.is_restored;
            let is_absent = is_watched && presence.lacks(&tracked.result_labels);
            tracked.is_restored &= is_absent;
            let condition = match rule.no_data {
                _ if !is_absent => Condition::Fails,
                NoData::Alert => Condition::Holds,
                NoData::Keep => Condition::Unknown,
                NoData::Ok if in_grace => Condition::Unknown,
                NoData::Ok => Condition::Fails,
            };
            tracked.evaluated_at = now;
            let next = next_state(Some(tracked.life), condition, timing, now);
            if next != Some(tracked.life) {
                changes.push(Change { labels: labels.clone(), before: Some(tracked.clone()) });
            }
            match next {
                Some(life) => {
                    tracked.life = life;
                    true
                }
                None => false,
            }
        });
    }

    fn step_held(
        &mut self,
        rule: &AlertRule,
        held: Holding,
        timing: Timing,
        now: Timestamp,
        changes: &mut Vec<Change>,
    ) {
        let histogram = held.histogram.as_deref();
        let facts = Facts { labels: &held.result_labels, value: held.value, histogram, external: &rule.external };
        match self.alerts.get_mut(&held.labels) {
            Some(tracked) => {
                // With a condition that holds there is always a state.
                let next = next_state(Some(tracked.life), Condition::Holds, timing, now).unwrap_or(tracked.life);
                if next != tracked.life {
                    changes.push(Change { labels: held.labels, before: Some(tracked.clone()) });
                    tracked.is_acknowledged = false;
                    tracked.life = next;
                }
                let is_same = tracked.value.to_bits() == held.value.to_bits()
                    && tracked.histogram == held.histogram
                    && tracked.result_labels == held.result_labels
                    && !tracked.is_stale;
                if !is_same {
                    tracked.annotations = rule.expand_annotations(facts);
                    tracked.value = held.value;
                    tracked.histogram = held.histogram;
                    tracked.result_labels = held.result_labels;
                    tracked.is_stale = false;
                }
                tracked.is_restored = false;
                tracked.evaluated_at = now;
            }
            None => {
                let Some(life) = next_state(None, Condition::Holds, timing, now) else { return };
                let tracked = Tracked {
                    annotations: rule.expand_annotations(facts),
                    result_labels: held.result_labels,
                    value: held.value,
                    histogram: held.histogram,
                    life,
                    evaluated_at: now,
                    is_restored: false,
                    is_stale: false,
                    is_acknowledged: false,
                    handed_over_at: None,
                    sampled: None,
                };
                changes.push(Change { labels: held.labels.clone(), before: None });
                self.alerts.insert(held.labels, tracked);
            }
        }
    }

    /// The pending and the firing ones.
    pub fn active(&self) -> impl Iterator<Item = (&LabelSet, &Tracked)> {
        self.alerts.iter().filter(|(_, tracked)| tracked.life.state() != AlertState::Resolved)
    }

    fn is_firing(&self, labels: &LabelSet) -> bool {
        self.alerts.get(labels).is_some_and(|tracked| tracked.life.state() == AlertState::Firing)
    }

    /// Whether time that passes without evaluations would be mistaken for time in which a condition held.
    pub fn is_waiting(&self) -> bool {
        self.alerts
            .values()
            .any(|tracked| matches!(tracked.life, Life::Pending { .. } | Life::Firing { kept_since: Some(_), .. }))
    }
}

/// Which label sets a query's results have; the set is made when it is first asked.
struct Presence<'a> {
    results: &'a [(LabelSet, f64)],
    labels: std::cell::OnceCell<HashSet<LabelSet>>,
}

impl<'a> Presence<'a> {
    fn new(results: &'a [(LabelSet, f64)]) -> Presence<'a> {
        Presence { results, labels: std::cell::OnceCell::new() }
    }

    fn lacks(&self, result_labels: &LabelSet) -> bool {
        // The alert of a whole rule without data: any data ends it.
        if result_labels.is_empty() {
            return self.results.is_empty();
        }
        // Alerts of an earlier version know no names.
        let without_name = |labels: &LabelSet| labels.retain(|name| name != METRIC_NAME);
        let make = || self.results.iter().map(|(labels, _)| without_name(labels)).collect();
        !self.labels.get_or_init(make).contains(&without_name(result_labels))
    }
}

#[cfg(test)]
mod tests;
