//! `watchfire top`: where the logs come from, how many, how many of them are errors, and what the metrics cost.

mod screen;

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use watchfire_model::Timestamp;
use watchfire_model::text::count;
use watchfire_model::time::{format_duration_ms, parse_duration_ms};

use crate::color::{Colors, Painter, Style};
use crate::failure::{Failure, Outcome};
use crate::number::{bytes, percent, short};
use crate::output::Output;
use crate::render::fitted;
use crate::render::graph::sparkline;
use crate::render::table::{Align, Cell, Table};
use crate::server::{Connection, Server};
use crate::terminal;
use crate::text::{cut, safe, width};
use crate::time::{Clock, Zone};

/// Examples of the help.
pub const HELP: &str = "Examples:
  watchfire top
  watchfire top --window 1h --every 5s
  watchfire top --once

It ends with Ctrl-C. Without a terminal it prints once.
Exit codes: 0 good, 1 rejected, 2 usage, 4 server not reached";

/// Rows of each table where the screen does not say how many fit.
const ROWS: usize = 20;
/// Columns of the small line.
const TREND_COLUMNS: usize = 20;
/// Levels that count as errors, as everywhere.
const ERRORS: [&str; 3] = ["error", "critical", "fatal"];

/// `top`
#[derive(Args, Clone, Debug)]
pub struct Top {
    /// Print once instead of refreshing the screen.
    #[arg(long)]
    once: bool,
    /// How far back logs are counted.
    #[arg(long, default_value = "5m", value_name = "DURATION", value_parser = duration)]
    window: i64,
    /// How often the screen is refreshed.
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = duration)]
    every: i64,
    #[command(flatten)]
    colors: Colors,
    #[command(flatten)]
    zone: Zone,
    #[command(flatten)]
    connection: Connection,
}

fn duration(text: &str) -> Result<i64, String> {
    let read = parse_duration_ms(text).filter(|millis| (500..=31_536_000_000).contains(millis));
    read.ok_or_else(|| format!("`{text}` is no duration of half a second to a year; write 2s, 5m or 1h"))
}

/// What `/api/v1/logs/stats` answers.
#[derive(Deserialize)]
struct Stats {
    rows: Vec<StatsRow>,
}

#[derive(Deserialize)]
struct StatsRow {
    by: BTreeMap<String, Value>,
    time: Option<i64>,
    values: BTreeMap<String, Value>,
}

impl StatsRow {
    fn text(&self, name: &str) -> &str {
        self.by.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn count(&self) -> f64 {
        self.values.get("count").and_then(Value::as_f64).unwrap_or(0.0)
    }
}

/// What `/api/metrics` answers of a metric.
#[derive(Deserialize)]
struct Metric {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    series: u64,
    labels: Vec<String>,
}

#[derive(Deserialize)]
struct Health {
    status: String,
    version: String,
    uptime_s: i64,
}

/// Bytes by service.
#[derive(Deserialize)]
struct Volumes {
    result: Vec<Volume>,
}

#[derive(Deserialize)]
struct Volume {
    labels: BTreeMap<String, String>,
    value: Value,
}

/// A source of logs in the window.
#[derive(Default)]
struct Source {
    lines: f64,
    errors: f64,
    bytes: f64,
    trend: BTreeMap<i64, f64>,
}

/// All that a screen shows.
struct Reading {
    health: Health,
    sources: Vec<(String, Source)>,
    metrics: Vec<Metric>,
    clock: Clock,
}

impl Top {
    /// Shows it, once or until Ctrl-C.
    pub async fn run(self) -> Result<Outcome, Failure> {
        let server = self.connection.open()?;
        let first = self.read(&server).await?;
        let painter = self.colors.painter();
        if self.once || !terminal::is_terminal() {
            let mut output = Output::stdout();
            let columns = terminal::room();
            output.text(&fitted(&self.page(&server, &first, (columns, usize::MAX), painter)))?;
            output.flush()?;
            return Ok(Outcome::Complete);
        }
        let screen = screen::Screen::enter()?;
        let shown = tokio::select! {
            shown = self.refresh(&server, first, &screen, painter) => shown,
            _ = tokio::signal::ctrl_c() => Ok(()),
        };
        drop(screen);
        shown.map(|()| Outcome::Complete)
    }

