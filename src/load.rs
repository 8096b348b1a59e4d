//! Reading configuration and rule files from disk, with every fault told as `FILE:line:col: what`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use watchfire_cli::origin::given_by;
use watchfire_dashboard_api::auth::{Credentials, FileError, Keys, Users};
use watchfire_dashboard_api::roles::{Role, Roles};
use watchfire_dashboard_api::tls::{Material, Part};
use watchfire_ingest::extract::Extractor;
use watchfire_ingest::formats::{CustomParser, Parsers};
use watchfire_json_log::{JsonLogs, Opened};
use watchfire_metrics_backend::Address;
use watchfire_model::Timestamp;
use watchfire_query_lang::Limits;
use watchfire_remote_write::config::Destination;
use watchfire_rules::{External, GroupDefaults, RuleSet};
use watchfire_scrape::client::tls_faults;
use watchfire_scrape::config::{HttpConfig, ScrapeConfig, Text, TlsConfig};

use crate::cli::{Over, Serve};
use crate::config::{self, Alerting, Auth, Config, Syslog};
use crate::{receivers, secret_file};

/// What is wrong with a file, a line each.
#[derive(Debug)]
pub struct Faults(pub Vec<String>);

impl Faults {
    /// Those of the file that `--config` or the variable in its place names: says so where it was the variable.
    pub fn of_named_config(self) -> Faults {
        match given_by("--config", CONFIG_VARIABLE) {
            CONFIG_VARIABLE => Faults(self.0.into_iter().map(|fault| format!("{fault} ({CONFIG_VARIABLE})")).collect()),
            _ => self,
        }
    }
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// The value of a variable, for `${NAME}` in values.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Variables of the user's documents that switch on what this version does not have.
const NOT_YET: [(&str, &str); 5] = [
    ("KAFKA_BROKERS", "reading logs from Kafka"),
    ("POSTGRES_URL", "PostgreSQL as a store"),
    ("VALKEY_HOST", "Valkey as a store or a queue"),
    ("VALKEY_PORT", "Valkey as a store or a queue"),
    ("VALKEY_DB", "Valkey as a store or a queue"),
];

/// Variables of the user's documents that other programs read as well: here they do nothing yet, and ask for nothing.
const WITHOUT_EFFECT: [(&str, &str); 1] = [("OPENAI_API_KEY", "insights by a model")];

/// The variable that names the configuration file.
const CONFIG_VARIABLE: &str = "WATCHFIRE_CONFIG";

/// All that is read from files before anything starts, or again at a reload.
pub struct Setup {
    /// The configuration in force.
    pub config: Config,
    /// The rule files that are there.
    pub rule_files: Vec<PathBuf>,
    /// Their rules.
    pub rules: RuleSet,
    /// Who may come in, if anybody is asked.
    pub credentials: Option<Credentials>,
    /// What TLS clients are greeted with, if TLS is spoken.
    pub tls: Option<Material>,
}

/// Reads the configuration and every file that it names, and puts over it what flags say. Relative paths are meant
/// from where we run.
///
/// Errors: all faults of all files at once.
pub fn setup(file: Option<&Path>, flags: Option<&Serve>) -> Result<Setup, Faults> {
    let (mut config, mut faults) = config(file).map_err(|faults| match flags {
        Some(_) => faults.of_named_config(),
        None => faults,
    })?;
    if let Some(flags) = flags {
        faults.extend(put_over(&mut config, &flags.over));
        faults.extend(roles_that_cannot(&config, flags));
    }
    let mut keep = |outcome: Faults| faults.extend(outcome.0);
    let rule_files = rule_files(&config);
    let rules = rules(&rule_files, &config.alerting.receivers).map_err(&mut keep).unwrap_or_default();
    let rules = rules.with_external(external(&config));
    let tls = tls(&config).map_err(&mut keep).unwrap_or_default();
    let credentials = credentials(&config).map_err(&mut keep).unwrap_or_default();
    if faults.is_empty() { Ok(Setup { config, rule_files, rules, credentials, tls }) } else { Err(Faults(faults)) }
}

fn is_set(variable: &str) -> bool {
    environment(variable).is_some_and(|value| !value.is_empty())
}

/// What to say of variables that are set and change nothing.
pub fn without_effect() -> Vec<String> {
    let told = |(name, what): &(&str, &str)| {
        format!("environment variable {name} has no effect: {what} is not in this version yet")
    };
    WITHOUT_EFFECT.iter().filter(|(name, _)| is_set(name)).map(told).collect()
}

/// Puts over the file's values what flags and the environment say; answers what is wrong then.
pub fn put_over(config: &mut Config, over: &Over) -> Vec<String> {
    let refused = NOT_YET.iter().filter(|(name, _)| is_set(name));
    let told = |(name, what): &(&str, &str)| {
        format!("environment variable {name} ({what}) is not in this version yet; unset it")
    };
    let mut wrong: Vec<String> = refused.map(told).collect();
    if let Some(dir) = &over.data_dir {
        config.data_dir.clone_from(dir);
    }
    if !over.listen.is_empty() {
        config.listen.clone_from(&over.listen);
        let given = given_by("--listen", "WATCHFIRE_LISTEN");
        wrong.extend(config::check_exposure(config).into_iter().map(|(_, message)| format!("{given}: {message}")));
    }
    wrong
}

/// Reads a configuration file; without one, the defaults. Answers its faults too.
fn config(file: Option<&Path>) -> Result<(Config, Vec<String>), Faults> {
    let Some(file) = file else { return Ok((Config::default(), Vec::new())) };
    let text = read(file)?;
    let line = |fault| placed(file, &fault);
    let (mut config, faults) =
        config::parse(&text, &environment).map_err(|faults| Faults(faults.into_iter().map(line).collect()))?;
    config.place_log_files(file.parent().unwrap_or(Path::new("")));
    Ok((config, faults.into_iter().map(line).collect()))
}

/// A fault of a configuration file, as it is told.
pub fn placed(file: &Path, fault: &config::Fault) -> String {
    format!("{}:{}:{}: {}", file.display(), fault.place.line, fault.place.column, fault.message)
}

/// The keys and users that the configuration names.
pub fn credentials(config: &Config) -> Result<Option<Credentials>, Faults> {
    let Auth::Files(files) = &config.auth else { return Ok(None) };
    let mut faults = Vec::new();
    let mut parsed = Credentials::default();
    if let Some(file) = &files.api_keys {
        parsed.keys = parse_file(file, Keys::parse).map_err(|Faults(told)| faults.extend(told)).unwrap_or_default();
    }
    if let Some(file) = &files.basic_users {
        parsed.users = parse_file(file, Users::parse).map_err(|Faults(told)| faults.extend(told)).unwrap_or_default();
    }
    if faults.is_empty() { Ok(Some(parsed)) } else { Err(Faults(faults)) }
}

/// Opens the files that queries and failed scrapes are written to.
///
/// Errors: one of them cannot be opened.
pub fn json_logs(config: &Config, logs: &JsonLogs) -> Result<Opened, String> {
    let of_jobs = config.scrape.iter().filter_map(|job| job.failure_log.as_deref());
    logs.open(config.query_log.as_deref(), of_jobs).map_err(|error| error.to_string())
}

/// The files of those who may come in.
pub fn auth_files(config: &Config) -> impl Iterator<Item = &Path> {
    let files = match &config.auth {
        Auth::Files(files) => [files.api_keys.as_deref(), files.basic_users.as_deref()],
        Auth::Absent | Auth::None => [None, None],
    };
    files.into_iter().flatten()
}

/// The files with secrets that are read when they are needed.
fn secret_files(config: &Config) -> Vec<PathBuf> {
    let of_receiver = |receiver: &config::Receiver| {
        let webhook = receiver.webhook.as_ref();
        let webhook = webhook.map(|hook| [&hook.url_file, &hook.password_file, &hook.bearer_token_file]);
        let email = receiver.email.as_ref().map(|email| &email.password_file);
        let files = webhook.into_iter().flatten().chain(email).flatten();
        files.cloned().collect::<Vec<_>>()
    };
    let mut files: Vec<PathBuf> = config.alerting.receivers.iter().flat_map(of_receiver).collect();
    files.extend(auth_files(config).map(Path::to_owned));
    files.extend(config.tls.iter().map(|files| files.key.clone()));
    let of_jobs = config.scrape.iter().flat_map(ScrapeConfig::http_configs);
    files.extend(of_jobs.flat_map(HttpConfig::secret_files).map(Path::to_owned));
    files.extend(config.metrics.backend.iter().flat_map(Address::secret_files).map(Path::to_owned));
    files.extend(config.remote_write.iter().flat_map(Destination::secret_files).map(Path::to_owned));
    files.extend(config.dead_mans_switch.iter().filter_map(|switch| switch.url.path()).map(Path::to_owned));
    files.sort();
    files.dedup();
    files
}

/// With what our clients speak TLS.
fn client_tls(config: &Config) -> Vec<TlsConfig> {
    let of_jobs = config.scrape.iter().flat_map(ScrapeConfig::http_configs);
    let of_destinations = config.remote_write.iter().map(|destination| &destination.http);
    let all = of_jobs.chain(config.metrics.backend.iter().map(|backend| &backend.http)).chain(of_destinations);
    let emails = config.alerting.receivers.iter().filter_map(|receiver| receiver.email.as_ref()?.ca_file.clone());
    let of_email = |ca: PathBuf| TlsConfig { ca: Some(Text::File(ca)), ..TlsConfig::default() };
    all.flat_map(HttpConfig::tls_configs).cloned().chain(emails.map(of_email)).collect()
}

/// What is wrong with files that clients read when they need them: secrets that are not there, certificates that are not or cannot
/// be used. They may be mended yet, so this is no reason not to start. Blocks.
pub fn client_file_faults(config: &Config) -> Vec<String> {
    let tls = client_tls(config);
    let mut faults: Vec<(PathBuf, String)> = tls.iter().flat_map(tls_faults).collect();
    // Whoever reads one says so in other words.
    faults.retain(|(file, _)| file.exists());
    let missing = secret_files(config).into_iter().chain(tls.iter().flat_map(TlsConfig::files).map(Path::to_owned));
    let told = "there is no such file; make it, or mend the path that leads here";
    faults.extend(missing.filter(|file| !file.exists()).map(|file| (file, told.to_owned())));
    faults.sort();
    faults.dedup();
    faults.into_iter().map(|(file, what)| format!("{}:1:1: {what}", file.display())).collect()
}

/// Tells in our log what is not wrong but unwise: files with secrets that everyone may read or that are not there, keys
/// sent in the clear.
pub fn warn_of(config: &Config) {
    let too_open = secret_files(config).into_iter().filter_map(|file| secret_file::too_open(&file));
    for warning in too_open.chain(client_file_faults(config)) {
        tracing::warn!("{warning}");
    }
    for told in without_effect() {
        tracing::warn!("{told}");
    }
    let exposed = config.listen.iter().find(|address| !address.ip().is_loopback());
    if let (Some(address), Auth::Files(_), None) = (exposed, &config.auth, &config.tls) {
        tracing::warn!(%address, "keys and passwords reach this address unencrypted; add `tls`, or a proxy that has it");
    }
}

/// Certificate, key and authorities that the configuration names.
pub fn tls(config: &Config) -> Result<Option<Material>, Faults> {
    let Some(files) = &config.tls else { return Ok(None) };
    let mut faults = Vec::new();
    let mut bytes = |file: &Path| read_bytes(file).map_err(|Faults(told)| faults.extend(told)).ok();
    let (cert, key) = (bytes(&files.cert), bytes(&files.key));
    let client_ca = files.client_ca.as_deref().map(&mut bytes);
    let (Some(cert), Some(key), None | Some(Some(_))) = (cert, key, &client_ca) else { return Err(Faults(faults)) };
    Material::read(&cert, &key, client_ca.flatten().as_deref()).map(Some).map_err(|error| {
        let file = match error.part {
            Part::Certificate => &files.cert,
            Part::Key => &files.key,
            Part::ClientAuthorities => files.client_ca.as_ref().unwrap_or(&files.cert),
        };
        Faults(vec![format!("{}:1:1: {error}", file.display())])
    })
}

/// The files of TLS.
pub fn tls_files(config: &Config) -> impl Iterator<Item = &Path> {
    let files = config.tls.as_ref();
    let files = files.map(|files| [Some(&files.cert), Some(&files.key), files.client_ca.as_ref()]);
    files.into_iter().flatten().flatten().map(PathBuf::as_path)
}

fn parse_file<T>(file: &Path, parse: impl Fn(&str) -> Result<T, Vec<FileError>>) -> Result<T, Faults> {
    parse(&read(file)?).map_err(|errors| Faults(secret_file::told(file, &errors)))
}

/// The text of a file.
pub fn read(file: &Path) -> Result<String, Faults> {
    String::from_utf8(read_bytes(file)?)
        .map_err(|_| Faults(vec![format!("{}:1:1: cannot be read: it is no UTF-8 text", file.display())]))
}

/// The bytes of a file.
pub fn read_bytes(file: &Path) -> Result<Vec<u8>, Faults> {
    std::fs::read(file).map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "there is no such file; make it, or mend the path that leads here".to_owned()
            }
            std::io::ErrorKind::IsADirectory => "this is a folder; name the files in it, with * if need be".to_owned(),
            _ => error.to_string(),
        };
        Faults(vec![format!("{}:1:1: cannot be read: {why}", file.display())])
    })
}

