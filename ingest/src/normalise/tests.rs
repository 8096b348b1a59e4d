//! The normaliser by cases, and what must hold of any JSON.

use proptest::prelude::*;
use watchfire_model::{LogRecord, RecordView, Value};

use super::*;
use crate::formats::{Format, Parsers};

/// 2023-11-14T22:13:20Z
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn normalise(text: &str, context: &Context<'_>) -> Result<LogRecord, Reject> {
    normalise_as(Format::Json, text, context)
}

fn normalise_as(format: Format, text: &str, context: &Context<'_>) -> Result<LogRecord, Reject> {
    let mut draft = Draft::default();
    Parsers::default().parse_as(format, text, NOW, &mut draft).expect("test input is of that format");
    let mut normaliser = Normaliser::default();
    normaliser.decide(&draft, text, context, &IdMaker::default())?;
    let mut bytes = Vec::new();
    normaliser.write(&draft, text, context, &mut bytes);
    let record = RecordView::parse(&bytes).expect("just written").to_record();
    assert_eq!(record.id, normaliser.last_id());
    Ok(record)
}

proptest! {
    /// What was known of the record before changes nothing.
    #[test]
    fn records_one_after_the_other_are_as_each_alone(
        texts in prop::collection::vec(prop::collection::vec((0usize..9, 0usize..7), 0..7), 1..12),
    ) {
        const NAMES: [&str; 9] = ["message", "msg", "service", "level", "trace_id", "tags", "a", "\\u001f", "log"];
        const VALUES: [&str; 7] = ["1", "\"\"", "\"info\"", "null", "[1]", "{\"level\":\"warn\",\"a\":2}", "{\"a\":1,\"a\":3}"];
        let (mut draft, mut normaliser, ids) = (Draft::default(), Normaliser::default(), IdMaker::default());
        let context = Context { message: Some("none"), request_key: Some([7; 16]), ..Context::at(NOW) };
        // Each twice, as records mostly are like the one before.
        for members in texts.iter().flat_map(|members| [members, members]) {
            let members: Vec<String> = members.iter().map(|(n, v)| format!("\"{}\":{}", NAMES[*n], VALUES[*v])).collect();
            let text = format!("{{{}}}", members.join(","));
            Parsers::default().parse_as(Format::Json, &text, NOW, &mut draft).expect("a JSON object");
            normaliser.decide(&draft, &text, &context, &ids).expect("has a message");
            let mut bytes = Vec::new();
            normaliser.write(&draft, &text, &context, &mut bytes);
            let record = RecordView::parse(&bytes).expect("just written").to_record();
            prop_assert_eq!(record, normalise(&text, &context).expect("has a message"), "{}", text);
        }
    }
}

fn record(text: &str) -> LogRecord {
    normalise(text, &Context::at(NOW)).expect("has a message")
}

