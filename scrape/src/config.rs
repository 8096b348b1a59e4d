//! What is scraped and how, as plain data. The binary makes it from `scrape_configs`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::relabel::RelabelRule;
use watchfire_exposition::Format;
use watchfire_exposition::escaping::Escaping;

use crate::negotiate::Form;

/// One entry of `scrape_configs`: a job.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrapeConfig {
    /// Its name, unlike that of all other jobs; the label `job`, unless rules change that.
    pub job_name: String,
    /// Time between two scrapes of a target, milliseconds, above 0.
    pub interval_ms: i64,
    /// Longest time for one, milliseconds, up to the interval.
    pub timeout_ms: i64,
    /// Path that is asked for.
    pub metrics_path: String,
    /// How.
    pub scheme: Scheme,
    /// Parameters of the URL, each with all its values.
    pub params: Vec<(String, Vec<String>)>,
    /// Labels of the samples win over those of the target.
    pub honor_labels: bool,
    /// Times that the target gives are taken.
    pub honor_timestamps: bool,
    /// Series whose times come from the target end too when they vanish.
    pub track_timestamps_staleness: bool,
    /// What is asked for, the most welcome first.
    pub protocols: Vec<Protocol>,
    /// Which histograms are read.
    pub histograms: HistogramConfig,
    /// Which names are taken, and how targets are asked to write others.
    pub names: NameConfig,
    /// How bodies are read whose content type does not say it.
    pub fallback_protocol: Option<Protocol>,
    /// Whether answers may come packed.
    pub enable_compression: bool,
    /// Where scrapes without an answer are written down, if anywhere.
    pub failure_log: Option<PathBuf>,
    /// What makes a scrape fail by its size.
    pub limits: ScrapeLimits,
    /// How targets are spoken with.
    pub http: HttpConfig,
    /// Where targets come from.
    pub discovery: Vec<Discovery>,
    /// Change the labels of targets.
    pub relabel: Vec<RelabelRule>,
    /// Change the labels of samples.
    pub metric_relabel: Vec<RelabelRule>,
}

impl ScrapeConfig {
    /// A job with Prometheus' defaults, and without targets.
    pub fn new(job_name: impl Into<String>) -> ScrapeConfig {
        ScrapeConfig {
            job_name: job_name.into(),
            interval_ms: 60_000,
            timeout_ms: 10_000,
            metrics_path: "/metrics".to_owned(),
            scheme: Scheme::Http,
            params: Vec::new(),
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            protocols: Protocol::DEFAULT.to_vec(),
            histograms: HistogramConfig::default(),
            names: NameConfig::default(),
            fallback_protocol: None,
            enable_compression: true,
            failure_log: None,
            limits: ScrapeLimits::default(),
            http: HttpConfig::default(),
            discovery: Vec::new(),
            relabel: Vec::new(),
            metric_relabel: Vec::new(),
        }
    }
}

impl ScrapeConfig {
    /// How servers are spoken with: targets, and those that list them.
    pub fn http_configs(&self) -> impl Iterator<Item = &HttpConfig> {
        let listing = self.discovery.iter().filter_map(|discovery| match discovery {
            Discovery::Static(_) | Discovery::Files(_) | Discovery::Dns(_) => None,
            Discovery::Http(http) => Some(&http.http),
        });
        std::iter::once(&self.http).chain(listing)
    }
}

/// Which names of metrics and labels are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameConfig {
    /// Only names of letters, digits, `_` and, in metrics, `:`; a sample with another makes the scrape fail.
    pub only_plain: bool,
    /// How targets are asked to write other names.
    pub escaping: Escaping,
}

impl Default for NameConfig {
    fn default() -> NameConfig {
        NameConfig { only_plain: false, escaping: Escaping::AllowUtf8 }
    }
}

