//! What each target was told of each group, and which messages are under way.
//!
//! The state is a function of the log's entries alone: the running process applies the same entries that a restart
//! replays, so that both stand at the same point.

use crate::entry::Entry;
use crate::notification::{FlowKey, Notification, NotificationId, NotifiedAlert};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use watchfire_model::{LabelSet, Timestamp};

/// Most resolved alerts of failed messages that a flow keeps for its next message.
pub const UNSENT_MAX: usize = 10_000;

/// That a firing alert was put into a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The episode: when the alert began to fire.
    pub starts_at: Timestamp,
    /// When the newest message with it was decided.
    pub sent_at: Timestamp,
    /// When that message was given up, if it was.
    pub failed_at: Option<Timestamp>,
}

/// A resolved alert whose message was given up.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsent {
    /// When it was given up.
    pub failed_at: Timestamp,
    /// The alert.
    pub alert: Arc<NotifiedAlert>,
}

/// What one target was told of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flow {
    /// The labels by which the group is formed.
    pub group_labels: LabelSet,
    /// Alerts that the target knows as firing, by fingerprint.
    pub firing: HashMap<u64, Sent>,
    /// Resolved alerts that still have to be told, by fingerprint. At most [`UNSENT_MAX`].
    pub unsent: HashMap<u64, Unsent>,
}

impl Flow {
    fn is_empty(&self) -> bool {
        self.firing.is_empty() && self.unsent.is_empty()
    }

    fn forget(&mut self, fingerprint: u64) {
        self.firing.remove(&fingerprint);
        self.unsent.remove(&fingerprint);
    }
}

/// All flows and all messages that have not ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SentState {
    flows: HashMap<FlowKey, Flow>,
    open: BTreeMap<NotificationId, Arc<Notification>>,
    // Resolved alerts dropped because a flow had `UNSENT_MAX` of them.
    dropped: u64,
}

impl SentState {
    /// What a target knows of a group; `None` if it knows of nothing that fires.
    pub fn flow(&self, key: &FlowKey) -> Option<&Flow> {
        self.flows.get(key)
    }

    /// All flows, in no order.
    pub fn flows(&self) -> impl Iterator<Item = (&FlowKey, &Flow)> {
        self.flows.iter()
    }

    /// How many flows there are.
    pub fn flow_count(&self) -> usize {
        self.flows.len()
    }

    /// Messages whose end is not known, the oldest first.
    pub fn open(&self) -> impl ExactSizeIterator<Item = &Arc<Notification>> {
        self.open.values()
    }

    /// Resolved alerts that were dropped because a flow had [`UNSENT_MAX`] of them.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes in one fact.
    pub fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Intent(notification) => self.intend(notification),
            Entry::Delivered { id, .. } => {
                self.open.remove(id);
            }
            Entry::Failed { id, at } => {
                if let Some(notification) = self.open.remove(id) {
                    self.fail(&notification, *at);
                }
            }
            Entry::Forgotten { flow: key, fingerprints } => {
                if let Some(flow) = self.flows.get_mut(key) {
                    fingerprints.iter().for_each(|fingerprint| flow.forget(*fingerprint));
                }
                self.drop_if_empty(key);
            }
            Entry::Flow(key, flow) => {
                self.flows.insert(key.clone(), flow.clone());
            }
        }
    }

    /// The entries that make this state from nothing.
    pub fn snapshot(&self) -> impl Iterator<Item = Entry> {
        let open = self.open.values().map(|notification| Entry::Intent(Arc::clone(notification)));
        let flows = self.flows.iter().map(|(key, flow)| Entry::Flow(key.clone(), flow.clone()));
        // An intent changes its flow when it is applied, so the flows come after and overwrite that.
        let emptied = self.open.values().filter(|open| !self.flows.contains_key(&open.flow)).map(|open| {
            let fingerprints = open.alerts.iter().map(|alert| alert.labels.fingerprint()).collect();
            Entry::Forgotten { flow: open.flow.clone(), fingerprints }
        });
        open.chain(emptied).chain(flows)
    }

    fn intend(&mut self, notification: &Arc<Notification>) {
        let flow = self.flows.entry(notification.flow.clone()).or_default();
        flow.group_labels = notification.group_labels.clone();
        for alert in &notification.alerts {
            let fingerprint = alert.labels.fingerprint();
            flow.forget(fingerprint);
            if alert.is_firing() {
                let sent = Sent { starts_at: alert.starts_at, sent_at: notification.created_at, failed_at: None };
                flow.firing.insert(fingerprint, sent);
            }
        }
        self.open.insert(Arc::clone(&notification.id), Arc::clone(notification));
        self.drop_if_empty(&notification.flow);
    }

    /// The alerts of a message that was given up wait for the next message of their flow, unless a newer message
    /// has told of them since.
    fn fail(&mut self, notification: &Notification, at: Timestamp) {
        let flow = self.flows.entry(notification.flow.clone()).or_default();
        flow.group_labels = notification.group_labels.clone();
        for alert in &notification.alerts {
            let fingerprint = alert.labels.fingerprint();
            let known = flow.firing.get_mut(&fingerprint);
            match (alert.is_firing(), known) {
                (true, Some(sent)) if sent.sent_at == notification.created_at => sent.failed_at = Some(at),
                (true, _) | (false, Some(_)) => {}
                (false, None) if flow.unsent.len() >= UNSENT_MAX => self.dropped += 1,
                (false, None) => {
                    flow.unsent.insert(fingerprint, Unsent { failed_at: at, alert: Arc::clone(alert) });
                }
            }
        }
        self.drop_if_empty(&notification.flow);
    }

    fn drop_if_empty(&mut self, key: &FlowKey) {
        if self.flows.get(key).is_some_and(Flow::is_empty) {
            self.flows.remove(key);
        }
    }
}
