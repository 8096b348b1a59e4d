//! `watchfire query labels` and `watchfire query series`: what series there are, not what their values are.

use clap::Args;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
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
  watchfire query labels level --match 'log_events_total{service=\"api\"}' \\
      --since 1h -o json

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
        let (path, title) = match &self.name {
            Some(name) => (format!("/api/v1/label/{}/values", escaped(name)), "value"),
            None => ("/api/v1/labels".to_owned(), "label"),
        };
        let (text, answer) = self.asking.ask::<String>(&path, &self.selectors).await?;
        self.asking.show(&text, &answer, &[title], |value, _| Some(value.as_str()))
    }
}

impl Series {
    /// Asks, and shows the answer.
    pub async fn run(self) -> Result<Outcome, Failure> {
        let (text, answer) = self.asking.ask::<LabelSet>("/api/v1/series", &self.selectors).await?;
        let names = label_names(answer.data.iter());
        self.asking.show(&text, &answer, &names, |series, name| series.get(name).map(String::as_str))
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

    /// Shows an answer: its text as it came, or a line of each, with a value of each column where it has one.
    fn show<T: Serialize>(
        &self,
        text: &str,
        answer: &Answer<T>,
        columns: &[&str],
        value: impl for<'a> Fn(&'a T, &str) -> Option<&'a str>,
    ) -> Result<Outcome, Failure> {
        let mut output = Output::stdout();
        match self.shown.format() {
            Format::Json => output.line(&safe_json(text))?,
            Format::Jsonl => {
                for one in &answer.data {
                    output.line(&safe_json(&json!(one).to_string()))?;
                }
            }
            Format::Csv => {
                output.text(&csv::row(columns.iter().map(|name| csv::Cell::Text(name))))?;
                for one in &answer.data {
                    let cell = |name: &&str| value(one, name).map_or(csv::Cell::Empty, csv::Cell::Text);
                    output.text(&csv::row(columns.iter().map(cell)))?;
                }
            }
            Format::Table => {
                let mut table = Table::new(columns.iter().map(|name| (label_title(name), Align::Left)));
                for one in &answer.data {
                    let cell = |name: &&str| Cell::styled(value(one, name).unwrap_or_default(), Style::Name);
                    table.row(columns.iter().map(cell).collect());
                }
                output.text(&table.render(self.shown.painter()))?;
            }
            Format::Graph => {
                let why = "--output: there are no numbers to draw; write table, json, jsonl or csv";
                return Err(Failure::Usage(why.to_owned()));
            }
        }
        output.flush()?;
        super::conclude(&self.shown, answer.data.is_empty(), &answer.warnings)
    }
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
