//! The messages that wait for one target, and which of them is tried next: pure, with the time passed in.
//!
//! Messages of one flow are delivered in order, one at a time. Different flows do not wait for each other: one
//! message that its receiver cannot digest holds up its own group only. When nothing gets through (three failures in
//! a row), one message at a time probes, at growing distances; the first success sets all others free.

use crate::backoff;
use crate::config::SendLimits;
use crate::notification::Notification;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// So many failures in a row, whatever the message, mean that the target is away.
const AWAY_AFTER: u32 = 3;

type GroupKey = Arc<str>;

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Try this one; its flow is busy until [`SendQueue::done`] or [`SendQueue::failed`].
    Send {
        /// The message.
        message: Arc<Notification>,
        /// How often it failed before.
        failures: u32,
    },
    /// Nothing before this time, in milliseconds; `None`: nothing until a message comes or one under way ends.
    Wait(Option<i64>),
}

#[derive(Debug)]
struct Lane {
    waiting: VecDeque<Arc<Notification>>,
    // Failures of the first one.
    failures: u32,
}

/// When a lane may go on, and, among equals, in the order in which they came.
type Due = (i64, u64, GroupKey);

/// The messages of one target. Times are milliseconds of any clock that does not go back.
#[derive(Debug)]
pub struct SendQueue {
    limits: SendLimits,
    lanes: HashMap<GroupKey, Lane>,
    // Lanes whose first message was never tried, and those whose first message failed; busy lanes are in neither.
    fresh: BTreeSet<Due>,
    again: BTreeSet<Due>,
    busy: HashSet<GroupKey>,
    messages: usize,
    bytes: usize,
    // Room promised to messages that are still on their way to disk.
    reserved_messages: usize,
    reserved_bytes: usize,
    failures_in_row: u32,
    // Nothing that failed before is tried earlier while the target is away.
    probe_at: i64,
    // The target asked for silence until then.
    closed_until: i64,
    next_order: u64,
}

impl SendQueue {
    /// An empty queue.
    pub fn new(limits: SendLimits) -> SendQueue {
        SendQueue {
            limits,
            lanes: HashMap::new(),
            fresh: BTreeSet::new(),
            again: BTreeSet::new(),
            busy: HashSet::new(),
            messages: 0,
            bytes: 0,
            reserved_messages: 0,
            reserved_bytes: 0,
            failures_in_row: 0,
            probe_at: i64::MIN,
            closed_until: i64::MIN,
            next_order: 0,
        }
    }

    /// Promises room for a message of this size; it is to be pushed with [`SendQueue::push`]. `false` if there is
    /// none. An empty queue takes a message of any size.
    pub fn reserve(&mut self, bytes: usize) -> bool {
        let messages = self.messages + self.reserved_messages;
        let all_bytes = self.bytes + self.reserved_bytes;
        let fits = messages < self.limits.queue_messages && all_bytes.saturating_add(bytes) <= self.limits.queue_bytes;
        if messages > 0 && !fits {
            return false;
        }
        self.reserved_messages += 1;
        self.reserved_bytes += bytes;
        true
    }

    /// Adds a message for which room was promised.
    pub fn push(&mut self, notification: Arc<Notification>, now: i64) {
        self.reserved_messages = self.reserved_messages.saturating_sub(1);
        self.reserved_bytes = self.reserved_bytes.saturating_sub(notification.bytes());
        self.push_recovered(notification, now);
    }

    /// Adds a message that was accepted before a restart; room was found for it then.
    pub fn push_recovered(&mut self, notification: Arc<Notification>, now: i64) {
        self.messages += 1;
        self.bytes += notification.bytes();
        let key = Arc::clone(&notification.flow.group_key);
        let lane = self.lanes.entry(Arc::clone(&key)).or_insert_with(|| Lane { waiting: VecDeque::new(), failures: 0 });
        lane.waiting.push_back(notification);
        if lane.waiting.len() == 1 {
            let due = self.due(now, key);
            self.fresh.insert(due);
        }
    }

