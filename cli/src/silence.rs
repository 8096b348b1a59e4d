//! `watchfire silence`: alerts that nobody shall be told of for a while.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use watchfire_model::time::parse_duration_ms;
use watchfire_model::{MatchOp, Timestamp};

use crate::color::{Colors, Painter, Style};
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::render::table::{Align, Cell, Table};
use crate::render::{ListFormat, csv};
use crate::server::Connection;
use crate::terminal;
use crate::text::safe_json;
use crate::time::{Clock, Zone};

/// Examples of the help of `silence`.
pub const HELP: &str = "Examples:
  watchfire silence add alertname=HighErrorRate service=api \\
      --duration 2h --comment 'deploying'
  watchfire silence list
  watchfire silence expire 5c5a3e2e-8b1e-4d3a-9f4e-0a1b2c3d4e5f";
/// Examples of the help of `silence add`.
pub const ADD_HELP: &str = "Examples:
  watchfire silence add alertname=HighErrorRate \\
      --duration 2h --comment 'deploying'
  watchfire silence add 'service=~api|web' severity!=page \\
      --duration 30m --comment 'load test' --author anna
  watchfire silence add service=db \\
      --start 'tomorrow 22:00' --duration 2h --comment 'new disks'

It prints the id of the silence.

Exit codes: 0 good, 1 rejected, 2 usage, 4 server not reached";
/// Examples of the help of `silence list`.
pub const LIST_HELP: &str = "Examples:
  watchfire silence list
  watchfire silence list --expired -o json

Exit codes: 0 good, 1 rejected, 2 usage, 4 server not reached";
/// Examples of the help of `silence expire`.
pub const EXPIRE_HELP: &str = "Examples:
  watchfire silence expire 5c5a3e2e-8b1e-4d3a-9f4e-0a1b2c3d4e5f

Exit codes: 0 good, 1 there is no such silence, or it has ended, 2 usage, 4 server not reached";

/// `silence`
#[derive(Args, Clone, Debug)]
pub struct Silencing {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Clone, Debug)]
enum Verb {
    /// Silence alerts for a while.
    #[command(after_help = ADD_HELP)]
    Add(Add),
    /// Show silences.
    #[command(after_help = LIST_HELP)]
    List(List),
    /// End silences now.
    #[command(after_help = EXPIRE_HELP)]
    Expire(Expire),
}

/// `silence add`
#[derive(Args, Clone, Debug)]
struct Add {
    /// What alerts must have, all of it: label=value, label!=value, label=~expression, label!~expression.
    #[arg(required = true, value_name = "MATCHER", value_parser = matcher)]
    matchers: Vec<Value>,
    /// How long.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    duration: i64,
    /// From when on: `in 2h`, `tomorrow 22:00`, `next monday 9:00`, `2026-11-28 22:00`; now unless said.
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// Until when, in the same spellings, instead of how long.
    #[arg(long, value_name = "TIME", conflicts_with = "duration")]
    end: Option<String>,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    comment: String,
    /// Who; the name of whoever is logged in unless said.
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true, default_value = "unknown")]
    author: String,
    #[command(flatten)]
    zone: Zone,
    #[command(flatten)]
    connection: Connection,
}

/// `silence list`
#[derive(Args, Clone, Debug)]
struct List {
    /// Those that have ended too.
    #[arg(long)]
    expired: bool,
    /// How they are written.
    #[arg(long, short, value_enum, default_value = "table", value_name = "FORMAT")]
    output: ListFormat,
    #[command(flatten)]
    zone: Zone,
    #[command(flatten)]
    colors: Colors,
    #[command(flatten)]
    connection: Connection,
}

/// `silence expire`
#[derive(Args, Clone, Debug)]
struct Expire {
    /// Ids of silences.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

fn duration(text: &str) -> Result<i64, String> {
    let millis = parse_duration_ms(text).filter(|millis| *millis > 0);
    millis.ok_or_else(|| "write a duration, as 30m, 2h or 1d".to_owned())
}

/// A matcher in the words of Alertmanager's API.
fn matcher(text: &str) -> Result<Value, String> {
    let split = MatchOp::split(text);
    let (name, op, value) = split.ok_or("write label=value, label!=value, label=~expression or label!~expression")?;
    Ok(json!({"name": name, "value": value, "isRegex": op.is_regex(), "isEqual": op.is_equal()}))
}

#[derive(Deserialize)]
struct Made {
    #[serde(rename = "silenceID")]
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Silence {
    id: String,
    status: Status,
    matchers: Vec<Matcher>,
    starts_at: String,
    ends_at: String,
    created_by: String,
    comment: String,
}

#[derive(Deserialize)]
struct Status {
    state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Matcher {
    name: String,
    value: String,
    is_regex: bool,
    is_equal: bool,
}

impl Silence {
    fn matchers(&self) -> String {
        let sign = |matcher: &Matcher| MatchOp::of(matcher.is_regex, matcher.is_equal).as_str();
        let texts = self.matchers.iter().map(|one| format!("{}{}{:?}", one.name, sign(one), one.value));
        texts.collect::<Vec<_>>().join(" ")
    }
}

impl Silencing {
    /// Does what the verb says.
    pub async fn run(self) -> Result<Outcome, Failure> {
        match self.verb {
            Verb::Add(add) => add.run().await,
            Verb::List(list) => list.run().await,
            Verb::Expire(expire) => expire.run().await,
        }
    }
}

impl Add {
    /// From when to when.
    fn period(&self) -> Result<(Timestamp, Timestamp), Failure> {
        let start = self.start.as_ref().map(|text| ("--start", text.as_str()));
        let end = self.end.as_ref().map(|text| ("--end", text.as_str()));
        let (clock, start, end) = self.zone.range(start, end)?;
        let start = start.unwrap_or_else(|| clock.now());
        let end = end.unwrap_or_else(|| start.plus_millis(self.duration));
        if end <= clock.now() {
            let end = clock.show(end);
            let told = format!(
                "the silence ends ({end}) in the past; a time to come is `in 2h`, `tomorrow 22:00`, `next monday 9:00`"
            );
            return Err(Failure::Usage(told));
        }
        Ok((start, end))
    }

