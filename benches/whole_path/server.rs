//! The server under test: a process of its own on free ports and a fresh folder.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::Client;

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    /// Where it serves.
    pub address: SocketAddr,
    /// Its data, gone with it.
    pub folder: tempfile::TempDir,
    /// From the start of the process to readiness.
    pub start_time: Duration,
}

/// Bytes of all files below a folder.
pub fn disk_bytes(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    let sizes = entries.flatten().map(|entry| {
        if entry.path().is_dir() { disk_bytes(&entry.path()) } else { entry.metadata().map_or(0, |m| m.len()) }
    });
    sizes.sum()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound address").port()
}

impl Server {
    /// Starts it with what stands in `config` beside addresses and folder, and waits until it is ready.
    pub fn start(config: &str) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let file = folder.path().join("config.yaml");
        let data = folder.path().join("data");
        let text = format!("listen: [\"{address}\"]\ndata_dir: {}\n{config}", data.display());
        std::fs::write(&file, text).expect("the folder can be written");
        let begun = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_watchfire"))
            .args(["serve", "--config"])
            .arg(&file)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).expect("the folder can be written"))
            .spawn()
            .expect("the binary is built");
        let mut server = Server { child, address, folder, start_time: Duration::ZERO };
        while std::net::TcpStream::connect(address).is_err() || !server.is_ready() {
            assert!(begun.elapsed() < Duration::from_secs(30), "not ready: {}", server.log());
            std::thread::sleep(Duration::from_millis(1));
        }
        server.start_time = begun.elapsed();
        server
    }

    fn is_ready(&self) -> bool {
        Client::new(self.address).call(b"GET /-/ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").0 == 200
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn process_file(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).expect("the process runs")
    }

    /// CPU time so far, user and system.
    pub fn cpu(&self) -> Duration {
        let stat = self.process_file("stat");
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: Vec<u64> = after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse().ok()).collect();
        // Linux counts in hundredths of a second on every machine this runs on.
        Duration::from_millis(ticks.iter().sum::<u64>() * 10)
    }

    /// A line of /proc/PID/status, in MiB.
    pub fn memory_mib(&self, name: &str) -> f64 {
        let status = self.process_file("status");
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    }

    /// Waits until every consumer has read all that was accepted.
    pub fn wait_drained(&self) {
        let mut client = Client::new(self.address);
        loop {
            let health = client.get("/api/v1/health");
            if health["components"]["queue"]["lag_records"] == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM, and waits for the end: everything is sealed then. Answers its folder and the CPU time of its whole life.
    pub fn stop(mut self) -> (tempfile::TempDir, Duration) {
        let before = children_cpu();
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there");
        self.child.wait().expect("our child");
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder"));
        (folder, children_cpu() - before)
    }
}

/// CPU time of all children that have ended and been waited for.
fn children_cpu() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage writes a whole rusage to the pointer, and zeroes are a valid one.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        usage.assume_init()
    };
    let duration = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    duration(usage.ru_utime) + duration(usage.ru_stime)
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
