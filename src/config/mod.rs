//! `config.yaml`: read into a tree with positions, validated as a whole, every fault told at once.
//!
//! [`Config`] is plain data, a struct per section, and does not change after it is read. What API.md names and
//! this version does not do is refused by name.

mod backend;
mod diff;
pub mod files;
mod init;
mod items;
mod read;
mod receivers;
mod remote_write;
mod schema;
mod scrape;
mod scrape_discovery;
mod scrape_http;
mod scrape_relabel;
mod show;
pub mod verb;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use watchfire_alerting::Secret;
use watchfire_ingest::extract::RuleConfig;
use watchfire_ingest::sources::settings::{FileSource, JournalSource};
use watchfire_metrics_backend::Address;
use watchfire_model::LabelSet;
use watchfire_remote_write::config::Destination;
use watchfire_scrape::config::ScrapeConfig;

pub use read::parse;
pub use watchfire_yaml::tree::Fault;

/// The whole configuration; [`Config::default`] is what runs without a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Addresses that serve everything.
    pub listen: Vec<SocketAddr>,
    /// Folder of all data.
    pub data_dir: PathBuf,
    /// Series and the second listener.
    pub metrics: Metrics,
    /// The log store.
    pub logs: Logs,
    /// Largest size of the queue on disk, bytes.
    pub queue_disk_limit_bytes: u64,
    /// Addresses that take syslog.
    pub syslog: Vec<Syslog>,
    /// Files that are followed.
    pub files: Vec<FileSource>,
    /// The journal, if it is followed.
    pub journald: Option<JournalSource>,
    /// The user's line formats.
    pub parsers: Vec<LineParser>,
    /// Metrics made from logs, beside those out of the box.
    pub extract: Vec<RuleConfig>,
    /// Whose metrics are scraped.
    pub scrape: Vec<ScrapeConfig>,
    /// Where queries are written down, if anywhere.
    pub query_log: Option<PathBuf>,
    /// Step of subqueries that name none, milliseconds.
    pub subquery_step_ms: i64,
    /// Who is sent all samples.
    pub remote_write: Vec<Destination>,
    /// Labels by which other servers know us.
    pub external_labels: LabelSet,
    /// Rules and who is told.
    pub alerting: Alerting,
    /// Who may do what.
    pub auth: Auth,
    /// TLS on our own listeners, if it is spoken there.
    pub tls: Option<TlsFiles>,
    /// Host names, beside our own addresses, under which requests may come.
    pub allowed_hosts: Vec<String>,
    /// Origins whose pages may call us.
    pub cors: Vec<String>,
    /// Bounds on what comes from outside.
    pub limits: Limits,
    /// Whether Prometheus' admin API answers.
    pub admin_api: bool,
    /// How often a line of our own is sent all the way to a page, milliseconds; `None`: it is off.
    pub canary_every_ms: Option<i64>,
    /// Who is pinged while all is well.
    pub dead_mans_switch: Option<DeadMansSwitch>,
}

/// `dead_mans_switch:`
#[derive(Clone, Debug, PartialEq)]
pub struct DeadMansSwitch {
    /// What to ask for; hidden, as such addresses are secrets.
    pub url: Secret,
    /// How often, milliseconds.
    pub every_ms: i64,
}

/// `metrics:`
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// Port of the second listener; 0 for none.
    pub port: u16,
    /// Whether the port was asked for (then it must be free).
    pub port_given: bool,
    /// How long series are kept, milliseconds.
    pub retention_ms: i64,
    /// How long in memory, milliseconds.
    pub memory_ms: i64,
    /// Budget of the series in memory, bytes.
    pub memory_limit_bytes: u64,
    /// Most series at a time.
    pub max_series: u64,
    /// A snapshot of the series is taken when their log has grown by this, bytes.
    pub snapshot_log_bytes: u64,
    /// Records older than this on arrival are dated by their event time.
    pub late_after_ms: i64,
    /// Who answers queries in place of the series here.
    pub backend: Option<Address>,
}

/// `logs:`
#[derive(Clone, Debug, PartialEq)]
pub struct Logs {
    /// How long records are kept, milliseconds.
    pub retention_ms: i64,
    /// Largest size of the log store on disk, bytes.
    pub disk_limit_bytes: u64,
    /// A block that is not full is written out after this time, milliseconds.
    pub seal_after_ms: i64,
    /// Where days are written as compressed NDJSON before they are dropped, if anywhere.
    pub archive_dir: Option<PathBuf>,
}

