//! Standard input as a source: all of it is stored, and passed on unchanged.

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use watchfire_test_support::logs::line;
use watchfire_test_support::server::free_port;
use watchfire_test_support::{Client, Daemon, Server};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// Longest wait for what comes soon.
const SOON: Duration = Duration::from_secs(60);

/// A server of its own, which ends with its input.
fn taken(more: &[&str], text: &[u8], data: &Path) {
    let config = data.join("config.yaml");
    fs::write(&config, "metrics: {port: 0}\n").expect("the folder can be written");
    let mut command = Command::new(BINARY);
    command.args(["serve", "--listen", &format!("127.0.0.1:{}", free_port()), "--stdin", "--stdin-exit", "--config"]);
    command.arg(config).arg("--data-dir").arg(data.join("data")).args(more);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("the binary is built");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(text).expect("all of it is read");
    drop(input);
    assert!(child.wait().expect("our child").success());
}

#[test]
fn entries_of_a_journal_on_standard_input_are_joined_as_elsewhere() {
    let micros = watchfire_model::Timestamp::now().millis() * 1000;
    let lines = ["java.lang.IllegalStateException: no", "\tat shop.Main.main(Main.java:3)", "\t... 3 more", "ready"];
    let text: String = (lines.iter().enumerate())
        .map(|(at, line)| {
            format!(
                "__CURSOR=c{at}\n__REALTIME_TIMESTAMP={}\n_STREAM_ID=a\n_TRANSPORT=stdout\n_SYSTEMD_UNIT=shop.service\nPRIORITY=6\nMESSAGE={line}\n\n",
                micros + at as i64
            )
        })
        .collect();
    for (multiline, wanted) in [("auto", 2), ("java", 2), ("python", 4), ("off", 4)] {
        let folder = tempfile::tempdir().expect("a folder");
        let asked = ["--stdin-format", "journald", "--stdin-multiline", multiline];
        taken(&asked, text.as_bytes(), folder.path());
        let server = Server::start_on(BINARY, "", &folder.path().join("data"));
        let found = server.client().get("/api/v1/logs/search?q=service:shop");
        assert_eq!(found["total"], wanted, "{multiline}: {found}");
        let errors = server.client().get("/api/v1/logs/search?q=service:shop%20level:error");
        assert_eq!(errors["total"], u64::from(wanted == 2), "{multiline}: {errors}");
    }
}

#[test]
fn standard_input_is_stored_and_passed_on_unchanged() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let port = free_port();
    let config = folder.path().join("config.yaml");
    fs::write(&config, "metrics: {port: 0}\n").expect("the folder can be written");
    let serve = |more: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(&config);
        command.arg("--data-dir").arg(&data).args(more).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(Stdio::null());
        command
    };
    let time = watchfire_model::Timestamp::now().to_rfc3339();
    let parts = format!("{time} stdout P begins, \n{time} stdout F ends\n");
    let lines = (0..20_000u64).flat_map(|n| format!("{}\r\n", line(n)).into_bytes());
    let text: Vec<u8> = lines.chain(parts.into_bytes()).chain(*b"\xff\0end").collect();
    let mut child = serve(&["--stdin", "--stdin-service", "app", "--stdin-exit"]).spawn().expect("the binary is built");
    let mut input = child.stdin.take().expect("a pipe");
    let given = text.clone();
    let writer = std::thread::spawn(move || input.write_all(&given));
    let output = child.wait_with_output().expect("it ends with its input");
    writer.join().expect("the writer ends").expect("all of it was read");
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(output.stdout, text, "passed on unchanged");
    let mut unreadable = serve(&["--stdin", "--stdin-exit"]);
    let status = unreadable.stdin(File::open("/").expect("it is there")).status().expect("the binary is built");
    assert_eq!(status.code(), Some(1), "a folder is no input");
    let mut child = Daemon(serve(&[]).spawn().expect("the binary is built"));
    let deadline = Instant::now() + SOON;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let found: Value = loop {
        if let Ok(mut client) = Client::connect(address) {
            let answer = client.try_get("/api/v1/logs/search?service=app&start=24h&limit=1&buckets=0");
            if answer.status == 200 && answer.json()["total"] == 20_002 {
                break answer.json();
            }
        }
        assert!(child.0.try_wait().expect("our child").is_none() && Instant::now() < deadline, "not all are stored");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(found["logs"][0]["source"], "stdin", "{found}");
}
