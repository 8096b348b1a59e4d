//! `remote_write`, as Prometheus reads it, with two keys of our own.

use std::time::Duration;

use watchfire_remote_write::config::{Address, Destination, Metadata, Protocol, Queue};
use watchfire_scrape::config::Text;
use watchfire_yaml::section::Section;
use watchfire_yaml::tree::{Node, Place};

use super::Config;
use super::read::{boolean, web_address};
use super::{scrape_http, scrape_relabel};

const PATH: &str = "remote_write";
/// The log lies in files of 64 MiB, and the newest ones are kept in any case.
const HOLD_LIMIT_MIN: u64 = 256 << 20;
/// Headers that are ours to write, as Prometheus has it.
const RESERVED_HEADERS: [&str; 13] = [
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
];

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
    set_duration(&mut destination.timeout, section.duration_from("remote_timeout", 1));
    destination.headers = read_headers(&mut section);
    destination.relabel = scrape_relabel::read(&mut section, "write_relabel_configs");
    destination.http = scrape_http::read(&mut section);
    let messages: Vec<&str> = Protocol::NAMES.iter().map(|(name, _)| *name).collect();
    let expected = format!("one of {}", messages.join(", "));
    set(&mut destination.protocol, section.parsed("protobuf_message", &expected, Protocol::parse));
    destination.queue = read_queue(&mut section);
    destination.metadata = read_metadata(&mut section);
    set(&mut destination.hold_limit_bytes, section.bytes_from("hold_limit", HOLD_LIMIT_MIN));
    set_duration(&mut destination.totals_every, section.duration_from("totals_interval", 1000));
    // A name is looked up for each new connection, so that it is no matter what is said.
    boolean(&mut section, "round_robin_dns");
    set(&mut destination.send_exemplars, boolean(&mut section, "send_exemplars"));
    set(&mut destination.send_natives, boolean(&mut section, "send_native_histograms"));
    section.not_yet("google_iam", "Google's IAM");
    section.finish();
    url.map(|url| Destination { url: Address(url), ..destination })
}

fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

fn set_duration(target: &mut Duration, millis: Option<i64>) {
    set(target, millis.map(|millis| Duration::from_millis(millis.unsigned_abs())));
}

/// Headers of the user's.
pub(super) fn read_headers(section: &mut Section<'_>) -> Vec<(String, Text)> {
    let (node, path) = section.section("headers");
    let headers = Section::new(&path, node, section.faults()).free_texts();
    let headers: Vec<(String, Text, Place)> =
        headers.into_iter().map(|(name, value, place)| (name.to_owned(), Text::Inline(value.into()), place)).collect();
    for (name, _, place) in &headers {
        if RESERVED_HEADERS.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
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
        let whole = section.parsed(key, "a whole number from 1 to 1000000", |text| {
            text.parse().ok().filter(|number| (1..=1_000_000).contains(number))
        });
        set(number, whole);
    }
    for (key, least, duration) in [
        ("batch_send_deadline", 1, &mut queue.batch_send_deadline),
        ("min_backoff", 1, &mut queue.min_backoff),
        ("max_backoff", 1, &mut queue.max_backoff),
        ("sample_age_limit", 0, &mut queue.sample_age_limit),
    ] {
        set_duration(duration, section.duration_from(key, least));
    }
    set(&mut queue.retry_on_http_429, boolean(&mut section, "retry_on_http_429"));
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
    let is_sent = boolean(&mut section, "send").unwrap_or(true);
    set_duration(&mut metadata.every, section.duration_from("send_interval", 1));
    let many = section.integer("max_samples_per_send", 1);
    set(&mut metadata.max_samples_per_send, many.map(|many| usize::try_from(many).unwrap_or(usize::MAX)));
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
