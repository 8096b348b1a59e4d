//! Mails by SMTP, text and HTML.
//!
//! How the connection is protected:
//! - `smtps://` and `smtp+starttls://` check the server's certificate and send nothing without TLS;
//! - `smtp://` uses STARTTLS when it is offered. Without a password there is nothing to protect that plain text would
//!   not show too, so the certificate is not checked then (unless `ca_file` is given): a local relay with a
//!   certificate of its own making works. With a password, a server that is not this machine must offer STARTTLS and
//!   its certificate is checked: passwords do not cross a network in the open.
//!
//! A recipient that the server refuses for good is passed over and logged, as long as another one is accepted.

mod render;
mod server;
mod session;

use crate::config::EmailConfig;
use crate::notification::Notification;
use crate::notifier::{Notifier, SendError, Sending};
use crate::secret::Secret;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use lettre::{Address, Message};
use server::{Security, Server};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::OnceCell;

/// Longest wait for the server's farewell; the mail is delivered by then.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends to the addresses of one integration.
pub struct EmailNotifier {
    smtp: Secret,
    password: Option<Secret>,
    from: Mailbox,
    to: Vec<Mailbox>,
    ca_file: Option<std::path::PathBuf>,
    timeout: Duration,
    external_url: Arc<str>,
    // One for the servers whose certificate is checked, one for those whose is not.
    checked: OnceCell<TlsParameters>,
    unchecked: OnceCell<TlsParameters>,
}

/// Reports what is wrong with the settings.
pub(crate) fn check(config: &EmailConfig, add: &mut dyn FnMut(&str, String)) {
    if let Some(url) = config.smtp.in_place() {
        match Server::parse(url) {
            Err(message) => add("email.smtp", message),
            Ok(server) => {
                let has_password = server.password.is_some() || config.password.is_some();
                if server.username.is_some() && !has_password {
                    add("email.smtp", "there is a user name but no password; add `password_file`".to_owned());
                }
                if server.username.is_none() && has_password {
                    add("email.smtp", "there is a password but no user name; write smtp://user@host".to_owned());
                }
            }
        }
    }
    if let Err(message) = mailbox(&config.from) {
        add("email.from", message);
    }
    if config.to.is_empty() {
        add("email.to", "a mail needs at least one address".to_owned());
    }
    for (at, address) in config.to.iter().enumerate() {
        if let Err(message) = mailbox(address) {
            add(&format!("email.to[{at}]"), message);
        }
    }
    if config.timeout.is_zero() {
        add("email.timeout", "the timeout must be longer than 0s".to_owned());
    }
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    let shown = crate::text::printable(text, 80);
    if text.chars().any(char::is_control) {
        return Err(format!("`{shown}` holds control characters"));
    }
    text.parse().map_err(|_| format!("`{shown}` is no mail address; write ops@example.org or Ops <ops@example.org>"))
}

impl EmailNotifier {
    /// A sender with these settings. `external_url` is where people reach this server; empty if not known.
    ///
    /// Errors: an address that is none.
    pub fn new(config: EmailConfig, external_url: &str) -> Result<EmailNotifier, String> {
        Ok(EmailNotifier {
            from: mailbox(&config.from)?,
            to: config.to.iter().map(|address| mailbox(address)).collect::<Result<_, _>>()?,
            smtp: config.smtp,
            password: config.password,
            ca_file: config.ca_file,
            timeout: config.timeout,
            external_url: external_url.into(),
            checked: OnceCell::new(),
            unchecked: OnceCell::new(),
        })
    }

