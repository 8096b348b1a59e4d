//! A run over the past, against a real engine: what is read in stretches is what is read moment by moment, and alerts go the
//! way that the rules say.

use std::sync::Arc;

use watchfire_engine::{Engine, EngineConfig, FamilyInfo, MetricInfo, MetricType, SampleBatch, SeriesKind, TimeRange};
use watchfire_model::{LabelSet, Matcher, Timestamp};
use watchfire_query_lang::{
    Answer, Asked, EvalError, Limits, LocalMetrics, MetricsRead, Query, RangeSeries, RangeSteps,
};
use watchfire_rehearsal::backtest::{BacktestError, Episode, Outcome, Span, run};
use watchfire_rules::{GroupDefaults, RuleSet};

const START: Timestamp = Timestamp::from_millis(1_700_000_040_000);
const MINUTES: i64 = 240;

/// Four hours of rooms that get warm and cold, one with a gap, and of counters that are reset.
fn engine(folder: &tempfile::TempDir) -> Arc<Engine> {
    let end = START.plus_millis(MINUTES * 60_000);
    let config = EngineConfig { out_of_order_ms: i64::MAX / 4, is_durable: false, ..EngineConfig::new(folder.path()) };
    let engine = Engine::open(config, end).expect("an engine").0;
    let mut batch = SampleBatch::new(end);
    for (number, room) in ["attic", "cellar", "kitchen"].into_iter().enumerate() {
        let labels = LabelSet::from_pairs([("__name__", "room"), ("room", room)]).expect("valid");
        let series = batch.series(SeriesKind::Samples(MetricType::Gauge), &labels);
        let counted = batch.series(SeriesKind::Samples(MetricType::Counter), &labels.with("__name__", "opened_total"));
        for nth in 0..MINUTES * 4 {
            let at = START.plus_millis(nth * 15_000);
            let is_gone = number == 1 && (300..420).contains(&nth);
            if !is_gone {
                batch.push(series, at, 20.0 + 10.0 * (nth as f64 / 40.0 + number as f64).sin());
            }
            batch.push(counted, at, (nth % 333) as f64);
        }
    }
    assert_eq!(engine.append_samples(&batch).expect("appended").rejected, []);
    Arc::new(engine)
}

const JSON: &str = r#"[
  {"name": "Warm", "query": "max room by room", "threshold": 27, "operator": ">", "duration": "3m", "resolve_threshold": 24},
  {"name": "Cold", "query": "min room", "threshold": 11, "operator": "<", "duration": "0s", "interval": "30s"},
  {"name": "Gone", "query": "avg room room=cellar", "threshold": 99, "operator": ">", "duration": "0s", "no_data": "alert"}
]"#;
const YAML: &str = "groups:
- name: even
  interval: 1m
  query_offset: 30s
  rules:
  - {alert: Opened, expr: 'increase(opened_total[10m]) > 30', for: 2m, keep_firing_for: 5m, labels: {value: '{{ $value | humanize }}'}}
  - {alert: Same, expr: 'max by (room) (room) > 29'}
  - {alert: Range, expr: 'sum_over_time(room[5m:30s]) > 280 and room @ end() < 99'}
- name: other
  interval: 45s
  rules:
  - {alert: Same, expr: 'max by (room) (room) > 29'}
  - {record: room:max, expr: max(room)}
  - {alert: Recorded, expr: 'room:max > 1'}
";

