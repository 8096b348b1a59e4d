//! Prometheus' rule groups over a real engine: what is recorded, when, and when it ends.

use std::sync::Arc;

use watchfire_engine::{Engine, EngineConfig, MetricType, SampleBatch, SeriesKind};
use watchfire_model::{LabelSet, Timestamp};
use watchfire_query_lang::{Limits, LocalMetrics, MetricsRead, parse};
use watchfire_rules::{EngineSink, GroupDefaults, Health, Round, RuleEngine, RuleEngineConfig, RuleSet};

const START: Timestamp = Timestamp::from_millis(1_700_000_040_000);
const DEFAULTS: GroupDefaults = GroupDefaults { check_interval_ms: 1000, query_offset_ms: 0 };

/// A real engine, and rules over it that are evaluated once a second.
struct World {
    _folder: tempfile::TempDir,
    engine: Arc<Engine>,
    rules: RuleEngine,
}

fn at(seconds: i64) -> Timestamp {
    START.plus_millis(seconds * 1000)
}

fn set(text: &str) -> RuleSet {
    RuleSet::load(&[("dir/group.yml", text)]).unwrap_or_else(|errors| panic!("{errors:?}"))
}

impl World {
    fn new(rules: &str) -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let (engine, _) = Engine::open(EngineConfig::new(folder.path().join("engine")), START).expect("opens");
        let dir = folder.path().join("rules");
        let config = RuleEngineConfig { dir, defaults: DEFAULTS, limits: Limits::default() };
        let (rules, _) = RuleEngine::open(config, &set(rules), START).expect("opens");
        World { _folder: folder, engine: Arc::new(engine), rules }
    }

    fn gauge(&self, host: &str, seconds: i64, value: f64) {
        let labels = LabelSet::from_pairs([("__name__", "g"), ("host", host)]).expect("valid");
        let mut batch = SampleBatch::new(at(seconds));
        let series = batch.series(SeriesKind::Samples(MetricType::Gauge), &labels);
        batch.push(series, at(seconds), value);
        self.engine.append_samples(&batch).expect("appended");
    }

    /// All groups are evaluated once, and what they gave is in the store.
    fn round(&self, seconds: i64) -> Round {
        let (metrics, sink) = (LocalMetrics::new(self.engine.clone()), EngineSink::new(self.engine.clone()));
        let mut round = self.rules.evaluate_due(at(seconds), &metrics, &sink);
        round.unwritten.write(&sink).expect("written");
        round
    }

    /// Series and values of a query, as text.
    fn ask(&self, query: &str, seconds: i64) -> Vec<String> {
        let query = parse(query).expect("a query");
        let metrics = LocalMetrics::new(self.engine.clone());
        let found = metrics.instant(&query, at(seconds), &Limits::default()).expect("a result");
        found.into_iter().map(|(labels, value)| format!("{labels} {value}")).collect()
    }

    fn errors(&self) -> Vec<String> {
        let groups = self.rules.rules_snapshot();
        groups.into_iter().flat_map(|group| group.rules).filter_map(|rule| rule.last_error).collect()
    }
}

const CHAIN: &str = r#"
groups:
- name: chain
  labels: {team: a}
  rules:
  - {record: "g:max", expr: "max by (host) (g)", labels: {kind: m}}
  - {record: "g:total", expr: "sum({__name__=~\"g:m.*\"})"}
  - {alert: Full, expr: "g:total > 10", annotations: {summary: "at {{ $value }}"}}
  - {record: "g:alerts", expr: "count(ALERTS{alertstate=\"firing\"})"}
  - {record: "g:time", expr: "vector(time())"}
"#;

