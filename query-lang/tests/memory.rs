//! What evaluations take in memory: series that live short over a long range, and many evaluations at once.

use watchfire_engine::{Engine, EngineConfig, MetricType, SampleBatch, SeriesKind};
use watchfire_model::{LabelSet, Timestamp};
use watchfire_query_lang::{
    Answer, Asked, EvalError, Limits, Outcome, QueryMemory, RangeSteps, answer, evaluate_range, parse,
};

const START: i64 = 1_700_000_040_000;
const MINUTE: i64 = 60_000;
/// Pods that live one after another, `ALIVE` at a time, for so many minutes each.
const PODS: i64 = 600;
const LIFE: i64 = 6;
const ALIVE: i64 = 2;
const MINUTES: i64 = PODS / ALIVE * LIFE;

fn engine(dir: &std::path::Path) -> Engine {
    let mut config = EngineConfig::new(dir);
    (config.out_of_order_ms, config.retention_ms, config.memory_ms) = (i64::MAX / 4, i64::MAX / 4, i64::MAX / 4);
    let end = Timestamp::from_millis(START + MINUTES * MINUTE);
    let engine = Engine::open(config, end).expect("opens").0;
    let mut batch = SampleBatch::new(end);
    for pod in 0..PODS {
        let name = format!("pod-{pod}");
        let labels = LabelSet::from_pairs([("__name__", "requests_total"), ("pod", &name)]).expect("valid");
        let series = batch.series(SeriesKind::Samples(MetricType::Counter), &labels);
        let born = START + pod / ALIVE * LIFE * MINUTE;
        for sample in 0..LIFE * 4 {
            let value = (sample * (pod % 7 + 1)) as f64;
            batch.push(series, Timestamp::from_millis(born + sample * MINUTE / 4), value);
        }
    }
    let report = engine.append_samples(&batch).expect("takes them");
    assert_eq!(report.accepted, (PODS * LIFE * 4) as u64);
    engine
}

fn range() -> RangeSteps {
    RangeSteps {
        start: Timestamp::from_millis(START),
        end: Timestamp::from_millis(START + MINUTES * MINUTE),
        step_ms: MINUTE,
    }
}

fn ask(engine: &Engine, text: &str, limits: &Limits) -> Result<Answer, EvalError> {
    answer(&parse(text).expect("valid"), engine, Asked::Range(range()), limits)
}

#[test]
fn series_that_live_short_cost_what_they_have() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = engine(dir.path());
    // Columns of all steps would take 8 MB.
    let small = Limits { memory_max_bytes: 2 << 20, part_bytes: 1 << 20, ..Limits::default() };
    for text in [
        "requests_total",
        "sum by (pod) (rate(requests_total[5m]))",
        "sum by (pod) (rate(requests_total[5m])) / sum by (pod) (rate(requests_total[10m]))",
        "max_over_time(sum by (pod) (rate(requests_total[5m]))[10m:1m])",
    ] {
        let query = parse(text).expect("valid");
        let whole = evaluate_range(&query, &engine, range(), &Limits::default()).expect("has room");
        let parts = evaluate_range(&query, &engine, range(), &small).expect("has room, in parts");
        assert_eq!(whole.len(), PODS as usize, "{text}");
        assert!(whole == parts, "{text}");
        let at_once = Limits { part_bytes: u64::MAX, ..small.clone() };
        assert_eq!(
            evaluate_range(&query, &engine, range(), &at_once).map(|series| series.len()),
            Ok(whole.len()),
            "{text}"
        );
    }
    // To count samples by step takes no more of a limit than the evaluation did.
    for text in [
        "requests_total",
        "sum by (pod) (rate(requests_total[5m]))",
        "max_over_time(max_over_time(sum by (pod) (rate(requests_total[5m]))[10m:1m])[5m:1m])",
        "max_over_time(requests_total[10m:1m]) + max_over_time(requests_total[10m:1m])",
    ] {
        let counted = ask(&engine, text, &Limits { by_step: true, ..Limits::default() }).expect("has room");
        let samples_max = counted.samples_read;
        let limits = Limits { samples_max, by_step: true, ..Limits::default() };
        assert_eq!(ask(&engine, text, &limits).expect("as many are read").by_step, counted.by_step, "{text}");
        let looked_at = counted.by_step.expect("counted").queryable;
        assert!(looked_at.len() as i64 == MINUTES + 1 && looked_at.iter().all(|many| *many < 1000), "{looked_at:?}");
        let too_few = Limits { samples_max: samples_max - 1, by_step: true, ..Limits::default() };
        assert_eq!(ask(&engine, text, &too_few).err(), Some(EvalError::Samples { limit: samples_max - 1 }), "{text}");
    }
    // One moment that looks back at all of it.
    let text = "max_over_time(sum by (pod) (rate(requests_total[5m]))[60h:1m])";
    let end = Asked::Instant(range().end);
    let last = answer(&parse(text).expect("valid"), &engine, end, &small).expect("has room");
    let Outcome::Vector(series) = last.outcome else { panic!("{:?}", last.outcome) };
    assert_eq!(series.len(), PODS as usize);
    // What is too much in parts, too.
    let tiny = Limits { memory_max_bytes: 100_000, ..small };
    assert_eq!(ask(&engine, "requests_total", &tiny), Err(EvalError::Memory { limit: 100_000 }));
}

