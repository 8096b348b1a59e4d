//! How the command line is used: the words that values are of, and calls that cannot be understood, where what is wrong
//! with a value that comes from the environment is said of its variable.

use std::process::ExitCode;

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use watchfire_cli::failure::{Failure, Outcome, conclude};
use watchfire_cli::origin::given_by;
use watchfire_dashboard_api::auth::Scope;
use watchfire_dashboard_api::roles::Role;
use watchfire_ingest::formats::Format;
use watchfire_ingest::sources::multiline::Multiline;
use watchfire_model::Level;

use crate::cli::EXIT_USAGE;

/// What shells offer for values, by the names of these in the help.
pub fn words() -> Vec<(&'static str, Vec<&'static str>)> {
    let formats = Format::BUILT_IN.into_iter().filter(|format| *format != Format::Unknown);
    let levels = Level::ALL.map(Level::as_str).to_vec();
    vec![
        ("FORMAT", formats.filter_map(Format::built_in_name).collect()),
        ("LANGUAGE", Multiline::NAMES.map(|(name, _)| name).to_vec()),
        ("LEVEL", levels.clone()),
        ("LEVELS", levels),
        ("ROLES", ["all"].into_iter().chain(Role::ALL.map(Role::as_str)).collect()),
        ("SCOPES", Scope::ALL.map(Scope::as_str).to_vec()),
    ]
}

/// The error, with the variables named that have given values in place of flags.
pub fn naming_variables(mut error: Error, mut command: Command) -> Error {
    // Only then its arguments can be written as errors write them.
    command.build();
    for kind in [ContextKind::InvalidArg, ContextKind::PriorArg] {
        let Some(ContextValue::String(flag)) = error.get(kind) else { continue };
        if let Some(variable) = variable_of(&command, flag) {
            error.insert(kind, ContextValue::String(format!("{variable} in the environment")));
        }
    }
    error
}

/// Prints the help of a verb, as `--help` behind it does.
pub fn help(command: Command, verb: &[String]) -> ExitCode {
    if let Some(error) = surplus(command.clone(), verb) {
        // Nobody is there to read it.
        let _ = error.print();
        return ExitCode::from(EXIT_USAGE);
    }
    let words = ["watchfire"].into_iter().chain(verb.iter().map(String::as_str)).chain(["--help"]);
    match command.try_get_matches_from(words) {
        Ok(_) => ExitCode::SUCCESS,
        Err(told) => tell(&told),
    }
}

/// Says what the command line is answered with: its help, its version, or what is wrong with it.
pub fn tell(told: &Error) -> ExitCode {
    let printed = told.print();
    if told.use_stderr() {
        // Nobody is there to read it otherwise.
        return ExitCode::from(EXIT_USAGE);
    }
    conclude(printed.map(|()| Outcome::Complete).map_err(Failure::from))
}

/// The error of a word behind a verb that has no verbs below it, which its `--help` would not look at.
fn surplus(mut command: Command, verb: &[String]) -> Option<Error> {
    command.build();
    let mut at = &command;
    for word in verb {
        match at.find_subcommand(word) {
            Some(below) => at = below,
            // It is told which verbs there are.
            None if at.has_subcommands() => return None,
            None => {
                let mut error: Error = Error::new(ErrorKind::UnknownArgument);
                error.insert(ContextKind::InvalidArg, ContextValue::String(word.clone()));
                return Some(match command.find_subcommand("help") {
                    Some(help) => error.with_cmd(help),
                    None => error,
                });
            }
        }
    }
    None
}

/// Says that a flag's value is none of those that are possible, where only the configuration tells which are.
pub fn refuse_value(command: &Command, flag: &str, value: &str, possible: Vec<String>) -> ExitCode {
    let mut error: Error = Error::new(ErrorKind::InvalidValue).with_cmd(command);
    error.insert(ContextKind::InvalidArg, ContextValue::String(flag.to_owned()));
    error.insert(ContextKind::InvalidValue, ContextValue::String(value.to_owned()));
    error.insert(ContextKind::ValidValue, ContextValue::Strings(possible));
    // Nobody is there to read it.
    let _ = error.print();
    ExitCode::from(EXIT_USAGE)
}

/// The variable that has given the value of a flag, which is written as errors write it.
fn variable_of(command: &Command, flag: &str) -> Option<String> {
    let of_command = command.get_arguments().filter(|argument| argument.to_string() == flag).find_map(|argument| {
        let (long, variable) = (format!("--{}", argument.get_long()?), argument.get_env()?.to_str()?);
        (given_by(&long, variable) == variable).then(|| variable.to_owned())
    });
    of_command.or_else(|| command.get_subcommands().find_map(|below| variable_of(below, flag)))
}
