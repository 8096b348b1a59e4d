//! Who changed what is written down, and found.

use serde_json::Value;

use crate::{Files, call, until};

#[test]
fn each_change_is_written_down_and_found() {
    let files = Files::new();
    let admin = files.key("admin", "root");
    let reader = files.key("read", "anna");
    // However quiet the log is.
    let config = format!("auth: {{api_keys_file: {}}}\n", files.path("keys.txt").display());
    let server = watchfire_test_support::Server::start_with(crate::BINARY, &config, &[("WATCHFIRE_LOG", "error")]);
    let (as_admin, as_reader) = (format!("X-API-Key: {admin}"), format!("X-API-Key: {reader}"));
    assert_eq!(call(&server, "POST", "/-/reload", &[&as_admin], "").status, 200);
    assert_eq!(call(&server, "POST", "/-/reload", &[&as_reader], "").status, 403);
    assert_eq!(call(&server, "POST", "/-/reload", &["X-API-Key: wf_not_a_key"], "").status, 401);
    assert_eq!(call(&server, "POST", "/api/v1/session", &[&as_reader], "").status, 200);
    assert_eq!(call(&server, "PUT", "/api/v1/saved/my%20view", &[&as_admin], r#"{"q": "x"}"#).status, 201);
    server.signal("HUP");
    files.key("ingest", "shipper");
    let find = |wanted: &[(&str, &str)]| {
        let path = "/api/v1/logs/search?q=service:watchfire%20target:%22watchfire::audit%22&limit=100";
        let found = call(&server, "GET", path, &[&as_reader], "").json();
        let field = |log: &Value, name: &str| match name {
            "message" => log["message"].as_str().unwrap_or_default().to_owned(),
            name => log["fields"][name].as_str().unwrap_or_default().to_owned(),
        };
        let logs = found["logs"].as_array().cloned().unwrap_or_default();
        logs.iter().any(|log| wanted.iter().all(|(name, value)| field(log, name) == *value))
    };
    for wanted in [
        &[("who", "root"), ("kind", "key"), ("action", "POST /-/reload"), ("from", "127.0.0.1"), ("result", "done")][..],
        &[("who", "root"), ("message", "reload")],
        &[("who", "root"), ("message", "view saved: my view"), ("action", "PUT /api/v1/saved/my%20view")],
        &[("who", "anna"), ("action", "POST /-/reload"), ("result", "not allowed"), ("message", "reload: not allowed")],
        &[("who", "unknown"), ("action", "login"), ("result", "unknown key"), ("message", "login failed: unknown key")],
        &[("who", "anna"), ("action", "login"), ("result", "done")],
        &[("who", "operator"), ("action", "reload by SIGHUP"), ("result", "done")],
        &[
            ("who", "operator"),
            ("message", "key added: shipper (ingest)"),
            ("action", "key added: shipper (ingest)"),
            ("result", "done"),
        ],
    ] {
        until(|| find(wanted));
    }
    let log = server.log();
    assert!(!log.contains(&admin) && !log.contains(&reader) && !log.contains("wf_not_a_key"), "{log}");
}
