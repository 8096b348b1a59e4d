//! The targets of a job: discovery finds them, each has a task.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use watchfire_model::LabelSet;

use crate::config::{Discovery, TargetGroup};
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
    active: BTreeMap<Identity, Active>,
    dropped: Vec<LabelSet>,
    dropped_count: u64,
    faulty: usize,
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
    pub(crate) fn start(job: Job, shared: Arc<Shared>, runtime: Handle) -> Pool {
        let state =
            State { job: Arc::new(job), active: BTreeMap::new(), dropped: Vec::new(), dropped_count: 0, faulty: 0 };
        let pool = Pool { shared, runtime, state: Mutex::new(state) };
        pool.sync(&mut pool.state.lock());
        pool
    }

    /// Puts another job of that name in force. Targets that are in both go on.
    pub(crate) fn replace(&self, job: Job) {
        let mut state = self.state.lock();
        if state.job.config != job.config {
            state.job = Arc::new(job);
        }
        self.sync(&mut state);
    }

    /// Brings the tasks in line with what is found.
    fn sync(&self, state: &mut State) {
        let job = state.job.clone();
        let sorted = sort_out(&job, groups(&job));
        for fault in &sorted.faults {
            tracing::warn!(job = job.config.job_name, "{fault}");
        }
        state.faulty = sorted.faults.len();
        state.dropped = sorted.dropped;
        state.dropped_count = sorted.dropped_count;
        let limit = job.config.limits.targets;
        let over_limit = (limit > 0 && sorted.targets.len() as u64 > limit).then_some(sorted.targets.len());
        let gone: Vec<Identity> =
            state.active.keys().filter(|identity| !sorted.targets.contains_key(identity)).cloned().collect();
        for active in gone.iter().filter_map(|identity| state.active.remove(identity)) {
            // It may have ended by itself.
            let _ = active.end.send(End::Gone);
        }
        for (identity, target) in sorted.targets {
            let plan = Arc::new(Plan { job: job.clone(), target, over_limit });
            match state.active.get(&identity) {
                Some(active) => {
                    active.plan.send_if_modified(|have| {
                        let is_other = !Arc::ptr_eq(&have.job, &plan.job)
                            || have.target != plan.target
                            || have.over_limit != plan.over_limit;
                        if is_other {
                            *have = plan;
                        }
                        is_other
                    });
                }
                None => {
                    let active = self.run(plan);
                    state.active.insert(identity, active);
                }
            }
        }
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
        let active = std::mem::take(&mut self.state.lock().active);
        let end = |active: Active| {
            // It may have ended by itself.
            let _ = active.end.send(how());
            active.task
        };
        active.into_values().map(end).collect()
    }

    /// How many targets are scraped, and how many cannot be.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.active.len(), state.faulty)
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
                url: plan.target.identity.url.to_string(),
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

/// What discovery has found so far.
fn groups(job: &Job) -> Vec<TargetGroup> {
    let found = job.config.discovery.iter().map(|Discovery::Static(groups)| groups.clone());
    found.flatten().collect()
}

fn sort_out(job: &Job, groups: Vec<TargetGroup>) -> Sorted {
    let mut sorted = Sorted::default();
    let keep = job.config.limits.kept_dropped_targets;
    for group in &groups {
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
