//! The program under test, run as a user runs it.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use watchfire_test_support::Server;

/// The binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");

/// What a run answered.
pub struct Run {
    pub code: i32,
    pub out: String,
    pub told: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Run {
        Run {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            told: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A command without what the surroundings of the test would change: settings, colours, widths, a terminal.
pub fn plain(program: &str) -> Command {
    let mut command = Command::new(program);
    for name in [
        "WATCHFIRE_URL",
        "WATCHFIRE_API_KEY",
        "WATCHFIRE_API_KEY_FILE",
        "WATCHFIRE_CA_FILE",
        "WATCHFIRE_CERT_FILE",
        "WATCHFIRE_KEY_FILE",
        "WATCHFIRE_CONFIG",
        "WATCHFIRE_DATA_DIR",
        "WATCHFIRE_LISTEN",
        "WATCHFIRE_ROLES",
        "WATCHFIRE_LOG_FORMAT",
        "NO_COLOR",
        "COLUMNS",
        "LINES",
    ] {
        command.env_remove(name);
    }
    command.env("TZ", "UTC").env("TERM", "xterm").stdin(Stdio::null());
    command
}

/// The program, told where the server is.
pub fn watchfire(server: &Server) -> Command {
    let mut command = plain(BINARY);
    command.env("WATCHFIRE_URL", format!("http://{}", server.address));
    command
}

/// Runs it to its end.
pub fn run(server: &Server, arguments: &[&str]) -> Run {
    watchfire(server).args(arguments).output().expect("it runs").into()
}

/// A server with a few records that are counted already.
pub fn server_with(lines: &[&str]) -> Server {
    let server = Server::start(BINARY, "");
    if !lines.is_empty() {
        let answer = server.client().post("/ingest", "application/x-ndjson", lines.join("\n"));
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    server.wait_drained();
    server
}

/// Is a program here? Says so if not.
pub fn is_there(program: &str, what: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|folder: PathBuf| folder.join(program).is_file());
    if !there {
        println!("SKIP: {what}: {program} is not here");
    }
    there
}
