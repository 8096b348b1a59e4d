//! `watchfire keys add`: makes a key, keeps its hash, shows the key once.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use watchfire_dashboard_api::auth::{Scope, key_line};

/// Random bytes of a key.
const KEY_BYTES: usize = 24;

/// Adds a key to the file and answers it; nobody can read it again.
///
/// Errors: an unknown scope, a name that breaks the line, a file that cannot be written.
pub fn add(file: &Path, scopes: &[String], name: &str) -> Result<String, String> {
    let parse =
        |text: &String| Scope::parse(text).ok_or_else(|| format!("`{text}` is no scope; write ingest, read or admin"));
    let scopes = scopes.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    if name.chars().any(char::is_control) {
        return Err("a name is one line of plain text".to_owned());
    }
    let mut random = [0u8; KEY_BYTES];
    let mut source = std::fs::File::open("/dev/urandom").map_err(|error| format!("/dev/urandom: {error}"))?;
    source.read_exact(&mut random).map_err(|error| format!("/dev/urandom: {error}"))?;
    let key = random.iter().fold("wf_".to_owned(), |key, byte| key + &format!("{byte:02x}"));
    let line = key_line(&key, &scopes, name);
    let failed = |error: std::io::Error| format!("{}: {error}", file.display());
    // Hashes are no secrets, but nobody else needs to change them.
    let mut keys = OpenOptions::new().create(true).append(true).mode(0o600).open(file).map_err(failed)?;
    keys.write_all(format!("{line}\n").as_bytes()).and_then(|()| keys.sync_all()).map_err(failed)?;
    Ok(key)
}
