//! Who is to be told what, now: a pure function of what was told before, what fires, and the time.

use crate::batch::{Acknowledged, AlertBatch};
use crate::entry::Entry;
use crate::flow::{Flow, SentState};
use crate::notification::{FlowKey, Ids, Notification, NotifiedAlert, Reason, Target};
use crate::route::Routing;
use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::Arc;
use watchfire_model::{Alert, AlertState, LabelSet, Timestamp};

/// The times and sizes that decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// An alert that goes on firing is told again after this long, in milliseconds.
    pub repeat_interval_ms: i64,
    /// The alerts of a message that was given up are told again after this long at the latest (sooner when their
    /// group changes), in milliseconds. Alertmanager's `group_interval`.
    pub failed_retry_ms: i64,
    /// A resolved alert whose message was given up is told at most this long after it was resolved, in milliseconds.
    pub max_age_ms: i64,
    /// Most alerts in one message; what is beyond goes into further ones.
    pub alerts_per_message: usize,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            repeat_interval_ms: 4 * 3_600_000,
            failed_retry_ms: 5 * 60_000,
            max_age_ms: 24 * 3_600_000,
            alerts_per_message: 5_000,
        }
    }
}

/// What is to be done. The entries are to be written and applied; each intent among them is then to be sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// New facts, in order.
    pub entries: Vec<Entry>,
    /// Resolved alerts that need not be handed over again once the entries are on disk.
    pub acknowledged: Vec<Acknowledged>,
    /// Messages for which there was no room.
    pub refused: usize,
}

/// Decides about the alerts of one rule after one evaluation.
///
/// `has_room(target, bytes)` is asked before a message is made; what is refused is decided again when the alerts
/// are handed over next.
pub fn decide(
    routing: &Routing,
    policy: &Policy,
    state: &SentState,
    ids: &mut Ids,
    batch: &AlertBatch,
    now: Timestamp,
    has_room: &mut dyn FnMut(&Target, usize) -> bool,
) -> Decision {
    let mut decision = Decision::default();
    let told: Vec<Told<'_>> = batch.alerts.iter().filter_map(Told::of).collect();
    if told.is_empty() {
        return decision;
    }
    let (group_key, group_labels) = group_of(batch);
    let mut refused = vec![false; told.len()];
    for (place, members) in members_by_target(routing, &told) {
        let Some(route) = routing.targets().get(place) else { continue };
        let key = FlowKey { group_key: Arc::clone(&group_key), target: route.target.clone() };
        let flow = state.flow(&key);
        if !route.send_resolved {
            decision.entries.extend(forget_resolved(&key, flow, &told, &members));
        }
        let chosen = choose(policy, flow, &told, &members, route.send_resolved, now);
        let mut alerts: Vec<Arc<NotifiedAlert>> = chosen.iter().map(|at| told[*at].shared()).collect();
        if !alerts.is_empty() && route.send_resolved {
            let beside: HashSet<u64> = chosen.iter().map(|at| told[*at].fingerprint).collect();
            alerts.extend(unsent_beside(policy, flow, &beside, now));
        }
        let reason = reason(flow, &alerts, still_fires(flow, &told, &members));
        for message in messages(policy, &key, &group_labels, reason, alerts, ids, now) {
            if has_room(&key.target, message.bytes()) {
                decision.entries.push(Entry::Intent(Arc::new(message)));
            } else {
                decision.refused += 1;
                members.iter().for_each(|at| refused[*at] = true);
            }
        }
    }
    decision.acknowledged = told
        .iter()
        .zip(&refused)
        .filter(|(_, refused)| !**refused)
        .filter_map(|(told, _)| told.acknowledged(batch))
        .collect();
    decision
}

/// Decides about alerts of one rule that are silenced: nobody is told, and of those that are resolved nobody needs to be.
pub fn decide_silenced(routing: &Routing, state: &SentState, batch: &AlertBatch) -> Decision {
    let told: Vec<Told<'_>> = batch.alerts.iter().filter_map(Told::of).collect();
    let (group_key, _) = group_of(batch);
    let members: Vec<usize> = (0..told.len()).collect();
    let forgotten = routing.targets().iter().filter_map(|route| {
        let key = FlowKey { group_key: Arc::clone(&group_key), target: route.target.clone() };
        forget_resolved(&key, state.flow(&key), &told, &members)
    });
    let entries = forgotten.collect();
    let acknowledged = told.iter().filter_map(|told| told.acknowledged(batch)).collect();
    Decision { entries, acknowledged, refused: 0 }
}

