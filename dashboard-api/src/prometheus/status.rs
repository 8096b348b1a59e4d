//! The state of the server in Prometheus' words: `status/…`, and the Alertmanagers, of which there are none.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::{Router, routing};
use serde_json::{Map, Value, json};
use watchfire_model::Timestamp;
use watchfire_model::time::format_duration_ms;
use watchfire_query_lang::ast::{AggregateOp, BinaryOp};
use watchfire_query_lang::{Limits, Notes};
use watchfire_scrape::relabel::Anchored;

use super::params::Asked;
use super::reply::{Refused, in_background, success, success_bytes};
use super::self_metrics;
use crate::state::Api;

/// The Prometheus whose language and API this version follows; clients choose what they ask for by it.
const PROMETHEUS: &str = "3.15.0";
/// Items of a list of `status/tsdb`, unless said, and at most.
const ITEMS: usize = 10;
const ITEMS_MAX: usize = 10_000;

/// Routes of this file.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/status/buildinfo", routing::get(build))
        .route("/api/v1/status/runtimeinfo", routing::get(runtime))
        .route("/api/v1/status/flags", routing::get(flags))
        .route("/api/v1/status/config", routing::get(config))
        .route("/api/v1/status/tsdb", routing::get(tsdb))
        .route("/api/v1/status/tsdb/blocks", routing::get(blocks))
        .route("/api/v1/status/walreplay", routing::get(replay))
        .route("/api/v1/features", routing::get(features))
        .route("/api/v1/alertmanagers", routing::get(alertmanagers))
        .route("/api/v1/status/self_metrics", routing::get(own_metrics))
}

/// An empty `features` says to Grafana that this is Prometheus, and not one of its relatives.
async fn build() -> Result<Response, Refused> {
    success(&json!({
        "version": PROMETHEUS,
        "revision": "",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
        "features": {},
        "application": "Watchfire",
        "applicationVersion": env!("CARGO_PKG_VERSION"),
    }))
}

