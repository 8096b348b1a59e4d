//! The queue of one target and the task that sends what is in it.

use crate::clerk::ClerkHandle;
use crate::config::SendLimits;
use crate::entry::Entry;
use crate::notification::{Notification, Target};
use crate::notifier::{Notifier, Retry, SendError};
use crate::send_queue::{Next, SendQueue};
use crate::stats::{QueueDepth, TargetCounters, TargetStats};
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use watchfire_model::{Timestamp, failpoint};

/// Whether a sender goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Tries what can be tried now, waits for what is under way, then ends.
    Draining,
    /// Ends now.
    Stopped,
}

/// One target's queue, counters and adapter.
pub(crate) struct Outbox {
    pub(crate) target: Target,
    limits: SendLimits,
    // Times in it are milliseconds since `began`.
    queue: Mutex<SendQueue>,
    began: Instant,
    wake: Notify,
    phase: watch::Sender<Phase>,
    // Replaced when the configuration is reloaded.
    notifier: Mutex<Arc<dyn Notifier>>,
    counters: TargetCounters,
}

impl Outbox {
    pub(crate) fn new(target: Target, limits: SendLimits, notifier: Arc<dyn Notifier>) -> Outbox {
        Outbox {
            target,
            limits,
            queue: Mutex::new(SendQueue::new(limits)),
            began: Instant::now(),
            wake: Notify::new(),
            phase: watch::Sender::new(Phase::Running),
            notifier: Mutex::new(notifier),
            counters: TargetCounters::default(),
        }
    }

    /// Promises room; `false`, and counted, if there is none.
    pub(crate) fn reserve(&self, bytes: usize) -> bool {
        let has_room = self.queue.lock().reserve(bytes);
        if !has_room {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    /// Adds a message for which room was promised.
    pub(crate) fn push(&self, notification: Arc<Notification>) {
        self.queue.lock().push(notification, self.now());
        self.wake.notify_one();
    }

    /// Adds a message of the time before a restart.
    pub(crate) fn push_recovered(&self, notification: Arc<Notification>) {
        self.queue.lock().push_recovered(notification, self.now());
        self.wake.notify_one();
    }

    pub(crate) fn replace_notifier(&self, notifier: Arc<dyn Notifier>) {
        *self.notifier.lock() = notifier;
    }

    /// Lets the sender end once it has tried what can be tried now.
    pub(crate) fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Lets the sender end now; what is under way is dropped.
    pub(crate) fn stop(&self) {
        self.phase.send_replace(Phase::Stopped);
    }

    pub(crate) fn stats(&self) -> TargetStats {
        let depth = {
            let queue = self.queue.lock();
            QueueDepth { messages: queue.len(), bytes: queue.bytes(), in_flight: queue.in_flight() }
        };
        self.counters.snapshot(&self.target, depth)
    }

    fn now(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn instant(&self, at: i64) -> Instant {
        self.began + Duration::from_millis(u64::try_from(at).unwrap_or(0))
    }
}

/// Sends until the outbox is drained or stopped.
pub(crate) async fn run(outbox: Arc<Outbox>, clerk: ClerkHandle) {
    let mut phase = outbox.phase.subscribe();
    let mut attempts: JoinSet<(Arc<Notification>, End)> = JoinSet::new();
    loop {
        let current = *phase.borrow_and_update();
        if current == Phase::Stopped {
            return;
        }
        let until = loop {
            let next = outbox.queue.lock().next(outbox.now());
            match next {
                Next::Send { message, failures } => {
                    attempts.spawn(attempt(Arc::clone(&outbox), clerk.clone(), message, failures));
                }
                Next::Wait(until) => break until,
            }
        };
        // What can be tried now is under way; the rest waits for a target that is away.
        if current == Phase::Draining && outbox.queue.lock().in_flight() == 0 {
            return;
        }
        let timer = async {
            match until {
                Some(at) => tokio::time::sleep_until(outbox.instant(at)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = phase.changed() => {}
            () = outbox.wake.notified() => {}
            Some(ended) = attempts.join_next() => {
                if let Ok((notification, end)) = ended {
                    settle(&outbox, &notification, end);
                }
            }
            () = timer => {}
        }
    }
}

/// How an attempt ended.
enum End {
    Delivered,
    GivenUp,
    Again(Retry),
}

/// One attempt; when it returns, its end is on disk if it is one.
async fn attempt(
    outbox: Arc<Outbox>,
    clerk: ClerkHandle,
    notification: Arc<Notification>,
    failures: u32,
) -> (Arc<Notification>, End) {
    let counter = if failures == 0 { &outbox.counters.notifications } else { &outbox.counters.retries };
    counter.fetch_add(1, Ordering::Relaxed);
    let notifier = Arc::clone(&outbox.notifier.lock());
    failpoint::hit("alerting.before_send");
    let started = Instant::now();
    let sent = AssertUnwindSafe(notifier.send(&notification)).catch_unwind().await;
    let sent = sent.unwrap_or_else(|_| Err(SendError::lasting("the adapter failed; this is a fault of Watchfire")));
    outbox.counters.attempts.add(started.elapsed());
    let (id, at) = (Arc::clone(&notification.id), Timestamp::now());
    let age_ms = at.since(notification.created_at);
    let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
    let end = match sent {
        Ok(()) => {
            failpoint::hit("alerting.after_send");
            outbox.counters.delivered.fetch_add(1, Ordering::Relaxed);
            outbox.counters.deliveries.add(age);
            tracing::debug!(to = %outbox.target, id = &*id, delay_ms = age_ms, "notification delivered");
            clerk.ended(Entry::Delivered { id, at }).await;
            End::Delivered
        }
        Err(error) if error.retry == Retry::Never || age > outbox.limits.max_age => {
            outbox.counters.failed.fetch_add(1, Ordering::Relaxed);
            let attempts = failures.saturating_add(1);
            tracing::error!(to = %outbox.target, id = &*id, attempts, error = %error, "notification given up");
            clerk.ended(Entry::Failed { id, at }).await;
            End::GivenUp
        }
        Err(error) => {
            // One line for the first failure, then ever more rarely.
            if failures.saturating_add(1).is_power_of_two() {
                let attempts = failures.saturating_add(1);
                tracing::warn!(to = %outbox.target, id = &*id, attempts, error = %error, "notification failed, will be tried again");
            }
            End::Again(error.retry)
        }
    };
    (notification, end)
}

fn settle(outbox: &Outbox, notification: &Notification, end: End) {
    let now = outbox.now();
    let mut queue = outbox.queue.lock();
    match end {
        End::Delivered => queue.done(notification, true, now),
        End::GivenUp => queue.done(notification, false, now),
        End::Again(Retry::After(pause)) => {
            queue.failed(notification, Some(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)), now);
        }
        End::Again(Retry::BackOff | Retry::Never) => {
            queue.failed(notification, None, now);
        }
    }
}
