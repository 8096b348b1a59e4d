//! A file system that is really full: a small one is mounted, filled under load, and freed again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use watchfire_test_support::client::encode;
use watchfire_test_support::rules::own_health;
use watchfire_test_support::{Answer, Client, Server, WebhookReceiver};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// Longest wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(120);
/// Size of the file system, MiB.
const DISK_MIB: usize = 48;
/// What an operator finds to delete when it is full, MiB.
const BALLAST_MIB: usize = 24;
const SENDERS: u64 = 4;
const LINES_PER_BODY: usize = 200;

/// A small file system in memory; it is gone with this.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, said visibly, where mounting is refused.
    fn mount(folder: &Path) -> Option<SmallDisk> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={DISK_MIB}m"), "watchfire-test"]).arg(folder);
        let refusal = match mount.output() {
            Ok(output) if output.status.success() => return Some(SmallDisk(folder.to_owned())),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        println!("SKIP: a full disk: a small file system cannot be mounted here: {refusal}");
        None
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmount = |lazy: &[&str]| Command::new("umount").args(lazy).arg(&self.0).stderr(Stdio::null()).status();
        // A file that is still open somewhere holds it; then it goes with that file.
        if !unmount(&[]).is_ok_and(|status| status.success()) {
            let _ = unmount(&["-l"]);
        }
    }
}

/// A body of lines that no other body has.
fn body(sender: u64, number: u64) -> String {
    let line = |at: usize| {
        format!(
            "{{\"message\":\"order {number}-{at} of sender {sender} was packed and labelled\",\"service\":\"disk\",\
             \"level\":\"info\",\"order_id\":\"{:016x}\",\"duration_ms\":{}}}\n",
            (sender << 48) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ at as u64,
            at % 90
        )
    };
    (0..LINES_PER_BODY).map(line).collect()
}

fn post(client: &mut Client, body: &str) -> Answer {
    client.post("/ingest", "application/x-ndjson", body)
}

/// A refusal that says what it is and when to come again.
fn assert_refusal(answer: &Answer) {
    let pause = answer.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
    assert!(answer.status == 503 && pause.is_some_and(|pause| pause > 0), "{}\n{}", answer.head, answer.text());
    let (message, hint) = (answer.json()["message"].clone(), answer.json()["hint"].clone());
    assert!(message.is_string() && hint.is_string(), "{}", answer.text());
}

/// Sends from several connections until each was refused ten times; how many lines were accepted.
fn fill(server: &Server) -> u64 {
    let (accepted, is_full) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (accepted, is_full) = (&accepted, &is_full);
            scope.spawn(move || {
                let (mut client, begun, mut refused) = (server.client(), Instant::now(), 0);
                for number in 0.. {
                    let answer = post(&mut client, &body(sender, number));
                    if answer.status == 202 {
                        assert_eq!(answer.json()["accepted"], LINES_PER_BODY, "{}", answer.text());
                        accepted.fetch_add(LINES_PER_BODY as u64, Ordering::Relaxed);
                    } else {
                        assert_refusal(&answer);
                        refused += 1;
                        is_full.store(true, Ordering::Relaxed);
                    }
                    if refused >= 10 {
                        return;
                    }
                    assert!(begun.elapsed() < PATIENCE, "never full: {:?}", is_full.load(Ordering::Relaxed));
                }
            });
        }
    });
    accepted.into_inner()
}

fn found(client: &mut Client) -> u64 {
    client.get("/api/v1/logs/search?q=service:disk&start=24h&limit=0")["total"].as_u64().expect("a number")
}

fn counted(client: &mut Client) -> Value {
    let query = encode("sum log_events_total service=disk");
    client.get(&format!("/api/v1/metrics/query?query={query}"))["value"].clone()
}

