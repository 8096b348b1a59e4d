//! `watchfire query range`: numbers over a range of time.

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use watchfire_model::Timestamp;

use super::Shown;
use super::numbers::{Labels, Value, label_names, label_title, series_name};
use crate::color::{Painter, Style};
use crate::failure::{Failure, Outcome, warn};
use crate::number::short;
use crate::output::Output;
use crate::render::graph::{Figures, Graph, Series, sparkline};
use crate::render::table::{Align, Cell, Table};
use crate::render::{Format, csv, fitted};
use crate::server::Connection;
use crate::terminal;
use crate::text::safe_json;
use crate::time::{Clock, Period, read_step};

/// Columns of the small line in a table.
const TREND_COLUMNS: usize = 30;

/// Examples of the help.
pub const HELP: &str = "Examples:
  watchfire query range rate log_events_total by service --since 1h -o graph
  watchfire query range 'p95 request_duration_ms by route' \\
      --since yesterday --step 5m -o csv
  watchfire query range 'sum by (level) (rate(log_events_total[5m]))' \\
      --since 6h -o table

Tables have a line per series; the points themselves are in json, jsonl and csv.
Exit codes: 0 good, 1 rejected query, 2 usage, 4 server not reached, 5 partial result";

/// `query range`
#[derive(Args, Clone, Debug)]
pub struct Range {
    /// What to ask; several words are taken together. Behind `--` it may begin with `-`.
    #[arg(required = true, value_name = "EXPR")]
    query: Vec<String>,
    #[command(flatten)]
    period: Period,
    /// Distance of the points: `15s`, `1m`; for about 250 points unless said.
    #[arg(long, value_name = "STEP", value_parser = read_step)]
    step: Option<i64>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Deserialize)]
struct Answer {
    start: i64,
    end: i64,
    step: i64,
    result: Vec<Line>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Line {
    labels: Labels,
    values: Vec<(i64, Value)>,
}

/// The series of an answer as they were sent.
#[derive(Deserialize)]
struct Raw {
    result: Vec<Box<RawValue>>,
}

impl Line {
    fn points(&self) -> Vec<(Timestamp, f64)> {
        self.values.iter().map(|(at, value)| (Timestamp::from_millis(*at), value.number())).collect()
    }
}

impl Range {
    /// Asks, and shows the answer.
    pub async fn run(self) -> Result<Outcome, Failure> {
        let (clock, start, end) = self.period.read()?;
        let (start, end) = (start.map(Timestamp::to_rfc3339), end.map(Timestamp::to_rfc3339));
        let step = self.step.map(|millis| (millis as f64 / 1000.0).to_string());
        let query = self.query.join(" ");
        let server = self.connection.open()?;
        let params = [
            ("query", Some(query.as_str())),
            ("start", start.as_deref()),
            ("end", end.as_deref()),
            ("step", step.as_deref()),
        ];
        let text = server.ask_text("/api/v1/metrics/range", &params, Some(&query)).await?;
        let answer: Answer = serde_json::from_str(&text).map_err(|error| server.foreign(&error))?;
        let mut output = Output::stdout();
        match self.shown.format() {
            Format::Json => output.line(&safe_json(&text))?,
            Format::Jsonl => {
                let raw: Raw = serde_json::from_str(&text).map_err(|error| server.foreign(&error))?;
                for series in &raw.result {
                    output.line(&safe_json(series.get()))?;
                }
            }
            Format::Table => output.text(&table(&answer, self.shown.ascii, self.shown.painter()))?,
            Format::Csv => write_rows(&answer, &mut output)?,
            Format::Graph => {
                let drawn = draw(&answer, &clock, self.shown.ascii, self.shown.painter());
                if drawn.is_empty() && !answer.result.is_empty() {
                    warn("no value of these series can be drawn: all are NaN or infinite; -o table shows them");
                }
                output.text(&fitted(&drawn))?;
            }
        }
        output.flush()?;
        super::conclude(&self.shown, answer.result.is_empty(), &answer.warnings)
    }
}

fn table(answer: &Answer, ascii: bool, painter: Painter) -> String {
    let names = label_names(answer.result.iter().map(|line| &line.labels));
    let figures = ["points", "last", "min", "avg", "max"].map(|title| (title, Align::Right));
    let columns = names.iter().map(|name| (label_title(name), Align::Left)).chain(figures);
    let mut table = Table::new(columns.chain([(if ascii { "" } else { "trend" }, Align::Left)]));
    for (number, line) in answer.result.iter().enumerate() {
        let points = line.points();
        let label = |name: &&str| Cell::styled(line.labels.get(*name).map_or("", String::as_str), Style::Name);
        let mut cells: Vec<Cell> = names.iter().map(label).collect();
        cells.push(Cell::new(&points.len().to_string()));
        let figures = Figures::of(&points).map(|figures| [figures.last, figures.min, figures.mean, figures.max]);
        cells.extend(figures.unwrap_or([f64::NAN; 4]).map(|figure| Cell::new(&short(figure))));
        let trend = if ascii { String::new() } else { sparkline(&points, TREND_COLUMNS) };
        cells.push(Cell::styled(&trend, Style::Series(number)));
        table.row(cells);
    }
    table.fit(terminal::room(), &["trend", "points", "avg", "min"], "");
    table.render(painter)
}

/// A row per point: time, labels, value.
fn write_rows(answer: &Answer, output: &mut Output) -> std::io::Result<()> {
    let names = label_names(answer.result.iter().map(|line| &line.labels));
    let titles = [csv::Cell::Plain("time")].into_iter().chain(names.iter().map(|name| csv::Cell::Text(name)));
    output.text(&csv::row(titles.chain([csv::Cell::Plain("value")])))?;
    for line in &answer.result {
        let label = |name: &&str| line.labels.get(*name).map_or(csv::Cell::Empty, |value| csv::Cell::Text(value));
        let labels: Vec<csv::Cell> = names.iter().map(label).collect();
        for (at, value) in &line.values {
            let time = Timestamp::from_millis(*at).to_rfc3339();
            let cells = [csv::Cell::Plain(&time)].into_iter().chain(labels.iter().copied());
            output.text(&csv::row(cells.chain([csv::Cell::Text(value.text())])))?;
        }
    }
    Ok(())
}

fn draw(answer: &Answer, clock: &Clock, ascii: bool, painter: Painter) -> String {
    let line = |(number, line): (usize, &Line)| Series {
        name: series_name(&line.labels),
        points: line.points(),
        style: Style::Series(number),
    };
    let series: Vec<Series> = answer.result.iter().enumerate().map(line).collect();
    let (columns, rows) = terminal::size();
    let graph = Graph {
        start: Timestamp::from_millis(answer.start),
        end: Timestamp::from_millis(answer.end),
        step_ms: answer.step,
        series: &series,
        columns,
        rows: super::graph_rows(rows),
        ascii,
        clock,
    };
    graph.render(painter)
}