fn field<'a>(record: &'a LogRecord, path: &str) -> Option<&'a Value> {
    let mut fields = &record.fields;
    let mut names = path.split('/').peekable();
    loop {
        let name = names.next()?;
        let value = &fields.iter().find(|(have, _)| have == name)?.1;
        match (names.peek(), value) {
            (None, value) => return Some(value),
            (Some(_), Value::Object(inner)) => fields = inner,
            _ => return None,
        }
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

#[test]
fn d1_and_d2_and_d4_records_become_canonical() {
    let d1 = record(
        r#"{"Timestamp":"2023-11-14T22:00:00Z","Level":"ERROR","Message":"m","Service":"api","Host":"h1","Tags":{"env":"prod"},"Fields":{"n":1}}"#,
    );
    assert_eq!((d1.level, &*d1.service, d1.host.as_deref(), &*d1.message), (Level::Error, "api", Some("h1"), "m"));
    assert_eq!(d1.timestamp.to_rfc3339(), "2023-11-14T22:00:00.000Z");
    assert_eq!(d1.tags, [("env".to_owned(), "prod".to_owned())]);
    assert_eq!(d1.fields, [("n".to_owned(), Value::Int(1))]);
    let d2 = record(r#"{"source":"web","application":"shop","message":"m","metadata":{"user":{"id":7}}}"#);
    assert_eq!((&*d2.service, d2.source.as_deref()), ("shop", Some("web")));
    assert_eq!(field(&d2, "user/id"), Some(&Value::Int(7)));
    let d4 = record(r#"{"source":"web","level":"warning","message":"m","context":{"a":[1,{"b":2}]}}"#);
    assert_eq!((&*d4.service, d4.level, d4.timestamp), ("web", Level::Warn, NOW));
    assert!(matches!(field(&d4, "a"), Some(Value::Array(_))));
}

#[test]
fn ecs_nested_and_dotted_names_are_found() {
    let nested = record(
        r#"{"@timestamp":"2023-11-14T22:00:00Z","log":{"level":"warn","logger":"x"},"service":{"name":"s","version":"1"},"host":{"name":"h","ip":"1"},"trace":{"id":"t"},"message":"m"}"#,
    );
    assert_eq!((nested.level, &*nested.service, nested.host.as_deref()), (Level::Warn, "s", Some("h")));
    assert_eq!(nested.correlation_id.as_deref(), Some("t"));
    for (path, value) in [("log/logger", "x"), ("service/version", "1"), ("host/ip", "1"), ("trace/id", "t")] {
        assert_eq!(field(&nested, path), Some(&text(value)), "{path}");
    }
    let dotted = record(r#"{"log.level":"warn","service.name":"s","host.name":"h","message":"m","a.b":1}"#);
    assert_eq!((dotted.level, &*dotted.service, dotted.host.as_deref()), (Level::Warn, "s", Some("h")));
    assert_eq!(field(&dotted, "a.b"), Some(&Value::Int(1)));
}

#[test]
fn of_several_names_the_first_listed_wins_and_the_others_stay() {
    let record = record(r#"{"msg":"b","message":"a","ts":1,"time":1699999999,"app":"x","service":"s","Message":"c"}"#);
    assert_eq!((&*record.message, &*record.service, record.timestamp.millis()), ("a", "s", 1_699_999_999_000));
    for (name, value) in [("msg", text("b")), ("Message", text("c")), ("ts", Value::Int(1)), ("app", text("x"))] {
        assert_eq!(field(&record, name), Some(&value), "{name}");
    }
}

#[test]
fn clashing_fields_are_all_kept_under_different_paths() {
    let record = record(
        r#"{"message":"m","a":1,"fields":{"a":2,"b":3,"metadata":{"a":9}},"metadata":{"b":4,"a":5,"c":6},"level":"x","level_raw":"mine"}"#,
    );
    for (path, int) in
        [("a", 1), ("fields/a", 2), ("b", 3), ("metadata/a", 9), ("metadata_/b", 4), ("metadata_/a", 5), ("c", 6)]
    {
        assert_eq!(field(&record, path), Some(&Value::Int(int)), "{path}");
    }
    assert_eq!(field(&record, "level_raw"), Some(&text("mine")));
    assert_eq!(field(&record, "level_raw_"), Some(&text("x")));
}

#[test]
fn a_separator_in_a_name_makes_no_second_column() {
    let record = record(r#"{"message":"m","o":{"a\u001fb":1,"a\u241fb":2}}"#);
    assert_eq!(field(&record, "o/a\u{241f}b"), Some(&Value::Int(2)));
}

#[test]
fn levels_of_all_kinds() {
    for (value, level, raw) in [
        ("\"ERROR\"", Level::Error, None),
        ("3", Level::Error, None),
        ("\"0\"", Level::Fatal, None),
        ("50", Level::Error, None),
        ("null", Level::Info, None),
        ("\" [ERROR] \"", Level::Error, None),
        ("\"error:\"", Level::Error, None),
        ("\"[warn]:\"", Level::Warn, None),
        ("\"[]\"", Level::Info, Some(text("[]"))),
        ("\"[loud]\"", Level::Info, Some(text("[loud]"))),
        ("\"loud\"", Level::Info, Some(text("loud"))),
        ("99", Level::Info, Some(Value::Int(99))),
        ("true", Level::Info, Some(Value::Bool(true))),
    ] {
        let record = record(&format!(r#"{{"message":"m","level":{value}}}"#));
        assert_eq!((record.level, field(&record, "level_raw")), (level, raw.as_ref()), "{value}");
    }
}

#[test]
fn times_absent_unreadable_ahead_or_too_old() {
    for (value, millis, raw) in [
        ("1700000000", 1_700_000_000_000, None),
        ("1700000000.5", 1_700_000_000_500, None),
        ("\"1700000000123\"", 1_700_000_000_123, None),
        ("1700000600000", 1_700_000_600_000, None),
        ("1700000600001", NOW.millis(), Some(Value::Int(1_700_000_600_001))),
        ("\"soon\"", NOW.millis(), Some(text("soon"))),
        ("true", NOW.millis(), Some(Value::Bool(true))),
        ("1e300", NOW.millis(), Some(Value::Float(1e300))),
        ("null", NOW.millis(), None),
    ] {
        let record = record(&format!(r#"{{"message":"m","timestamp":{value}}}"#));
        assert_eq!((record.timestamp.millis(), field(&record, "timestamp_raw")), (millis, raw.as_ref()), "{value}");
    }
    let oldest = NOW.plus_millis(-1000);
    let context = Context { oldest: Some(oldest), ..Context::at(NOW) };
    let old = normalise(r#"{"message":"m","timestamp":1}"#, &context);
    assert_eq!(old, Err(Reject::TooOld { timestamp: Timestamp::from_millis(1000), oldest }));
}

#[test]
fn a_time_that_a_text_only_begins_with_refuses_nothing() {
    let oldest = NOW.plus_millis(-60_000);
    let context = Context { oldest: Some(oldest), ..Context::at(NOW) };
    for (before_ms, is_taken) in [(0, true), (60_000, true), (60_001, false), (-600_000, true), (-600_001, false)] {
        let time = NOW.plus_millis(-before_ms);
        let line = format!("[{}] text", time.to_rfc3339());
        let record = normalise_as(Format::Unknown, &line, &context).expect("it is taken");
        let raw = field(&record, "timestamp_raw").is_some();
        assert_eq!((record.timestamp, raw), (if is_taken { time } else { NOW }, !is_taken), "{before_ms}");
    }
}

#[test]
fn messages_absent_empty_numeric_or_structured() {
    assert_eq!(normalise("{}", &Context::at(NOW)), Err(Reject::NoMessage));
    assert_eq!(normalise(r#"{"message":null,"a":1}"#, &Context::at(NOW)), Err(Reject::NoMessage));
    assert_eq!(record(r#"{"message":""}"#).message, "");
    assert_eq!(record(r#"{"message":1.5}"#).message, "1.5");
    assert_eq!(record(r#"{"message":{"a":[1,"x\n"]}}"#).message, r#"{"a":[1,"x\n"]}"#);
    let both = record(r#"{"message":{"a":1},"msg":"m"}"#);
    assert_eq!((&*both.message, field(&both, "message/a")), ("m", Some(&Value::Int(1))));
    let fallback = Context { message: Some("the line"), ..Context::at(NOW) };
    assert_eq!(normalise("{}", &fallback).map(|record| record.message), Ok("the line".into()));
}

#[test]
fn ids_correlation_tags_and_services() {
    assert_eq!(record(r#"{"message":"m","id":"a b"}"#).id, "a b");
    assert_eq!(record(r#"{"message":"m","id":42}"#).id, "42");
    assert_eq!(record(r#"{"message":"m","id":""}"#).id.len(), 36);
    let traced = record(r#"{"message":"m","request_id":"r","traceId":"t","trace_id":""}"#);
    assert_eq!((traced.correlation_id.as_deref(), field(&traced, "request_id")), (Some("t"), Some(&text("r"))));
    assert_eq!(record(r#"{"message":"m","trace_id":"t","correlation_id":"c"}"#).correlation_id.as_deref(), Some("c"));
    let tags = record(r#"{"message":"m","tags":["a","b","a",3,null]}"#).tags;
    let listed: Vec<_> = tags.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(listed, [("a", "true"), ("b", "true"), ("3", "true")]);
    assert_eq!(record(r#"{"message":"m","tags":{"a":{"b":1},"c":true}}"#).tags[0].1, r#"{"b":1}"#);
    for (text, service) in [
        (r#"{"message":"m"}"#, "unknown"),
        (r#"{"message":"m","host":"h"}"#, "h"),
        (r#"{"message":"m","host":"h","source":"s"}"#, "s"),
        (r#"{"message":"m","host":"h","source":"s","service":""}"#, "s"),
    ] {
        assert_eq!(record(text).service, service, "{text}");
    }
    let context = Context { service: Some("given"), source: Some("src"), ..Context::at(NOW) };
    let given = normalise(r#"{"message":"m","host":"h"}"#, &context).expect("has a message");
    assert_eq!((&*given.service, given.source.as_deref()), ("given", Some("src")));
    assert_eq!(
        normalise(r#"{"message":"m","service":"own"}"#, &context).map(|record| record.service),
        Ok("own".into())
    );
}

#[test]
fn lists_and_objects_where_a_plain_value_belongs_are_kept_as_raw() {
    for name in
        ["timestamp", "@timestamp", "level", "severity", "service", "source", "host", "id", "correlation_id", "user_id"]
    {
        let raw = match name {
            "@timestamp" => "timestamp_raw".to_owned(),
            "severity" => "level_raw".to_owned(),
            name => format!("{name}_raw"),
        };
        let list = record(&format!(r#"{{"message":"m","{name}":["x",1]}}"#));
        assert_eq!(field(&list, &raw), Some(&Value::Array(vec![text("x"), Value::Int(1)])), "{name}");
        assert_eq!((list.timestamp, list.level, &*list.service), (NOW, Level::Info, "unknown"), "{name}");
        assert_eq!((list.id.len(), list.correlation_id, list.user_id), (36, None, None), "{name}");
        // Objects of these names hold fields of their own.
        let at = if matches!(name, "service" | "source" | "host") { name } else { &raw };
        let object = record(&format!(r#"{{"message":"m","{name}":{{"x":1}}}}"#));
        assert_eq!(field(&object, &format!("{at}/x")), Some(&Value::Int(1)), "{name}");
        assert_eq!(field(&object, name).is_some(), at == name, "{name}");
    }
    // Another name that has a plain value wins, and the other stays what it was.
    let both = record(r#"{"message":"m","level":{"x":1},"severity":"error","time":[2],"ts":1700000000}"#);
    assert_eq!((both.level, both.timestamp.millis()), (Level::Error, 1_700_000_000_000));
    assert_eq!((field(&both, "level/x"), field(&both, "level_raw")), (Some(&Value::Int(1)), None));
    assert_eq!(field(&both, "time"), Some(&Value::Array(vec![Value::Int(2)])));
    let nested = record(r#"{"message":"m","log":{"level":["loud"]},"level_raw":"mine"}"#);
    assert_eq!(field(&nested, "level_raw_"), Some(&Value::Array(vec![text("loud")])));
}

#[test]
fn marks_become_fields() {
    let marks = Marks { truncated: true, invalid_utf8: true };
    let marked = normalise(r#"{"message":"m"}"#, &Context { marks, ..Context::at(NOW) }).expect("has a message");
    assert_eq!(
        (field(&marked, "truncated"), field(&marked, "invalid_utf8")),
        (Some(&Value::Bool(true)), Some(&Value::Bool(true)))
    );
}

/// Every column of a record is written once; what the store relies on.
fn columns_are_unique(bytes: &[u8]) -> bool {
    let view = RecordView::parse(bytes).expect("just written");
    let mut columns: Vec<String> = view.entries().map(|(column, _)| format!("{column:?}")).collect();
    columns.sort_unstable();
    columns.windows(2).all(|pair| pair[0] != pair[1])
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let names = prop::sample::select(vec![
        "message",
        "msg",
        "a",
        "b",
        "fields",
        "metadata",
        "Fields",
        "log",
        "level",
        "service",
        "name",
        "host",
        "tags",
        "Tags",
        "context",
        "trace",
        "id",
        "level_raw",
        "time",
        "timestamp_raw",
        "a\u{1f}b",
        "a\u{241f}b",
        "metadata_",
        "fields_",
        "",
    ]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        (0i64..99).prop_map(serde_json::Value::from),
        "[a-c]{0,2}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 60, 8, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(serde_json::Value::from),
            4 => prop::collection::vec((names.clone(), inner), 0..9).prop_map(|members| serde_json::Value::Object(
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn any_object_gives_a_sound_record(members in prop::collection::vec((prop::sample::select(vec![
        "message", "Message", "a", "fields", "Fields", "metadata", "log", "level", "service", "host", "tags", "Tags", "id", "trace",
        "time", "severity", "source", "user_id", "service_raw",
    ]), any_json()), 0..10)) {
        let object: serde_json::Map<String, serde_json::Value> =
            members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let text = serde_json::Value::Object(object).to_string();
        let context = Context { message: Some("none"), marks: Marks { truncated: true, invalid_utf8: true }, ..Context::at(NOW) };
        let mut draft = Draft::default();
        Parsers::default().parse_as(Format::Json, &text, NOW, &mut draft).expect("printed JSON");
        let mut normaliser = Normaliser::default();
        normaliser.decide(&draft, &text, &context, &IdMaker::default()).expect("nothing to refuse");
        let mut bytes = Vec::new();
        normaliser.write(&draft, &text, &context, &mut bytes);
        prop_assert!(columns_are_unique(&bytes), "{}", text);
    }
}
