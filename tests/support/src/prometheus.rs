//! A real Prometheus as a child process: it takes samples by remote-write, and answers queries.

use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Answer, Client};
use crate::real::Program;
use crate::server::free_port;

/// Longest wait for readiness.
const START_MAX: Duration = Duration::from_secs(60);
/// What of the language must be switched on.
const FEATURES: &str = "promql-experimental-functions,promql-binop-fill-modifiers";

/// A running Prometheus that scrapes nothing; killed when dropped.
pub struct Prometheus {
    child: Child,
    /// Where it serves.
    pub address: SocketAddr,
    /// Holds its configuration, its log and its data.
    folder: tempfile::TempDir,
}

/// A series to be written: its labels, sorted by name, and samples at times in milliseconds.
pub struct Written<'s> {
    /// Names and values.
    pub labels: Vec<(&'s str, &'s str)>,
    /// Times and values.
    pub samples: Vec<(i64, f64)>,
}

impl Prometheus {
    /// Starts it and waits until it is ready.
    pub fn start(program: &Program) -> Prometheus {
        let folder = tempfile::tempdir().expect("a folder");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        std::fs::write(folder.path().join("prometheus.yml"), "{}\n").expect("the folder can be written");
        let log = std::fs::File::create(folder.path().join("log")).expect("the folder can be written");
        let child = program
            .command()
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--storage.tsdb.retention.time=100y"])
            .args(["--web.enable-remote-write-receiver", &format!("--enable-feature={FEATURES}")])
            .arg(format!("--web.listen-address={address}"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus starts");
        let mut prometheus = Prometheus { child, address, folder };
        let begun = Instant::now();
        while !prometheus.is_ready() {
            let ended = prometheus.child.try_wait().expect("our child");
            assert!(ended.is_none() && begun.elapsed() < START_MAX, "not ready ({ended:?}): {}", prometheus.log());
            std::thread::sleep(Duration::from_millis(2));
        }
        prometheus
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
        let headers = [
            "Content-Type: application/x-protobuf",
            "Content-Encoding: snappy",
            "X-Prometheus-Remote-Write-Version: 0.1.0",
        ];
        let request = Client::request("POST", "/api/v1/write", &headers, &unpacked_snappy(&write_request(series)));
        let answer = self.client().call(&request);
        assert!((200..300).contains(&answer.status), "remote-write: {} {}", answer.status, answer.text());
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A call of its API with parameters in a form; the answer as JSON too.
pub fn call(client: &mut Client, path: &str, parameters: &[(&str, &str)]) -> (Answer, Value) {
    let mut form = String::new();
    for (name, value) in parameters {
        let separator = if form.is_empty() { "" } else { "&" };
        form.push_str(&format!("{separator}{name}={}", percent_encoded(value)));
    }
    let answer = client.post(path, "application/x-www-form-urlencoded", form);
    let json = answer.json();
    (answer, json)
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// `prometheus.WriteRequest`: timeseries (1) of labels (1: name 1, value 2) and samples (2: value 1, timestamp 2).
fn write_request(series: &[Written]) -> Vec<u8> {
    let mut request = Vec::new();
    for series in series {
        let mut message = Vec::new();
        for (name, value) in &series.labels {
            let mut label = Vec::new();
            field(&mut label, 1, name.as_bytes());
            field(&mut label, 2, value.as_bytes());
            field(&mut message, 1, &label);
        }
        for (at, value) in &series.samples {
            let mut sample = vec![(1 << 3) | 1];
            sample.extend(value.to_le_bytes());
            sample.push(2 << 3);
            varint(&mut sample, at.cast_unsigned());
            field(&mut message, 2, &sample);
        }
        field(&mut request, 1, &message);
    }
    request
}

/// A field whose length comes before it.
fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push((number << 3) | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A snappy block of literals only.
fn unpacked_snappy(bytes: &[u8]) -> Vec<u8> {
    const LENGTH_IN_TWO_BYTES: u8 = 61 << 2;
    let mut out = Vec::new();
    varint(&mut out, bytes.len() as u64);
    for piece in bytes.chunks(1 << 16) {
        out.push(LENGTH_IN_TWO_BYTES);
        out.extend(((piece.len() - 1) as u16).to_le_bytes());
        out.extend_from_slice(piece);
    }
    out
}
