//! What rules would have done: their evaluation and states over the past, in the order of time.
//!
//! The rules are asked at the times at which a server would have asked them, and step as they would have stepped there.
//! Nobody is told and nothing is written: what these rules record, and their `ALERTS`, is read as the server has it.

mod episodes;
mod past;

use watchfire_engine::TimeRange;
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{MatchOp, Matcher, Timestamp};
use watchfire_query_lang::{EvalError, Limits, MetricsRead, Query};
use watchfire_rules::{
    GroupDefaults, Health, Rule, RuleEngine, RuleGroup, RuleSet, SampleSink, SeriesSample, SinkError,
};

pub use episodes::Episode;
use episodes::Episodes;
use past::Past;

/// Most evaluations of single rules in one run.
pub const EVALUATIONS_MAX: u64 = 20_000_000;
/// Most episodes that are told.
pub const EPISODES_MAX: usize = 10_000;

/// Over which time, and how.
#[derive(Clone, Debug)]
pub struct Span {
    /// The first time that counts.
    pub start: Timestamp,
    /// The last one.
    pub end: Timestamp,
    /// What holds of groups that say nothing themselves.
    pub defaults: GroupDefaults,
    /// Bounds of each query; its switch ends the run too.
    pub limits: Limits,
}

/// What would have happened.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Alerts from when they were pending or firing to their end, by when they began.
    pub episodes: Vec<Episode>,
    /// There were more episodes than are told.
    pub is_cut: bool,
    /// Evaluations of single rules.
    pub evaluations: u64,
    /// Rules that could not be evaluated: name, how often, and why the last time.
    pub failures: Vec<(String, u64, String)>,
    /// What rules read that these rules record, and the server has no series of: their alerts may be missing.
    pub missing: Vec<String>,
}

/// Why a run is not begun, or not finished.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BacktestError {
    /// More evaluations than one run may have.
    #[error(
        "{evaluations} evaluations, at most {EVALUATIONS_MAX} are done at once; take a shorter time or a longer interval"
    )]
    TooMany {
        /// How many there would be.
        evaluations: u64,
    },
    /// Whoever asked has left.
    #[error("stopped")]
    Stopped,
    /// The series cannot be listed.
    #[error(transparent)]
    Series(#[from] EvalError),
}

/// Runs these rules over the past.
///
/// Errors: too much work, or stopped by the switch of the limits. A rule that cannot be evaluated is no error but told.
pub fn run(rules: &RuleSet, span: &Span, metrics: &dyn MetricsRead) -> Result<Outcome, BacktestError> {
    let length_ms = span.end.since(span.start).max(0).unsigned_abs();
    let evaluations = intervals(rules, span.defaults).map(|interval| length_ms / interval.max(1).unsigned_abs()).sum();
    if evaluations > EVALUATIONS_MAX {
        return Err(BacktestError::TooMany { evaluations });
    }
    let missing = missing(rules, span, metrics)?;
    let engine = RuleEngine::rehearse(rules, span.defaults, span.limits.clone(), span.start);
    let past = Past::new(metrics, span.end, rules, span.defaults);
    let mut episodes = Episodes::default();
    let mut outcome = Outcome { missing, ..Outcome::default() };
    let mut now = span.start;
    while let Some(due) = engine.next_due(now.plus_millis(1)).filter(|due| *due <= span.end) {
        if span.limits.cancel.is_cancelled() {
            return Err(BacktestError::Stopped);
        }
        now = due;
        let round = engine.evaluate_due(now, &past, &Nowhere);
        outcome.evaluations += round.evaluated as u64;
        if round.failed > 0 {
            note_failures(&engine, now, &mut outcome.failures);
        }
        if round.evaluated > 0 {
            engine.acknowledge(&round.alerts);
            episodes.see(engine.alerts_snapshot(), now);
        }
    }
    outcome.episodes = episodes.finish();
    outcome.is_cut = outcome.episodes.len() > EPISODES_MAX;
    outcome.episodes.truncate(EPISODES_MAX);
    Ok(outcome)
}

/// The interval of each rule, milliseconds.
fn intervals(rules: &RuleSet, defaults: GroupDefaults) -> impl Iterator<Item = i64> {
    let of_group = move |group| move |rule| interval_ms(group, rule, defaults);
    rules.groups().iter().flat_map(move |group| group.rules.iter().map(of_group(group)))
}

fn interval_ms(group: &RuleGroup, rule: &Rule, defaults: GroupDefaults) -> i64 {
    rule.interval_ms().or(group.interval_ms).unwrap_or(defaults.check_interval_ms)
}

/// Metrics that a rule reads and another one records, and that the server has nothing of in that time.
fn missing(rules: &RuleSet, span: &Span, metrics: &dyn MetricsRead) -> Result<Vec<String>, EvalError> {
    let all = || rules.groups().iter().flat_map(|group| &group.rules);
    let recorded: Vec<&str> = all()
        .filter_map(|rule| match rule {
            Rule::Record(rule) => Some(rule.name.as_str()),
            Rule::Alert(_) => None,
        })
        .chain(["ALERTS", "ALERTS_FOR_STATE"])
        .collect();
    let mut read: Vec<String> = all().flat_map(|rule| names_of(rule.query())).collect();
    read.retain(|name| recorded.contains(&name.as_str()));
    read.sort_unstable();
    read.dedup();
    let mut missing = Vec::new();
    for name in read {
        let selector = Matcher::equal(METRIC_NAME, &name);
        let range = TimeRange { start: span.start, end: span.end };
        if metrics.series(&[vec![selector]], Some(range))?.is_empty() {
            missing.push(name);
        }
    }
    Ok(missing)
}

/// The metrics that a query names.
fn names_of(query: &Query) -> Vec<String> {
    let mut names = Vec::new();
    query.root().for_each_selector(&mut |matchers| {
        let named = matchers.iter().find(|matcher| matcher.name() == METRIC_NAME && matcher.op() == MatchOp::Equal);
        names.extend(named.map(|matcher| matcher.value().to_owned()));
    });
    names
}

fn note_failures(engine: &RuleEngine, now: Timestamp, failures: &mut Vec<(String, u64, String)>) {
    for rule in engine.rules_snapshot().into_iter().flat_map(|group| group.rules) {
        let (Health::Err, Some(why)) = (rule.health, rule.last_error) else { continue };
        if rule.last_evaluation != Some(now) {
            continue;
        }
        match failures.iter_mut().find(|(name, ..)| name == rule.rule.name()) {
            Some((_, count, last)) => {
                *count += 1;
                *last = why;
            }
            None => failures.push((rule.rule.name().to_owned(), 1, why)),
        }
    }
}

/// Nothing is written.
struct Nowhere;

impl SampleSink for Nowhere {
    fn write(&self, _: &[SeriesSample]) -> Result<(), SinkError> {
        Ok(())
    }
}
