//! A browser's way in: a key for a cookie, and what the cookie opens.

use serde_json::json;

use crate::{Files, call, until};

fn cookie_of(answer: &watchfire_test_support::Answer) -> String {
    let cookie = answer.header("set-cookie").expect("a cookie is set");
    assert!(cookie.contains("; Path=/; HttpOnly; SameSite=Strict; Max-Age="), "{cookie}");
    format!("Cookie: {}", cookie.split(';').next().unwrap_or_default())
}

#[test]
fn a_key_becomes_a_cookie_that_ends_with_the_session_or_the_key() {
    let files = Files::new();
    let key = files.key("read", "anna");
    let server = files.server("");
    let anonymous = call(&server, "GET", "/api/v1/session", &[], "").json();
    assert_eq!(anonymous, json!({"required": true, "authenticated": false, "methods": ["key"]}));
    assert_eq!(call(&server, "POST", "/api/v1/session", &[], "").status, 401);
    let json = "Content-Type: application/json";
    let wrong = call(&server, "POST", "/api/v1/session", &[json], r#"{"key": "wf_wrong"}"#);
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, None));
    let opened = call(&server, "POST", "/api/v1/session", &[json], &json!({ "key": key }).to_string());
    assert_eq!(opened.status, 200, "{}", opened.text());
    assert_eq!(opened.json()["name"], "anna");
    assert_eq!(opened.json()["scopes"], json!(["read"]));
    assert_eq!(opened.header("cache-control"), Some("no-store"));
    let cookie = cookie_of(&opened);
    assert!(!opened.head.contains("Secure"), "a cookie for plain HTTP: {}", opened.head);
    let shown = call(&server, "GET", "/api/v1/session", &[&cookie], "").json();
    assert_eq!((&shown["authenticated"], &shown["name"]), (&json!(true), &json!("anna")));
    assert!(shown["expires_at"].is_string(), "{shown}");
    assert_eq!(call(&server, "GET", "/recent", &[&cookie], "").status, 200);
    assert_eq!(call(&server, "POST", "/ingest", &[&cookie], r#"{"message":"x"}"#).status, 403);
    // The cookie alone gets no further cookie.
    assert_eq!(call(&server, "POST", "/api/v1/session", &[&cookie], "").status, 401);
    let closed = call(&server, "DELETE", "/api/v1/session", &[&cookie], "");
    assert_eq!(closed.status, 204);
    assert!(closed.header("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")), "{}", closed.head);
    assert_eq!(call(&server, "GET", "/recent", &[&cookie], "").status, 401);
    // Another one ends when its key is taken out of the file.
    let header = format!("X-API-Key: {key}");
    let cookie = cookie_of(&call(&server, "POST", "/api/v1/session", &[&header, "X-Forwarded-Proto: https"], ""));
    assert_eq!(call(&server, "GET", "/recent", &[&cookie], "").status, 200);
    std::fs::remove_file(files.path("keys.txt")).expect("it is there");
    let admin = files.key("admin", "root");
    server.signal("HUP");
    let bearer = format!("Authorization: Bearer {admin}");
    until(|| call(&server, "GET", "/recent", &[&bearer], "").status == 200);
    let ended = call(&server, "GET", "/recent", &[&cookie], "");
    assert_eq!((ended.status, &ended.json()["error"]), (401, &json!("session_ended")));
}

#[test]
fn a_websocket_opens_by_cookie_or_by_sub_protocol() {
    let files = Files::new();
    let key = files.key("read", "anna");
    let server = files.server("");
    let upgrade = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let open = |path: &str, more: &[&str]| call(&server, "GET", path, &[&upgrade[..], more].concat(), "");
    for path in ["/ws/logs", "/ws", "/"] {
        assert_eq!(open(path, &[]).status, 401, "{path}");
        let protocols = format!("Sec-WebSocket-Protocol: watchfire, bearer.{key}");
        let opened = open(path, &[&protocols]);
        assert_eq!((opened.status, opened.header("sec-websocket-protocol")), (101, Some("watchfire")), "{path}");
        assert!(!opened.head.contains(&key), "{}", opened.head);
        let cookie = cookie_of(&call(&server, "POST", "/api/v1/session", &[&format!("X-API-Key: {key}")], ""));
        assert_eq!(open(path, &[&cookie]).status, 101, "{path}");
        assert_eq!(open(path, &[&cookie, "Origin: https://evil.example"]).status, 403, "{path}");
    }
}

#[test]
fn the_page_is_for_everyone_and_the_api_is_not() {
    let files = Files::new();
    files.key("read", "anna");
    let server = files.server("");
    let status = |path: &str| call(&server, "GET", path, &[], "").status;
    for path in ["/", "/assets/app.js", "/favicon.ico", "/api/v1/session", "/-/ready", "/health"] {
        assert_ne!(status(path), 401, "{path}");
    }
    for path in ["/recent", "/metrics", "/api/v1/logs/search", "/api/v1/alerting/alerts", "/no/such/path"] {
        assert_eq!(status(path), 401, "{path}");
    }
}

#[test]
fn where_nobody_is_asked_a_session_is_not_needed() {
    let server = watchfire_test_support::Server::start(crate::BINARY, "");
    let shown = call(&server, "GET", "/api/v1/session", &[], "").json();
    assert_eq!(shown, json!({"required": false, "authenticated": false, "methods": []}));
    let opened = call(&server, "POST", "/api/v1/session", &[], r#"{"key": "x"}"#);
    assert_eq!((opened.status, opened.header("set-cookie")), (200, None));
}
