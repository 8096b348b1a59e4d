//! Alertmanager's webhook body, version 4.

use crate::notification::Notification;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use watchfire_model::{LabelSet, Timestamp};

/// What Alertmanager writes for an end that is not known.
const NO_END: &str = "0001-01-01T00:00:00Z";

/// The body as JSON. `max_alerts` 0 means all.
pub(crate) fn render(notification: &Notification, external_url: &str, max_alerts: usize) -> Vec<u8> {
    let shown = if max_alerts == 0 { notification.alerts.len() } else { max_alerts.min(notification.alerts.len()) };
    let body = Body {
        receiver: &notification.flow.target.receiver,
        status: notification.status(),
        alerts: Alerts { notification, shown, external_url },
        notification_reason: notification.reason.as_str(),
        group_labels: Labels(&notification.group_labels),
        common_labels: Labels(&notification.common_labels()),
        common_annotations: Pairs(&notification.common_annotations()),
        route_labels: Labels(&LabelSet::empty()),
        external_url,
        version: "4",
        group_key: &notification.flow.group_key,
        truncated_alerts: notification.alerts.len() - shown,
    };
    // Serialising texts and numbers into memory cannot fail.
    serde_json::to_vec(&body).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    receiver: &'a str,
    status: &'static str,
    alerts: Alerts<'a>,
    #[serde(rename = "notification_reason")]
    notification_reason: &'static str,
    group_labels: Labels<'a>,
    common_labels: Labels<'a>,
    common_annotations: Pairs<'a>,
    // Labels that a route gives to its notifications; without a route tree there are none.
    route_labels: Labels<'a>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'static str,
    group_key: &'a str,
    truncated_alerts: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert<'a> {
    status: &'static str,
    labels: Labels<'a>,
    annotations: Pairs<'a>,
    starts_at: Time,
    ends_at: Time,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    fingerprint: String,
}

struct Alerts<'a> {
    notification: &'a Notification,
    shown: usize,
    external_url: &'a str,
}

impl Serialize for Alerts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.shown))?;
        for alert in self.notification.alerts.iter().take(self.shown) {
            list.serialize_element(&Alert {
                status: alert.status(),
                labels: Labels(&alert.labels),
                annotations: Pairs(&alert.annotations),
                starts_at: Time(Some(alert.starts_at)),
                ends_at: Time(alert.ends_at),
                generator_url: generator_url(self.external_url, &alert.labels),
                fingerprint: format!("{:016x}", alert.labels.fingerprint()),
            })?;
        }
        list.end()
    }
}

/// Where the alerts of the rule can be looked at; empty if nobody said where people reach this server.
pub(crate) fn generator_url(external_url: &str, labels: &LabelSet) -> String {
    if external_url.is_empty() {
        return String::new();
    }
    let rule = labels.get("alertname").unwrap_or("");
    let rule = percent_encoding::utf8_percent_encode(rule, percent_encoding::NON_ALPHANUMERIC);
    format!("{external_url}/api/v1/alerting/alerts?rule={rule}")
}

struct Time(Option<Timestamp>);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(time) => serializer.serialize_str(&time.to_rfc3339()),
            None => serializer.serialize_str(NO_END),
        }
    }
}

struct Labels<'a>(&'a LabelSet);

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

struct Pairs<'a>(&'a [(String, String)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
