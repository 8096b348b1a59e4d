//! From what discovery found to a target: defaults, relabelling, address.
//!
//! Source: `PopulateLabels` of Prometheus, version 3: no port is added to an address.

use reqwest::Url;
use watchfire_model::LabelSet;
use watchfire_model::time::{format_duration_ms, parse_duration_ms};

use crate::config::{HistogramConfig, Scheme, ScrapeConfig};
use crate::relabel::relabel;
use watchfire_exposition::labels::Labels;

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const METRICS_PATH: &str = "__metrics_path__";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const NATIVES: &str = "__scrape_native_histograms__";
const CLASSIC: &str = "__always_scrape_classic_histograms__";
const CONVERT: &str = "__convert_classic_histograms_to_nhcb__";
const PARAM: &str = "__param_";
const META: &str = "__meta_";
/// Labels that begin so are for relabelling and for the URL, and not on samples.
const RESERVED: &str = "__";
const JOB: &str = "job";
const INSTANCE: &str = "instance";

/// Something that can be scraped.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    /// What tells it from others.
    pub(crate) identity: Identity,
    /// All labels as discovery gave them, defaults with them.
    pub(crate) discovered: LabelSet,
    /// What is asked for, with the address as it is written: `Url` leaves out the usual port of a scheme.
    pub(crate) shown_url: String,
    /// Time between two scrapes, milliseconds.
    pub(crate) interval_ms: i64,
    /// Longest time for one, milliseconds.
    pub(crate) timeout_ms: i64,
    /// Which histograms are read.
    pub(crate) histograms: HistogramConfig,
}

/// The same labels on samples, from the same URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Identity {
    /// Labels of its samples.
    pub(crate) labels: LabelSet,
    /// What is asked for.
    pub(crate) url: Url,
}

/// What became of something that discovery found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    Target(Target),
    /// The rules do not want it.
    Dropped(LabelSet),
}

