//! The server that is asked: where it is, who we are to it, and its answers or why there are none.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use watchfire_tls_client::{Authorities, ClientTls, Identity, TlsError, explain};

use crate::failure::{Failure, Rejection};
use crate::origin::given_by;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence in an answer; longer than the server's own limit of a query.
const READ_TIMEOUT: Duration = Duration::from_secs(150);
/// The same where the server works long before it says anything.
const PATIENT_READ_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// Most bytes of an answer that is no success.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// Where the server is, and who we are to it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Server")]
pub struct Connection {
    /// The server's address.
    #[arg(
        long,
        env = "WATCHFIRE_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    url: String,
    /// API key; others on this machine can see it here, in a file they cannot.
    #[arg(
        long,
        env = "WATCHFIRE_API_KEY",
        hide_env_values = true,
        value_name = "KEY",
        conflicts_with = "api_key_file"
    )]
    api_key: Option<String>,
    /// File that holds the API key.
    #[arg(long, env = "WATCHFIRE_API_KEY_FILE", hide_env_values = true, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Certificates (PEM) to trust beside this machine's, for https.
    #[arg(long, env = "WATCHFIRE_CA_FILE", hide_env_values = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Certificate (PEM) that says who asks, for servers that want one.
    #[arg(long, env = "WATCHFIRE_CERT_FILE", hide_env_values = true, value_name = "FILE")]
    cert_file: Option<PathBuf>,
    /// The key of that certificate (PEM), if it is in a file of its own.
    #[arg(long, env = "WATCHFIRE_KEY_FILE", hide_env_values = true, value_name = "FILE", requires = "cert_file")]
    key_file: Option<PathBuf>,
}

/// A flag that names a file, and the variable in its place.
struct FileFlag(&'static str, &'static str);

const KEY_FILE: FileFlag = FileFlag("--api-key-file", "WATCHFIRE_API_KEY_FILE");
const CA_FILE: FileFlag = FileFlag("--ca-file", "WATCHFIRE_CA_FILE");
const CERT_FILE: FileFlag = FileFlag("--cert-file", "WATCHFIRE_CERT_FILE");
const CERT_KEY_FILE: FileFlag = FileFlag("--key-file", "WATCHFIRE_KEY_FILE");

impl FileFlag {
    /// The one of both that has named the file, and the file.
    fn naming(&self, file: &Path) -> String {
        format!("{} {}", given_by(self.0, self.1), file.display())
    }
}

/// A server that can be asked.
pub struct Server {
    url: Url,
    key: Option<HeaderValue>,
    client: Client,
}

impl Connection {
    /// Reads key and certificates; connects to nobody yet.
    pub fn open(&self) -> Result<Server, Failure> {
        self.open_with(READ_TIMEOUT)
    }

    /// The same, for work that takes as long as it takes.
    pub fn open_patiently(&self) -> Result<Server, Failure> {
        self.open_with(PATIENT_READ_TIMEOUT)
    }

