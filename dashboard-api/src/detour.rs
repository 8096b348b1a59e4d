//! Addresses with empty parts (`//api/v1/query`), which a base address that ends with a slash makes, and with `.` and `..`:
//! whoever asks there is told the short one, as by servers in Go.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri, header};

/// Sends the client to the same path without detours; `None` if it has none.
pub(crate) fn shortened(address: &Uri) -> Option<Response> {
    let path = address.path();
    let short = short(path);
    // A browser would take a backslash for a slash, and what follows two of them for another server.
    if short == path || !path.starts_with('/') || path.contains('\\') {
        return None;
    }
    let location = match address.query().filter(|query| !query.is_empty()) {
        Some(query) => format!("{short}?{query}"),
        None => short,
    };
    Some((StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response())
}

/// A path without empty parts, `.` and `..`.
fn short(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let end = if path.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    format!("/{}{end}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detours_are_left_out() {
        for (path, wanted) in [
            ("/", "/"),
            ("//", "/"),
            ("/a/", "/a/"),
            ("/a//", "/a/"),
            ("//a/./b/../c", "/a/c"),
            ("/../a", "/a"),
            ("/a/.", "/a"),
            ("/a/%2e%2e/%2F/b", "/a/%2e%2e/%2F/b"),
        ] {
            assert_eq!(short(path), wanted, "{path}");
        }
    }

    #[test]
    fn nobody_is_sent_to_another_server() {
        for (address, wanted) in [
            ("//example.org/x?a=//b", Some("/example.org/x?a=//b")),
            ("/a/..//example.org", Some("/example.org")),
            ("/.//\\example.org", None),
            ("/a?b=//c", None),
            ("*", None),
        ] {
            let Ok(address) = address.parse::<Uri>() else { continue };
            let told = shortened(&address).map(|response| response.headers()[header::LOCATION].clone());
            assert_eq!(told.as_ref().map(|told| told.as_bytes()), wanted.map(str::as_bytes), "{address}");
        }
    }
}