#[test]
fn evaluations_share_what_there_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = engine(dir.path());
    let most = 8 << 20;
    let memory = QueryMemory::new(most);
    let limits = Limits { memory: Some(memory.clone()), part_bytes: 2 << 20, ..Limits::default() };
    let mut held = Vec::new();
    let refused = loop {
        match ask(&engine, "last_over_time(requests_total[2h])", &limits) {
            Ok(answer) => held.push(answer),
            Err(error) => break error,
        }
        assert!(held.len() < 1000, "{} answers are held and take {} bytes", held.len(), memory.taken());
    };
    assert_eq!(refused, EvalError::Busy { limit: most });
    assert!(memory.taken() > 0);
    held.clear();
    assert_eq!(memory.taken(), 0, "who is answered gives it back");
    ask(&engine, "requests_total", &limits).expect("there is room again");
    let alone = Limits { memory: Some(QueryMemory::new(0)), ..limits };
    assert_eq!(ask(&engine, "last_over_time(requests_total[2h])", &alone).err(), Some(EvalError::Memory { limit: 0 }));
}

#[test]
fn values_that_queries_make_for_labels_are_counted_and_limited() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = engine(dir.path());
    let at = Asked::Instant(Timestamp::from_millis(START + MINUTE));
    let ask = |text: &str, limits: &Limits| answer(&parse(text).expect("valid"), &engine, at, limits);
    let doubled = |times: usize| {
        let begin = "label_replace(".repeat(times);
        format!("{begin}requests_total{}", r#", "pod", "$1$1", "pod", "(.*)")"#.repeat(times))
    };
    assert!(ask(&doubled(10), &Limits::default()).is_ok());
    let too_long = ask(&doubled(40), &Limits::default()).expect_err("pods with names of terabytes");
    assert!(too_long.to_string().contains("`label_replace` makes a value of up to "), "{too_long}");
    let small = Limits { memory_max_bytes: 2 << 20, ..Limits::default() };
    assert_eq!(ask(&doubled(17), &small), Err(EvalError::Memory { limit: 2 << 20 }));
    let joined = |many: usize| {
        let sources = r#", "pod""#.repeat(many);
        format!(r#"label_join(label_join(requests_total, "pod", "-"{sources}), "pod", "-"{sources})"#)
    };
    assert!(ask(&joined(30), &Limits::default()).is_ok());
    let smaller = Limits { memory_max_bytes: 512 << 10, ..Limits::default() };
    assert_eq!(ask(&joined(300), &smaller), Err(EvalError::Memory { limit: 512 << 10 }));
    let too_long = ask(&joined(3000), &Limits::default()).expect_err("pods with names of megabytes");
    assert!(too_long.to_string().contains("`label_join` makes a value of up to "), "{too_long}");
}
