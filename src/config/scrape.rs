//! `global` and `scrape_configs`, as Prometheus reads them.

use std::path::PathBuf;

use watchfire_exposition::escaping::Escaping;
use watchfire_model::LabelSet;
use watchfire_model::time::format_duration_ms;
use watchfire_scrape::config::{HistogramConfig, NameConfig, Protocol, Scheme, ScrapeConfig, ScrapeLimits};
use watchfire_yaml::section::{Section, parse_bytes};
use watchfire_yaml::tree::{Kind, Node};

use super::Config;
use super::{scrape_discovery, scrape_http, scrape_relabel};

/// Where `scrape_configs` stand, for messages.
const PATH: &str = "scrape_configs";

/// Where scrapes without an answer are written down.
const FAILURE_LOG: &str = "scrape_failure_log_file";

/// What jobs take over from `global` where they say nothing themselves.
struct Defaults {
    interval_ms: i64,
    timeout_ms: i64,
    /// Absent: those of a job that says which histograms it reads.
    protocols: Option<Vec<Protocol>>,
    histograms: HistogramConfig,
    names: NameConfig,
    failure_log: Option<PathBuf>,
    limits: ScrapeLimits,
}

/// Reads both keys.
pub fn read(top: &mut Section<'_>, config: &mut Config) {
    let defaults = read_global(top, config);
    for node in top.only_list(PATH) {
        let Some(job) = read_job(node, top, &defaults) else { continue };
        if config.scrape.iter().any(|other| other.job_name == job.job_name) {
            let place = node.entry("job_name").map_or(node.place, |(_, name)| name.place);
            top.fault(place, format!("`{PATH}`: two jobs are named `{}`; rename one", job.job_name));
        }
        config.scrape.push(job);
    }
}

fn read_global(top: &mut Section<'_>, config: &mut Config) -> Defaults {
    let (node, path) = top.section("global");
    let mut section = Section::new(&path, node, top.faults());
    let (interval_ms, timeout_ms) = read_times(&mut section, 60_000, 10_000);
    if let Some(every_ms) = section.duration_from("evaluation_interval", 100) {
        config.alerting.check_interval_ms = every_ms;
        // As for Prometheus.
        config.subquery_step_ms = every_ms;
    }
    let protocols = read_protocols(&mut section);
    let histograms = read_histograms(&mut section, HistogramConfig::default());
    let limits = read_limits(&mut section, ScrapeLimits::default());
    let (labels, labels_path) = section.section("external_labels");
    let labels = read_labels(labels, &labels_path, &mut section);
    config.external_labels = LabelSet::from_pairs(labels).unwrap_or_default();
    let names = read_names(&mut section, NameConfig::default());
    set(&mut config.alerting.query_offset_ms, section.duration_ms("rule_query_offset"));
    config.query_log = read_log_file(&mut section, "query_log_file");
    let failure_log = read_log_file(&mut section, FAILURE_LOG);
    section.finish();
    Defaults { interval_ms, timeout_ms, protocols, histograms, names, failure_log, limits }
}

/// Interval and timeout. A timeout that is only a default is no longer than the interval.
fn read_times(section: &mut Section<'_>, interval_ms: i64, timeout_ms: i64) -> (i64, i64) {
    let interval_ms = section.duration_or("scrape_interval", 1, interval_ms);
    section.defaults_to("scrape_timeout", format_duration_ms(timeout_ms.min(interval_ms)));
    let given = section.duration_from("scrape_timeout", 1);
    if let (Some(timeout_ms), Some(node)) =
        (given.filter(|timeout| *timeout > interval_ms), section.node("scrape_timeout"))
    {
        let message = format!(
            "`{}`: {} is longer than the scrape interval, {}; shorten it",
            section.name("scrape_timeout"),
            format_duration_ms(timeout_ms),
            format_duration_ms(interval_ms)
        );
        section.fault(node.place, message);
    }
    (interval_ms, given.unwrap_or(timeout_ms).min(interval_ms))
}

