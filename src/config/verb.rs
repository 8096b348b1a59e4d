//! `watchfire config show|diff|schema|init`

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgMatches, Args, Subcommand};

use super::{diff, init, schema, show};
use crate::cli::{EXIT_FAILED, Over};
use crate::ended;

/// Examples of `config`.
pub const HELP: &str = "Examples:
  watchfire config init config.yaml
  watchfire config show --config config.yaml --origin
  watchfire config diff config.yaml new.yaml
  watchfire config schema > watchfire.schema.json";

const DIFF_HELP: &str = "Examples:
  watchfire config diff config.yaml new.yaml
  watchfire config diff /dev/null config.yaml

What is compared are the values in force, those of environment variables in them too: neither order nor spelling, nor
whether a default is written. Secrets are not compared.

Exit codes: 0 the same, 1 they differ, or a file is wrong (each fault as FILE:line:col), 2 usage";

const SHOW_HELP: &str = "Examples:
  watchfire config show
  watchfire config show --config config.yaml --origin
  WATCHFIRE_LISTEN=127.0.0.1:8081 watchfire config show --origin

What is shown is a configuration itself, but for secrets, which are shown as <secret>.

Exit codes: 0 good, 1 the file is wrong (each fault as FILE:line:col), 2 usage";

const SCHEMA_HELP: &str = "Examples:
  watchfire config schema > watchfire.schema.json

Editors with the YAML language server take it from a first line of the configuration:
  # yaml-language-server: $schema=watchfire.schema.json";

const INIT_HELP: &str = "Examples:
  watchfire config init
  watchfire config init config.yaml

The file changes nothing as it is: what stands in it are the defaults, and all else is off.";

/// `config`
#[derive(Args, Debug)]
pub struct Configure {
    /// What to show.
    #[command(subcommand)]
    verb: ConfigureVerb,
}

/// What to do with the configuration.
#[derive(Subcommand, Debug)]
enum ConfigureVerb {
    /// Show the value in force of each key: what flags, the environment and the file say, and the defaults.
    #[command(after_help = SHOW_HELP)]
    Show(Show),
    /// Show which values differ between two configuration files: those of the first that are gone behind `-`, those of the second
    /// that are new behind `+`.
    #[command(after_help = DIFF_HELP)]
    Diff {
        /// The one file; /dev/null for the defaults.
        #[arg(value_name = "BEFORE")]
        before: PathBuf,
        /// The other one.
        #[arg(value_name = "AFTER")]
        after: PathBuf,
    },
    /// Print the JSON Schema of the configuration file, for editors.
    #[command(after_help = SCHEMA_HELP)]
    Schema,
    /// Write a configuration file to begin with: every key with a sentence about it.
    #[command(after_help = INIT_HELP)]
    Init {
        /// File that is written; it must not be there yet. To standard output unless said.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// `config show`
#[derive(Args, Debug)]
struct Show {
    /// Configuration, as of `serve`.
    #[command(flatten)]
    over: Over,
    /// Say behind each value where it comes from: a flag, the environment, a place in the file, or the default.
    #[arg(long)]
    origin: bool,
}

impl Configure {
    /// Shows it, or what is wrong; `matches` are those of the whole command line, which know where flags come from.
    pub fn run(self, matches: &ArgMatches) -> ExitCode {
        match self.verb {
            ConfigureVerb::Show(options) => {
                let matches = matches.subcommand().and_then(|(_, matches)| matches.subcommand());
                ended(show::show(&options.over, matches.map(|(_, matches)| matches), options.origin))
            }
            ConfigureVerb::Diff { before, after } => {
                let found = diff::diff(&before, &after);
                let is_same = found.as_ref().is_ok_and(String::is_empty);
                let code = ended(found);
                if is_same { code } else { ExitCode::from(EXIT_FAILED) }
            }
            ConfigureVerb::Schema => ended(Ok(format!("{:#}\n", schema::schema()))),
            ConfigureVerb::Init { file: None } => ended(Ok(init::TEXT.to_owned())),
            ConfigureVerb::Init { file: Some(file) } => {
                let written = write_new(&file, init::TEXT);
                ended(written.map(|()| format!("written: {0}; serve with --config {0}\n", file.display())))
            }
        }
    }
}

/// Writes a file that is not there yet.
fn write_new(file: &Path, text: &str) -> Result<(), String> {
    let new = OpenOptions::new().write(true).create_new(true).open(file);
    new.and_then(|mut new| new.write_all(text.as_bytes())).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => format!("{}: it is there already; name another file", file.display()),
        _ => format!("{}: {error}", file.display()),
    })
}
