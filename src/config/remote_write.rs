//! `remote_write`, as Prometheus reads it, with two keys of our own.

use std::time::Duration;

use watchfire_remote_write::config::{Address, Destination, Metadata, Protocol, Queue};
use watchfire_scrape::config::Text;
use watchfire_yaml::section::Section;
use watchfire_yaml::tree::{Node, Place};

use super::Config;
use super::read::web_address;
use super::{scrape_http, scrape_relabel};

const PATH: &str = "remote_write";
/// The log lies in files of 64 MiB, and the newest ones are kept in any case.
const HOLD_LIMIT_MIN: u64 = 256 << 20;

/// Reads the list.
pub fn read(top: &mut Section<'_>, config: &mut Config) {
    for node in top.only_list(PATH) {
        let Some(destination) = read_destination(node, top) else { continue };
        if config.remote_write.iter().any(|other| other.label() == destination.label()) {
            let message = match &destination.name {
                Some(name) => format!("`{PATH}`: two destinations are named `{name}`; rename one"),
                None => format!("`{PATH}`: two destinations have the same `url`; give each a `name`"),
            };
            top.fault(node.place, message);
        }
        config.remote_write.push(destination);
    }
}

fn read_destination(node: &Node, top: &mut Section<'_>) -> Option<Destination> {
    let mut section = Section::new(PATH, Some(node), top.faults());
    let expected = "an address (write https://metrics.example.org/api/v1/write)";
    let url = section.parsed_secret("url", expected, web_address);
    if section.node("url").is_none() {
        section.fault(node.place, format!("`{PATH}` needs `url`: where samples are sent"));
    }
    let mut destination = Destination::new("");
    destination.name = section.text("name").filter(|name| !name.is_empty()).map(str::to_owned);
    duration(&mut destination.timeout, &mut section, "remote_timeout", 1);
    destination.headers = read_headers(&mut section);
    destination.relabel = scrape_relabel::read(&mut section, "write_relabel_configs");
    destination.http = scrape_http::read(&mut section);
    let protocol = Protocol::NAMES.iter().find(|(_, protocol)| *protocol == destination.protocol);
    section.defaults_to("protobuf_message", protocol.map_or("", |(name, _)| name));
    let messages = Protocol::NAMES.map(|(name, _)| name);
    set(&mut destination.protocol, section.word("protobuf_message", &messages, Protocol::parse));
    destination.queue = read_queue(&mut section);
    destination.metadata = read_metadata(&mut section);
    destination.hold_limit_bytes = section.bytes_or("hold_limit", HOLD_LIMIT_MIN, destination.hold_limit_bytes);
    duration(&mut destination.totals_every, &mut section, "totals_interval", 1000);
    // A name is looked up for each new connection, so that it is no matter what is said.
    section.boolean("round_robin_dns");
    destination.send_exemplars = section.boolean_or("send_exemplars", destination.send_exemplars);
    destination.send_natives = section.boolean_or("send_native_histograms", destination.send_natives);
    section.not_yet("google_iam", "Google's IAM");
    section.finish();
    url.map(|url| Destination { url: Address(url), ..destination })
}

fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

/// A duration of at least `least` milliseconds; what is there already holds if the key is absent.
fn duration(target: &mut Duration, section: &mut Section<'_>, key: &'static str, least: i64) {
    let default_ms = i64::try_from(target.as_millis()).unwrap_or(i64::MAX);
    *target = Duration::from_millis(section.duration_or(key, least, default_ms).unsigned_abs());
}

/// Headers of the user's.
pub(super) fn read_headers(section: &mut Section<'_>) -> Vec<(String, Text)> {
    let (node, path) = section.section("headers");
    section.is_secret("headers");
    let headers = Section::new(&path, node, section.faults()).free_texts();
    let headers: Vec<(String, Text, Place)> =
        headers.into_iter().map(|(name, value, place)| (name.to_owned(), Text::Inline(value.into()), place)).collect();
    for (name, _, place) in &headers {
        if scrape_http::is_ours(name) {
            section
                .fault(*place, format!("`{path}`: {name} is written by us; use `basic_auth`, `authorization` or none"));
        }
    }
    headers.into_iter().map(|(name, value, _)| (name, value)).collect()
}

