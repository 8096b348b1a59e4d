//! `query`, `query_range`, `format_query`, `parse_query`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use axum::{Router, routing};
use serde_json::{Value, json};
use watchfire_json_log::query::{QueryStats, SamplesCounted};
use watchfire_model::Timestamp;
use watchfire_query_lang::ast::ValueType;
use watchfire_query_lang::{
    Answer, Asked as When, EvalError, Language, Limits, Notes, Outcome, Query, RangeSteps, SamplesByStep,
};

use super::answer::Written;
use super::known::Known;
use super::moment::{Moment, NANOS_OF_MILLI};
use super::params::Asked;
use super::reply::{JSON, Refused, Reply, in_background, success_bytes};
use super::tree;
use crate::asked_by::AskedBy;
use crate::error::ApiError;
use crate::metrics::CancelOnDrop;
use crate::params::shown;
use crate::pieces::{Pieces, goes_on};
use crate::state::Api;

/// Most steps of a range beyond its first.
const STEPS_MAX: u32 = 11_000;

/// Routes of this file.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/query", routing::get(instant).post(instant))
        .route("/api/v1/query_range", routing::get(range).post(range))
        .route("/api/v1/format_query", routing::get(format).post(format))
        .route("/api/v1/parse_query", routing::get(parse).post(parse))
}

async fn instant(State(api): State<Arc<Api>>, by: AskedBy, asked: Asked) -> Result<Response, Refused> {
    let most = asked.limit()?;
    let at = asked.time("time")?.map_or_else(Timestamp::now, Moment::evaluated);
    evaluate(&api, by, &asked, When::Instant(at), most).await
}

async fn range(State(api): State<Arc<Api>>, by: AskedBy, asked: Asked) -> Result<Response, Refused> {
    let most = asked.limit()?;
    let (start, end) = (asked.needed_time("start")?, asked.needed_time("end")?);
    if end.is_before(start) {
        return Err(Refused::parameter("end", "end timestamp must not be before start time"));
    }
    let step_ns = asked.duration_ns("step").map_err(|problem| Refused::parameter("step", problem))?;
    let step_ns = match step_ns {
        None => return Err(Refused::parameter("step", "cannot parse \"\" to a valid duration")),
        Some(..=0) => {
            let problem = "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(Refused::parameter("step", problem));
        }
        Some(step_ns) => step_ns,
    };
    if end.since_ns(start) / step_ns > i64::from(STEPS_MAX) {
        return Err(Refused::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution \
             (?step=XX)",
        ));
    }
    let step_ms = step_ns / NANOS_OF_MILLI;
    if step_ms == 0 {
        return Err(Refused::execution("the step is shorter than a millisecond, which no time is told apart by"));
    }
    let (start, end) = (start.evaluated(), end.evaluated());
    evaluate(&api, by, &asked, When::Range(RangeSteps { start, end, step_ms }), most).await
}

/// What the call says of limits, within those of the server.
fn limits(api: &Api, asked: &Asked) -> Result<Limits, Refused> {
    let mut limits = api.limits.of_query();
    let timeout_ns = asked.duration_ns("timeout").map_err(|problem| Refused::parameter("timeout", problem))?;
    let lookback_ns = asked.duration_ns("lookback_delta");
    let lookback_ns = lookback_ns
        .map_err(|problem| Refused::bad_data(format!("error parsing lookback delta duration: {problem}")))?;
    if let Some(timeout_ns) = timeout_ns {
        // No query is done by then. Prometheus notices it at one of three places, by chance: most often here.
        let timeout_ns = u64::try_from(timeout_ns).ok().filter(|timeout_ns| *timeout_ns > 0);
        let timeout_ns = timeout_ns.ok_or_else(|| Refused::parameter("query", "context deadline exceeded"))?;
        limits.timeout = limits.timeout.min(Duration::from_nanos(timeout_ns));
    }
    if let Some(lookback_ns) = lookback_ns.filter(|lookback_ns| *lookback_ns > 0) {
        limits.lookback_ms = lookback_ns / NANOS_OF_MILLI;
    }
    // What is longer than nanoseconds hold is taken for half of what it may be at most.
    limits.steps_max = usize::try_from(2 * STEPS_MAX + 2).unwrap_or(usize::MAX);
    Ok(limits)
}

