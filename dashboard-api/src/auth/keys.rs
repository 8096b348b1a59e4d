//! API keys: a file of hashes and of what each key may do.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::FileError;
use super::scope::Scopes;

/// Hex digits of the hash by which a key is told from others.
pub const HASH_DIGITS: usize = 12;

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
    /// Reads a key file; empty lines and `#` comments are passed over. Errors: every bad line, and every name or key that
    /// stands there twice.
    pub fn parse(text: &str) -> Result<Keys, Vec<FileError>> {
        let (keys, mut errors) = read(text);
        errors.extend(twins(&keys));
        errors.sort_by_key(|error| error.line);
        if errors.is_empty() { Ok(Keys::of(keys)) } else { Err(errors) }
    }

    /// The same for who mends the file: what stands there twice is no fault.
    pub fn parse_with_twins(text: &str) -> Result<Keys, Vec<FileError>> {
        let (keys, errors) = read(text);
        if errors.is_empty() { Ok(Keys::of(keys)) } else { Err(errors) }
    }

    fn of(keys: Vec<Placed>) -> Keys {
        Keys(keys.into_iter().map(|placed| placed.key).collect())
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

/// A key and where it stands.
struct Placed {
    key: Key,
    line: usize,
    /// Where its name begins, from 1.
    name_column: usize,
}

/// The keys of a file, and its bad lines.
fn read(text: &str) -> (Vec<Placed>, Vec<FileError>) {
    let (mut keys, mut errors) = (Vec::new(), Vec::new());
    for (line, content) in super::lines(text) {
        match parse_line(content) {
            Ok(key) => keys.push(Placed { key, line, name_column: name_column(content) }),
            Err((column, message)) => errors.push(FileError { line, column: column + 1, message }),
        }
    }
    (keys, errors)
}

/// The column of the third word of a line, from 1.
fn name_column(line: &str) -> usize {
    let name =
        line.split_whitespace().nth(2).map_or(line.len(), |word| word.as_ptr() as usize - line.as_ptr() as usize);
    line.get(..name).unwrap_or(line).chars().count() + 1
}

/// Names and keys that have stood in the file before.
fn twins(keys: &[Placed]) -> Vec<FileError> {
    let mut errors = Vec::new();
    for (at, Placed { key, line, name_column }) in keys.iter().enumerate() {
        let before = keys.get(..at).unwrap_or_default();
        if let Some(other) = before.iter().find(|other| other.key.digest == key.digest) {
            let message = format!("this key stands in line {} already; take out one of the two lines", other.line);
            errors.push(FileError { line: *line, column: 1, message });
        } else if let Some(other) = before.iter().find(|other| !key.name.is_empty() && other.key.name == key.name) {
            let message = format!(
                "a key named `{}` stands in line {} already; give one of the two another name, or take one out with \
                 `watchfire keys revoke --file FILE {}`",
                key.name,
                other.line,
                super::hex(&key.digest).get(..HASH_DIGITS).unwrap_or_default()
            );
            errors.push(FileError { line: *line, column: *name_column, message });
        }
    }
    errors
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
    fn what_stands_there_twice_is_told_with_both_places() {
        let line = |key: &str, name: &str| key_line(key, Scopes::ALL, name);
        let text = [
            "# ours",
            &line("one", "a b"),
            &line("two", ""),
            &line("three", ""),
            &line("one", "c"),
            "",
            &line("four", "a  b"),
        ];
        let errors = Keys::parse(&text.join("\n")).expect_err("twins");
        let told: Vec<_> = errors.iter().map(|error| (error.line, error.column, error.message.as_str())).collect();
        assert_eq!(told[0], (5, 1, "this key stands in line 2 already; take out one of the two lines"));
        assert_eq!((told[1].0, told.len()), (7, 2));
        assert!(told[1].2.starts_with("a key named `a b` stands in line 2 already; give one of the two another name"));
        assert_eq!(text[6].get(told[1].1 - 1..), Some("a  b"), "the column is that of the name");
        assert_eq!(Keys::parse_with_twins(&text.join("\n")).map(|keys| keys.iter().count()), Ok(5));
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
