//! Extraction by cases, and against a recount.

use std::collections::BTreeMap;

use proptest::prelude::*;
use watchfire_model::record::Fields;
use watchfire_model::{Level, LogRecord, Value};

use super::*;

/// 2023-11-14T22:13:20Z
const NOW: i64 = 1_700_000_000_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn record(service: &str, level: Level, fields: &[(&str, Value)]) -> LogRecord {
    let fields: Fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    LogRecord {
        service: service.to_owned(),
        level,
        timestamp: at(NOW),
        accepted_at: at(NOW),
        message: "m".to_owned(),
        received_bytes: 10,
        fields,
        ..LogRecord::default()
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn source(first_offset: u64, count: usize) -> SourcePosition {
    SourcePosition {
        queue: "q".to_owned(),
        epoch: 1,
        partition: 0,
        first_offset,
        next_offset: first_offset + count as u64,
    }
}

fn extract(extractor: &mut Extractor, records: &[LogRecord]) -> (Derived, BatchReport) {
    let bytes: Vec<Vec<u8>> = records
        .iter()
        .map(|record| {
            let mut out = Vec::new();
            record.encode(&mut out);
            out
        })
        .collect();
    extractor.extract(source(5, records.len()), bytes.iter().map(Vec::as_slice))
}

fn plain() -> Extractor {
    Extractor::new(&[], 600_000, at(NOW)).expect("no rules, no mistakes")
}

fn rule(metric: &str, kind: RuleKind, matching: &str) -> RuleConfig {
    RuleConfig {
        metric: metric.to_owned(),
        kind,
        matching: matching.to_owned(),
        labels: Vec::new(),
        value: None,
        max_series: 1000,
    }
}

/// Counts by series and time, `series @ ms[ late] = count`.
fn counts(derived: &Derived) -> Vec<String> {
    let mut lines: Vec<String> = derived
        .increments
        .iter()
        .map(|Increment { labels, at, count, late }| {
            format!("{labels} @ {}{} = {count}", at.millis() - NOW, if *late { " late" } else { "" })
        })
        .collect();
    lines.sort();
    lines
}

fn observed(derived: &Derived) -> Vec<String> {
    derived.observations.iter().map(|seen| format!("{} = {}", seen.labels, seen.value)).collect()
}

#[test]
fn every_record_is_counted_by_service_level_and_bytes() {
    let (derived, report) = extract(
        &mut plain(),
        &[
            record("api", Level::Info, &[]),
            record("api", Level::Error, &[]),
            record("db", Level::Fatal, &[]),
            record("api", Level::Info, &[]),
        ],
    );
    assert_eq!(
        counts(&derived),
        [
            r#"error_count{service="api"} @ 0 = 1"#,
            r#"error_count{service="db"} @ 0 = 1"#,
            r#"log_bytes_total{service="api"} @ 0 = 30"#,
            r#"log_bytes_total{service="db"} @ 0 = 10"#,
            r#"log_events_total{level="error", service="api"} @ 0 = 1"#,
            r#"log_events_total{level="fatal", service="db"} @ 0 = 1"#,
            r#"log_events_total{level="info", service="api"} @ 0 = 2"#,
        ]
    );
    assert_eq!((report, derived.source.next_offset), (BatchReport::default(), 9));
}

#[test]
fn seconds_are_left_open_and_late_records_keep_their_own_time() {
    let mut records = vec![record("a", Level::Info, &[]); 5];
    for (record, (accepted, own)) in
        records.iter_mut().zip([(0, 0), (1, 1), (1000, 0), (1001, -598_999), (1000, -599_001)])
    {
        record.accepted_at = at(NOW + accepted);
        record.timestamp = at(NOW + own);
    }
    let (derived, report) = extract(&mut plain(), &records);
    let events: Vec<String> = counts(&derived).into_iter().filter(|line| line.starts_with("log_events")).collect();
    let series = r#"log_events_total{level="info", service="a"}"#;
    assert_eq!(
        events,
        [
            format!("{series} @ -599000 late = 1"),
            format!("{series} @ 0 = 1"),
            format!("{series} @ 1000 = 2"),
            format!("{series} @ 2000 = 1"),
        ]
    );
    assert_eq!(report.late, 1);
}

#[test]
fn request_durations_by_route() {
    type Case<'a> = (&'a [(&'a str, Value)], Option<&'a str>, u64);
    let cases: [Case<'_>; 12] = [
        (
            &[("duration_ms", Value::Float(12.5)), ("path", text("/a/42"))],
            Some(r#"{route="/a/:id", service="s"} = 12.5"#),
            0,
        ),
        (
            &[("latency_ms", Value::Int(7)), ("route", text("/a/{id}")), ("path", text("/a/42"))],
            Some(r#"{route="/a/{id}", service="s"} = 7"#),
            0,
        ),
        (&[("response_time_ms", text("9"))], Some(r#"{service="s"} = 9"#), 0),
        (&[("elapsed_ms", Value::Int(3)), ("duration_ms", Value::Int(4))], Some(r#"{service="s"} = 4"#), 0),
        (
            &[("request_time", Value::Float(0.25)), ("url", text("https://x/b?c"))],
            Some(r#"{route="/b", service="s"} = 250"#),
            0,
        ),
        (&[("duration_s", Value::Int(2))], Some(r#"{service="s"} = 2000"#), 0),
        (&[("duration_ms", Value::Int(-1))], None, 1),
        (&[("response_time_ms", Value::Float(-0.5))], None, 1),
        (&[("duration_ms", text("fast"))], None, 1),
        (&[("duration_ms", Value::Null)], None, 0),
        (&[("duration_ms", Value::Null), ("latency_ms", Value::Int(7))], Some(r#"{service="s"} = 7"#), 0),
        (&[("path", text("/a"))], None, 0),
    ];
    for (fields, expected, unusable) in cases {
        let (derived, report) = extract(&mut plain(), &[record("s", Level::Info, fields)]);
        assert_eq!(report.unusable, unusable, "{fields:?}");
        let expected: Vec<String> = expected.iter().map(|text| format!("request_duration_ms{text}")).collect();
        assert_eq!(observed(&derived), expected, "{fields:?}");
    }
}

#[test]
fn routes_per_service_are_limited_also_by_what_was_known() {
    let mut extractor = plain();
    extractor.know_route("s", "/known");
    let of = |path: String| record("s", Level::Info, &[("duration_ms", Value::Int(1)), ("path", text(&path))]);
    let letters = |n: usize| format!("/{}{}", char::from(b'a' + (n / 26) as u8), char::from(b'a' + (n % 26) as u8));
    let records: Vec<LogRecord> = (0..300).map(|n| of(letters(n))).chain([of("/known".to_owned())]).collect();
    let (derived, _) = extract(&mut extractor, &records);
    let overflow = observed(&derived).iter().filter(|line| line.contains("__overflow__")).count();
    assert_eq!(overflow, 300 - 199);
    assert_eq!(observed(&derived).iter().filter(|line| line.contains("/known")).count(), 1);
}

#[test]
fn rules_count_sum_observe_and_keep_the_newest() {
    let label = |name: &str, from: &str| (name.to_owned(), from.to_owned());
    let rules = [
        RuleConfig {
            labels: vec![label("reason", "fields.reason"), label("lvl", "level")],
            ..rule("payment_failures_total", RuleKind::Counter, "service:payments level:error")
        },
        RuleConfig { value: Some("amount".to_owned()), ..rule("revenue_total", RuleKind::Counter, "amount:*") },
        RuleConfig {
            value: Some("fields.amount".to_owned()),
            max_series: 7,
            ..rule("payment_amount", RuleKind::Distribution, "")
        },
        RuleConfig { value: Some("seq".to_owned()), ..rule("last_seq", RuleKind::Gauge, "level:error") },
    ];
    let mut extractor = Extractor::new(&rules, 600_000, at(NOW)).expect("the rules are sound");
    let (derived, report) = extract(
        &mut extractor,
        &[
            record("payments", Level::Error, &[("reason", text("card")), ("amount", Value::Float(2.5))]),
            record("payments", Level::Error, &[("reason", text("card")), ("amount", text("x"))]),
            record("payments", Level::Error, &[]),
            record("payments", Level::Info, &[("amount", text("4"))]),
        ],
    );
    let of_rules: Vec<String> = counts(&derived)
        .into_iter()
        .filter(|line| line.starts_with("payment") || line.starts_with("revenue"))
        .collect();
    assert_eq!(
        of_rules,
        [
            r#"payment_failures_total{lvl="error", reason="card"} @ 0 = 2"#,
            r#"payment_failures_total{lvl="error"} @ 0 = 1"#,
            "revenue_total @ 0 = 6.5",
        ]
    );
    assert_eq!(observed(&derived), ["payment_amount = 2.5", "payment_amount = 4"]);
    let gauges: Vec<f64> = derived.gauges.iter().map(|gauge| gauge.value).collect();
    assert_eq!(gauges, [7.0], "of one moment the newest counts");
    assert_eq!(report.unusable, 3, "two without a number for the distribution, one text for the sum");
    assert_eq!(derived.max_series.get("payment_amount"), Some(&7));
}

#[test]
fn mistakes_in_rules_are_named() {
    for (config, message) in [
        (rule("1x", RuleKind::Counter, ""), "`1x` is no metric name; use letters, digits, `_` and `:`, no digit first"),
        (
            rule("error_count", RuleKind::Counter, ""),
            "the metric `error_count` is made by the server itself; choose another name",
        ),
        (rule("x", RuleKind::Gauge, ""), "a gauge needs `value`, the field that gives the number"),
        (
            RuleConfig { labels: vec![("a-b".into(), "x".into())], ..rule("x", RuleKind::Counter, "") },
            "`a-b` is no label name; use letters, digits and `_`, no digit first",
        ),
        (
            RuleConfig { value: Some("n".into()), ..rule("good", RuleKind::Gauge, "") },
            "the metric `good` is a counter in an earlier rule and a gauge here; a metric has one type, so give one \
             of them another name",
        ),
        (
            RuleConfig { value: Some("fields.".into()), ..rule("x", RuleKind::Counter, "") },
            "`fields.` is no field; write `fields.name`, `tags.name`, `service`, …",
        ),
    ] {
        let rules = [rule("good", RuleKind::Counter, ""), config];
        let faults = Extractor::new(&rules, 0, at(NOW)).err().expect("a mistake");
        assert_eq!(
            faults.iter().map(|fault| (fault.rule, fault.to_string())).collect::<Vec<_>>(),
            [(1, message.into())]
        );
    }
    let labels = vec![("a-b".into(), "fields.".into())];
    let all = RuleConfig { labels, ..rule("1x", RuleKind::Gauge, "level:error AND (") };
    let faults = Extractor::new(&[all], 0, at(NOW)).err().expect("mistakes");
    let label = "a-b".to_owned();
    let expected = [
        RulePart::Metric,
        RulePart::Label(label.clone()),
        RulePart::LabelField(label),
        RulePart::Value,
        RulePart::Where { offset: 17 },
    ];
    assert_eq!(faults.into_iter().map(|fault| fault.part).collect::<Vec<_>>(), expected);
}

#[test]
fn damaged_records_are_counted_and_the_others_taken() {
    let mut good = Vec::new();
    record("a", Level::Info, &[]).encode(&mut good);
    let records = [&b"no record"[..], &good];
    let (derived, report) = plain().extract(source(0, 2), records.into_iter());
    assert_eq!((report.damaged, derived.increments.len()), (1, 2));
}

proptest! {
    #[test]
    fn counts_equal_a_recount(
        records in prop::collection::vec((0usize..4, 0u8..8, 0i64..3000, prop::option::of(0i64..2_000_000)), 0..60),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let records: Vec<LogRecord> = records.into_iter().map(|(service, level, accepted, late)| {
            let mut record = record(["a", "b", "", "é"][service], Level::from_u8(level).expect("in range"), &[]);
            record.accepted_at = at(NOW + accepted);
            record.timestamp = at(NOW + accepted - late.unwrap_or(0));
            record
        }).collect();
        let mut expected: BTreeMap<(String, &str, i64, bool), f64> = BTreeMap::new();
        for record in &records {
            let late = record.accepted_at.since(record.timestamp) > 600_000;
            let at = if late { record.timestamp } else { record.accepted_at };
            let second = at.millis().div_euclid(1000) * 1000 + if at.millis().rem_euclid(1000) > 0 { 1000 } else { 0 };
            *expected.entry((record.service.clone(), record.level.as_str(), second, late)).or_default() += 1.0;
        }
        let mut extractor = plain();
        let mut found: BTreeMap<(String, &str, i64, bool), f64> = BTreeMap::new();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(records.len() + 1)).chain([records.len()]).collect();
        ends.sort_unstable();
        let mut from = 0;
        for end in ends {
            let (derived, _) = extract(&mut extractor, &records[from..end]);
            from = end;
            for Increment { labels, at, count, late } in &derived.increments {
                if labels.metric_name() == "log_events_total" {
                    let level = Level::parse(labels.get("level").expect("has a level")).expect("a level");
                    let service = labels.get("service").unwrap_or_default().to_owned();
                    *found.entry((service, level.as_str(), at.millis(), *late)).or_default() += count;
                }
            }
        }
        prop_assert_eq!(found, expected);
    }
}
