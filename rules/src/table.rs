//! All rules in force, with their alerts, and how alerts move from one set of rules to the next.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use watchfire_model::{LabelSet, Timestamp};
use watchfire_query_lang::SharedParts;

use crate::alert_set::{AlertSet, Tracked};
use crate::identity::rule_key;
use crate::journal::{Replayed, RuleKey, StoredAlert};
use crate::recorded::Recorded;
use crate::rule::Rule;
use crate::rule_fields::INTERVAL_MIN_MS;
use crate::rule_set::{OWN_GROUP, RuleSet};
use crate::samples::SeriesSample;
use crate::schedule::Schedule;
use crate::snapshot::Health;
use crate::state::Life;
use crate::unwritten::Reads;

/// How much of a gap between two entries of the journal is no outage, beside the rule's interval.
pub(crate) const CLOCK_EVERY_MS: i64 = 10_000;

/// A rule in force.
#[derive(Debug)]
pub(crate) struct Slot {
    pub rule: Rule,
    pub key: RuleKey,
    pub interval_ms: i64,
    /// Which metrics it reads.
    pub reads: Reads,
    /// Guards everything that evaluations change; held for microseconds, never while a query runs.
    pub state: Mutex<SlotState>,
}

#[derive(Debug, Default)]
pub(crate) struct SlotState {
    /// Of an alerting rule.
    pub set: AlertSet,
    /// Of a recording rule.
    pub recorded: Recorded,
    pub health: Health,
    pub last_error: Option<String>,
    /// How the rule stood when it was evaluated without a fault.
    pub newest: Option<f64>,
    pub last_evaluation: Option<Timestamp>,
    pub evaluation_us: u64,
}

/// Rules that share a name, a file and limits.
#[derive(Debug)]
pub(crate) struct Group {
    pub name: String,
    pub file: String,
    /// Distance between two evaluations of rules that name none themselves, in milliseconds.
    pub interval_ms: i64,
    /// How far before the time of an evaluation its queries look, in milliseconds.
    pub query_offset_ms: i64,
    /// Most alerts or series of one rule; 0 = no limit.
    pub limit: usize,
    pub slots: Vec<Arc<Slot>>,
    /// What the queries of the rules have in common; the slots hold them.
    pub shared: SharedParts,
    pub counters: GroupCounters,
}

#[derive(Debug, Default)]
pub(crate) struct GroupCounters {
    pub iterations: AtomicU64,
    pub missed: AtomicU64,
    pub failures: AtomicU64,
    pub last_duration_us: AtomicU64,
    /// Milliseconds since the epoch; 0 = never.
    pub last_evaluation_ms: AtomicU64,
}

/// Rules that are evaluated together.
#[derive(Debug)]
pub(crate) struct Batch {
    pub group: usize,
    pub slots: Vec<usize>,
}

/// The rules as one whole, swapped by a reload.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub groups: Vec<Group>,
    pub batches: Vec<Batch>,
    by_name: HashMap<(String, String), Vec<(usize, usize)>>,
}

/// What holds of groups that say nothing themselves, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupDefaults {
    /// Distance between two evaluations; at least 100.
    pub check_interval_ms: i64,
    /// How far before the time of an evaluation its queries look.
    pub query_offset_ms: i64,
}

/// What a rule remembers, without the rule.
pub(crate) struct Carried {
    key: RuleKey,
    receivers: Vec<String>,
    state: SlotState,
}

/// The end of an alert that has to be told although its rule is gone, or says something new already.
#[derive(Clone, Debug)]
pub(crate) struct Owed {
    /// Its life is `Resolved`.
    pub alert: StoredAlert,
    pub handed_over_at: Option<Timestamp>,
    pub tracked: Tracked,
}

/// Group, rule and labels of an alert.
pub(crate) type OwedKey = (String, String, LabelSet);

