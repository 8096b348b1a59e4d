//! The command line: words, flags, help and exit codes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use watchfire_cli::{
    alerts, backfill, backtest, backup, completions, import, man, push, query, silence, tail, top, verify,
};
use watchfire_dashboard_api::auth::Scopes;
use watchfire_dashboard_api::roles::Roles;
use watchfire_ingest::sources::multiline::Multiline;

use crate::config::verb;

/// Exit code: a check failed, a start failed.
pub const EXIT_FAILED: u8 = 1;
/// Exit code: the call itself is wrong.
pub const EXIT_USAGE: u8 = 2;
/// Exit code: nothing is wrong, but something is unwise, and that shall count.
pub const EXIT_LINT: u8 = 3;

/// Metrics and alerting time-series engine: logs and metrics in, alerts out, one binary.
#[derive(Parser, Debug)]
#[command(name = "watchfire", version, about, disable_help_subcommand = true, max_term_width = 100)]
#[command(
    after_help = "Examples:\n  watchfire serve\n  watchfire push log \"it burns\" --level error --service api\n  \
    watchfire tail level:error\n  watchfire query logs burns --since 1h\n\n\
    Exit codes: 0 good, 1 failed check, test, start or query, or refused for now (429), 2 usage, 3 lint only, \
    4 server not reached, or not able to answer now (502 to 504), 5 partial result"
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
        watchfire serve --config config.yaml\n  watchfire serve --roles ingestion\n  app 2>&1 | watchfire serve --stdin --stdin-service app")]
    Serve(Serve),
    /// Look for mistakes in files: all of them, each with line and column.
    #[command(
        after_help = "Examples:\n  watchfire check config config.yaml\n  watchfire check rules alert_rules.json\n  \
        watchfire check rules --lint-fatal rules/*.yml\n  watchfire check routes config.yaml\n  \
        watchfire check routes config.yaml \\\n      --labels alertname=HighErrorRate,severity=critical\n  \
        watchfire check metrics metrics.prom\n  cat metrics.prom | watchfire check metrics -\n  watchfire check queries queries.txt\n\n\
        Exit codes: 0 good, 1 bad, 3 good but unwise (metrics; others with --lint-fatal)"
    )]
    Check(Check),
    /// Show the configuration in force, all keys that there are, or a file to begin with.
    #[command(after_help = verb::HELP)]
    Config(verb::Configure),
    /// Run tests of rules, in promtool's file format.
    #[command(after_help = TEST_HELP)]
    Test(Test),
    /// Show what rules would have done with what a running server has kept.
    #[command(after_help = backtest::HELP)]
    Backtest(backtest::Backtest),
    /// Run the server with the traffic of a small shop, six hours of history and an incident every five minutes, to look at.
    #[command(after_help = "Examples:\n  watchfire demo\n  watchfire demo --listen 127.0.0.1:8081 --keep\n  \
        watchfire demo --listen 127.0.0.1:8081 \\\n      --metrics-port 0 --receiver 127.0.0.1:8082")]
    Demo(Demo),
    /// Copy everything of a running server into a folder, as one consistent cut.
    #[command(after_help = backup::HELP)]
    Backup(backup::Backup),
    /// Make a data folder of a backup; every file is checked first.
    #[command(after_help = "Examples:\n  watchfire restore backup-monday --data-dir /var/lib/watchfire\n\n\
        Exit codes: 0 good, 1 the backup is damaged or the folder is not empty")]
    Restore {
        /// Folder of the backup.
        #[arg(value_name = "DIR")]
        backup: PathBuf,
        /// Folder that becomes the data folder; it must be empty or not there.
        #[arg(long, env = "WATCHFIRE_DATA_DIR", hide_env_values = true, value_name = "DIR")]
        data_dir: PathBuf,
    },
    /// Manage API keys.
    #[command(after_help = "Examples:\n  watchfire keys add --file keys.txt --scopes ingest shipper\n  \
        watchfire keys add --file keys.txt --scopes read,admin anna\n  \
        watchfire keys list --file keys.txt\n  watchfire keys revoke --file keys.txt shipper\n\n\
        No two keys of a file have the same name. A running server reads the file again when it changes.")]
    Keys(Keys),
    /// Manage users with passwords.
    #[command(after_help = "Examples:\n  watchfire users add --file users.txt --scopes read,ingest anna\n  \
        echo \"$PASSWORD\" | watchfire users add --file users.txt anna\n  \
        watchfire users list --file users.txt\n  watchfire users remove --file users.txt anna\n\n\
        A running server reads the file again when it changes.")]
    Users(Users),
    /// Show log records as they are stored.
    #[command(after_help = tail::HELP)]
    Tail(tail::Tail),
    /// Ask for logs and numbers.
    #[command(after_help = QUERY_HELP)]
    Query(query::Query),
    /// Show what is firing and pending.
    #[command(after_help = alerts::HELP)]
    Alerts(alerts::Alerts),
    /// Silence alerts for a while: nobody is told of them.
    #[command(after_help = silence::HELP)]
    Silence(silence::Silencing),
    /// Watch sources of logs, their volume and errors, and the cardinality of metrics.
    #[command(after_help = top::HELP)]
    Top(top::Top),
    /// Bring old files of logs or metrics into a running server.
    #[command(after_help = IMPORT_HELP)]
    Import(import::Import),
    /// Send log lines or a metric.
    #[command(after_help = PUSH_HELP)]
    Push(push::Push),
    /// Count stored logs again, and compare with what was counted as they came.
    #[command(after_help = verify::HELP)]
    Verify(verify::Verify),
    /// Give a new metric a past.
    #[command(after_help = backfill::HELP)]
    Backfill(backfill::Backfill),
    /// Print a script that completes our words in a shell.
    #[command(after_help = completions::HELP)]
    Completions(completions::Completions),
    /// Print manual pages.
    #[command(after_help = man::HELP)]
    Man(man::Man),
    /// Print the help of a verb.
    #[command(after_help = "Examples:\n  watchfire help\n  watchfire help query logs")]
    Help {
        /// The verb; all of them without one.
        #[arg(value_name = "VERB")]
        verb: Vec<String>,
    },
}

