//! `watchfire query logs`: a search, walked page by page.

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::value::RawValue;
use watchfire_model::Timestamp;
use watchfire_model::text::count;

use super::Shown;
use crate::color::Painter;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::record::{CSV_COLUMNS, Record};
use crate::render::graph::{Graph, Series};
use crate::render::table::{Align, Table};
use crate::render::{Format, csv, fitted};
use crate::server::{Connection, Server};
use crate::terminal;
use crate::terms;
use crate::text::safe_json;
use crate::time::{Clock, Period};

/// Records of one answer; more are walked to.
const PAGE: u64 = 1000;
/// Bars of the histogram that a graph is drawn from, at most.
const BUCKETS_MAX: usize = 1000;
/// Levels from the worst on, as they are drawn.
const LEVELS: [&str; 8] = ["trace", "debug", "info", "notice", "warn", "error", "critical", "fatal"];

/// Examples of the help.
pub const HELP: &str = "Examples:
  watchfire query logs level:error --since 1h
  watchfire query logs 'service:api \"connection refused\"' \\
      --since yesterday --limit 20 -o table
  watchfire query logs 'duration_ms:>100 -host:db1' \\
      --start '2 days ago' --end now -o csv
  watchfire query logs --since 6h -o graph

Exit codes: 0 good, 1 rejected query, 2 usage, 4 server not reached, 5 partial result";

/// `query logs`
#[derive(Args, Clone, Debug)]
pub struct Logs {
    /// What to search for; of several arguments each must hold. Behind `--` they may begin with `-`.
    #[arg(value_name = "EXPR")]
    query: Vec<String>,
    #[command(flatten)]
    period: Period,
    /// Most records.
    #[arg(long, short = 'n', default_value_t = 100, value_name = "N")]
    limit: u64,
    /// Which come first.
    #[arg(long, value_enum, default_value = "desc")]
    order: Order,
    /// Only these levels: a comma list.
    #[arg(long, value_name = "LEVELS")]
    level: Option<String>,
    /// Only these services: a comma list.
    #[arg(long, value_name = "SERVICES")]
    service: Option<String>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    connection: Connection,
}

/// Which records come first.
#[derive(ValueEnum, Clone, Copy, Debug)]
enum Order {
    /// The newest.
    Desc,
    /// The oldest.
    Asc,
}

/// A page of the answer.
#[derive(Deserialize)]
struct Page {
    total: u64,
    #[serde(default)]
    total_exact: bool,
    #[serde(default)]
    logs: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
    histogram: Option<Histogram>,
    #[serde(default)]
    damaged_blocks: u64,
}

#[derive(Deserialize)]
struct Histogram {
    start: i64,
    step: i64,
    buckets: Vec<Bucket>,
}

#[derive(Deserialize)]
struct Bucket {
    time: i64,
    #[serde(default)]
    levels: std::collections::BTreeMap<String, f64>,
}

/// A search that is being walked.
struct Search {
    server: Server,
    query: String,
    fixed: Vec<(&'static str, Option<String>)>,
}

impl Search {
    async fn page(&self, limit: u64, buckets: usize, cursor: Option<&str>) -> Result<Page, Failure> {
        let (limit, buckets) = (limit.to_string(), buckets.to_string());
        let mut params: Vec<(&str, Option<&str>)> =
            self.fixed.iter().map(|(name, value)| (*name, value.as_deref())).collect();
        params.extend([("limit", Some(limit.as_str())), ("buckets", Some(buckets.as_str())), ("cursor", cursor)]);
        self.server.ask("/api/v1/logs/search", &params, Some(&self.query)).await
    }
}

impl Logs {
    /// Asks, and shows the answer.
    pub async fn run(self) -> Result<Outcome, Failure> {
        let (clock, start, end) = self.period.read()?;
        let query = terms::search(&self.query);
        let order = match self.order {
            Order::Desc => "desc",
            Order::Asc => "asc",
        };
        let search = Search {
            server: self.connection.open()?,
            fixed: vec![
                ("q", Some(query.clone()).filter(|query| !query.is_empty())),
                ("start", start.map(Timestamp::to_rfc3339)),
                ("end", end.map(Timestamp::to_rfc3339)),
                ("level", self.level.clone()),
                ("service", self.service.clone()),
                ("order", Some(order.to_owned())),
            ],
            query,
        };
        match self.shown.format() {
            Format::Graph => self.draw(&search, &clock, (start, end)).await,
            format => self.list(&search, format, &clock).await,
        }
    }

