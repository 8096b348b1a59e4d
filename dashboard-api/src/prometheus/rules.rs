//! `/api/v1/rules` and `/api/v1/alerts`: rules and alerts as they stand.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::{Router, routing};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use watchfire_model::{AlertState, LabelSet, Matcher, Timestamp};
use watchfire_rules::{AlertRule, AlertSnapshot, Condition, GroupSnapshot, Rule, RuleSnapshot};

use super::go::{boolean, whole_number};
use super::params::Asked;
use super::reply::{Refused, success};
use crate::metrics::Labels;
use crate::numbers::exponential;
use crate::params::shown;
use crate::state::Api;

/// What Prometheus writes where there is no time.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// Routes of this file.
pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/api/v1/rules", routing::get(rules)).route("/api/v1/alerts", routing::get(alerts))
}

/// Which rules are wanted, and of what of them.
struct Filter<'a> {
    asked: &'a Asked,
    with_alerting: bool,
    with_recording: bool,
    with_alerts: bool,
    matchers: Vec<Vec<Matcher>>,
}

impl Filter<'_> {
    async fn read<'a>(api: &Api, asked: &'a Asked) -> Result<Filter<'a>, Refused> {
        asked.whole_form()?;
        let matchers = asked.matchers(api).await?.map_err(Refused::bad_data)?;
        let kind = asked.get("type").unwrap_or_default().to_lowercase();
        if !matches!(kind.as_str(), "" | "alert" | "record") {
            return Err(Refused::parameter("type", format!("not supported value {:?}", shown(&kind))));
        }
        let without_alerts = asked.get("exclude_alerts").map_or(Ok(false), |text| boolean(&text.to_lowercase()));
        let without_alerts = without_alerts.map_err(|problem| {
            Refused::parameter("exclude_alerts", format!("error converting exclude_alerts: {problem}"))
        })?;
        Ok(Filter {
            asked,
            with_alerting: kind != "record",
            with_recording: kind != "alert",
            with_alerts: !without_alerts,
            matchers,
        })
    }

    /// Whether a parameter that may stand several times is absent or names the value.
    fn names(&self, parameter: &str, value: &str) -> bool {
        let mut values = self.asked.params.all(parameter).peekable();
        values.peek().is_none() || values.any(|have| have == value)
    }

    fn wants_group(&self, group: &GroupSnapshot) -> bool {
        self.names("rule_group[]", &group.name) && self.names("file[]", &group.file)
    }

    fn wants(&self, rule: &Rule) -> bool {
        let wants_kind = match rule {
            Rule::Alert(_) => self.with_alerting,
            Rule::Record(_) => self.with_recording,
        };
        wants_kind && self.names("rule_name[]", rule.name()) && self.meets_matchers(rule)
    }

    /// Of the rule's own labels, as they are written.
    fn meets_matchers(&self, rule: &Rule) -> bool {
        if self.matchers.is_empty() {
            return true;
        }
        let labels = LabelSet::from_pairs(rule.label_texts()).unwrap_or_default();
        self.matchers.iter().any(|all| all.iter().all(|matcher| matcher.matches_labels(&labels)))
    }
}

/// A page of groups: how many, and where it begins.
struct Page<'a> {
    groups: usize,
    begins_at: Option<&'a str>,
}

