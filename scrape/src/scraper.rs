//! All jobs: put in force, replaced, stopped, shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use watchfire_engine::Engine;
use watchfire_exposition::labels::Labels;
use watchfire_json_log::JsonLogs;
use watchfire_model::LabelSet;

use crate::config::ScrapeConfig;
use crate::fetch::BodyMemory;
use crate::own_metrics::ScrapeMetrics;
use crate::pool::Pool;
use crate::run::{End, Job, Shared, seed_of};
use crate::snapshot::Targets;
use crate::steps::{Step, steps};

/// Scrapes all targets of all jobs.
pub struct Scraper {
    shared: Arc<Shared>,
    runtime: Handle,
    /// Jobs by name.
    pools: Mutex<BTreeMap<String, Arc<Pool>>>,
}

/// What bounds all jobs together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScraperLimits {
    /// Largest body of jobs without a limit of their own, bytes.
    pub body_bytes: usize,
    /// Memory for all bodies at a time, bytes.
    pub bodies_bytes: usize,
    /// How many bodies are read at a time.
    pub readers: usize,
}

impl Scraper {
    /// Without jobs. Tasks run on `runtime`; the files that jobs name for failures are among `logs`.
    ///
    /// Errors: a name of our metrics is taken.
    pub fn new(
        engine: Arc<Engine>,
        limits: ScraperLimits,
        registry: &Registry,
        logs: Arc<JsonLogs>,
        runtime: Handle,
    ) -> Result<Scraper, prometheus::Error> {
        let shared = Shared {
            engine,
            cpu: Arc::new(Semaphore::new(limits.readers.max(1))),
            memory: BodyMemory::new(limits.bodies_bytes),
            body_bytes_max: limits.body_bytes,
            metrics: ScrapeMetrics::new(registry)?,
            logs,
        };
        Ok(Scraper { shared: Arc::new(shared), runtime, pools: Mutex::default() })
    }

    /// Puts these jobs in force. Targets that were there before go on without a gap; the series of those that are
    /// there no more end.
    pub fn apply(&self, jobs: &[ScrapeConfig], external_labels: &LabelSet) {
        let seed = seed_of(external_labels);
        let mut pools = self.pools.lock();
        pools.retain(|name, pool| {
            let stays = jobs.iter().any(|job| job.job_name == *name);
            if !stays {
                // They end their series and then themselves.
                pool.stop(|| End::Gone);
            }
            stays
        });
        for config in jobs {
            let job = Job::new(config.clone(), seed);
            match pools.get(&config.job_name) {
                Some(pool) => pool.replace(job),
                None => {
                    let pool = Pool::start(job, self.shared.clone(), self.runtime.clone());
                    pools.insert(config.job_name.clone(), pool);
                }
            }
        }
    }

    /// All targets as they are now.
    pub fn targets(&self) -> Targets {
        let mut targets = Targets::default();
        for pool in self.pools.lock().values() {
            pool.show(&mut targets);
        }
        targets
    }

    /// How a job is scraped; `None`: there is no such job.
    pub fn config(&self, job: &str) -> Option<ScrapeConfig> {
        Some(self.pools.lock().get(job)?.config())
    }

    /// What the `relabel_configs` of a job make of these labels, rule by rule; `None`: there is no such job.
    pub fn relabel_steps(&self, job: &str, labels: impl IntoIterator<Item = (String, String)>) -> Option<Vec<Step>> {
        let rules = self.config(job)?.relabel;
        Some(steps(&rules, Labels::from_pairs(labels)))
    }

    /// Ends all tasks, after what they are storing is stored. Series do not end: they go on after the next start.
    pub async fn stop(&self) {
        let tasks: Vec<_> = {
            let pools = std::mem::take(&mut *self.pools.lock());
            pools.values().flat_map(|pool| pool.stop(|| End::Stopped)).collect()
        };
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "the task of a target panicked");
            }
        }
    }
}
