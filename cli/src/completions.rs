//! `watchfire completions`: a script that teaches a shell our words.

use clap::builder::PossibleValuesParser;
use clap::{Arg, Args, Command, ValueHint};
use clap_complete::Shell;

use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Examples of the help.
pub const HELP: &str = "Examples:
  watchfire completions bash > watchfire.bash
  watchfire completions zsh > _watchfire
  watchfire completions fish > watchfire.fish

bash: source the file, or put it into ~/.local/share/bash-completion/completions/watchfire.
zsh: put it as _watchfire into a folder of $fpath. fish: into ~/.config/fish/completions.";

/// `completions`
#[derive(Args, Clone, Debug)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Words that values are of, by the names that the values have in the help.
pub type Words<'a> = [(&'a str, Vec<&'static str>)];

impl Completions {
    /// Writes the script for a command line to stdout.
    pub fn run(self, command: Command, words: &Words<'_>) -> Result<Outcome, Failure> {
        let mut command = hinted(command, words);
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "watchfire", &mut script);
        let mut output = Output::stdout();
        output.text(&String::from_utf8_lossy(&script))?;
        output.flush()?;
        Ok(Outcome::Complete)
    }
}

/// The same command line; each value says whether it is a file, a folder or one of some words. A shell offers the names
/// of files for all of which it knows nothing.
fn hinted(command: Command, words: &Words<'_>) -> Command {
    let hint = |argument: Arg| -> Arg {
        if !argument.get_action().takes_values() || !argument.get_possible_values().is_empty() {
            return argument;
        }
        let name = argument.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
        if let Some((_, words)) = words.iter().find(|(of, _)| *of == name) {
            let words = PossibleValuesParser::new(words);
            return argument.value_parser(words);
        }
        match (argument.get_value_hint(), name) {
            (_, "DIR") => argument.value_hint(ValueHint::DirPath),
            (ValueHint::AnyPath, _) => argument.value_hint(ValueHint::FilePath),
            (ValueHint::Unknown, _) => argument.value_hint(ValueHint::Other),
            _ => argument,
        }
    };
    command.mut_args(hint).mut_subcommands(|verb| hinted(verb, words))
}