    async fn run(self) -> Result<Outcome, Failure> {
        let (start, end) = self.period()?;
        let body = json!({
            "matchers": self.matchers,
            "startsAt": start.to_rfc3339(),
            "endsAt": end.to_rfc3339(),
            "createdBy": self.author,
            "comment": self.comment,
        });
        let server = self.connection.open()?;
        let response = server.send(server.request(Method::POST, "/api/v2/silences", &[]).json(&body)).await?;
        let response = server.accepted(response, None).await?;
        let made: Made = response.json().await.map_err(|error| server.foreign(&error))?;
        let mut output = Output::stdout();
        output.line(&crate::text::safe(&made.id))?;
        output.flush()?;
        Ok(Outcome::Complete)
    }
}

impl List {
    async fn run(self) -> Result<Outcome, Failure> {
        let clock = self.zone.clock()?;
        let server = self.connection.open()?;
        let answer: Vec<Box<RawValue>> = server.ask("/api/v2/silences", &[], None).await?;
        let mut silences = Vec::new();
        for raw in answer {
            let silence: Silence = serde_json::from_str(raw.get()).map_err(|error| server.foreign(&error))?;
            if self.expired || silence.status.state != "expired" {
                silences.push((silence, raw));
            }
        }
        let mut output = Output::stdout();
        match self.output {
            ListFormat::Json => {
                let texts: Vec<_> = silences.iter().map(|(_, raw)| safe_json(raw.get())).collect();
                output.line(&format!("[{}]", texts.join(",\n")))?;
            }
            ListFormat::Csv => output.text(&rows(silences.iter().map(|(silence, _)| silence)))?,
            ListFormat::Table => {
                output.text(&table(silences.iter().map(|(silence, _)| silence), &clock, self.colors.painter()))?;
                if silences.is_empty() {
                    eprintln!("no alert is silenced");
                }
            }
        }
        output.flush()?;
        Ok(Outcome::Complete)
    }
}

impl Expire {
    async fn run(self) -> Result<Outcome, Failure> {
        let server = self.connection.open()?;
        for id in &self.ids {
            let path = format!("/api/v2/silence/{id}");
            server.accepted(server.send(server.request(Method::DELETE, &path, &[])).await?, None).await?;
        }
        Ok(Outcome::Complete)
    }
}

fn table<'s>(silences: impl Iterator<Item = &'s Silence>, clock: &Clock, painter: Painter) -> String {
    let columns = ["state", "id", "matchers", "starts", "ends", "by", "comment"];
    let mut table = Table::new(columns.map(|title| (title, Align::Left)));
    let time = |text: &str| Timestamp::parse_date_time(text).map_or_else(String::new, |at| clock.show(at));
    for silence in silences {
        let style = if silence.status.state == "active" { Style::Warning } else { Style::Dim };
        table.row(vec![
            Cell::styled(&silence.status.state, style),
            Cell::new(&silence.id),
            Cell::styled(&silence.matchers(), Style::Name),
            Cell::new(&time(&silence.starts_at)),
            Cell::new(&time(&silence.ends_at)),
            Cell::new(&silence.created_by),
            Cell::new(&silence.comment),
        ]);
    }
    table.fit(terminal::room(), &["by", "starts"], "comment");
    table.render(painter)
}

fn rows<'s>(silences: impl Iterator<Item = &'s Silence>) -> String {
    let names = ["state", "id", "matchers", "starts_at", "ends_at", "created_by", "comment"];
    let mut out = csv::row(names.map(csv::Cell::Plain));
    for silence in silences {
        let matchers = silence.matchers();
        let texts = [
            &silence.status.state,
            &silence.id,
            &matchers,
            &silence.starts_at,
            &silence.ends_at,
            &silence.created_by,
            &silence.comment,
        ];
        out.push_str(&csv::row(texts.map(|text| csv::Cell::Text(text))));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::matcher;

    #[test]
    fn matchers_as_people_write_them() {
        for (text, json) in [
            ("a=b", r#"{"isEqual":true,"isRegex":false,"name":"a","value":"b"}"#),
            ("a!=\"b c\"", r#"{"isEqual":false,"isRegex":false,"name":"a","value":"b c"}"#),
            ("a=~x|y", r#"{"isEqual":true,"isRegex":true,"name":"a","value":"x|y"}"#),
            ("a!~=", r#"{"isEqual":false,"isRegex":true,"name":"a","value":"="}"#),
        ] {
            assert_eq!(matcher(text).map(|read| read.to_string()).as_deref(), Ok(json), "{text}");
        }
        assert!(["a", "=b", "a!b", ""].into_iter().all(|text| matcher(text).is_err()));
    }
}
