//! Answers of Prometheus' API that are long: packed as the client likes it, sent while they are written.

use std::io::Read;

use watchfire_test_support::client::encode;
use watchfire_test_support::{Answer, Client, Server, remote_write};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
const SERIES: usize = 400;
const STEPS: i64 = 600;

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("milliseconds fit")
}

fn fill(client: &mut Client, begin: i64) {
    let mut request = Vec::new();
    for number in 0..SERIES {
        let instance = format!("host-{number}");
        let labels = remote_write::labels([("__name__", "m"), ("instance", &instance)]);
        let samples: Vec<(i64, f64)> =
            (0..STEPS).map(|step| (begin + step * 1000, (step * 7919 % 1000) as f64 / 7.0)).collect();
        remote_write::put_series(&labels, &samples, &mut request);
    }
    assert_eq!(client.call(&remote_write::http_request(&request)).status, 204);
}

fn ask(client: &mut Client, path: &str, accept: &str) -> Answer {
    let header = format!("Accept-Encoding: {accept}");
    let answer = client.call(&Client::request("GET", path, &[&header], b""));
    assert_eq!(answer.status, 200, "{path}: {}", answer.head);
    answer
}

fn says(answer: &Answer, header: &str) -> bool {
    answer.head.to_ascii_lowercase().contains(header)
}

#[test]
fn long_answers_are_packed_as_they_are_liked_and_say_the_same() {
    let server = Server::start(BINARY, "");
    let mut client = server.client();
    let begin = now_ms() - STEPS * 1000;
    fill(&mut client, begin);
    let end = begin + (STEPS - 1) * 1000;
    let range = format!("/api/v1/query_range?query=m&start={}&end={}&step=1", begin / 1000, end / 1000);
    let instant = format!("/api/v1/query?query={}&time={}.999", encode("m[1h]"), end / 1000);
    for path in
        [range, instant, "/api/v1/series?match[]=m".to_owned(), "/federate?match[]=m".to_owned(), "/metrics".to_owned()]
    {
        let plain = ask(&mut client, &path, "identity");
        assert!(!says(&plain, "content-encoding") && says(&plain, "vary: accept-encoding"), "{path}: {}", plain.head);
        for accept in ["gzip, deflate", "gzip;q=0.5, zstd"] {
            let packed = ask(&mut client, &path, accept);
            let mut body = Vec::new();
            if accept.contains("zstd") {
                assert!(says(&packed, "content-encoding: zstd"), "{path}: {}", packed.head);
                body = zstd::decode_all(packed.body.as_slice()).expect("zstd");
            } else {
                assert!(says(&packed, "content-encoding: gzip"), "{path}: {}", packed.head);
                flate2::read::GzDecoder::new(packed.body.as_slice()).read_to_end(&mut body).expect("gzip");
            }
            assert!(packed.body.len() * 2 < body.len(), "{path}: {} of {}", packed.body.len(), body.len());
            // Our own state changes from one look to the next, and the newest samples are looked for at another moment.
            if !path.starts_with("/metrics") && !path.starts_with("/federate") {
                assert!(body == plain.body, "{path} says something else when it is packed");
            }
        }
    }
    // Long ones are sent while they are written, short ones as a whole.
    let long = ask(&mut client, "/api/v1/query?query=m[1h]", "identity");
    assert!(says(&long, "transfer-encoding: chunked") && long.body.len() > 1 << 20, "{}", long.head);
    let points: usize = long.json()["data"]["result"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|series| series["values"].as_array().map_or(0, Vec::len))
        .sum();
    assert_eq!(points, SERIES * STEPS as usize);
    for query in ["1", "vector(1)", "\"x\"", "m{instance=\"nobody\"}"] {
        let short = ask(&mut client, &format!("/api/v1/query?query={}", encode(query)), "gzip");
        assert!(says(&short, "content-length") && !says(&short, "content-encoding"), "{query}: {}", short.head);
        assert_eq!(short.json()["status"], "success", "{query}");
    }
}

#[test]
fn what_else_clients_look_at() {
    let server = Server::start(BINARY, "");
    let mut client = server.client();
    for timeout in ["0", "-1", "0s"] {
        let answer = client.try_get(&format!("/api/v1/query?query=1&timeout={timeout}"));
        assert_eq!((answer.status, answer.json()["errorType"].as_str()), (400, Some("bad_data")), "{}", answer.text());
    }
    // As people type it, and as servers in Go take it; also behind a body, on the same connection.
    for _ in 0..2 {
        let answer = client.get("/api/v1/query?query=count({job=\"é\"}<bool+3)");
        assert_eq!(answer["status"], "success", "{answer}");
        let form = client.post("/api/v1/query", "application/x-www-form-urlencoded", "query=vector(\"1\")");
        assert_eq!(form.status, 400, "{}", form.text());
    }
    let features = client.get("/api/v1/features")["data"].clone();
    assert_eq!((&features["promql_functions"]["rate"], &features["api"]["admin"]), (&true.into(), &false.into()));
    assert_eq!(client.get("/api/v1/status/tsdb/blocks")["data"], serde_json::json!({"blocks": []}));
}