    async fn attempt(&self, notification: &Arc<Notification>) -> Result<session::Session, SendError> {
        let url = read(&self.smtp).await?;
        let server = Server::parse(&url).map_err(SendError::lasting)?;
        let password: Option<Arc<str>> = match &self.password {
            Some(secret) => Some(read(secret).await?),
            None => server.password.as_deref().map(Into::into),
        };
        let credentials = server.username.clone().zip(password);
        let is_exposed = credentials.is_some() && !server.is_local();
        let must_encrypt = server.security != Security::WhenOffered || is_exposed;
        let check = must_encrypt || self.ca_file.is_some();
        let tls = self.tls(&server.host, check).await?;
        let mail = self.mail(notification).await?;
        let mut session = session::Session::open(&server, tls, must_encrypt, self.timeout).await?;
        if let Some((username, password)) = credentials {
            session.log_in(username, &password).await?;
        }
        let to: Vec<&Address> = self.to.iter().map(|mailbox| &mailbox.email).collect();
        session.deliver(&self.from.email, &to, &mail).await?;
        Ok(session)
    }

    async fn mail(&self, notification: &Arc<Notification>) -> Result<Vec<u8>, SendError> {
        let (notification, external_url) = (Arc::clone(notification), Arc::clone(&self.external_url));
        let (from, to) = (self.from.clone(), self.to.clone());
        let make = move || compose(&notification, &external_url, from, to);
        let made = tokio::task::spawn_blocking(make).await.unwrap_or_else(|error| Err(error.to_string()));
        made.map_err(|error| SendError::lasting(format!("the mail could not be written: {error}")))
    }

    async fn tls(&self, host: &str, check: bool) -> Result<TlsParameters, SendError> {
        let cell = if check { &self.checked } else { &self.unchecked };
        let build = || async {
            let (host, ca_file) = (host.to_owned(), self.ca_file.clone());
            let built = tokio::task::spawn_blocking(move || tls_parameters(host, ca_file.as_deref(), check)).await;
            built.unwrap_or_else(|error| Err(error.to_string()))
        };
        cell.get_or_try_init(build).await.cloned().map_err(SendError::passing)
    }
}

impl Notifier for EmailNotifier {
    fn send<'a>(&'a self, notification: &'a Arc<Notification>) -> Sending<'a> {
        Box::pin(async move {
            let late =
                || SendError::passing(format!("the mail server did not take the mail within {:?}", self.timeout));
            let session =
                tokio::time::timeout(self.timeout, self.attempt(notification)).await.map_err(|_| late())??;
            // The server has taken the mail over: what happens to the farewell changes nothing.
            let _ = tokio::time::timeout(QUIT_TIMEOUT, session.quit()).await;
            Ok(())
        })
    }
}

/// A secret that cannot be read now may be readable later.
async fn read(secret: &Secret) -> Result<Arc<str>, SendError> {
    secret.read().await.map_err(|error| SendError::passing(error.to_string()))
}

/// Blocks: reads the system's certificates.
fn tls_parameters(host: String, ca_file: Option<&Path>, check: bool) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host).dangerous_accept_invalid_certs(!check);
    if let Some(path) = ca_file {
        let pem = std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let certificate =
            Certificate::from_pem(&pem).map_err(|_| format!("{} holds no certificates in PEM form", path.display()))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|error| format!("no TLS: {error}"))
}

/// The whole mail as bytes. The same for each attempt, its date too.
fn compose(
    notification: &Notification,
    external_url: &str,
    from: Mailbox,
    to: Vec<Mailbox>,
) -> Result<Vec<u8>, String> {
    let rendered = render::render(notification, external_url)?;
    let domain = from.email.domain();
    let domain = if domain.is_ascii() { domain } else { "watchfire.invalid" };
    let millis = u64::try_from(notification.created_at.millis()).unwrap_or(0);
    let mut builder = Message::builder()
        .message_id(Some(format!("<{}@{domain}>", notification.id)))
        .date(UNIX_EPOCH + Duration::from_millis(millis))
        .subject(rendered.subject)
        .header(AutoSubmitted)
        .from(from);
    for mailbox in to {
        builder = builder.to(mailbox);
    }
    let message = builder
        .multipart(MultiPart::alternative_plain_html(rendered.text, rendered.html))
        .map_err(|error| error.to_string())?;
    Ok(message.formatted())
}

/// `Auto-Submitted: auto-generated` (RFC 3834): no holiday notes, please.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<AutoSubmitted, Box<dyn std::error::Error + Send + Sync>> {
        Ok(AutoSubmitted)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}
