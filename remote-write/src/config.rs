//! Where samples are sent and how, as plain data. The binary makes it from `remote_write`.

use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};
use watchfire_scrape::config::{HttpConfig, Text};
use watchfire_scrape::relabel::RelabelRule;

/// One entry of `remote_write`: a destination.
#[derive(Clone, Debug, PartialEq)]
pub struct Destination {
    /// Its name, if it was given one.
    pub name: Option<String>,
    /// Where requests go; it may hold a secret.
    pub url: Address,
    /// Longest time for one.
    pub timeout: Duration,
    /// Headers of the user's.
    pub headers: Vec<(String, Text)>,
    /// Change labels, or leave series out.
    pub relabel: Vec<RelabelRule>,
    /// How the receiver is spoken with.
    pub http: HttpConfig,
    /// The message that is sent.
    pub protocol: Protocol,
    /// Native histograms are sent too.
    pub send_natives: bool,
    /// Exemplars are sent too.
    pub send_exemplars: bool,
    /// Shards and batches.
    pub queue: Queue,
    /// How often what is known of metrics is sent with version 1.0, and how many a request; `None`: not at all.
    pub metadata: Option<Metadata>,
    /// The engine's log is kept for this destination up to so many bytes; beyond it the oldest samples are given up.
    pub hold_limit_bytes: u64,
    /// How often running totals of what is counted from logs are sent.
    pub totals_every: Duration,
}

impl Destination {
    /// A destination with Prometheus' defaults, where it has any.
    pub fn new(url: impl Into<String>) -> Destination {
        Destination {
            name: None,
            url: Address(url.into()),
            timeout: Duration::from_secs(30),
            headers: Vec::new(),
            relabel: Vec::new(),
            http: HttpConfig::default(),
            protocol: Protocol::V1,
            send_natives: false,
            send_exemplars: false,
            queue: Queue::default(),
            metadata: Some(Metadata::default()),
            hold_limit_bytes: 4 << 30,
            totals_every: Duration::from_secs(15),
        }
    }

    /// Its name, or what stands for one: the beginning of the hash of its address.
    pub fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| {
            let digest = Sha256::digest(self.url.0.as_bytes());
            digest.iter().take(3).map(|byte| format!("{byte:02x}")).collect()
        })
    }

    /// The files that hold secrets.
    pub fn secret_files(&self) -> impl Iterator<Item = &Path> {
        let headers = self.headers.iter().filter_map(|(_, text)| match text {
            Text::Inline(_) => None,
            Text::File(path) => Some(path.as_path()),
        });
        self.http.secret_files().chain(headers)
    }
}

/// An address. In `Debug` it shows neither credentials nor parameters.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(pub String);

impl Address {
    /// What may be shown of it.
    pub fn shown(&self) -> String {
        match reqwest::Url::parse(&self.0) {
            Ok(mut url) => {
                // Neither can fail for an address with a host.
                let _ = url.set_username("");
                let _ = url.set_password(None);
                url.set_query(None);
                url.set_fragment(None);
                url.to_string()
            }
            Err(_) => "(no address)".to_owned(),
        }
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

/// `protobuf_message`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Remote-write 1.0.
    #[default]
    V1,
    /// Remote-write 2.0: texts once a request, the type of each series with it.
    V2,
}

impl Protocol {
    /// Each with its word in a configuration.
    pub const NAMES: [(&'static str, Protocol); 2] =
        [("prometheus.WriteRequest", Protocol::V1), ("io.prometheus.write.v2.Request", Protocol::V2)];

    /// The protocol of a word.
    pub fn parse(word: &str) -> Option<Protocol> {
        Protocol::NAMES.iter().find(|(name, _)| *name == word).map(|(_, protocol)| *protocol)
    }
}

/// `queue_config`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Samples that wait in a shard.
    pub capacity: usize,
    /// Most shards.
    pub max_shards: usize,
    /// Fewest, with which it begins.
    pub min_shards: usize,
    /// Samples of a request.
    pub max_samples_per_send: usize,
    /// A request goes at the latest so long after its first sample, full or not.
    pub batch_send_deadline: Duration,
    /// Pause after a first failure; each further one doubles it.
    pub min_backoff: Duration,
    /// Longest pause.
    pub max_backoff: Duration,
    /// Whether a receiver that asks for patience gets its samples again; else they are given up.
    pub retry_on_http_429: bool,
    /// Samples older than this are not sent; zero: all are.
    pub sample_age_limit: Duration,
}

impl Default for Queue {
    fn default() -> Queue {
        Queue {
            capacity: 10_000,
            max_shards: 50,
            min_shards: 1,
            max_samples_per_send: 2000,
            batch_send_deadline: Duration::from_secs(5),
            min_backoff: Duration::from_millis(30),
            max_backoff: Duration::from_secs(5),
            retry_on_http_429: true,
            sample_age_limit: Duration::ZERO,
        }
    }
}

/// `metadata_config`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// How often.
    pub every: Duration,
    /// Metrics of a request.
    pub max_samples_per_send: usize,
}

impl Default for Metadata {
    fn default() -> Metadata {
        Metadata { every: Duration::from_secs(60), max_samples_per_send: 2000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_an_address_are_not_shown() {
        let destination = Destination::new("http://me:secret@db.example.org/api/v1/write?token=secret");
        assert!(!format!("{destination:?}").contains("secret"));
        assert_eq!(destination.url.shown(), "http://db.example.org/api/v1/write");
        assert_eq!(destination.label().len(), 6);
        assert_eq!(Destination { name: Some("far".to_owned()), ..destination }.label(), "far");
    }
}