    async fn refresh(
        &self,
        server: &Server,
        first: Reading,
        screen: &screen::Screen,
        painter: Painter,
    ) -> Result<(), Failure> {
        let mut reading = first;
        let mut problem: Option<String> = None;
        loop {
            let (columns, rows) = terminal::size();
            let mut page = self.page(server, &reading, (columns, rows), painter);
            if let Some(problem) = &problem {
                page.push_str(&painter.paint(Style::Error, &safe(problem)));
            }
            screen.show(&page, columns, rows)?;
            tokio::time::sleep(Duration::from_millis(self.every.unsigned_abs())).await;
            // A server that is away for a moment leaves the last figures on the screen.
            match self.read(server).await {
                Ok(next) => (reading, problem) = (next, None),
                Err(failure @ (Failure::Unreached { .. } | Failure::Unavailable { .. })) => {
                    problem = Some(failure.to_string());
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn read(&self, server: &Server) -> Result<Reading, Failure> {
        let clock = self.zone.clock()?;
        let window = format_duration_ms(self.window);
        let (begin, end) = (clock.now().plus_millis(-self.window), clock.now());
        let start = begin.to_rfc3339();
        let step_ms = (self.window / TREND_COLUMNS as i64).max(1000) / 1000 * 1000;
        let step = format_duration_ms(step_ms);
        let query = format!("sum log_bytes_total over {window} by service");
        let range = [("start", Some(start.as_str())), ("limit", Some("10000"))];
        // Two questions: rows of time would leave fewer for sources.
        let totals = [range.as_slice(), &[("by", Some("service,level"))]].concat();
        let trends = [range.as_slice(), &[("by", Some("service")), ("step", Some(step.as_str()))]].concat();
        let volumes = [("query", Some(query.as_str()))];
        let health = server.ask("/api/v1/health", &[], None).await?;
        let totals: Stats = server.ask("/api/v1/logs/stats", &totals, None).await?;
        let trends: Stats = server.ask("/api/v1/logs/stats", &trends, None).await?;
        let volumes: Volumes = server.ask("/api/v1/metrics/query", &volumes, Some(&query)).await?;
        let mut metrics: Vec<Metric> = server.ask("/api/metrics", &[], None).await?;
        metrics.sort_by(|a, b| b.series.cmp(&a.series).then_with(|| a.name.cmp(&b.name)));
        let sources = sources(&totals, &trends, &volumes, (begin.millis(), end.millis()), step_ms);
        Ok(Reading { health, sources, metrics, clock })
    }

    /// The page in so many columns and rows.
    fn page(&self, server: &Server, reading: &Reading, (columns, rows): (usize, usize), painter: Painter) -> String {
        // Title, two blank lines, and two lines of titles.
        let room = rows.saturating_sub(7);
        let sources_max = if rows == usize::MAX { ROWS } else { (room * 3 / 5).max(3) };
        let metrics_max =
            if rows == usize::MAX { ROWS } else { room.saturating_sub(sources_max.min(reading.sources.len())).max(3) };
        let mut page = self.title(server, reading, columns, painter);
        page.push_str("\n\n");
        page.push_str(&self.sources_table(reading, columns, sources_max, painter));
        page.push('\n');
        page.push_str(&metrics_table(&reading.metrics, columns, metrics_max, painter));
        page
    }

    /// Which server, how it is, and of when and how long the figures are; no more than fits.
    fn title(&self, server: &Server, reading: &Reading, columns: usize, painter: Painter) -> String {
        let Reading { health, .. } = reading;
        let good = if health.status == "ok" { Style::Good } else { Style::Warning };
        let version = format!(" {}", safe(&health.version));
        let parts = [
            (health.status.clone(), Some(good)),
            (format!("last {}", format_duration_ms(self.window)), None),
            (server.name().to_owned(), None),
            (format!("up {}", format_duration_ms(health.uptime_s.saturating_mul(1000))), None),
            (reading.clock.show(reading.clock.now()), None),
        ];
        let name = "watchfire";
        let mut taken = width(name) + width(&version);
        let mut title = painter.paint(Style::Bold, name) + &version;
        for (part, style) in parts {
            let part = safe(&part);
            taken += 2 + width(&part);
            if taken > columns {
                break;
            }
            title.push_str("  ");
            title.push_str(&style.map_or_else(|| part.clone().into_owned(), |style| painter.paint(style, &part)));
        }
        title
    }

    fn sources_table(&self, reading: &Reading, columns: usize, most: usize, painter: Painter) -> String {
        if reading.sources.is_empty() {
            return format!("no logs in the last {}\n", format_duration_ms(self.window));
        }
        let right = |title| (title, Align::Right);
        let numbers = ["lines", "per s", "share", "bytes", "errors", "error %"].map(right);
        let titles = [("source", Align::Left)].into_iter().chain(numbers).chain([("trend", Align::Left)]);
        let mut table = Table::new(titles);
        let all: f64 = reading.sources.iter().map(|(_, source)| source.lines).sum();
        let mut add = |name: &str, source: &Source, style: Style| {
            let share = source.errors / source.lines;
            let errors = match share {
                share if share >= 0.05 => Style::Error,
                share if share > 0.0 => Style::Warning,
                _ => Style::Dim,
            };
            let trend: Vec<_> = source.trend.iter().map(|(at, lines)| (Timestamp::from_millis(*at), *lines)).collect();
            table.row(vec![
                Cell::styled(&cut(&safe(name), 40), style),
                Cell::new(&short(source.lines)),
                Cell::new(&short(source.lines / (self.window as f64 / 1000.0))),
                Cell::new(&percent(source.lines / all)),
                Cell::new(&bytes(source.bytes)),
                Cell::styled(&short(source.errors), errors),
                Cell::styled(&percent(share), errors),
                Cell::styled(&sparkline(&trend, TREND_COLUMNS), Style::Name),
            ]);
        };
        let (shown, others) = reading.sources.split_at(most.min(reading.sources.len()));
        for (name, source) in shown {
            add(name, source, Style::Name);
        }
        if !others.is_empty() {
            add(&count(others.len(), "other"), &total(others), Style::Dim);
        }
        if reading.sources.len() > 1 {
            add("all", &total(&reading.sources), Style::Bold);
        }
        table.fit(columns, &["trend", "share", "per s", "bytes", "errors"], "");
        table.render(painter)
    }
}

/// The busiest source first. `period` is the window in milliseconds, `step_ms` that of its trends.
fn sources(
    totals: &Stats,
    trends: &Stats,
    volumes: &Volumes,
    period: (i64, i64),
    step_ms: i64,
) -> Vec<(String, Source)> {
    let mut sources: BTreeMap<String, Source> = BTreeMap::new();
    for row in &totals.rows {
        let source = sources.entry(row.text("service").to_owned()).or_default();
        source.lines += row.count();
        if ERRORS.contains(&row.text("level")) {
            source.errors += row.count();
        }
    }
    for row in &trends.rows {
        if let (Some(source), Some(time)) = (sources.get_mut(row.text("service")), row.time) {
            *source.trend.entry(time).or_default() += row.count();
        }
    }
    for volume in &volumes.result {
        let service = volume.labels.get("service").map_or("", String::as_str);
        if let Some(source) = sources.get_mut(service) {
            source.bytes += volume.value.as_f64().unwrap_or(0.0);
        }
    }
    let mut sources: Vec<_> = sources.into_iter().filter(|(_, source)| source.lines > 0.0).collect();
    // A step without lines is a zero on the line.
    if let Some(known) = trends.rows.iter().find_map(|row| row.time) {
        let first = known - (known - period.0) / step_ms * step_ms;
        for time in (first..=period.1).step_by(usize::try_from(step_ms).unwrap_or(1)) {
            for (_, source) in &mut sources {
                source.trend.entry(time).or_default();
            }
        }
    }
    sources.sort_by(|(a, left), (b, right)| right.lines.total_cmp(&left.lines).then_with(|| a.cmp(b)));
    sources
}

fn total(sources: &[(String, Source)]) -> Source {
    let mut total = Source::default();
    for (_, source) in sources {
        total.lines += source.lines;
        total.errors += source.errors;
        total.bytes += source.bytes;
        for (time, lines) in &source.trend {
            *total.trend.entry(*time).or_default() += lines;
        }
    }
    total
}

/// The metric with the most series first.
fn metrics_table(metrics: &[Metric], columns: usize, most: usize, painter: Painter) -> String {
    let left = |title| (title, Align::Left);
    let mut table =
        Table::new([left("metric"), left("type"), ("series", Align::Right), ("share", Align::Right), left("labels")]);
    let all: u64 = metrics.iter().map(|metric| metric.series).sum();
    let share = |series: u64| percent(series as f64 / all.max(1) as f64);
    let (shown, others) = metrics.split_at(most.min(metrics.len()));
    for metric in shown {
        table.row(vec![
            Cell::styled(&metric.name, Style::Name),
            Cell::new(&metric.kind),
            Cell::new(&metric.series.to_string()),
            Cell::new(&share(metric.series)),
            Cell::styled(&metric.labels.join(" "), Style::Dim),
        ]);
    }
    if !others.is_empty() {
        let series = others.iter().map(|metric| metric.series).sum();
        let name = count(others.len(), "other");
        table.row(vec![
            Cell::styled(&name, Style::Dim),
            Cell::new(""),
            Cell::new(&format!("{series}")),
            Cell::new(&share(series)),
        ]);
    }
    table.fit(columns, &["share", "type", "labels"], "labels");
    table.render(painter)
}
