//! The SMTP server of `tests/smtp_sink.py`, as a process.

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use tokio::sync::mpsc;

/// The script's exit code for "cannot be had here".
const SKIPPED: i32 = 77;

pub struct SmtpSink {
    pub port: u16,
    events: mpsc::UnboundedReceiver<Value>,
    child: Child,
    // Closed, it ends the process.
    _stdin: ChildStdin,
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl SmtpSink {
    /// Starts the server; `None`, and a visible line, where python3 or aiosmtpd is not to be had.
    pub async fn start(arguments: &[&str]) -> Option<SmtpSink> {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        tokio::task::spawn_blocking(move || start(&arguments)).await.expect("no panic")
    }

    pub fn url(&self, scheme: &str, user: &str) -> String {
        format!("{scheme}://{user}127.0.0.1:{}", self.port)
    }

    /// The next thing that happens there.
    pub async fn event(&mut self) -> Value {
        crate::within("a mail", self.events.recv()).await.expect("the server runs")
    }

    /// Everything that has happened and was not asked for yet.
    pub fn rest(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }
}

fn start(arguments: &[String]) -> Option<SmtpSink> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smtp_sink.py");
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("smtp-sink");
    let spawned = Command::new("python3")
        .arg(script)
        .arg("--cache")
        .arg(cache)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else { return skip("python3 cannot be started") };
    let stdin = child.stdin.take().expect("piped");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let ready: Option<Value> = serde_json::from_str(&first).ok();
    let Some(port) = ready.as_ref().and_then(|ready| ready["port"].as_u64()) else {
        let status = child.wait().expect("it was started");
        assert_eq!(status.code(), Some(SKIPPED), "the SMTP server failed: {first}");
        return skip(&first);
    };
    let (sender, events) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in lines {
            let event = serde_json::from_str(&line).expect("the server tells JSON");
            if sender.send(event).is_err() {
                return;
            }
        }
    });
    Some(SmtpSink { port: u16::try_from(port).expect("a port"), events, child, _stdin: stdin })
}

/// Says so past the test runner's capture, so that a skip is seen and can be counted.
fn skip(why: &str) -> Option<SmtpSink> {
    let why = why.trim_start_matches("SKIP: ");
    writeln!(std::io::stderr(), "SKIP: a test against a real SMTP server: {why}").expect("stderr is open");
    None
}
