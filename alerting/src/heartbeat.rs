//! A dead man's switch outward: a URL is asked for again and again while all is well, so that somebody outside
//! notices when it stops: because the server is gone, or because it says of itself that something is wrong.

use crate::notifier::SendError;
use crate::secret::Secret;
use crate::webhook::{Clients, describe, parse_url, read, read_some};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A ping that failed is tried again after this time at the latest.
const RETRY_MAX: Duration = Duration::from_secs(10);
/// Longest wait for the answer to a ping.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is asked for, how often, and what came of it.
pub struct Heartbeat {
    url: Secret,
    every: Duration,
    clients: Clients,
    sent: AtomicU64,
    failed: AtomicU64,
    withheld: AtomicU64,
}

/// Counters since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeartbeatStats {
    /// Pings that were answered with success.
    pub sent_total: u64,
    /// Pings that were not.
    pub failed_total: u64,
    /// Pings left out because something was wrong.
    pub withheld_total: u64,
}

impl Heartbeat {
    /// Asks for `url` (GET) this often.
    pub fn new(url: Secret, every: Duration) -> Heartbeat {
        let (sent, failed, withheld) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Heartbeat { url, every, clients: Clients::new(None), sent, failed, withheld }
    }

    /// Pings until it is dropped; `check` says what is wrong, if anything is.
    pub async fn run<C: Future<Output = Result<(), String>>>(&self, check: impl Fn() -> C) {
        // What the log has been told of, so that it is told of changes only.
        let mut told = None;
        loop {
            let (pause, trouble) = match check().await {
                Ok(()) => match self.ping().await {
                    Ok(()) => {
                        self.sent.fetch_add(1, Ordering::Relaxed);
                        (self.every, None)
                    }
                    Err(error) => {
                        self.failed.fetch_add(1, Ordering::Relaxed);
                        (self.every.min(RETRY_MAX), Some(format!("the ping failed: {error}")))
                    }
                },
                Err(reason) => {
                    self.withheld.fetch_add(1, Ordering::Relaxed);
                    (self.every, Some(format!("no ping is sent: {reason}")))
                }
            };
            if told != trouble {
                match &trouble {
                    Some(trouble) => tracing::warn!("dead man's switch: {trouble}"),
                    None => tracing::info!("dead man's switch: pings arrive"),
                }
                told = trouble;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// One ping, within [`TIMEOUT`].
    async fn ping(&self) -> Result<(), SendError> {
        let attempt = async {
            let url = parse_url(&read(&self.url).await?).map_err(SendError::lasting)?;
            let answer = self.clients.of(&url).await?.get(url).send().await.map_err(describe)?;
            let status = answer.status();
            read_some(answer).await;
            if status.is_redirection() {
                return Err(SendError::lasting(format!(
                    "the answer {status} redirects; give the URL at which it ends"
                )));
            }
            if status.is_success() { Ok(()) } else { Err(SendError::passing(format!("the answer is {status}"))) }
        };
        let late = || SendError::passing(format!("no answer within {TIMEOUT:?}"));
        tokio::time::timeout(TIMEOUT, attempt).await.unwrap_or_else(|_| Err(late()))
    }

    /// The counters.
    pub fn stats(&self) -> HeartbeatStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HeartbeatStats {
            sent_total: read(&self.sent),
            failed_total: read(&self.failed),
            withheld_total: read(&self.withheld),
        }
    }
}