/// Decides about what is due by time alone: resolved alerts whose message was given up. (What fires is decided when
/// it is handed over.)
pub fn decide_by_time(
    policy: &Policy,
    state: &SentState,
    ids: &mut Ids,
    now: Timestamp,
    has_room: &mut dyn FnMut(&Target, usize) -> bool,
) -> Decision {
    let mut decision = Decision::default();
    for (key, flow) in state.flows() {
        let due = flow.unsent.values().any(|unsent| now.since(unsent.failed_at) >= policy.failed_retry_ms);
        if !due {
            continue;
        }
        let (alerts, too_old): (Vec<_>, Vec<_>) =
            flow.unsent.iter().partition(|(_, unsent)| is_worth_telling(policy, &unsent.alert, now));
        if !too_old.is_empty() {
            let fingerprints = too_old.into_iter().map(|(fingerprint, _)| *fingerprint).collect();
            decision.entries.push(Entry::Forgotten { flow: key.clone(), fingerprints });
        }
        let alerts: Vec<_> = alerts.into_iter().map(|(_, unsent)| Arc::clone(&unsent.alert)).collect();
        let reason = reason(Some(flow), &alerts, !flow.firing.is_empty());
        for message in messages(policy, key, &flow.group_labels, reason, alerts, ids, now) {
            if has_room(&key.target, message.bytes()) {
                decision.entries.push(Entry::Intent(Arc::new(message)));
            } else {
                decision.refused += 1;
            }
        }
    }
    decision
}

/// Forgets alerts of which nothing was heard for so long that their rule must be gone: neither handed over nor
/// repeated for twice the repeat interval and `retention_ms`.
///
/// To be asked only by a process that has run for twice the repeat interval, or a long stop would look like that.
pub fn decide_expired(policy: &Policy, state: &SentState, retention_ms: i64, now: Timestamp) -> Vec<Entry> {
    let limit = policy.repeat_interval_ms.saturating_mul(2).saturating_add(retention_ms);
    let expired = |(key, flow): (&FlowKey, &Flow)| {
        let old = flow.firing.iter().filter(|(_, sent)| now.since(sent.sent_at) > limit);
        let fingerprints: Vec<u64> = old.map(|(fingerprint, _)| *fingerprint).collect();
        (!fingerprints.is_empty()).then(|| Entry::Forgotten { flow: key.clone(), fingerprints })
    };
    state.flows().filter_map(expired).collect()
}

/// An alert of the batch that fires or is resolved.
struct Told<'a> {
    fingerprint: u64,
    starts_at: Timestamp,
    ends_at: Option<Timestamp>,
    alert: &'a Alert,
    // Made when the first message needs it; all messages share it.
    shared: OnceCell<Arc<NotifiedAlert>>,
}

