//! Watchfire: logs and metrics in, alerts out, one binary. Reads the command line and hands over.

mod app;
mod check;
mod cli;
mod config;
mod keys;
mod load;
mod logging;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, EXIT_FAILED, EXIT_USAGE, KeysVerb, Verb};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().verb {
        Verb::Serve(options) => app::serve(&options),
        Verb::Demo(options) => app::demo::run(&options),
        Verb::Check(check) => check::run(check.kind, &check.files),
        Verb::NotYet { .. } => {
            let verb = std::env::args().nth(1).unwrap_or_default();
            eprintln!("`watchfire {verb}` is not in this version yet; `watchfire --help` shows what there is");
            ExitCode::from(EXIT_USAGE)
        }
        Verb::Keys(keys) => {
            let KeysVerb::Add { file, scopes, name } = keys.verb;
            match keys::add(&file, &scopes, &name) {
                Ok(key) => {
                    println!("{key}");
                    eprintln!("kept as a hash in {}; this is the only time that the key is shown", file.display());
                    ExitCode::SUCCESS
                }
                Err(message) => {
                    eprintln!("{message}");
                    ExitCode::from(EXIT_FAILED)
                }
            }
        }
    }
}
