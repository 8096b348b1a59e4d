//! API keys and what each may do.

use std::fmt::Write;

use http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Send logs and metrics.
    Ingest,
    /// Search, query, look.
    Read,
    /// Change the server.
    Admin,
}

impl Scope {
    /// As it is written in the key file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::Ingest => "ingest",
            Scope::Read => "read",
            Scope::Admin => "admin",
        }
    }

    /// Reads a scope's name.
    pub fn parse(text: &str) -> Option<Scope> {
        [Scope::Ingest, Scope::Read, Scope::Admin].into_iter().find(|scope| scope.as_str() == text)
    }
}

/// A line of the key file: `sha256:HEX scope,scope [name]`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    digest: [u8; 32],
    scopes: Vec<Scope>,
    name: String,
}

/// All keys; an empty file lets nobody in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<Key>);

/// A line of the key file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct KeyFileError {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong, and how to mend it.
    pub message: String,
}

/// Why a request may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No key was sent.
    Missing,
    /// The key is not in the file.
    Unknown,
    /// The key is known, the scope is not among its scopes.
    Forbidden,
}

impl Keys {
    /// Reads a key file; empty lines and `#` comments are passed over. Errors: every bad line.
    pub fn parse(text: &str) -> Result<Keys, Vec<KeyFileError>> {
        let mut keys = Vec::new();
        let mut errors = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            match parse_line(content) {
                Ok(key) => keys.push(key),
                Err((column, message)) => {
                    errors.push(KeyFileError { line: number + 1, column: column + 1, message });
                }
            }
        }
        if errors.is_empty() { Ok(Keys(keys)) } else { Err(errors) }
    }

    /// Whether the key in the headers (`Authorization: Bearer` or `X-API-Key`) has a scope; the name of the key.
    pub fn check(&self, headers: &HeaderMap, scope: Scope) -> Result<&str, Refusal> {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
            let (scheme, key) = value.as_bytes().split_at_checked("Bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"Bearer ").then_some(key)
        });
        let sent = bearer.or_else(|| headers.get("x-api-key").map(|value| value.as_bytes()));
        let digest: [u8; 32] = Sha256::digest(sent.ok_or(Refusal::Missing)?).into();
        // Every key is compared, in constant time, so that time tells nothing of the file.
        let mut found = None;
        for key in &self.0 {
            if bool::from(key.digest.ct_eq(&digest)) {
                found = Some(key);
            }
        }
        let key = found.ok_or(Refusal::Unknown)?;
        if key.scopes.contains(&scope) || key.scopes.contains(&Scope::Admin) {
            Ok(&key.name)
        } else {
            Err(Refusal::Forbidden)
        }
    }
}

fn parse_line(line: &str) -> Result<Key, (usize, String)> {
    let mut words = line.split_whitespace();
    let digest = words.next().unwrap_or_default();
    let hex = digest.strip_prefix("sha256:").ok_or((0, "a line begins with `sha256:` and 64 hex digits".to_owned()))?;
    let mut bytes = [0u8; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return Err((7, format!("64 hex digits are wanted, these are {} characters", hex.len())));
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16)
            .map_err(|_| (7 + 2 * at, format!("`{}` are no hex digits", &hex[2 * at..2 * at + 2])))?;
    }
    let column = line.find(char::is_whitespace).map_or(line.len(), |at| at + 1);
    let scopes = words.next().ok_or((column, "scopes are missing; write ingest, read or admin".to_owned()))?;
    let scopes = scopes.split(',').map(|name| {
        Scope::parse(name).ok_or_else(|| (column, format!("`{name}` is no scope; write ingest, read or admin")))
    });
    Ok(Key { digest: bytes, scopes: scopes.collect::<Result<_, _>>()?, name: words.collect::<Vec<_>>().join(" ") })
}

/// The line of the key file for a key.
pub fn key_line(key: &str, scopes: &[Scope], name: &str) -> String {
    let digest = Sha256::digest(key.as_bytes());
    let mut line = "sha256:".to_owned();
    for byte in digest {
        // Writing to a string cannot fail.
        let _ = write!(line, "{byte:02x}");
    }
    let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    let _ = write!(line, " {} {name}", scopes.join(","));
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().expect("a header value"));
        headers
    }

    #[test]
    fn a_key_has_its_scopes_and_admin_has_all() {
        let file = format!(
            "# ours\n{}\n{}\n",
            key_line("one", &[Scope::Ingest], "shipper"),
            key_line("two", &[Scope::Admin], "")
        );
        let keys = Keys::parse(&file).expect("valid");
        assert_eq!(keys.check(&headers("x-api-key", "one"), Scope::Ingest), Ok("shipper"));
        assert_eq!(keys.check(&headers("authorization", "Bearer one"), Scope::Read), Err(Refusal::Forbidden));
        assert_eq!(keys.check(&headers("authorization", "Bearer two"), Scope::Read), Ok(""));
        assert_eq!(keys.check(&headers("x-api-key", "three"), Scope::Read), Err(Refusal::Unknown));
        assert_eq!(keys.check(&HeaderMap::new(), Scope::Read), Err(Refusal::Missing));
        assert_eq!(Keys::default().check(&headers("x-api-key", ""), Scope::Read), Err(Refusal::Unknown));
    }

    #[test]
    fn every_bad_line_is_told_with_its_place() {
        let hex = "0".repeat(64);
        let text =
            format!("md5:00 read\nsha256:00 read\nsha256:{hex}\nsha256:{hex} write\nsha256:{} read", "zz".repeat(32));
        let errors = Keys::parse(&text).expect_err("five bad lines");
        let places: Vec<_> = errors.iter().map(|error| (error.line, error.column)).collect();
        assert_eq!(places, [(1, 1), (2, 8), (3, 72), (4, 73), (5, 8)]);
    }
}
