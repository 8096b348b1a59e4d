//! The safe defaults, one by one, and that no secret is ever told.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use watchfire_test_support::{Client, Server};

use crate::{BINARY, Files, call, text, until};

/// Starts with this configuration and must fail; answers what it says.
fn refused(config: &str, words: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("config.yaml"), config).expect("the folder can be written");
    let output = Command::new(BINARY)
        .args(["serve", "--config", "config.yaml", "--data-dir", "data"])
        .args(words)
        .current_dir(folder.path())
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{config}");
    assert!(!folder.path().join("data").exists(), "data is touched before the configuration is good");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn other_machines_are_let_in_only_when_it_is_said_who_may_do_what() {
    for (config, words) in [
        ("listen: [\"0.0.0.0:0\"]\n", &[][..]),
        ("listen: [\"127.0.0.1:0\", \"[::]:0\"]\n", &[]),
        ("sources: {syslog: [{udp: \"0.0.0.0:0\"}]}\n", &[]),
        ("sources: {syslog: [{tcp: \"0.0.0.0:0\"}]}\n", &[]),
        ("", &["--listen", "0.0.0.0:0"]),
    ] {
        let told = refused(config, words);
        assert!(told.contains("can be reached from other machines") && told.contains("auth"), "{config}: {told}");
    }
}

