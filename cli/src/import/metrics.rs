//! `watchfire import metrics`: text with times, piece by piece, each a whole exposition of its own.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::file::Bytes;
use super::progress::{Piece, Progress};
use super::send::Fault;
use super::{PATIENCE, bytes_of, kind, list, until_interrupted};
use crate::failure::{Failure, Outcome};
use crate::patience::Patience;
use crate::server::{Connection, Server};

/// Bytes of a piece, unless a line is longer.
const PIECE_BYTES: usize = 2 << 20;
/// Longest line that is sent at all; the server's own limit is lower.
const LINE_BYTES_MAX: usize = 16 << 20;
/// Problems that are shown line by line; all are counted.
const SHOWN_MAX: usize = 20;
const EOF: &[u8] = b"# EOF";

/// Examples of the help.
pub(super) const HELP: &str = "Examples:
  watchfire import metrics old.om.gz
  zstd -dc old.om.zst | watchfire import metrics -
  watchfire import metrics --format prometheus textfiles/

Exit codes: 0 good, 1 rejected, 2 usage, 4 server not reached, 5 interrupted, some lines were refused, or files not read or only in part";

/// `import metrics`
#[derive(Args, Clone, Debug)]
pub(super) struct Metrics {
    /// Files, folders (all files in them), or `-` for stdin.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Format of the files, instead of finding it out by their times.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<TextFormat>,
    #[command(flatten)]
    connection: Connection,
}

/// How metrics are written.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum TextFormat {
    /// OpenMetrics 1.0: times are seconds, `# EOF` ends it.
    Openmetrics,
    /// Prometheus' text format 0.0.4: times are milliseconds.
    Prometheus,
}

impl TextFormat {
    fn content_type(self) -> &'static str {
        match self {
            TextFormat::Openmetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            TextFormat::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What the server says to a piece.
#[derive(Deserialize)]
struct Taken {
    #[serde(default)]
    error: String,
    #[serde(default)]
    accepted: u64,
    #[serde(default)]
    rejected: u64,
    #[serde(default)]
    duplicate: u64,
    #[serde(default)]
    errors: Vec<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    line: u64,
    error: String,
}

impl Metrics {
    /// Imports them.
    pub(super) async fn run(self) -> Result<Outcome, Failure> {
        let server = self.connection.open()?;
        let (files, mut left) = list(&self.files);
        let mut progress = Progress::new("sample", files.len(), bytes_of(&files));
        let mut patience = Patience::once_reached(PATIENCE);
        let mut shown = 0;
        let sent = until_interrupted(async {
            for file in &files {
                let path = &file.path;
                progress.begin(path);
                let sending = Sending {
                    server: &server,
                    path,
                    format: self.format,
                    head: Head::default(),
                    lines: 0,
                    shown: &mut shown,
                    patience: &mut patience,
                    progress: &mut progress,
                };
                let sent = sending.run().await;
                progress.end();
                if let Err(fault) = sent {
                    left.note(file, fault, &mut progress)?;
                }
            }
            Ok(())
        });
        left.is_interrupted = sent.await?;
        left.end(&mut progress)
    }
}

/// What was said of the metric whose samples are being read: it stands at the head of the next piece too.
#[derive(Default)]
struct Head {
    metric: Vec<u8>,
    text: Vec<u8>,
    lines: u64,
}

impl Head {
    /// Takes note of a line, with its end.
    fn note(&mut self, line: &[u8]) {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        if words.next() != Some(b"#") || !matches!(words.next(), Some(b"HELP" | b"TYPE" | b"UNIT")) {
            return;
        }
        let metric = words.next().unwrap_or_default();
        if self.metric != metric {
            *self = Head { metric: metric.to_vec(), ..Head::default() };
        }
        // Said again and again, it holds as it was said last.
        if self.text.len() < PIECE_BYTES / 4 {
            self.text.extend_from_slice(line);
            self.lines += 1;
        }
    }
}

/// A file on its way.
struct Sending<'a> {
    server: &'a Server,
    path: &'a Path,
    format: Option<TextFormat>,
    head: Head,
    /// Lines that are sent.
    lines: u64,
    shown: &'a mut usize,
    patience: &'a mut Patience,
    progress: &'a mut Progress,
}

impl Sending<'_> {
    async fn run(mut self) -> Result<(), Fault> {
        let mut bytes = Bytes::open(self.path, self.progress.bytes_read())?;
        bytes.fill(kind::LOOKED_AT_BYTES).await;
        if let Some(problem) = kind::problem(&bytes.held, false) {
            return Err(Fault::NoText(problem));
        }
        let mut wanted = PIECE_BYTES;
        loop {
            bytes.fill(wanted).await;
            let is_last = bytes.ended && bytes.held.len() <= wanted;
            let window = bytes.held.get(..wanted).unwrap_or(&bytes.held);
            let lines_end = window.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            // The last line of a file that is cut off may be half of one.
            let end = if is_last && !bytes.is_damaged() { window.len() } else { lines_end };
            if end == 0 && !is_last {
                if wanted >= LINE_BYTES_MAX {
                    let line = self.lines + 1;
                    return Err(io::Error::other(format!("line {line} is longer than {LINE_BYTES_MAX} bytes")).into());
                }
                wanted *= 2;
                continue;
            }
            wanted = PIECE_BYTES;
            let piece: Vec<u8> = bytes.held.drain(..end).collect();
            if is_last {
                bytes.held.clear();
            }
            if !piece.is_empty() {
                self.send(&piece, is_last && !bytes.is_damaged()).await?;
            }
            if is_last {
                return Ok(bytes.fault()?);
            }
        }
    }