/// The rule files that the configuration names: files and globs; a file that was not asked for by name need not
/// be there.
fn rule_files(config: &Config) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in &config.alerting.rules_path {
        if path.contains(['*', '?', '[']) {
            // What is no pattern was told, with its place, by who read the configuration.
            let found = glob::glob(path).into_iter().flatten().flatten();
            files.extend(found.filter(|file| file.is_file()));
        } else if Path::new(path).exists() || config.alerting.rules_path_given {
            files.push(PathBuf::from(path));
        }
    }
    files.sort();
    files.dedup();
    files
}

/// Names and texts of rule files, and why the others cannot be read.
pub fn rule_texts(files: &[PathBuf]) -> (Vec<(String, String)>, Vec<String>) {
    let mut texts = Vec::new();
    let mut faults = Vec::new();
    for file in files {
        match read(file) {
            Ok(text) => texts.push((file.display().to_string(), text)),
            Err(Faults(lines)) => faults.extend(lines),
        }
    }
    (texts, faults)
}

/// Reads rule files, all faults of all of them at once; `receivers` are those whose names rules may use.
fn rules(files: &[PathBuf], receivers: &[config::Receiver]) -> Result<RuleSet, Faults> {
    let (texts, mut faults) = rule_texts(files);
    let known: Vec<&str> = receivers.iter().map(|known| known.name.as_str()).collect();
    match RuleSet::load_with_receivers(&texts, Some(&known)) {
        Ok(rules) if faults.is_empty() => Ok(rules),
        Ok(_) => Err(Faults(faults)),
        Err(errors) => {
            faults.extend(errors.iter().map(ToString::to_string));
            Err(Faults(faults))
        }
    }
}

