//! What someone at a terminal sees: the verbs that ask a running server, over HTTP as everyone else.
//!
//! A file per verb, with its flags beside its work; the binary puts them into its command line. Nothing here knows
//! how the server works inside: what a verb can show is what the API answers.
//!
//! Invariants:
//! - data goes to stdout, everything else to stderr, and the exit code tells how it went ([`failure`]);
//! - text from outside is never written to a terminal as it is ([`text`]), nor into a cell that a spreadsheet would
//!   run ([`render::csv`]);
//! - nothing is read before the command line is understood, and memory does not grow with what is followed.

pub mod alerts;
pub mod backfill;
pub mod backtest;
pub mod backup;
pub mod color;
pub mod completions;
pub mod failure;
pub mod import;
pub mod man;
mod number;
pub mod origin;
pub mod output;
mod patience;
pub mod push;
pub mod query;
mod record;
pub mod render;
pub mod server;
pub mod silence;
mod spoken;
pub mod tail;
mod terminal;
mod terms;
pub mod text;
pub mod time;
pub mod top;
pub mod verify;

use std::process::ExitCode;

pub use failure::{Failure, Outcome};

/// Runs a verb to its end, tells what went wrong, and answers the exit code of the contract.
pub fn run(verb: impl Future<Output = Result<Outcome, Failure>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(verb);
            // A thread that waits for a line of stdin must not keep the process.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(Failure::Local(format!("no runtime: {error}"))),
    };
    failure::conclude(result)
}