impl Table {
    /// Lays out the rules, without alerts yet.
    pub fn new(rules: &RuleSet, defaults: GroupDefaults) -> Table {
        let mut table = Table::default();
        let mut taken = HashMap::new();
        for (group_at, loaded) in rules.groups().iter().enumerate() {
            let group_interval_ms = loaded.interval_ms.unwrap_or(defaults.check_interval_ms.max(INTERVAL_MIN_MS));
            let mut batches: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
            let mut slots = Vec::with_capacity(loaded.rules.len());
            for (slot_at, rule) in loaded.rules.iter().enumerate() {
                let key = rule_key(&loaded.name, rule, &mut taken);
                let interval_ms = rule.interval_ms().unwrap_or(group_interval_ms);
                batches.entry(interval_ms).or_default().push(slot_at);
                table.by_name.entry((key.group.clone(), key.name.clone())).or_default().push((group_at, slot_at));
                let reads = Reads::of(rule.query());
                slots.push(Arc::new(Slot { rule: rule.clone(), key, interval_ms, reads, state: Mutex::default() }));
            }
            table.batches.extend(batches.into_values().map(|slots| Batch { group: group_at, slots }));
            table.groups.push(Group {
                name: loaded.name.clone(),
                file: loaded.file.clone(),
                interval_ms: group_interval_ms,
                query_offset_ms: loaded.query_offset_ms.unwrap_or(defaults.query_offset_ms),
                limit: loaded.limit,
                shared: SharedParts::of(slots.iter().map(|slot| slot.rule.query())),
                slots,
                counters: GroupCounters::default(),
            });
        }
        table
    }

    /// The times of all batches from `now` on.
    pub fn schedule(&self, now: Timestamp) -> Schedule {
        let mut schedule = Schedule::default();
        for batch in &self.batches {
            let group = &self.groups[batch.group];
            let interval_ms = batch.slots.first().map_or(1, |slot| group.slots[*slot].interval_ms);
            schedule.add(&group.file, &group.name, interval_ms, now);
        }
        schedule
    }

    /// All groups of the user's.
    pub fn shown_groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| group.name != OWN_GROUP)
    }

    /// All rules.
    pub fn slots(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.groups.iter().flat_map(|group| &group.slots)
    }

    /// The rules of a name in groups of a name.
    pub fn named(&self, group: &str, rule: &str) -> impl Iterator<Item = &Arc<Slot>> {
        let found = self.by_name.get(&(group.to_owned(), rule.to_owned()));
        found.into_iter().flatten().filter_map(|(group, slot)| self.groups.get(*group)?.slots.get(*slot))
    }

    /// Takes what the rules of a table remember that is no longer in force.
    pub fn take(&self) -> Vec<Carried> {
        self.slots()
            .map(|slot| Carried {
                key: slot.key.clone(),
                receivers: slot.rule.receivers().to_vec(),
                state: std::mem::take(&mut *slot.state.lock()),
            })
            .collect()
    }

    /// Gives what was remembered to the rules it belongs to: the same rule, else one of the same group, name and labels
    /// whose query was edited. What belongs nowhere any more is returned.
    pub fn give(&self, carried: Vec<Carried>) -> Vec<Carried> {
        let mut exact: HashMap<u64, Carried> = carried.into_iter().map(|one| (one.key.exact, one)).collect();
        let mut empty = Vec::new();
        for slot in self.slots() {
            match exact.remove(&slot.key.exact) {
                Some(found) => slot.take_over(found.state),
                None => empty.push(slot),
            }
        }
        let mut left: Vec<Carried> = exact.into_values().collect();
        left.sort_by_key(|one| one.key.exact);
        let mut loose: HashMap<u64, VecDeque<Carried>> = HashMap::new();
        for one in left {
            loose.entry(one.key.loose).or_default().push_back(one);
        }
        for slot in empty {
            if let Some(found) = loose.get_mut(&slot.key.loose).and_then(VecDeque::pop_front) {
                slot.take_over(found.state);
            }
        }
        loose.into_values().flatten().collect()
    }

    /// Takes over what the same groups counted.
    pub fn keep_counters(&self, before: &Table) {
        let key = |group: &Group| (group.file.clone(), group.name.clone());
        let old: HashMap<_, &Group> = before.groups.iter().map(|group| (key(group), group)).collect();
        for group in &self.groups {
            if let Some(old) = old.get(&key(group)) {
                group.counters.copy_from(&old.counters);
            }
        }
    }

    /// Everything that must survive.
    pub fn stored(&self) -> Vec<StoredAlert> {
        let mut stored = Vec::new();
        for slot in self.slots() {
            let state = slot.state.lock();
            let kept = state.set.alerts.iter().filter(|(_, tracked)| !tracked.is_acknowledged);
            stored.extend(kept.map(|(labels, tracked)| slot.stored(labels, tracked)));
        }
        stored
    }
}

impl Slot {
    /// Whether it is a rule of the server's own, which nobody is shown.
    pub fn is_own(&self) -> bool {
        self.key.group == OWN_GROUP
    }

