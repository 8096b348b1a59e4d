//! What the rules side hands over, and what it gets back.

use watchfire_model::{Alert, Timestamp};

/// Alerts of one rule after one evaluation: what changed at once, what fires again and again while it fires (not with
/// each evaluation), what was resolved again and again until it is acknowledged. Pending alerts may be among them; they
/// are passed over.
///
/// Level-triggered: a batch that is handed over twice, or that was lost on the way, changes nothing in the end.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertBatch {
    /// The rule's group: the stem of its file.
    pub group: String,
    /// The rule's name.
    pub rule: String,
    /// Its alerts, or some of them.
    pub alerts: Vec<Alert>,
}

/// A resolved alert that need not be handed over again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The rule's group.
    pub group: String,
    /// The rule's name.
    pub rule: String,
    /// The alert's fingerprint ([`Alert::fingerprint`]).
    pub fingerprint: u64,
    /// The moment of resolution that was acknowledged; a later episode of the same alert is not.
    pub resolved_at: Timestamp,
}

/// What came of handing over some batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandleReport {
    /// Resolved alerts whose notification is on disk (or that nobody has to hear of).
    pub acknowledged: Vec<Acknowledged>,
    /// Messages that were made, one per receiver's integration.
    pub messages: usize,
    /// Messages that had to wait because a receiver's queue is full; the same alerts make them again when they are
    /// handed over next.
    pub refused: usize,
    /// Whether all that was decided is on disk. If not (the disk is full), the messages are sent all the same, and
    /// nothing is acknowledged.
    pub durable: bool,
}