/// Why something that discovery found is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("it has no address: set `__address__`")]
    NoAddress,
    #[error("`{0}` is no address: write host:port, without a path")]
    BadAddress(String),
    #[error("`{0}` is no URL that can be scraped")]
    BadUrl(String),
    #[error("its scheme `{0}` is neither http nor https")]
    BadScheme(String),
    #[error("its `{name}` is `{value}`, which is no duration above 0")]
    BadDuration { name: &'static str, value: String },
    #[error("its timeout {timeout} is longer than its interval {interval}")]
    LongTimeout { timeout: String, interval: String },
    #[error("its `{name}` is `{value}`, which is neither true nor false")]
    BadSwitch { name: &'static str, value: String },
}

/// Makes a target of labels that discovery found.
pub(crate) fn populate(config: &ScrapeConfig, found: &[(&str, &str)]) -> Result<Found, TargetError> {
    let mut labels = Labels::from_pairs(found.iter().copied());
    let HistogramConfig { natives, classic, convert, .. } = config.histograms;
    let [natives, classic, convert] = [natives, classic, convert].map(|switch| switch.to_string());
    let (interval, timeout) = (format_duration_ms(config.interval_ms), format_duration_ms(config.timeout_ms));
    for (name, value) in [
        (JOB, config.job_name.as_str()),
        (INTERVAL, &interval),
        (TIMEOUT, &timeout),
        (METRICS_PATH, &config.metrics_path),
        (SCHEME, config.scheme.as_str()),
        (NATIVES, &natives),
        (CLASSIC, &classic),
        (CONVERT, &convert),
    ] {
        if labels.get(name).is_empty() {
            labels.set(name.into(), value.into());
        }
    }
    for (name, values) in &config.params {
        if let Some(first) = values.first() {
            labels.set(format!("{PARAM}{name}").into(), first.as_str().into());
        }
    }
    let discovered = label_set(&labels, |_| true);
    if !relabel(&config.relabel, &mut labels) {
        return Ok(Found::Dropped(discovered));
    }
    let address = labels.get(ADDRESS).to_owned();
    if address.is_empty() {
        return Err(TargetError::NoAddress);
    }
    if labels.get(INSTANCE).is_empty() {
        labels.set(INSTANCE.into(), address.clone().into());
    }
    let (interval_ms, timeout_ms) = (duration(&labels, INTERVAL)?, duration(&labels, TIMEOUT)?);
    if timeout_ms > interval_ms {
        let (timeout, interval) = (format_duration_ms(timeout_ms), format_duration_ms(interval_ms));
        return Err(TargetError::LongTimeout { timeout, interval });
    }
    let histograms = histograms(config.histograms, &labels)?;
    let url = url(config, &labels, &address)?;
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let shown_url = format!("{}://{address}{}{query}", url.scheme(), url.path());
    let labels = label_set(&labels, |name| !name.starts_with(RESERVED) && !name.starts_with(META));
    let identity = Identity { labels, url };
    Ok(Found::Target(Target { identity, discovered, shown_url, interval_ms, timeout_ms, histograms }))
}

/// What of the labels is wanted, as a set.
pub(crate) fn label_set(labels: &Labels<'_>, wanted: impl Fn(&str) -> bool) -> LabelSet {
    let pairs = labels.iter().filter(|(name, _)| wanted(name));
    // Names are unique and not empty in `Labels`.
    LabelSet::from_pairs(pairs).unwrap_or_default()
}

fn duration(labels: &Labels<'_>, name: &'static str) -> Result<i64, TargetError> {
    let value = labels.get(name);
    let millis = parse_duration_ms(value).filter(|millis| *millis > 0);
    millis.ok_or_else(|| TargetError::BadDuration { name, value: value.to_owned() })
}

/// What the job says, as far as the labels do not say otherwise.
fn histograms(mut histograms: HistogramConfig, labels: &Labels<'_>) -> Result<HistogramConfig, TargetError> {
    let HistogramConfig { natives, classic, convert, .. } = &mut histograms;
    for (name, switch) in [(NATIVES, natives), (CLASSIC, classic), (CONVERT, convert)] {
        *switch = match labels.get(name) {
            "" => *switch,
            // The words of Go's `strconv.ParseBool`.
            "1" | "t" | "T" | "true" | "True" | "TRUE" => true,
            "0" | "f" | "F" | "false" | "False" | "FALSE" => false,
            value => return Err(TargetError::BadSwitch { name, value: value.to_owned() }),
        };
    }
    Ok(histograms)
}

fn url(config: &ScrapeConfig, labels: &Labels<'_>, address: &str) -> Result<Url, TargetError> {
    let scheme = labels.get(SCHEME);
    if Scheme::parse(scheme).is_none() {
        return Err(TargetError::BadScheme(scheme.to_owned()));
    }
    let is_bad = |character: char| matches!(character, '/' | '?' | '#' | '@' | '\\') || character.is_whitespace();
    if address.contains(is_bad) {
        return Err(TargetError::BadAddress(address.to_owned()));
    }
    // As where a connection is made, no host is this one.
    let host = if address.starts_with(':') { "localhost" } else { "" };
    let parsed = Url::parse(&format!("{scheme}://{host}{address}")).ok().filter(Url::has_host);
    let mut url = parsed.ok_or_else(|| TargetError::BadAddress(address.to_owned()))?;
    url.set_path(&escaped(labels.get(METRICS_PATH), "-_.~$&+,/:;=@"));
    let configured = config.params.iter().flat_map(|(name, values)| {
        // The first value may have been changed by rules.
        let first = values.first().map(|_| labels.get(&format!("{PARAM}{name}")).to_owned());
        let rest = values.iter().skip(1).cloned();
        first.into_iter().chain(rest).map(move |value| (name.clone(), value))
    });
    let mut params: Vec<(String, String)> = configured.collect();
    let by_rules = labels.iter().filter_map(|(name, value)| Some((name.strip_prefix(PARAM)?, value)));
    for (name, value) in by_rules {
        if !config.params.iter().any(|(have, _)| have == name) {
            params.push((name.to_owned(), value.to_owned()));
        }
    }
    params.sort_by(|a, b| a.0.cmp(&b.0));
    let word = |text: &str| escaped(text, "-_.~ ").replace(' ', "+");
    let pairs: Vec<String> = params.iter().map(|(name, value)| format!("{}={}", word(name), word(value))).collect();
    url.set_query(Some(pairs.join("&")).filter(|query| !query.is_empty()).as_deref());
    if url.host_str().is_none() { Err(TargetError::BadUrl(url.to_string())) } else { Ok(url) }
}

/// A text in which all but letters, digits and these characters of ASCII is written as its bytes.
fn escaped(text: &str, plain: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let character = char::from(byte);
        match byte.is_ascii_alphanumeric() || plain.contains(character) {
            true => out.push(character),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relabel::{Anchored, RelabelRule};

    fn target(config: &ScrapeConfig, found: &[(&str, &str)]) -> (String, String, i64, i64) {
        match populate(config, found) {
            Ok(Found::Target(target)) => {
                let Target { identity, interval_ms, timeout_ms, .. } = target;
                (identity.labels.to_string(), identity.url.to_string(), interval_ms, timeout_ms)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_those_of_the_job() {
        let config =
            ScrapeConfig { params: vec![("m".into(), vec!["a b".into(), "c~*'".into()])], ..ScrapeConfig::new("j") };
        let expected = (
            r#"{instance="h:1", job="j", x="y"}"#.into(),
            "http://h:1/metrics?m=a+b&m=c~%2A%27".into(),
            60_000,
            10_000,
        );
        assert_eq!(target(&config, &[("__address__", "h:1"), ("x", "y"), ("__meta_z", "z")]), expected);
    }

    #[test]
    fn labels_decide_how_a_target_is_asked() {
        let mut config = ScrapeConfig::new("j");
        config.relabel = vec![
            RelabelRule {
                source_labels: vec!["__address__".into()],
                target_label: "__param_target".into(),
                ..RelabelRule::default()
            },
            RelabelRule {
                target_label: "__address__".into(),
                replacement: "probe:9115".into(),
                ..RelabelRule::default()
            },
        ];
        let found = [
            ("__address__", "h:1"),
            ("__scheme__", "https"),
            ("__metrics_path__", "/p"),
            ("__scrape_interval__", "5s"),
            ("__scrape_timeout__", "2s"),
            ("__convert_classic_histograms_to_nhcb__", "T"),
            ("instance", "me"),
        ];
        let expected = (r#"{instance="me", job="j"}"#.into(), "https://probe:9115/p?target=h%3A1".into(), 5000, 2000);
        assert_eq!(target(&config, &found), expected);
        let here = target(&ScrapeConfig::new("j"), &[("__address__", ":9100")]);
        assert_eq!(
            (here.0.as_str(), here.1.as_str()),
            (r#"{instance=":9100", job="j"}"#, "http://localhost:9100/metrics")
        );
        for (address, scheme) in
            [("h:80", "http"), ("h:443", "https"), ("h:443", "http"), ("h", "http"), (":80", "http")]
        {
            let found = [("__address__", address), ("__scheme__", scheme), ("__metrics_path__", "/p/a%?a=(1)é")];
            let Ok(Found::Target(target)) = populate(&ScrapeConfig::new("j"), &found) else { panic!("a target") };
            assert_eq!(target.shown_url, format!("{scheme}://{address}/p/a%25%3Fa=%281%29%C3%A9"));
        }
        let Ok(Found::Target(target)) = populate(&config, &found) else { panic!("a target") };
        assert_eq!(target.histograms, HistogramConfig { convert: true, ..config.histograms });
    }

    #[test]
    fn what_is_no_target_says_why() {
        let mut config = ScrapeConfig::new("j");
        let refused = |found: &[(&str, &str)]| populate(&ScrapeConfig::new("j"), found).expect_err("no target");
        assert_eq!(refused(&[]), TargetError::NoAddress);
        for address in ["h:1/path", "a b", "user@h", "h:99999", ":x"] {
            assert_eq!(refused(&[("__address__", address)]), TargetError::BadAddress(address.into()), "{address}");
        }
        assert_eq!(refused(&[("__address__", "h"), ("__scheme__", "ftp")]), TargetError::BadScheme("ftp".into()));
        assert!(refused(&[("__address__", "h"), ("__scrape_timeout__", "2m")]).to_string().contains("longer"));
        assert!(refused(&[("__address__", "h"), ("__scrape_interval__", "0s")]).to_string().contains("above 0"));
        assert!(refused(&[("__address__", "h"), (CONVERT, "on")]).to_string().contains("neither true nor false"));
        let regex = Some(Anchored::new("h.*").expect("a regex"));
        let action = crate::relabel::Action::Drop;
        config.relabel =
            vec![RelabelRule { source_labels: vec!["__address__".into()], regex, action, ..RelabelRule::default() }];
        assert!(matches!(populate(&config, &[("__address__", "h:1")]), Ok(Found::Dropped(_))));
    }
}
