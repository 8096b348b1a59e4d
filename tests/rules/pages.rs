//! `/api/v1/rules`: what of the rules is shown, and in which pages.

use serde_json::Value;
use watchfire_test_support::Server;
use watchfire_test_support::client::encode;

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");

const RULES: &str = "
groups:
- name: a
  rules:
  - {record: r1, expr: vector(1), labels: {team: x}}
  - {alert: A1, expr: vector(1), labels: {team: y}}
- name: b
  rules: [{alert: A2, expr: vector(1), labels: {team: x}}]
- name: c
  rules: [{record: r1, expr: vector(1)}]
- name: empty
";

/// The groups of an answer, each as `group: rule rule`.
fn shown(answer: &Value) -> Vec<String> {
    let names = |rules: &Value| -> Vec<String> {
        let all = rules.as_array().into_iter().flatten();
        all.map(|rule| rule["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let groups = answer["data"]["groups"].as_array().into_iter().flatten();
    groups
        .map(|group| format!("{}: {}", group["name"].as_str().unwrap_or_default(), names(&group["rules"]).join(" ")))
        .collect()
}

#[test]
fn filters_and_pages() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("groups.yml");
    std::fs::write(&file, RULES).expect("the folder can be written");
    let server = Server::start(BINARY, &format!("alerting: {{rules_path: \"{}\"}}\n", file.display()));
    let mut client = server.client();
    let of_file = format!("file[]={}", encode(&file.display().to_string()));
    let selector = format!("match[]={}", encode("{team=\"x\"}"));
    for (query, expected) in [
        ("", &["a: r1 A1", "b: A2", "c: r1"][..]),
        ("type=record", &["a: r1", "c: r1"]),
        ("type=alert", &["a: A1", "b: A2"]),
        ("rule_name[]=r1&rule_name[]=A2", &["a: r1", "b: A2", "c: r1"]),
        ("rule_group[]=b&rule_group[]=c", &["b: A2", "c: r1"]),
        (&of_file, &["a: r1 A1", "b: A2", "c: r1"]),
        ("file[]=other.yml", &[]),
        (&selector, &["a: r1", "b: A2"]),
        ("group_limit=3", &["a: r1 A1", "b: A2", "c: r1"]),
        ("group_limit=1&rule_name[]=A2", &["b: A2"]),
    ] {
        let answer = client.get(&format!("/api/v1/rules?{query}"));
        assert_eq!(shown(&answer), expected, "{query}");
        assert!(answer["data"]["groupNextToken"].is_null(), "{query}: {answer}");
    }
    // Page by page, each group once.
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let next = if token.is_empty() { String::new() } else { format!("&group_next_token={token}") };
        let page = client.get(&format!("/api/v1/rules?group_limit=1{next}"));
        seen.extend(shown(&page));
        match page["data"]["groupNextToken"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, ["a: r1 A1", "b: A2", "c: r1"]);
    for query in [
        "type=other",
        "exclude_alerts=maybe",
        "group_limit=0",
        "group_limit=x",
        "group_next_token=abc",
        "group_limit=1&group_next_token=abc",
        "match[]=up{",
    ] {
        let answer =
            client.call(&watchfire_test_support::Client::request("GET", &format!("/api/v1/rules?{query}"), &[], b""));
        assert_eq!((answer.status, answer.json()["errorType"].as_str()), (400, Some("bad_data")), "{query}");
    }
}
