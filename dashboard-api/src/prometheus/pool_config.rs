//! `scrape_pools/config`: how a job is scraped, as an entry of Prometheus' `scrape_configs`; `search/…`, which is off.
//!
//! Each line is a key and its value in JSON, which is YAML too. How targets are spoken with holds secrets and is not told.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::{Router, routing};
use serde_json::{Map, Value, json};
use watchfire_model::time::format_duration_ms;
use watchfire_scrape::config::{Discovery, DnsRecord, Protocol, ScrapeConfig, TargetGroup};
use watchfire_scrape::relabel::RelabelRule;

use super::params::Asked;
use super::reply::{Refused, success};
use super::targets::rule;
use crate::params::shown;
use crate::state::Api;

/// Routes of this file.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/scrape_pools/config", routing::get(config))
        .route("/api/v1/search/metric_names", routing::get(search).post(search))
        .route("/api/v1/search/label_names", routing::get(search).post(search))
        .route("/api/v1/search/label_values", routing::get(search).post(search))
}

async fn config(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refused> {
    let pool = asked.get("scrapePool").filter(|pool| !pool.is_empty());
    let pool = pool.ok_or_else(|| Refused::bad_data("no scrapePool parameter provided"))?;
    let config = api.scraper.config(pool).ok_or_else(|| {
        Refused::bad_data(format!("error retrieving scrape config: scrape pool {:?} not found", shown(pool)))
    })?;
    success(&json!({"yaml": yaml(&config)}))
}

/// What Prometheus says where this part of it is not switched on.
async fn search() -> Refused {
    Refused::switched_off("search API disabled")
}

fn yaml(config: &ScrapeConfig) -> String {
    let mut lines = String::new();
    let mut put = |key: &str, value: Value| lines.push_str(&format!("{key}: {value}\n"));
    put("job_name", json!(config.job_name));
    put("honor_labels", json!(config.honor_labels));
    put("honor_timestamps", json!(config.honor_timestamps));
    put("track_timestamps_staleness", json!(config.track_timestamps_staleness));
    if !config.params.is_empty() {
        put("params", config.params.iter().map(|(name, values)| (name.clone(), json!(values))).collect());
    }
    put("scrape_interval", json!(format_duration_ms(config.interval_ms)));
    put("scrape_timeout", json!(format_duration_ms(config.timeout_ms)));
    put("scrape_protocols", config.protocols.iter().copied().map(protocol).collect());
    if let Some(fallback) = config.fallback_protocol {
        put("fallback_scrape_protocol", json!(protocol(fallback)));
    }
    let histograms = config.histograms;
    put("scrape_native_histograms", json!(histograms.natives));
    put("always_scrape_classic_histograms", json!(histograms.classic));
    put("convert_classic_histograms_to_nhcb", json!(histograms.convert));
    put("metrics_path", json!(config.metrics_path));
    put("scheme", json!(config.scheme.as_str()));
    put("enable_compression", json!(config.enable_compression));
    let limits = config.limits;
    for (name, limit) in [
        ("body_size_limit", limits.body_bytes),
        ("sample_limit", limits.samples),
        ("target_limit", limits.targets),
        ("label_limit", limits.labels),
        ("label_name_length_limit", limits.label_name_bytes),
        ("label_value_length_limit", limits.label_value_bytes),
        ("native_histogram_bucket_limit", histograms.bucket_limit),
        ("keep_dropped_targets", limits.kept_dropped_targets),
    ] {
        if limit > 0 {
            let is_size = name == "body_size_limit";
            put(name, if is_size { json!(format!("{limit}B")) } else { json!(limit) });
        }
    }
    if histograms.min_bucket_factor > 0.0 {
        put("native_histogram_min_bucket_factor", json!(histograms.min_bucket_factor));
    }
    put("metric_name_validation_scheme", json!(if config.names.only_plain { "legacy" } else { "utf8" }));
    put("metric_name_escaping_scheme", json!(config.names.escaping.as_str()));
    if let Some(log) = &config.failure_log {
        put("scrape_failure_log_file", json!(log));
    }
    put("follow_redirects", json!(config.http.follow_redirects));
    for (name, rules) in [("relabel_configs", &config.relabel), ("metric_relabel_configs", &config.metric_relabel)] {
        if !rules.is_empty() {
            put(name, rules.iter().map(written_rule).collect());
        }
    }
    for (kind, entries) in discovery(&config.discovery) {
        put(&kind, entries);
    }
    lines
}

/// A rule as it is written: without an expression that nobody wrote.
fn written_rule(of: &RelabelRule) -> Value {
    let mut shown = rule(of);
    if let (None, Some(members)) = (&of.regex, shown.as_object_mut()) {
        members.remove("regex");
    }
    shown
}

/// The word of a configuration for one of some choices.
fn word<T: PartialEq>(names: &[(&'static str, T)], of: &T) -> &'static str {
    names.iter().find(|(_, named)| named == of).map_or("", |(name, _)| name)
}

fn protocol(protocol: Protocol) -> &'static str {
    word(&Protocol::NAMES, &protocol)
}

/// Where targets come from, kind by kind.
fn discovery(all: &[Discovery]) -> Map<String, Value> {
    let mut kinds = Map::new();
    for one in all {
        let (kind, entries) = match one {
            Discovery::Static(groups) => ("static_configs", groups.iter().map(group).collect()),
            Discovery::Files(files) => ("file_sd_configs", vec![json!({"files": files.files})]),
            Discovery::Dns(dns) => {
                let refresh = format_duration_ms(dns.refresh_ms);
                let record = word(&DnsRecord::NAMES, &dns.record);
                let entry = json!({"names": dns.names, "refresh_interval": refresh, "type": record, "port": dns.port});
                ("dns_sd_configs", vec![entry])
            }
            // Its address may hold a password.
            Discovery::Http(http) => {
                ("http_sd_configs", vec![json!({"refresh_interval": format_duration_ms(http.refresh_ms)})])
            }
        };
        let list = kinds.entry(kind).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.extend(entries);
        }
    }
    kinds
}

fn group(group: &TargetGroup) -> Value {
    let mut shown = json!({"targets": group.targets});
    if !group.labels.is_empty() {
        shown["labels"] = group.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    }
    shown
}
