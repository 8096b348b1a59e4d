//! From the configuration's receivers to those of alerting.

use std::net::SocketAddr;
use std::time::Duration;

use watchfire_alerting::{EmailConfig, Integration, Receiver, ReceiverSettings, Secret, WebhookAuth, WebhookConfig};
use watchfire_dashboard_api::state::Reached;

use crate::config::{self, Config};

/// The settings that alerting wants; `canary` is a receiver of our own.
pub fn settings(config: &Config, canary: Option<Receiver>) -> ReceiverSettings {
    let alerting = &config.alerting;
    ReceiverSettings {
        receivers: alerting.receivers.iter().map(receiver).chain(canary).collect(),
        default_receivers: alerting.default_receivers.clone(),
        external_url: external_url(config),
    }
}

/// Where people reach this server: as the configuration says, else the first address that it listens on.
pub fn external_url(config: &Config) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let own_address = || config.listen.first().map_or_else(String::new, |address| format!("{scheme}://{address}"));
    config.alerting.external_url.clone().unwrap_or_else(own_address)
}

/// Where this server is reached from elsewhere: as the configuration says, else by the name of this machine.
pub fn reached(config: &Config) -> Reached {
    let ports: Vec<u16> = config.listen.iter().map(SocketAddr::port).collect();
    let by_name = || {
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let host = watchfire_ingest::sources::host_name().unwrap_or_else(|| "localhost".to_owned());
        ports.first().map_or_else(String::new, |port| format!("{scheme}://{host}:{port}"))
    };
    let url = config.alerting.external_url.clone().unwrap_or_else(by_name);
    Reached { url, ports }
}

/// One receiver, as alerting wants it.
pub fn receiver(receiver: &config::Receiver) -> Receiver {
    let webhook = receiver.webhook.as_ref().map(|config| Integration::Webhook(webhook(config)));
    let email = receiver.email.as_ref().map(|config| Integration::Email(email(config)));
    Receiver { name: receiver.name.clone(), integrations: webhook.into_iter().chain(email).collect() }
}

fn duration(millis: i64) -> Duration {
    Duration::from_millis(millis.unsigned_abs())
}

fn webhook(webhook: &config::Webhook) -> WebhookConfig {
    let url = match (&webhook.url, &webhook.url_file) {
        (Some(url), _) => Secret::inline(url.as_str()),
        (None, Some(file)) => Secret::file(file),
        // The reader of the configuration has refused a webhook without both.
        (None, None) => Secret::inline(""),
    };
    let auth = match (&webhook.username, &webhook.password_file, &webhook.bearer_token_file) {
        (_, _, Some(file)) => WebhookAuth::Bearer(Secret::file(file)),
        (Some(username), Some(file), None) => {
            WebhookAuth::Basic { username: username.clone(), password: Secret::file(file) }
        }
        _ => WebhookAuth::None,
    };
    let timeout = duration(webhook.timeout_ms);
    WebhookConfig { auth, send_resolved: webhook.send_resolved, timeout, ..WebhookConfig::new(url) }
}

fn email(email: &config::Email) -> EmailConfig {
    EmailConfig {
        password: email.password_file.as_ref().map(Secret::file),
        ca_file: email.ca_file.clone(),
        send_resolved: email.send_resolved,
        ..EmailConfig::new(Secret::inline(email.smtp.as_str()), email.from.as_str(), email.to.clone())
    }
}
