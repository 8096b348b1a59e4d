//! `http_sd_configs`: a server that is asked for targets, and answers with JSON.
//!
//! Source: <https://prometheus.io/docs/prometheus/latest/http_sd/>.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::{Look, marked};
use crate::client::HttpClient;
use crate::config::{HttpDiscovery, TargetGroup};
use crate::fetch::{BodyLimit, Request, fetch};
use crate::run::Shared;

/// The label that names the server.
const URL_LABEL: &str = "__meta_url";
/// The header that tells a server how often it is asked.
const EVERY_HEADER: &str = "X-Prometheus-Refresh-Interval-Seconds";

pub(super) async fn watch<F: Future<Output = ()>>(http: HttpDiscovery, shared: Arc<Shared>, tell: impl Fn(Look) -> F) {
    let client = Arc::new(HttpClient::new(http.http.clone()));
    let interval = Duration::from_millis(http.refresh_ms.max(1).unsigned_abs());
    let mut every = tokio::time::interval(interval);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told: Option<Look> = None;
    loop {
        every.tick().await;
        let look = ask(&http, &client, &shared, interval).await;
        if told.as_ref() != Some(&look) {
            tell(look.clone()).await;
            told = Some(look);
        }
    }
}

async fn ask(http: &HttpDiscovery, client: &Arc<HttpClient>, shared: &Arc<Shared>, timeout: Duration) -> Look {
    let url = Url::parse(&http.url).map_err(|error| format!("{} is no URL: {error}", http.url))?;
    let request = Request {
        url: &url,
        accept: "application/json",
        packed: true,
        announced: (EVERY_HEADER, timeout),
        timeout,
        body_limit: BodyLimit { bytes: shared.body_bytes_max, key: "limits.decompressed" },
    };
    let refused = |reason: String| format!("{}: {reason}; what it said before stays in force", http.url);
    let mut answer = fetch(client, &shared.memory, &request).await.map_err(|error| refused(error.to_string()))?;
    let content_type = answer.content_type.as_deref().unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(refused(format!("the answer's Content-Type is `{content_type}`, and not application/json")));
    }
    let place = http.url.clone();
    let read = tokio::task::spawn_blocking(move || {
        let body = answer.unpack().map_err(|error| error.to_string())?;
        let groups: Vec<Option<super::Group>> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        Ok::<Vec<TargetGroup>, String>(marked(groups, URL_LABEL, &place))
    });
    read.await.unwrap_or_else(|error| Err(error.to_string())).map_err(refused)
}
