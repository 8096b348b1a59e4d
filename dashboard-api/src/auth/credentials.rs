//! What a request sends to say who it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};

/// Name of the cookie that holds a session's token.
pub const COOKIE: &str = "watchfire_session";
/// The sub-protocol that a WebSocket of ours speaks.
pub const SUBPROTOCOL: &str = "watchfire";
/// Begin of the sub-protocol by which a page that cannot set headers sends its key.
const SUBPROTOCOL_KEY: &str = "bearer.";
/// Longest name of a user and longest password, bytes; longer ones are nobody's.
pub const TEXT_BYTES_MAX: usize = 1024;

/// What was sent. Has no `Debug`: it holds secrets.
#[derive(PartialEq, Eq)]
pub enum Sent {
    /// Nothing.
    Nothing,
    /// A header that cannot be read.
    Malformed,
    /// A key.
    Key(Vec<u8>),
    /// A user's name and password.
    Password(String, String),
    /// The token of a session.
    Session(Vec<u8>),
}

impl Sent {
    /// Reads the headers of a request: `Authorization`, else `X-API-Key`, else, on an upgrade, the sub-protocol, else
    /// the cookie. What was said explicitly counts before what a browser sends by itself.
    pub fn of(headers: &HeaderMap) -> Sent {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            return of_authorization(value.as_bytes());
        }
        if let Some(value) = headers.get("x-api-key") {
            return Sent::Key(value.as_bytes().to_vec());
        }
        if is_upgrade(headers)
            && let Some(key) = subprotocols(headers).find_map(|name| name.strip_prefix(SUBPROTOCOL_KEY))
        {
            return Sent::Key(key.as_bytes().to_vec());
        }
        cookie(headers).map_or(Sent::Nothing, |token| Sent::Session(token.as_bytes().to_vec()))
    }
}

/// Whether a request wants to become a WebSocket.
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::SEC_WEBSOCKET_KEY) || headers.contains_key(header::UPGRADE)
}

/// The token in the cookie of our name.
pub fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, value)| *name == COOKIE && !value.is_empty()).map(|(_, value)| value)
}

fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

fn of_authorization(value: &[u8]) -> Sent {
    let mut words = value.splitn(2, |byte| *byte == b' ');
    let (scheme, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().trim_ascii());
    if scheme.eq_ignore_ascii_case(b"Bearer") && !rest.is_empty() {
        return Sent::Key(rest.to_vec());
    }
    if !scheme.eq_ignore_ascii_case(b"Basic") || rest.len() > 4 * TEXT_BYTES_MAX {
        return Sent::Malformed;
    }
    let decoded = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|text| text.split_once(':')) {
        Some((name, password)) => Sent::Password(name.to_owned(), password.to_owned()),
        None => Sent::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sent(headers: &[(&'static str, &str)]) -> Sent {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header value"));
        }
        Sent::of(&map)
    }

    #[test]
    fn each_way_is_read_and_the_explicit_ones_first() {
        let key = || Sent::Key(b"wf_1".to_vec());
        let session = || Sent::Session(b"abc".to_vec());
        let (cookie, upgrade) = (("cookie", "a=b; watchfire_session=abc; c"), ("sec-websocket-key", "x"));
        let protocols = ("sec-websocket-protocol", "watchfire, bearer.wf_1");
        for (case, (headers, wanted)) in [
            (vec![], Sent::Nothing),
            (vec![("authorization", "Bearer wf_1"), cookie], key()),
            (vec![("authorization", "bearer   wf_1 ")], key()),
            (vec![("x-api-key", "wf_1"), cookie], key()),
            (vec![("authorization", "Basic YW5uYTp4Onk=")], Sent::Password("anna".into(), "x:y".into())),
            (vec![("authorization", "Basic !!!!"), ("x-api-key", "wf_1")], Sent::Malformed),
            (vec![("authorization", "Basic YW5uYQ==")], Sent::Malformed),
            (vec![("authorization", "Bearer ")], Sent::Malformed),
            (vec![("authorization", "Digest x")], Sent::Malformed),
            (vec![("authorization", "")], Sent::Malformed),
            (vec![cookie], session()),
            (vec![("cookie", "x=1"), cookie], session()),
            (vec![("cookie", "watchfire_session="), ("cookie", "xwatchfire_session=y")], Sent::Nothing),
            (vec![upgrade, protocols, cookie], key()),
            (vec![protocols, cookie], session()),
        ]
        .into_iter()
        .enumerate()
        {
            assert!(sent(&headers) == wanted, "case {case}");
        }
    }

    proptest! {
        #[test]
        fn any_headers_are_survived_and_say_one_thing(
            headers in prop::collection::vec((0usize..6, prop::collection::vec(0x20u8..=0xff, 0..80)), 0..6),
        ) {
            const NAMES: [&str; 6] =
                ["authorization", "x-api-key", "cookie", "sec-websocket-protocol", "sec-websocket-key", "upgrade"];
            let mut map = HeaderMap::new();
            for (name, value) in &headers {
                if let (Some(name), Ok(value)) = (NAMES.get(*name), http::HeaderValue::from_bytes(value)) {
                    map.append(*name, value);
                }
            }
            let explicit = map.contains_key("authorization") || map.contains_key("x-api-key");
            prop_assert!(!(explicit && matches!(Sent::of(&map), Sent::Nothing | Sent::Session(_))));
        }

        #[test]
        fn a_name_and_password_come_as_they_were_sent(name in "[^:\\x00-\\x1f]{0,20}", password in "\\PC{0,40}") {
            let mut map = HeaderMap::new();
            let value = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
            map.insert("authorization", value.parse().expect("base64 is a header value"));
            prop_assert!(Sent::of(&map) == Sent::Password(name, password));
        }
    }
}