/// What the chosen roles cannot do together.
fn roles_that_cannot(config: &Config, flags: &Serve) -> Vec<String> {
    let has = |role| flags.roles.has(role);
    let roles = given_by("--roles", "WATCHFIRE_ROLES");
    let mut faults = Vec::new();
    if has(Role::Alerting) && !has(Role::Metrics) && config.metrics.backend.is_none() {
        faults.push(format!(
            "{roles}: alerting asks for metrics, and there are none here; add the role metrics, or name a cluster in \
             `metrics.backend`"
        ));
    }
    if flags.input.stdin && !has(Role::Ingestion) {
        faults.push(format!("--stdin takes logs in, and that is the role ingestion; add it to {roles}"));
    }
    if config.canary_every_ms.is_some() && flags.roles != Roles::ALL {
        let told = "`canary` goes the whole way from a line to a page, and needs all roles; remove it, or change";
        faults.push(format!("{told} {roles}"));
    }
    faults
}

/// How this server is called outside.
pub fn external(config: &Config) -> External {
    External { labels: config.external_labels.clone(), url: receivers::external_url(config) }
}

/// The user's line formats.
pub fn parsers(config: &Config) -> Result<Parsers, String> {
    let custom = config
        .parsers
        .iter()
        .map(|parser| CustomParser::new(&parser.name, &parser.pattern, &parser.fields).map_err(|faults| join(&faults)));
    Ok(Parsers::new(custom.collect::<Result<_, _>>()?))
}

