//! `watchfire alerts`: what is pending and firing, and what was resolved lately.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::value::RawValue;
use watchfire_model::Timestamp;

use crate::color::{Colors, Painter, Style};
use crate::failure::{Failure, Outcome};
use crate::number::short;
use crate::output::Output;
use crate::render::table::{Align, Cell, Table};
use crate::render::{Format, csv, fitted};
use crate::server::Connection;
use crate::terminal;
use crate::text::safe_json;
use crate::time::{Clock, Zone};

/// Examples of the help.
pub const HELP: &str = "Examples:
  watchfire alerts
  watchfire alerts --state firing -o json
  watchfire alerts --state all -o table

Exit codes: 0 good, 1 rejected, 2 usage, 4 server not reached";

/// `alerts`
#[derive(Args, Clone, Debug)]
pub struct Alerts {
    /// Which alerts: a comma list; firing and pending ones unless said.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["firing", "pending"], value_name = "STATES")]
    state: Vec<State>,
    /// How they are written; a table on a terminal and lines of JSON elsewhere, unless said.
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    output: Option<AlertFormat>,
    #[command(flatten)]
    colors: Colors,
    #[command(flatten)]
    zone: Zone,
    #[command(flatten)]
    connection: Connection,
}

/// States of alerts, the loudest first.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// Somebody was told.
    Firing,
    /// True, but not long enough yet.
    Pending,
    /// Not true any more.
    Resolved,
    /// All of them.
    All,
}

/// Formats without a picture.
#[derive(ValueEnum, Clone, Copy, Debug)]
enum AlertFormat {
    /// Columns for people.
    Table,
    /// One JSON document.
    Json,
    /// A JSON document a line.
    Jsonl,
    /// Comma-separated, with a line of names.
    Csv,
}

