//! `watchfire keys add`: makes a key, keeps its hash, shows the key once.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use watchfire_dashboard_api::auth::{Scopes, hex, key_line};

/// Random bytes of a key.
const KEY_BYTES: usize = 24;

/// Adds a key to the file and answers it; nobody can read it again.
///
/// Errors: an unknown scope, a name that breaks the line, a file that cannot be written.
pub fn add(file: &Path, scopes: &[String], name: &str) -> Result<String, String> {
    let scopes = Scopes::parse(&scopes.join(","))?;
    if name.chars().any(char::is_control) {
        return Err("a name is one line of plain text".to_owned());
    }
    let mut random = [0u8; KEY_BYTES];
    getrandom::fill(&mut random).map_err(|error| format!("the system has no random numbers: {error}"))?;
    let key = format!("wf_{}", hex(&random));
    let line = key_line(&key, scopes, name);
    let failed = |error: std::io::Error| format!("{}: {error}", file.display());
    // Hashes are no secrets, but nobody else needs to change them.
    let mut keys = OpenOptions::new().create(true).append(true).mode(0o600).open(file).map_err(failed)?;
    keys.write_all(format!("{line}\n").as_bytes()).and_then(|()| keys.sync_all()).map_err(failed)?;
    Ok(key)
}
