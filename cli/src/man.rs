//! `watchfire man`: manual pages, from the same definitions as the help.

use std::path::{Path, PathBuf};

use clap::{Args, Command};

use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Examples of the help.
pub const HELP: &str = "Examples:
  watchfire man | man -l -
  watchfire man query logs | man -l -
  watchfire man --dir man1";

/// `man`
#[derive(Args, Clone, Debug)]
pub struct Man {
    /// The verb that the page is about; of the whole program without one.
    #[arg(value_name = "VERB", conflicts_with = "dir")]
    verb: Vec<String>,
    /// Write all pages into a folder instead, a file each.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    /// Writes the pages of a command line.
    pub fn run(self, mut command: Command) -> Result<Outcome, Failure> {
        command.build();
        if let Some(dir) = &self.dir {
            let failed = |error: std::io::Error| Failure::Local(format!("{}: {error}", dir.display()));
            std::fs::create_dir_all(dir).map_err(failed)?;
            write_all(&command, "watchfire", dir).map_err(failed)?;
            return Ok(Outcome::Complete);
        }
        let mut about = &command;
        for verb in &self.verb {
            let found = about.find_subcommand(verb).filter(|found| !found.is_hide_set());
            about = found.ok_or_else(|| Failure::Usage(format!("there is no verb `{}`", self.verb.join(" "))))?;
        }
        let name = [&["watchfire".to_owned()], self.verb.as_slice()].concat().join("-");
        let mut output = Output::new();
        output.text(&page(about, &name)?)?;
        output.flush()?;
        Ok(Outcome::Complete)
    }
}

fn page(command: &Command, name: &str) -> std::io::Result<String> {
    let mut page = Vec::new();
    let named = command.clone().display_name(name);
    clap_mangen::Man::new(named).title(name).render(&mut page)?;
    // Not every troff reads UTF-8; all know this spelling.
    let spelled = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\[u{:04X}]", u32::from(c)) };
    Ok(String::from_utf8_lossy(&page).chars().map(spelled).collect())
}

fn write_all(command: &Command, name: &str, dir: &Path) -> std::io::Result<()> {
    std::fs::write(dir.join(format!("{name}.1")), page(command, name)?)?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        write_all(verb, &format!("{name}-{}", verb.get_name()), dir)?;
    }
    Ok(())
}
