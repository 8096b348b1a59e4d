//! CPU time of one round over many short-form rules, against a real engine: `cargo bench -p watchfire-rules`.
//!
//! 10,000 rules, each over one, then over ten series of increments in a window of five minutes; first quiet,
//! then all firing. The first round in which they fire includes the journal and the hand-over.

use std::sync::Arc;

use watchfire_engine::{Derived, Engine, EngineConfig, Increment, SourcePosition};
use watchfire_model::{LabelSet, Timestamp};
use watchfire_query_lang::{Limits, LocalMetrics};
use watchfire_rules::{EngineSink, GroupDefaults, RuleEngine, RuleEngineConfig, RuleSet};

const START: Timestamp = Timestamp::from_millis(1_700_000_040_000);
const RULES: usize = 10_000;
const SERIES: usize = 10_000;

/// CPU time of this thread, in nanoseconds.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn engine(folder: &std::path::Path) -> Engine {
    let (engine, _) = Engine::open(EngineConfig::new(folder.join("engine")), START).expect("an engine");
    let labels: Vec<LabelSet> = (0..SERIES)
        .map(|n| {
            let (service, host) = (format!("svc{}", n / 10), format!("h{n}"));
            let pairs = [("__name__", "errors_total"), ("service", &service), ("host", &host)];
            LabelSet::from_pairs(pairs).expect("valid labels")
        })
        .collect();
    for second in 0..300u64 {
        let source =
            SourcePosition { queue: "q".into(), epoch: 1, partition: 0, first_offset: second, next_offset: second + 1 };
        let mut derived = Derived::new(source);
        let at = START.plus_millis(second as i64 * 1000 + 500);
        derived.increments.extend(labels.iter().skip(second as usize % 5).step_by(5).map(|labels| Increment {
            labels: labels.clone(),
            at,
            count: 1.0,
            late: false,
        }));
        engine.apply(&derived).expect("applied");
    }
    engine
}

fn rules(selector: impl Fn(usize) -> String, threshold: u32) -> RuleSet {
    let rules: Vec<String> = (0..RULES)
        .map(|n| {
            format!(
                r#"{{"name": "R{n}", "query": "sum errors_total {} over 5m", "operator": ">", "threshold": {threshold},
                    "labels": {{"severity": "page"}}, "annotations": {{"summary": "{{{{ $value }}}} errors"}}}}"#,
                selector(n)
            )
        })
        .collect();
    RuleSet::load(&[("bench.json", format!("[{}]", rules.join(",")))]).expect("valid rules")
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Arc::new(engine(folder.path()));
    let metrics = LocalMetrics::new(Arc::clone(&engine));
    let sink = EngineSink::new(engine);
    let one = |n: usize| format!("host=h{}", n % SERIES);
    let ten = |n: usize| format!("service=svc{}", n % (SERIES / 10));
    println!("{RULES} short-form rules over {SERIES} series of increments, window 5 min");
    for (what, selector) in [("one series", &one as &dyn Fn(usize) -> String), ("ten series", &ten)] {
        for (state, threshold) in [("quiet", 1_000_000), ("firing", 1)] {
            let dir = folder.path().join(format!("{what} {state}"));
            let defaults = GroupDefaults { check_interval_ms: 1000, query_offset_ms: 0 };
            let config = RuleEngineConfig { dir, defaults, limits: Limits::default() };
            let now = START.plus_millis(300_000);
            let (engine, _) = RuleEngine::open(config, &rules(selector, threshold), now).expect("opens");
            let mut figures = Vec::new();
            for round in 1..=7 {
                let before = cpu_ns();
                let round = engine.evaluate_due(now.plus_millis(round * 1000), &metrics, &sink);
                assert_eq!((round.evaluated, round.failed), (RULES, 0));
                figures.push((cpu_ns() - before) as f64 / 1e6);
            }
            let first = figures.remove(0);
            figures.sort_by(f64::total_cmp);
            println!("each {what}, {state}: first round {first:.0} ms, then median {:.0} ms of CPU", figures[3]);
        }
    }
}
