//! A real SMTP server as a child process, by the script that the tests of `alerting` use.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Exit code of the script where the server cannot be had.
const SKIPPED: i32 = 77;

/// A mail server that tells what it gets.
pub struct SmtpSink {
    child: Child,
    /// Where it listens on the loopback.
    pub port: u16,
    events: Receiver<Value>,
}

impl SmtpSink {
    /// Starts it with further options of the script; `None`, said visibly, where it cannot be had.
    pub fn start(root: &Path, options: &[&str]) -> Option<SmtpSink> {
        let mut child = Command::new("python3")
            .arg(root.join("alerting/tests/smtp_sink.py"))
            .arg("--cache")
            .arg(root.join("target/smtp-sink"))
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .inspect_err(|error| println!("SKIP: e-mail through a real SMTP server: python3: {error}"))
            .ok()?;
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let first = lines.next().unwrap_or_default();
        let ready: Value = serde_json::from_str(&first).unwrap_or_default();
        let Some(port) = ready["port"].as_u64().and_then(|port| u16::try_from(port).ok()) else {
            let status = child.wait().expect("our child");
            assert_eq!(status.code(), Some(SKIPPED), "the SMTP server did not start: {first}");
            println!("SKIP: e-mail through a real SMTP server: {first}");
            return None;
        };
        let (told, events) = channel();
        std::thread::spawn(move || {
            for event in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                if told.send(event).is_err() {
                    return;
                }
            }
        });
        Some(SmtpSink { child, port, events })
    }

    /// The next mail that satisfies a condition; others are passed over. Panics when none comes in a minute.
    pub fn wait_for(&self, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(rest).unwrap_or_else(|_| panic!("no mail in a minute: {what}"));
            if event["event"] == "mail" && wanted(&event) {
                return event;
            }
        }
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
