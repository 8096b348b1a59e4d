//! A call that cannot be understood: what is wrong with a value that comes from the environment is said of its variable.

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error};
use watchfire_cli::origin::given_by;

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

/// The variable that has given the value of a flag, which is written as errors write it.
fn variable_of(command: &Command, flag: &str) -> Option<String> {
    let of_command = command.get_arguments().filter(|argument| argument.to_string() == flag).find_map(|argument| {
        let (long, variable) = (format!("--{}", argument.get_long()?), argument.get_env()?.to_str()?);
        (given_by(&long, variable) == variable).then(|| variable.to_owned())
    });
    of_command.or_else(|| command.get_subcommands().find_map(|below| variable_of(below, flag)))
}