/// Which histograms are read, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct HistogramConfig {
    /// Native ones of protobuf; without them, their classic buckets.
    pub natives: bool,
    /// The classic buckets, also of what is native, or becomes so.
    pub classic: bool,
    /// Classic ones become native ones with custom buckets.
    pub convert: bool,
    /// Most buckets of a native histogram: it is made coarser until it has so few. 0 means none.
    pub bucket_limit: u64,
    /// How much wider a bucket is than the one before, at least: a finer histogram is made coarser.
    pub min_bucket_factor: f64,
}

/// Limits of a job; 0 means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ScrapeLimits {
    /// Largest body, unpacked, bytes.
    pub body_bytes: u64,
    /// Most samples of a scrape, after relabelling.
    pub samples: u64,
    /// Most targets of the job.
    pub targets: u64,
    /// Most labels of a sample, its name included.
    pub labels: u64,
    /// Longest name of a label, bytes.
    pub label_name_bytes: u64,
    /// Longest value of a label, bytes.
    pub label_value_bytes: u64,
    /// Most dropped targets that are remembered for people.
    pub kept_dropped_targets: u64,
}

/// `http` or `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scheme {
    /// In the clear.
    #[default]
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// As it stands in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The scheme of a word.
    pub fn parse(word: &str) -> Option<Scheme> {
        [Scheme::Http, Scheme::Https].into_iter().find(|scheme| scheme.as_str().eq_ignore_ascii_case(word))
    }
}

/// A form in which a target may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Delimited messages, with native histograms.
    PrometheusProto,
    /// `text/plain`, version 0.0.4.
    PrometheusText0,
    /// `text/plain`, version 1.0.0.
    PrometheusText1,
    /// `application/openmetrics-text`, version 0.0.1.
    OpenMetricsText0,
    /// `application/openmetrics-text`, version 1.0.0.
    OpenMetricsText1,
}

impl Protocol {
    /// Each with its word in a configuration.
    pub const NAMES: [(&'static str, Protocol); 5] = [
        ("PrometheusProto", Protocol::PrometheusProto),
        ("PrometheusText0.0.4", Protocol::PrometheusText0),
        ("PrometheusText1.0.0", Protocol::PrometheusText1),
        ("OpenMetricsText0.0.1", Protocol::OpenMetricsText0),
        ("OpenMetricsText1.0.0", Protocol::OpenMetricsText1),
    ];

    /// What is asked for when nothing is said, in Prometheus' order.
    pub const DEFAULT: [Protocol; 4] =
        [Protocol::OpenMetricsText1, Protocol::OpenMetricsText0, Protocol::PrometheusText1, Protocol::PrometheusText0];

    /// The same where native histograms are scraped.
    pub const DEFAULT_WITH_NATIVES: [Protocol; 5] = [
        Protocol::PrometheusProto,
        Protocol::OpenMetricsText1,
        Protocol::OpenMetricsText0,
        Protocol::PrometheusText1,
        Protocol::PrometheusText0,
    ];

    /// The protocol of a word.
    pub fn parse(word: &str) -> Option<Protocol> {
        Protocol::NAMES.iter().find(|(name, _)| *name == word).map(|(_, protocol)| *protocol)
    }

    /// Whether names may be escaped in it, as its newer versions say.
    pub(crate) const fn has_escaping(self) -> bool {
        matches!(self, Protocol::PrometheusText1 | Protocol::OpenMetricsText1)
    }

    /// As `Accept` has it, without its weight and how names are escaped.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Protocol::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Protocol::PrometheusText0 => "text/plain;version=0.0.4",
            Protocol::PrometheusText1 => "text/plain;version=1.0.0",
            Protocol::OpenMetricsText0 => "application/openmetrics-text;version=0.0.1",
            Protocol::OpenMetricsText1 => "application/openmetrics-text;version=1.0.0",
        }
    }

    /// The form of its bodies.
    pub(crate) const fn form(self) -> Form {
        match self {
            Protocol::PrometheusProto => Form::Protobuf,
            Protocol::PrometheusText0 | Protocol::PrometheusText1 => Form::Text(Format::Classic),
            Protocol::OpenMetricsText0 | Protocol::OpenMetricsText1 => Form::Text(Format::OpenMetrics),
        }
    }
}

