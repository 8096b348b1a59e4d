//! The files of the page: their headers, their sizes, and that nothing in them leads elsewhere.

use std::collections::BTreeSet;

use watchfire_test_support::{Answer, Client, Server};

use crate::BINARY;

/// Most bytes, as sent, before anything is loaded later.
const FIRST_PAINT_MAX: usize = 60 * 1024;
/// Most bytes of all files, as sent.
const TOTAL_MAX: usize = 220 * 1024;

fn get(client: &mut Client, path: &str) -> Answer {
    let answer = client.call(&Client::request("GET", path, &["Accept-Encoding: gzip"], b""));
    assert_eq!(answer.status, 200, "{path}");
    answer
}

/// Names of files of ours in a text.
fn names(text: &str) -> BTreeSet<String> {
    let endings = [".js", ".css"];
    let words = text.split(|sign: char| !(sign.is_ascii_alphanumeric() || "-_.".contains(sign)));
    let named = words.filter(|word| endings.iter().any(|ending| word.ends_with(ending)) && word.contains('-'));
    named.map(str::to_owned).collect()
}

#[test]
fn headers_and_sizes() {
    let server = Server::start(BINARY, "");
    let mut client = server.client();
    let index = get(&mut client, "/");
    let policy = index.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self' 'nonce-"), "{policy}");
    // Only what an element says of its own looks is free; the editor writes such markup.
    let rest = policy.replace("; style-src-attr 'unsafe-inline';", ";");
    assert!(rest != policy && !rest.contains("unsafe"), "{policy}");
    assert_eq!(index.header("cache-control"), Some("no-cache"));
    assert_ne!(get(&mut client, "/").header("content-security-policy"), Some(policy), "a nonce is used once");
    let first = names(&index.text());
    assert!(first.len() >= 2, "{}", index.text());
    let mut sent = index.body.len();
    for name in &first {
        let file = get(&mut client, &format!("/assets/{name}"));
        assert_eq!(file.header("cache-control"), Some("public, max-age=31536000, immutable"), "{name}");
        assert_eq!(file.header("content-encoding"), Some("gzip"), "{name}");
        sent += file.body.len();
    }
    println!("first paint: {sent} bytes");
    assert!(sent <= FIRST_PAINT_MAX, "the first paint takes {sent} bytes");
    // All files, found by following names from file to file.
    let (mut known, mut open, mut total) = (first.clone(), Vec::from_iter(first), index.body.len());
    while let Some(name) = open.pop() {
        let path = format!("/assets/{name}");
        total += get(&mut client, &path).body.len();
        // Without gzip it is the same file, unpacked.
        let plain = client.try_get(&path);
        assert_eq!((plain.status, plain.header("content-encoding")), (200, None), "{name}");
        open.extend(names(&plain.text()).into_iter().filter(|name| known.insert(name.clone())));
    }
    println!("all {} files: {total} bytes", known.len());
    assert!(known.len() >= 8 && total <= TOTAL_MAX, "{} files take {total} bytes", known.len());
    let unknown = client.try_get("/assets/main-old.js");
    assert_eq!((unknown.status, unknown.json()["error"].as_str()), (404, Some("not_found")));
    for path in ["/logs", "/explore", "/alerts", "/graph"] {
        assert!(get(&mut client, path).text().contains("<!doctype html>"), "{path}");
    }
    let outside = client.try_get("/assets/../index.html");
    assert_eq!((outside.status, outside.header("location")), (307, Some("/index.html")));
    assert_eq!(client.try_get("/index.html").status, 404);
}
