//! The endpoints over a real queue, without a listener.

use axum::body::Body;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use prometheus::Registry;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;
use watchfire_log_store::{EmbeddedStore, StoreConfig};
use watchfire_model::{LogRecord, RecordView, Timestamp};
use watchfire_queue::{EmbeddedQueue, QueueConfig};

use super::*;
use crate::formats::{CustomParser, Parsers};
use crate::{IngestMetrics, Limits};

struct Server {
    router: Router,
    queue: Arc<EmbeddedQueue>,
    registry: Registry,
    intake: Arc<Intake>,
    _dir: tempfile::TempDir,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Server {
    fn with(limits: Limits, change: impl FnOnce(&mut QueueConfig)) -> Server {
        let dir = tempfile::tempdir().expect("a folder for the test");
        let mut config = QueueConfig::new(dir.path().join("queue"));
        change(&mut config);
        let (queue, _) = EmbeddedQueue::open(config, Timestamp::now().millis()).expect("an empty folder opens");
        let queue = Arc::new(queue);
        let registry = Registry::new();
        let metrics = IngestMetrics::new(&registry).expect("names are free");
        // Everything is visible at once.
        let (_, visible) = watch::channel(u64::MAX);
        let shop = CustomParser::new("shop", r"^(?P<level>\w+): (?P<message>.*)$", &[]).expect("compiles");
        let thirty_days = Some(30 * 86_400_000);
        let queue_port: Arc<dyn watchfire_queue::Queue> = Arc::<EmbeddedQueue>::clone(&queue);
        // Empty: originals cannot be found any more.
        let store = EmbeddedStore::open(StoreConfig::new(dir.path().join("logs")), Timestamp::now());
        let store = Arc::new(store.expect("an empty folder opens"));
        let parsers = Parsers::new(vec![shop]);
        let intake = Arc::new(Intake::new(queue_port, parsers, limits, thirty_days, metrics, visible, store));
        Server { router: router(Arc::clone(&intake)), queue, registry, intake, _dir: dir }
    }

    fn new() -> Server {
        Server::with(
            Limits { line_bytes: 1000, body_bytes: 100_000, decompressed_bytes: 200_000, ..Limits::default() },
            |_| {},
        )
    }

    async fn call(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("routers do not fail");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body in memory").to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {bytes:?}"));
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.call(request.body(body.into()).expect("a sound request")).await
    }

    async fn ingest(&self, body: impl Into<Body>) -> Answer {
        self.post("/ingest", &[], body).await
    }

    /// All records that were stored.
    fn stored(&self) -> Vec<LogRecord> {
        let mut reader = self.queue.reader(0);
        let mut records = Vec::new();
        while let Some(batch) = reader.next(std::time::Duration::ZERO).expect("the queue is sound") {
            records.extend(batch.records().map(|bytes| RecordView::parse(bytes).expect("sound records").to_record()));
        }
        records
    }

    fn messages(&self) -> Vec<String> {
        self.stored().into_iter().map(|record| record.message).collect()
    }

    fn counter(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let families = self.registry.gather();
        let metrics = families.iter().filter(|family| family.name() == name).flat_map(|family| family.get_metric());
        metrics
            .filter(|metric| {
                labels.iter().all(|(name, value)| {
                    metric.get_label().iter().any(|pair| pair.name() == *name && pair.value() == *value)
                })
            })
            .map(|metric| metric.get_counter().get_value() as u64)
            .sum()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

#[tokio::test]
async fn one_object_is_answered_with_its_id_and_is_durable() {
    let server = Server::new();
    let answer = server.ingest(r#"{"message":"hello","level":"error","service":"api","n":1}"#).await;
    assert_eq!((answer.status, &answer.body["status"]), (202, &json!("accepted")));
    let stored = server.stored();
    assert_eq!(
        (stored.len(), &*stored[0].message, &stored[0].id),
        (1, "hello", &answer.body["id"].as_str().expect("a text").to_owned())
    );
    assert_eq!(stored[0].received_bytes as usize, r#"{"message":"hello","level":"error","service":"api","n":1}"#.len());
    assert_eq!(server.counter("watchfire_records_accepted_total", &[("source", "http"), ("format", "json")]), 1);
    // Pretty-printed, with blanks around.
    assert_eq!(server.ingest("\n {\n \"message\": \"two\"\n}\n").await.status, 202);
    assert_eq!(server.messages(), ["hello", "two"]);
}

#[tokio::test]
async fn lines_of_other_charsets_are_told_by_their_content_type() {
    let server = Server::new();
    for (content_type, body, message) in [
        ("text/plain; charset=ISO-8859-1", &b"caf\xe9 \x80"[..], "café €"),
        ("text/plain;format=flowed; Charset = \"latin1\"", b"stra\xdfe", "straße"),
        ("text/plain; charset=windows-1252", b"\x93so\x94 \x81", "“so” \u{81}"),
        ("text/plain; charset=iso-8859-15", b"5 \xa4", "5 €"),
        ("text/plain; charset=us-ascii", "naïve".as_bytes(), "naïve"),
        ("text/plain; charset=", "naïve".as_bytes(), "naïve"),
        ("text/plain; charset=UTF8", "naïve".as_bytes(), "naïve"),
    ] {
        let answer = server.post("/ingest/raw", &[("content-type", content_type)], body.to_vec()).await;
        assert_eq!(answer.status, 202, "{content_type}: {}", answer.body);
        assert_eq!(server.messages().last().map(String::as_str), Some(message), "{content_type}");
    }
    // What is done with is told in bytes of the body.
    let latin = [("content-type", "text/plain; charset=latin1")];
    let open = server.post("/ingest/raw?end=false&multiline=auto", &latin, b"\xe9\xe9\x80 one\ntw\xe9".to_vec()).await;
    assert_eq!((open.status, &open.body["taken_bytes"]), (202, &json!(8)), "{}", open.body);
    assert_eq!(server.messages().last().map(String::as_str), Some("éé€ one"));
    let count = server.messages().len();
    for (path, charset) in
        [("/ingest/raw", "utf-16"), ("/ingest/raw", "koi8-r"), ("/ingest/raw?format=journald", "latin1")]
    {
        let content_type = format!("text/plain; charset={charset}");
        let answer = server.post(path, &[("content-type", content_type.as_str())], "MESSAGE=x\n\n").await;
        assert_eq!((answer.status, &answer.body["error"]), (415, &json!("charset")), "{}", answer.body);
        assert!(answer.body["hint"].is_string(), "{}", answer.body);
    }
    assert_eq!(server.messages().len(), count);
}

#[tokio::test]
async fn a_line_that_is_too_long_is_so_in_whatever_pieces_it_comes() {
    let server = Server::new();
    let long = "x".repeat(2500);
    let part = |text: &str| format!("2026-01-02T03:04:05.000000000Z stdout P {text}\n");
    let parts = part(&"y".repeat(500)).repeat(3);
    for (begin, rest) in
        [(long, "and more\n".to_owned()), (parts, "2026-01-02T03:04:05.000000000Z stdout F end\n".to_owned())]
    {
        let mut sent = format!("before\n{begin}");
        let before = server.messages().len();
        for _ in 0..2 {
            let answer = server.post("/ingest/raw?end=false", &[], sent.clone()).await;
            assert_eq!((answer.status, &answer.body["rejected"]), (202, &json!(0)), "{}", answer.body);
            let taken =
                answer.body["taken_bytes"].as_u64().and_then(|bytes| usize::try_from(bytes).ok()).expect("a number");
            sent.drain(..taken);
            assert_eq!(sent, begin, "what is not over is not done with");
        }
        let answer = server.post("/ingest/raw?end=true", &[], sent + &rest + "behind\n").await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        let stored = server.messages();
        assert!(!stored.iter().any(|message| message.ends_with("more") || message == "end"), "no rest is a record");
        assert_eq!(
            (stored.get(before).map(String::as_str), stored.last().map(String::as_str)),
            (Some("before"), Some("behind"))
        );
    }
}

#[tokio::test]
async fn of_a_list_with_mistakes_the_good_records_are_kept() {
    for (list, messages, wrong) in [
        (
            &br#"[{"message":"a"},{"message":oops},{"message":"b"}]"#[..],
            &["a", "b"][..],
            &[(1, "expected a JSON value")][..],
        ),
        (
            br#"[{"message":"a},{"message":"b"},{"message":"c",}]"#,
            &["b"],
            &[(0, "expected `,` or `}`"), (2, "expected a name")],
        ),
        (br#"[{"message":"a"},]"#, &["a"], &[(1, "expected a JSON value")]),
        (br#"[{"message":"a"} {"message":"b"}"#, &["a", "b"], &[(2, "ends too early")]),
        (br#"[{"message":"a"},{"mess"#, &["a"], &[(1, "ends too early")]),
        (br#"[{"message":"a"}] and more"#, &["a"], &[(1, "unexpected text")]),
        (
            b"[{\"message\":\"a\"},{\"message\":\"\xff\xfe\"},{\"message\":\"b\"}]",
            &["a", "b"],
            &[(1, "invalid UTF-8 at byte 29")],
        ),
    ] {
        for path in ["/ingest", "/data/fast"] {
            let server = Server::new();
            let text = String::from_utf8_lossy(list).into_owned();
            let answer = server.post(path, &[], list.to_vec()).await;
            let (status, accepted) = (answer.status, answer.body["accepted"].as_u64());
            assert_eq!((status, accepted), (202, Some(messages.len() as u64)), "{text}: {}", answer.body);
            assert_eq!(server.messages(), messages, "{text}");
            let errors = answer.body["errors"].as_array().expect("a list");
            assert_eq!(errors.len(), wrong.len(), "{text}: {}", answer.body);
            for (error, (index, why)) in errors.iter().zip(wrong) {
                let told = error["error"].as_str().unwrap_or_default();
                assert!(error["index"] == json!(index) && told.contains(why), "{text}: {error}");
            }
        }
    }
    let server = Server::new();
    let nothing = server.ingest("[{\"message\":}]").await;
    assert_eq!((nothing.status, &nothing.body["where"]["offset"]), (400, &json!(12)), "{}", nothing.body);
}

#[tokio::test]
async fn lists_and_lines_tell_what_was_wrong_with_which() {
    let server = Server::new();
    let list = server.ingest(r#" [{"message":"a"}, 7, {"x":1}, {"message":"b"}] "#).await;
    assert_eq!(list.status, 202);
    assert_eq!(
        (&list.body["accepted"], &list.body["rejected"], &list.body["duplicate"]),
        (&json!(2), &json!(2), &json!(0))
    );
    assert_eq!(list.body["errors"][0]["index"], json!(1));
    assert_eq!(list.body["errors"][1]["error"], json!("the record has no `message`"));
    let lines = "{\"message\":\"c\"}\n\n{bad\r\n{\"message\":\"d\"}\r\n";
    for headers in [&[("content-type", "application/x-ndjson; charset=utf-8")][..], &[]] {
        let answer = server.post("/ingest", headers, lines).await;
        assert_eq!(
            (answer.status, &answer.body["accepted"], &answer.body["errors"][0]["index"]),
            (202, &json!(2), &json!(1))
        );
        assert_eq!(answer.body["errors"][0]["line"], json!(3), "blank lines are lines");
        assert_eq!(answer.body["errors"][0]["error"], json!("expected a name in double quotes at byte 1"));
    }
    let first_bad = server.ingest("{\"message\":\n{\"message\":\"e\"}").await;
    assert_eq!(
        (first_bad.status, &first_bad.body["accepted"], &first_bad.body["rejected"]),
        (202, &json!(1), &json!(1))
    );
    assert_eq!(server.messages(), ["a", "b", "c", "d", "c", "d", "e"]);
    assert_eq!(server.counter("watchfire_records_rejected_total", &[("reason", "malformed")]), 4);
    assert_eq!(server.counter("watchfire_records_rejected_total", &[("reason", "no_message")]), 1);
}

#[tokio::test]
async fn a_hundred_errors_are_named_and_all_are_counted() {
    let server = Server::new();
    let body = "{}\n".repeat(150) + "{\"message\":\"m\"}\n";
    let answer = server.post("/ingest", &[("content-type", "application/x-ndjson")], body).await;
    assert_eq!((answer.status, &answer.body["rejected"]), (202, &json!(150)));
    assert_eq!(answer.body["errors"].as_array().map(Vec::len), Some(100));
}

#[tokio::test]
async fn nothing_accepted_is_an_error_that_points() {
    let server = Server::new();
    let too_long = format!(r#"{{"message":"{}"}}"#, "x".repeat(2000));
    for (body, status, error) in [
        ("", 400, "empty"),
        ("  \n ", 400, "empty"),
        ("[]", 400, "empty"),
        ("{}", 400, "no_message"),
        ("[{}]", 400, "no_message"),
        ("{}\n{}", 400, "no_message"),
        ("\"text\"", 400, "not_records"),
        ("hello world", 400, "malformed_json"),
        ("[{\"message\":\"a\",", 400, "malformed_json"),
        ("[{\"message\":\"a\" 1},{\"message\":b}]", 400, "malformed_json"),
        (r#"{"message":"old","timestamp":"2001-01-01T00:00:00Z"}"#, 400, "too_old"),
        (&too_long, 413, "too_long"),
        (&format!("[{too_long}]"), 413, "too_long"),
        (&format!("{too_long}\n{too_long}"), 413, "too_long"),
    ] {
        let answer = server.ingest(body.to_owned()).await;
        assert_eq!((answer.status, &answer.body["error"]), (status, &json!(error)), "{body:.60}");
    }
    let malformed = server.ingest("[\n {\"message\": tru}\n]").await;
    assert_eq!(malformed.body["where"], json!({"line": 2, "column": 14, "offset": 15}));
    let bytes = server.ingest(b"{\"message\":\"\xff\"}".to_vec()).await;
    assert_eq!((bytes.status, &bytes.body["where"]["offset"]), (400, &json!(12)));
    let lines = server.ingest(b"{\"message\":\"\xff\"}\n{\"message\":\"good\"}".to_vec()).await;
    assert_eq!((lines.status, &lines.body["errors"][0]["error"]), (202, &json!("invalid UTF-8 at byte 12")));
    let long = server.ingest(format!("{too_long}\n{{\"message\":\"good\"}}")).await;
    assert_eq!((long.status, &long.body["accepted"], &long.body["rejected"]), (202, &json!(1), &json!(1)));
    assert_eq!(server.messages(), ["good", "good"]);
}

#[tokio::test]
async fn a_repeat_is_answered_the_same_and_stored_once() {
    let server = Server::new();
    let key = [("idempotency-key", "k1")];
    let first = server.post("/ingest", &key, r#"{"message":"a"}"#).await;
    let second = server.post("/ingest", &key, r#"{"message":"a"}"#).await;
    assert_eq!((first.status, second.status, &first.body), (202, 202, &second.body));
    let other = server.post("/ingest", &[("idempotency-key", "k2")], r#"[{"message":"b"},{"message":"c"}]"#).await;
    let again = server.post("/ingest", &[("idempotency-key", "k2")], r#"[{"message":"b"},{"message":"c"}]"#).await;
    assert_eq!((&other.body["accepted"], &other.body["duplicate"]), (&json!(2), &json!(0)));
    assert_eq!((again.status, &again.body["accepted"], &again.body["duplicate"]), (202, &json!(0), &json!(2)));
    let own = r#"[{"message":"d","id":"x"},{"message":"d","id":"x"},{"message":"e","id":"y"}]"#;
    let own = server.ingest(own).await;
    assert_eq!((&own.body["accepted"], &own.body["duplicate"]), (&json!(2), &json!(1)));
    let single = server.ingest(r#"{"message":"d","id":"x"}"#).await;
    assert_eq!((single.status, &single.body["id"]), (202, &json!("x")));
    assert_eq!(server.messages(), ["a", "b", "c", "d", "e"]);
    assert_eq!(server.counter("watchfire_records_duplicate_total", &[]), 5);
    assert_eq!(server.counter("watchfire_records_accepted_total", &[("format", "json")]), 5);
}

#[tokio::test]
async fn a_key_is_for_one_body_only() {
    let server = Server::new();
    let key = [("idempotency-key", "k")];
    // The first body, then what comes under the same key: refused, and nothing of it is taken.
    let list = r#"[{"message":"a"},{"message":"b"}]"#;
    assert_eq!(server.post("/ingest", &key, list).await.body["accepted"], json!(2));
    for (path, body) in [
        ("/ingest", r#"[{"message":"c"},{"message":"d"},{"message":"e"}]"#),
        ("/ingest", r#"{"message":"f","id":"own"}"#),
        ("/ingest?service=shop", list),
        ("/ingest/raw", "text"),
        ("/data/", r#"{"message":"g"}"#),
        ("/data/fast", r#"{"message":"h"}"#),
        ("/parse/auto", "a line"),
    ] {
        let answer = server.post(path, &key, body).await;
        let seen = (answer.status, &answer.body["error"]);
        assert_eq!(seen, (422, &json!("idempotency_key_reused")), "{path} {body}: {}", answer.body);
    }
    assert_eq!(server.counter("watchfire_records_rejected_total", &[("reason", "key_reused")]), 10);
    assert_eq!(server.post("/ingest", &key, list).await.body["duplicate"], json!(2));
    // Packed otherwise it is the same body.
    let packed = [("idempotency-key", "k"), ("content-encoding", "gzip")];
    let zipped = gzip(list.as_bytes());
    assert_eq!(server.post("/ingest", &packed, zipped).await.body["duplicate"], json!(2));
    // Records with ids of their own, and a first record that is refused, leave the key no less used.
    let own = [("idempotency-key", "own")];
    assert_eq!(server.post("/ingest", &own, r#"[{"message":"i","id":"i"}]"#).await.status, 202);
    assert_eq!(server.post("/ingest", &own, r#"[{"message":"j","id":"j"}]"#).await.status, 422);
    let bad = [("idempotency-key", "bad")];
    assert_eq!(server.post("/ingest", &bad, r#"[{"no":"message"},{"message":"k"}]"#).await.status, 202);
    assert_eq!(server.post("/ingest", &bad, r#"[{"message":"l"}]"#).await.status, 422);
    // A body of which nothing was taken uses no key.
    let none = [("idempotency-key", "none")];
    assert_eq!(server.post("/ingest", &none, r#"[{"no":"message"}]"#).await.status, 400);
    assert_eq!(server.post("/ingest", &none, r#"[{"message":"m"}]"#).await.status, 202);
    assert_eq!(server.messages(), ["a", "b", "i", "k", "m"]);
}

#[tokio::test]
async fn a_key_is_for_one_way_of_joining_lines_only() {
    let server = Server::new();
    let key = [("idempotency-key", "k")];
    let trace = "java.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)\n\tat a.B.d(B.java:2)\ndone\n";
    assert_eq!(server.post("/ingest/raw?multiline=auto", &key, trace).await.body["accepted"], json!(2));
    for said in ["", "?multiline=off", "?multiline=java", "?multiline=auto&end=false", "?multiline=auto&end=true"] {
        let answer = server.post(&format!("/ingest/raw{said}"), &key, trace).await;
        assert_eq!(answer.status, 422, "{said}: {}", answer.body);
    }
    assert_eq!(server.post("/ingest/raw?multiline=auto", &key, trace).await.body["duplicate"], json!(2));
    assert_eq!(server.stored().len(), 2);
}

#[tokio::test]
async fn a_body_that_was_half_taken_is_repeated_whole() {
    let server = Server::with(Limits::default(), |_| {});
    let body: String = (0..60).map(|n| format!("{{\"message\":\"{n} {}\"}}\n", "x".repeat(100_000))).collect();
    // The server went away when the queue had the first of the parts that such a body is cut into.
    let contents = crate::id::fingerprint(body.as_bytes(), [None; 4]);
    let mut first = server.intake.with_worker(|worker| {
        let idempotency_key = Some(crate::id::RequestKey { key: b"k", contents });
        let origin = crate::gather::Origin { idempotency_key, ..server.intake.origin(Timestamp::now()) };
        let parsers = server.intake.parsers.load();
        let mut gatherer = crate::gather::Gatherer::new(&parsers, &server.intake.ids, worker, origin);
        gatherer.json(body.as_bytes(), true).expect("JSON lines");
        gatherer.finish().batches
    });
    assert!(first.len() > 1);
    let taken = first.swap_remove(0).batch;
    let count = taken.len();
    server.queue.append(taken).await.expect("there is room");
    let key = [("idempotency-key", "k")];
    let other = server.post("/ingest", &key, body.replace("59 x", "60 x")).await;
    assert_eq!((other.status, server.stored().len()), (422, count));
    let again = server.post("/ingest", &key, body).await;
    let counts = (&again.body["accepted"], &again.body["duplicate"]);
    assert_eq!(counts, (&json!(60 - count), &json!(count)), "{}", again.body);
    let numbers: Vec<String> =
        server.messages().iter().map(|text| text.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(numbers, (0..60).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn text_lines_are_detected_or_taken_as_asked() {
    let server = Server::new();
    let body = "<34>Nov 11 22:14:15 h su: failed\r\n{\"message\":\"j\"}\n\nplain \u{e9}\nERROR: by pattern\n";
    let answer = server.post("/ingest/raw?service=legacy&source=tail", &[], body).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.body["formats"], json!({"json": 1, "syslog_rfc3164": 1, "unknown": 1, "regex:shop": 1}));
    let stored = server.stored();
    let seen: Vec<(&str, &str, Option<&str>)> =
        stored.iter().map(|record| (&*record.message, &*record.service, record.source.as_deref())).collect();
    let tail = Some("tail");
    assert_eq!(
        seen,
        [("failed", "su", tail), ("j", "legacy", tail), ("plain é", "legacy", tail), ("by pattern", "legacy", tail)]
    );
    let forced = server.post("/ingest/raw?format=json", &[], "{\"message\":\"k\"}\nplain").await;
    assert_eq!((&forced.body["accepted"], &forced.body["errors"][0]["index"]), (&json!(1), &json!(1)));
    let blank = server.post("/ingest/raw?format=json", &[], "{\"message\":\"k\"}\n\n\nplain").await;
    assert_eq!((&blank.body["errors"][0]["index"], &blank.body["errors"][0]["line"]), (&json!(1), &json!(4)));
    for wrong in ["multiline=cobol", "end=maybe"] {
        let answer = server.post(&format!("/ingest/raw?{wrong}"), &[], "x").await;
        assert_eq!((answer.status, &answer.body["error"]), (400, &json!("bad_parameter")), "{wrong}");
    }
    let json_journal = "{\"MESSAGE\":\"a\"}\n{\"MESSAGE\":\"a=b\"}\n";
    for journal in [json_journal, "{\"MESSAGE\":\"a=b\"}\n"] {
        let answer = server.post("/ingest/raw?format=journald", &[], journal).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        assert!(answer.status == 400 && message.contains("journalctl -o export"), "{}", answer.body);
    }
    let unknown = server.post("/ingest/raw?format=xml", &[], "x").await;
    assert_eq!((unknown.status, &unknown.body["error"]), (400, &json!("unknown_format")));
    let bytes = server.post("/ingest/raw", &[], b"caf\xe9".to_vec()).await;
    assert_eq!(bytes.status, 202);
    let last = server.stored().pop().expect("just stored");
    assert_eq!(last.message, "caf\u{fffd}");
    assert_eq!(last.fields, [("invalid_utf8".to_owned(), watchfire_model::Value::Bool(true))]);
}

#[tokio::test]
async fn packed_bodies_bombs_and_halves() {
    let server = Server::new();
    let packed = gzip(b"{\"message\":\"zipped\"}");
    let header = [("content-encoding", "gzip")];
    assert_eq!(server.post("/ingest", &header, packed.clone()).await.status, 202);
    let half = server.post("/ingest", &header, packed[..packed.len() / 2].to_vec()).await;
    assert_eq!((half.status, &half.body["error"]), (400, &json!("content_encoding")));
    let bomb = server.post("/ingest", &header, gzip(&vec![b' '; 10_000_000])).await;
    assert_eq!((bomb.status, &bomb.body["error"]), (413, &json!("too_large")));
    let zstd = zstd::encode_all(&b"{\"message\":\"zst\"}"[..], 1).expect("memory takes all");
    assert_eq!(server.post("/ingest", &[("content-encoding", "zstd")], zstd).await.status, 202);
    let brotli = server.post("/ingest", &[("content-encoding", "br")], "x").await;
    assert_eq!(brotli.status, 415);
    let long = server.ingest(vec![b' '; 100_001]).await;
    assert_eq!((long.status, &long.body["error"]), (413, &json!("too_large")));
    assert_eq!(server.messages(), ["zipped", "zst"]);
    assert_eq!(server.intake.in_flight(), 0, "everything taken was given back");
}

#[tokio::test]
async fn d2_records_in_d2_names() {
    let server = Server::new();
    let body = r#"{"level":"error","source":"web","application":"shop","message":"m","metadata":{"a":1}}"#;
    for path in ["/data/", "/data"] {
        let answer = server.post(path, &[], body).await;
        assert_eq!(answer.status, 201);
        let seq = server.stored().len() - 1;
        for (name, value) in [
            ("id", json!(seq)),
            ("level", json!("ERROR")),
            ("source", json!("web")),
            ("application", json!("shop")),
            ("message", json!("m")),
            ("metadata", json!({"a": 1})),
        ] {
            assert_eq!(answer.body[name], value, "{name}");
        }
        assert!(answer.body["created_at"].is_string());
    }
    let fast = server.post("/data/fast", &[], body).await;
    assert_eq!((fast.status, &fast.body["status"], &fast.body["id"]), (202, &json!("queued"), &json!(2)));
    let list = server.post("/data/fast", &[], format!("[{body},{body}]")).await;
    assert_eq!((list.status, &list.body["status"], &list.body["accepted"]), (202, &json!("queued"), &json!(2)));
    assert_eq!(server.post("/data/", &[], format!("[{body},{body}]")).await.status, 400);
    assert_eq!(server.post("/data/", &[], "{}").await.status, 400);
    let key = [("idempotency-key", "k")];
    let first = server.post("/data/", &key, body).await;
    server.post("/data/fast", &[], body).await;
    let again = server.post("/data/", &key, body).await;
    assert_eq!((again.status, &again.body["id"]), (201, &first.body["id"]));
}

#[tokio::test]
async fn parsing_shows_what_would_be_stored() {
    let server = Server::new();
    let line = r#"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 500 2326 "-" "x""#;
    let raw = json!({ "raw_log": line }).to_string();
    let old = server.post("/parse/auto", &[("content-type", "application/json")], raw.clone()).await;
    assert_eq!((old.status, &old.body["format"], &old.body["stored"]), (200, &json!("apache_combined"), &json!(false)));
    assert_eq!((&old.body["log"]["level"], &old.body["log"]["fields"]["path"]), (&json!("error"), &json!("/a")));
    let several = server.post("/parse/auto", &[], r#"{"raw_logs": ["a=1 b=2", "who knows"]}"#).await;
    assert_eq!(several.body["results"][0]["format"], json!("logfmt"));
    assert_eq!(
        (&several.body["results"][1]["format"], &several.body["results"][1]["stored"]),
        (&json!("unknown"), &json!(true))
    );
    let text = server.post("/parse/auto?store=false", &[("content-type", "text/plain")], r#"{"message":"x"}"#).await;
    assert_eq!((&text.body["format"], &text.body["stored"]), (&json!("json"), &json!(false)));
    let wrong = server.post("/parse/syslog_rfc5424", &[], "no syslog").await;
    assert_eq!((wrong.status, &wrong.body["error"]), (422, &json!("not_of_format")));
    let custom = server.post("/parse/regex:shop?store=false", &[], "WARN: x").await;
    assert_eq!((custom.status, &custom.body["log"]["level"]), (200, &json!("warn")));
    assert_eq!(server.post("/parse/nothing", &[], "x").await.status, 404);
    assert_eq!(server.post("/parse/auto", &[("content-type", "application/json")], "{}").await.status, 400);
    assert_eq!(server.post("/parse/auto", &[], "").await.status, 400);
    assert_eq!(server.post("/parse/auto", &[], "x\n".repeat(10_001)).await.status, 413);
    assert_eq!(server.messages(), ["a=1 b=2", "who knows"]);
}

#[tokio::test]
async fn refusals_say_it_once_and_where() {
    let server = Server::new();
    let old = r#"{"message":"old","timestamp":"2001-01-01T00:00:00Z"}"#;
    let single = server.ingest(old).await;
    assert!(single.body["message"].as_str().expect("a text").starts_with("the record's time 2001"), "{}", single.body);
    let listed = server.ingest(format!("[{old},{{\"message\":\"m\"}}]")).await;
    let listed = listed.body["errors"][0]["error"].as_str().expect("a text").to_owned();
    assert!(listed.starts_with("too_old: the record's time 2001"), "{listed}");
    let long = server.ingest(format!(r#"{{"message":"{}"}}"#, "x".repeat(2000))).await;
    assert!(long.body["message"].as_str().expect("a text").starts_with("the record has 20"), "{}", long.body);
    let lines = [("content-type", "application/x-ndjson")];
    let bad = server.post("/ingest", &lines, "\n {\"message\": tru}\n").await;
    assert_eq!((bad.status, &bad.body["where"]), (400, &json!({"line": 2, "column": 14, "offset": 14})));
    assert_eq!(bad.body["hint"], Value::Null);
    let pretty = "{\n  \"message\": \"a\"\n}\n{\n  \"message\": \"b\"\n}\n";
    for headers in [&lines[..], &[]] {
        let answer = server.post("/ingest", headers, pretty).await;
        assert_eq!((answer.status, &answer.body["where"]["line"]), (400, &json!(1)));
        assert!(answer.body["hint"].as_str().expect("a hint").contains("one object per line"), "{}", answer.body);
    }
    assert_eq!(server.messages(), ["m"]);
}

#[tokio::test]
async fn a_request_to_parse_is_never_a_line() {
    let server = Server::new();
    for (body, message) in [
        (r#"{"raw_log":"a","raw_logs":["b"]}"#, "give `raw_log` or `raw_logs`, not both"),
        (r#"{"raw_logs":["a",5]}"#, "`raw_logs` must be a list of texts; item 1 is none"),
        (r#"{"raw_logs":"x"}"#, "`raw_logs` must be a list of texts"),
        (r#"{"raw_log":5}"#, "`raw_log` must be a text"),
        (r#"{"raw_log":null,"message":"m"}"#, "`raw_log` must be a text"),
    ] {
        for headers in [&[][..], &[("content-type", "application/json")], &[("content-type", "text/plain")]] {
            let answer = server.post("/parse/auto", headers, body).await;
            let seen = (answer.status, &answer.body["error"], &answer.body["message"]);
            assert_eq!(seen, (400, &json!("no_raw_log"), &json!(message)), "{body}");
        }
    }
    assert_eq!(server.messages().len(), 0);
}

#[tokio::test]
async fn parameters_that_are_not_known_are_told_before_anything_is_stored() {
    let server = Server::new();
    for (path, message, hint) in [
        ("/ingest?sevice=a", "unknown parameter `sevice`", "did you mean `service`?"),
        ("/ingest?format=json", "unknown parameter `format`", "known are service, source, host"),
        ("/ingest/raw?fromat=json", "unknown parameter `fromat`", "did you mean `format`?"),
        ("/data/?Host=a", "unknown parameter `Host`", "did you mean `host`?"),
        ("/data/fast?stor=a", "unknown parameter `stor`", "known are service, source, host"),
        ("/parse/auto?stor=false", "unknown parameter `stor`", "did you mean `store`?"),
        ("/parse/auto?dry_run=1", "unknown parameter `dry_run`", "known are service, source, host, store"),
        ("/ingest?service=a&service=b", "parameter `service` is given twice", ""),
    ] {
        let answer = server.post(path, &[], r#"{"message":"m"}"#).await;
        let hint = if hint.is_empty() { json!(null) } else { json!(hint) };
        let seen = (answer.status, &answer.body["error"], &answer.body["message"], &answer.body["hint"]);
        assert_eq!(seen, (400, &json!("bad_parameter"), &json!(message), &hint), "{path}");
    }
    assert_eq!(server.messages().len(), 0);
    assert_eq!(server.post("/ingest?service=a&source=&host=c", &[], r#"{"message":"m"}"#).await.status, 202);
    assert_eq!((&*server.stored()[0].service, server.stored()[0].host.as_deref()), ("a", Some("c")));
}

#[tokio::test]
async fn a_full_queue_and_a_draining_server_say_when_to_come_back() {
    let server = Server::with(Limits::default(), |config| {
        config.disk_limit_bytes = 1 << 20;
        config.segment_bytes = 64 << 10;
    });
    server.queue.register("nobody", 0);
    let body = format!("{{\"message\":\"{}\"}}", "x".repeat(20_000));
    let mut accepted = 0;
    let refused = loop {
        let answer = server.ingest(body.clone()).await;
        if answer.status != 202 {
            break answer;
        }
        accepted += 1;
        assert!(accepted < 1000, "the queue has a limit");
    };
    assert_eq!((refused.status, &refused.body["error"]), (503, &json!("queue_full")));
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(server.stored().len(), accepted);
    assert_eq!(server.counter("watchfire_records_rejected_total", &[("reason", "queue_full")]), 1);
    server.intake.drain();
    let draining = server.ingest(body).await;
    assert_eq!((draining.status, &draining.body["error"]), (503, &json!("draining")));
}

#[tokio::test]
async fn other_methods_are_told_what_is_understood() {
    let server = Server::new();
    let answer = server.call(Request::get("/ingest").body(Body::empty()).expect("a sound request")).await;
    assert_eq!((answer.status, &answer.body["error"]), (405, &json!("method_not_allowed")));
    assert_eq!(answer.headers.get("allow").and_then(|value| value.to_str().ok()), Some("POST"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let server = Server::new();
    let stalled = stalled_body(std::time::Duration::from_secs(3600));
    let answer = server.ingest(stalled).await;
    assert_eq!((answer.status, &answer.body["error"]), (408, &json!("timeout")));
}

/// A body whose second half comes after a while.
fn stalled_body(pause: std::time::Duration) -> Body {
    let parts = futures_util::stream::unfold(0, move |at| async move {
        if at == 1 {
            tokio::time::sleep(pause).await;
        }
        let part: &[u8] = [&b"{\"message\":"[..], b"\"late\"}"].get(at).copied()?;
        Some((Ok::<_, std::convert::Infallible>(part), at + 1))
    });
    Body::from_stream(parts)
}

#[test]
fn paths_that_store_are_known() {
    for path in ["/ingest", "/ingest/raw", "/data/", "/data/fast", "/parse/auto"] {
        assert!(stores_records(path), "{path}");
    }
    for path in ["/", "/health", "/api/v1/logs/search", "/ingestion"] {
        assert!(!stores_records(path), "{path}");
    }
}

#[tokio::test]
async fn values_that_explode_stay_small_and_spare_the_rest() {
    let limits = Limits { line_bytes: 1000, body_bytes: 8 << 20, in_flight_bytes: 64 << 20, ..Limits::default() };
    let server = Server::with(limits, |_| {});
    let ones = "1,".repeat(500_000);
    let escapes = "\\n".repeat(500_000);
    let keys: String = (0..100_000).map(|n| format!("\"k{n}\":0,")).collect();
    let body = format!(
        "[{{\"message\":\"first\"}},{{\"a\":[{ones}1]}},{{\"message\":\"{escapes}\"}},{{{keys}\"k\":1}},{{\"message\":\"last\"}}]"
    );
    let answer = server.ingest(body).await;
    assert_eq!((answer.status, &answer.body["accepted"], &answer.body["rejected"]), (202, &json!(2), &json!(3)));
    assert_eq!(server.messages(), ["first", "last"]);
    assert!(server.intake.with_worker(|worker| worker.draft.tape.held_bytes() < 256 << 10));
    assert_eq!(server.intake.in_flight(), 0);
}

#[tokio::test]
async fn records_that_take_too_much_memory_are_refused_as_a_whole() {
    let limits = Limits { body_bytes: 8 << 20, in_flight_bytes: 10 << 20, ..Limits::default() };
    let server = Server::with(limits, |_| {});
    let answer = server.ingest("{\"message\":\"\"}\n".repeat(400_000)).await;
    assert_eq!((answer.status, &answer.body["error"]), (413, &json!("too_large")));
    assert_eq!((server.stored().len(), server.intake.in_flight()), (0, 0));
}
