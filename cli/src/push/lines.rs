//! Lines of stdin, sent in batches as they come. A batch that got no answer is sent again under the same
//! `Idempotency-Key`, so that no line is stored twice.

use std::io::{BufRead, Read};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use watchfire_model::text::{count, was_or_were};

use super::Taken;
use crate::failure::{Failure, Outcome, Rejection};
use crate::patience::Patience;
use crate::server::Server;
use crate::text::safe;

/// Bytes and lines of a batch, at most (but for one line that is longer).
const BATCH_BYTES: usize = 512 << 10;
const BATCH_LINES: usize = 5000;
/// Longest that a line waits for more to come.
const BATCH_WAIT: Duration = Duration::from_millis(300);
/// Longest line that is read; the server refuses such a line, we need not hold more of it.
const LINE_BYTES_MAX: u64 = 16 << 20;
/// Lines that are read ahead.
const AHEAD: usize = 1000;
/// How long a batch is sent again while the server is away.
const RETRIED: Duration = Duration::from_secs(30);
/// Rejected lines that are told one by one.
const TOLD_MAX: u64 = 10;

/// Where lines go.
pub enum Target {
    /// To `/ingest/raw` with these parameters: their format is found out.
    Raw(Vec<(&'static str, String)>),
    /// To `/ingest`: each is the message of a record with these members.
    Messages(Map<String, Value>),
}

/// Sends all lines of stdin.
pub async fn send(server: &Server, target: &Target) -> Result<Outcome, Failure> {
    let (told, mut lines) = mpsc::channel(AHEAD);
    // A thread, because a read of stdin cannot be cancelled; it ends with stdin or with the process.
    std::thread::spawn(move || read(&told));
    let (mut sent, mut rejected) = (0u64, 0u64);
    // Lines that are not taken now are lost, so the server is waited for from the first on.
    let mut patience = Patience::from_the_start(RETRIED);
    while let Some(first) = lines.recv().await {
        let batch = gather(first?, &mut lines).await?;
        let taken = deliver(server, target, &batch, &mut patience).await.inspect_err(|_| {
            if sent > 0 {
                eprintln!("{} {} sent before", count(sent, "line"), was_or_were(sent));
            }
        })?;
        for error in &taken.errors {
            if rejected < TOLD_MAX {
                eprintln!("line {}: {}", sent + error.index + 1, safe(&error.error));
            }
            rejected += 1;
        }
        rejected += taken.rejected.saturating_sub(taken.errors.len() as u64);
        sent += batch.len() as u64;
    }
    match rejected {
        0 => Ok(Outcome::Complete),
        rejected if rejected >= sent => {
            let message = match sent {
                1 => "the line was rejected".to_owned(),
                sent => format!("all {sent} lines were rejected"),
            };
            Err(Failure::Rejected(Box::new(Rejection { message, ..Rejection::default() })))
        }
        rejected => {
            Ok(Outcome::Partial(format!("{rejected} of {} {} rejected", count(sent, "line"), was_or_were(rejected))))
        }
    }
}

/// Hands over line by line.
fn read(told: &mpsc::Sender<std::io::Result<Vec<u8>>>) {
    let mut stdin = std::io::stdin().lock();
    loop {
        let mut line = Vec::new();
        let read = (&mut stdin).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        let handed = match read {
            Ok(0) => return,
            Ok(_) if line.trim_ascii().is_empty() => continue,
            Ok(_) => told.blocking_send(Ok(line)),
            Err(error) => told.blocking_send(Err(error)),
        };
        if handed.is_err() {
            return;
        }
    }
}

/// A line and what follows it soon.
async fn gather(first: Vec<u8>, lines: &mut mpsc::Receiver<std::io::Result<Vec<u8>>>) -> Result<Vec<Vec<u8>>, Failure> {
    let deadline = Instant::now() + BATCH_WAIT;
    let mut bytes = first.len();
    let mut batch = vec![first];
    while bytes < BATCH_BYTES && batch.len() < BATCH_LINES {
        match tokio::time::timeout_at(deadline, lines.recv()).await {
            Ok(Some(line)) => {
                let line = line?;
                bytes += line.len();
                batch.push(line);
            }
            Ok(None) | Err(_) => break,
        }
    }
    Ok(batch)
}

/// Sends a batch until it is answered.
async fn deliver(
    server: &Server,
    target: &Target,
    batch: &[Vec<u8>],
    patience: &mut Patience,
) -> Result<Taken, Failure> {
    let key = tokio_tungstenite::tungstenite::handshake::client::generate_key();
    match patience.ask(|text| eprintln!("{}", safe(text)), || attempt(server, target, batch, &key)).await {
        // Nothing of the batch was good; the others may be. (A wrong parameter would be wrong again.)
        Err(Failure::Rejected(rejection))
            if matches!(rejection.status, 400 | 413)
                && !matches!(rejection.code.as_str(), "unknown_format" | "parameters") =>
        {
            eprintln!("{}", safe(&rejection.message));
            Ok(Taken { rejected: batch.len() as u64, errors: Vec::new() })
        }
        other => other,
    }
}

async fn attempt(server: &Server, target: &Target, batch: &[Vec<u8>], key: &str) -> Result<Taken, Failure> {
    let request = match target {
        Target::Raw(given) => {
            let params: Vec<_> = given.iter().map(|(name, value)| (*name, Some(value.as_str()))).collect();
            let request = server.request(Method::POST, "/ingest/raw", &params).header(CONTENT_TYPE, "text/plain");
            request.body(batch.join(&b'\n'))
        }
        Target::Messages(members) => {
            let mut body = String::new();
            let mut record = members.clone();
            for line in batch {
                record.insert("message".to_owned(), json!(String::from_utf8_lossy(line)));
                body.push_str(&serde_json::to_string(&record).unwrap_or_default());
                body.push('\n');
            }
            let request = server.request(Method::POST, "/ingest", &[]);
            request.header(CONTENT_TYPE, "application/x-ndjson").body(body)
        }
    };
    let response = server.send(request.header("Idempotency-Key", key)).await?;
    let response = server.accepted(response, None).await?;
    let text = response.text().await.map_err(|error| server.unreached(&error))?;
    serde_json::from_str(&text).map_err(|error| server.foreign(&error))
}
