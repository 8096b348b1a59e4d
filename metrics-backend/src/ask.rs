//! One call of the cluster's HTTP API.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use tokio::runtime::Handle;
use watchfire_model::text::with_causes;
use watchfire_query_lang::EvalError;
use watchfire_scrape::client::{HttpClient, read};
use watchfire_scrape::config::{HttpConfig, Text};

/// Where the cluster is and how it is spoken with.
#[derive(Clone, Debug, PartialEq)]
pub struct Address {
    /// What stands before `/api/v1/query`; it may hold a secret.
    pub url: Text,
    /// Headers of the user's.
    pub headers: Vec<(String, Text)>,
    /// How.
    pub http: HttpConfig,
    /// Longest time for an answer.
    pub timeout: Duration,
    /// Largest answer, bytes.
    pub answer_bytes_max: usize,
}

impl Address {
    /// The files that hold secrets.
    pub fn secret_files(&self) -> impl Iterator<Item = &Path> {
        let texts = self.headers.iter().map(|(_, text)| text).chain([&self.url]);
        let files = texts.filter_map(|text| match text {
            Text::Inline(_) => None,
            Text::File(path) => Some(path.as_path()),
        });
        self.http.secret_files().chain(files)
    }
}

/// Makes calls.
pub(crate) struct Asker {
    base: Url,
    headers: Vec<(HeaderName, Text)>,
    client: Arc<HttpClient>,
    timeout: Duration,
    answer_bytes_max: usize,
    runtime: Handle,
}

impl Asker {
    /// Errors: what of the address cannot be used, for people.
    pub(crate) fn new(address: &Address, runtime: Handle) -> Result<Asker, String> {
        let text = read(&address.url)?;
        let mut base = Url::parse(&text).map_err(|error| format!("`url` is no address: {error}"))?;
        let path = format!("{}/", base.path().trim_end_matches('/'));
        base.set_path(&path);
        let headers = address.headers.iter().map(|(name, text)| {
            let name = HeaderName::try_from(name).map_err(|_| format!("`{name}` is no name of a header"))?;
            Ok((name, text.clone()))
        });
        Ok(Asker {
            base,
            headers: headers.collect::<Result<_, String>>()?,
            client: Arc::new(HttpClient::new(address.http.clone())),
            timeout: address.timeout,
            answer_bytes_max: address.answer_bytes_max,
            runtime,
        })
    }

    /// Longest time for an answer.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Calls with a form; gives the body, whatever the status. Blocks; not to be called where async work runs.
    ///
    /// Errors: there is no answer, or it is too large.
    pub(crate) fn post(&self, path: &str, form: &[(&str, String)], patience: Duration) -> Result<Vec<u8>, EvalError> {
        let mut body = form_urlencoded::Serializer::new(String::new());
        form.iter().for_each(|(name, value)| {
            body.append_pair(name, value);
        });
        self.call(Method::POST, path, Some(body.finish()), patience)
    }

    /// Calls with parameters in the address; as [`Asker::post`].
    pub(crate) fn get(&self, path: &str, form: &[(&str, String)]) -> Result<Vec<u8>, EvalError> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        form.iter().for_each(|(name, value)| {
            query.append_pair(name, value);
        });
        self.call(Method::GET, &format!("{path}?{}", query.finish()), None, self.timeout)
    }

    fn call(&self, method: Method, path: &str, form: Option<String>, patience: Duration) -> Result<Vec<u8>, EvalError> {
        let patience = patience.min(self.timeout);
        let asked = async { tokio::time::timeout(patience, self.ask(method, path, form)).await };
        match self.runtime.block_on(asked) {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(reason)) => Err(self.away(&reason)),
            Err(_) => Err(self.away(&format!("no answer within {patience:?}"))),
        }
    }

    fn away(&self, reason: &str) -> EvalError {
        let host = self.base.host_str().unwrap_or_default();
        let port = self.base.port().map(|port| format!(":{port}")).unwrap_or_default();
        let reason = format!("`metrics.backend` ({host}{port}): {reason}");
        EvalError::Storage { reason, retry: true }
    }

    async fn ask(&self, method: Method, path: &str, form: Option<String>) -> Result<Vec<u8>, String> {
        let url = self.base.join(path).map_err(|error| error.to_string())?;
        let mut request = self.client.request(method, &url).await?;
        for (name, text) in &self.headers {
            let text = text.clone();
            let text = tokio::task::spawn_blocking(move || read(&text)).await.map_err(|error| error.to_string())??;
            let value = HeaderValue::from_str(&text);
            let value = value.map_err(|_| format!("the header {name} holds a character that no header can"))?;
            request = request.header(name, value);
        }
        if let Some(form) = form {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        }
        let told = |error: reqwest::Error| with_causes(&error.without_url());
        let mut answer = request.send().await.map_err(told)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(told)? {
            if body.len() + piece.len() > self.answer_bytes_max {
                return Err(format!("the answer is larger than {} bytes; ask for less", self.answer_bytes_max));
            }
            body.extend_from_slice(&piece);
        }
        // What the API refuses it says as JSON; all else is not the API.
        if !status.is_success() && !body.starts_with(b"{") {
            let text = String::from_utf8_lossy(&body);
            let line = watchfire_model::text::cut(text.lines().next().unwrap_or_default().trim(), 200).to_owned();
            return Err(format!("it answers {status} {line}"));
        }
        Ok(body)
    }
}