    /// An alert as the journal keeps it.
    pub fn stored(&self, labels: &LabelSet, tracked: &Tracked) -> StoredAlert {
        store(&self.key, self.rule.receivers(), labels, tracked)
    }

    fn take_over(&self, mut state: SlotState) {
        for tracked in state.set.alerts.values_mut() {
            tracked.is_stale = true;
        }
        *self.state.lock() = state;
    }
}

impl GroupCounters {
    fn copy_from(&self, other: &GroupCounters) {
        for (to, from) in [
            (&self.iterations, &other.iterations),
            (&self.missed, &other.missed),
            (&self.failures, &other.failures),
            (&self.last_duration_us, &other.last_duration_us),
            (&self.last_evaluation_ms, &other.last_evaluation_ms),
        ] {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

impl Carried {
    /// The alerts that the journal remembers, by their rules.
    pub fn from_journal(replayed: Replayed) -> Vec<Carried> {
        let mut carried: Vec<Carried> = Vec::new();
        // The entries come sorted by rule.
        for stored in replayed.alerts.into_values() {
            let tracked = restore(&stored);
            if carried.last().is_none_or(|last| last.key.exact != stored.rule.exact) {
                let (key, receivers) = (stored.rule, stored.receivers);
                carried.push(Carried { key, receivers, state: SlotState::default() });
            }
            if let Some(last) = carried.last_mut() {
                last.state.set.alerts.insert(stored.labels, tracked);
            }
        }
        carried
    }

    /// What has to be told when the rule is no more: its firing alerts end now, and the series that it recorded.
    pub fn ends(self, now: Timestamp, samples: &mut Vec<SeriesSample>) -> Vec<Owed> {
        let mut ends = Vec::new();
        self.state.recorded.end(now, samples);
        for (labels, mut tracked) in self.state.set.alerts {
            tracked.life = match tracked.life {
                Life::Pending { .. } => continue,
                Life::Firing { active_at, fired_at, .. } => Life::Resolved { active_at, fired_at, resolved_at: now },
                Life::Resolved { .. } if tracked.is_acknowledged => continue,
                resolved @ Life::Resolved { .. } => resolved,
            };
            ends.push(Owed::new(store(&self.key, &self.receivers, &labels, &tracked), tracked));
        }
        ends
    }
}

impl Owed {
    /// Under a key that is no rule's, so that the journal gives it back as owed.
    pub fn new(mut alert: StoredAlert, tracked: Tracked) -> Owed {
        if alert.rule.loose != OWED_LOOSE {
            alert.rule.exact = !alert.rule.exact;
            alert.rule.loose = OWED_LOOSE;
        }
        Owed { alert, handed_over_at: None, tracked }
    }

    pub fn key(&self) -> OwedKey {
        (self.alert.rule.group.clone(), self.alert.rule.name.clone(), self.alert.labels.clone())
    }
}

/// Marks journal entries whose rule is gone; a hash of a rule is this by a chance of 2^-64.
const OWED_LOOSE: u64 = 0;

/// Pending times go on where they stood: the time in which nobody looked does not count.
pub(crate) fn shift_by_outage(table: &Table, last_seen: Option<Timestamp>, now: Timestamp) {
    let Some(last_seen) = last_seen else { return };
    for slot in table.slots() {
        let outage_ms = now.since(last_seen) - CLOCK_EVERY_MS - slot.interval_ms;
        if outage_ms > 0 {
            for tracked in slot.state.lock().set.alerts.values_mut() {
                tracked.life = tracked.life.shifted_by_outage(outage_ms);
            }
        }
    }
}

fn store(key: &RuleKey, receivers: &[String], labels: &LabelSet, tracked: &Tracked) -> StoredAlert {
    StoredAlert {
        rule: key.clone(),
        life: tracked.life,
        value: tracked.value,
        evaluated_at: tracked.evaluated_at,
        labels: labels.clone(),
        result_labels: tracked.result_labels.clone(),
        annotations: tracked.annotations.clone(),
        receivers: receivers.to_vec(),
    }
}

fn restore(stored: &StoredAlert) -> Tracked {
    Tracked {
        result_labels: stored.result_labels.clone(),
        annotations: stored.annotations.clone(),
        value: stored.value,
        histogram: None,
        life: stored.life,
        evaluated_at: stored.evaluated_at,
        is_restored: true,
        is_stale: true,
        is_acknowledged: false,
        handed_over_at: None,
        // Its series may go on from before the restart, and must be ended with it.
        sampled: Some((stored.life.state(), Timestamp::from_millis(i64::MIN))),
    }
}
