//! `watchfire query labels` and `watchfire query series`: what series there are, not what their values are.

use clap::Args;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use watchfire_model::Timestamp;

use super::Shown;
use super::numbers::{Labels as LabelSet, label_names, label_title};
use crate::color::Style;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::render::table::{Align, Cell, Table};
use crate::render::{Format, csv};
use crate::server::Connection;
use crate::text::safe_json;
use crate::time::Period;

/// Examples of the help.
pub const LABELS_HELP: &str = "Examples:
  watchfire query labels
  watchfire query labels service
  watchfire query labels level --match 'log_events_total{service=\"api\"}' --since 1h -o json

Exit codes: 0 good, 1 rejected query, 2 usage, 4 server not reached, 5 partial result";

/// Examples of the help.
pub const SERIES_HELP: &str = "Examples:
  watchfire query series log_events_total
  watchfire query series '{service=\"api\"}' up --since 1h -o table
  watchfire query series '{__name__=~\"watchfire_rule.*\"}' --limit 5000 -o csv

Exit codes: 0 good, 1 rejected query, 2 usage, 4 server not reached, 5 partial result";

/// `query labels`
#[derive(Args, Clone, Debug)]
pub struct Labels {
    /// The label whose values are wanted; without one, the names of all labels.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Only of series that this selector finds; of several any may.
    #[arg(long = "match", value_name = "SELECTOR")]
    selectors: Vec<String>,
    #[command(flatten)]
    asking: Asking,
}

/// `query series`
#[derive(Args, Clone, Debug)]
pub struct Series {
    /// Which series; of several selectors any may find them.
    #[arg(required = true, value_name = "SELECTOR")]
    selectors: Vec<String>,
    #[command(flatten)]
    asking: Asking,
}

/// What both have in common.
#[derive(Args, Clone, Debug)]
struct Asking {
    /// Series with samples in this range; all that are kept unless said.
    #[command(flatten)]
    period: Period,
    /// Most lines.
    #[arg(long, short = 'n', default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    connection: Connection,
}

/// An answer as Prometheus gives it.
#[derive(Deserialize)]
struct Answer<T> {
    data: Vec<T>,
    #[serde(default)]
    warnings: Vec<String>,
}

impl Labels {
    /// Asks, and shows the answer.
    pub async fn run(self) -> Result<Outcome, Failure> {
        let path = match &self.name {
            Some(name) => format!("/api/v1/label/{}/values", escaped(name)),
            None => "/api/v1/labels".to_owned(),
        };
        let title = if self.name.is_some() { "value" } else { "label" };
        let (text, answer) = self.asking.ask::<String>(&path, &self.selectors).await?;
        let mut output = Output::new();
        match self.asking.shown.format() {
            Format::Json => output.line(&safe_json(&text))?,
            Format::Jsonl => {
                for value in &answer.data {
                    output.line(&safe_json(&json!(value).to_string()))?;
                }
            }
            Format::Csv => {
                output.text(&csv::row([csv::Cell::Plain(title)]))?;
                for value in &answer.data {
                    output.text(&csv::row([csv::Cell::Text(value)]))?;
                }
            }
            Format::Table => {
                let mut table = Table::new([(title, Align::Left)]);
                answer.data.iter().for_each(|value| table.row(vec![Cell::styled(value, Style::Name)]));
                output.text(&table.render(self.asking.shown.painter()))?;
            }
            Format::Graph => return Err(nothing_to_draw()),
        }
        output.flush()?;
        super::conclude(&self.asking.shown, answer.data.is_empty(), &answer.warnings)
    }
}

impl Series {
    /// Asks, and shows the answer.
    pub async fn run(self) -> Result<Outcome, Failure> {
        let (text, answer) = self.asking.ask::<LabelSet>("/api/v1/series", &self.selectors).await?;
        let names = label_names(answer.data.iter());
        let mut output = Output::new();
        match self.asking.shown.format() {
            Format::Json => output.line(&safe_json(&text))?,
            Format::Jsonl => {
                for series in &answer.data {
                    output.line(&safe_json(&json!(series).to_string()))?;
                }
            }
            Format::Csv => {
                output.text(&csv::row(names.iter().map(|name| csv::Cell::Text(name))))?;
                for series in &answer.data {
                    let value =
                        |name: &&str| series.get(*name).map_or(csv::Cell::Empty, |value| csv::Cell::Text(value));
                    output.text(&csv::row(names.iter().map(value)))?;
                }
            }
            Format::Table => {
                let mut table = Table::new(names.iter().map(|name| (label_title(name), Align::Left)));
                for series in &answer.data {
                    let value = |name: &&str| Cell::styled(series.get(*name).map_or("", String::as_str), Style::Name);
                    table.row(names.iter().map(value).collect());
                }
                output.text(&table.render(self.asking.shown.painter()))?;
            }
            Format::Graph => return Err(nothing_to_draw()),
        }
        output.flush()?;
        super::conclude(&self.asking.shown, answer.data.is_empty(), &answer.warnings)
    }
}

impl Asking {
    /// The answer as it came, and read.
    async fn ask<T: DeserializeOwned>(&self, path: &str, selectors: &[String]) -> Result<(String, Answer<T>), Failure> {
        let (_, start, end) = self.period.read()?;
        let (start, end) = (start.map(Timestamp::to_rfc3339), end.map(Timestamp::to_rfc3339));
        let limit = self.limit.to_string();
        let server = self.connection.open()?;
        let mut params: Vec<(&str, Option<&str>)> =
            selectors.iter().map(|selector| ("match[]", Some(selector.as_str()))).collect();
        params.extend([("start", start.as_deref()), ("end", end.as_deref()), ("limit", Some(limit.as_str()))]);
        let text = server.ask_text(path, &params, None).await?;
        let answer = serde_json::from_str(&text).map_err(|error| server.foreign(&error))?;
        Ok((text, answer))
    }
}

fn nothing_to_draw() -> Failure {
    Failure::Usage("--output: there are no numbers to draw; write table, json, jsonl or csv".to_owned())
}

/// The name of a label as a part of a path: what is no letter, digit or `_` is escaped as Prometheus escapes it.
fn escaped(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.chars().all(is_plain) && !name.starts_with("U__") {
        return name.to_owned();
    }
    let escape = |c: char| match c {
        '_' => "__".to_owned(),
        c if c.is_ascii_alphanumeric() => c.to_string(),
        c => format!("_{:x}_", u32::from(c)),
    };
    format!("U__{}", name.chars().map(escape).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn names_of_any_kind_are_part_of_a_path() {
        for (name, path) in [
            ("service", "service"),
            ("__name__", "__name__"),
            ("http.status", "U__http_2e_status"),
            ("a_b/é", "U__a__b_2f__e9_"),
        ] {
            assert_eq!(escaped(name), path);
        }
    }
}
