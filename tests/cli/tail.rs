//! `tail`: nothing missing, nothing twice, whatever happens to the connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Stdio};

use serde_json::Value;
use watchfire_test_support::Server;

use crate::program::{run, server_with, watchfire};

/// Posts of 300 kB, more than all that lies between the server and a reader who does not read.
const POSTS: usize = 90;

/// A tail that runs.
struct Tail {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Tail {
    fn start(server: &Server, arguments: &[&str]) -> Tail {
        let mut child = watchfire(server)
            .arg("tail")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Tail { child, lines: stdout.lines() }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("a line").expect("text")
    }

    /// Waits for its end by itself; answers its exit code and what it told.
    fn end(mut self) -> (Option<i32>, String) {
        let rest = self.lines.by_ref().count();
        let output = self.child.wait_with_output().expect("our child");
        assert_eq!(rest, 0, "it went on");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn number(line: &str) -> u64 {
    let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    record["fields"]["n"].as_u64().unwrap_or_else(|| panic!("{line}"))
}

fn send(server: &Server, numbers: std::ops::Range<u64>) {
    let mut client = server.client();
    for number in numbers {
        let body = format!(r#"{{"message":"number {number}","service":"s","n":{number}}}"#);
        assert_eq!(client.post("/ingest", "application/json", body).status, 202);
    }
}

/// Waits until the server has so many readers of its live tail.
fn wait_readers(server: &Server, count: u64) {
    let mut client = server.client();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while client.get("/health")["websocket_connections"] != count {
        assert!(std::time::Instant::now() < deadline, "nobody follows");
    }
}

#[test]
fn history_and_what_comes_meanwhile_are_shown_once() {
    let server = server_with(&[r#"{"message":"of another service","service":"t","n":999}"#]);
    send(&server, 0..1500);
    let mut tail = Tail::start(&server, &["service:s", "--since", "1h", "-o", "json", "-n", "3000"]);
    // These come while it starts, walks the history and follows.
    send(&server, 1500..3000);
    let mut seen: Vec<u64> = (0..3000).map(|_| number(&tail.line())).collect();
    assert_eq!(tail.end(), (Some(0), String::new()));
    seen.sort_unstable();
    assert_eq!(seen, (0..3000).collect::<Vec<_>>());
}

#[test]
fn a_restart_of_the_server_is_no_gap() {
    let mut server = server_with(&[]);
    let mut tail = Tail::start(&server, &["--service", "s", "-o", "json", "-n", "30"]);
    wait_readers(&server, 1);
    send(&server, 0..10);
    assert_eq!((0..10).map(|_| number(&tail.line())).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    server.restart();
    // Some of these are stored before it is connected again, perhaps all.
    send(&server, 10..30);
    let mut seen: Vec<u64> = (0..20).map(|_| number(&tail.line())).collect();
    seen.sort_unstable();
    assert_eq!(seen, (10..30).collect::<Vec<_>>());
    let (code, told) = tail.end();
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("trying again in 250ms ──\n") && told.contains("── connected again ──\n"), "{told}");
}

#[test]
fn a_server_that_stops_says_so_after_all_that_it_had_accepted() {
    let mut server = server_with(&[]);
    let mut tail = Tail::start(&server, &["--service", "s", "-o", "json", "-n", "6"]);
    let mut socket = TcpStream::connect(server.address).expect("it listens");
    let head = format!(
        "GET /ws/logs?service=s HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.address
    );
    socket.write_all(head.as_bytes()).expect("it reads");
    wait_readers(&server, 2);
    send(&server, 0..5);
    server.signal("TERM");
    let mut read = Vec::new();
    socket.read_to_end(&mut read).expect("it is ended, not cut");
    // 1001: the server goes away.
    let goodbye = [b"\x88\x18\x03\xe9".as_slice(), b"the server is stopping"].concat();
    let text = String::from_utf8_lossy(&read);
    assert!(read.ends_with(&goodbye) && text.contains("number 4"), "{text}");
    assert!(server.wait_end().success(), "{}", server.log());
    server.restart();
    wait_readers(&server, 1);
    send(&server, 5..6);
    assert_eq!((0..6).map(|_| number(&tail.line())).collect::<Vec<_>>(), (0..6).collect::<Vec<_>>());
    let (code, told) = tail.end();
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("── the server closed the connection: the server is stopping; trying again in "), "{told}");
}

#[test]
fn filters_text_and_hostile_messages() {
    let server = server_with(&[]);
    let mut tail = Tail::start(&server, &["x:1", "--level", "error,warn", "--service", "a,b", "-n", "2"]);
    wait_readers(&server, 1);
    let mut client = server.client();
    for record in [
        r#"{"message":"wrong level","service":"a","level":"info","x":1}"#,
        r#"{"message":"wrong service","service":"c","level":"error","x":1}"#,
        r#"{"message":"no match","service":"a","level":"error","x":2}"#,
        r#"{"message":"\u001b]0;owned\u0007\u009b2J\r\n2026-11-28 fake","service":"a","level":"error","x":1}"#,
        r#"{"message":"fine","service":"b","level":"warning","x":1,"host":"h 1"}"#,
    ] {
        client.post("/ingest", "application/json", record);
    }
    // Behind date and time.
    let behind_time = |line: String| line.get(24..).unwrap_or_default().to_owned();
    assert_eq!(behind_time(tail.line()), r"ERROR    a          \x1b]0;owned\x07\x9b2J");
    assert_eq!(tail.line(), "    │ 2026-11-28 fake  x=1");
    assert_eq!(behind_time(tail.line()), "WARN     b          fine  host=\"h 1\"  x=1");
    assert_eq!(tail.end(), (Some(0), String::new()));
}

#[test]
fn who_reads_too_slowly_is_told_how_many_went_by() {
    let server = server_with(&[]);
    let tail = Tail::start(&server, &["-o", "json", "service:s"]);
    wait_readers(&server, 1);
    // Nobody reads the pipe: it, the socket and the server's batches fill, and then the server drops.
    let record = format!(r#"{{"message":"{}","service":"s","n":1}}"#, "x".repeat(100_000));
    // Half of what is sent is not for this reader, and is not counted.
    let other = r#"{"message":"something else","service":"other"}"#;
    let body = [record.as_str(), other, &record, other, &record, other].join("\n");
    let mut client = server.client();
    for _ in 0..POSTS {
        assert_eq!(client.post("/ingest", "application/x-ndjson", &body).status, 202);
        server.wait_drained();
    }
    let pid = tail.child.id().to_string();
    let mut tail = tail;
    let mut stderr = BufReader::new(tail.child.stderr.take().expect("piped")).lines();
    let last_one = r#"{"message":"the last one","service":"s","n":2}"#;
    assert_eq!(client.post("/ingest", "application/json", last_one).status, 202);
    // Now it is read, to the last record; then Ctrl-C.
    let reader = std::thread::spawn(move || {
        let count = tail.lines.by_ref().map_while(Result::ok).take_while(|line| number(line) == 1).count();
        (count, tail.child)
    });
    let told = stderr.next().expect("a gap is told").expect("text");
    let (count, mut child) = reader.join().expect("it ends");
    std::process::Command::new("kill").args(["-INT", &pid]).status().expect("kill is there");
    let status = child.wait().expect("our child");
    assert!(told.ends_with("records went by unseen: this reader was too slow ──"), "{told}");
    assert_eq!(status.code(), Some(5));
    let last = stderr.map_while(Result::ok).last().unwrap_or_default();
    assert!(last.starts_with("incomplete: ") && last.ends_with(" records went by unseen"), "{last}");
    let unseen = last.strip_prefix("incomplete: ").and_then(|rest| rest.split(' ').next()).map(str::parse);
    assert_eq!(unseen, Some(Ok(3 * POSTS - count)), "of {} records {count} were shown: {last}", 3 * POSTS);
}

#[test]
fn ends_when_its_reader_has_seen_enough() {
    let server = server_with(&[r#"{"message":"one"}"#, r#"{"message":"two"}"#]);
    let mut tail = Tail::start(&server, &["--since", "1h"]);
    assert!(tail.line().contains("queue opened"));
    drop(tail.lines);
    send(&server, 0..5);
    let output = tail.child.wait_with_output().expect("our child");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    assert_eq!(run(&server, &["tail", "--since", "1h", "-n", "0"]).out, "");
}
