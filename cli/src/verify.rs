//! `watchfire verify`: is what was counted what is stored?

use clap::Args;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use watchfire_model::Timestamp;
use watchfire_model::text::count;

use crate::color::{Colors, Painter, Style};
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::render::table::{Align, Cell, Table};
use crate::server::Connection;
use crate::text::{safe, safe_json};
use crate::time::{Clock, Zone};

/// Examples of the help.
pub const HELP: &str = "Examples:
  watchfire verify
  watchfire verify --since 24h --json
  watchfire verify --since '2 days ago' --until yesterday

Exit codes: 0 they agree, 1 they differ or rejected, 2 usage, 4 server not reached";

/// `verify`
#[derive(Args, Clone, Debug)]
pub struct Verify {
    /// Begin of the range, by the time of acceptance: `1h`, `2 days ago`, `yesterday 14:00`, `2026-11-28 10:00`.
    #[arg(long, default_value = "1h", value_name = "TIME", allow_hyphen_values = true)]
    since: String,
    /// End of the range; a few seconds ago unless said.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    #[command(flatten)]
    zone: Zone,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    colors: Colors,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Deserialize)]
struct Answer {
    agrees: bool,
    start: String,
    end: String,
    records: u64,
    #[serde(default)]
    left_out: Option<LeftOut>,
    damaged_blocks: u64,
    metrics: Vec<Metric>,
}

/// The end of the range, which could not be compared.
#[derive(Deserialize)]
struct LeftOut {
    until: String,
    why: String,
    hint: String,
}

#[derive(Deserialize)]
struct Metric {
    metric: String,
    stored: Value,
    counted: Value,
    difference: Value,
    whole: bool,
    series: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    series: String,
    stored: Value,
    counted: Value,
}

impl Verify {
    /// Asks, and shows what was found.
    pub async fn run(self) -> Result<Outcome, Failure> {
        let until = self.until.as_ref().map(|text| ("--until", text.as_str()));
        let (clock, since, until) = self.zone.range(Some(("--since", &self.since)), until)?;
        let (since, until) = (since.map(Timestamp::to_rfc3339), until.map(Timestamp::to_rfc3339));
        let server = self.connection.open_patiently()?;
        let params = [("since", since.as_deref()), ("until", until.as_deref())];
        let response = server.send(server.request(Method::POST, "/api/v1/verify", &params)).await?;
        let response = server.accepted(response, None).await?;
        let text = response.text().await.map_err(|error| server.unreached(&error))?;
        let answer: Answer = serde_json::from_str(&text).map_err(|error| server.foreign(&error))?;
        let mut output = Output::stdout();
        if self.json {
            output.line(&safe_json(&text))?;
        } else {
            output.text(&shown(&answer, &clock, self.colors.painter()))?;
        }
        output.flush()?;
        if answer.agrees {
            Ok(Outcome::Complete)
        } else {
            Err(Failure::Local("what was counted is not what is stored".to_owned()))
        }
    }
}

fn shown(answer: &Answer, clock: &Clock, painter: Painter) -> String {
    // What is no time is shown as it came.
    let time =
        |text: &str| Timestamp::parse_date_time(text).map_or_else(|| safe(text).into_owned(), |at| clock.show(at));
    let left = |title| (title, Align::Left);
    let right = |title| (title, Align::Right);
    let mut table = Table::new([left("metric"), right("stored"), right("counted"), right("difference"), left("")]);
    for metric in &answer.metrics {
        let agrees = metric.difference == 0 && metric.series.is_empty();
        let cell = |text: &str| if agrees { Cell::new(text) } else { Cell::styled(text, Style::Error) };
        let remark = if metric.whole { "" } else { "a part of the range is pruned" };
        table.row(vec![
            cell(&metric.metric),
            Cell::new(&metric.stored.to_string()),
            Cell::new(&metric.counted.to_string()),
            cell(&metric.difference.to_string()),
            Cell::new(remark),
        ]);
    }
    let mut text = table.render(painter);
    // Before the series, which may be many: it explains them.
    if answer.damaged_blocks > 0 {
        let blocks = answer.damaged_blocks;
        let blocks = count(blocks, "block");
        text.push_str(&format!("{blocks} cannot be read; the records in there are not counted here\n"));
    }
    for series in answer.metrics.iter().flat_map(|metric| &metric.series) {
        text.push_str(&format!("{}: stored {}, counted {}\n", safe(&series.series), series.stored, series.counted));
    }
    let (start, end) = (time(&answer.start), time(&answer.end));
    text.push_str(&format!("{} accepted from {start} to {end}\n", count(answer.records, "record")));
    if let Some(LeftOut { until, why, hint }) = &answer.left_out {
        text.push_str(&format!("not compared, from {end} to {}: {}; {}\n", time(until), safe(why), safe(hint)));
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::tz::Offset;

    use super::{Answer, shown};
    use crate::color::Painter;
    use crate::time::Clock;

    #[test]
    fn blocks_that_cannot_be_read_are_told_before_what_they_make_differ() {
        let answer = serde_json::json!({
            "agrees": false, "start": "2026-11-28T10:00:00.000Z", "end": "2026-11-28T11:00:00.500Z", "records": 0, "damaged_blocks": 2,
            "left_out": {"from": "2026-11-28T11:00:00.500Z", "until": "2026-11-28T23:00:00.000Z", "why": "they are too young", "hint": "wait a little"},
            "metrics": [{
                "metric": "errors", "stored": 0, "counted": 3, "difference": 3, "whole": true,
                "series": [{"series": "{x}", "stored": 0, "counted": 3}],
            }],
        });
        let answer: Answer = serde_json::from_value(answer).expect("an answer");
        let two_hours_ahead = Offset::from_hours(2).expect("a zone").to_time_zone();
        let clock = Clock::new(jiff::Timestamp::UNIX_EPOCH.to_zoned(two_hours_ahead));
        let text = shown(&answer, &clock, Painter::plain());
        let lines: Vec<&str> = text.lines().skip(2).collect();
        let expected = [
            "2 blocks cannot be read; the records in there are not counted here",
            "{x}: stored 0, counted 3",
            "0 records accepted from 2026-11-28 12:00:00.000 to 2026-11-28 13:00:00.500",
            "not compared, from 2026-11-28 13:00:00.500 to 2026-11-29 01:00:00.000: they are too young; wait a little",
        ];
        assert_eq!(lines, expected, "{text}");
    }
}
