//! `watchfire tail`: records as they are stored, without gap and without double.
//!
//! First the WebSocket is opened, then the history is walked, then what the socket has held meanwhile is shown: a
//! record that came in between is in both and is shown once, told by its number (`seq`). After a lost connection
//! the same is done from the last number on, so that a restart of the server is no gap either.

mod seen;
mod socket;

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::value::RawValue;
use watchfire_model::Timestamp;
use watchfire_model::text::count;

use crate::color::{Colors, Painter, Style};
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::record::Record;
use crate::server::{Connection, Server};
use crate::terminal;
use crate::terms;
use crate::text::{safe, safe_json};
use crate::time::{Clock, Zone};
use seen::Seen;
use socket::{Live, Message};

/// Records of one answer of the history.
const PAGE: &str = "1000";
/// Most records that are fetched after a lost connection; what is beyond is counted as dropped.
const CAUGHT_UP_MAX: u64 = 10_000;
/// First and longest wait before a new connection.
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(15);

/// Examples of the help.
pub const HELP: &str = "Examples:
  watchfire tail
  watchfire tail level:error 'service:api OR service:web'
  watchfire tail --since 10m --level warn,error --service api
  watchfire tail -o json | jq .message

It ends with Ctrl-C, or after --count records.
Exit codes: 0 good, 1 rejected query, 2 usage, 4 server not reached, 5 some records went by unseen";

/// `tail`
#[derive(Args, Clone, Debug)]
pub struct Tail {
    /// What to search for, as in `query logs`; of several arguments each must hold. Behind `--` they may begin with `-`.
    #[arg(value_name = "QUERY")]
    query: Vec<String>,
    /// Only these levels: a comma list.
    #[arg(long, value_name = "LEVELS")]
    level: Option<String>,
    /// Only these services: a comma list.
    #[arg(long, value_name = "SERVICES")]
    service: Option<String>,
    /// Show what there is from then on first: `10m`, `yesterday 14:00`.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// End after so many records.
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<u64>,
    /// How records are written: a line for people, or a JSON object a line; text unless said.
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    output: TailFormat,
    #[command(flatten)]
    colors: Colors,
    #[command(flatten)]
    zone: Zone,
    #[command(flatten)]
    connection: Connection,
}

/// How records are written.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum TailFormat {
    /// Time, level, service, message, fields.
    #[default]
    Text,
    /// As the search answers them.
    #[value(alias = "jsonl")]
    Json,
}

/// A page of the history.
#[derive(Deserialize)]
struct Page {
    total: u64,
    logs: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

/// Where the queue stands.
#[derive(Deserialize)]
struct QueueStatus {
    last_message_id: Option<String>,
}

/// Why following stopped.
enum Stop {
    /// As many were shown as were asked for, or Ctrl-C.
    Done,
    /// The connection broke.
    Lost(String),
}

/// A tail at work.
struct Follower {
    server: Server,
    query: String,
    level: Option<String>,
    service: Option<String>,
    format: TailFormat,
    clock: Clock,
    painter: Painter,
    output: Output,
    seen: Seen,
    /// How many may still be shown.
    left: Option<u64>,
    dropped: u64,
}

impl Tail {
    /// Shows records until it is told to stop.
    pub async fn run(self) -> Result<Outcome, Failure> {
        let clock = self.zone.clock()?;
        let since = self.since.as_ref().map(|text| clock.read("--since", text)).transpose()?;
        if self.count == Some(0) {
            return Ok(Outcome::Complete);
        }
        let mut follower = Follower {
            server: self.connection.open()?,
            query: terms::search(&self.query),
            level: self.level,
            service: self.service,
            format: self.output,
            clock,
            painter: self.colors.painter(),
            output: Output::stdout(),
            seen: Seen::default(),
            left: self.count,
            dropped: 0,
        };
        let followed = tokio::select! {
            followed = follower.follow(since) => followed,
            _ = tokio::signal::ctrl_c() => Ok(()),
        };
        follower.output.flush()?;
        followed?;
        Ok(match follower.dropped {
            0 => Outcome::Complete,
            dropped => Outcome::Partial(format!("{} went by unseen", count(dropped, "record"))),
        })
    }
}

impl Follower {
    /// Follows over lost connections. The first connection must succeed, and a rejection ends it at once.
    async fn follow(&mut self, since: Option<Timestamp>) -> Result<(), Failure> {
        let mut live = Live::open(&self.server, &self.params()).await?;
        if let Some(since) = since
            && self.history(since).await?
        {
            return Ok(());
        }
        self.mark_begin().await;
        loop {
            let why = match self.show_live(&mut live).await? {
                Stop::Done => return Ok(()),
                Stop::Lost(why) => why,
            };
            match self.connect_again(why).await? {
                Some(again) => live = again,
                None => return Ok(()),
            }
        }
    }

