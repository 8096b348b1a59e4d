//! What came late is right in graphs, and unseen by who asks for live numbers only (API.md, 4).

use watchfire_engine::{Derived, Engine, EngineConfig, Increment, Observation, SourcePosition};
use watchfire_model::{LabelSet, Timestamp};
use watchfire_query_lang::{Limits, evaluate_instant, parse};

const NOW: i64 = 1_700_000_000_000;

/// (service, value)
type Rows = &'static [(&'static str, f64)];

fn labels(metric: &str, service: &str) -> LabelSet {
    LabelSet::from_pairs([("__name__", metric), ("service", service)]).expect("valid")
}

/// `api` has live and late events and observations, `old` only late ones.
fn engine(dir: &std::path::Path) -> Engine {
    let engine = Engine::open(EngineConfig::new(dir), Timestamp::from_millis(NOW)).expect("opens").0;
    let source = SourcePosition { queue: "logs".into(), epoch: 1, partition: 0, first_offset: 0, next_offset: 1 };
    let mut derived = Derived::new(source);
    for (service, late, count, value) in [("api", false, 2.0, 10.0), ("api", true, 5.0, 90.0), ("old", true, 7.0, 90.0)]
    {
        let at = Timestamp::from_millis(NOW - 60_000);
        derived.increments.push(Increment { labels: labels("events", service), at, count, late });
        derived.observations.push(Observation { labels: labels("took", service), at, value, late });
    }
    engine.apply(&derived).expect("applies");
    engine
}

fn ask(engine: &Engine, text: &str, live_only: bool) -> Vec<(String, f64)> {
    let limits = Limits { live_only, ..Limits::default() };
    let rows = evaluate_instant(&parse(text).expect("valid"), engine, Timestamp::from_millis(NOW), &limits);
    let service = |labels: &LabelSet| labels.get("service").unwrap_or_default().to_owned();
    rows.expect("evaluates").iter().map(|(labels, value)| (service(labels), value.round())).collect()
}

#[test]
fn late_numbers_are_in_graphs_and_not_in_rules() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = engine(dir.path());
    let rows = |rows: Rows| rows.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect::<Vec<_>>();
    let cases: [(&str, Rows, Rows); 9] = [
        ("sum events over 1h", &[("", 14.0)], &[("", 2.0)]),
        ("sum events over 1h by service", &[("api", 7.0), ("old", 7.0)], &[("api", 2.0)]),
        // Quiet, but there: 0. Never live: not there at all, so `== 0` does not fire.
        ("sum events over 30s by service", &[("api", 0.0), ("old", 0.0)], &[("api", 0.0)]),
        ("max events over 1h", &[("", 7.0)], &[("", 2.0)]),
        ("increase(events[1h])", &[("api", 7.0), ("old", 7.0)], &[("api", 2.0)]),
        ("count(increase(events[1h]))", &[("", 2.0)], &[("", 1.0)]),
        ("count took over 1h by service", &[("api", 2.0), ("old", 1.0)], &[("api", 1.0)]),
        ("count took over 30s by service", &[("api", 0.0), ("old", 0.0)], &[("api", 0.0)]),
        ("p99 took over 1h by service", &[("api", 90.0), ("old", 90.0)], &[("api", 10.0)]),
    ];
    for (text, all, live) in cases {
        assert_eq!(ask(&engine, text, false), rows(all), "{text}");
        assert_eq!(ask(&engine, text, true), rows(live), "{text}, live only");
    }
}
