//! The dashboard: its built files (`web/dist`), held compressed in the binary, and the page around them.
//!
//! The page and its files are no secrets and are read without a key, so that the form that asks for one can appear.
//! A file's name holds the hash of its content: it never changes and is kept by browsers for good. The page itself
//! is asked for each time, and carries a content security policy with a nonce of its own.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use flate2::read::GzDecoder;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use crate::error::ApiError;
use crate::params::shown;
use crate::state::Api;

/// A built file.
struct Asset {
    /// Below `/assets/`; holds the hash of the content.
    name: &'static str,
    kind: &'static str,
    gzip: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// What the page's template has where the nonce belongs.
const NONCE_MARK: &str = "__NONCE__";
/// What the page's template has where the chosen theme belongs.
const THEME_MARK: &str = "__THEME__";
/// The cookie in which the page keeps the theme, so that no other one flashes up first.
const THEME_COOKIE: &str = "watchfire_theme=";

/// Routes of this file; `/` is a WebSocket's too and lies in [`crate::live`]. `/graph` is where links in the alerts of
/// other systems point.
pub fn routes() -> Router<Arc<Api>> {
    let view = || routing::get(|headers: HeaderMap| async move { page(&headers) });
    Router::new()
        .route("/logs", view())
        .route("/explore", view())
        .route("/alerts", view())
        .route("/graph", view())
        .route("/assets/{name}", routing::get(asset))
}

/// The page, for whatever view its script shows.
pub fn page(headers: &HeaderMap) -> Response {
    let nonce = nonce();
    let body = INDEX.replace(NONCE_MARK, &nonce).replace(THEME_MARK, theme(headers));
    // Everything that could run or load is ours, by origin or by nonce (the editor makes a style sheet of its own).
    // Styles of single elements, which the editor makes from markup, can neither run nor load anything.
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; style-src-attr 'unsafe-inline'; \
         img-src 'self' data:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
    );
    let fixed = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    let mut response = (fixed, body).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// `light` or `dark` if the reader chose one; empty to follow the system.
fn theme(headers: &HeaderMap) -> &'static str {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut chosen = cookies.flat_map(|cookies| cookies.split("; ")).filter_map(|one| one.strip_prefix(THEME_COOKIE));
    match chosen.next() {
        Some("light") => "light",
        Some("dark") => "dark",
        _ => "",
    }
}

/// A text that nobody can guess and that is never used twice.
fn nonce() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut digest = Sha256::new();
    // Each state has keys of the operating system's random source.
    for _ in 0..4 {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(COUNT.fetch_add(1, Ordering::Relaxed));
        digest.update(hasher.finish().to_le_bytes());
    }
    digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    let asset = ASSETS.iter().find(|asset| asset.name == name).ok_or_else(|| {
        ApiError::not_found(format!("this version has no file `{}`", shown(&name))).hint("load the page again")
    })?;
    let fixed = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::VARY, "Accept-Encoding"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    if takes_gzip(&headers) {
        return Ok((fixed, [(header::CONTENT_ENCODING, "gzip")], asset.gzip).into_response());
    }
    let mut plain = Vec::new();
    GzDecoder::new(asset.gzip).read_to_end(&mut plain).map_err(ApiError::internal)?;
    Ok((StatusCode::OK, fixed, plain).into_response())
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
        let quality = quality.trim().strip_prefix("q=").and_then(|quality| quality.trim().parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && quality.is_none_or(|quality| quality > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a header value"))).collect()
    }

    #[test]
    fn each_page_has_a_policy_and_a_nonce_of_its_own() {
        let policy =
            |response: Response| response.headers()[header::CONTENT_SECURITY_POLICY].to_str().expect("text").to_owned();
        let (one, two) = (policy(page(&HeaderMap::new())), policy(page(&HeaderMap::new())));
        assert_ne!(one, two);
        assert!(one.starts_with("default-src 'none'; script-src 'self'; style-src 'self' 'nonce-"), "{one}");
        assert!(INDEX.contains(NONCE_MARK) && INDEX.contains(THEME_MARK), "the template has its marks");
    }

    #[test]
    fn the_theme_is_one_of_ours() {
        for (cookie, wanted) in [
            ("watchfire_theme=dark", "dark"),
            ("a=b; watchfire_theme=light", "light"),
            ("watchfire_theme=\"><script>", ""),
            ("", ""),
        ] {
            assert_eq!(theme(&headers(&[(header::COOKIE, cookie)])), wanted, "{cookie}");
        }
    }

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        for (accept, takes) in
            [("gzip, deflate, br", true), ("br;q=1, GZIP;q=0.5", true), ("gzip;q=0", false), ("br", false), ("", false)]
        {
            assert_eq!(takes_gzip(&headers(&[(header::ACCEPT_ENCODING, accept)])), takes, "{accept}");
        }
    }
}
