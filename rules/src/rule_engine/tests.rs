use std::sync::Arc;

use watchfire_engine::{Engine, EngineConfig, MetricType, SampleBatch, SeriesKind};
use watchfire_query_lang::{LocalMetrics, parse};

use super::*;
use crate::engine_sink::EngineSink;
use crate::snapshot::RuleState;

const DEFAULTS: GroupDefaults = GroupDefaults { check_interval_ms: 1000, query_offset_ms: 0 };
const START: Timestamp = Timestamp::from_millis(1_700_000_040_000);

/// A real engine, and rules over it that are evaluated once a second at most.
struct World {
    folder: tempfile::TempDir,
    engine: Arc<Engine>,
    rules: RuleEngine,
}

fn at(seconds: i64) -> Timestamp {
    START.plus_millis(seconds * 1000)
}

fn set(text: &str) -> RuleSet {
    RuleSet::load(&[("dir/group.json", text)]).expect("valid")
}

fn config(folder: &tempfile::TempDir, samples_max: u64) -> RuleEngineConfig {
    let limits = Limits { samples_max, ..Limits::default() };
    RuleEngineConfig { dir: folder.path().join("rules"), defaults: DEFAULTS, limits }
}

impl World {
    fn new(rules: &str) -> World {
        World::with_limit(rules, 1_000_000)
    }

    fn with_limit(rules: &str, samples_max: u64) -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let (engine, _) = Engine::open(EngineConfig::new(folder.path().join("engine")), START).expect("opens");
        let (rules, report) = RuleEngine::open(config(&folder, samples_max), &set(rules), START).expect("opens");
        assert_eq!(report, JournalReport::default());
        World { folder, engine: Arc::new(engine), rules }
    }

    fn gauge(&self, host: &str, seconds: i64, value: f64) {
        let labels = LabelSet::from_pairs([("__name__", "g"), ("host", host)]).expect("valid");
        let mut batch = SampleBatch::new(at(seconds));
        let series = batch.series(SeriesKind::Samples(MetricType::Gauge), &labels);
        batch.push(series, at(seconds), value);
        self.engine.append_samples(&batch).expect("appended");
    }

    /// What a call at this time hands over, as host and state.
    fn round(&self, seconds: i64) -> Vec<(String, AlertState)> {
        let round = self.evaluate(seconds);
        let host = |alert: &Alert| alert.labels.get("host").unwrap_or("-").to_owned();
        round.alerts.iter().map(|alert| (host(alert), alert.state)).collect()
    }

    fn evaluate(&self, seconds: i64) -> Round {
        let metrics = LocalMetrics::new(Arc::clone(&self.engine));
        let sink = EngineSink::new(Arc::clone(&self.engine));
        let mut round = self.rules.evaluate_due(at(seconds), &metrics, &sink);
        round.unwritten.write(&sink).expect("written");
        round
    }

    fn alerts(&self) -> Vec<Alert> {
        self.rules.alerts_snapshot().into_iter().map(|snapshot| snapshot.alert).collect()
    }

    fn value(&self, query: &str, seconds: i64) -> Vec<(String, f64)> {
        let query = parse(query).expect("a query");
        let metrics = LocalMetrics::new(Arc::clone(&self.engine));
        let result = metrics.instant(&query, at(seconds), &Limits::default()).expect("a result");
        result.into_iter().map(|(labels, value)| (labels.to_string(), value)).collect()
    }
}

const ONE: &str = r#"{"name": "R", "query": "max g by host", "operator": ">", "threshold": 5}"#;

use AlertState::{Firing, Resolved};

fn is(expected: &[(&str, AlertState)]) -> Vec<(String, AlertState)> {
    expected.iter().map(|(host, state)| ((*host).to_owned(), *state)).collect()
}

#[test]
fn what_fires_is_handed_over_at_once_and_then_every_minute() {
    let world = World::new(ONE);
    world.gauge("a", 0, 9.0);
    let mut told: Vec<(i64, AlertState)> = Vec::new();
    for seconds in 0..130 {
        if seconds == 100 {
            world.gauge("a", 99, 1.0);
        }
        told.extend(world.round(seconds).into_iter().map(|(_, state)| (seconds, state)));
    }
    assert_eq!(told, [(1, Firing), (60, Firing), (100, Resolved), (120, Resolved)]);
}

