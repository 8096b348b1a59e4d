//! The targets that are scraped, in Prometheus' words: `targets`, what they say and come from, `scrape_pools`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::{Router, routing};
use serde_json::{Map, Value, json};
use watchfire_model::time::format_duration_ms;
use watchfire_model::{LabelSet, Matcher};
use watchfire_query_lang::{Notes, Query};
use watchfire_scrape::relabel::{Anchored, RelabelRule};
use watchfire_scrape::snapshot::{ActiveTarget, DroppedTarget};
use watchfire_scrape::steps::Step;

use super::params::Asked;
use super::reply::{Refused, in_background, success, success_bytes};
use super::series::bound;
use crate::params::shown;
use crate::state::{Api, Reached};

/// What Prometheus says of a target that was not scraped yet.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Routes of this file.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/targets", routing::get(targets))
        .route("/api/v1/targets/metadata", routing::get(targets_metadata))
        .route("/api/v1/targets/relabel_steps", routing::get(relabel_steps))
        .route("/api/v1/scrape_pools", routing::get(scrape_pools))
}

async fn targets(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refused> {
    let pool = asked.get("scrapePool").filter(|pool| !pool.is_empty()).map(str::to_owned);
    let state = asked.get("state").unwrap_or_default().to_ascii_lowercase();
    let shows = |of: &str| state.is_empty() || state == "any" || state == of;
    let (shows_active, shows_dropped) = (shows("active"), shows("dropped"));
    in_background(move || {
        let mut targets = api.scraper.targets();
        let wanted = |of: &str| pool.as_ref().is_none_or(|pool| pool == of);
        targets.active.retain(|target| shows_active && wanted(&target.pool));
        targets.dropped.retain(|target| shows_dropped && wanted(&target.pool));
        // Of all jobs, whichever is asked for.
        let counts = || targets.dropped_counts.into_iter().map(|(pool, count)| (pool, count.into()));
        let counts: Option<Map<String, Value>> = shows_dropped.then(|| counts().collect());
        let reached = (api.reached)();
        let data = json!({
            "activeTargets": targets.active.iter().map(|target| active(target, &reached)).collect::<Vec<_>>(),
            "droppedTargets": targets.dropped.iter().map(dropped).collect::<Vec<_>>(),
            "droppedTargetCounts": counts,
        });
        success_bytes(&data, &Notes::default())
    })
    .await
}

fn active(target: &ActiveTarget, reached: &Reached) -> Value {
    let last = &target.last;
    json!({
        "discoveredLabels": labels(&target.discovered),
        "labels": labels(&target.labels),
        "scrapePool": target.pool,
        "scrapeUrl": target.url,
        "globalUrl": global_url(&target.url, reached).unwrap_or_else(|| target.url.clone()),
        "lastError": last.trouble().unwrap_or_default(),
        "lastScrape": last.at.map_or_else(|| NEVER.to_owned(), |at| at.to_rfc3339()),
        "lastScrapeDuration": last.took.as_secs_f64(),
        "health": last.health.as_str(),
        "scrapeInterval": format_duration_ms(target.interval_ms),
        "scrapeTimeout": format_duration_ms(target.timeout_ms),
    })
}

/// Where others probably reach a target of this machine; `None` for one elsewhere.
fn global_url(url: &str, reached: &Reached) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (host, port, path) = split_address(rest);
    if !matches!(host, "localhost" | "127.0.0.1" | "::1") {
        return None;
    }
    let (own_scheme, own_rest) = reached.url.split_once("://")?;
    let own_rest = own_rest.rsplit_once('@').map_or(own_rest, |(_, address)| address);
    let (own_host, _, own_path) = split_address(own_rest);
    // It is this very server.
    if port.parse().is_ok_and(|port| reached.ports.contains(&port)) {
        let own_address = own_rest.strip_suffix(own_path).unwrap_or(own_rest);
        return Some(format!("{own_scheme}://{own_address}{path}"));
    }
    // Without a port, an address of IPv6 stands as it is.
    Some(match (port, own_host.contains(':')) {
        ("", _) => format!("{scheme}://{own_host}{path}"),
        (port, false) => format!("{scheme}://{own_host}:{port}{path}"),
        (port, true) => format!("{scheme}://[{own_host}]:{port}{path}"),
    })
}

/// Host, without brackets, port, if there is one, and what comes behind.
fn split_address(text: &str) -> (&str, &str, &str) {
    let (address, path) = text.split_at(text.find(['/', '?']).unwrap_or(text.len()));
    let bracketed = address.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (host, port) = match bracketed {
        Some((host, port)) => (host, port.strip_prefix(':').unwrap_or_default()),
        None => address.split_once(':').unwrap_or((address, "")),
    };
    (host, port, path)
}