fn read_job(node: &Node, top: &mut Section<'_>, defaults: &Defaults) -> Option<ScrapeConfig> {
    let mut section = Section::new(PATH, Some(node), top.faults());
    let mut job = ScrapeConfig::new(section.required_text("job_name").unwrap_or_default());
    (job.interval_ms, job.timeout_ms) = read_times(&mut section, defaults.interval_ms, defaults.timeout_ms);
    section.defaults_to("metrics_path", &job.metrics_path);
    if let Some(path) = section.text("metrics_path") {
        path.clone_into(&mut job.metrics_path);
    }
    section.defaults_to("scheme", job.scheme.as_str());
    job.scheme = section.word("scheme", &["http", "https"], Scheme::parse).unwrap_or_default();
    job.params = read_params(&mut section);
    job.honor_labels = section.boolean_or("honor_labels", job.honor_labels);
    job.honor_timestamps = section.boolean_or("honor_timestamps", job.honor_timestamps);
    job.track_timestamps_staleness = section.boolean_or("track_timestamps_staleness", job.track_timestamps_staleness);
    job.enable_compression = section.boolean_or("enable_compression", job.enable_compression);
    job.histograms = read_histograms(&mut section, defaults.histograms);
    if let Some(protocols) = &defaults.protocols {
        let named = |protocol| Protocol::NAMES.iter().find(|(_, other)| *other == protocol).map(|(name, _)| *name);
        let names: Vec<&str> = protocols.iter().filter_map(|protocol| named(*protocol)).collect();
        section.defaults_to("scrape_protocols", format!("[{}]", names.join(", ")));
    }
    job.protocols = read_protocols(&mut section).or_else(|| defaults.protocols.clone()).unwrap_or_else(|| {
        if job.histograms.natives { Protocol::DEFAULT_WITH_NATIVES.to_vec() } else { Protocol::DEFAULT.to_vec() }
    });
    job.fallback_protocol = section.word("fallback_scrape_protocol", &protocol_names(), Protocol::parse);
    job.limits = read_limits(&mut section, defaults.limits);
    job.http = scrape_http::read(&mut section);
    job.relabel = scrape_relabel::read(&mut section, "relabel_configs");
    job.metric_relabel = scrape_relabel::read(&mut section, "metric_relabel_configs");
    job.discovery = scrape_discovery::read(&mut section);
    job.names = read_names(&mut section, defaults.names);
    job.failure_log = read_log_file(&mut section, FAILURE_LOG).or_else(|| defaults.failure_log.clone());
    section.finish();
    (!job.job_name.is_empty()).then_some(job)
}

/// A file that is written to. As for Prometheus, an empty text is as good as none.
fn read_log_file(section: &mut Section<'_>, key: &'static str) -> Option<PathBuf> {
    section.text(key).filter(|text| !text.is_empty())?;
    section.path(key)
}

fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

fn protocol_names() -> [&'static str; Protocol::NAMES.len()] {
    Protocol::NAMES.map(|(name, _)| name)
}

/// `scrape_protocols`.
fn read_protocols(section: &mut Section<'_>) -> Option<Vec<Protocol>> {
    let node = section.node("scrape_protocols")?;
    let name = section.name("scrape_protocols");
    let texts = section.texts("scrape_protocols");
    let mut protocols: Vec<Protocol> = Vec::new();
    for (text, place) in &texts {
        match Protocol::parse(text) {
            Some(protocol) if protocols.contains(&protocol) => {
                section.fault(*place, format!("`{name}`: `{text}` stands twice; keep one"));
            }
            Some(protocol) => protocols.push(protocol),
            None => section.fault(*place, format!("`{name}`: `{text}` is not one of {}", protocol_names().join(", "))),
        }
    }
    if texts.is_empty() {
        section.fault(node.place, format!("`{name}` is empty; name a format, or leave the key out"));
    }
    (!protocols.is_empty()).then_some(protocols)
}

fn read_limits(section: &mut Section<'_>, mut limits: ScrapeLimits) -> ScrapeLimits {
    // To Prometheus MB are powers of 1024, too.
    let bytes = |text: &str| parse_bytes(text.trim_end_matches(['b', 'B']).trim_end_matches(['i', 'I']));
    let size = section.parsed("body_size_limit", "a size (write 10MB or 64MiB; 0 for none)", bytes);
    set(&mut limits.body_bytes, size);
    for (key, limit) in [
        ("sample_limit", &mut limits.samples),
        ("target_limit", &mut limits.targets),
        ("label_limit", &mut limits.labels),
        ("label_name_length_limit", &mut limits.label_name_bytes),
        ("label_value_length_limit", &mut limits.label_value_bytes),
        ("keep_dropped_targets", &mut limits.kept_dropped_targets),
    ] {
        *limit = section.integer_or(key, 0, *limit);
    }
    limits
}