#[test]
fn a_resolved_alert_is_told_until_it_is_acknowledged_and_then_never_again() {
    let world = World::new(ONE);
    world.gauge("a", 0, 9.0);
    world.round(1);
    world.gauge("a", 1, 1.0);
    assert_eq!(world.round(2), is(&[("a", Resolved)]));
    assert_eq!(world.round(62), is(&[("a", Resolved)]));
    let mut other = world.alerts();
    other[0].resolved_at = Some(at(1));
    world.rules.acknowledge(&other);
    assert_eq!(world.round(123), is(&[("a", Resolved)]), "that was the end of another life");
    world.rules.acknowledge(&world.alerts());
    assert_eq!(world.round(184), is(&[]));
    assert_eq!(world.alerts().len(), 1, "still shown for a while");
    let World { folder, engine, rules } = world;
    drop(rules);
    let (rules, report) = RuleEngine::open(config(&folder, 1000), &set(ONE), at(190)).expect("opens");
    assert_eq!(report.alerts, 0);
    let world = World { folder, engine, rules };
    assert_eq!(world.round(191), is(&[]));
}

#[test]
fn an_end_nobody_took_is_told_even_when_the_alert_is_pending_again() {
    let text = ONE.replace("\"threshold\": 5", "\"threshold\": 5, \"duration\": \"10s\"");
    let world = World::new(&text);
    world.gauge("a", 0, 9.0);
    for seconds in 1..13 {
        world.round(seconds);
    }
    world.gauge("a", 13, 1.0);
    assert_eq!(world.round(14), is(&[("a", Resolved)]));
    let end = world.alerts();
    world.gauge("a", 14, 9.0);
    assert_eq!(world.round(15), is(&[]));
    assert_eq!(world.alerts()[0].state, AlertState::Pending);
    assert_eq!(world.round(16), is(&[]));
    // The process dies; the series is gone, the pending alert with it; the end is still owed.
    let World { folder, engine, rules } = world;
    drop(rules);
    let (rules, report) = RuleEngine::open(config(&folder, 1000), &set(&text), at(17)).expect("opens");
    assert_eq!(report.alerts, 2);
    let world = World { folder, engine, rules };
    world.gauge("a", 17, 1.0);
    assert_eq!(world.round(18), is(&[("a", Resolved)]));
    assert_eq!(world.alerts(), []);
    world.rules.acknowledge(&end);
    assert_eq!(world.round(90), is(&[]));
}

#[test]
fn the_end_of_a_rule_is_the_end_of_its_alerts() {
    let world = World::new(ONE);
    world.gauge("a", 0, 9.0);
    assert_eq!(world.round(1), is(&[("a", Firing)]));
    world.rules.reload(&RuleSet::default(), DEFAULTS, at(2));
    assert_eq!(world.rules.next_due(at(2)), Some(at(2)));
    let round = world.evaluate(2);
    assert_eq!(round.alerts.iter().map(|alert| alert.resolved_at).collect::<Vec<_>>(), [Some(at(2))]);
    assert_eq!(world.value("max ALERTS alertname=R", 3), [], "its series ended");
    world.rules.acknowledge(&round.alerts);
    assert!(world.evaluate(3).alerts.is_empty());
    assert_eq!(world.rules.next_due(at(4)), None);
}

#[test]
fn alerts_whose_rule_went_while_the_process_was_down_end_too() {
    let world = World::new(ONE);
    world.gauge("a", 0, 9.0);
    assert_eq!(world.round(1), is(&[("a", Firing)]));
    let World { folder, engine, rules } = world;
    drop(rules);
    let (rules, _) = RuleEngine::open(config(&folder, 1000), &RuleSet::default(), at(5)).expect("opens");
    let world = World { folder, engine, rules };
    assert_eq!(world.round(5), is(&[("a", Resolved)]));
}