    /// What to try now.
    pub fn next(&mut self, now: i64) -> Next {
        let away = self.failures_in_row >= AWAY_AFTER;
        let at_once = if away { 1 } else { self.limits.concurrency.max(1) };
        if self.busy.len() >= at_once {
            return Next::Wait(None);
        }
        let fresh = self.fresh.first().map(|(at, ..)| (*at).max(self.closed_until));
        let gate = if away { self.closed_until.max(self.probe_at) } else { self.closed_until };
        let again = self.again.first().map(|(at, ..)| (*at).max(gate));
        let (from_fresh, at) = match (fresh, again) {
            (Some(fresh), Some(again)) => (fresh <= again, fresh.min(again)),
            (Some(fresh), None) => (true, fresh),
            (None, Some(again)) => (false, again),
            (None, None) => return Next::Wait(None),
        };
        if at > now {
            return Next::Wait(Some(at));
        }
        let lanes = if from_fresh { &mut self.fresh } else { &mut self.again };
        let Some((_, _, key)) = lanes.pop_first() else { return Next::Wait(None) };
        let Some(lane) = self.lanes.get(&key) else { return Next::Wait(None) };
        let Some(first) = lane.waiting.front() else { return Next::Wait(None) };
        let next = Next::Send { message: Arc::clone(first), failures: lane.failures };
        self.busy.insert(key);
        next
    }

    /// The message arrived, or was given up: its flow goes on with the next one.
    pub fn done(&mut self, notification: &Notification, arrived: bool, now: i64) {
        let key = &notification.flow.group_key;
        if self.busy.remove(key) {
            self.remove_first(key, now);
        }
        if arrived {
            self.target_is_back(now);
        }
    }

    /// The attempt failed and is to be repeated; `retry_after_ms` if the target asked for a pause. Returns the
    /// number of failures of this message.
    pub fn failed(&mut self, notification: &Notification, retry_after_ms: Option<i64>, now: i64) -> u32 {
        let key = &notification.flow.group_key;
        self.busy.remove(key);
        let Some(lane) = self.lanes.get_mut(key) else { return 0 };
        lane.failures = lane.failures.saturating_add(1);
        let failures = lane.failures;
        let mut wait = backoff::wait_ms(failures, &notification.id);
        if let Some(pause) = retry_after_ms {
            let pause = pause.clamp(0, backoff::RETRY_AFTER_MAX_MS);
            self.closed_until = self.closed_until.max(now.saturating_add(pause));
            wait = wait.max(pause);
        }
        let due = self.due(now.saturating_add(wait), Arc::clone(key));
        self.again.insert(due);
        self.failures_in_row = self.failures_in_row.saturating_add(1);
        let distance = backoff::wait_ms(self.failures_in_row, &notification.flow.target.receiver);
        self.probe_at = now.saturating_add(distance);
        failures
    }

    /// Messages that wait or are under way.
    pub fn len(&self) -> usize {
        self.messages
    }

    /// Whether no message waits or is under way.
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// About how many bytes they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Messages under way.
    pub fn in_flight(&self) -> usize {
        self.busy.len()
    }

    fn due(&mut self, at: i64, key: GroupKey) -> Due {
        self.next_order += 1;
        (at, self.next_order, key)
    }

