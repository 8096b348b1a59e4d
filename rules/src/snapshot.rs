//! What the API shows of rules and alerts: copies, taken rule by rule.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use watchfire_model::{Alert, AlertState, LabelSet, Timestamp};

use crate::alert_set::{AlertSet, Tracked};
use crate::rule::{AlertRule, Rule};
use crate::table::{Group, Slot, Table};

/// How the newest evaluation of a rule went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Health {
    /// Not evaluated yet.
    #[default]
    Unknown,
    /// It gave a result.
    Ok,
    /// It failed; `last_error` says why.
    Err,
}

impl Health {
    /// As Prometheus' API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Ok => "ok",
            Health::Err => "err",
        }
    }
}

/// The state of a rule: the worst of its alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RuleState {
    /// Not evaluated yet, and nothing is remembered of it.
    Unknown,
    /// Evaluated, no alert.
    Inactive,
    /// An alert is pending, none fires.
    Pending,
    /// An alert fires.
    Firing,
}

impl RuleState {
    /// As Prometheus' API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            RuleState::Unknown => "unknown",
            RuleState::Inactive => "inactive",
            RuleState::Pending => "pending",
            RuleState::Firing => "firing",
        }
    }
}

/// A group, its rules and their alerts.
#[derive(Clone, Debug)]
pub struct GroupSnapshot {
    /// The stem of the file's name.
    pub name: String,
    /// The file.
    pub file: String,
    /// Shortest interval of its rules, in milliseconds.
    pub interval_ms: i64,
    /// Most alerts or series of one rule; 0 = no limit.
    pub limit: usize,
    /// Time of the newest evaluation.
    pub last_evaluation: Option<Timestamp>,
    /// How long the newest evaluation took, in seconds.
    pub evaluation_seconds: f64,
    /// How often its rules were evaluated.
    pub iterations: u64,
    /// How often its rules were due and passed over, because the evaluation before took too long.
    pub missed: u64,
    /// How many evaluations of single rules failed.
    pub failures: u64,
    /// In the order of the file.
    pub rules: Vec<RuleSnapshot>,
}

/// A rule and its alerts.
#[derive(Clone, Debug)]
pub struct RuleSnapshot {
    /// What the rule says.
    pub rule: Rule,
    /// Distance between two evaluations, in milliseconds.
    pub interval_ms: i64,
    /// The worst state of its alerts.
    pub state: RuleState,
    /// How the newest evaluation went.
    pub health: Health,
    /// Why the newest evaluation failed.
    pub last_error: Option<String>,
    /// The value of the newest evaluation that gave a result: furthest beyond the limit, or nearest to it. `None`
    /// without one, and of several without a limit.
    pub newest_value: Option<f64>,
    /// Time of the newest evaluation.
    pub last_evaluation: Option<Timestamp>,
    /// How long it took, in seconds.
    pub evaluation_seconds: f64,
    /// Pending, firing, and for 15 minutes resolved ones.
    pub alerts: Vec<AlertSnapshot>,
}

/// An alert as it stands.
#[derive(Clone, Debug)]
pub struct AlertSnapshot {
    /// The alert.
    pub alert: Alert,
    /// Its rule.
    pub rule: Arc<AlertRule>,
    /// Its value is a native histogram, of which the alert has the number of observations.
    pub is_histogram: bool,
    /// Since when it only fires on because of `keep_firing_for`.
    pub kept_since: Option<Timestamp>,
}

/// Numbers over all groups, for own metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleStats {
    /// Rules in force.
    pub rules: usize,
    /// Alerts that are pending.
    pub pending: usize,
    /// Alerts that fire.
    pub firing: usize,
    /// Rules whose newest evaluation failed.
    pub failing_rules: usize,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// How often the journal could not be written. What changed is handed over all the same, and written later.
    pub journal_failures: u64,
    /// Whether changes are missing in it now: a restart would forget them.
    pub journal_is_behind: bool,
}

