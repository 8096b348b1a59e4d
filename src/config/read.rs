//! From the tree to [`Config`], a function per section.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use watchfire_alerting::Secret;
use watchfire_queue::DISK_LIMIT_MIN;
use watchfire_yaml::faults::Faults;
use watchfire_yaml::outline::Outline;
use watchfire_yaml::section::Section;
use watchfire_yaml::tree::{self, Fault, Kind, Node, Place};

use super::items::{read_extracts, read_parsers};
use super::receivers;
use super::remote_write;
use super::scrape;
use super::{Alerting, Auth, AuthFiles, Config, DeadMansSwitch, Syslog, TlsFiles, check_exposure};
use super::{backend, files};

/// Below these sizes, bytes, a part does nothing but to throw away what it has just taken.
const MEMORY_LIMIT_MIN: u64 = 1 << 20;
const SNAPSHOT_LOG_MIN: u64 = 64 << 10;
const LOGS_DISK_LIMIT_MIN: u64 = 1 << 20;
/// Shortest distance between two canary lines, milliseconds.
const CANARY_EVERY_MIN_MS: i64 = 5000;
/// An hour, milliseconds.
const HOUR_MS: i64 = 3_600_000;

/// Reads a configuration file; `environment` answers `${NAME}` in values.
///
/// Answers what could be read and every fault in it, in the order of the file: with faults, the configuration is
/// good only for finding more of them in the files that it names.
///
/// Errors: faults of a file that is no YAML.
pub fn parse(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<(Config, Vec<Fault>), Vec<Fault>> {
    let (root, mut faults) = tree::parse(text, environment)?;
    let config = read_root(&root, &mut faults);
    Ok((config, faults.sorted()))
}

/// Reads a configuration file as [`parse`] does, and answers its tree and what was asked of it too.
///
/// Errors: all faults of the file.
pub fn parse_outlined(
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(Config, Node, Outline), Vec<Fault>> {
    let (root, of_tree) = tree::parse(text, environment)?;
    let mut faults = Faults::outlining(Outline::default());
    let config = read_root(&root, &mut faults);
    faults.extend(of_tree.sorted());
    if faults.is_empty() { Ok((config, root, faults.into_outline())) } else { Err(faults.sorted()) }
}

/// All keys that a configuration file may have.
pub fn outline() -> Outline {
    Outline::of(|file, known| {
        let mut faults = Faults::outlining(known);
        read_root(file, &mut faults);
        faults.into_outline()
    })
}

fn read_root(root: &Node, faults: &mut Faults) -> Config {
    let mut config = Config::default();
    let mut top = Section::new("", Some(root), faults);
    // Where each address stands, first those of `listen`, then those of syslog.
    let (listen, mut places): (Vec<_>, Vec<_>) = read_addresses(&mut top, "listen").into_iter().unzip();
    if !listen.is_empty() {
        config.listen = listen;
    } else if let Some(node) =
        top.node("listen").filter(|node| matches!(&node.kind, Kind::List(items) if items.is_empty()))
    {
        top.fault(node.place, "`listen` names no address; write [\"127.0.0.1:8080\"], or leave it out");
    }
    places.resize(config.listen.len(), Place::default());
    top.defaults_to("data_dir", config.data_dir.display());
    set(&mut config.data_dir, top.folder("data_dir"));
    read_dashboard(&mut top, &mut config);
    read_metrics(&mut top, &mut config);
    read_logs(&mut top, &mut config);
    read_queue(&mut top, &mut config);
    read_parsers(&mut top, &mut config);
    places.extend(read_sources(&mut top, &mut config));
    check_ports(&mut top, &config, &places);
    read_extracts(&mut top, &mut config);
    scrape::read(&mut top, &mut config);
    remote_write::read(&mut top, &mut config);
    read_alerting(&mut top, &mut config);
    read_auth(&mut top, &mut config, &places);
    read_tls(&mut top, &mut config);
    top.defaults_to("allowed_hosts", "[]");
    for (text, place) in top.texts("allowed_hosts") {
        if text.is_empty() || text.contains(['/', ' ']) {
            top.fault(place, format!("`allowed_hosts`: `{text}` is no host name; write watchfire.example.org"));
        }
        config.allowed_hosts.push(text.to_owned());
    }
    top.defaults_to("cors", "[]");
    for (text, place) in top.texts("cors") {
        let host = text.split_once("://").map_or("", |(_, host)| host);
        if text != "*" && (host.is_empty() || host.contains(['/', ' ', '*'])) {
            let mend = if host.contains('*') {
                "write each by its whole name, or \"*\" alone for all pages"
            } else {
                "write https://app.example.org, without a path"
            };
            top.fault(place, format!("`cors`: `{text}` is no origin; {mend}"));
        }
        config.cors.push(text.to_owned());
    }
    read_limits(&mut top, &mut config);
    config.admin_api = top.boolean_or("admin_api", config.admin_api);
    read_canary(&mut top, &mut config);
    config.dead_mans_switch = read_dead_mans_switch(&mut top);
    for (key, what) in [
        ("kafka", "reading logs from Kafka"),
        ("elasticsearch", "Elasticsearch as a store"),
        ("postgres", "PostgreSQL as a store"),
        ("valkey", "Valkey as a store or a queue"),
    ] {
        top.not_yet(key, what);
    }
    top.finish();
    config
}

fn resolve(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| text.to_socket_addrs().ok()?.next())
}

fn read_addresses(section: &mut Section<'_>, key: &'static str) -> Vec<(SocketAddr, Place)> {
    let mut addresses: Vec<(SocketAddr, Place)> = Vec::new();
    for (text, place) in section.texts(key) {
        match resolve(text) {
            Some(address) if addresses.iter().any(|(have, _)| *have == address) => {
                section.fault(place, format!("`{}`: {address} stands twice; keep one", section.name(key)));
            }
            Some(address) => addresses.push((address, place)),
            None => {
                let message = format!("`{}`: `{text}` is no address (write 127.0.0.1:8080)", section.name(key));
                section.fault(place, message);
            }
        }
    }
    addresses
}

/// Tells of addresses that stand twice; `places` are those of `listen` and then of `sources.syslog`. Port 0 is a free
/// one each time. (That `metrics.port` is one of `listen` means that there is no second listener.)
fn check_ports(top: &mut Section<'_>, config: &Config, places: &[Place]) {
    let mut taken: Vec<(bool, SocketAddr)> = Vec::new();
    if config.metrics.port_given
        && let Some(first) = config.listen.first()
    {
        taken.push((true, SocketAddr::new(first.ip(), config.metrics.port)));
    }
    let own = taken.len();
    let listen = config.listen.iter().map(|address| (true, *address));
    let syslog = config.syslog.iter().map(|source| match source {
        Syslog::Tcp(address) => (true, *address),
        Syslog::Udp(address) => (false, *address),
    });
    for (at, address) in listen.chain(syslog).enumerate() {
        // Two addresses of `listen` were compared as they were read, but for the port of `dashboard`.
        let before = if at < config.listen.len() { own } else { 0 };
        if address.1.port() != 0 && taken.iter().skip(before).any(|have| *have == address) {
            let place = places.get(at).copied().unwrap_or_default();
            top.fault(place, format!("{} is taken by another key of this file; choose another port", address.1));
        }
        taken.push(address);
    }
}

fn read_dashboard(top: &mut Section<'_>, config: &mut Config) {
    let (node, path) = top.section("dashboard");
    let mut dashboard = Section::new(&path, node, top.faults());
    let port = dashboard.parsed("port", "a port (1 to 65535)", |text| text.parse::<u16>().ok().filter(|p| *p > 0));
    if let (Some(port), Some(first)) = (port, config.listen.first_mut()) {
        first.set_port(port);
    }
    dashboard.finish();
}

fn read_metrics(top: &mut Section<'_>, config: &mut Config) {
    let (node, path) = top.section("metrics");
    let mut section = Section::new(&path, node, top.faults());
    let metrics = &mut config.metrics;
    section.defaults_to("port", metrics.port);
    if let Some(port) = section.parsed("port", "a port (0 for none, to 65535)", |text| text.parse().ok()) {
        metrics.port = port;
        metrics.port_given = true;
    }
    read_days(&mut section, "retention_days", &mut metrics.retention_ms);
    section.defaults_to("memory_hours", metrics.memory_ms / HOUR_MS);
    if let Some(hours) = section.integer("memory_hours", 1) {
        metrics.memory_ms = i64::try_from(hours).unwrap_or(i64::MAX / 4_000_000).saturating_mul(HOUR_MS);
    }
    metrics.memory_limit_bytes = section.bytes_or("memory_limit", MEMORY_LIMIT_MIN, metrics.memory_limit_bytes);
    metrics.max_series = section.integer_or("max_series", 1, metrics.max_series);
    metrics.snapshot_log_bytes = section.bytes_or("snapshot_log", SNAPSHOT_LOG_MIN, metrics.snapshot_log_bytes);
    metrics.late_after_ms = section.duration_or("late_after", 1000, metrics.late_after_ms);
    metrics.backend = backend::read(&mut section);
    section.finish();
}

fn read_days(section: &mut Section<'_>, key: &'static str, millis: &mut i64) {
    section.defaults_to(key, *millis as f64 / (24 * HOUR_MS) as f64);
    let days = section.parsed(key, "a number of days above 0, up to 36500", |text| {
        text.parse::<f64>().ok().filter(|days| *days > 0.0 && *days <= 36_500.0)
    });
    set(millis, days.map(|days| (days * (24 * HOUR_MS) as f64) as i64));
}

fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

fn read_logs(top: &mut Section<'_>, config: &mut Config) {
    let (node, path) = top.section("logs");
    let mut section = Section::new(&path, node, top.faults());
    only_embedded(&mut section, "store");
    section.not_yet("also", "several log stores at once");
    read_days(&mut section, "retention_days", &mut config.logs.retention_ms);
    config.logs.disk_limit_bytes = section.bytes_or("disk_limit", LOGS_DISK_LIMIT_MIN, config.logs.disk_limit_bytes);
    config.logs.seal_after_ms = section.duration_or("seal_after", 100, config.logs.seal_after_ms);
    if section.has("archive") {
        let (node, path) = section.section("archive");
        let mut archive = Section::new(&path, node, section.faults());
        if archive.required_text("dir").is_some() {
            config.logs.archive_dir = archive.folder("dir");
        }
        archive.finish();
    }
    section.finish();
}

/// A key whose only value in this version is `embedded`.
fn only_embedded(section: &mut Section<'_>, key: &'static str) {
    section.defaults_to(key, "embedded");
    let text = section.text(key);
    let Some(place) = section.node(key).map(|node| node.place) else { return };
    let name = section.name(key);
    match text {
        Some("embedded") | None => {}
        Some(other @ ("elasticsearch" | "postgres" | "valkey" | "kafka")) => {
            section.fault(place, format!("`{name}: {other}` is not in this version yet; write `embedded`"));
        }
        Some(other) => section.fault(place, format!("`{name}`: `{other}` is unknown; write `embedded`")),
    }
}

fn read_queue(top: &mut Section<'_>, config: &mut Config) {
    let (node, path) = top.section("queue");
    let mut section = Section::new(&path, node, top.faults());
    only_embedded(&mut section, "type");
    config.queue_disk_limit_bytes = section.bytes_or("disk_limit", DISK_LIMIT_MIN, config.queue_disk_limit_bytes);
    // These shape batches of external queues and stores only; the embedded ones never wait for a batch to fill.
    section.integer("batch_size", 1);
    section.duration_ms("batch_wait");
    section.integer("max_retries", 0);
    section.finish();
}

/// Answers where each address of syslog stands.
fn read_sources(top: &mut Section<'_>, config: &mut Config) -> Vec<Place> {
    let mut places = Vec::new();
    let (node, path) = top.section("sources");
    let mut section = Section::new(&path, node, top.faults());
    for node in section.list("syslog") {
        let path = section.name("syslog");
        let mut entry = Section::new(&path, Some(node), section.faults());
        let expected = "an address (write 127.0.0.1:5514)";
        let udp = entry.parsed("udp", expected, resolve).map(Syslog::Udp);
        let tcp = entry.parsed("tcp", expected, resolve).map(Syslog::Tcp);
        if entry.node("udp").is_none() && entry.node("tcp").is_none() {
            entry.fault(node.place, "a syslog source needs `udp: ADDRESS` or `tcp: ADDRESS`");
        }
        places.extend(udp.and(entry.node("udp")).map(|node| node.place));
        places.extend(tcp.and(entry.node("tcp")).map(|node| node.place));
        entry.finish();
        config.syslog.extend(udp);
        config.syslog.extend(tcp);
    }
    files::read(&mut section, config);
    section.finish();
    places
}

fn read_alerting(top: &mut Section<'_>, config: &mut Config) {
    // Where a configuration of Prometheus names them.
    let mut rules_paths = read_paths(top, "rule_files");
    let (node, path) = top.section("alerting");
    let mut section = Section::new(&path, node, top.faults());
    let alerting: &mut Alerting = &mut config.alerting;
    if rules_paths.is_empty() {
        // The one file that need not be there is no value that could be written.
        section.defaults_to("rules_path", "[]");
    }
    rules_paths.extend(read_paths(&mut section, "rules_path"));
    if !rules_paths.is_empty() {
        alerting.rules_path = rules_paths;
        alerting.rules_path_given = true;
    }
    alerting.check_interval_ms = section.duration_or("check_interval", 100, alerting.check_interval_ms);
    section.not_yet("alertmanager_config", "Alertmanager's configuration");
    alerting.repeat_interval_ms = section.duration_or("repeat_interval", 1000, alerting.repeat_interval_ms);
    alerting.external_url =
        section.parsed("external_url", "an address (write https://watchfire.example.org)", web_address);
    for node in section.list("receivers") {
        if let Some(receiver) = receivers::read(node, &mut section) {
            if receiver.name == super::CANARY {
                section.fault(
                    node.place,
                    format!("`{}` is the name of the canary's own receiver; rename it", receiver.name),
                );
            }
            if alerting.receivers.iter().any(|have| have.name == receiver.name) {
                section.fault(node.place, format!("two receivers are named `{}`; rename one", receiver.name));
            }
            alerting.receivers.push(receiver);
        }
    }
    for (name, place) in section.texts("default_receivers") {
        if !alerting.receivers.iter().any(|receiver| receiver.name == name) {
            section.fault(place, format!("no receiver is named `{name}`; add it under `alerting.receivers`"));
        }
        alerting.default_receivers.push(name.to_owned());
    }
    section.finish();
}

/// Files and globs. That one is empty, or no pattern, is told.
fn read_paths(section: &mut Section<'_>, key: &'static str) -> Vec<String> {
    check_globs(section, key);
    section.texts(key).into_iter().map(|(text, _)| text.to_owned()).filter(|text| !text.is_empty()).collect()
}

fn check_globs(section: &mut Section<'_>, key: &'static str) {
    for node in section.list(key) {
        if let Kind::Scalar { text, .. } = &node.kind
            && text.is_empty()
        {
            section.fault(node.place, format!("`{}` is empty; write a path, or leave it out", section.name(key)));
        } else if let Kind::Scalar { text, .. } = &node.kind {
            check_glob(section, key, node, text);
        }
    }
}

/// The pattern of file names that stands in a node; what is wrong with it is told at its place.
pub(super) fn check_glob(
    section: &mut Section<'_>,
    key: &'static str,
    node: &Node,
    text: &str,
) -> Option<glob::Pattern> {
    let wrong = match glob::Pattern::new(text) {
        Ok(pattern) => return Some(pattern),
        Err(wrong) => wrong,
    };
    let offset = text.char_indices().nth(wrong.pos).map_or(text.len(), |(offset, _)| offset);
    let message = format!("`{}`: {}; put a character that is meant into brackets: [*]", section.name(key), wrong.msg);
    section.fault(node.place_at(offset), message);
    None
}

/// The text, if it is an address of the web.
pub(super) fn web_address(text: &str) -> Option<String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
    let is_host = !rest.is_empty() && !rest.starts_with(['/', ':', '?', '#']) && !rest.contains(char::is_whitespace);
    is_host.then(|| text.to_owned())
}

