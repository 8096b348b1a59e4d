//! API keys: a file of hashes and of what each key may do.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::FileError;
use super::scope::Scopes;

/// A line of the key file: `sha256:HEX scope,scope [name]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    /// What it may do.
    pub scopes: Scopes,
    /// Whose it is; may be empty.
    pub name: Arc<str>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("name", &self.name).field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

/// All keys; an empty file lets nobody in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// Reads a key file; empty lines and `#` comments are passed over. Errors: every bad line.
    pub fn parse(text: &str) -> Result<Keys, Vec<FileError>> {
        let mut keys = Vec::new();
        let mut errors = Vec::new();
        for (line, content) in super::lines(text) {
            match parse_line(content) {
                Ok(key) => keys.push(key),
                Err((column, message)) => errors.push(FileError { line, column: column + 1, message }),
            }
        }
        if errors.is_empty() { Ok(Keys(keys)) } else { Err(errors) }
    }

    /// The key that was sent, if it is in the file.
    pub fn find(&self, sent: &[u8]) -> Option<&Key> {
        self.find_digest(&Sha256::digest(sent).into())
    }

    /// The key with this hash.
    pub fn find_digest(&self, digest: &[u8; 32]) -> Option<&Key> {
        // Every key is compared, in constant time, so that time tells nothing of the file.
        let mut found = None;
        for key in &self.0 {
            if bool::from(key.digest.ct_eq(digest)) {
                found = Some(key);
            }
        }
        found
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
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
        // A sign is no digit, though the standard library takes one.
        let pair = hex.get(2 * at..2 * at + 2).filter(|pair| !pair.starts_with('+'));
        let value = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        *byte = value.ok_or_else(|| (7 + 2 * at, "these are no hex digits".to_owned()))?;
    }
    let column = line.find(char::is_whitespace).map_or(line.len(), |at| at + 1);
    let scopes = words.next().ok_or((column, "scopes are missing; write ingest, read or admin".to_owned()))?;
    let scopes = Scopes::parse(scopes).map_err(|message| (column, message))?;
    Ok(Key { digest: bytes, scopes, name: words.collect::<Vec<_>>().join(" ").into() })
}

/// The line of the key file for a key.
pub fn key_line(key: &str, scopes: Scopes, name: &str) -> String {
    let digest = super::hex(&Sha256::digest(key.as_bytes()));
    format!("sha256:{digest} {scopes} {name}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Scope;

    #[test]
    fn a_key_is_found_with_its_scopes() {
        let ingest = Scopes::parse("ingest").expect("a scope");
        let file = format!("# ours\n{}\n{}\n", key_line("one", ingest, "shipper"), key_line("two", Scopes::ALL, ""));
        let keys = Keys::parse(&file).expect("valid");
        let one = keys.find(b"one").expect("it is in the file");
        assert_eq!(
            (&*one.name, one.scopes.allow(Scope::Ingest), one.scopes.allow(Scope::Read)),
            ("shipper", true, false)
        );
        assert_eq!(keys.find(b"two").map(|key| (&*key.name, key.scopes)), Some(("", Scopes::ALL)));
        assert_eq!(keys.find(b"three"), None);
        assert_eq!(Keys::default().find(b""), None);
    }

    #[test]
    fn every_bad_line_is_told_with_its_place() {
        let hex = "0".repeat(64);
        let text =
            format!("md5:00 read\nsha256:00 read\nsha256:{hex}\nsha256:{hex} write\nsha256:{} read", "zz".repeat(32));
        let errors = Keys::parse(&text).expect_err("five bad lines");
        let places: Vec<_> = errors.iter().map(|error| (error.line, error.column)).collect();
        assert_eq!(places, [(1, 1), (2, 8), (3, 72), (4, 73), (5, 8)]);
        assert!(Keys::parse(&format!("sha256:{} read", "+1".repeat(32))).is_err());
    }
}