impl From<AlertFormat> for Format {
    fn from(format: AlertFormat) -> Format {
        match format {
            AlertFormat::Table => Format::Table,
            AlertFormat::Json => Format::Json,
            AlertFormat::Jsonl => Format::Jsonl,
            AlertFormat::Csv => Format::Csv,
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    alerts: Vec<Box<RawValue>>,
}

/// An alert as D1 shows it.
#[derive(Deserialize)]
struct Alert {
    status: String,
    #[serde(default)]
    value: serde_json::Value,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    active_at: Option<String>,
    #[serde(default)]
    starts_at: Option<String>,
    #[serde(default)]
    silenced: bool,
}

impl Alert {
    fn state(&self) -> State {
        match self.status.as_str() {
            "firing" => State::Firing,
            "pending" => State::Pending,
            _ => State::Resolved,
        }
    }

    /// The state, and that nobody is told of it.
    fn shown_status(&self) -> String {
        if self.silenced { format!("{} (silenced)", self.status) } else { self.status.clone() }
    }

    fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// Labels beside those that have columns of their own.
    fn other_labels(&self) -> String {
        let others = self.labels.iter().filter(|(name, _)| !matches!(name.as_str(), "alertname" | "severity"));
        others.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }

    /// The value for people, in few digits.
    fn short_value(&self) -> String {
        self.value.as_f64().map_or_else(|| self.value(), short)
    }

    /// The whole value, as the server says it; empty if there is none.
    fn value(&self) -> String {
        match &self.value {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Number(number) => number.to_string(),
            _ => String::new(),
        }
    }

    /// Since when it is what it is.
    fn since(&self) -> Option<Timestamp> {
        let text = match self.state() {
            State::Pending => self.active_at.as_ref().or(self.starts_at.as_ref()),
            _ => self.starts_at.as_ref(),
        };
        Timestamp::parse_date_time(text?)
    }

    fn summary(&self) -> &str {
        let texts = ["summary", "message", "description"].into_iter();
        texts.filter_map(|name| self.annotations.get(name)).next().map_or("", String::as_str)
    }
}

impl Alerts {
    /// Asks, and shows the alerts, the loudest and oldest first.
    pub async fn run(self) -> Result<Outcome, Failure> {
        let clock = self.zone.clock()?;
        let server = self.connection.open()?;
        let answer: Answer = server.ask("/api/v1/alerting/alerts", &[], None).await?;
        let mut alerts = Vec::new();
        for raw in answer.alerts {
            let alert: Alert = serde_json::from_str(raw.get()).map_err(|error| server.foreign(&error))?;
            if self.state.contains(&State::All) || self.state.contains(&alert.state()) {
                alerts.push((alert, raw));
            }
        }
        alerts.sort_by_key(|(alert, _)| (alert.state(), alert.since(), alert.label("alertname").to_owned()));
        let mut output = Output::stdout();
        match Format::or_default(self.output.map(Format::from)) {
            Format::Json => {
                let texts: Vec<_> = alerts.iter().map(|(_, raw)| safe_json(raw.get())).collect();
                output.line(&format!("{{\"alerts\":[{}]}}", texts.join(",\n")))?;
            }
            Format::Jsonl => {
                for (_, raw) in &alerts {
                    output.line(&safe_json(raw.get()))?;
                }
            }
            Format::Csv => output.text(&rows(alerts.iter().map(|(alert, _)| alert)))?,
            Format::Table | Format::Graph => {
                let shown = alerts.iter().map(|(alert, _)| alert);
                let table = table(shown, &clock, terminal::room(), self.colors.painter());
                output.text(&fitted(&table))?;
                if alerts.is_empty() {
                    eprintln!("no alert is {}", names(&self.state));
                }
            }
        }
        output.flush()?;
        Ok(Outcome::Complete)
    }
}

fn names(states: &[State]) -> String {
    if states.contains(&State::All) {
        return "there".to_owned();
    }
    let name = |state: &State| state.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    states.iter().map(name).collect::<Vec<_>>().join(" or ")
}

fn table<'a>(alerts: impl Iterator<Item = &'a Alert>, clock: &Clock, columns: usize, painter: Painter) -> String {
    let left = |title| (title, Align::Left);
    let titles = ["state", "alert", "severity", "labels"].map(left);
    let mut table = Table::new(titles.into_iter().chain([
        ("value", Align::Right),
        left("since"),
        ("for", Align::Right),
        left("summary"),
    ]));
    for alert in alerts {
        let style = match alert.state() {
            State::Firing => Style::Error,
            State::Pending => Style::Warning,
            State::Resolved | State::All => Style::Good,
        };
        let since = alert.since();
        table.row(vec![
            Cell::styled(&alert.shown_status(), style),
            Cell::styled(alert.label("alertname"), Style::Bold),
            Cell::new(alert.label("severity")),
            Cell::styled(&alert.other_labels(), Style::Name),
            Cell::new(&alert.short_value()),
            Cell::styled(&since.map_or_else(String::new, |at| clock.show(at)), Style::Dim),
            Cell::new(&since.map_or_else(String::new, |at| age(clock.now().since(at)))),
            Cell::new(alert.summary()),
        ]);
    }
    // For how long says the same as since when; nothing tells which alert it is but its labels.
    table.fit(columns, &["since", "summary", "value", "severity", "for"], "summary");
    table.render(painter)
}

/// How long, in its largest unit and the next: `4m12s`, `3h5m`, `2d1h`.
fn age(millis: i64) -> String {
    let unit = match millis {
        ..3_600_000 => 1000,
        3_600_000..86_400_000 => 60_000,
        86_400_000.. => 3_600_000,
    };
    watchfire_model::time::format_duration_ms(millis.max(0) / unit * unit)
}

fn rows<'a>(alerts: impl Iterator<Item = &'a Alert>) -> String {
    let names = ["state", "alert", "severity", "labels", "value", "since", "summary", "silenced"];
    let mut out = csv::row(names.map(csv::Cell::Plain));
    for alert in alerts {
        let since = alert.since().map_or_else(String::new, Timestamp::to_rfc3339);
        let (labels, value) = (alert.other_labels(), alert.value());
        let texts = [&alert.status, alert.label("alertname"), alert.label("severity"), &labels];
        let texts = texts.into_iter().map(csv::Cell::Text);
        out.push_str(&csv::row(texts.chain([
            csv::Cell::Text(&value),
            csv::Cell::Plain(&since),
            csv::Cell::Text(alert.summary()),
            csv::Cell::Plain(if alert.silenced { "true" } else { "false" }),
        ])));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_for_people_and_whole_for_programs() {
        for (value, whole, shown) in [
            ("1451.28", "1451.28", "1.451k"),
            ("123456789", "123456789", "123.5M"),
            ("\"+Inf\"", "+Inf", "+Inf"),
            ("null", "", ""),
        ] {
            let text = format!(r#"{{"status":"firing","value":{value},"labels":{{"alertname":"A"}}}}"#);
            let alert: Alert = serde_json::from_str(&text).expect("an alert");
            let csv = rows(std::iter::once(&alert));
            assert_eq!(csv.lines().nth(1), Some(format!("firing,A,,,{whole},,,false").as_str()), "{csv}");
            let table = table(std::iter::once(&alert), &Clock::utc(), usize::MAX, Painter::plain());
            assert!(table.lines().nth(1).is_some_and(|line| line.contains(shown)), "{table}");
        }
    }

    #[test]
    fn what_is_silenced_is_told_to_people_and_programs() {
        let alert: Alert = serde_json::from_str(r#"{"status":"firing","silenced":true}"#).expect("an alert");
        let csv = rows(std::iter::once(&alert));
        assert_eq!(csv, "state,alert,severity,labels,value,since,summary,silenced\nfiring,,,,,,,true\n");
        let table = table(std::iter::once(&alert), &Clock::utc(), usize::MAX, Painter::plain());
        assert!(table.contains("firing (silenced)"), "{table}");
    }
}
