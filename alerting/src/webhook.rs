//! Webhooks: an HTTP POST of Alertmanager's body.
//!
//! Redirects 307 and 308 are followed with the same method and body; 301, 302 and 303 would turn the POST into a
//! GET, and are failures. Answers are read up to a limit.

mod body;
mod clients;

pub(crate) use body::generator_url;
pub(crate) use clients::Clients;

use crate::config::{WebhookAuth, WebhookConfig};
use crate::notification::Notification;
use crate::notifier::{Notifier, Retry, SendError, Sending};
use crate::secret::Secret;
use crate::text::printable;
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use watchfire_model::text::with_causes;

/// Most redirects that one attempt follows.
const REDIRECTS_MAX: usize = 5;
/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Sends to one webhook.
pub struct WebhookNotifier {
    config: WebhookConfig,
    external_url: Arc<str>,
    clients: Clients,
}

/// Reports what is wrong with the settings.
pub(crate) fn check(config: &WebhookConfig, add: &mut dyn FnMut(&str, String)) {
    if let Some(url) = config.url.in_place()
        && let Err(message) = parse_url(url)
    {
        add("webhook.url", message);
    }
    if config.timeout.is_zero() {
        add("webhook.timeout", "the timeout must be longer than 0s".to_owned());
    }
}

pub(crate) fn parse_url(text: &str) -> Result<Url, String> {
    // The URL itself is not shown: it may hold a token.
    let url = Url::parse(text).map_err(|error| format!("the URL cannot be read: {error}; write http://host/path"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        scheme => Err(format!("`{}` is no way to post; write http:// or https://", printable(scheme, 20))),
    }
}

impl WebhookNotifier {
    /// A sender with these settings. `external_url` is where people reach this server; empty if not known.
    pub fn new(config: WebhookConfig, external_url: &str) -> WebhookNotifier {
        let clients = Clients::new(config.ca_file.clone());
        WebhookNotifier { config, external_url: external_url.into(), clients }
    }

    async fn attempt(&self, notification: &Arc<Notification>) -> Result<(), SendError> {
        let mut url = parse_url(&read(&self.config.url).await?).map_err(SendError::lasting)?;
        let mut credentials = self.credentials().await?;
        let body = self.body(notification).await?;
        for _ in 0..=REDIRECTS_MAX {
            let request = self.clients.of(&url).await?.post(url.clone());
            let request = match &credentials {
                Credentials::None => request,
                Credentials::Basic(username, password) => request.basic_auth(username, Some(password)),
                Credentials::Bearer(token) => request.bearer_auth(token),
            };
            let request = request.header(CONTENT_TYPE, "application/json").header("Idempotency-Key", &*notification.id);
            let answer = request.body(body.clone()).send().await.map_err(describe)?;
            let status = answer.status();
            if status.is_success() {
                read_some(answer).await;
                return Ok(());
            }
            if !matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
                return Err(refusal(answer).await);
            }
            let next = redirected(&url, &answer)?;
            if next.origin() != url.origin() {
                // Another server has no business with this one's password.
                credentials = Credentials::None;
            }
            url = next;
        }
        Err(SendError::lasting(format!("more than {REDIRECTS_MAX} redirects; give the URL at which they end")))
    }

    async fn body(&self, notification: &Arc<Notification>) -> Result<Bytes, SendError> {
        let (notification, external_url) = (Arc::clone(notification), Arc::clone(&self.external_url));
        let max_alerts = self.config.max_alerts;
        let render = move || body::render(&notification, &external_url, max_alerts);
        let bytes = tokio::task::spawn_blocking(render).await;
        bytes.map(Bytes::from).map_err(|error| SendError::passing(format!("the body could not be made: {error}")))
    }

    async fn credentials(&self) -> Result<Credentials, SendError> {
        Ok(match &self.config.auth {
            WebhookAuth::None => Credentials::None,
            WebhookAuth::Bearer(token) => Credentials::Bearer(read(token).await?),
            WebhookAuth::Basic { username, password } => Credentials::Basic(username.clone(), read(password).await?),
        })
    }
}

impl Notifier for WebhookNotifier {
    fn send<'a>(&'a self, notification: &'a Arc<Notification>) -> Sending<'a> {
        Box::pin(async move {
            let late = |_| SendError::passing(format!("no answer within {:?}", self.config.timeout));
            tokio::time::timeout(self.config.timeout, self.attempt(notification)).await.unwrap_or_else(|e| Err(late(e)))
        })
    }
}

enum Credentials {
    None,
    Basic(String, Arc<str>),
    Bearer(Arc<str>),
}

/// A secret that cannot be read now may be readable later.
pub(crate) async fn read(secret: &Secret) -> Result<Arc<str>, SendError> {
    secret.read().await.map_err(|error| SendError::passing(error.to_string()))
}

/// Where a redirect leads. Errors: nowhere, or from TLS to plain text.
fn redirected(from: &Url, answer: &Response) -> Result<Url, SendError> {
    let status = answer.status().as_u16();
    let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let next = location.and_then(|location| from.join(location).ok());
    match next {
        Some(next) if !matches!(next.scheme(), "http" | "https") || !next.has_host() => {
            Err(SendError::lasting(format!("the answer {status} leads to no HTTP address")))
        }
        Some(next) if from.scheme() == "https" && next.scheme() == "http" => Err(SendError::lasting(format!(
            "the answer {status} leads from https to http, which would show the alerts to the network; give the final URL"
        ))),
        Some(next) => Ok(next),
        None => Err(SendError::lasting(format!("the answer {status} does not say where to go"))),
    }
}

/// What a status that is neither success nor a redirect to follow means.
async fn refusal(answer: Response) -> SendError {
    let status = answer.status();
    let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| parse_retry_after(value.to_str().ok()?));
    if status.is_redirection() {
        return SendError::lasting(format!(
            "the answer {status} redirects, which would turn the POST into a GET; give the URL at which it ends"
        ));
    }
    let text = read_some(answer).await;
    let message =
        if text.is_empty() { format!("the answer is {status}") } else { format!("the answer is {status}: {text}") };
    let retry = match (status, retry_after) {
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, Some(pause)) => Retry::After(pause),
        (StatusCode::TOO_MANY_REQUESTS, None) => Retry::BackOff,
        _ if status.is_server_error() => Retry::BackOff,
        _ => Retry::Never,
    };
    SendError { retry, ..SendError::lasting(message) }
}

/// The beginning of an answer's body. Reads on to the end, so that the connection can be used again, but not beyond
/// the limit.
pub(crate) async fn read_some(mut answer: Response) -> String {
    let mut bytes = Vec::new();
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        let room = 1024usize.saturating_sub(bytes.len());
        bytes.extend(chunk.iter().take(room));
        if read >= ANSWER_BYTES_MAX {
            break;
        }
    }
    printable(String::from_utf8_lossy(&bytes).trim(), 200)
}

/// Seconds, or a date by the clock of this machine.
fn parse_retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u32>() {
        return Some(Duration::from_secs(u64::from(seconds)));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(SystemTime::now()).unwrap_or_default())
}

pub(crate) fn describe(error: reqwest::Error) -> SendError {
    let error = error.without_url();
    let message = with_causes(&error);
    if error.is_builder() { SendError::lasting(message) } else { SendError::passing(message) }
}
