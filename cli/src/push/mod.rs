//! `watchfire push`: sends a log line, lines from stdin, or a metric.

mod lines;
mod metric;

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use watchfire_model::{Level, Timestamp, nearest};

use crate::failure::{Failure, Outcome, warn};
use crate::server::{Connection, Server};
use crate::time::Zone;

/// Examples of the help.
pub const LOG_HELP: &str = "Examples:
  watchfire push log \"it burns\" --level error --service api
  watchfire push log \"paid\" --service billing --field amount=12.5 --tag env=prod
  printf 'level=warn msg=\"cache is cold\"\\n' | watchfire push log --service web
  printf 'one\\ntwo\\n' | watchfire push log --plain --level info --service job

Exit codes: 0 good, 1 rejected, 2 usage, 4 server not reached, 5 some lines were rejected";

/// Examples of the help.
pub const METRIC_HELP: &str = "Examples:
  watchfire push metric room_temperature=21.5 room=kitchen floor=1
  watchfire push metric backup_bytes_total=1.5e9 host=db1 --type counter
  watchfire push metric queue_depth=12 --time '5m ago'

Exit codes: 0 good, 1 rejected, 2 usage, 4 server not reached";

/// A time further ahead than this, in milliseconds, is not taken by the server.
const AHEAD_MAX_MS: i64 = 600_000;

/// `push`
#[derive(Args, Clone, Debug)]
pub struct Push {
    #[command(subcommand)]
    verb: PushVerb,
}

/// What is sent.
#[derive(Subcommand, Clone, Debug)]
enum PushVerb {
    /// A log line, or all lines of stdin.
    ///
    /// Lines of stdin are sent as they come, a second after they were written at the latest. Those of a stack trace are one
    /// record. Their format is found out by the server (JSON, logfmt, access logs and so on), unless --plain takes each as
    /// a message. When the server is away they are sent again for half a minute, and never stored twice.
    #[command(after_help = LOG_HELP)]
    Log(Log),
    /// A value of a metric: `NAME=VALUE`, and labels behind it.
    #[command(after_help = METRIC_HELP)]
    Metric(metric::Metric),
}

/// `push log`
#[derive(Args, Clone, Debug)]
struct Log {
    /// The message; without one, or with `-`, the lines of stdin.
    #[arg(value_name = "MESSAGE")]
    message: Option<String>,
    /// Each line of stdin is a message, whatever it looks like.
    #[arg(long)]
    plain: bool,
    /// Format of the lines of stdin, instead of finding it out: `json`, `logfmt`, `apache_combined`, …
    #[arg(long, value_name = "FORMAT", conflicts_with = "plain")]
    format: Option<String>,
    /// Whose stack traces among the lines of stdin are joined: auto, java, python, go, rust, dotnet, off. Without it those of
    /// all, unless --format or --plain is given.
    #[arg(long, value_name = "LANGUAGE", conflicts_with = "plain")]
    multiline: Option<String>,
    /// What sent it.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Where it comes from.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    #[command(flatten)]
    members: Members,
    #[command(flatten)]
    connection: Connection,
}

/// What only a message of our own has: lines whose format is found out bring it themselves.
#[derive(Args, Clone, Debug)]
struct Members {
    /// How bad it is: trace, debug, info, notice, warn, error, critical, fatal.
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    level: Option<String>,
    /// The machine.
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// A field, several times if need be; a value that is JSON is taken as such.
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = pair)]
    fields: Vec<(String, String)>,
    /// A tag, several times if need be.
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = pair)]
    tags: Vec<(String, String)>,
    /// When it happened; now unless said.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    time: Option<String>,
    #[command(flatten)]
    zone: Zone,
}

/// How a batch was taken.
#[derive(Deserialize, Default)]
struct Taken {
    #[serde(default)]
    accepted: u64,
    #[serde(default)]
    duplicate: u64,
    #[serde(default)]
    rejected: u64,
    #[serde(default)]
    errors: Vec<TakenError>,
    /// Bytes of lines that are done with; those behind them may belong to what comes next. All if it is not said.
    taken_bytes: Option<usize>,
}

#[derive(Deserialize)]
struct TakenError {
    #[serde(default)]
    index: u64,
    /// Where the record begins, from 1.
    line: Option<u64>,
    #[serde(default)]
    error: String,
}

