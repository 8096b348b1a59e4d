//! A message to be sent: to whom, about which alerts, under which id.

use std::sync::Arc;
use watchfire_model::{LabelSet, Timestamp};

/// The kind of an integration; the label `integration` of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IntegrationKind {
    /// An HTTP POST of Alertmanager's body.
    Webhook,
    /// A mail by SMTP.
    Email,
    /// A call within this process.
    Inner,
}

impl IntegrationKind {
    /// `webhook`, `email` or `inner`.
    pub const fn as_str(self) -> &'static str {
        match self {
            IntegrationKind::Webhook => "webhook",
            IntegrationKind::Email => "email",
            IntegrationKind::Inner => "inner",
        }
    }
}

/// One integration of one receiver: where a message goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The receiver's name.
    pub receiver: Arc<str>,
    /// The kind of the integration.
    pub kind: IntegrationKind,
    /// Its place among the receiver's integrations of that kind, from 0.
    pub index: u32,
}

/// `ops/webhook/0`.
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.receiver, self.kind.as_str(), self.index)
    }
}

/// What is deduplicated together and sent in order: one group of alerts to one target.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowKey {
    /// The group, written as Alertmanager writes it: `{}/{MATCHERS}:{LABELS}`.
    pub group_key: Arc<str>,
    /// Who is told.
    pub target: Target,
}

/// Unique for ever, sortable by time, and the same whenever the same message is sent again: 32 hex digits.
pub type NotificationId = Arc<str>;

/// Makes ids: 16 digits that no other start of the process has, 16 that count.
#[derive(Debug)]
pub struct Ids {
    start: u64,
    next: u64,
}

impl Ids {
    /// Ids of a process that starts now. `salt` tells starts within the same millisecond apart.
    pub fn new(now: Timestamp, salt: u16) -> Ids {
        // 48 bits of milliseconds last until the year 10889.
        let millis = u64::try_from(now.millis()).unwrap_or(0) & 0xffff_ffff_ffff;
        Ids { start: millis << 16 | u64::from(salt), next: 0 }
    }

    /// The next id.
    pub fn make(&mut self) -> NotificationId {
        self.next += 1;
        format!("{:016x}{:016x}", self.start, self.next).into()
    }
}

/// An alert as a message tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct NotifiedAlert {
    /// The alert's identity.
    pub labels: LabelSet,
    /// Texts for people, sorted by name.
    pub annotations: Vec<(String, String)>,
    /// When it began to fire.
    pub starts_at: Timestamp,
    /// When it was resolved; `None` while it fires.
    pub ends_at: Option<Timestamp>,
    /// The value of the last evaluation in which the condition held.
    pub value: f64,
}

impl NotifiedAlert {
    /// Whether it fires.
    pub fn is_firing(&self) -> bool {
        self.ends_at.is_none()
    }

    /// `firing` or `resolved`.
    pub fn status(&self) -> &'static str {
        if self.is_firing() { "firing" } else { "resolved" }
    }
}

/// Why a message is sent, as it was decided: a repeated delivery carries the same.
///
/// Source: Alertmanager 0.34, `notification_reason` of the webhook body; the texts are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The target knows of nothing that fires in this group.
    FirstNotification,
    /// More alerts fire in a group of which the target knows that others fire.
    NewAlertsAdded,
    /// Alerts were resolved, others of the group still fire.
    SomeAlertsResolved,
    /// Nothing of the group fires any more.
    AllAlertsResolved,
    /// Nothing changed for as long as the repeat interval.
    RepeatIntervalElapsed,
    /// The message stands in a notification log of version 1, which did not keep it.
    Unknown,
}

impl Reason {
    /// As Alertmanager writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::FirstNotification => "first notification",
            Reason::NewAlertsAdded => "new alerts added",
            Reason::SomeAlertsResolved => "some alerts resolved",
            Reason::AllAlertsResolved => "all alerts resolved",
            Reason::RepeatIntervalElapsed => "repeat interval elapsed",
            Reason::Unknown => "unknown",
        }
    }
}

/// A message to one target. Holds all that is needed to send it again.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// The same whenever it is sent again.
    pub id: NotificationId,
    /// Its group and target.
    pub flow: FlowKey,
    /// The labels by which its alerts are grouped.
    pub group_labels: LabelSet,
    /// When it was decided.
    pub created_at: Timestamp,
    /// Why it is sent.
    pub reason: Reason,
    /// Firing alerts first, each part in the order of labels. Never empty.
    pub alerts: Vec<Arc<NotifiedAlert>>,
}

impl Notification {
    /// `firing` if any of its alerts is, else `resolved`.
    pub fn status(&self) -> &'static str {
        if self.firing_count() > 0 { "firing" } else { "resolved" }
    }

    /// How many of its alerts fire.
    pub fn firing_count(&self) -> usize {
        self.alerts.iter().filter(|alert| alert.is_firing()).count()
    }

    /// The labels that all alerts share, with the same value.
    pub fn common_labels(&self) -> LabelSet {
        let Some(first) = self.alerts.first() else { return LabelSet::empty() };
        first.labels.retain(|name| self.alerts.iter().all(|alert| alert.labels.get(name) == first.labels.get(name)))
    }

    /// The annotations that all alerts share, with the same value.
    pub fn common_annotations(&self) -> Vec<(String, String)> {
        let Some((first, rest)) = self.alerts.split_first() else { return Vec::new() };
        first
            .annotations
            .iter()
            .filter(|pair| rest.iter().all(|alert| alert.annotations.contains(pair)))
            .cloned()
            .collect()
    }

    /// About how much memory it takes, in bytes; texts that several messages share are counted in each.
    pub fn bytes(&self) -> usize {
        let alert_bytes = |alert: &Arc<NotifiedAlert>| {
            let labels: usize = alert.labels.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
            let annotations: usize = alert.annotations.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
            labels + annotations + 96
        };
        256 + self.flow.group_key.len() + self.alerts.iter().map(alert_bytes).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_within_and_between_starts() {
        let mut first = Ids::new(Timestamp::from_millis(1_700_000_000_000), 1);
        let mut second = Ids::new(Timestamp::from_millis(1_700_000_000_000), 2);
        let ids = [first.make(), first.make(), second.make(), second.make()];
        assert!(ids.iter().all(|id| id.len() == 32));
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    }
}