    fn remove_first(&mut self, key: &GroupKey, now: i64) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if let Some(first) = lane.waiting.pop_front() {
            self.messages -= 1;
            self.bytes -= first.bytes();
        }
        lane.failures = 0;
        if lane.waiting.is_empty() {
            self.lanes.remove(key);
        } else {
            let due = self.due(now, Arc::clone(key));
            self.fresh.insert(due);
        }
    }

    fn target_is_back(&mut self, now: i64) {
        if self.failures_in_row >= AWAY_AFTER {
            self.again = std::mem::take(&mut self.again).into_iter().map(|(_, order, key)| (now, order, key)).collect();
        }
        self.failures_in_row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::{FlowKey, IntegrationKind, NotifiedAlert, Reason, Target};
    use watchfire_model::{LabelSet, Timestamp};

    fn message(group: &str, id: u32) -> Arc<Notification> {
        let target = Target { receiver: "ops".into(), kind: IntegrationKind::Webhook, index: 0 };
        let at = Timestamp::from_millis(0);
        let alert =
            NotifiedAlert { labels: LabelSet::empty(), annotations: vec![], starts_at: at, ends_at: None, value: 0.0 };
        Arc::new(Notification {
            id: format!("{id:032x}").into(),
            flow: FlowKey { group_key: group.into(), target },
            group_labels: LabelSet::empty(),
            created_at: at,
            reason: Reason::FirstNotification,
            alerts: vec![Arc::new(alert)],
        })
    }

    fn push(queue: &mut SendQueue, message: &Arc<Notification>, now: i64) {
        assert!(queue.reserve(message.bytes()));
        queue.push(Arc::clone(message), now);
    }

    fn sent(queue: &mut SendQueue, now: i64) -> Arc<Notification> {
        match queue.next(now) {
            Next::Send { message, .. } => message,
            Next::Wait(until) => panic!("nothing is due before {until:?}"),
        }
    }

    #[test]
    fn a_flow_keeps_its_order_and_others_overtake_it() {
        let mut queue = SendQueue::new(SendLimits::default());
        let (first, second, other) = (message("a", 1), message("a", 2), message("b", 3));
        for each in [&first, &second, &other] {
            push(&mut queue, each, 0);
        }
        assert_eq!(sent(&mut queue, 0), first);
        assert_eq!(sent(&mut queue, 0), other);
        assert_eq!(queue.next(0), Next::Wait(None));
        assert_eq!(queue.failed(&first, None, 0), 1);
        queue.done(&other, true, 0);
        let Next::Wait(Some(at)) = queue.next(0) else { panic!("the first message waits") };
        assert!((250..=750).contains(&at), "{at}");
        assert_eq!(sent(&mut queue, at), first);
        queue.done(&first, true, at);
        assert_eq!(sent(&mut queue, at), second);
        queue.done(&second, false, at);
        assert!(queue.is_empty() && queue.bytes() == 0 && queue.lanes.is_empty());
    }

    #[test]
    fn one_message_probes_a_target_that_is_away_and_a_success_frees_all() {
        let mut queue = SendQueue::new(SendLimits::default());
        let all: Vec<_> = (0..100).map(|id| message(&format!("g{id}"), id)).collect();
        all.iter().for_each(|message| push(&mut queue, message, 0));
        let mut now = 0;
        let mut attempts = 0;
        while now < 600_000 {
            match queue.next(now) {
                Next::Send { message, .. } => {
                    attempts += 1;
                    queue.failed(&message, None, now);
                }
                Next::Wait(Some(at)) => now = at,
                Next::Wait(None) => panic!("a failed message waits for its next attempt"),
            }
        }
        assert!((100..180).contains(&attempts), "{attempts} attempts in ten minutes");
        let at = now;
        let lucky = sent(&mut queue, at);
        assert_eq!(queue.next(at), Next::Wait(None), "only one probes");
        queue.done(&lucky, true, at);
        let mut count = 1;
        while let Next::Send { message, .. } = queue.next(at) {
            count += 1;
            queue.done(&message, true, at);
        }
        assert_eq!((count, queue.len()), (100, 0));
    }

    #[test]
    fn retry_after_closes_the_target() {
        let mut queue = SendQueue::new(SendLimits::default());
        let (first, other) = (message("a", 1), message("b", 2));
        push(&mut queue, &first, 0);
        assert_eq!(sent(&mut queue, 0), first);
        queue.failed(&first, Some(7_000), 0);
        push(&mut queue, &other, 10);
        assert_eq!(queue.next(10), Next::Wait(Some(7_000)));
        assert!(matches!(queue.next(7_000), Next::Send { .. }));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut queue = SendQueue::new(SendLimits { queue_messages: 2, ..SendLimits::default() });
        push(&mut queue, &message("a", 1), 0);
        assert!(queue.reserve(10));
        assert!(!queue.reserve(10), "one waits and one is promised room");
        let mut queue = SendQueue::new(SendLimits { queue_bytes: 100, ..SendLimits::default() });
        assert!(queue.reserve(1_000), "an empty queue takes any message");
        assert!(!queue.reserve(1));
    }
}
