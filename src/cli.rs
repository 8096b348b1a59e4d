//! The command line: words, flags, help and exit codes.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use watchfire_ingest::sources::multiline::Multiline;

/// Exit code: a check failed, a start failed.
pub const EXIT_FAILED: u8 = 1;
/// Exit code: the call itself is wrong.
pub const EXIT_USAGE: u8 = 2;

/// Metrics and alerting time-series engine: logs and metrics in, alerts out, one binary.
#[derive(Parser, Debug)]
#[command(name = "watchfire", version, about, disable_help_subcommand = true)]
#[command(
    after_help = "Examples:\n  watchfire serve\n  watchfire serve --config config.yaml --listen 127.0.0.1:8081\n  \
    watchfire check config config.yaml\n\n\
    Exit codes: 0 good, 1 failed check or start, 2 usage"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Run the server.
    #[command(after_help = "Examples:\n  watchfire serve\n  watchfire serve --data-dir /var/lib/watchfire\n  \
        watchfire serve --config config.yaml\n  app 2>&1 | watchfire serve --stdin --stdin-service app")]
    Serve(Serve),
    /// Look for mistakes in files: all of them, each with line and column.
    #[command(
        after_help = "Examples:\n  watchfire check config config.yaml\n  watchfire check rules alert_rules.json\n  \
        watchfire check rules rules/*.json\n\nExit codes: 0 good, 1 bad"
    )]
    Check(Check),
    /// Run the server with the traffic of a small shop, six hours of history and an incident every five minutes, to look at.
    #[command(after_help = "Examples:\n  watchfire demo\n  watchfire demo --listen 127.0.0.1:8081 --keep")]
    Demo(Demo),
    /// A verb of a later version, refused by name.
    #[command(name = "backup", hide = true, aliases = [ "restore", "verify", "backfill", "import", "test",
        "backtest", "query", "tail", "silence", "alerts", "push", "top", "completions", "man"])]
    NotYet {
        /// Whatever follows.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// Manage API keys.
    #[command(after_help = "Examples:\n  watchfire keys add --file keys.txt --scopes ingest shipper\n  \
        watchfire keys add --file keys.txt --scopes read,admin anna\n  \
        watchfire keys list --file keys.txt\n  watchfire keys revoke --file keys.txt shipper\n\n\
        A running server reads the file again when it changes.")]
    Keys(Keys),
    /// Manage users with passwords.
    #[command(after_help = "Examples:\n  watchfire users add --file users.txt --scopes read,ingest anna\n  \
        echo \"$PASSWORD\" | watchfire users add --file users.txt anna\n  \
        watchfire users list --file users.txt\n  watchfire users remove --file users.txt anna\n\n\
        A running server reads the file again when it changes.")]
    Users(Users),
}

/// `serve`
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// Configuration file (API.md, 7); without one, the embedded defaults.
    #[arg(long, env = "WATCHFIRE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of all data, instead of the configured one.
    #[arg(long, env = "WATCHFIRE_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address that serves everything, instead of the configured ones.
    #[arg(long, env = "WATCHFIRE_LISTEN", value_name = "ADDR", value_delimiter = ',')]
    pub listen: Vec<std::net::SocketAddr>,
    /// Standard input as a source.
    #[command(flatten)]
    pub input: Input,
    /// How our own log lines are written to stderr.
    #[arg(long, value_enum, default_value = "human", env = "WATCHFIRE_LOG_FORMAT")]
    pub log_format: LogFormat,
}

/// Standard input of `serve`.
#[derive(Args, Clone, Debug, Default)]
pub struct Input {
    /// Take standard input as lines of a log and pass them on to standard output unchanged: `app | watchfire serve
    /// --stdin`. The server goes on when the input ends.
    #[arg(long)]
    pub stdin: bool,
    /// Service of these lines, if they name none.
    #[arg(long, value_name = "NAME", default_value = "stdin", requires = "stdin")]
    pub stdin_service: String,
    /// Format of these lines, instead of finding it out: `json`, `logfmt`, `apache_combined`, …
    #[arg(long, value_name = "FORMAT", requires = "stdin")]
    pub stdin_format: Option<String>,
    /// Whose stack traces among these lines are joined: auto, java, python, go, rust, dotnet, off.
    #[arg(long, value_name = "LANGUAGE", default_value = "auto", requires = "stdin", value_parser = multiline)]
    pub stdin_multiline: Multiline,
    /// Stop the server when the input has ended and is stored.
    #[arg(long, requires = "stdin")]
    pub stdin_exit: bool,
}

fn multiline(name: &str) -> Result<Multiline, String> {
    Multiline::parse(name).ok_or_else(|| "write auto, java, python, go, rust, dotnet or off".to_owned())
}

/// `demo`
#[derive(Args, Clone, Debug)]
pub struct Demo {
    /// Address that serves everything.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: std::net::SocketAddr,
    /// Keep the folder with data, configuration and rules; otherwise nothing is left behind.
    #[arg(long)]
    pub keep: bool,
    /// Requests a second; each is logged three to six times.
    #[arg(long, value_name = "NUMBER", default_value = "6", value_parser = rate)]
    pub rate: f64,
    /// How many times faster the incident comes and goes than every five minutes.
    #[arg(long, value_name = "TIMES", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=10))]
    pub speed: u32,
    /// The same seed gives the same customers.
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub seed: u64,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.1..=5000.0).contains(rate));
    rate.ok_or_else(|| "a number from 0.1 to 5000 is wanted".to_owned())
}

/// How log lines are written.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    Human,
    /// A JSON object per line.
    Json,
}

/// `check`
#[derive(Args, Debug)]
pub struct Check {
    /// What the files are.
    #[arg(value_enum)]
    pub kind: CheckKind,
    /// The files.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// What `check` reads.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// `config.yaml`
    Config,
    /// `alert_rules.json`
    Rules,
}

/// `keys`
#[derive(Args, Debug)]
pub struct Keys {
    /// What to do with keys.
    #[command(subcommand)]
    pub verb: KeysVerb,
}

/// What to do with keys.
#[derive(Subcommand, Debug)]
pub enum KeysVerb {
    /// Make a key, add its hash to the file, show the key once.
    Add {
        /// The key file (`auth.api_keys_file`); made if it is not there.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// What the key may do.
        #[arg(long, value_delimiter = ',', value_name = "SCOPES", default_value = "read")]
        scopes: Vec<String>,
        /// Whose key it is.
        name: String,
    },
    /// Show all keys: the begin of each one's hash, its scopes, its name.
    List {
        /// The key file.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Take a key out of the file.
    Revoke {
        /// The key file.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// Its name, or the begin of its hash (`keys list`).
        key: String,
    },
}

/// `users`
#[derive(Args, Debug)]
pub struct Users {
    /// What to do with users.
    #[command(subcommand)]
    pub verb: UsersVerb,
}

/// What to do with users.
#[derive(Subcommand, Debug)]
pub enum UsersVerb {
    /// Add a user, or change their password and scopes; the password is read from the standard input.
    Add {
        /// The file of users (`auth.basic_users_file`); made if it is not there.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// What the user may do.
        #[arg(long, value_delimiter = ',', value_name = "SCOPES", default_value = "read")]
        scopes: Vec<String>,
        /// How the user is called.
        name: String,
    },
    /// Show all users and their scopes.
    List {
        /// The file of users.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Take a user out of the file.
    Remove {
        /// The file of users.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// How the user is called.
        name: String,
    },
}
