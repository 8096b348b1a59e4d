//! Watchfire: logs and metrics in, alerts out, one binary. Reads the command line and hands over.

mod allocator;
mod app;
mod backtest;
mod check;
mod cli;
mod config;
mod keys;
mod load;
mod logging;
mod receivers;
mod restore;
mod secret_file;
mod test;
mod usage;
mod users;
mod writable;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use watchfire_cli::failure::{Outcome, conclude, report};
use watchfire_cli::output::show;

use cli::{Cli, EXIT_FAILED, KeysVerb, UsersVerb, Verb};

fn main() -> ExitCode {
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return usage::tell(&usage::naming_variables(error, Cli::command())),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return usage::tell(&error),
    };
    match cli.verb {
        Verb::Serve(options) => app::serve(&options),
        Verb::Restore { backup, data_dir } => restore::run(&backup, &data_dir),
        Verb::Demo(options) => app::demo::run(&options),
        Verb::Check(check) => check::run(&check),
        Verb::Config(configure) => configure.run(&matches),
        Verb::Backtest(options) => backtest::run(options),
        Verb::Test(options) => test::run(&options),
        Verb::Keys(keys) => ended(manage_keys(keys.verb)),
        Verb::Users(users) => ended(manage_users(users.verb)),
        Verb::Tail(tail) => watchfire_cli::run(tail.run()),
        Verb::Query(query) => watchfire_cli::run(query.run()),
        Verb::Backup(backup) => watchfire_cli::run(backup.run()),
        Verb::Verify(verify) => watchfire_cli::run(verify.run()),
        Verb::Backfill(backfill) => watchfire_cli::run(backfill.run()),
        Verb::Alerts(alerts) => watchfire_cli::run(alerts.run()),
        Verb::Silence(silence) => watchfire_cli::run(silence.run()),
        Verb::Top(top) => watchfire_cli::run(top.run()),
        Verb::Import(import) => watchfire_cli::run(import.run()),
        Verb::Push(push) => watchfire_cli::run(push.run()),
        Verb::Completions(completions) => conclude(completions.run(Cli::command(), &usage::words())),
        Verb::Man(man) => conclude(man.run(Cli::command())),
        Verb::Help { verb } => usage::help(Cli::command(), &verb),
    }
}

/// Prints what a verb has to say, or why it failed.
fn ended(outcome: Result<String, String>) -> ExitCode {
    match outcome {
        Ok(text) => conclude(show(&text).map(|()| Outcome::Complete)),
        Err(message) => {
            report(message.lines());
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn manage_keys(verb: KeysVerb) -> Result<String, String> {
    match verb {
        KeysVerb::Add { file, scopes, name } => {
            keys::add(&file, scopes, &name)?;
            eprintln!("kept as a hash in {}; this is the only time that the key is shown", file.display());
            Ok(String::new())
        }
        KeysVerb::List { file } => keys::list(&file),
        KeysVerb::Revoke { file, key } => Ok(format!("revoked {}\n", keys::revoke(&file, &key)?)),
    }
}

fn manage_users(verb: UsersVerb) -> Result<String, String> {
    match verb {
        UsersVerb::Add { file, scopes, name } => {
            let done = users::add(&file, scopes, &name)?;
            Ok(format!("{done} {name} in {}\n", file.display()))
        }
        UsersVerb::List { file } => users::list(&file),
        UsersVerb::Remove { file, name } => users::remove(&file, &name).map(|()| format!("removed {name}\n")),
    }
}
