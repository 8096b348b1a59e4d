//! `oauth2`: tokens that a server gives for client credentials (RFC 6749, 4.4) or for a signed [`assertion`], kept until they expire.
//!
//! Credentials go in the header first, and in the form when the server does not take that; what it took is remembered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response, Url};
use serde::Deserialize;
use tokio::sync::Semaphore;
use watchfire_model::Timestamp;
use watchfire_model::text::with_causes;

use crate::assertion;
use crate::client::{HttpClient, read};
use crate::config::OAuth2Config;

/// A token is not used any more so long before it expires: it has to arrive, too.
const EARLY: Duration = Duration::from_secs(10);
/// How long the server may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer that is read, bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// As much of an answer as an error shows, characters.
const SHOWN_MAX: usize = 200;

/// The token of one client, and how to get the next.
pub(crate) struct Tokens {
    config: OAuth2Config,
    client: Arc<HttpClient>,
    /// The newest token.
    newest: Mutex<Option<Token>>,
    /// Who asks the server now; others wait for what it gets.
    asking: Semaphore,
    /// The server takes credentials in the form only.
    wants_form: AtomicBool,
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    /// From then on it is not used; `None`: it never expires.
    until: Option<Instant>,
}

impl Token {
    fn is_good(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

/// How a request for a token says who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Credentials {
    InHeader,
    InForm,
    /// By an assertion.
    Signed,
}

/// A server's answer.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<Seconds>,
}

/// Some servers write the number as a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

impl Tokens {
    pub(crate) fn new(config: OAuth2Config) -> Tokens {
        Tokens {
            client: Arc::new(HttpClient::new(config.http.clone())),
            config,
            newest: Mutex::default(),
            asking: Semaphore::new(1),
            wants_form: AtomicBool::new(false),
        }
    }

    /// The `Authorization` to send now. Errors: why there is none, for people.
    pub(crate) async fn header(&self) -> Result<HeaderValue, String> {
        if let Some(header) = self.at_hand() {
            return Ok(header);
        }
        let _turn = self.asking.acquire().await.map_err(|error| error.to_string())?;
        // Whoever asked before may have brought one.
        if let Some(header) = self.at_hand() {
            return Ok(header);
        }
        let token =
            self.fetch().await.map_err(|reason| format!("no token from {}: {reason}", self.config.token_url))?;
        let header = token.header.clone();
        *self.newest.lock() = Some(token);
        Ok(header)
    }

    fn at_hand(&self) -> Option<HeaderValue> {
        self.newest.lock().as_ref().filter(|token| token.is_good()).map(|token| token.header.clone())
    }

    async fn fetch(&self) -> Result<Token, String> {
        if self.config.assertion.is_some() {
            return self.ask(Credentials::Signed).await;
        }
        if !self.wants_form.load(Ordering::Relaxed) {
            let first = self.ask(Credentials::InHeader).await;
            if first.is_ok() {
                return first;
            }
        }
        let token = self.ask(Credentials::InForm).await?;
        self.wants_form.store(true, Ordering::Relaxed);
        Ok(token)
    }

    async fn ask(&self, credentials: Credentials) -> Result<Token, String> {
        let url = Url::parse(&self.config.token_url).map_err(|error| format!("it is no URL: {error}"))?;
        let (client, config) = (self.client.clone(), self.config.clone());
        // The secret or the key may stand in a file.
        let made = tokio::task::spawn_blocking(move || {
            let secret = match &config.assertion {
                Some(assertion) => assertion::signed(assertion, &config, Timestamp::now())?.into(),
                None => read(&config.client_secret)?,
            };
            Ok((client.make(Method::POST, &url)?, secret))
        });
        let (request, secret) = made.await.unwrap_or_else(|error| Err(error.to_string()))?;
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let request = match credentials {
            Credentials::InHeader => request.basic_auth(encoded(&self.config.client_id), Some(encoded(&secret))),
            Credentials::InForm | Credentials::Signed => request,
        };
        let form = self.form(credentials, &secret);
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        let asked = Instant::now();
        let answered = tokio::time::timeout(TIMEOUT, async {
            let response = request.send().await.map_err(|error| with_causes(&error.without_url()))?;
            body(response).await
        });
        let (is_form, body) = answered.await.map_err(|_| format!("no answer in {} s", TIMEOUT.as_secs()))??;
        token(&body, is_form, asked)
    }

