//! Secrets of the configuration: passwords, tokens, URLs that carry a token.
//!
//! A secret is read when it is used, so that a file may be replaced while the server runs, and it never shows in
//! `Debug`, in errors or in logs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest secret file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// A text that must not be shown, given in place or by file.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Source);

#[derive(Clone, PartialEq, Eq)]
enum Source {
    Inline(Arc<str>),
    File(PathBuf),
}

/// Why a secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file could not be read.
    #[error("cannot read the secret file {}: {source}; check its path and that this user may read it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no text, or too long.
    #[error("the secret file {} is not UTF-8 text of 1 to {FILE_BYTES_MAX} bytes", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
    },
}

impl Secret {
    /// A secret that stands in the configuration itself.
    pub fn inline(text: impl Into<Arc<str>>) -> Secret {
        Secret(Source::Inline(text.into()))
    }

    /// A secret that stands in a file; blanks and line ends around it do not belong to it.
    pub fn file(path: impl Into<PathBuf>) -> Secret {
        Secret(Source::File(path.into()))
    }

    /// The file it stands in, `None` if it was given in place.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Source::Inline(_) => None,
            Source::File(path) => Some(path),
        }
    }

    /// The text, if it was given in place (so that a configuration can be checked before it is used).
    pub(crate) fn in_place(&self) -> Option<&str> {
        match &self.0 {
            Source::Inline(text) => Some(text),
            Source::File(_) => None,
        }
    }

    /// The text, as it is now. Reads the file on the blocking pool.
    pub async fn read(&self) -> Result<Arc<str>, SecretError> {
        match &self.0 {
            Source::Inline(text) => Ok(Arc::clone(text)),
            Source::File(path) => {
                let path = path.clone();
                let failed = path.clone();
                tokio::task::spawn_blocking(move || read_file(&path)).await.unwrap_or_else(|error| {
                    Err(SecretError::Read { path: failed, source: std::io::Error::other(error) })
                })
            }
        }
    }
}

fn read_file(path: &Path) -> Result<Arc<str>, SecretError> {
    use std::io::Read;
    let read = |source| SecretError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(read)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(read)?;
    let too_long = bytes.len() as u64 > FILE_BYTES_MAX;
    match std::str::from_utf8(&bytes).map(str::trim) {
        Ok(text) if !too_long && !text.is_empty() => Ok(text.into()),
        _ => Err(SecretError::Unusable { path: path.to_owned() }),
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Source::Inline(_) => f.write_str("Secret(hidden)"),
            Source::File(path) => write!(f, "Secret(in {})", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn is_read_when_used_and_never_shown() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("password");
        let secret = Secret::file(&path);
        assert!(matches!(secret.read().await, Err(SecretError::Read { .. })));
        for text in ["one", "two"] {
            std::fs::write(&path, format!("{text}\r\n")).expect("written");
            assert_eq!(&*secret.read().await.expect("readable"), text);
        }
        std::fs::write(&path, "\n").expect("written");
        assert!(matches!(secret.read().await, Err(SecretError::Unusable { .. })));
        assert!(!format!("{:?}", Secret::inline("hunter2")).contains("hunter2"));
    }
}
