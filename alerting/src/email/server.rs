//! The address of a mail server: `smtp://user@host:25`.

use crate::text::printable;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use std::net::IpAddr;

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    /// `smtp://`: STARTTLS when it is offered.
    WhenOffered,
    /// `smtp+starttls://`: STARTTLS, or nothing is sent.
    StartTls,
    /// `smtps://`: TLS from the first byte.
    Tls,
}

/// Where mails are handed in.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) security: Security,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
}

impl Server {
    /// Reads the URL. The message of an error does not repeat it, as it may hold a password.
    pub(super) fn parse(text: &str) -> Result<Server, String> {
        let remedy = "write smtp://[user@]host[:port], smtp+starttls:// or smtps://";
        let url =
            Url::parse(text).map_err(|error| format!("the mail server's URL cannot be read: {error}; {remedy}"))?;
        let (security, default_port) = match url.scheme() {
            "smtp" => (Security::WhenOffered, 25),
            "smtp+starttls" => (Security::StartTls, 587),
            "smtps" => (Security::Tls, 465),
            other => return Err(format!("`{}` is no way to send mail; {remedy}", printable(other, 20))),
        };
        let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
            return Err(format!("the mail server's URL names no host; {remedy}"));
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(format!("the mail server's URL may hold nothing after the port; {remedy}"));
        }
        let decode = |text: &str| {
            let decoded =
                percent_decode_str(text).decode_utf8().map_err(|_| "the user name is not UTF-8".to_owned())?;
            Ok::<_, String>((!decoded.is_empty()).then(|| decoded.into_owned()))
        };
        Ok(Server {
            security,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: url.port().unwrap_or(default_port),
            username: decode(url.username())?,
            password: decode(url.password().unwrap_or(""))?,
        })
    }

    /// Whether the server is this machine, so that nobody listens in between.
    pub(super) fn is_local(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost") || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_urls() {
        let server = Server::parse("smtp://user%40example.org:p%20w@127.0.0.1:2525").expect("a good URL");
        assert_eq!((server.security, &*server.host, server.port), (Security::WhenOffered, "127.0.0.1", 2525));
        assert_eq!(server.username.as_deref(), Some("user@example.org"));
        assert_eq!(server.password.as_deref(), Some("p w"));
        assert!(server.is_local());
        let server = Server::parse("smtp+starttls://mail.example.org").expect("a good URL");
        assert_eq!((server.security, server.port, server.is_local()), (Security::StartTls, 587, false));
        let server = Server::parse("smtps://[::1]").expect("a good URL");
        assert_eq!((&*server.host, server.port, server.is_local()), ("::1", 465, true));
    }

    #[test]
    fn faults_do_not_show_the_password() {
        for text in [
            "",
            "mail.example.org",
            "http://u:hunter2@h",
            "smtp://",
            "smtp://u:hunter2@h/x",
            "smtp://u:hunter2@h:99999",
        ] {
            let message = Server::parse(text).err().unwrap_or_else(|| panic!("{text} was taken"));
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