/// What only a program in Go has is empty or 0.
async fn runtime(State(api): State<Arc<Api>>) -> Result<Response, Refused> {
    in_background(move || {
        let now = Timestamp::now();
        let uptime_ms = i64::try_from(api.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        let started = now.plus_millis(-uptime_ms);
        let stats = api.engine.stats();
        let reloaded = own_gauge(&api, "watchfire_config_last_reload_success_timestamp_seconds");
        let configured = reloaded.and_then(Timestamp::from_number).unwrap_or(started);
        let data = json!({
            "startTime": started.to_rfc3339(),
            "CWD": "",
            "hostname": std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim_end(),
            "serverTime": now.to_rfc3339(),
            "reloadConfigSuccess": own_gauge(&api, "watchfire_config_last_reload_successful") != Some(0.0),
            "lastConfigTime": configured.to_rfc3339(),
            "corruptionCount": stats.recovered_damages,
            "goroutineCount": 0,
            "GOMAXPROCS": std::thread::available_parallelism().map_or(1, usize::from),
            "GOMEMLIMIT": stats.memory_limit_bytes,
            "GOGC": "",
            "GODEBUG": "",
            "storageRetention": format_duration_ms(api.limits.retention_ms),
        });
        success_bytes(&data, &Notes::default())
    })
    .await
}

/// The value of one of our own metrics without labels.
fn own_gauge(api: &Api, name: &str) -> Option<f64> {
    let families = api.registry.gather();
    let family = families.iter().find(|family| family.name() == name)?;
    Some(family.get_metric().first()?.get_gauge().get_value())
}

/// The flags of Prometheus that mean something here.
async fn flags(State(api): State<Arc<Api>>) -> Result<Response, Refused> {
    let timeout_ms = i64::try_from(api.limits.timeout.as_millis()).unwrap_or(i64::MAX);
    success(&json!({
        "query.lookback-delta": format_duration_ms(Limits::default().lookback_ms),
        "query.max-samples": api.limits.samples.to_string(),
        "query.timeout": format_duration_ms(timeout_ms),
        "storage.tsdb.retention.time": format_duration_ms(api.limits.retention_ms),
    }))
}

/// Our own configuration is another one, and holds secrets; of Prometheus' this is what can be said: the jobs by name.
async fn config(State(api): State<Arc<Api>>) -> Result<Response, Refused> {
    let pools = api.scraper.targets().dropped_counts;
    // A text in JSON is one in YAML too.
    let jobs: String = pools.iter().map(|(job, _)| format!("\n- job_name: {}", json!(job))).collect();
    let jobs = if jobs.is_empty() { " []".to_owned() } else { jobs };
    success(&json!({"yaml": format!("global: {{}}\nscrape_configs:{jobs}\n")}))
}

async fn tsdb(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refused> {
    let most = match asked.get("limit").map(str::parse::<usize>) {
        None => ITEMS,
        Some(Ok(0) | Err(_)) => return Err(Refused::bad_data("limit must be a positive number")),
        Some(Ok(most)) if most > ITEMS_MAX => {
            return Err(Refused::bad_data(format!("limit must not exceed {ITEMS_MAX}")));
        }
        Some(Ok(most)) => most,
    };
    in_background(move || {
        let (stats, cardinality) = (api.engine.stats(), api.engine.cardinality(most));
        let list = |counted: Vec<(String, u64)>| -> Vec<Value> {
            counted.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
        };
        let data = json!({
            "headStats": {"numSeries": stats.series, "numLabelPairs": cardinality.pairs},
            "seriesCountByMetricName": list(cardinality.series_of_metric),
            "labelValueCountByLabelName": list(cardinality.values_of_name),
            "memoryInBytesByLabelName": list(cardinality.bytes_of_name),
            "seriesCountByLabelValuePair": list(cardinality.series_of_pair),
        });
        success_bytes(&data, &Notes::default())
    })
    .await
}

/// Series lie in memory and in one snapshot, not in blocks.
async fn blocks() -> Result<Response, Refused> {
    success(&json!({"blocks": []}))
}

/// What can be asked of this server, in Prometheus' words; what is not here is not named.
/// What is only of a program in Go, or of its pages, is false.
async fn features(State(api): State<Arc<Api>>) -> Result<Response, Refused> {
    success(&json!({
        "api": {
            "admin": api.admin_api,
            "exclude_alerts": true,
            "label_values_match": true,
            "lifecycle": true,
            "openapi_3.1": true,
            "openapi_3.2": false,
            "otlp_write_receiver": true,
            "query_stats": true,
            "query_warnings": true,
            "remote_write_receiver": true,
            "search": false,
            "search_fuzz_alg_jarowinkler": false,
            "search_fuzz_alg_subsequence": false,
            "time_range_labels": true,
            "time_range_series": true,
        },
        "otlp_receiver": {"delta_conversion": false, "native_delta_ingestion": true},
        "prometheus": {"agent_mode": false, "auto_reload_config": false, "server_mode": true, "stringlabels": false},
        "promql": {
            "anchored": true,
            "at_modifier": true,
            "bool": true,
            "by": true,
            "delayed_name_removal": false,
            "duration_expr": true,
            "fill": true,
            "fill_left": true,
            "fill_right": true,
            "group_left": true,
            "group_right": true,
            "ignoring": true,
            "negative_offset": true,
            "offset": true,
            "on": true,
            "per_query_lookback_delta": true,
            "per_step_stats": true,
            "smoothed": true,
            "subqueries": true,
            "type_and_unit_labels": false,
            "without": true,
        },
        "promql_functions": all_true(watchfire_query_lang::functions::names()),
        "promql_operators": all_true(operators()),
        "rules": {"concurrent_rule_eval": false, "keep_firing_for": true, "query_offset": true},
        "scrape": {
            "extra_scrape_metrics": false,
            "openmetrics2": false,
            "start_timestamp_zero_ingestion": false,
            "type_and_unit_labels": false,
        },
        "service_discovery_providers": all_true(["dns", "file", "http", "static"].into_iter()),
        "templating_functions": all_true(watchfire_rules::template::functions()),
        "tsdb": {
            "delayed_compaction": false,
            "exemplar_storage": true,
            "histograms_st_encoding": false,
            "isolation": true,
            "native_histograms": true,
            "st_storage": false,
            "use_uncached_io": false,
            "xor2_encoding": false,
        },
        "ui": {"ui_v2": false, "ui_v3": false},
    }))
}

/// Operators, aggregations, and what stands in selectors.
fn operators() -> impl Iterator<Item = &'static str> {
    let binary = BinaryOp::ALL.into_iter().map(BinaryOp::as_str);
    binary.chain(AggregateOp::ALL.into_iter().map(AggregateOp::as_str)).chain(["=~", "!~", "@"])
}

fn all_true(names: impl Iterator<Item = &'static str>) -> Value {
    names.map(|name| (name.to_owned(), Value::Bool(true))).collect::<Map<_, _>>().into()
}

/// Whoever is answered here has been waited for: replay comes before readiness.
async fn replay() -> Result<Response, Refused> {
    success(&json!({"min": 0, "max": 0, "current": 0}))
}

/// Alerts are told by our own receivers.
async fn alertmanagers() -> Result<Response, Refused> {
    success(&json!({"activeAlertmanagers": [], "droppedAlertmanagers": []}))
}

/// Our own metrics; `metric_name_pattern` chooses some, by the whole name.
async fn own_metrics(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refused> {
    let pattern = asked.get("metric_name_pattern").filter(|pattern| !pattern.is_empty()).map(Anchored::new);
    let pattern = pattern.transpose();
    let pattern = pattern.map_err(|why| Refused::bad_data(format!("invalid metric_name_pattern: {why}")))?;
    in_background(move || {
        let families = api.registry.gather();
        let wanted =
            families.iter().filter(|family| pattern.as_ref().is_none_or(|pattern| pattern.fits(family.name())));
        success_bytes(&wanted.map(self_metrics::family).collect::<Vec<_>>(), &Notes::default())
    })
    .await
}