    /// Tries until the server is there again, and shows what was missed; `None` if no more may be shown.
    async fn connect_again(&mut self, mut why: String) -> Result<Option<Live>, Failure> {
        let mut wait = BACKOFF_FIRST;
        loop {
            self.note(&format!("{why}; trying again in {wait:?}"))?;
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(BACKOFF_MAX);
            match self.open_and_catch_up().await {
                Ok(again) => return Ok(again),
                Err(failure @ (Failure::Unreached { .. } | Failure::Unavailable { .. })) => why = failure.to_string(),
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn open_and_catch_up(&mut self) -> Result<Option<Live>, Failure> {
        let live = Live::open(&self.server, &self.params()).await?;
        self.note("connected again")?;
        Ok(if self.catch_up().await? { None } else { Some(live) })
    }

    /// Remembers where the queue stands, so that a connection that is lost before a record came has a begin too. A
    /// server that does not say it is followed all the same.
    async fn mark_begin(&mut self) {
        if self.seen.newest().is_none()
            && let Ok(status) = self.server.ask::<QueueStatus>("/queue/status", &[], None).await
            && let Some(newest) = status.last_message_id.and_then(|id| id.parse().ok())
        {
            self.seen.begin_after(newest);
        }
    }

    fn params(&self) -> [(&'static str, Option<&str>); 3] {
        let query = Some(self.query.as_str()).filter(|query| !query.is_empty());
        [("q", query), ("level", self.level.as_deref()), ("service", self.service.as_deref())]
    }

    /// Shows what the socket brings until it breaks.
    async fn show_live(&mut self, live: &mut Live) -> Result<Stop, Failure> {
        loop {
            // What is there already is written at once; before waiting, the reader sees it.
            let message = match live.waiting() {
                Some(message) => message,
                None => {
                    self.output.flush()?;
                    live.next().await
                }
            };
            match message {
                Message::Record(text) => {
                    let record = Record::parse(&text).map_err(|error| self.server.foreign(&error))?;
                    if self.seen.is_new(record.seq) && self.show(&record)? {
                        return Ok(Stop::Done);
                    }
                }
                Message::Dropped(count) => self.drop_some(count, "this reader was too slow")?,
                Message::Lost(why) => return Ok(Stop::Lost(why)),
            }
        }
    }

    /// Shows everything from a time on, oldest first; true if no more may be shown.
    async fn history(&mut self, since: Timestamp) -> Result<bool, Failure> {
        let mut cursor: Option<String> = None;
        let since = since.to_rfc3339();
        loop {
            let page = self.page(&self.query, &since, cursor.as_deref()).await?;
            if self.show_page(&page)? {
                return Ok(true);
            }
            cursor = page.next_cursor;
            if cursor.is_none() || page.logs.is_empty() {
                return Ok(false);
            }
        }
    }

    /// Shows what was stored after the last record that was seen; true if no more may be shown.
    async fn catch_up(&mut self) -> Result<bool, Failure> {
        let Some(newest) = self.seen.newest() else { return Ok(false) };
        let query =
            if self.query.is_empty() { format!("seq:>{newest}") } else { format!("seq:>{newest} ({})", self.query) };
        let (mut cursor, mut fetched, mut total) = (None, 0, 0);
        while fetched < CAUGHT_UP_MAX {
            let page: Page = self.page(&query, "0", cursor.as_deref()).await?;
            if fetched == 0 {
                total = page.total;
            }
            fetched += page.logs.len() as u64;
            if self.show_page(&page)? {
                return Ok(true);
            }
            cursor = page.next_cursor;
            if cursor.is_none() || page.logs.is_empty() {
                return Ok(false);
            }
        }
        self.drop_some(total.saturating_sub(fetched), "the connection was away for too long")?;
        Ok(false)
    }

    async fn page(&self, query: &str, start: &str, cursor: Option<&str>) -> Result<Page, Failure> {
        let [_, level, service] = self.params();
        let query = Some(query).filter(|query| !query.is_empty());
        let fixed = [("start", Some(start)), ("order", Some("asc")), ("limit", Some(PAGE)), ("buckets", Some("0"))];
        let params: Vec<_> = [("q", query), level, service, ("cursor", cursor)].into_iter().chain(fixed).collect();
        self.server.ask("/api/v1/logs/search", &params, Some(&self.query)).await
    }

    fn show_page(&mut self, page: &Page) -> Result<bool, Failure> {
        for raw in &page.logs {
            let record = Record::parse(raw.get()).map_err(|error| self.server.foreign(&error))?;
            if self.seen.is_new(record.seq) && self.show(&record)? {
                return Ok(true);
            }
        }
        self.output.flush()?;
        Ok(false)
    }

    /// Writes a record; true if no more may be shown.
    fn show(&mut self, record: &Record) -> std::io::Result<bool> {
        if self.left == Some(0) {
            return Ok(true);
        }
        match self.format {
            TailFormat::Json => self.output.line(&safe_json(&record.json()))?,
            TailFormat::Text => {
                let with_date = !terminal::is_terminal();
                self.output.line(&record.line(&self.clock, with_date, self.painter))?;
            }
        }
        self.left = self.left.map(|left| left - 1);
        Ok(self.left == Some(0))
    }

    fn drop_some(&mut self, dropped: u64, why: &str) -> std::io::Result<()> {
        self.dropped += dropped;
        self.note(&format!("{} went by unseen: {why}", count(dropped, "record")))
    }

    /// Tells something on stderr, after what was shown before it.
    fn note(&mut self, text: &str) -> std::io::Result<()> {
        self.output.flush()?;
        eprintln!("{}", Painter::for_stderr().paint(Style::Warning, &format!("── {} ──", safe(text))));
        Ok(())
    }
}