pub(crate) fn group(group: &Group) -> GroupSnapshot {
    GroupSnapshot { rules: group.slots.iter().map(|slot| rule(slot)).collect(), ..group_alone(group) }
}

/// A group without its rules.
pub(crate) fn group_alone(group: &Group) -> GroupSnapshot {
    let counters = &group.counters;
    let last_ms = i64::try_from(counters.last_evaluation_ms.load(Ordering::Relaxed)).unwrap_or(0);
    GroupSnapshot {
        name: group.name.clone(),
        file: group.file.clone(),
        interval_ms: group.slots.iter().map(|slot| slot.interval_ms).min().unwrap_or(group.interval_ms),
        limit: group.limit,
        last_evaluation: (last_ms > 0).then(|| Timestamp::from_millis(last_ms)),
        evaluation_seconds: seconds(counters.last_duration_us.load(Ordering::Relaxed)),
        iterations: counters.iterations.load(Ordering::Relaxed),
        missed: counters.missed.load(Ordering::Relaxed),
        failures: counters.failures.load(Ordering::Relaxed),
        rules: Vec::new(),
    }
}

fn rule(slot: &Slot) -> RuleSnapshot {
    let state = slot.state.lock();
    let worst = state.set.active().map(|(_, tracked)| match tracked.life.state() {
        AlertState::Firing => RuleState::Firing,
        AlertState::Pending | AlertState::Resolved => RuleState::Pending,
    });
    let without = if state.health == Health::Unknown { RuleState::Unknown } else { RuleState::Inactive };
    RuleSnapshot {
        rule: slot.rule.clone(),
        interval_ms: slot.interval_ms,
        state: worst.max().unwrap_or(without),
        health: state.health,
        last_error: state.last_error.clone(),
        newest_value: state.newest,
        last_evaluation: state.last_evaluation,
        evaluation_seconds: seconds(state.evaluation_us),
        alerts: alerts_of(slot, &state.set),
    }
}

/// The alerts of all rules, without the rest.
pub(crate) fn alerts(table: &Table) -> Vec<AlertSnapshot> {
    let mut alerts = Vec::new();
    for slot in table.slots().filter(|slot| !slot.is_own()) {
        let state = slot.state.lock();
        alerts.extend(alerts_of(slot, &state.set));
    }
    alerts
}

fn alerts_of(slot: &Slot, set: &AlertSet) -> Vec<AlertSnapshot> {
    match &slot.rule {
        Rule::Alert(rule) => {
            set.alerts.iter().map(|(labels, tracked)| alert_snapshot(slot, rule, labels, tracked)).collect()
        }
        Rule::Record(_) => Vec::new(),
    }
}

fn alert_snapshot(slot: &Slot, rule: &Arc<AlertRule>, labels: &LabelSet, tracked: &Tracked) -> AlertSnapshot {
    let kept_since = match tracked.life {
        crate::state::Life::Firing { kept_since, .. } => kept_since,
        crate::state::Life::Pending { .. } | crate::state::Life::Resolved { .. } => None,
    };
    let alert = to_alert(&slot.key.group, &slot.key.name, &rule.receivers, labels, tracked);
    AlertSnapshot { alert, rule: Arc::clone(rule), is_histogram: tracked.histogram.is_some(), kept_since }
}

/// An alert in the words of the model.
pub(crate) fn to_alert(group: &str, rule: &str, receivers: &[String], labels: &LabelSet, tracked: &Tracked) -> Alert {
    Alert {
        rule: rule.to_owned(),
        group: group.to_owned(),
        labels: labels.clone(),
        annotations: tracked.annotations.clone(),
        state: tracked.life.state(),
        value: tracked.value,
        active_at: tracked.life.active_at(),
        fired_at: tracked.life.fired_at(),
        resolved_at: tracked.life.resolved_at(),
        evaluated_at: tracked.evaluated_at,
        receivers: receivers.to_vec(),
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
