//! The targets of a job: discovery finds them, each has a task.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use watchfire_model::LabelSet;

use crate::config::{Discovery, ScrapeConfig, TargetGroup};
use crate::discovery::{self, Look};
use crate::run::{End, Job, Plan, Runner, Shared};
use crate::snapshot::{ActiveTarget, DroppedTarget, LastScrape};
use crate::target::{Found, Identity, Target, populate};

/// A job and its targets.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    runtime: Handle,
    state: Mutex<State>,
}

struct State {
    job: Arc<Job>,
    sources: Vec<Source>,
    next_source: u64,
    active: BTreeMap<Identity, Active>,
    dropped: Vec<LabelSet>,
    dropped_count: u64,
    faults: Vec<String>,
}

/// A way to find targets, and what it has found.
struct Source {
    id: u64,
    discovery: Discovery,
    /// `None`: it has not said anything yet.
    found: Option<Vec<TargetGroup>>,
    /// It has failed, and so has answered.
    failed: bool,
    watching: Option<AbortHandle>,
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Some(watching) = &self.watching {
            watching.abort();
        }
    }
}

struct Active {
    plan: watch::Sender<Arc<Plan>>,
    end: oneshot::Sender<End>,
    last: Arc<Mutex<LastScrape>>,
    task: JoinHandle<()>,
}

/// What discovery has found, sorted out.
#[derive(Default)]
struct Sorted {
    targets: BTreeMap<Identity, Target>,
    dropped: Vec<LabelSet>,
    dropped_count: u64,
    faults: Vec<String>,
}

impl Pool {
    /// Starts a job.
    pub(crate) fn start(job: Job, shared: Arc<Shared>, runtime: Handle) -> Arc<Pool> {
        let state = State {
            job: Arc::new(job),
            sources: Vec::new(),
            next_source: 0,
            active: BTreeMap::new(),
            dropped: Vec::new(),
            dropped_count: 0,
            faults: Vec::new(),
        };
        let pool = Arc::new(Pool { shared, runtime, state: Mutex::new(state) });
        let mut state = pool.state.lock();
        pool.look_around(&mut state);
        pool.sync(&mut state);
        drop(state);
        pool
    }

    /// The rules for the labels of its targets.
    pub(crate) fn config(&self) -> ScrapeConfig {
        self.state.lock().job.config.clone()
    }

    /// Puts another job of that name in force. Targets that are in both go on.
    pub(crate) fn replace(self: &Arc<Pool>, job: Job) {
        let mut state = self.state.lock();
        if *state.job == job {
            return;
        }
        state.job = Arc::new(job);
        self.look_around(&mut state);
        self.sync(&mut state);
    }

    /// Brings the sources in line with the job. Those that are in both keep what they have found.
    fn look_around(self: &Arc<Pool>, state: &mut State) {
        let mut before = std::mem::take(&mut state.sources);
        let job = state.job.clone();
        for discovery in &job.config.discovery {
            if let Some(at) = before.iter().position(|source| source.discovery == *discovery) {
                state.sources.push(before.swap_remove(at));
                continue;
            }
            let id = state.next_source;
            state.next_source += 1;
            let (found, watching) = match discovery {
                // What stands in the configuration is known at once.
                Discovery::Static(groups) => (Some(groups.clone()), None),
                Discovery::Files(_) | Discovery::Dns(_) | Discovery::Http(_) => {
                    (None, Some(self.runtime.spawn(self.watch(id, discovery.clone())).abort_handle()))
                }
            };
            state.sources.push(Source { id, discovery: discovery.clone(), found, failed: false, watching });
        }
    }

    /// Watches a source, as long as the job is there.
    fn watch(self: &Arc<Pool>, id: u64, discovery: Discovery) -> impl Future<Output = ()> + Send + use<> {
        let pool = Arc::downgrade(self);
        discovery::watch(discovery, self.shared.clone(), move |look| {
            let pool = pool.clone();
            async move {
                // Many targets may have to be sorted out.
                let told = move || pool.upgrade().map(|pool| pool.found(id, look));
                if let Err(error) = tokio::task::spawn_blocking(told).await {
                    tracing::error!(%error, "sorting out targets panicked");
                }
            }
        })
    }

    /// A source has spoken.
    fn found(&self, id: u64, look: Look) {
        let mut state = self.state.lock();
        let job = state.job.clone();
        // It may have been replaced meanwhile.
        let Some(source) = state.sources.iter_mut().find(|source| source.id == id) else { return };
        match look {
            Ok(groups) => source.found = Some(groups),
            Err(reason) => {
                source.failed = true;
                self.shared.metrics.discovery_failures.inc();
                tracing::warn!(job = job.config.job_name, "targets cannot be found: {reason}");
            }
        }
        self.sync(&mut state);
    }

