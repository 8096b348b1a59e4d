//! The command line: words, flags, help and exit codes.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
        watchfire serve --config config.yaml")]
    Serve(Serve),
    /// Look for mistakes in files: all of them, each with line and column.
    #[command(
        after_help = "Examples:\n  watchfire check config config.yaml\n  watchfire check rules alert_rules.json\n  \
        watchfire check rules rules/*.json\n\nExit codes: 0 good, 1 bad"
    )]
    Check(Check),
    /// A verb of a later version, refused by name.
    #[command(name = "demo", hide = true, aliases = ["backup", "restore", "verify", "backfill", "import", "test",
        "backtest", "query", "tail", "silence", "alerts", "push", "top", "completions", "man"])]
    NotYet {
        /// Whatever follows.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// Manage API keys.
    #[command(after_help = "Examples:\n  watchfire keys add --file keys.txt --scopes ingest shipper\n  \
        watchfire keys add --file keys.txt --scopes read,admin anna")]
    Keys(Keys),
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
    /// How our own log lines are written to stderr.
    #[arg(long, value_enum, default_value = "human", env = "WATCHFIRE_LOG_FORMAT")]
    pub log_format: LogFormat,
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
}