fn wait_for(what: &str, server: &Server, mut happened: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !happened() {
        let tail: Vec<String> = server.log().lines().rev().take(20).map(str::to_owned).collect();
        assert!(begun.elapsed() < PATIENCE, "{what} does not happen:\n{}", tail.join("\n"));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_full_disk_refuses_loses_nothing_and_recovers_by_itself() {
    let mount = tempfile::tempdir().expect("a folder");
    let Some(disk) = SmallDisk::mount(mount.path()) else { return };
    std::fs::write(disk.ballast(), vec![0; BALLAST_MIB << 20]).expect("there is room");
    let (hook, rules) = (WebhookReceiver::start(), tempfile::NamedTempFile::new().expect("a file"));
    // What fires on a full disk, of the rules that ship: they must see it though the disk takes no sample.
    let expected = ["WatchfireDisk", "WatchfireQueueNotWritten", "WatchfireStorageFailing"];
    let own_health = own_health(&[("WatchfireQueueLag", 3.0)]);
    std::fs::write(rules.path(), own_health.to_string()).expect("it can be written");
    // Blocks are sealed and snapshots taken all the time, so that these meet the full disk too.
    let often = "metrics: {port: 0, snapshot_log: 512KiB}\nlogs: {seal_after: 1s}\n";
    let config = hook.alerting(rules.path()) + often;
    let mut server = Server::start_on(BINARY, &config, &disk.0.join("data"));
    let mut accepted = fill(&server);
    println!("full after {accepted} lines");
    assert!(accepted > 0);

    // Full: what was accepted is found, reads are served, the state is told.
    let check_full = |server: &Server| {
        let mut client = server.client();
        wait_for("finding what was accepted", server, || found(&mut client) >= accepted);
        assert_eq!(found(&mut client), accepted, "found is what was accepted");
        let health = client.get("/api/v1/health");
        assert_eq!(health["status"], "degraded", "{health}");
        assert_eq!(health["components"]["disk"]["status"], "degraded", "{health}");
        assert_refusal(&post(&mut client, &body(SENDERS, 0)));
        let queue = client.get("/api/v1/health")["components"]["queue"].clone();
        assert!(queue["status"] == "degraded" && queue["problem"].is_string(), "{queue}");
        assert!(client.get("/api/v1/logs/search?q=packed&start=24h&limit=5")["logs"][4].is_object());
        assert!(client.get("/api/v1/metrics/query?query=sum%20log_events_total")["value"].is_number());
        let metrics = client.try_get("/metrics").text();
        assert!(metrics.contains("watchfire_disk_used_ratio") && metrics.contains("watchfire_disk_available_bytes "));
    };
    check_full(&server);
    let (mut told, mut client) = (BTreeSet::new(), server.client());
    wait_for("word of the full disk", &server, || {
        while let Some(delivery) = hook.next(Duration::ZERO) {
            told.extend(delivery.body["commonLabels"]["alertname"].as_str().map(str::to_owned));
        }
        // Whether a consumer was behind at the moment when the disk was full is up to chance; if none was, none is.
        let behind = client.get("/api/v1/health")["components"]["queue"]["lag_records"].as_f64();
        let lag_is_told = behind == Some(0.0) || told.contains("WatchfireQueueLag");
        lag_is_told && expected.iter().all(|name| told.contains(*name))
    });
    // Death on a full disk, and a start on it.
    server.restart();
    check_full(&server);

    // Whoever cannot take in what is left does not hold up the end.
    server.signal("TERM");
    assert!(server.wait_end().success(), "{}", server.log());
    server.restart();
    check_full(&server);

    // Room again.
    std::fs::remove_file(disk.ballast()).expect("it can be deleted");
    let mut client = server.client();
    let mut number = 0;
    wait_for("being accepted again", &server, || {
        number += 1;
        let answer = post(&mut client, &body(SENDERS + 1, number));
        accepted += if answer.status == 202 { LINES_PER_BODY as u64 } else { 0 };
        answer.status == 202
    });
    server.wait_drained();
    hook.wait_for("word of room", |delivery| {
        delivery.body["commonLabels"]["alertname"] == "WatchfireDisk" && delivery.body["status"] == "resolved"
    });
    wait_for("a good state", &server, || client.get("/api/v1/health")["status"] == "ok");
    assert_eq!((found(&mut client), counted(&mut client)), (accepted, Value::from(accepted)));
    server.restart();
    server.wait_drained();
    let mut client = server.client();
    assert_eq!((found(&mut client), counted(&mut client)), (accepted, Value::from(accepted)), "after a restart");
}
