//! The clerk: one thread that owns the state and the notification log.
//!
//! Commands that came while the disk was busy are worked off together, with one wait for the disk (group commit).
//! Only then are messages put into the outboxes and replies given.

use crate::batch::{AlertBatch, HandleReport};
use crate::decide::{self, Decision, Policy};
use crate::entry::Entry;
use crate::flow::SentState;
use crate::journal::{Journal, RewriteError};
use crate::notification::{Ids, IntegrationKind, Notification, Target};
use crate::outbox::Outbox;
use crate::route::Routing;
use crate::silences::{Active, Silences};
use crate::stats::LogStats;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use watchfire_model::{Alert, Timestamp};

/// Commands that wait for the clerk at most; who comes then waits.
const COMMANDS_MAX: usize = 1024;
/// Commands that share one wait for the disk at most.
const COMMIT_COMMANDS_MAX: usize = 256;
/// The log is not rewritten below this size, in bytes.
const COMPACT_BYTES_MIN: u64 = 1 << 20;
/// It is rewritten when it has grown to this multiple of its size after the last time.
const COMPACT_FACTOR: u64 = 4;
/// How often a log that could not be written is tried to be rewritten.
const REPAIR_EVERY: Duration = Duration::from_secs(1);
/// How long alerts of rules that are gone are remembered beyond twice the repeat interval, in milliseconds.
/// Alertmanager's retention.
const RETENTION_MS: i64 = 120 * 3_600_000;
/// How often it is looked for them, in milliseconds.
const EXPIRE_EVERY_MS: i64 = 3_600_000;

/// Who hears of what, and the outboxes: replaced as a whole by a reload.
pub(crate) struct Directory {
    pub(crate) routing: Routing,
    pub(crate) outboxes: HashMap<Target, Arc<Outbox>>,
}

enum Command {
    Handle { batches: Vec<AlertBatch>, now: Timestamp, reply: oneshot::Sender<HandleReport> },
    Ended { entry: Entry, reply: oneshot::Sender<()> },
    Tick { now: Timestamp, reply: oneshot::Sender<()> },
    Redirect { directory: Directory, now: Timestamp, reply: oneshot::Sender<()> },
    Close { reply: oneshot::Sender<usize> },
}

/// The clerk has ended; nothing more is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("alerting is closed")]
pub struct Closed;

/// Speaks with the clerk.
#[derive(Clone)]
pub(crate) struct ClerkHandle(mpsc::Sender<Command>);

impl ClerkHandle {
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Closed> {
        let (reply, answer) = oneshot::channel();
        self.0.send(command(reply)).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }

    pub(crate) async fn handle(&self, batches: Vec<AlertBatch>, now: Timestamp) -> Result<HandleReport, Closed> {
        self.ask(|reply| Command::Handle { batches, now, reply }).await
    }

    pub(crate) fn handle_blocking(&self, batches: Vec<AlertBatch>, now: Timestamp) -> Result<HandleReport, Closed> {
        let (reply, answer) = oneshot::channel();
        self.0.blocking_send(Command::Handle { batches, now, reply }).map_err(|_| Closed)?;
        answer.blocking_recv().map_err(|_| Closed)
    }

    /// Records how a message ended. Returns when that is on disk, or cannot be.
    pub(crate) async fn ended(&self, entry: Entry) {
        // A closed clerk has said farewell to the disk: the message will be repeated after the restart.
        let _ = self.ask(|reply| Command::Ended { entry, reply }).await;
    }

    pub(crate) async fn tick(&self, now: Timestamp) -> Result<(), Closed> {
        self.ask(|reply| Command::Tick { now, reply }).await
    }

    pub(crate) async fn redirect(&self, directory: Directory, now: Timestamp) -> Result<(), Closed> {
        self.ask(|reply| Command::Redirect { directory, now, reply }).await
    }

    /// Ends the clerk; the number of messages that have not ended.
    pub(crate) async fn close(&self) -> Result<usize, Closed> {
        self.ask(|reply| Command::Close { reply }).await
    }
}

/// The clerk's own data.
pub(crate) struct Clerk {
    state: SentState,
    journal: Journal,
    policy: Policy,
    ids: Ids,
    directory: Directory,
    silences: Arc<Silences>,
    opened_at: Timestamp,
    expired_at: Timestamp,
    compact_at_bytes: u64,
    // When the file last could not be made to hold what the state holds; `None`: it does.
    broken: Option<Instant>,
    stats: Arc<Mutex<LogStats>>,
}

impl Clerk {
    pub(crate) fn new(
        state: SentState,
        journal: Journal,
        policy: Policy,
        ids: Ids,
        directory: Directory,
        silences: Arc<Silences>,
        now: Timestamp,
    ) -> Clerk {
        let compact_at_bytes = COMPACT_BYTES_MIN.max(journal.file_bytes());
        let stats = Arc::new(Mutex::new(LogStats { durable: true, ..LogStats::default() }));
        let (opened_at, expired_at) = (now, now);
        let clerk = Clerk {
            state,
            journal,
            policy,
            ids,
            directory,
            silences,
            opened_at,
            expired_at,
            compact_at_bytes,
            broken: None,
            stats,
        };
        clerk.publish_stats();
        clerk
    }