/// `places` are those of the addresses that we listen on.
fn read_auth(top: &mut Section<'_>, config: &mut Config, places: &[Place]) {
    top.or_words("auth", &["none"]);
    match top.node("auth") {
        None => {}
        Some(Node { kind: Kind::Scalar { text, .. }, place }) => {
            if text == "none" {
                config.auth = Auth::None;
            } else {
                top.fault(*place, format!("`auth`: `{text}` is unknown; write `none` or `{{api_keys_file: FILE}}`"));
            }
        }
        Some(node) => {
            let mut section = Section::new("auth", Some(node), top.faults());
            let api_keys = section.path("api_keys_file");
            let basic_users = section.path("basic_users_file");
            if api_keys.is_some() || basic_users.is_some() {
                config.auth = Auth::Files(AuthFiles { api_keys, basic_users });
            } else if section.node("api_keys_file").is_none() && section.node("basic_users_file").is_none() {
                let message = "`auth` needs `api_keys_file: FILE` or `basic_users_file: FILE` (or write `auth: none`)";
                section.fault(node.place, message);
            }
            section.finish();
        }
    }
    for (at, message) in check_exposure(config) {
        top.fault(places.get(at).copied().unwrap_or_default(), message);
    }
}

fn read_tls(top: &mut Section<'_>, config: &mut Config) {
    let Some(node) = top.node("tls") else { return };
    let mut section = Section::new("tls", Some(node), top.faults());
    let cert = section.required_text("cert_file").map(PathBuf::from);
    let key = section.required_text("key_file").map(PathBuf::from);
    let client_ca = section.path("client_ca_file");
    section.finish();
    config.tls = cert.zip(key).map(|(cert, key)| TlsFiles { cert, key, client_ca });
}

