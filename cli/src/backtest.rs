//! `watchfire backtest rules`: what rules would have done with what a server has kept.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use watchfire_model::Timestamp;
use watchfire_model::text::count;
use watchfire_model::time::{format_duration_ms, parse_duration_ms};

use crate::color::{Colors, Painter, Style};
use crate::failure::{Failure, Outcome};
use crate::number::short;
use crate::output::Output;
use crate::render::table::{Align, Cell, Table};
use crate::render::{ListFormat, csv};
use crate::server::Connection;
use crate::terminal;
use crate::text::safe_json;
use crate::time::{Clock, Zone};

/// Examples of the help.
pub const HELP: &str = "Examples:
  watchfire backtest rules alert_rules.json --since 24h
  watchfire backtest rules rules/*.yml \\
      --since '2 days ago' --until yesterday --interval 30s
  watchfire backtest rules alert_rules.json --since 6h -o csv

The server's own data is asked at the times at which the rules would have been evaluated. What the rules record is
read as the server has it.

Exit codes: 0 good, 1 the rules are bad or rejected, 2 usage, 4 server not reached, 5 a part could not be told";

/// `backtest`
#[derive(Args, Clone, Debug)]
pub struct Backtest {
    /// What is run over the past.
    #[arg(value_enum)]
    kind: Kind,
    /// Rule files, or patterns of their names.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Begin of the range: `24h`, `2 days ago`, `yesterday 14:00`, `2026-11-28 10:00`.
    #[arg(long, default_value = "24h", value_name = "TIME", allow_hyphen_values = true)]
    since: String,
    /// End of the range; now unless said.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Distance between two evaluations of rules that name none; the server's `alerting.check_interval` unless said.
    #[arg(long, value_name = "DURATION", value_parser = interval)]
    interval: Option<String>,
    /// How it is written.
    #[arg(long, short, value_enum, default_value = "table", value_name = "FORMAT")]
    output: ListFormat,
    #[command(flatten)]
    zone: Zone,
    #[command(flatten)]
    colors: Colors,
    #[command(flatten)]
    connection: Connection,
}

/// What can be run.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Alerting rules.
    Rules,
}

fn interval(text: &str) -> Result<String, String> {
    match parse_duration_ms(text) {
        Some(100..) => Ok(text.to_owned()),
        _ => Err("write a duration of at least 100ms, as 30s or 1m".to_owned()),
    }
}

#[derive(Deserialize)]
struct Answer {
    rules: Vec<Summary>,
    alerts: Vec<Alert>,
    alerts_cut: bool,
    failures: Vec<RuleFailure>,
    missing: Vec<String>,
}

#[derive(Deserialize)]
struct Summary {
    rule: String,
    fired: u64,
    pending_only: u64,
    firing_s: f64,
}

#[derive(Deserialize)]
struct RuleFailure {
    rule: String,
    evaluations: u64,
    error: String,
}

#[derive(Deserialize)]
struct Alert {
    rule: String,
    labels: BTreeMap<String, String>,
    pending_at: String,
    firing_at: Option<String>,
    resolved_at: Option<String>,
    peak: Value,
    evaluations: u64,
}

impl Alert {
    /// Labels beside the alert's name.
    fn other_labels(&self) -> String {
        let others = self.labels.iter().filter(|(name, _)| *name != "alertname");
        others.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }

    fn peak(&self) -> String {
        self.peak.as_str().map_or_else(|| self.peak.to_string(), str::to_owned)
    }
}

impl Backtest {
    /// Sends the rules, given as names and texts, and shows what they would have done.
    pub async fn run(self, files: Vec<(String, String)>) -> Result<Outcome, Failure> {
        let until = self.until.as_ref().map(|text| ("--until", text.as_str()));
        let (clock, since, until) = self.zone.range(Some(("--since", &self.since)), until)?;
        let files: Vec<Value> = files.iter().map(|(name, text)| json!({"name": name, "text": text})).collect();
        let body = json!({
            "files": files,
            "since": since.map(Timestamp::to_rfc3339),
            "until": until.map(Timestamp::to_rfc3339),
            "interval": self.interval,
        });
        let server = self.connection.open_patiently()?;
        let request = server.request(Method::POST, "/api/v1/backtest", &[]).json(&body);
        let response = server.accepted(server.send(request).await?, None).await?;
        let text = response.text().await.map_err(|error| server.unreached(&error))?;
        let answer: Answer = serde_json::from_str(&text).map_err(|error| server.foreign(&error))?;
        let mut output = Output::stdout();
        match self.output {
            ListFormat::Json => output.line(&safe_json(&text))?,
            ListFormat::Csv => output.text(&rows(&answer))?,
            ListFormat::Table => output.text(&table(&answer, &clock, self.colors.painter()))?,
        }
        output.flush()?;
        Ok(not_all(&answer).map_or(Outcome::Complete, Outcome::Partial))
    }
}

/// Why what was shown is not all.
fn not_all(answer: &Answer) -> Option<String> {
    let mut why = Vec::new();
    if answer.alerts_cut {
        why.push("there are more alerts than are told; take a shorter time".to_owned());
    }
    for RuleFailure { rule, evaluations, error } in &answer.failures {
        why.push(format!("{rule} could not be evaluated {}, the last time: {error}", count(*evaluations, "time")));
    }
    for name in &answer.missing {
        why.push(format!(
            "{name} is recorded by rules, and the server has none of it: alerts that read it may be missing"
        ));
    }
    (!why.is_empty()).then(|| why.join("; "))
}

fn table(answer: &Answer, clock: &Clock, painter: Painter) -> String {
    let left = |title| (title, Align::Left);
    let right = |title| (title, Align::Right);
    let times = ["pending at", "firing at", "resolved at"].map(left);
    let columns = [left("alert"), left("labels")].into_iter().chain(times);
    let mut table = Table::new(columns.chain([right("peak"), right("count")]));
    let time = |text: Option<&String>| {
        let at = text.and_then(|text| Timestamp::parse_date_time(text));
        at.map_or_else(String::new, |at| clock.show(at))
    };
    for alert in &answer.alerts {
        let style = if alert.firing_at.is_some() { Style::Error } else { Style::Warning };
        table.row(vec![
            Cell::styled(&alert.rule, style),
            Cell::styled(&alert.other_labels(), Style::Name),
            Cell::new(&time(Some(&alert.pending_at))),
            Cell::new(&time(alert.firing_at.as_ref())),
            Cell::new(&time(alert.resolved_at.as_ref())),
            Cell::new(&alert.peak.as_f64().map_or_else(|| alert.peak(), short)),
            Cell::new(&alert.evaluations.to_string()),
        ]);
    }
    table.fit(terminal::room(), &["count", "peak", "pending at"], "");
    let mut text = if answer.alerts.is_empty() { String::new() } else { table.render(painter) + "\n" };
    for summary in &answer.rules {
        text.push_str(&crate::text::safe(&said(summary)));
        text.push('\n');
    }
    text
}

/// How often a rule would have fired, in words.
fn said(summary: &Summary) -> String {
    let Summary { rule, fired, pending_only, firing_s } = summary;
    let pending = match pending_only {
        0 => String::new(),
        1 => "; once it was pending only".to_owned(),
        times => format!("; {times} times it was pending only"),
    };
    let whole_seconds = format_duration_ms((firing_s.max(0.0) as i64).saturating_mul(1000));
    match fired {
        0 => format!("{rule} would not have fired{pending}"),
        1 => format!("{rule} would have fired once, for {whole_seconds}{pending}"),
        times => format!("{rule} would have fired {times} times, for {whole_seconds} in all{pending}"),
    }
}

fn rows(answer: &Answer) -> String {
    let names = ["alert", "labels", "pending_at", "firing_at", "resolved_at", "peak", "count"];
    let mut out = csv::row(names.map(csv::Cell::Plain));
    for alert in &answer.alerts {
        let (labels, peak, count) = (alert.other_labels(), alert.peak(), alert.evaluations.to_string());
        out.push_str(&csv::row([
            csv::Cell::Text(&alert.rule),
            csv::Cell::Text(&labels),
            csv::Cell::Plain(&alert.pending_at),
            csv::Cell::Plain(alert.firing_at.as_deref().unwrap_or_default()),
            csv::Cell::Plain(alert.resolved_at.as_deref().unwrap_or_default()),
            csv::Cell::Text(&peak),
            csv::Cell::Plain(&count),
        ]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Summary, said};

    #[test]
    fn how_often_is_said_in_words() {
        for (fired, pending_only, firing_s, words) in [
            (0, 0, 0.0, "R would not have fired"),
            (0, 1, 0.0, "R would not have fired; once it was pending only"),
            (1, 0, 90.5, "R would have fired once, for 1m30s"),
            (14, 2, 3600.0, "R would have fired 14 times, for 1h in all; 2 times it was pending only"),
        ] {
            assert_eq!(said(&Summary { rule: "R".to_owned(), fired, pending_only, firing_s }), words);
        }
    }
}