    pub(crate) fn stats(&self) -> Arc<Mutex<LogStats>> {
        Arc::clone(&self.stats)
    }

    /// Sends again what has not ended, and forgets what is for targets that are no more. Returns the number of
    /// messages of both kinds. A file in which damage was found is written anew.
    pub(crate) fn recover(&mut self, is_damaged: bool, now: Timestamp) -> (usize, usize) {
        if is_damaged {
            self.rewrite();
        }
        let dropped = self.drop_lost_targets(now);
        self.commit();
        for notification in self.state.open() {
            if let Some(outbox) = self.directory.outboxes.get(&notification.flow.target) {
                outbox.push_recovered(Arc::clone(notification));
            }
        }
        (self.state.open().len(), dropped)
    }

    /// Starts the thread.
    pub(crate) fn start(self) -> std::io::Result<(ClerkHandle, std::thread::JoinHandle<()>)> {
        let (sender, receiver) = mpsc::channel(COMMANDS_MAX);
        let thread = std::thread::Builder::new().name("alerting-clerk".to_owned()).spawn(|| self.run(receiver))?;
        Ok((ClerkHandle(sender), thread))
    }

    fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(first) = commands.blocking_recv() {
            let mut replies = Vec::new();
            let mut intents = Vec::new();
            let mut next = Some(first);
            let mut is_closing = false;
            while let Some(command) = next.take() {
                is_closing = matches!(command, Command::Close { .. });
                replies.push(self.take(command, &mut intents));
                if !is_closing && replies.len() < COMMIT_COMMANDS_MAX {
                    next = commands.try_recv().ok();
                }
            }
            self.commit();
            for notification in intents {
                if let Some(outbox) = self.directory.outboxes.get(&notification.flow.target) {
                    outbox.push(notification);
                }
            }
            // Who has the reply may count on the counters.
            self.publish_stats();
            for reply in replies {
                self.give(reply);
            }
            self.compact_if_due();
            if is_closing {
                return;
            }
        }
    }

    fn take(&mut self, command: Command, intents: &mut Vec<Arc<Notification>>) -> Reply {
        match command {
            Command::Handle { batches, now, reply } => {
                let mut report = HandleReport::default();
                let active = self.silences.active(now);
                for batch in batches {
                    let (batch, silenced) = self.split(batch, &active);
                    if !silenced.alerts.is_empty() {
                        let decision = decide::decide_silenced(&self.directory.routing, &self.state, &silenced);
                        self.record_all(decision.entries, intents);
                        report.acknowledged.extend(decision.acknowledged);
                    }
                    let decision = self.decide(&batch, now);
                    report.refused += decision.refused;
                    report.messages += self.record_all(decision.entries, intents);
                    report.acknowledged.extend(decision.acknowledged);
                }
                Reply::Handled(reply, report)
            }
            Command::Ended { entry, reply } => {
                self.record(&entry);
                Reply::Done(reply)
            }
            Command::Tick { now, reply } => {
                self.tick(now, intents);
                Reply::Done(reply)
            }
            Command::Redirect { directory, now, reply } => {
                self.directory = directory;
                self.drop_lost_targets(now);
                Reply::Done(reply)
            }
            Command::Close { reply } => Reply::Closed(reply),
        }
    }

    fn give(&self, reply: Reply) {
        // Who asked may have gone away; what was decided stands.
        match reply {
            Reply::Handled(reply, mut report) => {
                report.durable = self.broken.is_none();
                if !report.durable {
                    report.acknowledged.clear();
                }
                let _ = reply.send(report);
            }
            Reply::Done(reply) => {
                let _ = reply.send(());
            }
            Reply::Closed(reply) => {
                let _ = reply.send(self.state.open().len());
            }
        }
    }

    /// The alerts of a batch that somebody may be told of, and those that are silenced. What stays within this process
    /// (the canary's) is not silenced: it is no word to anybody.
    fn split(&self, batch: AlertBatch, active: &Active) -> (AlertBatch, AlertBatch) {
        let rest = AlertBatch { group: batch.group.clone(), rule: batch.rule.clone(), alerts: Vec::new() };
        if active.is_empty() {
            return (batch, rest);
        }
        let routing = &self.directory.routing;
        let is_inside = |alert: &Alert| {
            let places = routing.places_for(&alert.receivers);
            let mut targets = places.iter().filter_map(|place| routing.targets().get(*place));
            !places.is_empty() && targets.all(|route| route.target.kind == IntegrationKind::Inner)
        };
        let (silenced, told) =
            batch.alerts.into_iter().partition(|alert| active.silence(&alert.labels) && !is_inside(alert));
        (AlertBatch { alerts: told, group: batch.group, rule: batch.rule }, AlertBatch { alerts: silenced, ..rest })
    }

    fn decide(&mut self, batch: &AlertBatch, now: Timestamp) -> Decision {
        let Directory { routing, outboxes } = &self.directory;
        let mut has_room = |target: &Target, bytes| outboxes.get(target).is_some_and(|outbox| outbox.reserve(bytes));
        decide::decide(routing, &self.policy, &self.state, &mut self.ids, batch, now, &mut has_room)
    }

    fn tick(&mut self, now: Timestamp, intents: &mut Vec<Arc<Notification>>) {
        let outboxes = &self.directory.outboxes;
        let mut has_room = |target: &Target, bytes| outboxes.get(target).is_some_and(|outbox| outbox.reserve(bytes));
        let decision = decide::decide_by_time(&self.policy, &self.state, &mut self.ids, now, &mut has_room);
        self.record_all(decision.entries, intents);
        let up_ms = now.since(self.opened_at);
        let has_heard_of_all = up_ms > self.policy.repeat_interval_ms.saturating_mul(2);
        if has_heard_of_all && now.since(self.expired_at) >= EXPIRE_EVERY_MS {
            self.expired_at = now;
            let expired = decide::decide_expired(&self.policy, &self.state, RETENTION_MS, now);
            self.record_all(expired, intents);
        }
    }

    /// Records entries; returns how many of them are messages, and puts those aside for sending.
    fn record_all(&mut self, entries: Vec<Entry>, intents: &mut Vec<Arc<Notification>>) -> usize {
        let before = intents.len();
        for entry in entries {
            self.record(&entry);
            if let Entry::Intent(notification) = entry {
                intents.push(notification);
            }
        }
        intents.len() - before
    }

    fn record(&mut self, entry: &Entry) {
        self.state.apply(entry);
        if self.broken.is_none() {
            self.journal.append(&entry.encode());
        }
    }

    /// Ends what is for targets that are no more. Returns the number of messages.
    fn drop_lost_targets(&mut self, now: Timestamp) -> usize {
        let is_lost = |target: &Target| !self.directory.outboxes.contains_key(target);
        let open = self.state.open().filter(|open| is_lost(&open.flow.target));
        let ended: Vec<Entry> = open.map(|open| Entry::Failed { id: Arc::clone(&open.id), at: now }).collect();
        for entry in &ended {
            self.record(entry);
        }
        let is_lost = |target: &Target| !self.directory.outboxes.contains_key(target);
        let lost = self.state.flows().filter(|(key, _)| is_lost(&key.target));
        let forgotten: Vec<Entry> = lost
            .map(|(key, flow)| Entry::Forgotten {
                flow: key.clone(),
                fingerprints: flow.firing.keys().chain(flow.unsent.keys()).copied().collect(),
            })
            .collect();
        for entry in &forgotten {
            self.record(entry);
        }
        if !ended.is_empty() {
            tracing::warn!(
                messages = ended.len(),
                "undelivered notifications dropped: their receivers are no longer configured"
            );
        }
        ended.len()
    }

    fn commit(&mut self) {
        match self.broken {
            Some(tried) if tried.elapsed() < REPAIR_EVERY => {}
            Some(_) => self.rewrite(),
            None => {
                if let Err(error) = self.journal.commit() {
                    self.stats.lock().errors_total += 1;
                    self.broken = Some(Instant::now());
                    tracing::error!(%error, "the notification log cannot be written; notifications are sent all the same, a restart may repeat them");
                }
            }
        }
    }

    fn compact_if_due(&mut self) {
        if self.broken.is_none() && self.journal.file_bytes() > self.compact_at_bytes {
            self.rewrite();
        }
    }

    fn rewrite(&mut self) {
        match self.journal.rewrite(self.state.snapshot().map(|entry| entry.encode())) {
            Ok(()) => {
                self.stats.lock().compactions_total += 1;
                if self.broken.take().is_some() {
                    tracing::info!("the notification log can be written again");
                }
                self.compact_at_bytes = COMPACT_BYTES_MIN.max(self.journal.file_bytes().saturating_mul(COMPACT_FACTOR));
            }
            Err(error) => {
                self.stats.lock().errors_total += 1;
                tracing::error!(%error, "the notification log cannot be rewritten");
                let old_is_good = self.broken.is_none() && matches!(error, RewriteError::OldStays(_));
                if old_is_good {
                    self.compact_at_bytes = self.journal.file_bytes().saturating_mul(2);
                } else {
                    self.broken = Some(Instant::now());
                }
            }
        }
    }

    fn publish_stats(&self) {
        let mut stats = self.stats.lock();
        stats.bytes = self.journal.file_bytes();
        stats.open_messages = self.state.open().len() as u64;
        stats.flows = self.state.flow_count() as u64;
        stats.durable = self.broken.is_none();
        stats.dropped_total = self.state.dropped();
    }
}

enum Reply {
    Handled(oneshot::Sender<HandleReport>, HandleReport),
    Done(oneshot::Sender<()>),
    Closed(oneshot::Sender<usize>),
}

#[cfg(test)]
mod tests;
