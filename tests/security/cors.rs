//! Pages of other origins: what a browser asks beforehand, what it may read, what is refused.

use watchfire_test_support::Answer;

use crate::{BINARY, Files, call};

const LISTED: &str = "https://app.example.org";
const FOREIGN: &str = "https://evil.example";

fn cors_headers(answer: &Answer) -> Vec<String> {
    let head = answer.head.to_lowercase();
    let of_cors = |line: &&str| line.starts_with("access-control-") || line.starts_with("vary");
    head.lines().filter(of_cors).map(str::to_owned).collect()
}

#[test]
fn off_by_default() {
    let server = watchfire_test_support::Server::start(BINARY, "");
    let origin = format!("Origin: {LISTED}");
    for (method, headers) in
        [("GET", &[origin.as_str()][..]), ("OPTIONS", &[&origin, "Access-Control-Request-Method: POST"])]
    {
        let answer = call(&server, method, "/recent", headers, "");
        assert_eq!(cors_headers(&answer), [""; 0], "{}", answer.head);
    }
}

#[test]
fn a_listed_origin_may_call_with_credentials_and_others_may_not() {
    let files = Files::new();
    let key = files.key("read,ingest", "app");
    let server = files.server(&format!("cors: [\"{LISTED}\"]\n"));
    let preflight = |origin: &str| {
        let headers = ["Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x-api-key"];
        call(&server, "OPTIONS", "/ingest", &[&[format!("Origin: {origin}").as_str()], &headers[..]].concat(), "")
    };
    let asked = preflight(LISTED);
    assert_eq!(asked.status, 204);
    let names = |answer: &Answer, name: &str| answer.header(name).map(str::to_lowercase).unwrap_or_default();
    assert_eq!(names(&asked, "access-control-allow-origin"), LISTED);
    assert_eq!(names(&asked, "access-control-allow-credentials"), "true");
    assert!(names(&asked, "access-control-allow-methods").contains("post"), "{}", asked.head);
    assert!(names(&asked, "access-control-allow-headers").contains("x-api-key"), "{}", asked.head);
    assert_eq!(names(&asked, "access-control-max-age"), "600");
    assert!(asked.head.to_lowercase().contains("vary: origin"), "{}", asked.head);
    for other in [FOREIGN, "null", "http://app.example.org", "https://app.example.org.evil.example"] {
        let refused = preflight(other);
        assert!(!refused.head.to_lowercase().contains("access-control-allow"), "{other}: {}", refused.head);
        assert!(refused.head.to_lowercase().contains("vary: origin"), "{other}: {}", refused.head);
    }
    let with_key = format!("X-API-Key: {key}");
    let send = |origin: &str| {
        call(&server, "POST", "/ingest", &[&with_key, &format!("Origin: {origin}")], r#"{"message":"x"}"#)
    };
    let sent = send(LISTED);
    assert_eq!((sent.status, sent.header("access-control-allow-origin")), (202, Some(LISTED)));
    assert!(names(&sent, "access-control-expose-headers").contains("x-request-id"), "{}", sent.head);
    let refused = send(FOREIGN);
    assert_eq!((refused.status, &refused.json()["error"]), (403, &"foreign_origin".into()));
    assert!(!refused.head.to_lowercase().contains("access-control-allow"), "{}", refused.head);
    // An error is readable to the page too, or it could not tell what is wrong.
    let unknown = call(&server, "GET", "/recent", &["X-API-Key: wf_x", &format!("Origin: {LISTED}")], "");
    assert_eq!((unknown.status, unknown.header("access-control-allow-origin")), (401, Some(LISTED)));
}

#[test]
fn a_star_opens_to_all_but_not_to_their_cookies() {
    let files = Files::new();
    let key = files.key("admin", "app");
    let server = files.server("cors: [\"*\"]\n");
    let header = format!("X-API-Key: {key}");
    let origin = format!("Origin: {FOREIGN}");
    let answer = call(&server, "GET", "/recent", &[&header, &origin], "");
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("*")));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    let opened = call(&server, "POST", "/api/v1/session", &[&header], "");
    let cookie = opened.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie");
    let cookie = format!("Cookie: {cookie}");
    let reload = |headers: &[&str]| call(&server, "POST", "/-/reload", headers, "").status;
    assert_eq!(reload(&[&header, &origin]), 200);
    assert_eq!(reload(&[&cookie, &origin]), 403);
    assert_eq!(reload(&[&cookie]), 200);
}
