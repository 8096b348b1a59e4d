//! A real VictoriaMetrics as a child process: it takes samples by remote-write, and answers queries as Prometheus does.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::real;
use crate::server::free_port;

/// Longest wait for readiness.
const START_MAX: Duration = Duration::from_secs(60);

/// A running VictoriaMetrics; killed when dropped.
pub struct VictoriaMetrics {
    path: PathBuf,
    child: Child,
    /// Where it serves.
    pub address: SocketAddr,
    folder: tempfile::TempDir,
}

impl VictoriaMetrics {
    /// Starts it and waits until it is ready; `None`, said aloud, if it is not here.
    pub fn start(tests: &str) -> Option<VictoriaMetrics> {
        let path = real::victoria_metrics_folder().join("usr/bin/victoria-metrics");
        if !path.is_file() {
            println!("SKIP: {tests}: no VictoriaMetrics; `cargo xtask servers` fetches it");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let child = spawn(&path, &folder, address);
        let mut server = VictoriaMetrics { path, child, address, folder };
        server.wait_ready();
        Some(server)
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// SIGTERM, after which it keeps what it has taken, and starts again on the same folder and address.
    pub fn restart(&mut self, meanwhile: impl FnOnce()) {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there");
        self.child.wait().expect("our child");
        meanwhile();
        self.child = spawn(&self.path, &self.folder, self.address);
        self.wait_ready();
    }

    fn wait_ready(&mut self) {
        let begun = Instant::now();
        loop {
            let answer = Client::connect(self.address).and_then(|mut client| {
                client.send(&Client::request("GET", "/health", &[], b""))?;
                client.receive()
            });
            if answer.is_ok_and(|answer| answer.status == 200) {
                return;
            }
            let ended = self.child.try_wait().expect("our child");
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(ended.is_none() && begun.elapsed() < START_MAX, "not ready ({ended:?}): {}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn spawn(path: &PathBuf, folder: &tempfile::TempDir, address: SocketAddr) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.path().join("log"));
    Command::new(path)
        .args(["-storageDataPath=data", "-search.latencyOffset=0s", "-retentionPeriod=100y"])
        .arg(format!("-httpListenAddr={address}"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.expect("the folder can be written"))
        .spawn()
        .expect("victoria-metrics starts")
}

impl Drop for VictoriaMetrics {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
