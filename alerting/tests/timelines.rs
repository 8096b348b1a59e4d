//! Alert timelines as data, on a virtual clock: alerts in, messages and their times out.
//!
//! `timelines/*.json`: `receivers` (target → whether it wants resolved alerts), `default_receivers`, times of the
//! policy, and `steps`, each at a time since the start:
//! - `rule` with `firing`, `resolved`, `pending` (services) and `receivers`: an evaluation is handed over;
//! - `tick`: time alone passes;
//! - `arrives`, `fails`: how the oldest open message to a target ended;
//! - `full`: targets without room in this step;
//! - `restart`: the state is read back from the log.
//!
//! `told` lists the messages of a step, `acknowledged` the resolved alerts that need not come again. `UPDATE_GOLDEN=1`
//! rewrites both.

use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use watchfire_alerting::decide::{Decision, Policy, decide, decide_by_time};
use watchfire_alerting::entry::Entry;
use watchfire_alerting::flow::SentState;
use watchfire_alerting::notification::{Ids, Notification};
use watchfire_alerting::route::Routing;
use watchfire_alerting::{
    AlertBatch, EmailConfig, Integration, Receiver, ReceiverSettings, Secret, Target, WebhookConfig,
};
use watchfire_model::time::parse_duration_ms;
use watchfire_model::{Alert, AlertState, LabelSet, Timestamp};

const START: i64 = 1_700_000_000_000;

#[test]
fn timelines_come_out_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/timelines");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 8, "timelines are missing");
    for path in paths {
        check(&path);
    }
}

fn check(path: &Path) {
    let text = std::fs::read_to_string(path).expect("readable");
    let written: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut played = written.clone();
    let mut timeline = Timeline::new(&written);
    for step in played["steps"].as_array_mut().expect("steps") {
        let step = step.as_object_mut().expect("a step is an object");
        timeline.play(step);
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, serde_json::to_string_pretty(&played).expect("JSON") + "\n").expect("written");
        return;
    }
    let steps = |value: &Value| value["steps"].as_array().cloned().unwrap_or_default();
    for (is, should) in steps(&played).iter().zip(steps(&written)) {
        let default = |step: &Value, name: &str| step.get(name).cloned().unwrap_or_else(|| json!([]));
        for name in ["told", "acknowledged"] {
            assert_eq!(default(is, name), default(&should, name), "{}: {name} of {should}", path.display());
        }
    }
}

fn duration(value: &Value) -> Option<i64> {
    value.as_str().map(|text| parse_duration_ms(text).unwrap_or_else(|| panic!("{text} is no duration")))
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.map(|text| text.as_str().expect("a text").to_owned()).collect()
}

struct Timeline {
    routing: Routing,
    policy: Policy,
    ids: Ids,
    state: SentState,
    log: Vec<Entry>,
    // Since when each alert (rule, service) fires, and when it was resolved.
    episodes: BTreeMap<(String, String), (Timestamp, Option<Timestamp>)>,
}

impl Timeline {
    fn new(written: &Value) -> Timeline {
        let mut integrations: BTreeMap<String, Vec<Integration>> = BTreeMap::new();
        for (target, send_resolved) in written["receivers"].as_object().expect("receivers") {
            let (name, kind) = target.split_once('/').expect("NAME/KIND/INDEX");
            let send_resolved = send_resolved.as_bool().expect("true or false");
            let nowhere = Secret::inline("http://127.0.0.1:1/");
            let integration = if kind.starts_with("webhook") {
                Integration::Webhook(WebhookConfig { send_resolved, ..WebhookConfig::new(nowhere) })
            } else {
                Integration::Email(EmailConfig { send_resolved, ..EmailConfig::new(nowhere, "", vec![]) })
            };
            integrations.entry(name.to_owned()).or_default().push(integration);
        }
        let receivers = integrations.into_iter().map(|(name, integrations)| Receiver { name, integrations }).collect();
        let settings = ReceiverSettings {
            receivers,
            default_receivers: texts(written.get("default_receivers")),
            external_url: String::new(),
        };
        let default = Policy::default();
        let policy = Policy {
            repeat_interval_ms: duration(&written["repeat_interval"]).unwrap_or(default.repeat_interval_ms),
            failed_retry_ms: duration(&written["failed_retry"]).unwrap_or(default.failed_retry_ms),
            max_age_ms: duration(&written["max_age"]).unwrap_or(default.max_age_ms),
            alerts_per_message: written["alerts_per_message"]
                .as_u64()
                .map_or(default.alerts_per_message, |count| usize::try_from(count).expect("small")),
        };
        Timeline {
            routing: Routing::flat(&settings),
            policy,
            ids: Ids::new(Timestamp::from_millis(START), 0),
            state: SentState::default(),
            log: Vec::new(),
            episodes: BTreeMap::new(),
        }
    }