/// A level, or one of the other words that the server knows for it.
fn level(text: &str) -> Result<String, String> {
    if Level::parse(text).is_some() {
        return Ok(text.to_owned());
    }
    let names = Level::ALL.map(Level::as_str);
    Err(match nearest(text, names) {
        Some(meant) => format!("it is no level; did you mean `{meant}`?"),
        None => format!("it is no level; write one of {}", names.join(", ")),
    })
}

/// `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

impl Push {
    /// Sends it.
    pub async fn run(self) -> Result<Outcome, Failure> {
        match self.verb {
            PushVerb::Log(log) => log.run().await,
            PushVerb::Metric(metric) => metric.run().await,
        }
    }
}

impl Log {
    async fn run(self) -> Result<Outcome, Failure> {
        let from_stdin = self.message.as_deref().is_none_or(|message| message == "-");
        if from_stdin && !self.plain && self.members.given() {
            let told = "--level, --host, --field, --tag and --time need a MESSAGE, or --plain for lines of stdin";
            return Err(Failure::Usage(told.to_owned()));
        }
        if !from_stdin && (self.plain || self.format.is_some() || self.multiline.is_some()) {
            return Err(Failure::Usage("--plain, --format and --multiline are for lines of stdin".to_owned()));
        }
        if self.message.as_deref().is_some_and(|message| message.trim().is_empty()) {
            return Err(Failure::Usage("the MESSAGE is empty; without one the lines of stdin are sent".to_owned()));
        }
        let server = self.connection.open()?;
        let time = self.members.time()?;
        if time.is_some_and(|time| time.since(Timestamp::now()) > AHEAD_MAX_MS) {
            warn(
                "--time is more than 10 minutes ahead: the server dates by the arrival, and keeps it in `timestamp_raw`",
            );
        }
        let record = self.record(time);
        if !from_stdin {
            return self.send_one(&server, record).await;
        }
        let target = if self.plain {
            lines::Target::Messages(record)
        } else {
            let given = [("service", &self.service), ("source", &self.source), ("format", &self.format)];
            let given = given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
            // Lines of a format that is given have nothing to join, unless that is asked for too.
            let default = if self.format.is_some() { "off" } else { "auto" };
            let multiline = self.multiline.clone().unwrap_or_else(|| default.to_owned());
            lines::Target::Raw(given.chain([("multiline", multiline)]).collect())
        };
        lines::send(&server, &target).await
    }

    /// All members but the message.
    fn record(&self, time: Option<Timestamp>) -> Map<String, Value> {
        let members = &self.members;
        let mut record = Map::new();
        let texts = [("level", &members.level), ("service", &self.service), ("source", &self.source)];
        for (name, text) in texts.into_iter().chain([("host", &members.host)]) {
            if let Some(text) = text {
                record.insert(name.to_owned(), json!(text));
            }
        }
        if let Some(time) = time {
            record.insert("timestamp".to_owned(), json!(time.to_rfc3339()));
        }
        if !members.fields.is_empty() {
            let value = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
            let fields: Map<_, _> = members.fields.iter().map(|(name, text)| (name.clone(), value(text))).collect();
            record.insert("fields".to_owned(), fields.into());
        }
        if !members.tags.is_empty() {
            let tags: BTreeMap<_, _> = members.tags.iter().cloned().collect();
            record.insert("tags".to_owned(), json!(tags));
        }
        record
    }

    async fn send_one(&self, server: &Server, mut record: Map<String, Value>) -> Result<Outcome, Failure> {
        let message = self.message.as_deref().unwrap_or_default();
        record.insert("message".to_owned(), json!(message));
        let request = server.request(Method::POST, "/ingest", &[]).header(CONTENT_TYPE, "application/json");
        let response = server.send(request.body(Value::from(record).to_string())).await?;
        server.accepted(response, None).await?;
        Ok(Outcome::Complete)
    }
}

impl Members {
    /// When it happened, if that is said.
    fn time(&self) -> Result<Option<Timestamp>, Failure> {
        self.zone.read("--time", self.time.as_deref())
    }

    fn given(&self) -> bool {
        self.level.is_some()
            || self.host.is_some()
            || !self.fields.is_empty()
            || !self.tags.is_empty()
            || self.time.is_some()
    }
}