#[test]
fn a_rule_that_fails_keeps_its_alerts_and_says_why() {
    let text = r#"[{"name": "R", "query": "sum g over 1m by host", "operator": ">", "threshold": 5},
                   {"name": "Good", "query": "max other by host", "operator": ">", "threshold": 5}]"#;
    let world = World::with_limit(text, 12);
    world.gauge("a", 0, 9.0);
    assert_eq!(world.round(1), is(&[("a", Firing)]));
    (1..40).for_each(|seconds| world.gauge("a", seconds, 1.0));
    let round = world.evaluate(40);
    assert_eq!((round.evaluated, round.failed), (2, 1));
    let [group] = world.rules.rules_snapshot().try_into().expect("one group");
    let [failing, good] = group.rules.try_into().expect("two rules");
    assert_eq!((failing.health, failing.state), (Health::Err, RuleState::Firing));
    assert!(failing.last_error.is_some_and(|error| error.contains("more than 12 samples")));
    assert_eq!((good.health, good.state), (Health::Ok, RuleState::Inactive));
    assert_eq!((group.failures, group.iterations), (1, 2));
    assert_eq!(world.rules.stats().failing_rules, 1);
    assert_eq!(world.round(61), is(&[]), "nothing is known, nothing is told");
    assert_eq!(world.round(110), is(&[("a", Resolved)]), "the samples have left the window");
}

#[test]
fn alerts_are_series_until_they_end() {
    let text = ONE.replace("\"threshold\": 5", "\"threshold\": 5, \"duration\": \"10s\"");
    let world = World::new(&text);
    world.gauge("a", 0, 9.0);
    world.round(2);
    assert_eq!(world.value("max ALERTS by alertstate,host", 2), [("{alertstate=\"pending\", host=\"a\"}".into(), 1.0)]);
    (3..13).for_each(|seconds| {
        world.round(seconds);
    });
    assert_eq!(world.value("max ALERTS by alertstate", 13), [("{alertstate=\"firing\"}".into(), 1.0)]);
    let active_at = world.alerts()[0].active_at.millis() as f64 / 1000.0;
    assert_eq!(world.value("max ALERTS_FOR_STATE", 13), [("{}".into(), active_at)]);
    world.gauge("a", 13, 1.0);
    world.round(15);
    assert_eq!(world.value("max ALERTS", 15), []);
    assert_eq!(world.value("max ALERTS_FOR_STATE", 15), []);
}

#[test]
fn late_rounds_are_counted_and_evaluated_once() {
    let world = World::new(ONE);
    world.gauge("a", 0, 9.0);
    world.round(1);
    assert_eq!(world.evaluate(31).evaluated, 1);
    let [group] = world.rules.rules_snapshot().try_into().expect("one group");
    assert_eq!((group.iterations, group.missed), (2, 29));
    assert!(group.last_evaluation.is_some_and(|time| at(30) <= time && time <= at(31)));
    assert_eq!((group.name.as_str(), group.interval_ms), ("group", 1000));
}

#[test]
fn a_journal_that_cannot_be_written_costs_no_alert_and_is_written_later() {
    let world = World::new(ONE);
    // The folder is gone, and a file of its name does not let it come back.
    let dir = world.folder.path().join("rules");
    let journal_before = world.rules.stats().journal_bytes;
    let (aside, blocked) = (world.folder.path().join("aside"), dir.clone());
    world.rules.evaluator.lock().journal.break_for_test();
    std::fs::rename(&dir, &aside).expect("moved");
    std::fs::write(&blocked, "").expect("written");
    world.gauge("a", 0, 9.0);
    assert_eq!(world.round(1), is(&[("a", Firing)]));
    assert_eq!(world.round(2), is(&[]));
    assert_eq!(world.rules.stats().journal_failures, 1, "not tried again at once");
    std::fs::remove_file(&blocked).expect("removed");
    std::fs::rename(&aside, &dir).expect("moved back");
    world.round(10);
    let stats = world.rules.stats();
    assert_eq!((stats.journal_failures, stats.firing), (1, 1));
    assert!(stats.journal_bytes > journal_before);
    let World { folder, engine: _engine, rules } = world;
    drop(rules);
    let (_, report) = RuleEngine::open(config(&folder, 1000), &set(ONE), at(11)).expect("opens");
    assert_eq!(report.alerts, 1);
}

#[test]
fn flapping_does_not_grow_the_journal_without_bound() {
    let world = World::new(ONE);
    for seconds in 0..1500 {
        world.gauge("a", seconds, if seconds % 2 == 0 { 9.0 } else { 1.0 });
        world.evaluate(seconds + 1);
    }
    let bytes = world.rules.stats().journal_bytes;
    assert!(bytes < 256 << 10, "{bytes}");
}