/// One entry of `sources.syslog`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syslog {
    /// Datagrams.
    Udp(SocketAddr),
    /// Streams, octet-counted or a line each.
    Tcp(SocketAddr),
}

/// One entry of `parsers`.
#[derive(Clone, Debug, PartialEq)]
pub struct LineParser {
    /// Its format is `regex:NAME`.
    pub name: String,
    /// With named groups.
    pub pattern: String,
    /// Field of the record → group.
    pub fields: Vec<(String, String)>,
}

/// `alerting:`
#[derive(Clone, Debug, PartialEq)]
pub struct Alerting {
    /// Files and globs.
    pub rules_path: Vec<String>,
    /// Whether they were named (then they must exist).
    pub rules_path_given: bool,
    /// How often rules run, milliseconds.
    pub check_interval_ms: i64,
    /// How far before the time of an evaluation the queries of rules look, milliseconds.
    pub query_offset_ms: i64,
    /// Who can be told.
    pub receivers: Vec<Receiver>,
    /// Who is told of alerts that name nobody; all when empty.
    pub default_receivers: Vec<String>,
    /// After how long a firing alert is told again, milliseconds.
    pub repeat_interval_ms: i64,
    /// Our own address in messages.
    pub external_url: Option<String>,
}

/// One entry of `alerting.receivers`.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiver {
    /// Its name.
    pub name: String,
    /// HTTP, if told that way.
    pub webhook: Option<Webhook>,
    /// Mail, if told that way.
    pub email: Option<Email>,
}

/// `webhook:` of a receiver.
#[derive(Clone, PartialEq)]
pub struct Webhook {
    /// Where to.
    pub url: Option<String>,
    /// A file with the address, for addresses that are secrets.
    pub url_file: Option<PathBuf>,
    /// Name for basic authentication.
    pub username: Option<String>,
    /// File with its password.
    pub password_file: Option<PathBuf>,
    /// File with a bearer token.
    pub bearer_token_file: Option<PathBuf>,
    /// How long an answer may take, milliseconds.
    pub timeout_ms: i64,
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // An address may carry a token.
        f.debug_struct("Webhook").field("url", &"<secret>").field("timeout_ms", &self.timeout_ms).finish()
    }
}

/// `email:` of a receiver.
#[derive(Clone, PartialEq)]
pub struct Email {
    /// `smtp://`, `smtp+starttls://` or `smtps://`, with the user's name.
    pub smtp: String,
    /// File with the password.
    pub password_file: Option<PathBuf>,
    /// Sender.
    pub from: String,
    /// Recipients.
    pub to: Vec<String>,
    /// File with a certificate authority of one's own.
    pub ca_file: Option<PathBuf>,
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // An address may carry a password.
        f.debug_struct("Email").field("smtp", &"<secret>").field("from", &self.from).field("to", &self.to).finish()
    }
}

/// `auth:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Not said: loopback addresses only.
    Absent,
    /// `none`, in words.
    None,
    /// Who is in these files.
    Files(AuthFiles),
}

/// Files of those who may come in; at least one of both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthFiles {
    /// API keys.
    pub api_keys: Option<PathBuf>,
    /// Users with passwords.
    pub basic_users: Option<PathBuf>,
}

/// `tls:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificate and those between it and its authority, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Authorities of clients; when it is there, every client needs a certificate.
    pub client_ca: Option<PathBuf>,
}

/// `limits:`
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Largest body as sent, bytes.
    pub body_bytes: u64,
    /// Largest line or record, bytes.
    pub line_bytes: u64,
    /// Largest body unpacked, bytes.
    pub decompressed_bytes: u64,
    /// Most labels of a series.
    pub labels_per_series: u64,
    /// Most samples that a query may read.
    pub query_samples: u64,
    /// Longest time that a query may take, milliseconds.
    pub query_timeout_ms: i64,
    /// Most memory that the queries being answered may take together, bytes; an estimate.
    pub query_memory_bytes: u64,
    /// Most requests per second of a key, a user, or an address; 0 for no limit.
    pub requests_per_second: u32,
}

/// The service of the canary's lines, and the name of its receiver.
pub const CANARY: &str = "watchfire-canary";

/// Where rules are looked for if nothing is said; they need not be there.
const RULES_PATH: &str = "alert_rules.json";

const DAY_MS: i64 = 86_400_000;

