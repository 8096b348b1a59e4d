//! The programs that are compared, each a process of its own on a free port.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use watchfire_test_support::{Client, Program as Found, process, real, server};

/// Longest wait for readiness.
const READY_MAX: Duration = Duration::from_secs(120);

/// A program and how it is started.
#[derive(Clone, Copy)]
pub struct Program {
    pub name: &'static str,
    find: fn() -> Option<PathBuf>,
    arguments: fn(&str) -> Vec<String>,
    ready: &'static str,
}

/// What evaluates rules over VictoriaMetrics, which is told where by [`Program::start_with`]'s caller.
pub fn vmalert(store: SocketAddr, rules: &std::path::Path) -> Option<Peer> {
    let path = real::victoria_metrics_folder().join("usr/bin/vmalert");
    if !path.is_file() {
        println!("SKIP: vmalert is not here; `cargo xtask peers` fetches it");
        return None;
    }
    let program = Program { name: "vmalert", find: || None, arguments: |_| Vec::new(), ready: "/health" };
    let folder = tempfile::tempdir().expect("a folder");
    let address = SocketAddr::from(([127, 0, 0, 1], server::free_port()));
    let arguments = vec![
        format!("-rule={}", rules.display()),
        format!("-datasource.url=http://{store}"),
        format!("-remoteWrite.url=http://{store}"),
        format!("-httpListenAddr={address}"),
        "-notifier.blackhole".to_owned(),
    ];
    let child = spawn(&path, arguments, &folder);
    let mut peer = Peer { program, path, child, address, folder };
    peer.wait_ready();
    Some(peer)
}

/// All of them, ours first.
pub const PROGRAMS: [Program; 3] = [
    Program {
        name: "watchfire",
        find: || Some(PathBuf::from(env!("CARGO_BIN_EXE_watchfire"))),
        arguments: |address| {
            let arguments = ["serve", "--listen", address, "--data-dir", "data", "--config", "prometheus.yml"];
            arguments.map(str::to_owned).into_iter().collect()
        },
        ready: "/-/ready",
    },
    Program {
        name: "prometheus",
        find: || Some(Found::of_prometheus("prometheus", "beside Prometheus")?.path),
        arguments: |address| {
            vec![
                "--config.file=prometheus.yml".to_owned(),
                "--storage.tsdb.path=data".to_owned(),
                "--web.enable-remote-write-receiver".to_owned(),
                format!("--web.listen-address={address}"),
            ]
        },
        ready: "/-/ready",
    },
    Program {
        name: "victoria-metrics",
        find: || {
            let path = real::victoria_metrics_folder().join("usr/bin/victoria-metrics");
            path.is_file().then_some(path)
        },
        arguments: |address| vec!["-storageDataPath=data".to_owned(), format!("-httpListenAddr={address}")],
        ready: "/health",
    },
];

/// A running program; killed when dropped.
pub struct Peer {
    pub program: Program,
    path: PathBuf,
    child: Child,
    pub address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Program {
    /// Starts it on an empty folder, without targets and rules, so that all its work is ours; `None`, said aloud, if it is
    /// not here.
    pub fn start(self) -> Option<Peer> {
        self.start_with("global: {}\n")
    }

    /// The same with a configuration of Prometheus', which is ours too.
    pub fn start_with(self, config: &str) -> Option<Peer> {
        let Some(path) = (self.find)() else {
            println!("SKIP: {} is not here; `cargo xtask peers` fetches it", self.name);
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("prometheus.yml"), config).expect("the folder can be written");
        let address = SocketAddr::from(([127, 0, 0, 1], server::free_port()));
        let child = self.spawn(&path, &folder, address);
        let mut peer = Peer { program: self, path, child, address, folder };
        peer.wait_ready();
        Some(peer)
    }

    fn spawn(self, path: &PathBuf, folder: &tempfile::TempDir, address: SocketAddr) -> Child {
        spawn(path, (self.arguments)(&address.to_string()), folder)
    }
}

fn spawn(path: &PathBuf, arguments: Vec<String>, folder: &tempfile::TempDir) -> Child {
    let log = std::fs::File::create(folder.path().join("log")).expect("the folder can be written");
    Command::new(path)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("it can be started")
}

impl Peer {
    /// Waits until it is ready; how long that took.
    fn wait_ready(&mut self) -> Duration {
        let begun = Instant::now();
        loop {
            let ready = Client::connect(self.address).and_then(|mut client| {
                client.send(&Client::request("GET", self.program.ready, &[], b""))?;
                client.receive()
            });
            if ready.is_ok_and(|answer| answer.status == 200) {
                return begun.elapsed();
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{} ended: {status}: {}", self.program.name, self.log());
            }
            assert!(begun.elapsed() < READY_MAX, "{} is not ready: {}", self.program.name, self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// SIGKILL, and a start on the same folder; how long it took to be ready.
    pub fn kill_and_restart(&mut self) -> Duration {
        self.kill();
        self.child = self.program.spawn(&self.path, &self.folder, self.address);
        self.wait_ready()
    }

    /// SIGKILL, and starts on what that left, each on a copy of it, as a start changes it; how long the median ones took to be
    /// ready, and to have answered a query of one result, which must be this one.
    pub fn kill_and_restart_often(&mut self, starts: usize, query: &str, wanted: f64) -> (Duration, Duration) {
        self.kill();
        let [data, left] = ["data", "left"].map(|name| self.folder.path().join(name));
        std::fs::rename(&data, &left).expect("it has data");
        let (mut ready, mut answered): (Vec<Duration>, Vec<Duration>) = (0..starts)
            .map(|_| {
                self.kill();
                let _ = std::fs::remove_dir_all(&data);
                let copied = Command::new("cp").arg("-r").args([&left, &data]).status().expect("cp runs");
                let synced = Command::new("sync").status().expect("sync runs");
                assert!(copied.success() && synced.success());
                let begun = Instant::now();
                self.child = self.program.spawn(&self.path, &self.folder, self.address);
                let ready = self.wait_ready();
                let found = self.value(query);
                if found < wanted {
                    println!("{}: {found} of {wanted} samples are there after a start", self.program.name);
                }
                (ready, begun.elapsed())
            })
            .unzip();
        ready.sort_unstable();
        answered.sort_unstable();
        (ready[starts / 2], answered[starts / 2])
    }

    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The sum of a metric of its own over all labels.
    pub fn own_metric(&self, name: &str) -> f64 {
        let text = self.client().call(&Client::request("GET", "/metrics", &[], b"")).text();
        let is_of = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let value = |line: &str| line.rsplit(' ').next().and_then(|text| text.parse::<f64>().ok());
        text.lines().filter(is_of).filter_map(value).sum()
    }

    /// CPU time so far.
    pub fn cpu(&self) -> Duration {
        process::cpu(self.child.id())
    }

    /// Resident memory now, MiB.
    pub fn memory_mib(&self) -> f64 {
        process::memory_mib(self.child.id(), "VmRSS")
    }

    /// Bytes of its data folder.
    pub fn disk_bytes(&self) -> u64 {
        server::disk_bytes(&self.folder.path().join("data"))
    }

    /// The value of a query with one result; 0 if there is none.
    pub fn value(&self, query: &str) -> f64 {
        let path = format!("/api/v1/query?query={}", watchfire_test_support::client::encode(query));
        let answer = self.client().get(&path);
        let value = answer["data"]["result"][0]["value"][1].as_str().and_then(|text| text.parse().ok());
        value.unwrap_or(0.0)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
    }
}