/// Which names are taken. How others are escaped follows from that, unless it is said.
fn read_names(section: &mut Section<'_>, defaults: NameConfig) -> NameConfig {
    const VALIDATION: &str = "metric_name_validation_scheme";
    const ESCAPING: &str = "metric_name_escaping_scheme";
    section.defaults_to(VALIDATION, if defaults.only_plain { "legacy" } else { "utf8" });
    let only_plain = section.word(VALIDATION, &["utf8", "legacy"], |word| match word {
        "utf8" => Some(false),
        "legacy" => Some(true),
        _ => None,
    });
    let default = match only_plain {
        None => defaults.escaping,
        Some(true) => Escaping::Underscores,
        Some(false) => Escaping::AllowUtf8,
    };
    section.defaults_to(ESCAPING, default.as_str());
    let words = ["allow-utf-8", "underscores", "dots", "values"];
    let escaping = section.word(ESCAPING, &words, Escaping::named);
    let names =
        NameConfig { only_plain: only_plain.unwrap_or(defaults.only_plain), escaping: escaping.unwrap_or(default) };
    if let (true, Escaping::AllowUtf8, Some(node)) = (names.only_plain, names.escaping, section.node(ESCAPING)) {
        let message = format!(
            "`{}: allow-utf-8` asks for names that `{VALIDATION}: legacy` refuses; write underscores, dots or values",
            section.name(ESCAPING)
        );
        section.fault(node.place, message);
    }
    names
}

/// Which histograms are read.
fn read_histograms(section: &mut Section<'_>, mut histograms: HistogramConfig) -> HistogramConfig {
    histograms.natives = section.boolean_or("scrape_native_histograms", histograms.natives);
    for key in ["scrape_classic_histograms", "always_scrape_classic_histograms"] {
        histograms.classic = section.boolean_or(key, histograms.classic);
    }
    histograms.convert = section.boolean_or("convert_classic_histograms_to_nhcb", histograms.convert);
    set(&mut histograms.bucket_limit, section.integer("native_histogram_bucket_limit", 0));
    let factor = section.parsed("native_histogram_min_bucket_factor", "a number", |text| text.parse::<f64>().ok());
    set(&mut histograms.min_bucket_factor, factor);
    histograms
}

fn read_params(section: &mut Section<'_>) -> Vec<(String, Vec<String>)> {
    section.has_text_lists("params");
    let Some(node) = section.node("params") else { return Vec::new() };
    let Kind::Map(entries) = &node.kind else {
        let message = format!("`{}` must be a section with keys, this is {}", section.name("params"), node.kind.name());
        section.fault(node.place, message);
        return Vec::new();
    };
    let mut params = Vec::new();
    for (name, _, node) in entries {
        let items = match &node.kind {
            Kind::List(items) => items.as_slice(),
            Kind::Null => &[],
            kind @ (Kind::Scalar { .. } | Kind::Map(_)) => {
                let path = section.name("params");
                let message =
                    format!("`{path}.{name}` must be a list of texts, this is {}; write [value]", kind.name());
                section.fault(node.place, message);
                &[]
            }
        };
        let mut values = Vec::new();
        for item in items {
            match &item.kind {
                Kind::Scalar { text, .. } => values.push(text.clone()),
                Kind::Null => values.push(String::new()),
                kind => {
                    let path = section.name("params");
                    section
                        .fault(item.place, format!("`{path}.{name}` must be a list of texts, this is {}", kind.name()));
                }
            }
        }
        params.push((name.clone(), values));
    }
    params
}

/// Labels that the user chooses.
pub(super) fn read_labels(node: Option<&Node>, path: &str, section: &mut Section<'_>) -> Vec<(String, String)> {
    if let Some(Node { kind: Kind::Map(entries), .. }) = node {
        for (_, place, _) in entries.iter().filter(|(name, ..)| name.is_empty()) {
            section.fault(*place, format!("`{path}`: a label needs a name; write one, or remove the line"));
        }
    }
    let labels = Section::new(path, node, section.faults()).free_texts();
    labels.into_iter().map(|(name, value, _)| (name.to_owned(), value.to_owned())).collect()
}