/// Refuses addresses that other machines can reach while nobody has said who may do what: what is wrong, and with
/// which of the addresses, counted through those of `listen` and then those of `sources.syslog`.
pub fn check_exposure(config: &Config) -> Vec<(usize, String)> {
    let syslog = config.syslog.iter().map(|source| match source {
        Syslog::Udp(address) | Syslog::Tcp(address) => ("sources.syslog", address),
    });
    let all = config.listen.iter().map(|address| ("listen", address)).chain(syslog).enumerate();
    let exposed = all.filter(|(_, (_, address))| config.auth == Auth::Absent && !address.ip().is_loopback());
    let message = |(at, (key, address))| {
        let message = format!(
            "`{key}`: {address} can be reached from other machines; add `auth: {{api_keys_file: FILE}}` to the \
             configuration, or write `auth: none` if everyone may read and write"
        );
        (at, message)
    };
    exposed.map(message).collect()
}

impl Config {
    /// Takes the files that are written to, where their paths are relative, for such of this folder.
    pub fn place_log_files(&mut self, folder: &Path) {
        let of_jobs = self.scrape.iter_mut().filter_map(|job| job.failure_log.as_mut());
        for path in self.query_log.iter_mut().chain(of_jobs) {
            *path = folder.join(&*path);
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Config {
            listen: vec![loopback(8080)],
            data_dir: PathBuf::from("./watchfire-data"),
            metrics: Metrics {
                port: 9090,
                port_given: false,
                retention_ms: 15 * DAY_MS,
                memory_ms: DAY_MS,
                memory_limit_bytes: 1 << 30,
                max_series: 1_000_000,
                snapshot_log_bytes: 64 << 20,
                late_after_ms: 600_000,
                backend: None,
            },
            logs: Logs {
                retention_ms: 30 * DAY_MS,
                disk_limit_bytes: 50 << 30,
                seal_after_ms: 60_000,
                archive_dir: None,
            },
            queue_disk_limit_bytes: 10 << 30,
            syslog: Vec::new(),
            files: Vec::new(),
            journald: None,
            parsers: Vec::new(),
            extract: Vec::new(),
            scrape: Vec::new(),
            query_log: None,
            subquery_step_ms: 60_000,
            remote_write: Vec::new(),
            external_labels: LabelSet::empty(),
            alerting: Alerting {
                rules_path: vec![RULES_PATH.to_owned()],
                rules_path_given: false,
                check_interval_ms: 1000,
                query_offset_ms: 0,
                receivers: Vec::new(),
                default_receivers: Vec::new(),
                repeat_interval_ms: 4 * 3_600_000,
                external_url: None,
            },
            auth: Auth::Absent,
            tls: None,
            allowed_hosts: Vec::new(),
            cors: Vec::new(),
            limits: Limits {
                body_bytes: 16 << 20,
                line_bytes: 1 << 20,
                decompressed_bytes: 128 << 20,
                labels_per_series: 64,
                query_samples: 50_000_000,
                query_timeout_ms: 120_000,
                query_memory_bytes: 1 << 30,
                requests_per_second: 0,
            },
            admin_api: false,
            canary_every_ms: None,
            dead_mans_switch: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_files_lie_where_the_configuration_does() {
        let text = "global: {query_log_file: q.log, scrape_failure_log_file: s.log}\nscrape_configs:\n\
            - {job_name: a}\n- {job_name: b, scrape_failure_log_file: /var/b.log}\n\
            - {job_name: c, scrape_failure_log_file: ''}\n";
        let (mut config, _) = parse(text, &|_| None).expect("it can be read");
        config.place_log_files(Path::new("/etc/watchfire"));
        assert_eq!(config.query_log.as_deref(), Some(Path::new("/etc/watchfire/q.log")));
        let of_jobs: Vec<_> = config.scrape.iter().map(|job| job.failure_log.as_deref()).collect();
        let wanted = ["/etc/watchfire/s.log", "/var/b.log", "/etc/watchfire/s.log"];
        assert_eq!(of_jobs, wanted.map(|path| Some(Path::new(path))));
    }

    #[test]
    fn without_a_word_only_the_loopback_is_listened_on_and_nothing_is_open() {
        let config = Config::default();
        assert!(config.listen.iter().all(|address| address.ip().is_loopback()));
        assert!(config.syslog.is_empty() && config.cors.is_empty() && config.allowed_hosts.is_empty());
        assert!(check_exposure(&config).is_empty());
    }
}
