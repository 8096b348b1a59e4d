//! `watchfire query instant`: numbers of one moment.

use clap::Args;
use serde::Deserialize;
use serde_json::json;
use watchfire_model::Timestamp;

use super::Shown;
use super::numbers::{Labels, Value, label_names, label_title, series_name};
use crate::color::{Painter, Style};
use crate::failure::{Failure, Outcome};
use crate::number::short;
use crate::output::Output;
use crate::render::table::{Align, Cell, Table};
use crate::render::{Format, csv};
use crate::server::Connection;
use crate::terminal;
use crate::text::{cut, pad, pad_left, safe, safe_json, width};
use crate::time::Zone;

/// Examples of the help.
pub const HELP: &str = "Examples:
  watchfire query instant sum log_events_total by service
  watchfire query instant 'rate error_count service=api over 5m' -o json
  watchfire query instant \\
      'sum by (service, level) (increase(log_events_total[1h]))' -o table
  watchfire query instant sum log_events_total over 1h by level \\
      --time 'now-5m' -o graph

Exit codes: 0 good, 1 rejected query, 2 usage, 4 server not reached, 5 partial result";

/// `query instant`
#[derive(Args, Clone, Debug)]
pub struct Instant {
    /// What to ask; several words are taken together. Behind `--` it may begin with `-`.
    #[arg(required = true, value_name = "EXPR")]
    query: Vec<String>,
    /// The moment: `now-5m`, `yesterday 14:00`, RFC 3339, unix seconds; now unless said.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    time: Option<String>,
    #[command(flatten)]
    zone: Zone,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Deserialize)]
struct Answer {
    time: i64,
    result: Vec<Sample>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Sample {
    labels: Labels,
    value: Value,
}

impl Instant {
    /// Asks, and shows the answer.
    pub async fn run(self) -> Result<Outcome, Failure> {
        let time = self.zone.read("--time", self.time.as_deref())?.map(Timestamp::to_rfc3339);
        let query = self.query.join(" ");
        let server = self.connection.open()?;
        let params = [("query", Some(query.as_str())), ("time", time.as_deref())];
        let text = server.ask_text("/api/v1/metrics/query", &params, Some(&query)).await?;
        let answer: Answer = serde_json::from_str(&text).map_err(|error| server.foreign(&error))?;
        let format = self.shown.format();
        let mut output = Output::stdout();
        match format {
            Format::Json => output.line(&safe_json(&text))?,
            Format::Jsonl => {
                for sample in &answer.result {
                    let value = serde_json::from_str(sample.value.json()).unwrap_or(serde_json::Value::Null);
                    let line = json!({"labels": sample.labels, "time": answer.time, "value": value}).to_string();
                    output.line(&safe_json(&line))?;
                }
            }
            Format::Table => output.text(&table(&answer, self.shown.painter()))?,
            Format::Csv => output.text(&rows(&answer))?,
            Format::Graph => {
                let (columns, _) = terminal::size();
                output.text(&bars(&answer.result, columns, self.shown.ascii, self.shown.painter()))?;
            }
        }
        output.flush()?;
        super::conclude(&self.shown, answer.result.is_empty(), &answer.warnings)
    }
}

fn table(answer: &Answer, painter: Painter) -> String {
    let names = label_names(answer.result.iter().map(|sample| &sample.labels));
    let columns = names.iter().map(|name| (label_title(name), Align::Left)).chain([("value", Align::Right)]);
    let mut table = Table::new(columns);
    for sample in &answer.result {
        let label = |name: &&str| Cell::styled(sample.labels.get(*name).map_or("", String::as_str), Style::Name);
        table.row(names.iter().map(label).chain([Cell::new(sample.value.text())]).collect());
    }
    table.render(painter)
}

fn rows(answer: &Answer) -> String {
    let names = label_names(answer.result.iter().map(|sample| &sample.labels));
    let time = Timestamp::from_millis(answer.time).to_rfc3339();
    let titles = [csv::Cell::Plain("time")].into_iter().chain(names.iter().map(|name| csv::Cell::Text(name)));
    let mut out = csv::row(titles.chain([csv::Cell::Plain("value")]));
    for sample in &answer.result {
        let labels =
            names.iter().map(|name| sample.labels.get(*name).map_or(csv::Cell::Empty, |value| csv::Cell::Text(value)));
        out.push_str(&csv::row(
            [csv::Cell::Plain(&time)].into_iter().chain(labels).chain([csv::Cell::Text(sample.value.text())]),
        ));
    }
    out
}

/// A bar per series, to the right of zero and to the left of it; all that they span is as wide as there is room.
fn bars(samples: &[Sample], columns: usize, ascii: bool, painter: Painter) -> String {
    let values = samples.iter().map(|sample| sample.value.number()).filter(|value| value.is_finite());
    let (lowest, largest) = values.fold((0.0, 0.0), |(low, high), value| (value.min(low), value.max(high)));
    // Divided first: the distance of two finite numbers may be none.
    let span = largest.max(-lowest);
    let parts = if span > 0.0 { largest / span - lowest / span } else { 1.0 };
    let names: Vec<String> =
        samples.iter().map(|sample| cut(&safe(&series_name(&sample.labels)), columns / 2)).collect();
    let name_columns = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let room = columns.saturating_sub(name_columns + 12).max(10);
    let columns_of = |value: f64| (value.abs() / span / parts * room as f64).round() as usize;
    let below = if lowest < 0.0 { columns_of(lowest) } else { 0 };
    let mut out = String::new();
    for (number, (sample, name)) in samples.iter().zip(&names).enumerate() {
        let value = sample.value.number();
        let length = if span > 0.0 && value.is_finite() { columns_of(value) } else { 0 };
        let bar = if ascii { "#" } else { "█" }.repeat(length);
        let before = " ".repeat(if value < 0.0 { below.saturating_sub(length) } else { below });
        let bar = format!("{before}{}", painter.paint(Style::Series(number), &bar));
        out.push_str(format!("{} {} {bar}", pad(name, name_columns), pad_left(&short(value), 9)).trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_lie_on_their_side_of_zero() {
        let of = |values: &[&str]| {
            let sample = |value: &&str| serde_json::from_str(&format!(r#"{{"labels": {{}}, "value": "{value}"}}"#));
            let samples: Vec<Sample> = values.iter().map(|value| sample(value).expect("a sample")).collect();
            bars(&samples, 34, true, Painter::plain())
        };
        assert_eq!(
            of(&["3", "1.5", "NaN"]),
            "{}         3 ####################\n{}       1.5 ##########\n{}       NaN\n"
        );
        assert_eq!(of(&["-5", "3"]), "{}        -5 #############\n{}         3              #######\n");
        assert_eq!(of(&["-5", "-1"]), "{}        -5 ####################\n{}        -1                 ####\n");
        assert_eq!(of(&["0"]), "{}         0\n");
        // Their distance is no finite number.
        assert!(of(&["1.7e308", "-1.7e308"]).contains("          ##########\n"));
    }
}
