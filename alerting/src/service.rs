//! Alerting as one running part: opened, fed, reloaded, closed.

use crate::batch::{AlertBatch, HandleReport};
use crate::clerk::{Clerk, ClerkHandle, Closed, Directory};
use crate::config::{ConfigFault, Integration, ReceiverSettings, SendLimits, Settings};
use crate::email::EmailNotifier;
use crate::entry::Entry;
use crate::flow::SentState;
use crate::journal::{Journal, JournalOpenError, JournalRecovery};
use crate::notification::{Ids, Target};
use crate::notifier::Notifier;
use crate::outbox::{self, Outbox};
use crate::route::Routing;
use crate::silences::{self, Silences};
use crate::stats::{AlertingStats, LogStats};
use crate::webhook::WebhookNotifier;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use watchfire_model::Timestamp;

/// The file of the notification log in its folder.
pub const LOG_FILE: &str = "notifications.log";

/// Why alerting cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The receivers cannot be used.
    #[error("{}", faults_text(.0))]
    Receivers(Vec<ConfigFault>),
    /// The folder cannot be made.
    #[error("cannot make the folder {}: {source}", path.display())]
    Dir {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The notification log cannot be opened.
    #[error(transparent)]
    Log(#[from] JournalOpenError),
    /// No thread could be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// Why receivers cannot be changed; the old ones stay in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// They cannot be used.
    #[error("{}", faults_text(.0))]
    Receivers(Vec<ConfigFault>),
    /// Alerting is closed.
    #[error(transparent)]
    Closed(#[from] Closed),
}

fn faults_text(faults: &[ConfigFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What was found on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The notification log.
    pub log: JournalRecovery,
    /// The file of silences.
    pub silences: JournalRecovery,
    /// Messages of the time before that are sent now, with their old ids.
    pub undelivered: usize,
    /// Messages that are dropped, as their receivers are no longer configured.
    pub dropped: usize,
}

/// How closing went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Messages that did not arrive; they are sent after the next start.
    pub undelivered: usize,
    /// Whether messages under way had to be broken off at the deadline (they may arrive twice).
    pub broken_off: bool,
}

/// Who is told, when, how often.
///
/// Cheap calls from many threads are fine. [`Alerting::close`] is to be awaited before the runtime ends.
pub struct Alerting {
    clerk: ClerkHandle,
    silences: Arc<Silences>,
    limits: SendLimits,
    runtime: Handle,
    log_stats: Arc<Mutex<LogStats>>,
    senders: Mutex<Vec<Sender>>,
    /// As the clerk has it.
    routing: Mutex<Routing>,
    // One reload or close at a time.
    changing: tokio::sync::Mutex<()>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

struct Sender {
    outbox: Arc<Outbox>,
    task: JoinHandle<()>,
}

impl Alerting {
    /// Opens the notification log and starts a sender for each target on `runtime`. Blocks for reading the log.
    pub fn open(settings: Settings, runtime: &Handle, now: Timestamp) -> Result<(Alerting, RecoveryReport), OpenError> {
        let notifiers = build_notifiers(&settings.receivers).map_err(OpenError::Receivers)?;
        std::fs::create_dir_all(&settings.dir)
            .map_err(|source| OpenError::Dir { path: settings.dir.clone(), source })?;
        let mut state = SentState::default();
        let (journal, log) = Journal::open(&settings.dir.join(LOG_FILE), |payload| match Entry::decode(payload) {
            Ok(entry) => {
                state.apply(&entry);
                true
            }
            Err(_) => false,
        })?;
        if log.is_damaged() {
            let path = settings.dir.join(LOG_FILE);
            tracing::error!(path = %path.display(), bytes = log.damaged_bytes, copy = ?log.damaged_copy, "the notification log is damaged; the rest of it is used, and alerts it no longer knows of are told again");
        }
        let _entered = runtime.enter();
        let outboxes: HashMap<Target, Arc<Outbox>> = notifiers
            .into_iter()
            .map(|(target, notifier)| (target.clone(), Arc::new(Outbox::new(target, settings.limits, notifier))))
            .collect();
        let routing = Routing::flat(&settings.receivers);
        let directory = Directory { routing: routing.clone(), outboxes: outboxes.clone() };
        let (silences, of_silences) = Silences::open(&settings.dir)?;
        if of_silences.is_damaged() {
            let path = settings.dir.join(silences::FILE);
            tracing::error!(path = %path.display(), bytes = of_silences.damaged_bytes, copy = ?of_silences.damaged_copy, "the file of silences is damaged; the rest of it is in force");
        }
        let silences = Arc::new(silences);
        let ids = Ids::new(now, salt());
        let mut clerk = Clerk::new(state, journal, settings.policy, ids, directory, Arc::clone(&silences), now);
        let (undelivered, dropped) = clerk.recover(log.is_damaged(), now);
        let log_stats = clerk.stats();
        let (clerk, thread) = clerk.start().map_err(OpenError::Thread)?;
        let alerting = Alerting {
            clerk,
            silences,
            limits: settings.limits,
            runtime: runtime.clone(),
            log_stats,
            senders: Mutex::default(),
            routing: Mutex::new(routing),
            changing: tokio::sync::Mutex::default(),
            thread: Mutex::new(Some(thread)),
        };
        let senders = outboxes.into_values().map(|outbox| alerting.start(outbox)).collect();
        *alerting.senders.lock() = senders;
        Ok((alerting, RecoveryReport { log, silences: of_silences, undelivered, dropped }))
    }

    /// Takes over the alerts of any number of rules. Returns when what was decided is on disk; sending goes on by
    /// itself.
    pub async fn handle(&self, batches: Vec<AlertBatch>, now: Timestamp) -> Result<HandleReport, Closed> {
        self.clerk.handle(batches, now).await
    }

    /// What nobody is told of.
    pub fn silences(&self) -> &Arc<Silences> {
        &self.silences
    }

    /// The names of the receivers that hear of an alert that names these.
    pub fn receivers_for(&self, named: &[String]) -> Vec<String> {
        self.routing.lock().receivers_for(named)
    }

    /// As [`Alerting::handle`], for threads outside the async runtime.
    pub fn handle_blocking(&self, batches: Vec<AlertBatch>, now: Timestamp) -> Result<HandleReport, Closed> {
        self.clerk.handle_blocking(batches, now)
    }

    /// Does what is due by time alone. To be called about once a second.
    pub async fn tick(&self, now: Timestamp) -> Result<(), Closed> {
        self.clerk.tick(now).await
    }

    /// Replaces the receivers, as a whole or not at all. Messages that wait for a target that stays are sent by its
    /// new settings; those for one that is gone are dropped.
    pub async fn reload(&self, settings: &ReceiverSettings, now: Timestamp) -> Result<(), ReloadError> {
        let notifiers = build_notifiers(settings).map_err(ReloadError::Receivers)?;
        let _changing = self.changing.lock().await;
        let mut old: HashMap<Target, Sender> =
            self.senders.lock().drain(..).map(|sender| (sender.outbox.target.clone(), sender)).collect();
        let mut senders = Vec::new();
        for (target, notifier) in notifiers {
            senders.push(match old.remove(&target) {
                Some(sender) => {
                    sender.outbox.replace_notifier(notifier);
                    sender
                }
                None => self.start(Arc::new(Outbox::new(target, self.limits, notifier))),
            });
        }
        let outboxes =
            senders.iter().map(|sender| (sender.outbox.target.clone(), Arc::clone(&sender.outbox))).collect();
        *self.senders.lock() = senders;
        let routing = Routing::flat(settings);
        self.clerk.redirect(Directory { routing: routing.clone(), outboxes }, now).await?;
        *self.routing.lock() = routing;
        for sender in old.into_values() {
            sender.outbox.stop();
            // A sender does not fail; and if it did, it is gone as it should be.
            let _ = sender.task.await;
        }
        Ok(())
    }

    /// Tries what can be tried now, waits for what is under way until `deadline` has passed, writes the log and
    /// ends. What waits for a receiver that is away is not waited for: it is on disk. Nothing is taken afterwards.
    pub async fn close(&self, deadline: Duration) -> DrainReport {
        let _changing = self.changing.lock().await;
        let senders = std::mem::take(&mut *self.senders.lock());
        let until = tokio::time::Instant::now() + deadline;
        let mut report = DrainReport::default();
        senders.iter().for_each(|sender| sender.outbox.drain());
        for mut sender in senders {
            if tokio::time::timeout_at(until, &mut sender.task).await.is_err() {
                report.broken_off = true;
                sender.outbox.stop();
                let _ = sender.task.await;
            }
        }
        report.undelivered = self.clerk.close().await.unwrap_or(0);
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            // The thread has answered and is about to end.
            let _ = tokio::task::spawn_blocking(|| thread.join()).await;
        }
        report
    }

    /// The counters, by target in the order of names.
    pub fn stats(&self) -> AlertingStats {
        let mut targets: Vec<_> = self.senders.lock().iter().map(|sender| sender.outbox.stats()).collect();
        targets.sort_by(|a, b| a.target.cmp(&b.target));
        AlertingStats { targets, log: *self.log_stats.lock() }
    }

    fn start(&self, outbox: Arc<Outbox>) -> Sender {
        let task = self.runtime.spawn(outbox::run(Arc::clone(&outbox), self.clerk.clone()));
        Sender { outbox, task }
    }
}

/// Without [`Alerting::close`] senders end at once; what is under way is sent again after the next start.
impl Drop for Alerting {
    fn drop(&mut self) {
        self.senders.lock().iter().for_each(|sender| sender.outbox.stop());
    }
}

/// Makes `ring` the cryptography of this process, for webhooks and mails over TLS. To be called once by the binary,
/// before anything speaks TLS; further calls change nothing.
pub fn install_crypto() {
    // An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Tells starts of the process within one millisecond apart.
fn salt() -> u16 {
    let [first, second, ..] = RandomState::new().hash_one(std::process::id()).to_le_bytes();
    u16::from_le_bytes([first, second])
}

type Adapters = Vec<(Target, Arc<dyn Notifier>)>;

/// An adapter for each integration.
fn build_notifiers(settings: &ReceiverSettings) -> Result<Adapters, Vec<ConfigFault>> {
    let faults = settings.faults();
    if !faults.is_empty() {
        return Err(faults);
    }
    let targets = settings.targets().into_iter();
    targets.map(|(target, integration)| Ok((target, build_notifier(integration, &settings.external_url)?))).collect()
}

fn build_notifier(integration: &Integration, external_url: &str) -> Result<Arc<dyn Notifier>, Vec<ConfigFault>> {
    Ok(match integration {
        Integration::Webhook(config) => Arc::new(WebhookNotifier::new(config.clone(), external_url)),
        Integration::Email(config) => {
            Arc::new(EmailNotifier::new(config.clone(), external_url).map_err(|message| {
                // The check above names each fault and its place; this is for one that it does not know.
                vec![ConfigFault { path: "receivers".to_owned(), message }]
            })?)
        }
        Integration::Inner(receiver) => Arc::new(receiver.clone()),
    })
}
