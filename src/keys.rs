//! `watchfire keys`: makes a key, keeps its hash, shows the key once; lists and revokes.

use std::path::Path;

use watchfire_cli::output::Output;
use watchfire_dashboard_api::auth::keys::{HASH_DIGITS, Key};
use watchfire_dashboard_api::auth::{FileError, Keys, Scopes, hex, key_line};

use crate::secret_file;

/// Random bytes of a key.
const KEY_BYTES: usize = 24;

/// Adds a key to the file and answers it; nobody can read it again.
///
/// Errors: a name that breaks the line or is another key's, a file that cannot be written.
pub fn add(file: &Path, scopes: Scopes, name: &str) -> Result<(), String> {
    if name.chars().any(char::is_control) {
        return Err("a name is one line of plain text".to_owned());
    }
    let mut random = [0u8; KEY_BYTES];
    getrandom::fill(&mut random).map_err(|error| format!("the system has no random numbers: {error}"))?;
    let key = format!("wf_{}", hex(&random));
    let text = secret_file::with_line(secret_file::read(file)?, &key_line(&key, scopes, name));
    Keys::parse(&text).map_err(|errors| twin_of(file, &text, name, &errors))?;
    // One that nobody saw would be a door without a key.
    let mut output = Output::stdout();
    let shown = output.line(&key).and_then(|()| output.flush());
    shown.map_err(|error| format!("the key cannot be shown, and is not kept: {error}"))?;
    secret_file::write(file, &text).map_err(|error| format!("{error}; the key that is shown is not kept"))
}

/// A line per key: the begin of its hash, scopes, name.
pub fn list(file: &Path) -> Result<String, String> {
    let keys = parse(file, &read_existing(file)?)?;
    Ok(keys.iter().map(|key| format!("{}  {}  {}\n", short(key), key.scopes, key.name)).collect())
}

/// Takes out the one key with this name, or whose hash begins so. Answers what is gone.
pub fn revoke(file: &Path, which: &str) -> Result<String, String> {
    let text = read_existing(file)?;
    let keys = parse(file, &text)?;
    let is_meant = |key: &Key| *key.name == *which || (which.len() >= 6 && hex(&key.digest).starts_with(which));
    let meant: Vec<&Key> = keys.iter().filter(|key| is_meant(key)).collect();
    let key = match meant[..] {
        [key] => key,
        [] => return Err(format!("no key is named `{which}`; `watchfire keys list` shows what there is")),
        [..] => {
            let hashes: Vec<String> = meant.iter().map(|key| short(key)).collect();
            return Err(format!(
                "{} keys are named `{which}`; say which by its hash: {}",
                meant.len(),
                hashes.join(", ")
            ));
        }
    };
    let digest = hex(&key.digest);
    let is_other = |line: &&str| !line.trim().to_ascii_lowercase().starts_with(&format!("sha256:{digest}"));
    let rest: Vec<&str> = text.lines().filter(is_other).collect();
    secret_file::write(file, &rest.iter().map(|line| format!("{line}\n")).collect::<String>())?;
    Ok(format!("{}  {}  {}", short(key), key.scopes, key.name))
}

/// Why a key cannot be added, of which `text` is the file with it.
fn twin_of(file: &Path, text: &str, name: &str, errors: &[FileError]) -> String {
    let added = text.lines().count();
    let of_before: Vec<&FileError> = errors.iter().filter(|error| error.line != added).collect();
    if !of_before.is_empty() {
        return secret_file::told(file, of_before).join("\n");
    }
    let is_twin = |line: &&str| line.split_whitespace().skip(2).eq(name.split_whitespace());
    let line = text.lines().position(|line| is_twin(&line)).map_or(added, |at| at + 1);
    format!(
        "{}:{line}:1: a key named `{name}` is there already; choose another name, or take it out first: \
         `watchfire keys revoke --file {0} {name}`",
        file.display()
    )
}

fn short(key: &Key) -> String {
    hex(&key.digest).chars().take(HASH_DIGITS).collect()
}

fn read_existing(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn parse(file: &Path, text: &str) -> Result<Keys, String> {
    Keys::parse_with_twins(text).map_err(|errors| secret_file::told(file, &errors).join("\n"))
}