/// How a server is spoken with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// How we prove who we are.
    pub auth: HttpAuth,
    /// Certificates.
    pub tls: TlsConfig,
    /// Redirects are followed, up to ten.
    pub follow_redirects: bool,
    /// Through whom.
    pub proxy: Proxy,
    /// Headers that a proxy gets with `CONNECT`, by name.
    pub proxy_headers: Vec<(String, Text)>,
    /// Further headers, by name.
    pub headers: Vec<(String, Text)>,
}

impl Default for HttpConfig {
    fn default() -> HttpConfig {
        HttpConfig {
            auth: HttpAuth::None,
            tls: TlsConfig::default(),
            follow_redirects: true,
            proxy: Proxy::default(),
            proxy_headers: Vec::new(),
            headers: Vec::new(),
        }
    }
}

impl HttpConfig {
    /// The files that hold secrets.
    pub fn secret_files(&self) -> impl Iterator<Item = &Path> {
        let of_auth = match &self.auth {
            HttpAuth::None => None,
            HttpAuth::Basic { password, .. } => Some(password),
            HttpAuth::Other { credentials, .. } => Some(credentials),
            HttpAuth::OAuth2(oauth2) => Some(oauth2.secret()),
        };
        let keys = self.tls_configs().filter_map(|tls| tls.key.as_ref());
        let headers = self.headers.iter().map(|(_, value)| value);
        of_auth.into_iter().chain(keys).chain(headers).filter_map(|text| match text {
            Text::Inline(_) => None,
            Text::File(path) => Some(path.as_path()),
        })
    }

    /// With what TLS is spoken, also with the server that gives tokens.
    pub fn tls_configs(&self) -> impl Iterator<Item = &TlsConfig> {
        let of_tokens = match &self.auth {
            HttpAuth::OAuth2(oauth2) => Some(&oauth2.http.tls),
            HttpAuth::None | HttpAuth::Basic { .. } | HttpAuth::Other { .. } => None,
        };
        of_tokens.into_iter().chain([&self.tls])
    }
}

/// The `Authorization` that is sent.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum HttpAuth {
    /// None.
    #[default]
    None,
    /// A name and a password.
    Basic {
        /// The name.
        username: Text,
        /// The password.
        password: Text,
    },
    /// A scheme such as `Bearer`, and what stands behind it.
    Other {
        /// The scheme.
        scheme: String,
        /// What stands behind it.
        credentials: Text,
    },
    /// A token that another server gives us for our credentials.
    OAuth2(Box<OAuth2Config>),
}

/// `oauth2`: client credentials, or signed assertions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth2Config {
    /// Who we are to the server that gives tokens.
    pub client_id: String,
    /// Our secret; may be empty.
    pub client_secret: Text,
    /// Where it gives them.
    pub token_url: String,
    /// What the token shall be good for.
    pub scopes: Vec<String>,
    /// What else is sent with the request.
    pub endpoint_params: Vec<(String, String)>,
    /// What is signed instead of telling the secret.
    pub assertion: Option<Assertion>,
    /// How that server is spoken with: its certificates and proxy are its own.
    pub http: HttpConfig,
}

impl OAuth2Config {
    /// What is not told to anybody: the key that signs, or the secret.
    pub(crate) fn secret(&self) -> &Text {
        self.assertion.as_ref().map_or(&self.client_secret, |assertion| &assertion.key)
    }
}

