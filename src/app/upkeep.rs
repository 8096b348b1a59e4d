//! What is due by time alone: pruning, sealing, retention, repeats of alerts, the look at ourselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use watchfire_dashboard_api::self_scrape::SelfScrape;
use watchfire_model::Timestamp;

use super::parts::Parts;
use crate::allocator;

/// Between two rounds: as often as the engine wants to sync what was derived from logs.
const EVERY: Duration = Duration::from_millis(100);
/// Rounds between two looks at what is due each second.
const SECOND_ROUNDS: u64 = 10;
/// Rounds between two looks at our own metrics.
const SCRAPE_ROUNDS: u64 = 50;

/// How often the thread that takes over looks whether we are ready.
const TAKE_OVER_AFTER: Duration = Duration::from_millis(10);
/// The allocator gives memory back when the engine has let go of so much, bytes.
const GIVE_BACK_AT: u64 = 8 << 20;
/// Rounds after which it gives back what less there is.
const REST_ROUNDS: u64 = 300;

/// The running threads.
pub struct Upkeep {
    stop: Sender<()>,
    thread: JoinHandle<()>,
    /// Finishes what the engine's opening has left for later, and ends.
    taking_over: JoinHandle<()>,
    stop_taking_over: Arc<AtomicBool>,
}

impl Upkeep {
    /// Starts it; the first look at ourselves is taken at once.
    pub fn start(parts: &Arc<Parts>) -> std::io::Result<Upkeep> {
        let (stop, stopped) = bounded::<()>(0);
        let stop_taking_over = Arc::new(AtomicBool::new(false));
        let (started, is_stopped) = (parts.clone(), stop_taking_over.clone());
        let taking_over = std::thread::Builder::new().name("take-over".into()).spawn(move || {
            // What was accepted before the start comes first: we are not ready without it.
            while started.taken_in() < started.replay_until && !is_stopped.load(Ordering::Relaxed) {
                std::thread::sleep(TAKE_OVER_AFTER);
            }
            started.engine.take_over(|| !is_stopped.load(Ordering::Relaxed));
        })?;
        let parts = parts.clone();
        let runtime = tokio::runtime::Handle::current();
        let thread = std::thread::Builder::new().name("upkeep".into()).spawn(move || {
            let mut freed = 0;
            for round in 0.. {
                let now = Timestamp::now();
                if round % SCRAPE_ROUNDS == 0 {
                    scrape_ourselves(&parts, now);
                }
                parts.engine.tick(now);
                parts.engine_upkeep_ms.store(now.millis(), Ordering::Relaxed);
                freed += parts.engine.take_freed_bytes();
                if freed >= GIVE_BACK_AT || (freed > 0 && round % REST_ROUNDS == 0) {
                    allocator::give_back();
                    freed = 0;
                }
                if round % SECOND_ROUNDS == 0 {
                    parts.store.tick(now);
                    parts.intake.rest();
                    if let Some(alerting) = &parts.alerting {
                        // `Closed` means that we are stopping.
                        let _ = runtime.block_on(alerting.tick(now));
                    }
                }
                if stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })?;
        Ok(Upkeep { stop, thread, taking_over, stop_taking_over })
    }

    /// Ends it after the round at hand. Blocks.
    pub fn stop(self) {
        drop(self.stop);
        self.stop_taking_over.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() || self.taking_over.join().is_err() {
            tracing::error!("the upkeep panicked");
        }
    }
}

fn scrape_ourselves(parts: &Parts, now: Timestamp) {
    // Reading how far the consumers are behind sets their gauges.
    parts.lags();
    let scraped = SelfScrape::of(&parts.registry);
    let rejected = parts.engine.append_own_samples(&scraped.samples(&parts.instance, now)).rejected.len();
    if rejected > 0 {
        tracing::debug!(rejected, "own samples were rejected");
    }
    if let Err(error) = parts.engine.describe(scraped.said()) {
        // Memory has it; who watches the disk hears of the log from others.
        tracing::debug!(%error, "what is said about own metrics could not be written");
    }
}
