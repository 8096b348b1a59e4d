//! Who may do what against the running binary, with real clients where one matters.

mod session;

use std::path::{Path, PathBuf};
use std::process::Command;

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

    fn server(&self, more: &str) -> Server {
        Server::start(BINARY, &format!("auth: {{api_keys_file: {}}}\n{more}", self.path("keys.txt").display()))
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
