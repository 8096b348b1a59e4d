//! Who may do what against the running binary, with real clients where one matters.

mod audit;
mod cors;
mod defaults;
mod limits;
mod session;
mod tls;
mod users;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use watchfire_test_support::{Answer, Client, Server};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");

/// A folder with files of keys, and what its server is told of them.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Files {
        Files { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a key as a user does.
    fn key(&self, scopes: &str, name: &str) -> String {
        watchfire(&["keys", "add", "--scopes", scopes, "--file", &text(&self.path("keys.txt")), name]).trim().to_owned()
    }

    /// Makes a user as an operator does; the password comes by the standard input.
    fn user(&self, scopes: &str, name: &str, password: &str) {
        let mut child = Command::new(BINARY)
            .args(["users", "add", "--scopes", scopes, name, "--file"])
            .arg(self.path("users.txt"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("it runs");
        let mut stdin = child.stdin.take().expect("it is piped");
        writeln!(stdin, "{password}").expect("it reads");
        drop(stdin);
        assert!(child.wait().expect("our child").success());
    }

    fn server(&self, more: &str) -> Server {
        Server::start(BINARY, &self.config(more))
    }

    /// What a server is told of the files that are there.
    fn config(&self, more: &str) -> String {
        let files = [("api_keys_file", "keys.txt"), ("basic_users_file", "users.txt")].into_iter();
        let files = files.map(|(key, name)| (key, self.path(name))).filter(|(_, path)| path.exists());
        let files: Vec<String> = files.map(|(key, path)| format!("{key}: {}", path.display())).collect();
        format!("auth: {{{}}}\n{more}", files.join(", "))
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("plain text").to_owned()
}

/// Runs a verb that must succeed; answers its stdout.
fn watchfire(words: &[&str]) -> String {
    let output = Command::new(BINARY).args(words).output().expect("it runs");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("plain text")
}

/// A request on a connection of its own.
fn call(server: &Server, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    server.client().call(&Client::request(method, path, headers, body.as_bytes()))
}

/// Asks until an answer is as wanted; a server that never gives it ends the test by its time limit.
fn until(mut ask: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ask() {
        assert!(Instant::now() < deadline, "it did not come to pass in a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `curl` with these words: status and body.
fn curl(words: &[&str]) -> (u16, String) {
    let output =
        Command::new("curl").args(["-sS", "-w", "\n%{http_code}"]).args(words).output().expect("curl is there");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = told.rsplit_once('\n').unwrap_or_default();
    let status = status.parse().unwrap_or_default();
    (status, format!("{body}{}", String::from_utf8_lossy(&output.stderr)))
}
