//! Lines of stdin, sent in batches as they come. A batch that got no answer is sent again under the same
//! `Idempotency-Key`, so that no line is stored twice.

use std::borrow::Cow;
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
/// Lines that may belong to the next ones go without them after so long, or when they are this long, bytes.
const QUIET_AFTER: Duration = Duration::from_millis(500);
const OPEN_BYTES_MAX: usize = 2 << 20;
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
    let keeps_blanks = matches!(target, Target::Raw(_));
    // A thread, because a read of stdin cannot be cancelled; it ends with stdin or with the process.
    std::thread::spawn(move || read(&told, keeps_blanks));
    // Lines that are not taken now are lost, so the server is waited for from the first on.
    let mut sending =
        Sending { server, target, patience: Patience::from_the_start(RETRIED), sent: 0, stored: 0, rejected: 0 };
    // Lines that may go on with the next ones.
    let mut open: Vec<Vec<u8>> = Vec::new();
    loop {
        let next = match open.is_empty() {
            true => Ok(lines.recv().await),
            false => tokio::time::timeout(QUIET_AFTER, lines.recv()).await,
        };
        let mut batch = Batch { lines: std::mem::take(&mut open), is_last: true };
        match next {
            Ok(Some(line)) => batch.gather(line?, &mut lines).await?,
            Ok(None) if batch.lines.is_empty() => break,
            // Nothing came, or will come: they belong together as they are.
            Ok(None) | Err(_) => {}
        }
        open = sending.send(batch).await?;
    }
    sending.outcome()
}

/// Lines that are sent together.
struct Batch {
    lines: Vec<Vec<u8>>,
    /// Whether nothing belongs to them that comes later.
    is_last: bool,
}

impl Batch {
    /// Takes a line and what follows it soon.
    async fn gather(
        &mut self,
        first: Vec<u8>,
        lines: &mut mpsc::Receiver<std::io::Result<Vec<u8>>>,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + BATCH_WAIT;
        let open_bytes: usize = self.lines.iter().map(Vec::len).sum();
        let mut bytes = first.len();
        let most = self.lines.len() + BATCH_LINES;
        self.lines.push(first);
        // What is that long belongs to nothing.
        self.is_last = open_bytes > OPEN_BYTES_MAX;
        while bytes < BATCH_BYTES && self.lines.len() < most {
            match tokio::time::timeout_at(deadline, lines.recv()).await {
                Ok(Some(line)) => {
                    let line = line?;
                    bytes += line.len();
                    self.lines.push(line);
                }
                Ok(None) => {
                    self.is_last = true;
                    break;
                }
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// The lines behind so many bytes of them.
    fn behind(self, taken_bytes: Option<usize>) -> Vec<Vec<u8>> {
        let mut rest = taken_bytes.unwrap_or(usize::MAX);
        let mut lines = self.lines;
        let taken = lines.iter().take_while(|line| {
            let is_taken = rest > line.len();
            rest = rest.saturating_sub(line.len() + 1);
            is_taken
        });
        let taken = taken.count();
        lines.split_off(taken)
    }
}

/// What became of the lines so far.
struct Sending<'s> {
    server: &'s Server,
    target: &'s Target,
    patience: Patience,
    /// Lines that are done with.
    sent: u64,
    /// Records that are stored.
    stored: u64,
    rejected: u64,
}

impl Sending<'_> {
    /// Sends a batch; gives the lines of it that may go on with the next ones.
    async fn send(&mut self, batch: Batch) -> Result<Vec<Vec<u8>>, Failure> {
        let taken = deliver(self.server, self.target, &batch, &mut self.patience).await.inspect_err(|_| {
            if self.sent > 0 {
                eprintln!("{} {} sent before", count(self.sent, "line"), was_or_were(self.sent));
            }
        })?;
        for error in &taken.errors {
            if self.rejected < TOLD_MAX {
                eprintln!("line {}: {}", self.sent + error.line.unwrap_or(error.index + 1), safe(&error.error));
            }
            self.rejected += 1;
        }
        self.rejected += taken.rejected.saturating_sub(taken.errors.len() as u64);
        self.stored += taken.accepted + taken.duplicate;
        let lines = batch.lines.len();
        let open = batch.behind(taken.taken_bytes);
        self.sent += (lines - open.len()) as u64;
        Ok(open)
    }

    fn outcome(self) -> Result<Outcome, Failure> {
        let Sending { rejected, stored, .. } = self;
        if rejected == 0 {
            return Ok(Outcome::Complete);
        }
        if stored == 0 {
            let message = match rejected {
                1 => "the line was rejected".to_owned(),
                rejected => format!("all {rejected} lines were rejected"),
            };
            return Err(Failure::Rejected(Box::new(Rejection { message, ..Rejection::default() })));
        }
        let all = rejected + stored;
        Ok(Outcome::Partial(format!("{rejected} of {} {} rejected", count(all, "record"), was_or_were(rejected))))
    }
}

/// Hands over line by line. Blank lines say something of those of a trace.
fn read(told: &mpsc::Sender<std::io::Result<Vec<u8>>>, keeps_blanks: bool) {
    let mut stdin = std::io::stdin().lock();
    loop {
        let mut line = Vec::new();
        let read = (&mut stdin).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        let handed = match read {
            Ok(0) => return,
            Ok(_) if !keeps_blanks && line.trim_ascii().is_empty() => continue,
            Ok(_) => told.blocking_send(Ok(line)),
            Err(error) => told.blocking_send(Err(error)),
        };
        if handed.is_err() {
            return;
        }
    }
}

/// Sends a batch until it is answered.
async fn deliver(server: &Server, target: &Target, batch: &Batch, patience: &mut Patience) -> Result<Taken, Failure> {
    let key = tokio_tungstenite::tungstenite::handshake::client::generate_key();
    match patience.ask(|text| eprintln!("{}", safe(text)), || attempt(server, target, batch, &key)).await {
        // Nothing of the batch was good; the others may be. (A wrong parameter would be wrong again.)
        Err(Failure::Rejected(rejection))
            if matches!(rejection.status, 400 | 413)
                && !matches!(rejection.code.as_str(), "unknown_format" | "bad_parameter") =>
        {
            eprintln!("{}", safe(&rejection.message));
            Ok(Taken { rejected: batch.lines.len() as u64, ..Taken::default() })
        }
        other => other,
    }
}

/// Says of a record that its line was no UTF-8, in the words of the server.
fn mark_invalid(record: &mut Map<String, Value>) {
    let fields = record.entry("fields").or_insert_with(|| json!({}));
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("invalid_utf8".to_owned(), json!(true));
    }
}

async fn attempt(server: &Server, target: &Target, batch: &Batch, key: &str) -> Result<Taken, Failure> {
    let request = match target {
        Target::Raw(given) => {
            let end = ("end", Some(if batch.is_last { "true" } else { "false" }));
            let given = given.iter().map(|(name, value)| (*name, Some(value.as_str())));
            let params: Vec<_> = given.chain([end]).collect();
            let request = server.request(Method::POST, "/ingest/raw", &params).header(CONTENT_TYPE, "text/plain");
            // Each line with its end.
            let mut body = batch.lines.join(&b'\n');
            body.push(b'\n');
            request.body(body)
        }
        Target::Messages(members) => {
            let mut body = String::new();
            for line in &batch.lines {
                let mut record = members.clone();
                let message = String::from_utf8_lossy(line);
                if let Cow::Owned(_) = message {
                    mark_invalid(&mut record);
                }
                record.insert("message".to_owned(), json!(message));
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
