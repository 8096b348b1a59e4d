//! A real Prometheus as a child process: it takes samples by remote-write, and answers queries.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use watchfire_model::Histogram;

use crate::client::{Answer, Client, encode};
use crate::program::Program;
use crate::remote_write;
use crate::server::free_port;

/// Longest wait for readiness.
const START_MAX: Duration = Duration::from_secs(60);
/// What must be switched on.
const FEATURES: &str = "promql-experimental-functions,promql-binop-fill-modifiers,promql-extended-range-selectors,\
                        promql-per-step-stats,exemplar-storage";

/// A running Prometheus; killed when dropped.
pub struct Prometheus {
    child: Child,
    /// Where it serves.
    pub address: SocketAddr,
    /// Holds its configuration, its log and its data.
    folder: tempfile::TempDir,
}

/// Writes series by remote-write 1.0 to a server that takes all of them.
pub fn write_to(client: &mut Client, series: &[Written]) {
    let mut request = Vec::new();
    for Written { labels, samples, histograms } in series {
        let labels = remote_write::labels(labels.iter().copied());
        remote_write::put_mixed_series(&labels, samples, histograms, &mut request);
    }
    let answer = client.call(&remote_write::http_request(&request));
    assert!((200..300).contains(&answer.status), "remote-write: {} {}", answer.status, answer.text());
}

/// A series to be written: its labels, sorted by name, and samples and histograms at times in milliseconds.
pub struct Written<'s> {
    /// Names and values.
    pub labels: Vec<(&'s str, &'s str)>,
    /// Times and values.
    pub samples: Vec<(i64, f64)>,
    /// Times and native histograms.
    pub histograms: Vec<(i64, Histogram)>,
}

impl Prometheus {
    /// Starts it and waits until it is ready. It scrapes nothing.
    pub fn start(program: &Program) -> Prometheus {
        Prometheus::start_with(program, |_| "{}\n".to_owned())
    }

    /// The same, with a configuration that may name its own address.
    pub fn start_with(program: &Program, config: impl FnOnce(SocketAddr) -> String) -> Prometheus {
        Prometheus::start_prepared(program, |_| {}, config)
    }

    /// The same; `prepare` fills its folder, in which its data lies under `data`.
    pub fn start_prepared(
        program: &Program,
        prepare: impl FnOnce(&Path),
        config: impl FnOnce(SocketAddr) -> String,
    ) -> Prometheus {
        let folder = tempfile::tempdir().expect("a folder");
        prepare(folder.path());
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        std::fs::write(folder.path().join("prometheus.yml"), config(address)).expect("the folder can be written");
        let child = spawn(program, &folder, address);
        let mut prometheus = Prometheus { child, address, folder };
        prometheus.wait_ready();
        prometheus
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills it if it runs, and starts again on the same folder and address.
    pub fn restart(&mut self, program: &Program) {
        self.kill();
        self.child = spawn(program, &self.folder, self.address);
        self.wait_ready();
    }

    fn wait_ready(&mut self) {
        let begun = Instant::now();
        while !self.is_ready() {
            let ended = self.child.try_wait().expect("our child");
            assert!(ended.is_none() && begun.elapsed() < START_MAX, "not ready ({ended:?}): {}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn is_ready(&self) -> bool {
        let answer = Client::connect(self.address).and_then(|mut client| {
            client.send(&Client::request("GET", "/-/ready", &[], b""))?;
            client.receive()
        });
        answer.is_ok_and(|answer| answer.status == 200)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Writes samples by remote-write 1.0. Those of an hour before what was written last are refused by it.
    pub fn write(&self, series: &[Written]) {
        write_to(&mut self.client(), series);
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(program: &Program, folder: &tempfile::TempDir, address: SocketAddr) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.path().join("log"));
    program
        .command()
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--storage.tsdb.retention.time=100y"])
        .args(["--web.enable-remote-write-receiver", &format!("--enable-feature={FEATURES}")])
        .args(program.is_newest.then_some("--web.enable-otlp-receiver"))
        .arg(format!("--web.listen-address={address}"))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.expect("the folder can be written"))
        .spawn()
        .expect("prometheus starts")
}

/// A call of its API with parameters in a form; the answer as JSON too.
pub fn call(client: &mut Client, path: &str, parameters: &[(&str, &str)]) -> (Answer, Value) {
    let mut form = String::new();
    for (name, value) in parameters {
        let separator = if form.is_empty() { "" } else { "&" };
        form.push_str(&format!("{separator}{name}={}", encode(value)));
    }
    let answer = client.post(path, "application/x-www-form-urlencoded", form);
    let json = answer.json();
    (answer, json)
}
