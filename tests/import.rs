//! `/api/v1/import/logs`: pieces of a file from wherever they come, each byte stored once over deaths of the server.

use std::time::{Duration, Instant};

use watchfire_test_support::lines::Random;
use watchfire_test_support::{Client, Server};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// Lines of the interrupted import.
const LINES: u64 = if cfg!(debug_assertions) { 60_000 } else { 600_000 };
const INTERRUPTIONS: usize = 10;
const PIECE_BYTES: usize = 256 << 10;

fn line(number: u64, time: u64) -> String {
    format!(
        "{{\"timestamp\":{time}.{:03},\"service\":\"shop\",\"level\":\"info\",\"message\":\"order {number} is paid\",\"number\":{number},\"id\":\"same\"}}\n",
        number % 1000
    )
}

fn hour_ago() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    now.as_secs() - 3600
}

/// Sends a piece; what the server says, if it says anything.
fn send(client: &mut Client, file: u64, position: usize, piece: &[u8], end: bool) -> Option<(u16, serde_json::Value)> {
    let path =
        format!("/api/v1/import/logs?file={file:032x}&position={position}&head_bytes=9&head_hash={:032x}&end={end}", 7);
    let request = Client::request("POST", &path, &["Content-Type: application/octet-stream"], piece);
    let answer = client.send(&request).and_then(|()| client.receive()).ok()?;
    Some((answer.status, answer.json()))
}

/// Sends a text from where the server stands until it is all there or the connection breaks; true if it is.
fn import(server: &Server, file: u64, text: &[u8]) -> bool {
    let Ok(mut client) = Client::connect(server.address) else { return false };
    let mut position = 0;
    while position < text.len() {
        let to = (position + PIECE_BYTES).min(text.len());
        let Some((status, answer)) = send(&mut client, file, position, &text[position..to], to == text.len()) else {
            return false;
        };
        assert!(matches!(status, 202 | 409 | 503), "{status}: {answer}");
        match answer["position"].as_u64() {
            Some(moved) => position = usize::try_from(moved).expect("a position in the text"),
            None => return false,
        }
    }
    true
}

fn total(server: &Server, query: &str) -> u64 {
    let path = format!("/api/v1/logs/search?start=48h&limit=0&buckets=0&{query}");
    server.client().get(&path)["total"].as_u64().unwrap_or_default()
}

#[test]
fn an_import_over_ten_deaths_of_the_server_is_exact() {
    let time = hour_ago();
    let text: Vec<u8> = (0..LINES).flat_map(|number| line(number, time).into_bytes()).collect();
    let mut server = Server::start(BINARY, "");
    let mut random = Random::new(3);
    for _ in 0..INTERRUPTIONS {
        let pid = server.pid().to_string();
        std::thread::scope(|scope| {
            let (server, text) = (&server, &text);
            scope.spawn(move || import(server, 1, text));
            // The moment of death; nothing is waited for.
            std::thread::sleep(Duration::from_millis(20 + random.below(300)));
            std::process::Command::new("kill").args(["-9", &pid]).status().expect("kill is there");
        });
        server.restart();
    }
    let begun = Instant::now();
    while !import(&server, 1, &text) {
        assert!(begun.elapsed() < Duration::from_secs(120), "it does not end: {}", server.log());
    }
    server.wait_drained();
    assert_eq!(total(&server, "service=shop"), LINES, "{}", server.log());
    for _ in 0..100 {
        let number = random.below(LINES);
        assert_eq!(total(&server, &format!("q=number:{number}")), 1, "line {number}");
    }
    // Dated by their own time: in no running total, and unseen by rules.
    let metrics = server.client().try_get("/metrics").text();
    let found = server.client().get("/api/v1/metrics/query?query=sum%20log_events_total%20service%3Dshop");
    assert!(found["value"].as_f64().is_none_or(|total| total == 0.0), "{found}");
    assert!(metrics.contains("watchfire_records_accepted_total{format=\"json\",source=\"import\"}"), "{metrics}");
}

#[test]
fn a_piece_goes_where_the_file_stands() {
    let server = Server::start(BINARY, "");
    let mut client = server.client();
    let time = hour_ago();
    let young = line(1, time + 3590);
    let text = format!("{young}{}half", line(2, time));
    let whole = text.len() - "half".len();
    let mut take = |position, piece: &[u8], end| send(&mut client, 5, position, piece, end).expect("it answers");
    let (status, answer) = take(0, text.as_bytes(), false);
    assert_eq!((status, &answer["position"], &answer["accepted"]), (202, &whole.into(), &2.into()), "{answer}");
    let (status, answer) = take(0, text.as_bytes(), false);
    assert_eq!((status, &answer["error"], &answer["position"]), (409, &"moved".into(), &whole.into()), "{answer}");
    let (status, answer) = take(whole, b"half", false);
    assert_eq!((status, &answer["position"]), (202, &whole.into()), "{answer}");
    let (status, answer) = take(whole, b"half", true);
    assert_eq!((status, &answer["position"], &answer["accepted"]), (202, &text.len().into(), &1.into()), "{answer}");
    let (status, answer) = take(text.len(), b"{\"timestamp\":5,\"message\":\"old\"}\n", false);
    assert_eq!((status, &answer["rejected"]), (202, &1.into()), "{answer}");
    assert!(answer["errors"][0]["error"].as_str().is_some_and(|error| error.starts_with("too_old")), "{answer}");
    let known = server.client().get("/api/v1/import/logs?start=0000000000000000");
    assert_eq!(known["files"][0]["position"], text.len() + 32, "{known}");
    assert_eq!(server.client().post("/api/v1/import/logs?file=1", "text/plain", "x\n").status, 400);
    // A young line of an import is no event of now.
    server.wait_drained();
    assert_eq!(total(&server, "service=shop"), 2);
    let found = server.client().get("/api/v1/metrics/query?query=sum%20log_events_total%20service%3Dshop");
    assert!(found["value"].as_f64().is_none_or(|total| total == 0.0), "{found}");
}