    /// Walks the pages and writes each as it comes.
    async fn list(&self, search: &Search, format: Format, clock: &Clock) -> Result<Outcome, Failure> {
        let mut writer = Writer { output: Output::stdout(), format, clock, painter: self.shown.painter(), written: 0 };
        let mut damaged = 0;
        let mut cursor: Option<String> = None;
        loop {
            let page = match search.page((self.limit - writer.written).min(PAGE), 0, cursor.as_deref()).await {
                Ok(page) => page,
                Err(failure) if writer.written == 0 => return Err(failure),
                Err(failure) => {
                    writer.end()?;
                    return Ok(Outcome::Partial(format!("after {}: {failure}", count(writer.written, "record"))));
                }
            };
            if writer.written == 0 {
                writer.begin(&page)?;
            }
            for record in &page.logs {
                Record::parse(record.get()).map_err(|error| search.server.foreign(&error))?;
            }
            writer.page(&page)?;
            damaged = damaged.max(page.damaged_blocks);
            cursor = page.next_cursor;
            if cursor.is_none() || page.logs.is_empty() || writer.written >= self.limit {
                break;
            }
        }
        writer.end()?;
        if damaged > 0 {
            return Ok(unread(damaged));
        }
        if writer.written == 0 && self.limit > 0 { self.shown.empty() } else { Ok(Outcome::Complete) }
    }

    /// Draws how many there were over time, by level.
    async fn draw(
        &self,
        search: &Search,
        clock: &Clock,
        (start, end): (Option<Timestamp>, Option<Timestamp>),
    ) -> Result<Outcome, Failure> {
        let (columns, rows) = terminal::size();
        let page = search.page(0, columns.min(BUCKETS_MAX), None).await?;
        let Some(histogram) = page.histogram.filter(|histogram| !histogram.buckets.is_empty() && page.total > 0) else {
            return self.shown.empty();
        };
        let series = by_level(&histogram);
        let last = histogram.buckets.last().map_or(histogram.start, |bucket| bucket.time);
        let start = start.unwrap_or(Timestamp::from_millis(histogram.start));
        let end = end.unwrap_or_else(|| clock.now()).min(Timestamp::from_millis(last.saturating_add(histogram.step)));
        let graph = Graph {
            start,
            end: end.max(start),
            step_ms: histogram.step,
            series: &series,
            columns,
            rows: super::graph_rows(rows),
            ascii: self.shown.ascii,
            clock,
        };
        let mut output = Output::stdout();
        let step = watchfire_model::time::format_duration_ms(histogram.step);
        output.text(&fitted(&graph.render(self.shown.painter())))?;
        output.line(&format!("{}, counted per {step}", count(page.total, "record")))?;
        output.flush()?;
        Ok(match page.damaged_blocks {
            0 => Outcome::Complete,
            damaged => unread(damaged),
        })
    }
}

/// A line per level that occurs, the worst on top.
fn by_level(histogram: &Histogram) -> Vec<Series> {
    let occurs = |level: &&str| histogram.buckets.iter().any(|bucket| bucket.levels.contains_key(*level));
    let line = |level: &str| Series {
        name: level.to_owned(),
        points: histogram
            .buckets
            .iter()
            .map(|bucket| (Timestamp::from_millis(bucket.time), bucket.levels.get(level).copied().unwrap_or(0.0)))
            .collect(),
        style: Painter::level(level),
    };
    LEVELS.iter().filter(|level| occurs(level)).map(|level| line(level)).collect()
}

/// Writes pages of records.
struct Writer<'a> {
    output: Output,
    format: Format,
    clock: &'a Clock,
    painter: Painter,
    written: u64,
}

impl Writer<'_> {
    fn begin(&mut self, page: &Page) -> std::io::Result<()> {
        match self.format {
            Format::Json => {
                self.output.text(&format!("{{\"total\":{},\"total_exact\":{},\"logs\":[", page.total, page.total_exact))
            }
            Format::Csv => self.output.text(&csv::row(CSV_COLUMNS.map(csv::Cell::Plain))),
            Format::Table | Format::Jsonl | Format::Graph => Ok(()),
        }
    }

    fn page(&mut self, page: &Page) -> std::io::Result<()> {
        // What cannot be read was refused before.
        let records = || page.logs.iter().filter_map(|record| Record::parse(record.get()).ok());
        match self.format {
            Format::Table => {
                let left = |title| (title, Align::Left);
                let mut table = Table::new(["time", "level", "service", "message"].map(left));
                records().for_each(|record| table.row(record.cells(self.clock)));
                self.output.text(&table.render(self.painter))?;
            }
            Format::Json => {
                for (number, record) in page.logs.iter().enumerate() {
                    if self.written > 0 || number > 0 {
                        self.output.text(",\n")?;
                    }
                    self.output.text(&safe_json(record.get()))?;
                }
            }
            Format::Jsonl | Format::Graph => {
                for record in &page.logs {
                    self.output.line(&safe_json(record.get()))?;
                }
            }
            Format::Csv => {
                for record in records() {
                    self.output.text(&record.csv())?;
                }
            }
        }
        self.written += page.logs.len() as u64;
        self.output.flush()
    }

    fn end(&mut self) -> std::io::Result<()> {
        if self.format == Format::Json {
            self.output.line("]}")?;
        }
        self.output.flush()
    }
}

/// Blocks of the store are damaged.
fn unread(damaged: u64) -> Outcome {
    Outcome::Partial(format!("{} of the store could not be read", count(damaged, "damaged block")))
}
