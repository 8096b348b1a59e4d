//! Files of keys and users: changed as a whole, readable by their owner only.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use watchfire_dashboard_api::auth::FileError;

/// The text of a file; empty if it is not there yet.
pub fn read(file: &Path) -> Result<String, String> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// Puts another text in a file's place: whoever reads meanwhile sees the old one or the new one.
pub fn write(file: &Path, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", file.display());
    let mode = std::fs::metadata(file).map_or(0o600, |metadata| metadata.mode() & 0o777);
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let mut new = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&name).map_err(failed)?;
    let written = new
        .write_all(text.as_bytes())
        .and_then(|()| new.set_permissions(std::fs::Permissions::from_mode(mode)))
        .and_then(|()| new.sync_all())
        .and_then(|()| std::fs::rename(&name, file));
    written.map_err(|error| {
        // It is of no use to anybody; that it cannot be removed either changes nothing.
        let _ = std::fs::remove_file(&name);
        failed(error)
    })
}

/// Adds a line at the end of a text, whether or not that ends with a line's end.
pub fn with_line(mut text: String, line: &str) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    text.push('\n');
    text
}

/// Mistakes of a file, a line each, with their places.
pub fn told<'e>(file: &Path, errors: impl IntoIterator<Item = &'e FileError>) -> Vec<String> {
    errors.into_iter().map(|error| format!("{}:{error}", file.display())).collect()
}

/// What to say of a file with secrets that others than its owner may read.
pub fn too_open(file: &Path) -> Option<String> {
    let mode = std::fs::metadata(file).ok()?.mode() & 0o777;
    (mode & 0o004 != 0).then(|| {
        format!("{} holds secrets and can be read by everyone (mode {mode:03o}); chmod 600 it", file.display())
    })
}