/// Evaluates, cuts and writes the answer; ends early when the client leaves.
async fn evaluate(api: &Arc<Api>, by: AskedBy, asked: &Asked, when: When, most: usize) -> Result<Response, Refused> {
    let stats = asked.get("stats").map(str::to_owned);
    let limits = Limits { by_step: stats.is_some(), ..limits(api, asked)? };
    let begun = Instant::now();
    let known = asked.known_query(api).await?;
    if let (When::Range(_), value @ (ValueType::Matrix | ValueType::String)) = (when, known.query.value_type()) {
        let problem =
            format!("invalid expression type {:?} for range query, must be Scalar or instant Vector", value.name());
        return Err(Refused::parameter("query", problem));
    }
    let prepared = begun.elapsed();
    let _cancel_on_drop = CancelOnDrop(limits.cancel.clone());
    let at = match when {
        When::Instant(at) => at,
        When::Range(steps) => steps.end,
    };
    let mut work = Work { api: api.clone(), by, known, when, at, limits, most, stats, begun, prepared };
    if let Some((first, written)) = work.at_once()? {
        return Ok(goes_on(first, written, JSON));
    }
    let (first, written) = tokio::task::spawn_blocking(move || work.run()).await.map_err(ApiError::internal)??;
    Ok(goes_on(first, written, JSON))
}

/// A query to be answered.
struct Work {
    api: Arc<Api>,
    by: AskedBy,
    known: Arc<Known>,
    when: When,
    at: Timestamp,
    limits: Limits,
    /// Most series of the answer.
    most: usize,
    stats: Option<String>,
    begun: Instant,
    prepared: Duration,
}

/// What an answer begins with, and the rest of it.
type Begun = (Option<Bytes>, Written);

/// What came of an evaluation, and what it took.
type Evaluated = (Result<Answer, EvalError>, QueryStats);

/// Longest time that an async thread may be kept, should an answer take longer than the one before.
const AT_ONCE_MAX: Duration = Duration::from_millis(2);
/// Most samples that are read for an answer on an async thread.
const AT_ONCE_SAMPLES_MAX: u64 = 200_000;

impl Work {
    /// Answers where it is called, if that is a matter of less than handing it to another thread: the last answer was.
    /// `None` if not, or if it turned out to take longer.
    fn at_once(&mut self) -> Result<Option<Begun>, Refused> {
        if !self.api.metrics.computes_here() || !self.known.is_brief(self.when) {
            return Ok(None);
        }
        let limits = Limits {
            timeout: self.limits.timeout.min(AT_ONCE_MAX),
            samples_max: self.limits.samples_max.min(AT_ONCE_SAMPLES_MAX),
            at_once: true,
            ..self.limits.clone()
        };
        match self.evaluate(&limits) {
            (Err(EvalError::Timeout { .. } | EvalError::Samples { .. }), _) => Ok(None),
            evaluated => self.finish(evaluated).map(Some),
        }
    }

    fn run(mut self) -> Result<Begun, Refused> {
        let limits = self.limits.clone();
        let evaluated = self.evaluate(&limits);
        self.finish(evaluated)
    }