    fn open_with(&self, read_timeout: Duration) -> Result<Server, Failure> {
        let given = given_by("--url", "WATCHFIRE_URL");
        let usage = |problem: String| Failure::Usage(format!("{given}: `{}`{problem}", self.url));
        let no_address =
            |problem: &str| usage(format!(" is no address{problem}; write http://HOST:PORT or https://HOST"));
        // `127.0.0.1:8080` is a path without a base to it, and `localhost:8080` one of a scheme `localhost`.
        let has_scheme = self.url.contains("://");
        let url = Url::parse(&self.url)
            .map_err(|error| no_address(&if has_scheme { format!(": {error}") } else { String::new() }))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(no_address(""));
        }
        let key = match (&self.api_key, &self.api_key_file) {
            (Some(key), _) => Some(bearer(given_by("--api-key", "WATCHFIRE_API_KEY"), key)?),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file).map_err(|error| wrong_file(&KEY_FILE, file, &error))?;
                Some(bearer(&KEY_FILE.naming(file), text.trim())?)
            }
            (None, None) => None,
        };
        Ok(Server { client: self.client(&url, read_timeout)?, url, key })
    }

    fn client(&self, url: &Url, read_timeout: Duration) -> Result<Client, Failure> {
        let builder = Client::builder()
            .user_agent(concat!("watchfire-cli/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(read_timeout)
            // Nobody else gets the key.
            .redirect(reqwest::redirect::Policy::none());
        // What runs on this machine is not asked for through a proxy, as with programs in Go.
        let builder = if is_loopback(url) { builder.no_proxy() } else { builder };
        // Reading this machine's certificates takes time that plain HTTP does not need.
        let builder = match url.scheme() {
            "http" => {
                // Not needed there; a slip in their names is one all the same.
                let named =
                    [(&CA_FILE, &self.ca_file), (&CERT_FILE, &self.cert_file), (&CERT_KEY_FILE, &self.key_file)];
                for (flag, file) in named {
                    file.as_ref().map(|file| read_pem(flag, file)).transpose()?;
                }
                builder.tls_certs_only([])
            }
            _ => self.with_certificates(builder)?,
        };
        // A second installation fails, and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        builder.build().map_err(|error| Failure::Local(causes(&error)))
    }

    /// Why there can be no TLS.
    fn unusable(&self, error: &rustls::Error) -> Failure {
        match (&self.cert_file, error) {
            (Some(certificate), rustls::Error::InconsistentKeys(_)) => {
                let (flag, file) =
                    self.key_file.as_ref().map_or((&CERT_FILE, certificate), |key| (&CERT_KEY_FILE, key));
                wrong_file(flag, file, format!("this is not the key of the certificate in {}", certificate.display()))
            }
            _ => Failure::Local(causes(error)),
        }
    }

    /// Whom to trust, and who we are.
    fn with_certificates(&self, builder: ClientBuilder) -> Result<ClientBuilder, Failure> {
        let authorities = match &self.ca_file {
            Some(file) => {
                Authorities::from_pem(&read_pem(&CA_FILE, file)?).map_err(|error| wrong_file(&CA_FILE, file, error))?
            }
            None => Authorities::default(),
        };
        let tls =
            ClientTls { authorities, beside_system: true, identity: self.identity()?, only_tls_1_3: false }.build();
        Ok(builder.tls_backend_preconfigured(tls.map_err(|error| match error {
            TlsError::Unusable(error) => self.unusable(&error),
            error => Failure::Local(error.to_string()),
        })?))
    }

    /// Who we are, if that was said.
    fn identity(&self) -> Result<Option<Identity>, Failure> {
        let Some(file) = &self.cert_file else { return Ok(None) };
        let mut pem = read_pem(&CERT_FILE, file)?;
        if let Some(file) = &self.key_file {
            pem.push(b'\n');
            pem.extend(read_pem(&CERT_KEY_FILE, file)?);
        }
        let told = |error| wrong_file(&CERT_FILE, file, format!("no certificate with its key: {error}"));
        Identity::from_pem(&pem).map(Some).map_err(told)
    }
}

/// A file that was named and is not there, or is not what it has to be.
fn wrong_file(of: &FileFlag, file: &Path, problem: impl std::fmt::Display) -> Failure {
    Failure::Usage(format!("{}: {problem}", of.naming(file)))
}

/// Whether an address is one of this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host_str().unwrap_or_default().trim_matches(['[', ']']) {
        "localhost" => true,
        host => host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()),
    }
}

fn read_pem(flag: &FileFlag, file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| wrong_file(flag, file, error))
}

fn bearer(place: &str, key: &str) -> Result<HeaderValue, Failure> {
    let value = HeaderValue::from_str(&format!("Bearer {key}")).ok().filter(|_| !key.is_empty());
    let mut value = value.ok_or_else(|| Failure::Usage(format!("{place}: an API key is one word of plain text")))?;
    value.set_sensitive(true);
    Ok(value)
}

impl Server {
    /// As it was given, for messages: without a password in it.
    pub fn name(&self) -> String {
        let mut url = self.url.clone();
        if url.password().is_some() {
            // Fails only for addresses that cannot have one.
            let _ = url.set_password(Some("…"));
        }
        url.as_str().trim_end_matches('/').to_owned()
    }

    /// A request to a path, with parameters; those without a value are left out.
    pub fn request(&self, method: Method, path: &str, params: &[(&str, Option<&str>)]) -> RequestBuilder {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        let given = params.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
        if params.iter().any(|(_, value)| value.is_some()) {
            url.query_pairs_mut().clear().extend_pairs(given);
        }
        let request = self.client.request(method, url);
        match &self.key {
            Some(key) => request.header(AUTHORIZATION, key.clone()),
            None => request,
        }
    }

    /// Sends a request and waits for the head of its answer, whatever its status.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        request.send().await.map_err(|error| self.unreached(&error))
    }

    /// Why the server was not reached, or was lost.
    pub fn unreached(&self, error: &reqwest::Error) -> Failure {
        let of_tls = tls_error(error);
        let cause = match of_tls {
            _ if error.is_timeout() => "it did not answer in time".to_owned(),
            Some(of_tls) => explain(of_tls),
            None => causes(error),
        };
        Failure::Unreached { url: self.name(), cause, is_tls: of_tls.is_some() }
    }

    /// Asks and reads a JSON answer; `query` is what a place in a refusal points into.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        params: &[(&str, Option<&str>)],
        query: Option<&str>,
    ) -> Result<T, Failure> {
        let text = self.ask_text(path, params, query).await?;
        serde_json::from_str(&text).map_err(|error| self.foreign(&error))
    }

    /// Asks and reads the answer as text.
    pub async fn ask_text(
        &self,
        path: &str,
        params: &[(&str, Option<&str>)],
        query: Option<&str>,
    ) -> Result<String, Failure> {
        let response = self.send(self.request(Method::GET, path, params)).await?;
        let response = self.accepted(response, query).await?;
        response.text().await.map_err(|error| self.unreached(&error))
    }

    /// Whoever answered is no Watchfire, or one that is much newer.
    pub fn foreign(&self, problem: &dyn std::fmt::Display) -> Failure {
        let cause = format!("what answers there is no Watchfire server: {problem}");
        Failure::Unreached { url: self.name(), cause, is_tls: false }
    }

    /// The response if it is a success, else why it is none.
    pub async fn accepted(&self, mut response: Response, query: Option<&str>) -> Result<Response, Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status.is_redirection() {
            let to = response.headers().get("location").and_then(|to| to.to_str().ok()).unwrap_or("another place");
            return Err(self.foreign(&format!("it sends us on to {to}")));
        }
        let mut body = Vec::new();
        while let Ok(Some(piece)) = response.chunk().await {
            body.extend_from_slice(&piece);
            if body.len() > REFUSAL_BYTES_MAX {
                break;
            }
        }
        Err(refusal(status, &body, query))
    }
}