    /// Brings the tasks in line with what is found.
    fn sync(&self, state: &mut State) {
        let job = state.job.clone();
        let groups = state.sources.iter().filter_map(|source| source.found.as_ref()).flatten();
        let sorted = sort_out(&job, groups);
        for fault in sorted.faults.iter().filter(|fault| !state.faults.contains(fault)) {
            tracing::warn!(job = job.config.job_name, "{fault}");
        }
        let before = state.active.len() as i64;
        self.shared.metrics.faulty_targets.add(sorted.faults.len() as i64 - state.faults.len() as i64);
        state.faults = sorted.faults;
        state.dropped = sorted.dropped;
        state.dropped_count = sorted.dropped_count;
        let limit = job.config.limits.targets;
        let over_limit = (limit > 0 && sorted.targets.len() as u64 > limit).then_some(sorted.targets.len());
        // A source that a reload has brought may know the targets that seem to have gone.
        if state.sources.iter().all(|source| source.found.is_some() || source.failed) {
            let gone: Vec<Identity> =
                state.active.keys().filter(|identity| !sorted.targets.contains_key(identity)).cloned().collect();
            for active in gone.iter().filter_map(|identity| state.active.remove(identity)) {
                // It may have ended by itself.
                let _ = active.end.send(End::Gone);
            }
        }
        for (identity, target) in sorted.targets {
            let plan = Arc::new(Plan { job: job.clone(), target, over_limit });
            match state.active.get(&identity) {
                Some(active) => active.change(plan),
                None => {
                    let active = self.run(plan);
                    state.active.insert(identity, active);
                }
            }
        }
        self.shared.metrics.targets.add(state.active.len() as i64 - before);
    }

    fn run(&self, plan: Arc<Plan>) -> Active {
        let (plan, planned) = watch::channel(plan);
        let (end, ended) = oneshot::channel();
        let last = Arc::new(Mutex::new(LastScrape::default()));
        let runner = Runner { shared: self.shared.clone(), plan: planned, end: ended, last: last.clone() };
        let task = self.runtime.spawn(runner.run());
        Active { plan, end, last, task }
    }

    /// Ends all tasks; whoever wants to wait for them gets them.
    pub(crate) fn stop(&self, how: fn() -> End) -> Vec<JoinHandle<()>> {
        let mut state = self.state.lock();
        state.sources.clear();
        let active = std::mem::take(&mut state.active);
        self.shared.metrics.targets.sub(active.len() as i64);
        self.shared.metrics.faulty_targets.sub(std::mem::take(&mut state.faults).len() as i64);
        let end = |active: Active| {
            // It may have ended by itself.
            let _ = active.end.send(how());
            active.task
        };
        active.into_values().map(end).collect()
    }

    /// Adds the targets to a list.
    pub(crate) fn show(&self, targets: &mut crate::snapshot::Targets) {
        let state = self.state.lock();
        let pool = &state.job.config.job_name;
        for active in state.active.values() {
            let plan = active.plan.borrow();
            targets.active.push(ActiveTarget {
                pool: pool.clone(),
                discovered: plan.target.discovered.clone(),
                labels: plan.target.identity.labels.clone(),
                url: plan.target.shown_url.clone(),
                interval_ms: plan.target.interval_ms,
                timeout_ms: plan.target.timeout_ms,
                last: active.last.lock().clone(),
            });
        }
        let dropped = |discovered: &LabelSet| DroppedTarget { pool: pool.clone(), discovered: discovered.clone() };
        targets.dropped.extend(state.dropped.iter().map(dropped));
        targets.dropped_counts.push((pool.clone(), state.dropped_count));
    }
}

impl Active {
    /// Scrapes by another plan, if it is another one.
    fn change(&self, plan: Arc<Plan>) {
        self.plan.send_if_modified(|have| {
            let is_other =
                !Arc::ptr_eq(&have.job, &plan.job) || have.target != plan.target || have.over_limit != plan.over_limit;
            if is_other {
                *have = plan;
            }
            is_other
        });
    }
}

fn sort_out<'g>(job: &Job, groups: impl Iterator<Item = &'g TargetGroup>) -> Sorted {
    let mut sorted = Sorted::default();
    let keep = job.config.limits.kept_dropped_targets;
    for group in groups {
        for address in &group.targets {
            let shared = group.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let found: Vec<(&str, &str)> = shared.chain([("__address__", address.as_str())]).collect();
            match populate(&job.config, &found) {
                Ok(Found::Target(target)) => {
                    sorted.targets.entry(target.identity.clone()).or_insert(target);
                }
                Ok(Found::Dropped(discovered)) => {
                    sorted.dropped_count += 1;
                    if keep == 0 || (sorted.dropped.len() as u64) < keep {
                        sorted.dropped.push(discovered);
                    }
                }
                Err(error) => sorted.faults.push(format!("the target `{address}` cannot be scraped: {error}")),
            }
        }
    }
    sorted
}