impl<'a> Page<'a> {
    fn read(asked: &'a Asked) -> Result<Page<'a>, Refused> {
        let begins_at = asked.get("group_next_token").filter(|token| !token.is_empty());
        let Some(text) = asked.get("group_limit").filter(|text| !text.is_empty()) else {
            return match begins_at {
                None => Ok(Page { groups: usize::MAX, begins_at: None }),
                Some(_) => Err(Refused::parameter(
                    "group_next_token",
                    "group_limit needs to be present in order to paginate over the groups",
                )),
            };
        };
        let groups = whole_number(text).and_then(|groups| {
            let out_of_range = |_| format!("parsing {:?}: value out of range", shown(text));
            i32::try_from(groups).map_err(out_of_range)
        });
        match groups {
            Ok(groups @ 1..) => Ok(Page { groups: usize::try_from(groups).unwrap_or(usize::MAX), begins_at }),
            Ok(..=0) => Err(Refused::parameter("group_limit", "group_limit needs to be greater than 0")),
            Err(problem) => {
                let problem = format!("group_limit needs to be a valid number: strconv.ParseInt: {problem}");
                Err(Refused::parameter("group_limit", problem))
            }
        }
    }
}

/// By what a page names the group that it begins with.
fn token(group: &GroupSnapshot) -> String {
    let mut hash = Sha256::new();
    hash.update(&group.file);
    hash.update(";");
    hash.update(&group.name);
    hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        // A text takes whatever is written.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

async fn rules(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refused> {
    let filter = Filter::read(&api, &asked).await?;
    let page = Page::read(&asked)?;
    let mut snapshot = api.rules.rules_snapshot();
    snapshot.sort_by(|a, b| (&a.file, &a.name).cmp(&(&b.file, &b.name)));
    if let Some(wanted) = page.begins_at {
        let Some(at) = snapshot.iter().position(|group| token(group) == wanted) else {
            let problem = format!("invalid group_next_token '{}'. were rule groups changed?", shown(wanted));
            return Err(Refused::parameter("group_next_token", problem));
        };
        snapshot.drain(..at);
    }
    let mut groups = Vec::new();
    let mut next = None;
    for mut of in snapshot.into_iter().filter(|group| filter.wants_group(group)) {
        of.rules.retain(|snapshot| filter.wants(&snapshot.rule));
        if of.rules.is_empty() {
            continue;
        }
        if groups.len() == page.groups {
            next = Some(token(&of));
            break;
        }
        groups.push(group(&of, filter.with_alerts));
    }
    let mut data = json!({ "groups": groups });
    if let Some(next) = next {
        data["groupNextToken"] = json!(next);
    }
    success(&data)
}

async fn alerts(State(api): State<Arc<Api>>) -> Result<Response, Refused> {
    let snapshot = api.rules.alerts_snapshot();
    let active = snapshot.iter().filter(|entry| entry.alert.state != AlertState::Resolved);
    success(&json!({"alerts": active.map(alert).collect::<Vec<_>>()}))
}

fn group(group: &GroupSnapshot, with_alerts: bool) -> Value {
    json!({
        "name": group.name,
        "file": group.file,
        "interval": seconds(group.interval_ms),
        "limit": group.limit,
        "rules": group.rules.iter().map(|snapshot| rule(snapshot, with_alerts)).collect::<Vec<_>>(),
        "evaluationTime": group.evaluation_seconds,
        "lastEvaluation": time(group.last_evaluation),
    })
}

fn rule(snapshot: &RuleSnapshot, with_alerts: bool) -> Value {
    let mut shape = json!({
        "name": snapshot.rule.name(),
        "labels": texts(snapshot.rule.label_texts()),
        "health": snapshot.health.as_str(),
        "evaluationTime": snapshot.evaluation_seconds,
        "lastEvaluation": time(snapshot.last_evaluation),
    });
    if let Some(error) = &snapshot.last_error {
        shape["lastError"] = json!(error);
    }
    // Not of Prometheus; absent where there is none.
    if let Some(value) = snapshot.newest_value {
        shape["newestValue"] = json!(exponential(value));
    }
    match &snapshot.rule {
        Rule::Alert(rule) => {
            let active = snapshot.alerts.iter().filter(|entry| entry.alert.state != AlertState::Resolved);
            let annotations = rule.annotations.iter().map(|(name, text)| (name.as_str(), text.source()));
            shape["type"] = json!("alerting");
            shape["query"] = json!(condition(rule));
            shape["duration"] = seconds(rule.duration_ms);
            shape["keepFiringFor"] = seconds(rule.keep_firing_for_ms);
            shape["annotations"] = texts(annotations);
            shape["state"] = json!(snapshot.state.as_str());
            // Those that nobody wants are no empty list there.
            shape["alerts"] = if with_alerts { active.map(alert).collect() } else { Value::Null };
        }
        Rule::Record(rule) => {
            shape["type"] = json!("recording");
            shape["query"] = json!(rule.query.to_string());
        }
    }
    shape
}

/// The query with its comparison, which Prometheus' shape has in one text.
fn condition(rule: &AlertRule) -> String {
    match rule.condition {
        Condition::Present => rule.query.to_string(),
        Condition::Compared(than) => format!("{} {} {}", rule.query.text(), than.operator.as_str(), than.threshold),
    }
}

fn texts<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    pairs.into_iter().map(|(name, text)| (name.to_owned(), json!(text))).collect::<Map<_, _>>().into()
}

fn alert(entry: &AlertSnapshot) -> Value {
    let alert = &entry.alert;
    let annotations = alert.annotations.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    // Of a histogram there is no number there.
    let value = if entry.is_histogram { 0.0 } else { alert.value };
    let mut shape = json!({
        "labels": Labels(&alert.labels),
        "annotations": texts(annotations),
        "state": alert.state.as_str(),
        "activeAt": time(Some(alert.active_at)),
        "value": exponential(value),
    });
    if let Some(since) = entry.kept_since {
        shape["keepFiringSince"] = json!(time(Some(since)));
    }
    shape
}

/// Milliseconds as seconds, whole ones without a fraction, as Go writes them.
fn seconds(millis: i64) -> Value {
    if millis % 1000 == 0 { json!(millis / 1000) } else { json!(millis as f64 / 1000.0) }
}

fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| NO_TIME.to_owned(), Timestamp::to_rfc3339)
}
