//! `watchfire demo` as a person sees it: something alive at once, an incident that is told, and nothing left behind.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use watchfire_test_support::Client;
use watchfire_test_support::client::encode;
use watchfire_test_support::server::free_port;

/// Longest wait for a line or a state.
const PATIENCE: Duration = Duration::from_secs(120);

struct Demo {
    child: Child,
    lines: Receiver<String>,
    address: SocketAddr,
    /// Where its folder is made.
    temporary: tempfile::TempDir,
}

impl Demo {
    fn start(flags: &[&str]) -> Demo {
        let temporary = tempfile::tempdir().expect("a folder");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut child = Command::new(env!("CARGO_BIN_EXE_watchfire"))
            .args(["demo", "--listen", &address.to_string()])
            .args(flags)
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the demo starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // The test may have ended before the demo.
            output.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok());
        });
        Demo { child, lines, address, temporary }
    }

    /// The next line that has all these words.
    fn line(&self, words: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(rest).unwrap_or_else(|error| panic!("no line with {words:?}: {error}"));
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
    }

    /// What lies in the folder of temporary folders.
    fn folders(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.temporary.path()).expect("the folder is there");
        entries.flatten().map(|entry| entry.path()).collect()
    }

    fn interrupt(&mut self) {
        self.end_by(libc::SIGINT);
    }

    fn end_by(&mut self, signal: libc::c_int) {
        // SAFETY: the child has not been waited for, so its number is its own.
        let sent = unsafe { libc::kill(self.child.id().cast_signed(), signal) };
        assert_eq!(sent, 0, "the signal was sent");
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("it can be waited for") {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "the signal {signal} does not end it"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "{status}");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Gone already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_shop_is_alive_its_incident_is_told_and_nothing_is_left_behind() {
    let mut demo = Demo::start(&["--speed", "5", "--rate", "40"]);
    demo.line(&["6h of history"]);
    let mut client = Client::new(demo.address);

    // Every service's lines were read as what they are, and the history is in the graphs.
    let found = client.get("/api/v1/logs/search?q=-service:watchfire&start=6h&limit=1&buckets=12");
    let bars = found["histogram"]["buckets"].as_array().expect("a histogram");
    let full = bars.iter().filter(|bar| bar["total"].as_u64() > Some(1000)).count();
    assert!(full >= 6, "six hours are filled: {found}");
    let counted =
        client.get(&format!("/api/v1/metrics/query?query={}", encode("sum log_events_total over 6h by service")));
    let services: Vec<&str> = counted["result"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["labels"]["service"].as_str())
        .collect();
    for service in ["web", "api", "auth", "db", "worker", "billing"] {
        assert!(services.contains(&service), "{service} has counts: {counted}");
    }
    let unknown = client.get("/api/v1/logs/search?q=service:unknown&start=7h&limit=1&buckets=0");
    assert_eq!(unknown["total"], 0, "{unknown}");

    // A checkout is found in all services by its correlation id.
    let settled = client.get("/api/v1/logs/search?q=service:billing+settled&start=6h&end=1m&limit=1&buckets=0");
    let id = settled["logs"][0]["correlation_id"].as_str().expect("a correlation id").to_owned();
    let trace = client.get(&format!("/api/v1/logs/search?q=correlation_id:{id}&start=7h&buckets=0"));
    let mut seen: Vec<&str> =
        trace["logs"].as_array().into_iter().flatten().filter_map(|log| log["service"].as_str()).collect();
    seen.sort_unstable();
    assert_eq!(seen, ["api", "auth", "billing", "db", "web", "worker"], "{trace}");

    // The incident: announced, told, over, told.
    demo.line(&["the database slows down"]);
    demo.line(&["FIRING", "SlowRequests"]);
    demo.line(&["FIRING", "DatabaseRefuses"]);
    demo.line(&["all is well again"]);
    demo.line(&["RESOLVED", "DatabaseRefuses"]);

    assert_eq!(demo.folders().len(), 1);
    demo.interrupt();
    assert_eq!(demo.folders(), Vec::<PathBuf>::new(), "nothing is left behind");
}

#[test]
fn nothing_is_left_behind_when_the_terminal_is_closed_or_says_quit() {
    for signal in [libc::SIGHUP, libc::SIGQUIT] {
        let mut demo = Demo::start(&[]);
        demo.line(&["6h of history"]);
        demo.end_by(signal);
        assert_eq!(demo.folders(), Vec::<PathBuf>::new(), "nothing is left behind by signal {signal}");
    }
}

#[test]
fn what_shall_be_kept_is_kept_and_can_be_served_again() {
    let (metrics, receiver) = (free_port(), format!("127.0.0.1:{}", free_port()));
    let mut demo = Demo::start(&["--keep", "--metrics-port", &metrics.to_string(), "--receiver", &receiver]);
    demo.line(&["6h of history"]);
    let shown = Client::new(SocketAddr::from(([127, 0, 0, 1], metrics))).try_get("/metrics");
    assert_eq!(shown.status, 200, "{}", shown.text());
    // It answers, if only that nothing is there.
    assert_eq!(Client::new(receiver.parse().expect("an address")).try_get("/").status, 404);
    demo.interrupt();
    let folders = demo.folders();
    let [folder] = folders.as_slice() else { panic!("one folder is kept: {folders:?}") };
    let check = |kind: &str, file: &str| {
        Command::new(env!("CARGO_BIN_EXE_watchfire"))
            .args(["check", kind])
            .arg(folder.join(file))
            .status()
            .expect("it runs")
            .success()
    };
    assert!(check("config", "config.yaml") && check("rules", "alert_rules.json"));
    assert!(demo.line(&["watchfire serve --config"]).contains(&folder.display().to_string()));
    assert!(folder.join("data/queue").is_dir());
    let config = std::fs::read_to_string(folder.join("config.yaml")).expect("it is there");
    assert!(!config.contains(&receiver) && config.contains(&format!("port: {metrics}")), "{config}");
    assert!(config.contains(&demo.address.to_string()), "it is served at the same address again: {config}");
    let run = std::fs::read_to_string(folder.join("demo.yaml")).expect("it is there");
    assert!(run.contains(&format!("http://{receiver}/hook")), "{run}");

    let mut server = Command::new(env!("CARGO_BIN_EXE_watchfire"));
    server.arg("serve").arg("--config").arg(folder.join("config.yaml")).arg("--data-dir").arg(folder.join("data"));
    let mut server = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let deadline = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(demo.address).is_err() {
        assert!(Instant::now() < deadline, "it does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut client = Client::new(demo.address);
    while client.try_get("/-/ready").status != 200 {
        assert!(Instant::now() < deadline, "it is not ready");
        std::thread::sleep(Duration::from_millis(20));
    }
    let health = client.get("/api/v1/health");
    assert_eq!(health["components"]["alerting"]["status"], "ok", "{health}");
    let found = client.get("/api/v1/logs/search?q=service:web&start=7h&limit=1&buckets=0");
    assert!(found["total"].as_u64() > Some(1000), "{found}");
    // SAFETY: the child has not been waited for, so its number is its own.
    assert_eq!(unsafe { libc::kill(server.id().cast_signed(), libc::SIGTERM) }, 0, "the signal was sent");
    assert!(server.wait().expect("it can be waited for").success());
}
