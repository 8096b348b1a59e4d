//! Alert timelines: series in, what is handed over and when out, on a virtual clock against a real engine.
//!
//! A case is a file of `tests/alert_timelines`; `UPDATE_GOLDEN=1` rewrites its `expect`, and the diff is read.
//!
//! ```json
//! {"about": "…", "rules_file": "examples/x.json" | "rules": […], "check_interval": "1s", "until": "10m",
//!  "series": [{"labels": {"__name__": "error_count"}, "increments": [["0s", "5m", 2]]},
//!             {"labels": {…}, "samples": [["0s", "5m", 0.5]], "every": "15s"},
//!             {"labels": {…}, "observations": [["0s", "5m", 1200]], "every": "1s"}],
//!  "events": [{"at": "2m", "restart_after": "10s"}, {"at": "3m", "rules": […]}, {"at": "4m", "acknowledge": true}],
//!  "expect": ["1m0s firing R{…} value 12 active 0s"]}
//! ```
//! Spans are `[from, to)`; increments are given per second, samples and observations as values. Times are relative
//! to a start on a whole minute, shown in whole seconds, since a group's offset within its interval is a hash; values have three digits.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use watchfire_engine::{
    Derived, Engine, EngineConfig, Increment, MetricType, Observation, SampleBatch, SeriesKind, SourcePosition,
};
use watchfire_model::time::{format_duration_ms, parse_duration_ms};
use watchfire_model::{Alert, AlertState, LabelSet, Timestamp};
use watchfire_query_lang::{Limits, LocalMetrics};
use watchfire_rules::{EngineSink, GroupDefaults, RuleEngine, RuleEngineConfig, RuleSet};

const START: Timestamp = Timestamp::from_millis(1_700_000_040_000);

#[test]
fn alert_timelines() {
    let paths = json_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alert_timelines"));
    assert!(!paths.is_empty());
    for path in paths {
        check(&path);
    }
}

/// Every rule that ships is loaded, and fires in a timeline.
#[test]
fn shipped_examples_load_and_fire() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cases: Vec<Value> = json_files(&root.join("tests/alert_timelines"))
        .iter()
        .map(|path| serde_json::from_str(&std::fs::read_to_string(path).expect("a case")).expect("JSON"))
        .collect();
    let examples = json_files(&root.join("examples"));
    assert_eq!(examples.len(), 6);
    for path in examples {
        let file = format!("examples/{}", path.file_name().expect("a name").to_string_lossy());
        let content = std::fs::read(&path).expect("the rule file");
        let set = RuleSet::load(&[(&path, content)]).unwrap_or_else(|errors| panic!("{errors:#?}"));
        for loaded in &set.groups()[0].rules {
            let fires = format!(" firing {}{{", loaded.name());
            let has_fired = cases.iter().filter(|case| case["rules_file"] == *file).any(|case| {
                list(case, "expect").iter().any(|line| line.as_str().is_some_and(|line| line.contains(&fires)))
            });
            assert!(has_fired, "{file}: `{}` fires in no timeline", loaded.name());
        }
    }
}

/// Runs one case and compares what was handed over with what is expected.
fn check(path: &Path) {
    let text = std::fs::read_to_string(path).expect("a case");
    let mut case: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let found = Run::of(&case).run();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        case["expect"] = found.into();
        let text = serde_json::to_string_pretty(&case).expect("JSON") + "\n";
        std::fs::write(path, text).expect("written");
        return;
    }
    let expected: Vec<&str> = list(&case, "expect").iter().map(|line| line.as_str().expect("a line")).collect();
    assert_eq!(found, expected, "{}: {}", path.display(), case["about"]);
}

/// A case on its way.
struct Run<'c> {
    case: &'c Value,
    /// Events by the time at which they happen.
    events: BTreeMap<i64, &'c Value>,
    engine: Arc<Engine>,
    rules: RuleEngine,
    config: RuleEngineConfig,
    fed_until: Timestamp,
    next_offset: u64,
    /// The state in which each alert was handed over last.
    told: HashMap<(String, LabelSet), (AlertState, Option<Timestamp>)>,
    lines: Vec<String>,
    _folder: tempfile::TempDir,
}

