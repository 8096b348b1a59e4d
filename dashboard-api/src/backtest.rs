//! `POST /api/v1/backtest`: what rules would have done, over what is kept.
//!
//! The body is `{"files": [{"name": "alert_rules.json", "text": "…"}], "since": "24h", "until": "now", "interval": "30s"}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::{Json, Router, routing};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use watchfire_model::Timestamp;
use watchfire_model::time::parse_duration_ms;
use watchfire_rehearsal::backtest::{BacktestError, Episode, Outcome, Span, run};
use watchfire_rules::{External, GroupDefaults, Rule, RuleFileError, RuleSet};

use crate::body;
use crate::error::{ApiError, Where};
use crate::metrics::{CancelOnDrop, number};
use crate::params::Params;
use crate::state::Api;

/// Longest body, bytes.
const BODY_BYTES_MAX: usize = 16 << 20;
/// Shortest distance of two evaluations, milliseconds.
const INTERVAL_MIN_MS: i64 = 100;

/// What rules in force go by, as the configuration says now.
pub type RuleSettings = Arc<dyn Fn() -> (GroupDefaults, External) + Send + Sync>;

/// Turns of backtests: one at a time, as each keeps a core busy.
pub fn turns() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/api/v1/backtest", routing::post(backtest))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    files: Vec<File>,
    #[serde(default)]
    since: Option<String>,
    #[serde(default)]
    until: Option<String>,
    #[serde(default)]
    interval: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    text: String,
}

impl Asked {
    fn time(name: &str, text: Option<&str>, unless_said: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
        let read = Timestamp::parse_parameter(text.unwrap_or(unless_said), now);
        read.map_err(|error| ApiError::bad_parameter(name, error))
    }

    fn interval_ms(&self) -> Result<Option<i64>, ApiError> {
        let Some(text) = &self.interval else { return Ok(None) };
        match parse_duration_ms(text).filter(|millis| *millis >= INTERVAL_MIN_MS) {
            Some(millis) => Ok(Some(millis)),
            None => Err(ApiError::bad_parameter("interval", format!("`{text}` is no duration of at least 100ms"))),
        }
    }

    fn rules(&self) -> Result<RuleSet, ApiError> {
        let files: Vec<(&str, &str)> = self.files.iter().map(|file| (file.name.as_str(), file.text.as_str())).collect();
        RuleSet::load(&files).map_err(|errors| rejected(&errors))
    }
}

/// All faults of all rule files; the place is that of the first.
fn rejected(errors: &[RuleFileError]) -> ApiError {
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let place = errors.first().map(|first| Where { line: first.line, column: first.column, offset: 0 });
    ApiError { place, ..ApiError::new(StatusCode::BAD_REQUEST, "rules", told.join("\n")) }
}

async fn backtest(State(api): State<Arc<Api>>, request: Request) -> Result<Json<Value>, ApiError> {
    Params::of_query(&request).only(&[])?;
    let sent = body::read(request.into_body(), BODY_BYTES_MAX).await?;
    let asked: Asked = serde_json::from_slice(&sent).map_err(|error| ApiError::malformed_json(&sent, &error))?;
    let now = Timestamp::now();
    let start = Asked::time("since", asked.since.as_deref(), "24h", now)?;
    let end = Asked::time("until", asked.until.as_deref(), "now", now)?.min(now);
    if start >= end {
        let (start, end) = (start.to_rfc3339(), end.to_rfc3339());
        return Err(ApiError::bad_parameter("since", format!("{start} is not before {end}")));
    }
    let interval_ms = asked.interval_ms()?;
    let busy = || ApiError::new(StatusCode::CONFLICT, "busy", "another backtest is at work; wait until it is done");
    let turn = api.backtests.clone().try_acquire_owned().map_err(|_| busy())?;
    let limits = api.limits.of_query();
    let _cancel_on_drop = CancelOnDrop(limits.cancel.clone());
    let work = move || {
        let _turn = turn;
        let (mut defaults, external) = (api.rule_settings)();
        defaults.check_interval_ms = interval_ms.unwrap_or(defaults.check_interval_ms);
        let rules = asked.rules()?.with_external(external);
        let span = Span { start, end, defaults, limits };
        let outcome = run(&rules, &span, &*api.metrics)?;
        Ok(Json(document(&rules, &span, &outcome)))
    };
    tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)?
}

impl From<BacktestError> for ApiError {
    fn from(error: BacktestError) -> ApiError {
        let message = error.to_string();
        match error {
            BacktestError::TooMany { .. } => ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "limit", message),
            BacktestError::Stopped => ApiError::unavailable("cancelled", message),
            BacktestError::Series(error) => error.into(),
        }
    }
}

fn document(rules: &RuleSet, span: &Span, outcome: &Outcome) -> Value {
    let alerts: Vec<Value> = outcome.episodes.iter().map(episode).collect();
    let failures: Vec<Value> = outcome
        .failures
        .iter()
        .map(|(rule, times, why)| json!({"rule": rule, "evaluations": times, "error": why}))
        .collect();
    json!({
        "start": span.start.to_rfc3339(),
        "end": span.end.to_rfc3339(),
        "evaluations": outcome.evaluations,
        "rules": summaries(rules, span, &outcome.episodes),
        "alerts": alerts,
        "alerts_cut": outcome.is_cut,
        "failures": failures,
        "missing": outcome.missing,
    })
}

fn episode(episode: &Episode) -> Value {
    let time = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339);
    let labels: BTreeMap<&str, &str> = episode.labels.iter().collect();
    json!({
        "rule": episode.rule,
        "group": episode.group,
        "labels": labels,
        "pending_at": episode.pending_at.to_rfc3339(),
        "firing_at": time(episode.firing_at),
        "resolved_at": time(episode.resolved_at),
        "peak": number(episode.peak),
        "evaluations": episode.evaluations,
    })
}

/// How often each alerting rule would have fired, and for how long in all.
fn summaries(rules: &RuleSet, span: &Span, episodes: &[Episode]) -> Vec<Value> {
    let mut summaries = Vec::new();
    for group in rules.groups() {
        for rule in group.rules.iter().filter(|rule| matches!(rule, Rule::Alert(_))) {
            let own = || episodes.iter().filter(|one| one.rule == rule.name() && one.group == group.name);
            let fired = own().filter_map(|one| Some(one.resolved_at.unwrap_or(span.end).since(one.firing_at?)));
            let (fired, firing_ms) = fired.fold((0u64, 0i64), |(count, all), ms| (count + 1, all.saturating_add(ms)));
            summaries.push(json!({
                "rule": rule.name(),
                "group": group.name,
                "file": group.file,
                "fired": fired,
                "pending_only": own().filter(|one| one.firing_at.is_none()).count(),
                "firing_s": firing_ms as f64 / 1000.0,
            }));
        }
    }
    summaries
}