fn read_queue(section: &mut Section<'_>) -> Queue {
    let (node, path) = section.section("queue_config");
    let mut section = Section::new(&path, node, section.faults());
    let mut queue = Queue::default();
    for (key, number) in [
        ("capacity", &mut queue.capacity),
        ("max_shards", &mut queue.max_shards),
        ("min_shards", &mut queue.min_shards),
        ("max_samples_per_send", &mut queue.max_samples_per_send),
    ] {
        // More than a million of any of them is a mistake, and would be memory without bounds.
        section.defaults_to(key, *number);
        let whole = section.parsed(key, "a whole number from 1 to 1000000", |text| {
            text.parse().ok().filter(|number| (1..=1_000_000).contains(number))
        });
        set(number, whole);
    }
    for (key, least, target) in [
        ("batch_send_deadline", 1, &mut queue.batch_send_deadline),
        ("min_backoff", 1, &mut queue.min_backoff),
        ("max_backoff", 1, &mut queue.max_backoff),
        ("sample_age_limit", 0, &mut queue.sample_age_limit),
    ] {
        duration(target, &mut section, key, least);
    }
    queue.retry_on_http_429 = section.boolean_or("retry_on_http_429", queue.retry_on_http_429);
    for (low, high, is_wrong) in [
        ("min_shards", "max_shards", queue.min_shards > queue.max_shards),
        ("min_backoff", "max_backoff", queue.min_backoff > queue.max_backoff),
    ] {
        let place = section.node(low).or(section.node(high)).map(|node| node.place);
        if let (true, Some(place)) = (is_wrong, place) {
            section.fault(place, format!("`{path}`: `{low}` is more than `{high}`; lower it, or raise the other"));
        }
    }
    section.finish();
    queue
}

fn read_metadata(section: &mut Section<'_>) -> Option<Metadata> {
    let (node, path) = section.section("metadata_config");
    let mut section = Section::new(&path, node, section.faults());
    let mut metadata = Metadata::default();
    let is_sent = section.boolean_or("send", true);
    duration(&mut metadata.every, &mut section, "send_interval", 1);
    let many = section.integer_or("max_samples_per_send", 1, metadata.max_samples_per_send as u64);
    metadata.max_samples_per_send = usize::try_from(many).unwrap_or(usize::MAX);
    section.finish();
    is_sent.then_some(metadata)
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn all_keys_are_read() {
        let text = r#"
global: {external_labels: {region: eu}}
remote_write:
  - url: https://far.example.org/api/v1/push?token=secret
    name: far
    remote_timeout: 10s
    headers: {X-Scope-OrgID: team-a}
    write_relabel_configs: [{source_labels: [__name__], regex: "debug_.*", action: drop}]
    basic_auth: {username: me, password: secret}
    tls_config: {insecure_skip_verify: true}
    proxy_url: http://proxy.example.org:3128
    follow_redirects: false
    enable_http2: true
    protobuf_message: io.prometheus.write.v2.Request
    send_exemplars: true
    send_native_histograms: false
    queue_config: {capacity: 5000, max_shards: 4, min_shards: 2, max_samples_per_send: 500, batch_send_deadline: 1s, min_backoff: 10ms, max_backoff: 1s, retry_on_http_429: false, sample_age_limit: 1h}
    metadata_config: {send: true, send_interval: 2m, max_samples_per_send: 100}
    hold_limit: 1GiB
    totals_interval: 30s
  - url: http://near.example.org/write
    metadata_config: {send: false}
"#;
        let (config, faults) = parse(text, &|_| None).expect("it is YAML");
        assert_eq!(faults, []);
        let [far, near] = config.remote_write.as_slice() else { panic!("{:?}", config.remote_write) };
        assert!(!format!("{far:?}").contains("secret"), "{far:?}");
        assert_eq!((far.label().as_str(), far.protocol, far.relabel.len()), ("far", Protocol::V2, 1));
        assert_eq!((far.timeout, far.send_exemplars, near.send_exemplars), (Duration::from_secs(10), true, false));
        let queue = Queue {
            capacity: 5000,
            max_shards: 4,
            min_shards: 2,
            max_samples_per_send: 500,
            batch_send_deadline: Duration::from_secs(1),
            min_backoff: Duration::from_millis(10),
            max_backoff: Duration::from_secs(1),
            retry_on_http_429: false,
            sample_age_limit: Duration::from_secs(3600),
        };
        assert_eq!(far.queue, queue);
        let metadata = Metadata { every: Duration::from_secs(120), max_samples_per_send: 100 };
        assert_eq!((&far.metadata, far.hold_limit_bytes), (&Some(metadata), 1 << 30));
        assert_eq!(far.totals_every, Duration::from_secs(30));
        assert_eq!((&near.metadata, &near.queue), (&None, &Queue::default()));
    }
}
