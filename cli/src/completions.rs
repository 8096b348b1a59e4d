//! `watchfire completions`: a script that teaches a shell our words.

use clap::Args;
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

impl Completions {
    /// Writes the script for a command line to stdout.
    pub fn run(self, mut command: clap::Command) -> Result<Outcome, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "watchfire", &mut script);
        let mut output = Output::stdout();
        output.text(&String::from_utf8_lossy(&script))?;
        output.flush()?;
        Ok(Outcome::Complete)
    }
}
