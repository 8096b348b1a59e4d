//! `watchfire backfill extract`: a new metric gets a past.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde::Deserialize;
use watchfire_model::Timestamp;
use watchfire_model::text::{count, was_or_were};

use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::server::Connection;
use crate::time::Zone;

/// Examples of the help.
pub const HELP: &str = "Examples:
  watchfire backfill extract payment_failures_total --since 7d
  watchfire backfill extract payment_failures_total \\
      --since '2 days ago' --until yesterday

Exit codes: 0 good, 1 rejected, 2 usage, 4 server not reached, 5 a part could not be filled";

/// `backfill`
#[derive(Args, Clone, Debug)]
pub struct Backfill {
    /// What is filled.
    #[command(subcommand)]
    what: What,
}

/// What is filled.
#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Count stored logs by the extraction rule of a metric; what the rule counted as it came is left alone.
    #[command(after_help = HELP)]
    Extract(Extract),
}

/// `backfill extract`
#[derive(Args, Clone, Debug)]
struct Extract {
    /// The metric; its rule stands in `extract` of the server's configuration.
    #[arg(value_name = "METRIC")]
    metric: String,
    /// From when on, by the time of the events: `7d`, `2 days ago`, `yesterday 14:00`, `2026-11-28 10:00`.
    #[arg(long, default_value = "7d", value_name = "TIME", allow_hyphen_values = true)]
    since: String,
    /// Until when; now unless said.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    #[command(flatten)]
    zone: Zone,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Deserialize)]
struct Answer {
    hours: u64,
    records: u64,
    counted_before: u64,
    filled: u64,
    refused: u64,
    damaged_blocks: u64,
}

impl Backfill {
    /// Asks, waits until it is done, and says what was done.
    pub async fn run(self) -> Result<Outcome, Failure> {
        let What::Extract(extract) = self.what;
        let until = extract.until.as_ref().map(|text| ("--until", text.as_str()));
        let (_, since, until) = extract.zone.range(Some(("--since", &extract.since)), until)?;
        let (since, until) = (since.map(Timestamp::to_rfc3339), until.map(Timestamp::to_rfc3339));
        let server = extract.connection.open_patiently()?;
        let params =
            [("metric", Some(extract.metric.as_str())), ("since", since.as_deref()), ("until", until.as_deref())];
        let response = server.send(server.request(Method::POST, "/api/v1/backfill", &params)).await?;
        let response = server.accepted(response, None).await?;
        let text = response.text().await.map_err(|error| server.unreached(&error))?;
        let answer: Answer = serde_json::from_str(&text).map_err(|error| server.foreign(&error))?;
        let Answer { hours, records, counted_before, filled, refused, damaged_blocks } = answer;
        let mut output = Output::stdout();
        output.line(&format!(
            "{} filled with {} from {}; {counted_before} of them {} counted as they came, and left alone",
            count(hours, "hour"),
            count(filled, "number"),
            count(records, "record"),
            was_or_were(counted_before),
        ))?;
        output.flush()?;
        if refused > 0 || damaged_blocks > 0 {
            let refused = format!("{} {} refused", count(refused, "number"), was_or_were(refused));
            let why = format!("{refused}, {} could not be read", count(damaged_blocks, "block"));
            return Ok(Outcome::Partial(why));
        }
        Ok(Outcome::Complete)
    }
}
