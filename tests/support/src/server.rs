//! The server under test: a process of its own on free ports.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::process;

/// Longest wait for readiness; a debug binary on a busy machine takes its time.
const START_MAX: Duration = Duration::from_secs(60);

/// Ports that tests listen on.
const PORTS: Range<u16> = 12_000..32_000;

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    binary: PathBuf,
    environment: Vec<(String, String)>,
    tls: bool,
    /// Where it serves.
    pub address: SocketAddr,
    /// Holds `config.yaml`, `log` and, unless it was put elsewhere, `data`.
    pub folder: tempfile::TempDir,
    data: PathBuf,
    /// From the start of the process to readiness.
    pub start_time: Duration,
}

/// A port of this machine that nobody listens on. It lies below those that the system gives to connections, so that none of
/// them has it before whoever asked listens there; tests in processes beside each other begin at different places.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let port = |_| {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        PORTS.start
            + (std::process::id().wrapping_mul(7919).wrapping_add(turn) % u32::from(PORTS.end - PORTS.start)) as u16
    };
    let mut ports = PORTS.map(port);
    ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).expect("a free port")
}

/// How many files and connections this process may have open.
pub fn open_files_max() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit writes a whole rlimit to the pointer.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } == 0;
    if known { usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX) } else { 0 }
}

/// Bytes of all files below a folder.
pub fn disk_bytes(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    let sizes = entries.flatten().map(|entry| {
        if entry.path().is_dir() { disk_bytes(&entry.path()) } else { entry.metadata().map_or(0, |m| m.len()) }
    });
    sizes.sum()
}

impl Server {
    /// Starts `binary` with what stands in `config` beside address and folder, and waits until it is ready.
    pub fn start(binary: impl AsRef<Path>, config: &str) -> Server {
        Server::start_with(binary, config, &[])
    }

    /// The same, with environment variables.
    pub fn start_with(binary: impl AsRef<Path>, config: &str, environment: &[(&str, &str)]) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        Server::start_in(folder, data, binary.as_ref(), config, environment)
    }

    /// The same, with the data in a folder of the caller's.
    pub fn start_on(binary: impl AsRef<Path>, config: &str, data: &Path) -> Server {
        Server::try_start_on(binary, config, data).unwrap_or_else(|log| panic!("{log}"))
    }

    /// The same; what it wrote to stderr if it ends instead of becoming ready.
    pub fn try_start_on(binary: impl AsRef<Path>, config: &str, data: &Path) -> Result<Server, String> {
        let folder = tempfile::tempdir().expect("a folder");
        Server::try_start_in(folder, data.to_owned(), binary.as_ref(), config, &[])
    }

    fn start_in(
        folder: tempfile::TempDir,
        data: PathBuf,
        binary: &Path,
        config: &str,
        environment: &[(&str, &str)],
    ) -> Server {
        Server::try_start_in(folder, data, binary, config, environment).unwrap_or_else(|log| panic!("{log}"))
    }

    fn try_start_in(
        folder: tempfile::TempDir,
        data: PathBuf,
        binary: &Path,
        config: &str,
        environment: &[(&str, &str)],
    ) -> Result<Server, String> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let metrics = if config.contains("metrics:") { "" } else { "metrics: {port: 0}\n" };
        let text = format!("listen: [\"{address}\"]\ndata_dir: {}\n{metrics}{config}", data.display());
        std::fs::write(folder.path().join("config.yaml"), text).expect("the folder can be written");
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let binary = binary.to_owned();
        let tls = config.contains("tls:");
        let child = spawn(&binary, folder.path(), &environment);
        let mut server = Server { child, binary, environment, tls, address, folder, data, start_time: Duration::ZERO };
        server.wait_ready()?;
        Ok(server)
    }

    fn wait_ready(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        while !self.is_ready() {
            let ended = self.child.try_wait().expect("our child");
            if ended.is_some() || begun.elapsed() > START_MAX {
                return Err(format!("not ready ({ended:?}): {}", self.log()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.start_time = begun.elapsed();
        Ok(())
    }

    fn is_ready(&self) -> bool {
        if self.tls {
            // Whether it is ready stands in its log: this client speaks no TLS.
            return self.log().contains("started");
        }
        let answer = Client::connect(self.address).and_then(|mut client| {
            client.send(&Client::request("GET", "/-/ready", &[], b""))?;
            client.receive()
        });
        answer.is_ok_and(|answer| answer.status == 200)
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// What it wrote to stderr.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time so far, user and system.
    pub fn cpu(&self) -> Duration {
        process::cpu(self.child.id())
    }

    /// A line of /proc/PID/status, in MiB.
    pub fn memory_mib(&self, name: &str) -> f64 {
        process::memory_mib(self.child.id(), name)
    }

    /// Waits until every consumer has read all that was accepted.
    pub fn wait_drained(&self) {
        let mut client = self.client();
        let begun = Instant::now();
        while client.get("/api/v1/health")["components"]["queue"]["lag_records"] != 0 {
            assert!(begun.elapsed() < Duration::from_secs(120), "the consumers do not keep up: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it ends by itself, for a minute.
    pub fn wait_end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status;
            }
            assert!(begun.elapsed() < START_MAX, "it does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Starts again on the same folder and address, with other environment variables.
    pub fn restart_with(&mut self, environment: &[(&str, &str)]) {
        self.environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.restart();
    }

    /// Kills it if it runs, and starts again on the same folder and address.
    pub fn restart(&mut self) {
        self.respawn();
        self.become_ready();
    }

    /// The same, and does not wait until it is ready.
    pub fn respawn(&mut self) {
        self.kill();
        self.child = spawn(&self.binary, self.folder.path(), &self.environment);
    }

    /// Waits until it is ready.
    pub fn become_ready(&mut self) {
        self.wait_ready().unwrap_or_else(|log| panic!("{log}"));
    }

    /// Sends a signal by name (`TERM`, `HUP`, `STOP`).
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        Command::new("kill").args([&format!("-{name}"), &pid]).status().expect("kill is there");
    }

    /// SIGTERM, and waits for the end: everything is sealed then. Answers its folder and the CPU time of its whole life.
    pub fn stop(mut self) -> (tempfile::TempDir, Duration) {
        let before = children_cpu();
        self.signal("TERM");
        let status = self.wait_end();
        assert!(status.success(), "{status}: {}", self.log());
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder"));
        (folder, children_cpu() - before)
    }
}

fn spawn(binary: &Path, folder: &Path, environment: &[(String, String)]) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log"));
    Command::new(binary)
        .args(["serve", "--config", "config.yaml"])
        .current_dir(folder)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.expect("the folder can be written"))
        .spawn()
        .expect("the binary is built")
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
        self.kill();
    }
}