    fn play(&mut self, step: &mut Map<String, Value>) {
        let known = [
            "about",
            "at",
            "rule",
            "firing",
            "resolved",
            "pending",
            "receivers",
            "tick",
            "arrives",
            "fails",
            "full",
            "restart",
            "told",
            "acknowledged",
        ];
        assert!(step.keys().all(|key| known.contains(&key.as_str())), "an unknown word in {step:?}");
        let now = Timestamp::from_millis(START + duration(&step["at"]).expect("a time"));
        let full = texts(step.get("full"));
        let mut has_room = |target: &Target, _: usize| !full.contains(&target.to_string());
        let mut decision = Decision::default();
        if let Some(rule) = step.get("rule").and_then(Value::as_str) {
            let batch = self.batch(rule, step, now);
            decision = decide(&self.routing, &self.policy, &self.state, &mut self.ids, &batch, now, &mut has_room);
        } else if step.contains_key("tick") {
            decision = decide_by_time(&self.policy, &self.state, &mut self.ids, now, &mut has_room);
        }
        for (word, arrived) in [("arrives", true), ("fails", false)] {
            for target in texts(step.get(word)) {
                let id = self.oldest_open(&target);
                let end = if arrived { Entry::Delivered { id, at: now } } else { Entry::Failed { id, at: now } };
                decision.entries.push(end);
            }
        }
        let told: Vec<Value> = decision.entries.iter().filter_map(told).collect();
        let names: HashMap<u64, &str> = self
            .episodes
            .keys()
            .map(|(rule, service)| (labels(rule, service).fingerprint(), service.as_str()))
            .collect();
        let acknowledged: Vec<Value> =
            decision.acknowledged.iter().map(|alert| json!(names[&alert.fingerprint])).collect();
        for (name, list) in [("told", told), ("acknowledged", acknowledged)] {
            step.remove(name);
            if !list.is_empty() {
                step.insert(name.to_owned(), Value::Array(list));
            }
        }
        for entry in decision.entries {
            self.state.apply(&entry);
            self.log.push(entry);
        }
        if step.contains_key("restart") {
            self.restart();
        }
    }

    /// From the whole log, and from the compacted one, the same state must come.
    fn restart(&mut self) {
        let read_back = |entries: &mut dyn Iterator<Item = Entry>| {
            let mut state = SentState::default();
            entries.for_each(|entry| state.apply(&Entry::decode(&entry.encode()).expect("reads back")));
            state
        };
        let from_log = read_back(&mut self.log.iter().cloned());
        assert_eq!(from_log, self.state);
        assert_eq!(read_back(&mut self.state.snapshot()), self.state);
        self.state = from_log;
    }

    fn batch(&mut self, rule: &str, step: &Map<String, Value>, now: Timestamp) -> AlertBatch {
        let receivers = texts(step.get("receivers"));
        let mut alerts = Vec::new();
        for (word, state) in
            [("pending", AlertState::Pending), ("firing", AlertState::Firing), ("resolved", AlertState::Resolved)]
        {
            for service in texts(step.get(word)) {
                let episode = self.episodes.entry((rule.to_owned(), service.clone())).or_insert((now, None));
                match state {
                    AlertState::Pending => {}
                    AlertState::Firing if episode.1.is_some() => *episode = (now, None),
                    AlertState::Firing => {}
                    AlertState::Resolved => episode.1 = episode.1.or(Some(now)),
                }
                alerts.push(Alert {
                    rule: rule.to_owned(),
                    group: "rules".to_owned(),
                    labels: labels(rule, &service),
                    annotations: Vec::new(),
                    state,
                    value: 1.0,
                    active_at: episode.0,
                    fired_at: (state != AlertState::Pending).then_some(episode.0),
                    resolved_at: episode.1,
                    evaluated_at: now,
                    receivers: receivers.clone(),
                });
            }
        }
        AlertBatch { group: "rules".to_owned(), rule: rule.to_owned(), alerts }
    }

    fn oldest_open(&self, target: &str) -> Arc<str> {
        let mut open = self.state.open();
        let found = open.find(|open| open.flow.target.to_string() == target);
        Arc::clone(&found.unwrap_or_else(|| panic!("nothing is under way to {target}")).id)
    }
}

fn labels(rule: &str, service: &str) -> LabelSet {
    LabelSet::from_pairs([("alertname", rule), ("service", service)]).expect("valid")
}

/// `ops/webhook/0 A firing (new alerts added): api firing, web resolved`.
fn told(entry: &Entry) -> Option<Value> {
    let Entry::Intent(message) = entry else { return None };
    let Notification { flow, group_labels, reason, alerts, .. } = &**message;
    let alerts: Vec<String> = alerts
        .iter()
        .map(|alert| format!("{} {}", alert.labels.get("service").unwrap_or("-"), alert.status()))
        .collect();
    let rule = group_labels.get("alertname").unwrap_or("-");
    Some(json!(format!("{} {rule} {} ({}): {}", flow.target, message.status(), reason.as_str(), alerts.join(", "))))
}