fn refusal(status: StatusCode, body: &[u8], query: Option<&str>) -> Failure {
    // Alertmanager's errors are a text in JSON.
    let told = || serde_json::from_slice(body).map(|message| Rejection { message, ..Rejection::default() });
    let read = prometheus_refusal(body).or_else(|| serde_json::from_slice::<Rejection>(body).or_else(|_| told()).ok());
    let mut rejection = read.filter(|rejection| !rejection.message.is_empty()).unwrap_or_else(|| {
        let text: String = String::from_utf8_lossy(body).trim().chars().take(200).collect();
        let reason = status.canonical_reason().unwrap_or("no success");
        let message = if text.is_empty() { format!("{status}") } else { format!("{reason}: {text}") };
        Rejection { message, ..Rejection::default() }
    });
    let passing = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    // A query that took too long is the query's fault; it would be again.
    if passing && rejection.code != "timeout" {
        return Failure::Unavailable { status: status.as_u16(), message: rejection.message };
    }
    if status == StatusCode::UNAUTHORIZED {
        // The server's is about headers, which nobody writes here.
        rejection.hint = None;
    }
    rejection.status = status.as_u16();
    rejection.query = query.map(str::to_owned);
    Failure::Rejected(Box::new(rejection))
}

/// What an endpoint of Prometheus' API says.
fn prometheus_refusal(body: &[u8]) -> Option<Rejection> {
    #[derive(Deserialize)]
    struct Told {
        #[serde(rename = "errorType")]
        kind: String,
        error: String,
    }
    let Told { kind, error } = serde_json::from_slice(body).ok()?;
    Some(Rejection { code: kind, message: error, ..Rejection::default() })
}

/// The error of TLS behind an error: of ours, or what the other side has told.
fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    // An error of the system names as its source that of what it wraps, not what it wraps.
    let wrapped = || error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let of_wrapped = || wrapped().and_then(|wrapped| tls_error(wrapped));
    error.downcast_ref().or_else(of_wrapped).or_else(|| error.source().and_then(tls_error))
}

/// An error and what caused it, the innermost last, each once.
fn causes(error: &dyn Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        // Outer errors of HTTP clients only say that something failed.
        if error.source().is_none() || !text.starts_with("error sending request") && !text.starts_with("client error") {
            texts.push(text);
        }
        next = error.source();
    }
    texts.dedup();
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tls_says_is_told_from_what_the_system_says() {
        use std::io::{Error, ErrorKind};
        let tls = || Error::new(ErrorKind::InvalidData, rustls::Error::HandshakeNotComplete);
        let is_tls = |error: &(dyn std::error::Error + 'static)| tls_error(error).is_some();
        assert!(is_tls(&rustls::Error::HandshakeNotComplete) && is_tls(&tls()) && is_tls(&Error::other(tls())));
        assert!(!is_tls(&Error::from(ErrorKind::ConnectionRefused)) && !is_tls(&Error::other("tls")));
    }

    #[test]
    fn refusals_of_every_kind() {
        let rejected = |status: u16, body: &str| {
            refusal(StatusCode::from_u16(status).expect("a status"), body.as_bytes(), Some("x"))
        };
        let own = r#"{"error":"query_parse","message":"expected `)`","where":{"line":1,"column":2,"offset":1}}"#;
        match rejected(400, own) {
            Failure::Rejected(rejection) => {
                assert_eq!((rejection.status, rejection.code.as_str()), (400, "query_parse"));
                assert_eq!(rejection.place.map(|place| place.column), Some(2));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(rejected(503, r#"{"error":"draining","message":"m"}"#).exit_code(), 4);
        let of_prometheus = r#"{"status":"error","errorType":"bad_data","error":"no match[]"}"#;
        assert_eq!(
            (rejected(400, of_prometheus).to_string(), rejected(400, of_prometheus).exit_code()),
            ("no match[]".into(), 1)
        );
        // It has answered, and is there for others.
        assert_eq!(rejected(429, "").exit_code(), 1);
        assert_eq!(rejected(503, r#"{"error":"timeout","message":"m"}"#).exit_code(), 1);
        assert_eq!(rejected(409, "\"it has ended\"").to_string(), "it has ended");
        assert_eq!(rejected(401, "").to_string(), "401 Unauthorized");
        assert_eq!(rejected(500, "<html>").to_string(), "Internal Server Error: <html>");
    }
}