const QUERY_HELP: &str = "Examples:
  watchfire query logs level:error --since 1h
  watchfire query instant sum log_events_total by service
  watchfire query range rate log_events_total by service --since 1h -o graph
  watchfire query labels service
  watchfire query series log_events_total";

const IMPORT_HELP: &str = "Examples:
  watchfire import logs access.log* old.log.zst
  zstd -dc old.log.zst | watchfire import logs --service shop -
  watchfire import metrics old.om.gz";

const PUSH_HELP: &str = "Examples:
  watchfire push log \"it burns\" --level error --service api
  watchfire push metric room_temperature=21.5 room=kitchen";

/// The configuration file, and what stands over it.
#[derive(Args, Clone, Debug, Default)]
pub struct Over {
    /// Configuration file (docs/config.md); without one, the embedded defaults.
    #[arg(long, env = "WATCHFIRE_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of all data, instead of the configured one.
    #[arg(long, env = "WATCHFIRE_DATA_DIR", hide_env_values = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address that serves everything, instead of the configured ones.
    #[arg(long, env = "WATCHFIRE_LISTEN", hide_env_values = true, value_name = "ADDR", value_delimiter = ',', value_parser = address)]
    pub listen: Vec<SocketAddr>,
}

/// `serve`
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// Configuration.
    #[command(flatten)]
    pub over: Over,
    /// Run only some parts of the server: `all`, or some of ingestion, metrics, alerting, dashboard, with commas between.
    #[arg(long, env = "WATCHFIRE_ROLES", hide_env_values = true, value_name = "ROLES", default_value = "all")]
    pub roles: Roles,
    /// Standard input as a source.
    #[command(flatten)]
    pub input: Input,
    /// How our own log lines are written to stderr.
    #[arg(long, value_enum, default_value = "human", env = "WATCHFIRE_LOG_FORMAT", hide_env_values = true)]
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

/// An address to listen on. Names are not looked up: what is listened on must not depend on who answers that.
fn address(text: &str) -> Result<SocketAddr, String> {
    let port = |text: &str| text.parse::<u16>().ok();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Some(port) = text.strip_prefix("localhost:").and_then(port) {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    Err(match text.strip_prefix(':').unwrap_or(text) {
        digits if port(digits).is_some() => {
            format!("write 127.0.0.1:{digits} for this machine alone, 0.0.0.0:{digits} for everyone who reaches it")
        }
        _ => "write IP:PORT, as 127.0.0.1:8080 or [::1]:8080, or localhost:PORT".to_owned(),
    })
}

fn multiline(name: &str) -> Result<Multiline, String> {
    Multiline::parse(name).ok_or_else(|| "write auto, java, python, go, rust, dotnet or off".to_owned())
}

/// `demo`
#[derive(Args, Clone, Debug)]
pub struct Demo {
    /// Address of this machine that serves everything.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = own_address)]
    pub listen: SocketAddr,
    /// Port for metrics alone, on the same address as the rest; 0 for none. 9090 unless said, or none if that is taken.
    #[arg(long, value_name = "PORT")]
    pub metrics_port: Option<u16>,
    /// Address of the receiver that prints what alerts tell; a free port of this machine unless said.
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub receiver: Option<SocketAddr>,
    /// Keep the folder with data, configuration and rules; otherwise nothing is left behind.
    #[arg(long)]
    pub keep: bool,
    /// Requests a second; each is logged three to six times.
    #[arg(long, value_name = "NUMBER", default_value = "6", value_parser = rate)]
    pub rate: f64,
    /// How many times faster the incident comes and goes than every five minutes: 1 to 10.
    #[arg(long, value_name = "TIMES", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=10))]
    pub speed: u32,
    /// The same seed gives the same customers.
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub seed: u64,
}

fn own_address(text: &str) -> Result<SocketAddr, String> {
    let address = address(text)?;
    let why = "a demo asks nobody for a key, so it listens for this machine alone; write 127.0.0.1:PORT";
    if address.ip().is_loopback() { Ok(address) } else { Err(why.to_owned()) }
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
    /// Files, or patterns of their names.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// End with 3 if nothing is wrong but something is unwise: rules that are called the same, receivers that nobody tells.
    #[arg(long)]
    pub lint_fatal: bool,
    /// Of routes: who would be told of an alert with these labels, with commas between.
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',', value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Of routes: fail unless just these receivers would be told, with commas between.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub verify_receivers: Option<Vec<String>>,
}

/// `name=value`, the value perhaps in quotes.
fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, as severity=critical")?;
    let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    Ok((name.trim().to_owned(), value.to_owned()))
}

