//! One request to a receiver, and what its answer means.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};
use watchfire_model::text::{cut, with_causes};
use watchfire_scrape::client::{HttpClient, read};
use watchfire_scrape::config::Text;

use crate::config::{Destination, Protocol};

/// How much of an answer is read to tell people, bytes.
const TOLD_BYTES_MAX: usize = 300;
/// The longest `Retry-After` that is obeyed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// How many samples a receiver of version 2.0 has written.
const WRITTEN: &str = "x-prometheus-remote-write-samples-written";

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It was taken.
    Taken,
    /// It was not, and may be later.
    Again { why: String, after: Option<Duration> },
    /// It was not and never will be, but for so many of its samples. Parts of it may be taken where one bad sample makes a receiver
    /// refuse all of a request, or the request was too long.
    Refused { why: String, written: usize, parts_may_do: bool },
}

/// Makes requests to a receiver.
pub(crate) struct Sender {
    client: Arc<HttpClient>,
    url: Url,
    headers: Vec<(HeaderName, Text)>,
    protocol: Protocol,
    timeout: Duration,
    retry_on_http_429: bool,
}

impl Sender {
    /// Errors: what of the configuration cannot be used, for people.
    pub(crate) fn new(destination: &Destination) -> Result<Sender, String> {
        let url = Url::parse(&destination.url.0).map_err(|error| format!("`url` is no address: {error}"))?;
        let headers = destination.headers.iter().map(|(name, text)| {
            let name = HeaderName::try_from(name).map_err(|_| format!("`{name}` is no name of a header"))?;
            Ok((name, text.clone()))
        });
        Ok(Sender {
            client: Arc::new(HttpClient::new(destination.http.clone())),
            url,
            headers: headers.collect::<Result<_, String>>()?,
            protocol: destination.protocol,
            timeout: destination.timeout,
            retry_on_http_429: destination.queue.retry_on_http_429,
        })
    }

    /// Sends a message, packed by snappy already.
    pub(crate) async fn send(&self, packed: Vec<u8>) -> Sent {
        match tokio::time::timeout(self.timeout, self.ask(packed)).await {
            Ok(sent) => sent,
            Err(_) => Sent::Again { why: format!("no answer within {:?}", self.timeout), after: None },
        }
    }

    async fn ask(&self, packed: Vec<u8>) -> Sent {
        let again = |why: String| Sent::Again { why, after: None };
        let mut request = match self.client.request(Method::POST, &self.url).await {
            Ok(request) => request,
            // Files with secrets may come back.
            Err(why) => return again(why),
        };
        let (content_type, version) = match self.protocol {
            Protocol::V1 => ("application/x-protobuf", "0.1.0"),
            Protocol::V2 => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
        };
        for (name, text) in &self.headers {
            let text = text.clone();
            let read = tokio::task::spawn_blocking(move || read(&text)).await;
            match read.unwrap_or_else(|error| Err(error.to_string())).map(|text| HeaderValue::from_str(&text)) {
                Ok(Ok(value)) => request = request.header(name, value),
                Ok(Err(_)) => return again(format!("the header {name} holds a character that no header can")),
                Err(why) => return again(why),
            }
        }
        let request = request
            .header(CONTENT_TYPE, content_type)
            .header(CONTENT_ENCODING, "snappy")
            .header("X-Prometheus-Remote-Write-Version", version)
            .body(packed);
        match request.send().await {
            Ok(answer) => self.understand(answer).await,
            Err(error) => again(with_causes(&error.without_url())),
        }
    }

    async fn understand(&self, answer: Response) -> Sent {
        let status = answer.status();
        let after = retry_after(answer.headers(), SystemTime::now());
        let written = answer.headers().get(WRITTEN).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        if status.is_success() {
            return match (self.protocol, written) {
                (Protocol::V2, None) => Sent::Again {
                    why: "the receiver does not say what it has written, as receivers of remote-write 2.0 do; \
                          remove `protobuf_message` to send version 1.0"
                        .to_owned(),
                    after: None,
                },
                _ => Sent::Taken,
            };
        }
        let why = format!("{status}: {}", text_of(answer).await);
        let is_busy = status == StatusCode::TOO_MANY_REQUESTS && self.retry_on_http_429;
        if status.is_server_error() || is_busy {
            return Sent::Again { why, after };
        }
        let is_whole = self.protocol == Protocol::V1 && status == StatusCode::BAD_REQUEST;
        let parts_may_do = is_whole || status == StatusCode::PAYLOAD_TOO_LARGE;
        Sent::Refused { why, written: written.unwrap_or(0), parts_may_do }
    }
}

/// The first line of an answer.
async fn text_of(mut answer: Response) -> String {
    let mut text = Vec::new();
    while text.len() < TOLD_BYTES_MAX {
        match answer.chunk().await {
            Ok(Some(piece)) => text.extend_from_slice(&piece),
            Ok(None) | Err(_) => break,
        }
    }
    let text = String::from_utf8_lossy(&text);
    cut(text.lines().next().unwrap_or_default().trim(), TOLD_BYTES_MAX).to_owned()
}

/// How long the receiver wants to be left alone.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(pause.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_told_in_seconds_or_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let date = httpdate::fmt_http_date(now + Duration::from_secs(90));
        for (text, pause) in [("7", Some(7)), ("99999", Some(3600)), (date.as_str(), Some(90)), ("soon", None)] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).expect("a header"));
            assert_eq!(retry_after(&headers, now), pause.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