impl<'a> Told<'a> {
    fn of(alert: &'a Alert) -> Option<Told<'a>> {
        let ends_at = match alert.state {
            AlertState::Pending => return None,
            AlertState::Firing => None,
            AlertState::Resolved => Some(alert.resolved_at.unwrap_or(alert.evaluated_at)),
        };
        let starts_at = alert.fired_at.unwrap_or(alert.active_at);
        Some(Told { fingerprint: alert.fingerprint(), starts_at, ends_at, alert, shared: OnceCell::new() })
    }

    fn is_firing(&self) -> bool {
        self.ends_at.is_none()
    }

    /// That its end need not be handed over again; `None` if it fires.
    fn acknowledged(&self, batch: &AlertBatch) -> Option<Acknowledged> {
        let resolved_at = self.ends_at?;
        let (group, rule) = (batch.group.clone(), batch.rule.clone());
        Some(Acknowledged { group, rule, fingerprint: self.fingerprint, resolved_at })
    }

    fn shared(&self) -> Arc<NotifiedAlert> {
        let make = || {
            Arc::new(NotifiedAlert {
                labels: self.alert.labels.clone(),
                annotations: self.alert.annotations.clone(),
                starts_at: self.starts_at,
                ends_at: self.ends_at,
                value: self.alert.value,
            })
        };
        Arc::clone(self.shared.get_or_init(make))
    }
}

/// The group of a rule without a route tree: its file's stem as matcher, the rule's name as label.
fn group_of(batch: &AlertBatch) -> (Arc<str>, LabelSet) {
    let labels = LabelSet::empty().with("alertname", &batch.rule);
    (format!("{{}}/{{group={:?}}}:{labels}", batch.group).into(), labels)
}

/// For each target that hears of any of the alerts: its place, and the alerts' places.
fn members_by_target(routing: &Routing, told: &[Told<'_>]) -> Vec<(usize, Vec<usize>)> {
    let mut members: Vec<(usize, Vec<usize>)> = (0..routing.targets().len()).map(|place| (place, Vec::new())).collect();
    let mut last: Option<(&[String], Vec<usize>)> = None;
    for (at, told) in told.iter().enumerate() {
        // The alerts of a rule name the same receivers, as a rule.
        let named = told.alert.receivers.as_slice();
        let places = match last.take() {
            Some((receivers, places)) if receivers == named => places,
            _ => routing.places_for(named),
        };
        for place in &places {
            members[*place].1.push(at);
        }
        last = Some((named, places));
    }
    members.retain(|(_, members)| !members.is_empty());
    members
}

/// The alerts of which this target is to be told now. None, unless something changed or a repetition is due.
fn choose(
    policy: &Policy,
    flow: Option<&Flow>,
    told: &[Told<'_>],
    members: &[usize],
    send_resolved: bool,
    now: Timestamp,
) -> Vec<usize> {
    let mut chosen = Vec::new();
    let mut failed = Vec::new();
    let mut unchanged = Vec::new();
    let mut failed_is_due = false;
    let mut repeat_is_due = false;
    for at in members {
        let told = &told[*at];
        let known = flow.and_then(|flow| flow.firing.get(&told.fingerprint));
        match (told.is_firing(), known) {
            (true, Some(sent)) if sent.starts_at == told.starts_at => match sent.failed_at {
                Some(failed_at) => {
                    failed_is_due |= now.since(failed_at) >= policy.failed_retry_ms;
                    failed.push(*at);
                }
                None => {
                    repeat_is_due |= now.since(sent.sent_at) >= policy.repeat_interval_ms;
                    unchanged.push(*at);
                }
            },
            (true, _) => chosen.push(*at),
            (false, Some(_)) if send_resolved => chosen.push(*at),
            (false, _) => {}
        }
    }
    if repeat_is_due {
        chosen.append(&mut unchanged);
    }
    if failed_is_due || !chosen.is_empty() {
        chosen.append(&mut failed);
    }
    chosen
}

/// Resolved alerts of messages that were given up; they go with whatever else the group has to tell, unless that
/// tells of them anew.
fn unsent_beside(
    policy: &Policy,
    flow: Option<&Flow>,
    beside: &HashSet<u64>,
    now: Timestamp,
) -> Vec<Arc<NotifiedAlert>> {
    flow.into_iter()
        .flat_map(|flow| &flow.unsent)
        .filter(|(fingerprint, _)| !beside.contains(*fingerprint))
        .filter(|(_, unsent)| is_worth_telling(policy, &unsent.alert, now))
        .map(|(_, unsent)| Arc::clone(&unsent.alert))
        .collect()
}

fn is_worth_telling(policy: &Policy, alert: &NotifiedAlert, now: Timestamp) -> bool {
    alert.ends_at.is_none_or(|ends_at| now.since(ends_at) <= policy.max_age_ms)
}

/// What a target that does not want resolved alerts no longer knows as firing.
fn forget_resolved(key: &FlowKey, flow: Option<&Flow>, told: &[Told<'_>], members: &[usize]) -> Option<Entry> {
    let flow = flow?;
    let resolved = members.iter().map(|at| &told[*at]).filter(|told| !told.is_firing());
    let fingerprints: Vec<u64> =
        resolved.map(|told| told.fingerprint).filter(|fingerprint| flow.firing.contains_key(fingerprint)).collect();
    (!fingerprints.is_empty()).then(|| Entry::Forgotten { flow: key.clone(), fingerprints })
}

/// Whether anything of the group fires after this evaluation. A batch need not hold what goes on firing: of that the
/// flow tells.
fn still_fires(flow: Option<&Flow>, told: &[Told<'_>], members: &[usize]) -> bool {
    let over: HashSet<u64> =
        members.iter().map(|at| &told[*at]).filter(|told| !told.is_firing()).map(|told| told.fingerprint).collect();
    over.len() < members.len() || flow.is_some_and(|flow| flow.firing.keys().any(|known| !over.contains(known)))
}

/// Why these alerts are told: in Alertmanager's order of precedence, by what the target knows of (a message that was
/// given up told it nothing) and whether anything of the group fires now.
fn reason(flow: Option<&Flow>, alerts: &[Arc<NotifiedAlert>], still_fires: bool) -> Reason {
    let known = |alert: &NotifiedAlert| {
        let sent = flow.and_then(|flow| flow.firing.get(&alert.labels.fingerprint()));
        sent.is_some_and(|sent| sent.failed_at.is_none() && sent.starts_at == alert.starts_at)
    };
    let knows_any = flow.is_some_and(|flow| flow.firing.values().any(|sent| sent.failed_at.is_none()));
    if alerts.iter().any(|alert| alert.is_firing() && !known(alert)) {
        return if knows_any { Reason::NewAlertsAdded } else { Reason::FirstNotification };
    }
    if !still_fires {
        return Reason::AllAlertsResolved;
    }
    let any_resolved = alerts.iter().any(|alert| !alert.is_firing());
    if any_resolved { Reason::SomeAlertsResolved } else { Reason::RepeatIntervalElapsed }
}

/// The alerts as messages of bounded size: firing ones first, then by labels.
fn messages(
    policy: &Policy,
    key: &FlowKey,
    group_labels: &LabelSet,
    reason: Reason,
    mut alerts: Vec<Arc<NotifiedAlert>>,
    ids: &mut Ids,
    now: Timestamp,
) -> Vec<Notification> {
    alerts.sort_by(|a, b| b.is_firing().cmp(&a.is_firing()).then_with(|| a.labels.cmp(&b.labels)));
    let parts = alerts.chunks(policy.alerts_per_message.max(1));
    parts
        .map(|part| Notification {
            id: ids.make(),
            flow: key.clone(),
            group_labels: group_labels.clone(),
            created_at: now,
            reason,
            alerts: part.to_vec(),
        })
        .collect()
}