    fn evaluate(&self, limits: &Limits) -> Evaluated {
        let started = Instant::now();
        let answer = match self.when {
            // Times that began anew.
            When::Range(steps) if steps.end < steps.start => {
                Ok(Answer::new(Outcome::Matrix(Vec::new()), Notes::default(), 0))
            }
            when => self.api.metrics.answer(&self.known.query, when, limits),
        };
        let evaluated = started.elapsed();
        self.known.note(self.when, evaluated);
        let queued = started - self.begun - self.prepared;
        let samples_read = match &answer {
            Ok(answer) => Some(answer.samples_read),
            Err(_) => self.api.metrics.computes_here().then(|| limits.read.get()),
        };
        let by_step = answer.as_ref().ok().and_then(|answer| answer.by_step.as_ref());
        let counted = by_step.map(|by_step| SamplesCounted {
            queryable: by_step.queryable.iter().sum(),
            read: by_step.read.iter().sum(),
        });
        (answer, QueryStats { prepared: self.prepared, queued, evaluated, samples_read, counted })
    }

    /// Writes the query down, and begins to write its answer.
    fn finish(&mut self, (answer, took): Evaluated) -> Result<Begun, Refused> {
        let started = Instant::now();
        self.by.write_down(&self.api, self.known.query.text(), self.when, &answer, took);
        let mut answer = answer?;
        truncate(&mut answer, self.most);
        let stats = self.stats.take();
        check_stats(stats.as_deref(), &mut answer);
        let stats = stats.map(|stats| {
            let mut told = took.to_json();
            if let Some(by_step) = answer.by_step.take().filter(|_| stats == "all") {
                told["samples"]["totalQueryableSamplesPerStep"] = each_step(&by_step, &by_step.queryable);
                told["samples"]["samplesReadPerStep"] = each_step(&by_step, &by_step.read);
            }
            format!(",\"stats\":{told}")
        });
        let mut written = Written::new(answer, self.at, stats.unwrap_or_default());
        let first = written.next()?;
        // What takes long to be written is not brief either.
        self.known.note(self.when, took.evaluated + started.elapsed());
        Ok((first, written))
    }
}

/// Pairs of times in seconds and numbers of samples.
fn each_step(by_step: &SamplesByStep, samples: &[u64]) -> Value {
    let at = |step: usize| {
        let millis = by_step.start.millis().saturating_add(by_step.step_ms.saturating_mul(step as i64));
        if millis % 1000 == 0 { json!(millis / 1000) } else { json!(millis as f64 / 1000.0) }
    };
    samples.iter().enumerate().map(|(step, samples)| json!([at(step), samples])).collect()
}

/// Leaves so many series.
fn truncate(answer: &mut Answer, most: usize) {
    let is_cut = match &mut answer.outcome {
        Outcome::Vector(series) => {
            let is_cut = series.len() > most;
            series.truncate(most);
            is_cut
        }
        Outcome::Matrix(series) => {
            let is_cut = series.len() > most;
            series.truncate(most);
            is_cut
        }
        Outcome::Scalar(_) | Outcome::Text(_) => false,
    };
    if is_cut {
        answer.notes.warnings.push(super::series::TRUNCATED.to_owned());
    }
}

/// `stats` is `true` or `all`; anything else is taken, with a warning.
fn check_stats(stats: Option<&str>, answer: &mut Answer) {
    if let Some(other) = stats.filter(|stats| !matches!(*stats, "true" | "all")) {
        answer.notes.warnings.push(format!(
            "value {:?} for parameter \"stats\" is deprecated and will be rejected in the next major release, use \
             \"true\" or \"all\"",
            shown(other)
        ));
    }
}

async fn format(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refused> {
    let query = asked.query(&api).await?;
    in_background(move || success_bytes(&query.to_string(), &Notes::default())).await
}

/// The tree of a query; of the short form that of its PromQL.
async fn parse(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refused> {
    let mut query = asked.query(&api).await?;
    let write = move || {
        if query.language() == Language::Short {
            let promql = query.promql().and_then(|promql| Query::parse(&promql).ok());
            query = promql.ok_or_else(|| Refused::bad_data("this query of the short form has no tree of PromQL"))?;
        }
        let mut reply = Reply::new();
        tree::write(reply.data(), query.root());
        Ok(reply.finish(&Notes::default()))
    };
    in_background(write).await
}