/// What `check` reads.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// `config.yaml`
    Config,
    /// `alert_rules.json`, or rules as Prometheus writes them.
    Rules,
    /// `config.yaml`: who is told of which alerts.
    Routes,
    /// Metrics as they are shown to be scraped, in Prometheus' text format; `-` for stdin. What promtool finds, in its words.
    Metrics,
    /// Queries, one a line, in the short form or PromQL.
    Queries,
}

const TEST_HELP: &str = "Examples:
  watchfire test rules tests/*.yml
  watchfire test rules --run '^disk' tests/disk.yml
  watchfire test rules --junit outcome.xml tests/*.yml

A file names its rule files, gives series, and says which alerts fire and what queries give. For the rule

  {\"name\": \"HighErrorRate\", \"query\": \"sum error_count over 1m by service\", \"operator\": \">\",
   \"threshold\": 10, \"duration\": \"2m\", \"labels\": {\"severity\": \"critical\"}}

in alert_rules.json it may be:

  rule_files: [alert_rules.json]
  tests:
    - interval: 1m
      input_series:
        - {series: 'error_count{service=\"api\"}', values: '0 30x9', kind: increments}
      alert_rule_test:
        - eval_time: 6m
          alertname: HighErrorRate
          exp_alerts: [{exp_labels: {service: api, severity: critical}}]

Exit codes: 0 good, 1 a test failed or cannot be read";

/// `test`
#[derive(Args, Debug)]
pub struct Test {
    /// What is tested.
    #[arg(value_enum)]
    pub kind: TestKind,
    /// Files of tests, or patterns of their names.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Run only tests whose name this regular expression finds; may be given several times.
    #[arg(long, value_name = "REGEX")]
    pub run: Vec<String>,
    /// Write the outcome to this file too, as JUnit's XML.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// What `test` tests.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestKind {
    /// Rules, alerting and recording ones.
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
    #[command(after_help = "Examples:\n  watchfire keys add --file keys.txt --scopes ingest shipper")]
    Add {
        /// The key file (`auth.api_keys_file`); made if it is not there.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// What the key may do.
        #[arg(long, value_parser = Scopes::parse, value_name = "SCOPES", default_value = "read")]
        scopes: Scopes,
        /// Whose key it is.
        name: String,
    },
    /// Show all keys: the begin of each one's hash, its scopes, its name.
    #[command(after_help = "Examples:\n  watchfire keys list --file keys.txt")]
    List {
        /// The key file.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Take a key out of the file.
    #[command(after_help = "Examples:\n  watchfire keys revoke --file keys.txt shipper")]
    Revoke {
        /// The key file.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// Its name, or at least the first six digits of its hash (`keys list` shows twelve).
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
    #[command(after_help = "Examples:\n  echo \"$PASSWORD\" | watchfire users add --file users.txt anna")]
    Add {
        /// The file of users (`auth.basic_users_file`); made if it is not there.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// What the user may do.
        #[arg(long, value_parser = Scopes::parse, value_name = "SCOPES", default_value = "read")]
        scopes: Scopes,
        /// How the user is called.
        name: String,
    },
    /// Show all users and their scopes.
    #[command(after_help = "Examples:\n  watchfire users list --file users.txt")]
    List {
        /// The file of users.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Take a user out of the file.
    #[command(after_help = "Examples:\n  watchfire users remove --file users.txt anna")]
    Remove {
        /// The file of users.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// How the user is called.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn addresses_to_listen_on() {
        for (text, read) in [
            ("127.0.0.1:24300", "127.0.0.1:24300"),
            ("[::1]:24300", "[::1]:24300"),
            ("localhost:24300", "127.0.0.1:24300"),
            (":24300", "write 127.0.0.1:24300 for this machine alone, 0.0.0.0:24300 for everyone who reaches it"),
            ("24300", "write 127.0.0.1:24300 for this machine alone, 0.0.0.0:24300 for everyone who reaches it"),
            ("example.org:80", "write IP:PORT, as 127.0.0.1:8080 or [::1]:8080, or localhost:PORT"),
            ("localhost:99999", "write IP:PORT, as 127.0.0.1:8080 or [::1]:8080, or localhost:PORT"),
        ] {
            assert_eq!(address(text).map_or_else(|told| told, |address| address.to_string()), read, "{text}");
        }
    }
}