/// How assertions are signed that are given for tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// The private RSA key, PEM.
    pub key: Text,
    /// What the server calls it; may be empty.
    pub key_id: String,
    /// Bits of the hash that is signed: 256, 384 or 512.
    pub hash: u32,
    /// Who signs; the client unless said.
    pub issuer: Option<String>,
    /// For whom; the address that gives tokens unless said.
    pub audience: Option<String>,
    /// What else is said, over what is said anyway.
    pub claims: Vec<(String, serde_json::Value)>,
}

/// A text that stands in the configuration or in a file, which is read each time. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Text {
    /// In place.
    Inline(Arc<str>),
    /// In a file; blanks and line ends around it do not belong to it.
    File(PathBuf),
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Text::Inline(_) => f.write_str("(hidden)"),
            Text::File(path) => write!(f, "(in {})", path.display()),
        }
    }
}

/// `tls_config`
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TlsConfig {
    /// Authorities to trust instead of the system's, PEM.
    pub ca: Option<Text>,
    /// Our certificate, PEM.
    pub cert: Option<Text>,
    /// Its key, PEM.
    pub key: Option<Text>,
    /// The name that the certificate has to have, and that is asked for, instead of the address's.
    pub server_name: Option<String>,
    /// Any certificate will do.
    pub insecure_skip_verify: bool,
    /// Oldest version of TLS, `false`: 1.2, `true`: 1.3.
    pub only_tls_1_3: bool,
}

impl TlsConfig {
    /// The files that it names.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.ca, &self.cert, &self.key].into_iter().flatten().filter_map(|text| match text {
            Text::Inline(_) => None,
            Text::File(path) => Some(path.as_path()),
        })
    }
}

/// Through whom requests go.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Proxy {
    /// Straight.
    #[default]
    None,
    /// As `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say.
    Environment,
    /// Through a proxy.
    Url {
        /// Its address; it may hold a password.
        url: String,
        /// Hosts that are reached without it, separated by commas.
        no_proxy: String,
    },
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Proxy::None => "None",
            Proxy::Environment => "Environment",
            Proxy::Url { .. } => "Url(hidden)",
        })
    }
}

/// Where targets come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Discovery {
    /// `static_configs`
    Static(Vec<TargetGroup>),
    /// An entry of `file_sd_configs`.
    Files(FileDiscovery),
    /// An entry of `dns_sd_configs`.
    Dns(DnsDiscovery),
    /// An entry of `http_sd_configs`.
    Http(Box<HttpDiscovery>),
}

/// Files that list targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDiscovery {
    /// Paths, in whose last part `*` may stand; JSON by its ending, else YAML.
    pub files: Vec<String>,
}

/// Names whose records are targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsDiscovery {
    /// What is looked up.
    pub names: Vec<String>,
    /// Which records.
    pub record: DnsRecord,
    /// The port of records that name none.
    pub port: u16,
    /// How often, milliseconds.
    pub refresh_ms: i64,
}

/// A kind of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named as the record that it is")]
pub enum DnsRecord {
    A,
    Aaaa,
    Srv,
    Mx,
    Ns,
}

impl DnsRecord {
    /// Each with its word in a configuration.
    pub const NAMES: [(&'static str, DnsRecord); 5] = [
        ("A", DnsRecord::A),
        ("AAAA", DnsRecord::Aaaa),
        ("SRV", DnsRecord::Srv),
        ("MX", DnsRecord::Mx),
        ("NS", DnsRecord::Ns),
    ];

    /// The kind of a word, in letters of either case.
    pub fn parse(word: &str) -> Option<DnsRecord> {
        DnsRecord::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, record)| *record)
    }
}

/// A server that lists targets.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpDiscovery {
    /// What is asked for.
    pub url: String,
    /// How often, milliseconds.
    pub refresh_ms: i64,
    /// How it is spoken with.
    pub http: HttpConfig,
}

/// Targets with the labels that they share.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TargetGroup {
    /// Their addresses, `host:port`.
    pub targets: Vec<String>,
    /// Labels of all of them.
    pub labels: Vec<(String, String)>,
}