impl<'c> Run<'c> {
    fn of(case: &'c Value) -> Run<'c> {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = Engine::open(EngineConfig::new(folder.path().join("engine")), START).expect("an engine").0;
        let config = RuleEngineConfig {
            dir: folder.path().join("rules"),
            defaults: GroupDefaults {
                check_interval_ms: case.get("check_interval").map_or(1000, millis),
                query_offset_ms: 0,
            },
            limits: Limits::default(),
        };
        let rules = RuleEngine::open(config.clone(), &rule_set(case), START).expect("a rule engine").0;
        let events = list(case, "events").iter().map(|event| (millis(&event["at"]), event)).collect();
        Run {
            case,
            events,
            engine: Arc::new(engine),
            rules,
            config,
            fed_until: START,
            next_offset: 0,
            told: HashMap::new(),
            lines: Vec::new(),
            _folder: folder,
        }
    }

    fn run(mut self) -> Vec<String> {
        let metrics = LocalMetrics::new(Arc::clone(&self.engine));
        let sink = EngineSink::new(Arc::clone(&self.engine));
        let until = START.plus_millis(millis(&self.case["until"]));
        let mut now = START;
        loop {
            let due = self.rules.next_due(now.plus_millis(1)).unwrap_or(until);
            let event_at = self.events.first_key_value().map(|(at, _)| START.plus_millis(*at));
            now = event_at.unwrap_or(due).min(due);
            if now >= until {
                return self.lines;
            }
            self.feed(now);
            if event_at == Some(now)
                && let Some((_, event)) = self.events.pop_first()
            {
                now = self.happen(event, now);
                continue;
            }
            let mut round = self.rules.evaluate_due(now, &metrics, &sink);
            assert_eq!(round.failed, 0, "a rule fails: {:?}", self.rules.rules_snapshot());
            for alert in &round.alerts {
                self.hear(alert, now);
            }
            round.unwritten.write(&sink).expect("the engine takes the samples");
            self.invariants(now);
        }
    }

    /// Appends what happened since the last time.
    fn feed(&mut self, now: Timestamp) {
        let next_offset = self.next_offset + 1;
        let mut derived = Derived::new(SourcePosition {
            queue: "timeline".to_owned(),
            epoch: 1,
            partition: 0,
            first_offset: self.next_offset,
            next_offset,
        });
        let mut batch = SampleBatch::new(now);
        for series in list(self.case, "series") {
            let pairs = series["labels"].as_object().expect("labels").iter();
            let labels =
                LabelSet::from_pairs(pairs.map(|(name, value)| (name.as_str(), value.as_str().expect("a text"))));
            let labels = labels.expect("valid labels");
            for span in list(series, "increments") {
                for at in self.times(span, 1000, 500, now) {
                    let count = span[2].as_f64().expect("a number");
                    derived.increments.push(Increment { labels: labels.clone(), at, count, late: false });
                }
            }
            let every_ms = series.get("every").map_or(1000, millis);
            for span in list(series, "observations") {
                for at in self.times(span, every_ms, 500, now) {
                    let value = span[2].as_f64().expect("a number");
                    derived.observations.push(Observation { labels: labels.clone(), at, value, late: false });
                }
            }
            for span in list(series, "samples") {
                for at in self.times(span, every_ms, 0, now) {
                    let series = batch.series(SeriesKind::Samples(MetricType::Gauge), &labels);
                    batch.push(series, at, span[2].as_f64().expect("a number"));
                }
            }
        }
        self.next_offset = next_offset;
        self.fed_until = now;
        self.engine.apply(&derived).expect("applied");
        let report = self.engine.append_samples(&batch).expect("appended");
        assert_eq!(report.rejected, []);
    }

    /// The times of a span that have come since the last time.
    fn times(&self, span: &Value, every_ms: i64, offset_ms: i64, now: Timestamp) -> Vec<Timestamp> {
        let (from, to) = (millis(&span[0]), millis(&span[1]));
        let times = (0..).map(|n| from + n * every_ms + offset_ms).take_while(|at| *at < to);
        times
            .map(|at| START.plus_millis(at))
            .filter(|at| *at <= now && (*at > self.fed_until || (*at == START && now == START)))
            .collect()
    }

    /// Something other than an evaluation; returns the time after it.
    fn happen(&mut self, event: &Value, now: Timestamp) -> Timestamp {
        if event.get("rules").is_some() {
            self.rules.reload(&rule_set(event), self.config.defaults, now);
        }
        if let Some(down) = event.get("restart_after") {
            let after = now.plus_millis(millis(down));
            let set = rule_set(if event.get("rules").is_some() { event } else { self.case });
            let (rules, report) = RuleEngine::open(self.config.clone(), &set, after).expect("opens again");
            assert_eq!((report.cut_bytes, report.damaged.len()), (0, 0));
            self.rules = rules;
            self.lines.push(format!("{} restarted", relative(after)));
            self.told.clear();
            return after;
        }
        if event.get("acknowledge").is_some() {
            let alerts: Vec<Alert> = self.rules.alerts_snapshot().into_iter().map(|snapshot| snapshot.alert).collect();
            self.rules.acknowledge(&alerts);
        }
        now
    }

    /// Notes what is handed over, if it is news.
    fn hear(&mut self, alert: &Alert, now: Timestamp) {
        assert_ne!(alert.state, AlertState::Pending, "pending alerts are nobody's business");
        let news = (alert.state, alert.resolved_at.or(alert.fired_at));
        if self.told.insert((alert.rule.clone(), alert.labels.clone()), news) == Some(news) {
            return;
        }
        let labels = alert.labels.retain(|name| name != "alertname");
        let texts: Vec<String> = alert.annotations.iter().map(|(name, text)| format!(" {name}={text:?}")).collect();
        self.lines.push(format!(
            "{} {} {}{labels} value {} active {}{}",
            relative(now),
            alert.state.as_str(),
            alert.rule,
            three_digits(alert.value),
            relative(alert.active_at),
            texts.concat(),
        ));
    }

    /// What is true of all alerts at any time.
    fn invariants(&self, now: Timestamp) {
        for snapshot in self.rules.alerts_snapshot() {
            let alert = snapshot.alert;
            assert!(alert.active_at <= now);
            if let Some(fired_at) = alert.fired_at {
                assert!(alert.active_at.plus_millis(snapshot.rule.duration_ms) <= fired_at && fired_at <= now);
            }
            assert_eq!(alert.resolved_at.is_some(), alert.state == AlertState::Resolved);
            assert_eq!(alert.fired_at.is_none(), alert.state == AlertState::Pending);
        }
    }
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    paths
}

fn rule_set(of: &Value) -> RuleSet {
    let loaded = match of.get("rules_file").and_then(Value::as_str) {
        Some(file) => {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            let content = std::fs::read(&path).expect("the rule file");
            RuleSet::load(&[(Path::new(file), content)])
        }
        None => RuleSet::load(&[(Path::new("rules.json"), of["rules"].to_string())]),
    };
    loaded.unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn list<'v>(of: &'v Value, field: &str) -> &'v [Value] {
    of.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn millis(duration: &Value) -> i64 {
    let text = duration.as_str().unwrap_or_else(|| panic!("{duration} is no duration"));
    parse_duration_ms(text).unwrap_or_else(|| panic!("{text} is no duration"))
}

/// Quantiles of distributions are within 1 %, and how exactly they are met is not this test's business.
fn three_digits(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

fn relative(at: Timestamp) -> String {
    format_duration_ms(at.since(START).div_euclid(1000) * 1000)
}
