//! `watchfire query`: asks for logs, for numbers of a moment or over a range, or for what series there are.

mod instant;
mod inventory;
mod logs;
mod numbers;
mod range;

use clap::{Args, Subcommand};

use crate::color::{Colors, Painter};
use crate::failure::{Failure, Outcome};
use crate::render::Format;

/// `query`
#[derive(Args, Clone, Debug)]
pub struct Query {
    #[command(subcommand)]
    verb: QueryVerb,
}

/// What is asked for.
#[derive(Subcommand, Clone, Debug)]
enum QueryVerb {
    /// Search logs; all of them without an expression.
    ///
    /// Words and "phrases" match the message and all fields; `field:value`, `field:>5`, `field:[1 TO 5]`, `/regex/`,
    /// `-x`, AND, OR and brackets as docs/search.md tells.
    #[command(after_help = logs::HELP)]
    Logs(logs::Logs),
    /// Numbers of one moment.
    ///
    /// The expression is the short form (`rate error_count service=api`) or PromQL, as docs/query.md tells.
    #[command(after_help = instant::HELP)]
    Instant(instant::Instant),
    /// Numbers over a range of time.
    ///
    /// The expression is the short form (`p95 request_duration_ms by route`) or PromQL, as docs/query.md tells.
    #[command(after_help = range::HELP)]
    Range(range::Range),
    /// Names of labels, or the values that a label has.
    #[command(after_help = inventory::LABELS_HELP)]
    Labels(inventory::Labels),
    /// Series, by their labels.
    #[command(after_help = inventory::SERIES_HELP)]
    Series(inventory::Series),
}

/// How an answer is written.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
struct Shown {
    /// How the answer is written; a table on a terminal and lines of JSON elsewhere, unless said.
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
    #[command(flatten)]
    colors: Colors,
    /// Draw graphs with plain characters.
    #[arg(long)]
    ascii: bool,
    /// End with 1 when nothing is found.
    #[arg(long)]
    fail_empty: bool,
}

impl Shown {
    fn format(&self) -> Format {
        Format::or_default(self.output)
    }

    fn painter(&self) -> Painter {
        self.colors.painter()
    }

    /// The end of a query that found nothing.
    fn empty(&self) -> Result<Outcome, Failure> {
        if self.fail_empty {
            return Err(Failure::Empty);
        }
        eprintln!("nothing was found");
        Ok(Outcome::Complete)
    }
}

impl Query {
    /// Asks, and shows the answer.
    pub async fn run(self) -> Result<Outcome, Failure> {
        match self.verb {
            QueryVerb::Logs(logs) => logs.run().await,
            QueryVerb::Instant(instant) => instant.run().await,
            QueryVerb::Range(range) => range.run().await,
            QueryVerb::Labels(labels) => labels.run().await,
            QueryVerb::Series(series) => series.run().await,
        }
    }
}

/// Rows of a graph on a terminal of so many: what leaves room for axis, legend and prompt.
fn graph_rows(terminal_rows: usize) -> usize {
    (terminal_rows * 2 / 3).clamp(8, 24)
}

/// The end of a query whose answer was shown: complete, empty, or with what the server warns of.
fn conclude(shown: &Shown, empty: bool, warnings: &[String]) -> Result<Outcome, Failure> {
    if !warnings.is_empty() {
        return Ok(Outcome::Partial(warnings.join("; ")));
    }
    if empty { shown.empty() } else { Ok(Outcome::Complete) }
}
