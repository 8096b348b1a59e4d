//! kill -9 at any moment: whatever was handed over is remembered.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use watchfire_engine::{Engine, EngineConfig, MetricType, SampleBatch, SeriesKind};
use watchfire_model::{AlertState, LabelSet, Timestamp};
use watchfire_query_lang::{Limits, LocalMetrics};
use watchfire_rules::{EngineSink, GroupDefaults, RuleEngine, RuleEngineConfig, RuleSet};

/// Names the folder to the process that is to be killed.
const FOLDER: &str = "WATCHFIRE_RULES_KILL_FOLDER";
const START: Timestamp = Timestamp::from_millis(1_700_000_040_000);
const HOSTS: i64 = 100_000;

fn open(folder: &Path, now: Timestamp) -> RuleEngine {
    let rule = r#"{"name": "R", "query": "max g by host", "operator": ">", "threshold": 5, "no_data": "keep"}"#;
    let rules = RuleSet::load(&[("r.json", rule)]).expect("valid");
    let dir = folder.join("rules");
    let config = RuleEngineConfig {
        dir,
        defaults: GroupDefaults { check_interval_ms: 1000, query_offset_ms: 0 },
        limits: Limits::default(),
    };
    let (rules, report) = RuleEngine::open(config, &rules, now).expect("opens");
    assert_eq!(report.damaged, []);
    rules
}

/// Not a test but the process to be killed: each second another host begins to burn, and every third is put out.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let (engine, _) = Engine::open(EngineConfig::new(folder.join("engine")), START).expect("opens");
    let engine = Arc::new(engine);
    let rules = open(folder, START);
    let metrics = LocalMetrics::new(Arc::clone(&engine));
    let sink = EngineSink::new(Arc::clone(&engine));
    for n in 1..HOSTS {
        let at = START.plus_millis(n * 1000);
        let mut batch = SampleBatch::new(at);
        let mut put = |host: i64, value: f64| {
            let labels = LabelSet::from_pairs([("__name__", "g"), ("host", &host.to_string())]).expect("valid");
            let series = batch.series(SeriesKind::Samples(MetricType::Gauge), &labels);
            batch.push(series, at, value);
        };
        put(n, 9.0);
        if n % 3 == 0 {
            put(n - 1, 1.0);
        }
        engine.append_samples(&batch).expect("appended");
        for alert in rules.evaluate_due(at.plus_millis(999), &metrics, &sink).alerts {
            println!("told {} {}", alert.labels.get("host").unwrap_or_default(), alert.state.as_str());
        }
    }
}

#[test]
fn what_was_handed_over_is_remembered() {
    for told in [1, 2, 3, 10, 33, 64] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let mut heard = Vec::new();
        for line in lines {
            if let Some(rest) = line.split_once("told ").map(|(_, rest)| rest.to_owned()) {
                heard.push(rest);
            }
            if heard.len() == told {
                child.kill().expect("killed");
            }
        }
        child.wait().expect("ended");
        assert!(heard.len() >= told, "the child ended by itself");
        let kept = open(folder.path(), START.plus_millis(HOSTS * 1000)).alerts_snapshot();
        for line in heard {
            let (host, state) = line.split_once(' ').expect("host and state");
            let found = kept.iter().find(|snapshot| snapshot.alert.labels.get("host") == Some(host));
            let found = found.map(|snapshot| snapshot.alert.state);
            let is_newer = state == "firing" && found == Some(AlertState::Resolved);
            assert!(found.map(AlertState::as_str) == Some(state) || is_newer, "{host} {state}, kept {found:?}");
        }
    }
}
