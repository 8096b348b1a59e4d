//! The receivers and limits, as plain data. The binary builds them from `config.yaml`.

use crate::decide::Policy;
use crate::inner::InnerReceiver;
use crate::notification::{IntegrationKind, Target};
use crate::secret::Secret;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Everything that alerting has to know at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of the notification log. Made if it is missing.
    pub dir: PathBuf,
    /// Who is told, and how messages look.
    pub receivers: ReceiverSettings,
    /// Times and sizes that decide.
    pub policy: Policy,
    /// Limits of the senders.
    pub limits: SendLimits,
}

impl Settings {
    /// The defaults of the documents, without receivers.
    pub fn new(dir: impl Into<PathBuf>) -> Settings {
        Settings {
            dir: dir.into(),
            receivers: ReceiverSettings::default(),
            policy: Policy::default(),
            limits: SendLimits::default(),
        }
    }
}

/// The part that may change while the server runs.
#[derive(Clone, Debug, Default)]
pub struct ReceiverSettings {
    /// All receivers; their names differ.
    pub receivers: Vec<Receiver>,
    /// Who hears of an alert that names no receiver; empty means everyone.
    pub default_receivers: Vec<String>,
    /// Where people reach this server, without a slash at the end (`http://host:8080`); empty if not known.
    pub external_url: String,
}

/// Limits of each target's sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendLimits {
    /// Most messages that wait for one target.
    pub queue_messages: usize,
    /// Most bytes of messages that wait for one target, in memory.
    pub queue_bytes: usize,
    /// Most messages under way to one target at once.
    pub concurrency: usize,
    /// A message is given up when it is older than this.
    pub max_age: Duration,
}

impl Default for SendLimits {
    fn default() -> SendLimits {
        SendLimits {
            queue_messages: 10_000,
            queue_bytes: 64 << 20,
            concurrency: 8,
            max_age: Duration::from_secs(24 * 3600),
        }
    }
}

/// A named receiver: everyone who is told together.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiver {
    /// Its name, as rules and `default_receivers` say it.
    pub name: String,
    /// How it is told; each way has its own queue, retries and deduplication.
    pub integrations: Vec<Integration>,
}

/// One way of telling.
#[derive(Clone, Debug, PartialEq)]
pub enum Integration {
    /// An HTTP POST of Alertmanager's body.
    Webhook(WebhookConfig),
    /// A mail.
    Email(EmailConfig),
    /// A call within this process; told only of alerts that name its receiver, and never of resolved ones.
    Inner(InnerReceiver),
}

impl Integration {
    /// Its kind.
    pub fn kind(&self) -> IntegrationKind {
        match self {
            Integration::Webhook(_) => IntegrationKind::Webhook,
            Integration::Email(_) => IntegrationKind::Email,
            Integration::Inner(_) => IntegrationKind::Inner,
        }
    }

    /// Whether it tells of resolved alerts.
    pub fn send_resolved(&self) -> bool {
        match self {
            Integration::Webhook(config) => config.send_resolved,
            Integration::Email(config) => config.send_resolved,
            Integration::Inner(_) => false,
        }
    }
}

/// A webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookConfig {
    /// Where to post, `http://` or `https://`. Hidden, as many services put a token into it.
    pub url: Secret,
    /// How to prove who we are.
    pub auth: WebhookAuth,
    /// A file of PEM certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether to tell of resolved alerts.
    pub send_resolved: bool,
    /// Most alerts in one body, further ones are only counted in `truncatedAlerts`; 0 means all.
    pub max_alerts: usize,
    /// Longest time that one attempt may take, redirects included.
    pub timeout: Duration,
}

impl WebhookConfig {
    /// A webhook with the defaults: resolved alerts too, all alerts, 10 s.
    pub fn new(url: Secret) -> WebhookConfig {
        WebhookConfig {
            url,
            auth: WebhookAuth::None,
            ca_file: None,
            send_resolved: true,
            max_alerts: 0,
            timeout: Duration::from_secs(10),
        }
    }
}

/// The `Authorization` of a webhook.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum WebhookAuth {
    /// None.
    #[default]
    None,
    /// User name and password.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// `Bearer TOKEN`.
    Bearer(Secret),
}

/// A mail.
#[derive(Clone, Debug, PartialEq)]
pub struct EmailConfig {
    /// `smtp://[user[:password]@]host[:port]` uses STARTTLS when it is offered, `smtp+starttls://` insists on it,
    /// `smtps://` is TLS from the first byte. Hidden, as it may hold a password.
    pub smtp: Secret,
    /// The password, if it does not stand in `smtp`.
    pub password: Option<Secret>,
    /// The sender: `watchfire@example.org` or `Watchfire <watchfire@example.org>`.
    pub from: String,
    /// Who gets it; at least one.
    pub to: Vec<String>,
    /// A file of PEM certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether to tell of resolved alerts.
    pub send_resolved: bool,
    /// Longest time that one attempt may take.
    pub timeout: Duration,
}

impl EmailConfig {
    /// A mail with the defaults: resolved alerts too, 10 s.
    pub fn new(smtp: Secret, from: impl Into<String>, to: Vec<String>) -> EmailConfig {
        EmailConfig {
            smtp,
            password: None,
            from: from.into(),
            to,
            ca_file: None,
            send_resolved: true,
            timeout: Duration::from_secs(10),
        }
    }
}

/// What is wrong with the receivers, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct ConfigFault {
    /// The place, in the words of `config.yaml`: `receivers[0].email.smtp`.
    pub path: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl ReceiverSettings {
    /// All integrations, in order, each with the target that it is.
    pub fn targets(&self) -> Vec<(Target, &Integration)> {
        let mut targets = Vec::new();
        for receiver in &self.receivers {
            let name: Arc<str> = receiver.name.as_str().into();
            for (at, integration) in receiver.integrations.iter().enumerate() {
                let kind = integration.kind();
                let before = receiver.integrations.iter().take(at).filter(|other| other.kind() == kind).count();
                let index = u32::try_from(before).unwrap_or(u32::MAX);
                targets.push((Target { receiver: Arc::clone(&name), kind, index }, integration));
            }
        }
        targets
    }

    /// All faults at once; none means that the settings can be used. Does not open files or connections.
    pub fn faults(&self) -> Vec<ConfigFault> {
        let mut faults = Vec::new();
        for (at, receiver) in self.receivers.iter().enumerate() {
            let mut add = |field: &str, message: String| {
                faults.push(ConfigFault { path: format!("receivers[{at}].{field}"), message });
            };
            if receiver.name.is_empty() {
                add("name", "a receiver needs a name".to_owned());
            }
            if self.receivers.iter().take(at).any(|other| other.name == receiver.name) {
                add("name", format!("two receivers are called `{}`; give each a name of its own", receiver.name));
            }
            if receiver.integrations.is_empty() {
                add("name", format!("receiver `{}` has no way of telling; add `webhook` or `email`", receiver.name));
            }
            for integration in &receiver.integrations {
                match integration {
                    Integration::Webhook(config) => crate::webhook::check(config, &mut add),
                    Integration::Email(config) => crate::email::check(config, &mut add),
                    Integration::Inner(_) => {}
                }
            }
        }
        for (at, name) in self.default_receivers.iter().enumerate() {
            if !self.receivers.iter().any(|receiver| receiver.name == *name) {
                let path = format!("default_receivers[{at}]");
                faults.push(ConfigFault { path, message: format!("no receiver is called `{name}`") });
            }
        }
        faults
    }
}