#[test]
fn a_later_rule_sees_what_an_earlier_one_gave() {
    let world = World::new(CHAIN);
    world.gauge("a", 1, 5.0);
    world.gauge("b", 1, 6.0);
    let round = world.round(2);
    assert_eq!((round.evaluated, round.failed), (5, 0), "{:?}", world.errors());
    assert_eq!(
        world.ask("g:max", 2),
        [r#"g:max{host="a", kind="m", team="a"} 5"#, r#"g:max{host="b", kind="m", team="a"} 6"#]
    );
    assert_eq!(world.ask("g:total", 2), [r#"g:total{team="a"} 11"#]);
    let [alert] = round.alerts.as_slice() else { panic!("one alert: {:?}", round.alerts) };
    assert_eq!(alert.labels.to_string(), r#"{alertname="Full", team="a"}"#);
    assert_eq!(alert.annotations, [("summary".to_owned(), "at 11".to_owned())]);
    assert_eq!(world.ask("g:alerts", 2), [r#"g:alerts{team="a"} 1"#]);
    // All rules of a group are asked at one time, that of the samples.
    assert_eq!(world.ask("g:time - timestamp(g:time)", 2), [r#"{team="a"} 0"#]);
}

#[test]
fn a_series_that_a_rule_gives_no_more_ends_at_once() {
    let world = World::new("groups: [{name: a, rules: [{record: r, expr: 'g > 5'}]}]");
    world.gauge("a", 1, 7.0);
    world.gauge("b", 1, 8.0);
    world.round(2);
    assert_eq!(world.ask("count(r)", 2), ["{} 2"]);
    world.gauge("b", 3, 1.0);
    world.round(4);
    assert_eq!(world.ask("r", 4), [r#"r{host="a"} 7"#]);
    // With its rule the rest ends too.
    world.rules.reload(&RuleSet::default(), DEFAULTS, at(5));
    world.round(6);
    assert_eq!(world.ask("r", 6), Vec::<String>::new());
}

#[test]
fn what_a_reload_leaves_goes_on() {
    let rules = "groups: [{name: a, rules: [{record: r, expr: 'g'}]}]";
    let world = World::new(rules);
    world.gauge("a", 1, 7.0);
    world.round(2);
    world.rules.reload(&set(rules), DEFAULTS, at(3));
    world.round(4);
    assert_eq!(world.ask("count_over_time(r[10s])", 4), [r#"{host="a"} 2"#]);
    // The same name over another query: what it does not give any more ends.
    world.rules.reload(&set(&rules.replace("'g'", "'g > 100'")), DEFAULTS, at(5));
    world.round(6);
    assert_eq!(world.ask("r", 6), Vec::<String>::new());
}

#[test]
fn a_rule_that_cannot_record_says_why_and_leaves_the_others() {
    let rules = r#"
groups:
- name: a
  limit: 1
  rules:
  - {record: twins, expr: "g", labels: {host: ""}}
  - {record: many, expr: "g"}
  - {alert: Many, expr: "g"}
  - {record: one, expr: "sum(g)"}
"#;
    let world = World::new(rules);
    world.gauge("a", 1, 5.0);
    world.gauge("b", 1, 6.0);
    let round = world.round(2);
    assert_eq!((round.evaluated, round.failed, round.alerts.len()), (4, 3, 0));
    let errors = world.errors();
    for (error, part) in errors.iter().zip(["the same series", "2 series", "2 alerts"]) {
        assert!(error.contains(part), "{errors:?}");
    }
    assert_eq!(world.ask("{__name__=~\"twins|many|one\"}", 2), ["one 11"]);
    let health: Vec<Health> = world.rules.rules_snapshot()[0].rules.iter().map(|rule| rule.health).collect();
    assert_eq!(health, [Health::Err, Health::Err, Health::Err, Health::Ok]);
}

#[test]
fn an_offset_asks_and_writes_in_the_past() {
    let world = World::new("groups: [{name: a, query_offset: 10s, rules: [{record: r, expr: 'g'}]}]");
    world.gauge("a", 1, 5.0);
    world.gauge("a", 19, 6.0);
    world.round(20);
    // One evaluation, for the newest of its times.
    assert_eq!(world.ask("r", 10), [r#"r{host="a"} 5"#]);
    let newest = world.ask("timestamp(r)", 20);
    let newest: f64 = newest[0].rsplit(' ').next().and_then(|text| text.parse().ok()).expect("a time");
    let expected = (at(20).millis() - 10_000) as f64 / 1000.0;
    assert!(newest <= expected && newest > expected - 1.0, "{newest}, not about {expected}");
}

#[test]
fn examples_load() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("the examples are there").flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "yml") {
            let text = std::fs::read_to_string(&path).expect("it can be read");
            let rules = RuleSet::load(&[(&path, text)]).unwrap_or_else(|errors| panic!("{errors:?}"));
            assert!(rules.rule_count() > 0);
            seen += 1;
        }
    }
    assert!(seen > 0);
}

#[test]
fn what_rules_have_in_common_is_not_older_than_what_they_record() {
    let rules = r#"
groups:
- name: a
  rules:
  - {record: "g:sum", expr: "sum(g)"}
  - {record: "before", expr: "sum({__name__=~\"g.*\"}) + 0"}
  - {record: "g:more", expr: "sum(g) * 100"}
  - {record: "after", expr: "sum({__name__=~\"g.*\"}) + 0"}
"#;
    let world = World::new(rules);
    world.gauge("a", 1, 1.0);
    let round = world.round(2);
    assert_eq!(round.failed, 0, "{:?}", world.errors());
    assert_eq!(world.ask("before", 2), ["before 2"]);
    assert_eq!(world.ask("after", 2), ["after 102"]);
    // The next round asks anew.
    world.gauge("a", 3, 2.0);
    world.round(4);
    assert_eq!(world.ask("before", 4), ["before 104"]);
    assert_eq!(world.ask("after", 4), ["after 204"]);
}

#[test]
fn a_rule_whose_samples_are_refused_says_so_alone() {
    // Both give one series at one time, with other values.
    let rules = "groups: [{name: a, rules: [{record: r, expr: vector(1)}, {record: r, expr: vector(2)}, {record: s, expr: vector(3)}]}]";
    let world = World::new(rules);
    let (metrics, sink) = (LocalMetrics::new(world.engine.clone()), EngineSink::new(world.engine.clone()));
    let mut round = world.rules.evaluate_due(at(2), &metrics, &sink);
    assert!(round.unwritten.write(&sink).is_err());
    let health: Vec<Health> = world.rules.rules_snapshot()[0].rules.iter().map(|rule| rule.health).collect();
    assert_eq!(health, [Health::Err, Health::Err, Health::Ok]);
    assert_eq!(world.ask("s", 2), ["s 3"]);
}