fn dropped(target: &DroppedTarget) -> Value {
    json!({"discoveredLabels": labels(&target.discovered), "scrapePool": target.pool})
}

fn labels(labels: &LabelSet) -> BTreeMap<&str, &str> {
    labels.iter().collect()
}

/// What targets say about their metrics; `match_target` chooses targets, `metric` a metric.
async fn targets_metadata(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refused> {
    let most = bound(&asked, "limit")?;
    let matchers: Vec<Matcher> = match asked.get("match_target").filter(|text| !text.is_empty()) {
        Some(text) => Query::parse_selector_of_any(text).map_err(|error| Refused::parse("match_target", &error))?,
        None => Vec::new(),
    };
    let metric = asked.get("metric").filter(|metric| !metric.is_empty()).map(str::to_owned);
    in_background(move || {
        let mut rows = Vec::new();
        for target in api.scraper.targets().active {
            if !matchers.iter().all(|matcher| matcher.matches_labels(&target.labels)) {
                continue;
            }
            let families = target.last.families.iter();
            let wanted = families.filter(|(name, _)| metric.as_ref().is_none_or(|metric| metric == *name));
            for (name, metadata) in wanted.take(most.saturating_sub(rows.len())) {
                let (kind, help, unit) = (metadata.kind.as_str(), &metadata.help, &metadata.unit);
                let mut row = json!({"target": labels(&target.labels), "type": kind, "help": help, "unit": unit});
                // Who asks for one metric knows its name.
                if let (None, Some(row)) = (&metric, row.as_object_mut()) {
                    row.insert("metric".to_owned(), name.as_str().into());
                }
                rows.push(row);
            }
        }
        success_bytes(&rows, &Notes::default())
    })
    .await
}

/// What the `relabel_configs` of a job make of labels, rule by rule.
async fn relabel_steps(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refused> {
    let needed = |name| {
        let value = asked.get(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| Refused::bad_data(format!("no {name} parameter provided")))
    };
    let (pool, labels) = (needed("scrapePool")?, needed("labels")?);
    // `null` is as good as none.
    let labels: Option<BTreeMap<String, String>> =
        serde_json::from_str(labels).map_err(|error| Refused::bad_data(format!("error parsing labels: {error}")))?;
    let steps = api.scraper.relabel_steps(pool, labels.unwrap_or_default()).ok_or_else(|| {
        Refused::bad_data(format!("error retrieving scrape config: scrape pool {:?} not found", shown(pool)))
    })?;
    success(&json!({"steps": steps.iter().map(step).collect::<Vec<_>>()}))
}

fn step(step: &Step) -> Value {
    json!({"rule": rule(&step.rule), "output": labels(&step.output), "keep": step.keeps})
}

/// A rule as it stands in a configuration.
pub(super) fn rule(rule: &RelabelRule) -> Value {
    let mut shown =
        json!({"action": rule.action.as_str(), "regex": rule.regex.as_ref().map_or("(.*)", Anchored::as_str)});
    // As there, what is not set is left out.
    let texts =
        [("separator", &rule.separator), ("target_label", &rule.target_label), ("replacement", &rule.replacement)];
    for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        shown[name] = json!(text);
    }
    if !rule.source_labels.is_empty() {
        shown["source_labels"] = json!(rule.source_labels);
    }
    if rule.modulus > 0 {
        shown["modulus"] = json!(rule.modulus);
    }
    shown
}

async fn scrape_pools(State(api): State<Arc<Api>>) -> Result<Response, Refused> {
    in_background(move || {
        let pools: Vec<String> = api.scraper.targets().dropped_counts.into_iter().map(|(pool, _)| pool).collect();
        success_bytes(&json!({"scrapePools": pools}), &Notes::default())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_of_this_machine_are_reached_as_it_is() {
        let here = |url: &str| Reached { url: url.into(), ports: vec![8080] };
        let (plain, bracketed) = (here("https://u@h.example:443/w"), here("http://[fd00::1]/"));
        for (url, reached, global) in [
            ("http://localhost:9100/metrics", &plain, Some("http://h.example:9100/metrics")),
            ("http://127.0.0.1:8080/metrics?a=b", &plain, Some("https://h.example:443/metrics?a=b")),
            ("http://[::1]:9100/", &plain, Some("http://h.example:9100/")),
            ("http://localhost/m", &plain, Some("http://h.example/m")),
            ("http://[::1]:9100/", &bracketed, Some("http://[fd00::1]:9100/")),
            ("http://[::1]:8080/", &bracketed, Some("http://[fd00::1]/")),
            ("http://127.0.0.2:8080/", &plain, None),
            ("http://Localhost:8080/", &plain, None),
        ] {
            assert_eq!(global_url(url, reached).as_deref(), global, "{url}");
        }
    }
}
