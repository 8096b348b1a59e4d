//! One conversation with a mail server.

use super::server::{Security, Server};
use crate::notifier::SendError;
use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use std::time::Duration;

/// A connection that has been greeted and, where asked for, encrypted.
pub(super) struct Session(AsyncSmtpConnection);

impl Session {
    /// Connects. With `must_encrypt` nothing goes on without TLS.
    pub(super) async fn open(
        server: &Server,
        tls: TlsParameters,
        must_encrypt: bool,
        timeout: Duration,
    ) -> Result<Session, SendError> {
        let name = ClientId::default();
        let (first, then) = if server.security == Security::Tls { (Some(tls), None) } else { (None, Some(tls)) };
        let address = (server.host.as_str(), server.port);
        let mut connection = AsyncSmtpConnection::connect_tokio1(address, Some(timeout), &name, first, None)
            .await
            .map_err(|error| describe("cannot connect to the mail server", &error))?;
        if let Some(tls) = then {
            if connection.can_starttls() {
                let upgraded = connection.starttls(tls, &name).await;
                upgraded.map_err(|error| describe("the mail server offers STARTTLS, but it failed", &error))?;
            } else if must_encrypt {
                return Err(SendError::lasting(
                    "the mail server offers no STARTTLS, and nothing is sent to it in the open (smtp+starttls:// \
                     was asked for, or a password would cross the network)",
                ));
            }
        }
        Ok(Session(connection))
    }

    /// Proves who we are, by PLAIN or LOGIN.
    pub(super) async fn log_in(&mut self, username: String, password: &str) -> Result<(), SendError> {
        let credentials = Credentials::new(username, password.to_owned());
        let proven = self.0.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
        proven.map(drop).map_err(|error| describe("the mail server did not accept user and password", &error))
    }

    /// Hands the mail over. Recipients that are refused for good are passed over unless all are.
    pub(super) async fn deliver(&mut self, from: &Address, to: &[&Address], mail: &[u8]) -> Result<(), SendError> {
        let mut parameters = Vec::new();
        if to.iter().any(|address| !is_ascii(address)) || !is_ascii(from) {
            if !self.0.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(SendError::lasting("the mail server takes no addresses beyond ASCII (SMTPUTF8)"));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let answer = self.0.command(Mail::new(Some(from.clone()), parameters)).await;
        answer.map_err(|error| describe("the mail server refused the sender", &error))?;
        let mut refusals = Vec::new();
        for address in to {
            match self.0.command(Rcpt::new((*address).clone(), Vec::new())).await {
                Ok(_) => {}
                Err(error) if error.is_permanent() => refusals.push(format!("{address}: {error}")),
                Err(error) => return Err(describe("the mail server did not take a recipient now", &error)),
            }
        }
        if refusals.len() == to.len() {
            return Err(SendError::lasting(format!(
                "the mail server refused every recipient: {}",
                refusals.join(", ")
            )));
        }
        for refusal in refusals {
            tracing::warn!(
                refusal = crate::text::printable(&refusal, 300),
                "the mail server refused a recipient; the others get the mail"
            );
        }
        let answer = self.0.command(Data).await;
        answer.map_err(|error| describe("the mail server did not want the mail", &error))?;
        let answer = self.0.message(mail).await;
        answer.map(drop).map_err(|error| describe("the mail server did not take the mail over", &error))
    }

    /// Says farewell.
    pub(super) async fn quit(mut self) {
        // Nothing depends on the answer.
        let _ = self.0.quit().await;
    }
}

fn is_ascii(address: &Address) -> bool {
    AsRef::<str>::as_ref(address).is_ascii()
}

/// Refusals with a 5xx code, and what the server cannot do at all, last; everything else may pass.
fn describe(what: &str, error: &lettre::transport::smtp::Error) -> SendError {
    let mut text = format!("{what}: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    if error.is_permanent() || error.is_client() { SendError::lasting(text) } else { SendError::passing(text) }
}
