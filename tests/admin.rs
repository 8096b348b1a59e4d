//! Prometheus' admin API: off unless asked for; what is deleted is gone exactly, over a kill as well; a snapshot opens.

use serde_json::Value;
use watchfire_test_support::client::encode;
use watchfire_test_support::{Client, Server, remote_write};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
const ON: &str = "admin_api: true\n";
const STEP_MS: i64 = 10_000;
const STEPS: i64 = 1500;

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("milliseconds fit")
}

fn fill(client: &mut Client, begin: i64) {
    let mut request = Vec::new();
    for job in ["a", "b"] {
        let labels = remote_write::labels([("__name__", "m"), ("job", job)]);
        let samples: Vec<(i64, f64)> = (0..STEPS).map(|step| (begin + step * STEP_MS, step as f64)).collect();
        remote_write::put_series(&labels, &samples, &mut request);
    }
    assert_eq!(client.call(&remote_write::http_request(&request)).status, 204);
}

fn post(client: &mut Client, call: &str) -> (u16, Value) {
    let answer = client.post(&format!("/api/v1/admin/tsdb/{call}"), "text/plain", "");
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

/// Times of all samples of a series, as steps.
fn steps(client: &mut Client, selector: &str, begin: i64) -> Vec<i64> {
    let answer = client.get(&format!("/api/v1/query?query={}", encode(&format!("{selector}[24h]"))));
    let values = answer["data"]["result"][0]["values"].as_array().cloned().unwrap_or_default();
    values.iter().map(|pair| ((pair[0].as_f64().unwrap_or(0.0) * 1000.0).round() as i64 - begin) / STEP_MS).collect()
}

#[test]
fn what_is_deleted_is_gone_exactly_and_for_good() {
    let mut server = Server::start(BINARY, ON);
    let mut client = server.client();
    let begin = now_ms() - STEPS * STEP_MS;
    fill(&mut client, begin);
    // Both ends belong to the range.
    let (from, to) = (begin + 100 * STEP_MS, begin + 1000 * STEP_MS);
    let seconds = |ms: i64| format!("{:.3}", ms as f64 / 1000.0);
    let call = format!("delete_series?match[]={}&start={}&end={}", encode("m{job=\"a\"}"), seconds(from), seconds(to));
    assert_eq!(post(&mut client, &call).0, 204);
    let wanted: Vec<i64> = (0..100).chain(1001..STEPS).collect();
    assert_eq!(steps(&mut client, "m{job=\"a\"}", begin), wanted);
    server.restart();
    let mut client = server.client();
    assert_eq!(steps(&mut client, "m{job=\"a\"}", begin), wanted);
    assert_eq!(steps(&mut client, "m{job=\"b\"}", begin).len() as i64, STEPS);
    // What is deleted may come again; what comes later is not hidden.
    let text = format!("m{{job=\"a\"}} 7 {}\n", begin + 500 * STEP_MS);
    let answer = client.post("/api/v1/import", "text/plain; version=0.0.4", text);
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(steps(&mut client, "m{job=\"a\"}", begin).len(), wanted.len() + 1);
    // All of it, and several at once.
    let call = format!("delete_series?match[]={}&match[]={}", encode("m{job=\"a\"}"), encode("{job=~\"b|c\"}"));
    assert_eq!(post(&mut client, &call).0, 204);
    server.restart();
    let mut client = server.client();
    assert_eq!(client.get("/api/v1/query?query=m[24h]")["data"]["result"], serde_json::json!([]));
    assert_eq!(client.get("/api/v1/series?match[]=m")["data"], serde_json::json!([]));
    assert_eq!(post(&mut client, "clean_tombstones").0, 204);
}

#[test]
fn a_snapshot_opens_as_a_data_folder() {
    let server = Server::start(BINARY, ON);
    let mut client = server.client();
    let begin = now_ms() - STEPS * STEP_MS;
    fill(&mut client, begin);
    let (status, answer) = post(&mut client, "snapshot");
    assert_eq!(status, 200, "{answer}");
    let name = answer["data"]["name"].as_str().expect("a name").to_owned();
    assert_eq!(post(&mut client, &format!("delete_series?match[]={}", encode("m{job=\"a\"}"))).0, 204);
    let copy = server.data().join("snapshots").join(name);
    let copied = Server::start_on(BINARY, "", &copy);
    assert_eq!(steps(&mut copied.client(), "m{job=\"a\"}", begin).len() as i64, STEPS);
    assert_eq!(steps(&mut client, "m{job=\"a\"}", begin).len(), 0);
}

#[test]
fn it_is_off_unless_asked_for_and_says_what_it_does_not_do() {
    let server = Server::start(BINARY, "");
    let mut client = server.client();
    for call in ["delete_series?match[]=up", "clean_tombstones", "snapshot"] {
        let (status, answer) = post(&mut client, call);
        assert_eq!((status, &answer["errorType"]), (500, &"unavailable".into()), "{answer}");
    }
    let server = Server::start(BINARY, ON);
    let mut client = server.client();
    assert_eq!(client.post("/ingest", "application/json", r#"{"message":"x","service":"s"}"#).status, 202);
    server.wait_drained();
    for (call, status, why) in [
        ("delete_series", 400, "no match[] parameter provided"),
        ("delete_series?match[]=%7B", 400, "match[]"),
        ("delete_series?match[]=log_events_total", 422, "counted from logs"),
        ("snapshot?skip_head=x", 400, "skip_head"),
    ] {
        let (got, answer) = post(&mut client, call);
        assert!(
            got == status && answer["error"].as_str().is_some_and(|text| text.contains(why)),
            "{call}: {got} {answer}"
        );
    }
    assert_eq!(client.try_get("/api/v1/admin/tsdb/snapshot").status, 405);
}