fn read_limits(top: &mut Section<'_>, config: &mut Config) {
    let (node, path) = top.section("limits");
    let mut section = Section::new(&path, node, top.faults());
    let limits = &mut config.limits;
    limits.body_bytes = section.bytes_or("body", 1024, limits.body_bytes);
    limits.line_bytes = section.bytes_or("line", 256, limits.line_bytes);
    limits.decompressed_bytes = section.bytes_or("decompressed", 1024, limits.decompressed_bytes);
    limits.labels_per_series = section.integer_or("labels_per_series", 1, limits.labels_per_series);
    limits.query_samples = section.integer_or("query_samples", 1, limits.query_samples);
    limits.query_timeout_ms = section.duration_or("query_timeout", 1, limits.query_timeout_ms);
    limits.query_memory_bytes = section.bytes_or("query_memory", 1 << 20, limits.query_memory_bytes);
    section.defaults_to("requests_per_second", limits.requests_per_second);
    let rate = section
        .parsed("requests_per_second", "a whole number up to 4294967295 (0 for no limit)", |text| text.parse().ok());
    set(&mut limits.requests_per_second, rate);
    section.finish();
}

fn read_canary(top: &mut Section<'_>, config: &mut Config) {
    let Some(node) = top.named("canary") else { return };
    let mut section = Section::new("canary", Some(node), top.faults());
    config.canary_every_ms = Some(section.duration_or("every", CANARY_EVERY_MIN_MS, 30_000));
    section.finish();
}

fn read_dead_mans_switch(top: &mut Section<'_>) -> Option<DeadMansSwitch> {
    let node = top.named("dead_mans_switch")?;
    let mut section = Section::new("dead_mans_switch", Some(node), top.faults());
    let url = section.parsed_secret("url", "an address (write https://hc.example.org/ping/ID)", |text| {
        web_address(text).map(Secret::inline)
    });
    let url_file = section.path("url_file").map(Secret::file);
    section.exclude("url", "url_file");
    if section.node("url").is_none() && section.node("url_file").is_none() {
        section.fault(node.place, "`dead_mans_switch` needs `url` (or `url_file`): who is pinged");
    }
    let every_ms = section.duration_or("every", 1000, 60_000);
    section.finish();
    Some(DeadMansSwitch { url: url.or(url_file)?, every_ms })
}