fn rules() -> RuleSet {
    RuleSet::load(&[("rules.json", JSON), ("rules.yml", YAML)]).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn span(minutes: i64) -> Span {
    let defaults = GroupDefaults { check_interval_ms: 20_000, query_offset_ms: 0 };
    Span { start: START, end: START.plus_millis(minutes * 60_000), defaults, limits: Limits::default() }
}

/// Answers moments only.
struct Moments(LocalMetrics);

impl MetricsRead for Moments {
    fn instant(&self, query: &Query, at: Timestamp, limits: &Limits) -> Result<Vec<(LabelSet, f64)>, EvalError> {
        self.0.instant(query, at, limits)
    }

    fn range(&self, _: &Query, _: RangeSteps, limits: &Limits) -> Result<Vec<RangeSeries>, EvalError> {
        Err(EvalError::Samples { limit: limits.samples_max })
    }

    fn answer(&self, query: &Query, asked: Asked, limits: &Limits) -> Result<Answer, EvalError> {
        self.0.answer(query, asked, limits)
    }

    fn promql(&self, query: &Query, asked: Asked) -> Option<String> {
        self.0.promql(query, asked)
    }

    fn series(&self, selectors: &[Vec<Matcher>], range: Option<TimeRange>) -> Result<Vec<LabelSet>, EvalError> {
        self.0.series(selectors, range)
    }

    fn label_names(&self, selectors: &[Vec<Matcher>], range: Option<TimeRange>) -> Result<Vec<String>, EvalError> {
        self.0.label_names(selectors, range)
    }

    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        range: Option<TimeRange>,
    ) -> Result<Vec<String>, EvalError> {
        self.0.label_values(name, selectors, range)
    }

    fn metrics(&self, prefix: &str) -> Result<Vec<MetricInfo>, EvalError> {
        self.0.metrics(prefix)
    }

    fn families(&self, prefix: &str) -> Result<Vec<FamilyInfo>, EvalError> {
        self.0.families(prefix)
    }
}

fn of_rule<'o>(outcome: &'o Outcome, rule: &str) -> Vec<&'o Episode> {
    outcome.episodes.iter().filter(|episode| episode.rule == rule).collect()
}

#[test]
fn stretches_give_what_moments_give() {
    let folder = tempfile::tempdir().expect("a folder");
    let metrics = LocalMetrics::new(engine(&folder));
    let (rules, span) = (rules(), span(MINUTES));
    let fast = run(&rules, &span, &metrics).expect("it runs");
    let slow = run(&rules, &span, &Moments(metrics)).expect("it runs");
    assert_eq!(fast.evaluations, slow.evaluations);
    assert_eq!(fast.failures, []);
    assert_eq!(fast.missing, ["room:max"], "what the rules record is not there");
    assert_eq!(fast.episodes.len(), slow.episodes.len());
    for (fast, slow) in fast.episodes.iter().zip(&slow.episodes) {
        // As text: the value of an alert without data is NaN.
        assert_eq!(format!("{fast:?}"), format!("{slow:?}"));
    }
    for rule in ["Warm", "Cold", "Gone", "Opened", "Same", "Range"] {
        assert!(!of_rule(&fast, rule).is_empty(), "{rule} does nothing");
    }
    assert!(of_rule(&fast, "Recorded").is_empty());
    for episode in &fast.episodes {
        let times = [Some(episode.pending_at), episode.firing_at, episode.resolved_at];
        assert!(times.iter().flatten().is_sorted() && episode.evaluations > 0, "{episode:?}");
    }
    let warm = of_rule(&fast, "Warm");
    assert!(warm.iter().all(|episode| (27.0..=30.0).contains(&episode.peak)), "{warm:?}");
    let waits: Vec<i64> = warm.iter().filter_map(|one| Some(one.firing_at?.since(one.pending_at))).collect();
    assert!(waits.len() > 3 && waits.iter().all(|wait| *wait == 180_000), "{warm:?}");
    assert!(of_rule(&fast, "Cold").iter().all(|episode| episode.peak < 11.0), "the lowest is the furthest");
    let gone = of_rule(&fast, "Gone");
    assert!(gone.iter().all(|one| one.firing_at == Some(one.pending_at)), "{gone:?}");
}

#[test]
fn a_run_is_bounded_and_ends_when_nobody_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let metrics = LocalMetrics::new(engine(&folder));
    let mut long = span(MINUTES * 365 * 24);
    long.defaults.check_interval_ms = 100;
    assert!(matches!(run(&rules(), &long, &metrics), Err(BacktestError::TooMany { .. })));
    let left = span(MINUTES);
    left.limits.cancel.cancel();
    assert_eq!(run(&rules(), &left, &metrics).err(), Some(BacktestError::Stopped));
    let failing = RuleSet::load(&[("f.yml", "groups: [{name: f, rules: [{alert: F, expr: 'room + on () room'}]}]")]);
    let outcome = run(&failing.expect("rules"), &span(10), &metrics).expect("it runs");
    let [(rule, times, why)] = &outcome.failures[..] else { panic!("{outcome:?}") };
    assert!(rule == "F" && *times == outcome.evaluations && why.contains("matching"), "{outcome:?}");
}
