//! A folder of log files that a server follows, with numbered lines, and which of them are stored.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::client::encode;
use crate::server::Server;

/// Longest wait for what comes soon.
const SOON: Duration = Duration::from_secs(60);

/// A folder of logs and the configuration that follows them.
pub struct Logs {
    folder: tempfile::TempDir,
}

impl Default for Logs {
    fn default() -> Logs {
        Logs::new()
    }
}

impl Logs {
    /// An empty one.
    pub fn new() -> Logs {
        Logs { folder: tempfile::tempdir().expect("a folder") }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file anew.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("the folder can be written");
    }

    /// Appends to a file, which is made if it is not there.
    pub fn append(&self, name: &str, text: &str) {
        let file = OpenOptions::new().append(true).create(true).open(self.path(name));
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("the folder can be written");
    }

    /// Renames a file.
    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("the file is there");
    }

    /// Makes `links/NAME`, which leads to a file over another link.
    pub fn link(&self, name: &str) {
        for (folder, target) in [("between", name.to_owned()), ("links", format!("between/{name}"))] {
            fs::create_dir_all(self.path(folder)).expect("the folder can be written");
            let made = std::os::unix::fs::symlink(self.path(&target), self.path(folder).join(name));
            made.expect("the name is free");
        }
    }

    /// `sources.files` with this glob and further keys.
    pub fn config(&self, glob: &str, more: &str) -> String {
        format!("sources: {{files: [{{path: \"{}\", service: app{more}}}]}}\n", self.path(glob).display())
    }
}

/// How often each message is stored for service `app`.
pub fn stored(server: &Server) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let mut client = server.client();
    let mut cursor = String::new();
    loop {
        let query =
            format!("/api/v1/logs/search?service=app&start=24h&limit=5000&buckets=0&cursor={}", encode(&cursor));
        let page = client.get(&query);
        for log in page["logs"].as_array().expect("a list of records") {
            *counts.entry(log["message"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return counts,
        }
    }
}

/// Records of service `app`.
pub fn total(server: &Server) -> u64 {
    let answer = server.client().get("/api/v1/logs/search?service=app&start=2024-01-01T00:00:00Z&limit=0&buckets=0");
    answer["total"].as_u64().unwrap_or_default()
}

/// Waits until so many records are there, and a little longer for those that must not come.
pub fn wait_total(server: &Server, wanted: u64) {
    wait_at_least(server, wanted);
    assert_eq!(total(server), wanted, "{}", server.log());
}

/// Waits until so many records are there.
pub fn wait_at_least(server: &Server, wanted: u64) {
    let deadline = Instant::now() + SOON;
    while total(server) < wanted {
        assert!(Instant::now() < deadline, "{} of {wanted} after a minute: {}", total(server), server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    server.wait_drained();
}

/// Exactly the messages `0…count`, each once.
pub fn assert_numbers(server: &Server, count: u64) {
    let found = stored(server);
    let doubled = runs((0..count).filter(|n| found.get(&line(*n)).is_some_and(|times| *times > 1)));
    let missing = runs((0..count).filter(|n| !found.contains_key(&line(*n))));
    assert!(doubled.is_empty() && missing.is_empty(), "doubled {doubled:?}, missing {missing:?}: {}", server.log());
    assert_eq!(found.len() as u64, count);
}

/// Numbers that follow each other, as their first and last.
pub fn runs(numbers: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut().filter(|(_, last)| *last + 1 == number) {
            Some((_, last)) => *last = number,
            None => runs.push((number, number)),
        }
    }
    runs
}

/// The message with a number.
pub fn line(number: u64) -> String {
    format!("number {number:08}")
}

/// The bytes packed by gzip.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes it")
}