#[test]
fn foreign_hosts_and_origins_are_refused() {
    let server = Server::start(BINARY, "allowed_hosts: [\"logs.example.org\"]\n");
    let ask = |method: &str, host: &str, more: &str| {
        let body = r#"{"message":"x"}"#;
        let request =
            format!("{method} /ingest HTTP/1.1\r\nHost: {host}\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len());
        server.client().call(request.as_bytes()).status
    };
    assert_eq!(ask("POST", "evil.example", ""), 421);
    assert_eq!(ask("POST", "localhost", ""), 202);
    assert_eq!(ask("POST", "logs.example.org", ""), 202);
    assert_eq!(ask("POST", "localhost", "Origin: https://evil.example\r\n"), 403);
    // Load balancers probe so.
    let without_host = |path: &str| server.client().call(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes());
    assert_eq!(without_host("/-/healthy").status, 200);
    assert!(without_host("/recent").text().contains("without a `Host` header"));
    assert_eq!(ask("POST", "localhost", "Origin: http://localhost\r\n"), 202);
    // With `auth: none`, in words, the name does not matter; where a page comes from still does.
    let server = Server::start(BINARY, "auth: none\n");
    let send = |more: &[&str]| call(&server, "POST", "/ingest", more, r#"{"message":"x"}"#).status;
    assert_eq!(send(&["Origin: https://evil.example"]), 403);
    assert_eq!(send(&[]), 202);
}

#[test]
fn every_body_is_bounded() {
    let server = Server::start(BINARY, "auth: none\nlimits: {body: 20KiB}\n");
    let mut client = server.client();
    let routes = [
        ("/ingest", 21 << 10),
        ("/ingest/raw", 21 << 10),
        ("/data/", 21 << 10),
        ("/data/fast", 21 << 10),
        ("/parse/auto", 21 << 10),
        ("/api/v1/metrics", 17 << 20),
        ("/api/v1/metrics/query", 3 << 20),
        ("/api/v1/metrics/range", 3 << 20),
        ("/api/v1/logs/search", 3 << 20),
        ("/api/v1/session", 3 << 20),
    ];
    for (path, length) in routes {
        let headers = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        // The answer may come before all is sent; then the rest of the body meets a closed connection.
        let sent = client.send(headers.as_bytes()).and_then(|()| client.send(&vec![b' '; length]));
        let answer = client.receive();
        let status = answer.as_ref().map(|answer| answer.status).ok();
        assert_eq!(status, Some(413), "{path}: {sent:?} {answer:?}");
        client = server.client();
    }
}

#[test]
fn secrets_are_in_no_output() {
    let files = Files::new();
    let key = files.key("admin", "root");
    files.user("read", "anna", "pa55word-of-anna");
    let write = |name: &str, secret: &str| {
        std::fs::write(files.path(name), secret).expect("the folder can be written");
        text(&files.path(name))
    };
    let hook = write("hook.url", "http://127.0.0.1:9/hook?token=t0ken-of-hook");
    let bearer = write("bearer", "bearer-0f-hook");
    let mail = write("mail.password", "pa55word-of-mail");
    std::fs::set_permissions(&mail, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    let more = format!(
        "alerting:\n  receivers:\n\
         \x20   - {{name: hook, webhook: {{url_file: {hook}, bearer_token_file: {bearer}}}}}\n\
         \x20   - {{name: mail, email: {{smtp: \"smtp://ops:inl1ne-secret@127.0.0.1:9\", password_file: {mail}, from: a@example.org, to: [b@example.org]}}}}\n"
    );
    let rules = files.path("rules.json");
    std::fs::write(&rules, r#"{"name": "Burns", "query": "sum log_events_total over 1m", "threshold": 0, "operator": ">", "duration": "0s"}"#)
        .expect("the folder can be written");
    let more = more.replace("alerting:\n", &format!("alerting:\n  rules_path: {}\n", rules.display()));
    let config = files.config(&more);
    let server = Server::start_with(BINARY, &config, &[("WATCHFIRE_LOG", "trace")]);
    let header = format!("X-API-Key: {key}");
    let mut told = String::new();
    let mut note = |answer: watchfire_test_support::Answer| told.push_str(&(answer.head.clone() + &answer.text()));
    let basic = "Authorization: Basic YW5uYTpwYTU1d29yZC1vZi1hbm5h";
    let wrong = "Authorization: Basic YW5uYTpwYTU1d29yZC1vZi1hbm5hIQ==";
    for headers in [&[header.as_str()][..], &[basic], &[wrong], &[]] {
        for path in [
            "/recent",
            "/metrics",
            "/api/v1/health",
            "/api/v1/alerting/alerts",
            "/api/v1/rules",
            "/api/v1/session",
            "/x",
        ] {
            note(call(&server, "GET", path, headers, ""));
        }
    }
    let opened = call(
        &server,
        "POST",
        "/api/v1/session",
        &["Content-Type: application/json"],
        &format!("{{\"key\": \"{key}\"}}"),
    );
    let token = opened.header("set-cookie").and_then(|c| c.split([';', '=']).nth(1)).expect("a token").to_owned();
    note(call(&server, "POST", "/api/v1/session", &["Content-Type: application/json"], &format!("{{\"key\": {key}}}")));
    note(call(&server, "GET", "/recent", &[&format!("Cookie: watchfire_session={token}")], ""));
    note(call(&server, "POST", "/ingest", &[&header], r#"{"message":"x"}"#));
    // Both ways of telling have failed by then, and said so.
    until(|| server.log().contains("hook") && server.log().contains("mail"));
    note(call(&server, "POST", "/-/reload", &[&header], ""));
    let stored = call(&server, "GET", "/api/v1/logs/search?q=service:watchfire&limit=5000", &[&header], "");
    note(stored);
    let log = server.log();
    assert!(log.contains("mail.password holds secrets and can be read by everyone (mode 644)"), "{log}");
    let (folder, _) = server.stop();
    told.push_str(&std::fs::read_to_string(folder.path().join("log")).expect("it is there"));
    for secret in [
        key.as_str(),
        &token,
        "pa55word-of-anna",
        "t0ken-of-hook",
        "bearer-0f-hook",
        "pa55word-of-mail",
        "inl1ne-secret",
        "$argon2",
    ] {
        let at = told.find(secret);
        let around = at.map(|at| told.get(at.saturating_sub(200)..at).unwrap_or_default());
        assert_eq!(at, None, "a secret was told: {around:?}");
    }
}

#[test]
fn mistakes_in_secrets_are_told_without_them() {
    let told = refused(
        "alerting:\n  receivers:\n    - {name: a, webhook: {url: \"htp://user:s3cret@example.org\"}}\n    - {name: b, email: {smtp: \"smpt://user:s3cret@example.org\", from: a@b.c, to: [a@b.c]}}\n",
        &[],
    );
    assert!(told.contains("is not an address") && !told.contains("s3cret"), "{told}");
}

#[test]
fn log_text_is_data_in_every_answer() {
    let server = Server::start(BINARY, "");
    let hostile = "<script>alert(1)</script>\u{1b}[2J\r\nSet-Cookie: x=1";
    let body = serde_json::json!({"message": hostile, "service": hostile}).to_string();
    assert_eq!(call(&server, "POST", "/data/", &["Content-Type: application/json"], &body).status, 201);
    for path in ["/recent", "/api/logs", "/api/services", "/metrics"] {
        let answer = server.client().call(&Client::request("GET", path, &[], b""));
        assert_eq!(answer.header("set-cookie"), None, "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        let kind = answer.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/json") || kind.starts_with("text/plain"), "{path}: {kind}");
        // Prometheus' text format has labels as they are; JSON escapes what a terminal would obey.
        assert!(path == "/metrics" || !answer.text().contains('\u{1b}'), "{path}");
    }
}
