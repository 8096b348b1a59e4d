//! Sending one file piece by piece, from where the server stands.

mod again;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::file::{Bytes, Growth};
use super::is_stdin;
use super::kind;
use super::known::{HEAD_BYTES, Known, Sample, candidates, name_of, start_of};
use super::progress::{Piece, Progress};
use crate::failure::Failure;
use crate::patience::Patience;
use crate::server::Server;

/// Bytes of a piece, unless a line is longer.
const PIECE_BYTES: usize = 2 << 20;
/// A piece without a whole record grows up to this.
const PIECE_BYTES_MAX: usize = 64 << 20;

/// What is said of the lines of a file.
pub(super) struct Labels {
    pub(super) service: String,
    pub(super) source: String,
    pub(super) host: Option<String>,
    pub(super) format: Option<String>,
    pub(super) multiline: Option<String>,
    /// Nobody writes to the file any more.
    pub(super) is_final: bool,
    /// It is a file of its own, whatever it begins like.
    pub(super) is_new: bool,
}

/// Why a file was not imported.
pub(super) enum Fault {
    /// It could not be read.
    File(io::Error),
    /// It is no text; why, and how to mend it.
    NoText(String),
    /// It begins like a file that was imported, and ends before the place up to which that is imported.
    Shorter,
    /// The server could not take it.
    Server(Failure),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::File(error)
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Fault {
        Fault::Server(failure)
    }
}

/// What the server says to a piece.
#[derive(Deserialize)]
struct Taken {
    position: u64,
    #[serde(default)]
    accepted: u64,
    #[serde(default)]
    rejected: u64,
    /// Of those, how many are in no place that is kept.
    #[serde(default)]
    unplaced: u64,
    /// Of those that were taken, how many say no time.
    #[serde(default)]
    undated: u64,
    #[serde(default)]
    errors: Vec<Refused>,
    #[serde(default)]
    reasons: BTreeMap<String, u64>,
    #[serde(default)]
    formats: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Refused {
    #[serde(default)]
    line: u64,
    #[serde(default)]
    error: String,
}

/// How the server calls the format of lines that are of none.
const UNKNOWN: &str = "unknown";

/// A file that stands somewhere.
struct Sending<'a> {
    server: &'a Server,
    labels: &'a Labels,
    name: String,
    head: Sample,
    bytes: Bytes,
    position: u64,
}

/// Imports a file from where the server has it.
pub(super) async fn file(
    server: &Server,
    path: &Path,
    labels: &Labels,
    patience: &mut Patience,
    progress: &mut Progress,
) -> Result<(), Fault> {
    progress.begin(path);
    let mut bytes = Bytes::open(path, progress.bytes_read())?;
    bytes.fill(HEAD_BYTES).await;
    let head = bytes.held.get(..HEAD_BYTES).unwrap_or(&bytes.held).to_vec();
    if head.is_empty() {
        return Ok(bytes.fault()?);
    }
    if let Some(problem) = kind::problem(&head, labels.format.as_deref() == Some("journald")) {
        return Err(Fault::NoText(problem));
    }
    let ask = || candidates(server, &head, labels.format.as_deref());
    let known = patience.ask(|text| progress.say(text), ask).await?;
    let others = known.len();
    let (mut is_used, mut is_shorter) = (false, false);
    for known in known.into_iter().filter(|_| !labels.is_new) {
        if is_used && !is_stdin(path) {
            bytes = Bytes::open(path, progress.bytes_read())?;
        }
        is_used = true;
        if is_stdin(path) && known.refused > 0 && again::is_all(server, &known, patience, progress).await? {
            // Nothing of it is stored, so that it may be read from its begin, whatever is behind that.
            progress.was_known(0);
            let Known { file: name, head, .. } = known;
            let mut sending = Sending { server, labels, name, head, bytes, position: 0 };
            sending.again(path, patience, progress).await?;
            sending.advance(known.position, path, progress).await?;
            return sending.run(path, patience, progress).await;
        }
        match bytes.skip(known.position, known.tail.bytes).await {
            None if is_stdin(path) => return Err(Fault::Shorter),
            // What that file has at the end of this one is not known; another one may fit.
            None => {
                bytes.fault()?;
                is_shorter = true;
            }
            Some(tail) if known.position == 0 || known.tail.is_of(&tail) => {
                if known.position > 0 {
                    progress.was_known(known.unplaced);
                }
                let (refused, position) = (known.refused, known.position);
                let Known { file: name, head, .. } = known;
                let mut sending = Sending { server, labels, name, head, bytes, position };
                if refused > 0 && is_stdin(path) {
                    progress.not_tried_again(refused);
                } else if refused > 0 {
                    let begin = Bytes::open(path, progress.bytes_read())?;
                    let rest = std::mem::replace(&mut sending.bytes, begin);
                    sending.position = 0;
                    sending.again(path, patience, progress).await?;
                    (sending.bytes, sending.position) = (rest, position);
                }
                return sending.run(path, patience, progress).await;
            }
            // It begins alike, and is another.
            Some(_) if is_stdin(path) => {
                return Err(io::Error::other(
                    "begins like what was imported, and goes on differently; import it as a file",
                )
                .into());
            }
            Some(_) => {}
        }
    }
    if is_shorter {
        return Err(Fault::Shorter);
    }
    if is_used {
        bytes = Bytes::open(path, progress.bytes_read())?;
    }
    let (name, head) = (start_of(&head) + &name_of(&head, others), Sample::of(&head));
    let sending = Sending { server, labels, name, head, bytes, position: 0 };
    sending.run(path, patience, progress).await
}