/// The extraction rules, those out of the box with them.
pub fn extractor(config: &Config) -> Result<Extractor, String> {
    Extractor::new(&config.extract, config.metrics.late_after_ms, Timestamp::now()).map_err(|faults| join(&faults))
}

/// Faults that the reader of the configuration should have told with their places.
fn join(faults: &[impl ToString]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Milliseconds as a duration; negative ones are none.
pub fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// What holds of groups of rules that say nothing themselves.
pub fn group_defaults(config: &Config) -> GroupDefaults {
    let Alerting { check_interval_ms, query_offset_ms, .. } = config.alerting;
    GroupDefaults { check_interval_ms, query_offset_ms }
}

/// What a query of a rule may use; what came late is not for rules.
pub fn query_limits(config: &Config) -> Limits {
    let limits = &config.limits;
    let timeout = duration(limits.query_timeout_ms);
    let default_step_ms = config.subquery_step_ms;
    Limits { samples_max: limits.query_samples, timeout, default_step_ms, live_only: true, ..Limits::default() }
}

/// A bound syslog address.
pub enum SyslogSocket {
    /// Datagrams.
    Udp(UdpSocket),
    /// Streams.
    Tcp(TcpListener),
}

/// Binds a syslog address.
pub async fn bind_syslog(source: Syslog) -> Result<SyslogSocket, String> {
    let (address, bound) = match source {
        Syslog::Udp(address) => (address, UdpSocket::bind(address).await.map(SyslogSocket::Udp)),
        Syslog::Tcp(address) => (address, TcpListener::bind(address).await.map(SyslogSocket::Tcp)),
    };
    bound.map_err(|error| format!("syslog on {address} cannot be received: {error}"))
}