    /// What is asked for, with the secret or the assertion where that belongs there.
    fn form(&self, credentials: Credentials, secret: &str) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        if credentials == Credentials::Signed {
            // Some servers want it to be called otherwise.
            if !self.config.endpoint_params.iter().any(|(name, _)| name == "grant_type") {
                form.append_pair("grant_type", assertion::GRANT_TYPE);
            }
            form.append_pair("assertion", secret);
        } else {
            form.append_pair("grant_type", "client_credentials");
        }
        if !self.config.scopes.is_empty() {
            form.append_pair("scope", &self.config.scopes.join(" "));
        }
        form.extend_pairs(&self.config.endpoint_params);
        if credentials == Credentials::InForm {
            form.append_pair("client_id", &self.config.client_id);
            if !secret.is_empty() {
                form.append_pair("client_secret", secret);
            }
        }
        form.finish()
    }
}

/// The body of an answer, and whether it is a form; anything but a success is an error.
async fn body(mut response: Response) -> Result<(bool, Vec<u8>), String> {
    let status = response.status();
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_form = matches!(essence.as_str(), "application/x-www-form-urlencoded" | "text/plain");
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| with_causes(&error.without_url()))? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(format!("its answer is longer than {ANSWER_BYTES_MAX} bytes"));
        }
    }
    if !status.is_success() {
        let shown: String = String::from_utf8_lossy(&body).chars().take(SHOWN_MAX).collect();
        return Err(format!("it answered {status}: {}", shown.trim().escape_debug()));
    }
    Ok((is_form, body))
}

/// The token of an answer. What the answer says is not shown: it may hold the token.
fn token(body: &[u8], is_form: bool, asked: Instant) -> Result<Token, String> {
    let answer = if is_form {
        let mut answer = Answer { access_token: String::new(), token_type: None, expires_in: None };
        for (name, value) in form_urlencoded::parse(body) {
            match &*name {
                "access_token" => answer.access_token = value.into_owned(),
                "token_type" => answer.token_type = Some(value.into_owned()),
                "expires_in" => answer.expires_in = Some(Seconds::Text(value.into_owned())),
                _ => {}
            }
        }
        answer
    } else {
        serde_json::from_slice::<Answer>(body).map_err(|_| "its answer is no token in JSON".to_owned())?
    };
    if answer.access_token.is_empty() {
        return Err("its answer has no `access_token`".to_owned());
    }
    let kind = answer.token_type.filter(|kind| !kind.is_empty()).unwrap_or_else(|| "Bearer".to_owned());
    let kind = if kind.eq_ignore_ascii_case("bearer") { "Bearer" } else { &kind };
    let header = HeaderValue::from_str(&format!("{kind} {}", answer.access_token));
    let mut header = header.map_err(|_| "its token holds a character that no header can".to_owned())?;
    header.set_sensitive(true);
    let seconds = match answer.expires_in {
        None => None,
        Some(Seconds::Number(seconds)) => Some(seconds),
        Some(Seconds::Text(text)) => text.trim().parse().ok(),
    };
    // What lasts for longer than a time can tell does not expire.
    let lasts = seconds.filter(|seconds| *seconds > 0.0).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let until = lasts.and_then(|lasts| asked.checked_add(lasts.saturating_sub(EARLY)));
    Ok(Token { header, until })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_token(body: &str, is_form: bool) -> Result<(String, Option<u64>), String> {
        let asked = Instant::now();
        let token = token(body.as_bytes(), is_form, asked)?;
        Ok((
            token.header.to_str().expect("text").to_owned(),
            token.until.map(|until| until.duration_since(asked).as_secs()),
        ))
    }

    #[test]
    fn answers_are_read_as_servers_write_them() {
        let good = |header: &str, seconds: Option<u64>| Ok((header.to_owned(), seconds));
        assert_eq!(
            read_token(r#"{"access_token": "a", "token_type": "bearer", "expires_in": 60}"#, false),
            good("Bearer a", Some(50))
        );
        assert_eq!(read_token(r#"{"access_token": "a", "expires_in": "3600"}"#, false), good("Bearer a", Some(3590)));
        assert_eq!(read_token(r#"{"access_token": "a", "token_type": "MAC"}"#, false), good("MAC a", None));
        assert_eq!(read_token("access_token=a%20b&expires_in=20&x=y", true), good("Bearer a b", Some(10)));
        for bad in ["", "{}", r#"{"access_token": 5}"#, r#"{"access_token": "a\nb"}"#] {
            assert!(read_token(bad, false).is_err_and(|reason| !reason.contains("a\nb")), "{bad}");
        }
        assert!(read_token("x=y", true).is_err());
    }
}