impl Sending<'_> {
    async fn run(mut self, path: &Path, patience: &mut Patience, progress: &mut Progress) -> Result<(), Fault> {
        let mut wanted = PIECE_BYTES;
        loop {
            self.bytes.fill(wanted).await;
            let is_end = self.bytes.ended && self.bytes.held.len() <= wanted;
            let piece = self.bytes.held.get(..wanted).unwrap_or(&self.bytes.held).to_vec();
            if piece.is_empty() {
                return Ok(self.bytes.fault()?);
            }
            let growth = if self.labels.is_final { Growth::Over } else { self.bytes.growth() };
            // What is not whole is whole in the next piece, or in the next import; of what is damaged it never is.
            let end = match growth {
                _ if !is_end => "false",
                _ if self.bytes.is_damaged() => "lines",
                Growth::Over => "true",
                Growth::Possible => "lines",
                Growth::Going => "false",
            };
            match patience.ask(|text| progress.say(text), || self.send(&piece, ("end", end))).await? {
                Sent::Taken(taken) => {
                    progress.took(self.piece(&taken));
                    let moved = taken.position.saturating_sub(self.position);
                    if moved == 0 && is_end {
                        if growth != Growth::Over && !self.bytes.is_damaged() {
                            progress.say(&format!("{}: {}", path.display(), self.left(growth)));
                        }
                        return Ok(self.bytes.fault()?);
                    }
                    if moved == 0 && wanted >= PIECE_BYTES_MAX {
                        let problem = format!("{wanted} bytes behind position {} hold no whole record", self.position);
                        return Err(io::Error::other(problem).into());
                    }
                    wanted = if moved == 0 { wanted * 2 } else { PIECE_BYTES };
                    self.advance(taken.position, path, progress).await?;
                }
                // An answer was lost, or somebody else imports the same file.
                Sent::Elsewhere(position) => self.advance(position, path, progress).await?,
            }
        }
    }

    /// What is said of the end of a file that is left, as more of it may come.
    fn left(&self, growth: Growth) -> &'static str {
        let is_journal = self.labels.format.as_deref() == Some("journald");
        match (self.bytes.held.last(), growth) {
            (Some(b'\n'), _) if is_journal => {
                "its last entries may go on, and are left for the next import; --final takes them"
            }
            (Some(b'\n'), Growth::Going) => {
                "it was written to a moment ago; its last lines may go on (a trace behind an error, a line in parts), and \
                 are left for the next import; --final takes them"
            }
            (Some(b'\n'), _) => {
                "its last line may go on (it is in parts), and is left for the next import; --final takes it"
            }
            _ => "its last line has no end yet, and is left for the next import; --final takes it",
        }
    }

    /// Stands at this position.
    async fn advance(&mut self, position: u64, path: &Path, progress: &Progress) -> Result<(), Fault> {
        match position.checked_sub(self.position) {
            Some(ahead) => drop(self.bytes.skip(ahead, 0).await),
            None if is_stdin(path) => {
                return Err(io::Error::other("the server has forgotten a part of it; import it again").into());
            }
            None => {
                self.bytes = Bytes::open(path, progress.bytes_read())?;
                self.bytes.skip(position, 0).await;
            }
        }
        self.position = position;
        Ok(())
    }

    /// What became of a piece that was sent from here.
    fn piece<'t>(&self, taken: &'t Taken) -> Piece<'t> {
        let first = taken.errors.first();
        Piece {
            accepted: taken.accepted,
            plain: taken.formats.get(UNKNOWN).copied().unwrap_or_default(),
            undated: taken.undated,
            refused: taken.rejected,
            unplaced: taken.unplaced,
            reasons: Some(&taken.reasons),
            first: first.map(|refused| (self.bytes.lines + refused.line, refused.error.as_str())),
        }
    }

    /// Sends a piece, with one parameter that says what kind of piece it is.
    async fn send(&self, piece: &[u8], kind: (&str, &str)) -> Result<Sent, Failure> {
        let (position, head_bytes) = (self.position.to_string(), self.head.bytes.to_string());
        let labels = self.labels;
        let params = [
            ("file", Some(self.name.as_str())),
            ("position", Some(position.as_str())),
            ("head_bytes", Some(head_bytes.as_str())),
            ("head_hash", Some(self.head.hash())),
            ("service", Some(labels.service.as_str())),
            ("source", Some(labels.source.as_str())),
            ("host", labels.host.as_deref()),
            ("format", labels.format.as_deref()),
            ("multiline", labels.multiline.as_deref()),
            (kind.0, Some(kind.1)),
        ];
        let request = self.server.request(Method::POST, "/api/v1/import/logs", &params);
        let request = request.header(CONTENT_TYPE, "application/octet-stream").body(piece.to_vec());
        let response = self.server.send(request).await?;
        let is_elsewhere = response.status() == StatusCode::CONFLICT;
        let response = if is_elsewhere { response } else { self.server.accepted(response, None).await? };
        let text = response.text().await.map_err(|error| self.server.unreached(&error))?;
        let taken: Taken = serde_json::from_str(&text).map_err(|error| self.server.foreign(&error))?;
        Ok(if is_elsewhere { Sent::Elsewhere(taken.position) } else { Sent::Taken(taken) })
    }
}

enum Sent {
    Taken(Taken),
    /// The server has the file up to here.
    Elsewhere(u64),
}
