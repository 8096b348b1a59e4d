//! What a rule says of one label set, from the first time its condition held.

use crate::{LabelSet, Timestamp};

/// Where an alert stands; "inactive" is the absence of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AlertState {
    /// The condition holds, for less than the rule's `duration`.
    Pending,
    /// The condition has held for the rule's `duration` (or is held by `keep_firing_for`).
    Firing,
    /// It was firing and the condition no longer holds.
    Resolved,
}

impl AlertState {
    /// `pending`, `firing` or `resolved`.
    pub const fn as_str(self) -> &'static str {
        match self {
            AlertState::Pending => "pending",
            AlertState::Firing => "firing",
            AlertState::Resolved => "resolved",
        }
    }
}

/// One alert. Its identity is `labels` (rule labels and `alertname` included).
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Name of the rule; equals the label `alertname`.
    pub rule: String,
    /// The group of the rule: the stem of its file.
    pub group: String,
    /// The alert's identity.
    pub labels: LabelSet,
    /// Expanded texts for people, sorted by name.
    pub annotations: Vec<(String, String)>,
    /// Where it stands.
    pub state: AlertState,
    /// The value of the last evaluation in which the condition held.
    pub value: f64,
    /// When the condition began to hold.
    pub active_at: Timestamp,
    /// When it began to fire; `None` while pending.
    pub fired_at: Option<Timestamp>,
    /// When it was resolved; `Some` exactly when `state` is `Resolved`.
    pub resolved_at: Option<Timestamp>,
    /// When the rule was last evaluated for it.
    pub evaluated_at: Timestamp,
    /// Names of the receivers the rule asks for; empty = the default receivers.
    pub receivers: Vec<String>,
}

impl Alert {
    /// Prometheus' fingerprint of the labels: FNV-1a 64 over `name 0xff value 0xff`, sorted by name.
    pub fn fingerprint(&self) -> u64 {
        self.labels.fingerprint()
    }
}