    /// Sends a piece of whole lines, and shows what was wrong with it.
    async fn send(&mut self, piece: &[u8], is_last: bool) -> Result<(), Fault> {
        let format = *self.format.get_or_insert_with(|| format_of(piece));
        let (mut body, head_lines) = (self.head.text.clone(), self.head.lines);
        body.extend_from_slice(piece);
        if format == TextFormat::Openmetrics && !is_last && !piece.trim_ascii_end().ends_with(EOF) {
            body.extend_from_slice(EOF);
            body.push(b'\n');
        }
        let (server, content_type) = (self.server, format.content_type());
        let ask = || post(server, content_type, &body);
        let taken = self.patience.ask(|text| self.progress.say(text), ask).await?;
        let mut first = None;
        for Refused { line, error } in &taken.errors {
            // What stands at the head of this piece was told with the one before.
            let Some(line) = line.checked_sub(head_lines).filter(|line| *line > 0) else { continue };
            if *self.shown < SHOWN_MAX {
                self.progress.say(&format!("{}:{}: {error}", self.path.display(), self.lines + line));
                *self.shown += 1;
            }
            first.get_or_insert((self.lines + line, error.as_str()));
        }
        self.progress.had(taken.duplicate);
        self.progress.took(Piece { accepted: taken.accepted, refused: taken.rejected, first, ..Piece::default() });
        for line in piece.split_inclusive(|byte| *byte == b'\n') {
            self.lines += 1;
            self.head.note(line);
        }
        Ok(())
    }
}

async fn post(server: &Server, content_type: &'static str, body: &[u8]) -> Result<Taken, Failure> {
    let request = server.request(Method::POST, "/api/v1/import", &[]);
    let response = server.send(request.header(CONTENT_TYPE, content_type).body(body.to_vec())).await?;
    let is_refused = response.status() == StatusCode::BAD_REQUEST;
    let response = if is_refused { response } else { server.accepted(response, None).await? };
    let text = response.text().await.map_err(|error| server.unreached(&error))?;
    let taken: Taken = serde_json::from_str(&text).map_err(|error| server.foreign(&error))?;
    match taken.error.as_str() {
        "" | "rejected" => Ok(taken),
        _ => Err(server.foreign(&format!("{}: {text}", StatusCode::BAD_REQUEST))),
    }
}

/// The format by the beginning of a file: seconds and milliseconds of our times differ by three digits.
fn format_of(start: &[u8]) -> TextFormat {
    /// As milliseconds the spring of 1973, as seconds the year 5138.
    const MILLISECONDS_FROM: f64 = 1e11;
    if start.trim_ascii_end().ends_with(EOF) {
        return TextFormat::Openmetrics;
    }
    let samples = start.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#"));
    for line in samples.map(String::from_utf8_lossy) {
        let sample = line.split(" # {").next().unwrap_or_default();
        let behind = sample.rsplit_once('}').map_or_else(
            || sample.trim_start().split_once([' ', '\t']).map_or("", |(_, behind)| behind),
            |(_, behind)| behind,
        );
        let time = behind.split_ascii_whitespace().nth(1).and_then(|time| time.parse::<f64>().ok());
        match time {
            Some(time) if time.abs() >= MILLISECONDS_FROM => return TextFormat::Prometheus,
            Some(_) => return TextFormat::Openmetrics,
            None => {}
        }
    }
    TextFormat::Openmetrics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_tell_the_format() {
        for (start, format) in [
            ("m 1 1700000000\n", TextFormat::Openmetrics),
            ("m 1 1700000000.5\nx", TextFormat::Openmetrics),
            ("# HELP m x\nm{a=\"}\"} 1 1700000000000\n", TextFormat::Prometheus),
            ("m{a=\"b\"} 1 1700000000 # {t=\"x\"} 1 1700000000000\n", TextFormat::Openmetrics),
            ("m 1\n\n m\t1\t1700000000000\n", TextFormat::Prometheus),
            ("m 1\n# EOF\n", TextFormat::Openmetrics),
            ("", TextFormat::Openmetrics),
        ] {
            assert_eq!(format_of(start.as_bytes()), format, "{start:?}");
        }
    }

    #[test]
    fn what_is_said_of_a_metric_is_carried_on() {
        let mut head = Head::default();
        for line in ["# HELP a x\n", "# TYPE a counter\n", "a_total 1 2\n", "# HELP b y\n", "b 1 2\n"] {
            head.note(line.as_bytes());
        }
        assert_eq!((head.text.as_slice(), head.lines), (&b"# HELP b y\n"[..], 1));
        head.note(b"# TYPE b gauge\n");
        assert_eq!((head.text.as_slice(), head.lines), (&b"# HELP b y\n# TYPE b gauge\n"[..], 2));
    }
}
