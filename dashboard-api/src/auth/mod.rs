//! Who asks, and what they may do: keys, users, sessions of browsers, scopes.
//!
//! A request says who it is by a key, by a name and password, or by the cookie of a session ([`credentials`] reads them); [`Access`] looks them
//! up and answers an [`Identity`]. What a route asks for stands in [`crate::routes`].

pub mod access;
pub mod credentials;
pub mod keys;
mod passwords;
pub mod scope;
pub mod sessions;
pub mod users;

pub use access::{Access, Credentials, Identity, Refusal};
pub use credentials::Sent;
pub use keys::{Keys, key_line};
pub use scope::{Scope, Scopes};
pub use users::{Users, user_line};

/// A line of a file of keys or users that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct FileError {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong, and how to mend it.
    pub message: String,
}

/// The lines of a file that say something, each with its number from 1: neither empty nor a `#` comment.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// Bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
