//! Silences: nobody is told of what they match, also after a kill -9; made, listed and ended by the command line and by
//! Alertmanager's API.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use watchfire_model::Timestamp;
use watchfire_test_support::{Server, WebhookReceiver};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// Longest wait; what fires is handed over once a minute.
const PATIENCE: Duration = Duration::from_secs(180);

/// Runs `watchfire silence`; exit code, stdout, stderr.
fn silence(server: &Server, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(BINARY);
    command.arg("silence").args(arguments).env("WATCHFIRE_URL", format!("http://{}", server.address));
    let output = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn push(server: &Server, service: &str, value: u32) {
    let sample = json!({"name": "level", "value": value, "labels": {"service": service}, "type": "gauge"});
    assert_eq!(server.client().post("/api/v1/metrics", "application/json", sample.to_string()).status, 202);
}

/// Waits for the alert of a service to stand so; whether it is silenced.
fn until(server: &Server, service: &str, status: &str) -> bool {
    let begun = Instant::now();
    loop {
        let answer = server.client().get("/api/v1/alerting/alerts");
        let all = answer["alerts"].as_array().expect("a list");
        if let Some(alert) = all.iter().find(|one| one["labels"]["service"] == service && one["status"] == status) {
            return alert["silenced"] == true;
        }
        assert!(begun.elapsed() < PATIENCE, "{service} {status}: {answer}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits for word that the alert of a service fires; whatever comes before is kept.
fn told(hook: &WebhookReceiver, service: &str, heard: &mut Vec<Value>) {
    let begun = Instant::now();
    loop {
        let rest = PATIENCE.saturating_sub(begun.elapsed());
        let body = hook.next(rest).unwrap_or_else(|| panic!("nobody is told of {service}: {heard:?}")).body;
        let alerts = body["alerts"].as_array().expect("a list").clone();
        heard.extend(alerts.iter().cloned());
        if alerts.iter().any(|alert| alert["labels"]["service"] == service && alert["status"] == "firing") {
            return;
        }
    }
}

#[test]
fn nobody_is_told_of_what_is_silenced() {
    let (hook, folder) = (WebhookReceiver::start(), tempfile::tempdir().expect("a folder"));
    let rules = folder.path().join("rules.json");
    let rule =
        json!({"name": "Level", "query": "max level by service", "threshold": 0, "operator": ">", "duration": "0s"});
    std::fs::write(&rules, rule.to_string()).expect("the folder can be written");
    let mut server = Server::start(BINARY, &hook.alerting(&rules));
    let add = ["add", "alertname=Level", "service=~api|none", "--comment", "deploying", "--author", "anna"];
    let (code, id, error) = silence(&server, &add);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    push(&server, "api", 1);
    push(&server, "web", 1);
    let mut heard = Vec::new();
    told(&hook, "web", &mut heard);
    assert!(until(&server, "api", "firing"), "it is shown as silenced");
    assert!(!until(&server, "web", "firing"));
    // The rule names no receiver: all hear of it.
    for (filter, count) in [("", 2), ("?receiver=ho.k", 2), ("?receiver=nobody", 0)] {
        let listed = server.client().get(&format!("/api/v2/alerts{filter}"));
        let receivers = listed.as_array().expect("a list").iter().map(|alert| &alert["receivers"]);
        assert!(receivers.clone().all(|names| *names == json!([{"name": "hook"}])), "{filter}: {listed}");
        assert_eq!(receivers.count(), count, "{filter}: {listed}");
    }

    // The end of what is silenced is told to nobody either.
    assert_eq!(silence(&server, &["add", "service=web", "--comment", "too loud"]).0, Some(0));
    push(&server, "web", 0);
    assert!(until(&server, "web", "resolved"));
    push(&server, "db", 1);
    told(&hook, "db", &mut heard);
    let is_silenced = |alert: &Value| alert["labels"]["service"] == "api" || alert["status"] == "resolved";
    assert_eq!(heard.iter().find(|alert| is_silenced(alert)), None);

    server.kill();
    server.restart();
    let (code, listed, _) = silence(&server, &["list", "-o", "csv"]);
    assert!(code == Some(0) && listed.lines().count() == 3 && listed.contains(&format!("active,{id},")), "{listed}");
    assert!(until(&server, "api", "firing"));
    assert_eq!(silence(&server, &["expire", &id]).0, Some(0));
    told(&hook, "api", &mut heard);
    let (code, _, error) = silence(&server, &["expire", &id]);
    assert!(code == Some(1) && error.contains("has ended already"), "{error}");
    assert!(server.log().contains(&format!("DELETE /api/v2/silence/{id}")), "the audit knows: {}", server.log());
    for verb in ["set", "ended"] {
        let said = format!("silence {verb}: {id}, until 20");
        let line = server.log().lines().find(|line| line.contains(&said)).map(str::to_owned).expect("it is told");
        let all = "comment \"deploying\", alertname=\"Level\" service=~\"api|none\"";
        assert!(line.replace('\\', "").contains(all), "{line}");
    }
}

#[test]
fn silences_speak_as_alertmanagers_do() {
    let server = Server::start(BINARY, "");
    let post = |body: &Value| server.client().post("/api/v2/silences", "application/json", body.to_string());
    let in_hours = |hours: i64| Timestamp::now().plus_millis(hours * 3_600_000).to_rfc3339();
    let body = json!({
        "matchers": [{"name": "service", "value": "a.*", "isRegex": true, "isEqual": true}, {"name": "x", "value": "y", "isRegex": false}],
        "startsAt": in_hours(1), "endsAt": in_hours(2), "createdBy": "anna", "comment": "why",
    });
    let made = post(&body);
    assert_eq!(made.status, 200, "{}", made.text());
    let id = made.json()["silenceID"].as_str().expect("an id").to_owned();
    let shown = server.client().get(&format!("/api/v2/silence/{id}"));
    assert_eq!(
        (&shown["id"], &shown["status"], &shown["createdBy"]),
        (&json!(id), &json!({"state": "pending"}), &json!("anna"))
    );
    assert_eq!(shown["matchers"][1], json!({"name": "x", "value": "y", "isRegex": false, "isEqual": true}));
    assert_eq!(server.client().get("/api/v2/silences"), json!([shown]));
    assert_eq!(server.client().get("/api/v2/silences?filter=x%3D%22y%22&filter=service=~a.*"), json!([shown]));
    assert_eq!(server.client().get("/api/v2/silences?filter=x%3D%22z%22"), json!([]));
    let mut longer = body.clone();
    (longer["id"], longer["endsAt"]) = (json!(id), json!(in_hours(9)));
    assert_eq!(post(&longer).json()["silenceID"], json!(id), "the same one, changed");
    let mut empty = body.clone();
    empty["matchers"] = json!([{"name": "x", "value": ".*", "isRegex": true, "isEqual": true}]);
    let refused = post(&empty);
    assert!(refused.status == 400 && refused.json().is_string(), "{}", refused.text());
    assert_eq!(post(&json!({"matchers": []})).status, 400);
    longer["id"] = json!("nobody");
    assert_eq!(post(&longer).status, 404);
    assert_eq!(server.client().try_get("/api/v2/silence/nobody").status, 404);
    let delete = |id: &str| {
        let path = format!("/api/v2/silence/{id}");
        server.client().call(&watchfire_test_support::Client::request("DELETE", &path, &[], b"")).status
    };
    assert_eq!((delete(&id), delete(&id), delete("nobody")), (200, 409, 404));
    assert_eq!(silence(&server, &["list"]), (Some(0), String::new(), "no alert is silenced".to_owned()));
    assert!(silence(&server, &["list", "--expired"]).1.contains("expired"));
    assert_eq!(silence(&server, &["add", "service", "--comment", "x"]).0, Some(2));
    assert_eq!(silence(&server, &["add", "a=~(", "--comment", "x"]).0, Some(1));
    // Times to come, as they are spoken.
    for (times, state) in [
        (&["--start", "tomorrow 10:00"][..], "pending"),
        (&["--start", "in 1h", "--end", "in 2 hours"], "pending"),
        (&["--end", "next monday 09:00"], "active"),
    ] {
        let (code, id, told) = silence(&server, &[&["add", "a=b", "--comment", "x"], times].concat());
        assert_eq!(code, Some(0), "{times:?}: {told}");
        assert_eq!(server.client().get(&format!("/api/v2/silence/{id}"))["status"]["state"], state, "{times:?}");
        assert_eq!(silence(&server, &["expire", &id]).0, Some(0));
    }
    for times in
        [&["--start", "yesterday 10:00"][..], &["--end", "2020-01-01"], &["--start", "in 2h", "--end", "in 1h"]]
    {
        let (code, _, told) = silence(&server, &[&["add", "a=b", "--comment", "x"], times].concat());
        assert!(code == Some(2) && told.contains(" ends ("), "{times:?}: {told}");
    }
    assert_eq!(silence(&server, &["list", "--url", "http://127.0.0.1:1"]).0, Some(4));
}

/// Runs amtool against a server: whether it was content, and what it wrote. `None`, said visibly, where it is not.
fn amtool(server: &Server, arguments: &[&str]) -> Option<(bool, String)> {
    let mut command = Command::new("amtool");
    // Our version is another one than its own, which it would warn of.
    command.arg("--no-version-check").args(arguments).arg(format!("--alertmanager.url=http://{}", server.address));
    match command.output() {
        Ok(done) => {
            let text = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).trim_end().to_owned();
            Some((done.status.success(), text))
        }
        Err(error) => {
            println!("SKIP: silences by Alertmanager's own client: amtool: {error}");
            None
        }
    }
}

#[test]
fn alertmanagers_own_client_silences_and_lists() {
    let rules = tempfile::NamedTempFile::new().expect("a file");
    let rule =
        json!({"name": "Level", "query": "max level by service", "threshold": 0, "operator": ">", "duration": "0s"});
    std::fs::write(rules.path(), rule.to_string()).expect("it can be written");
    let server = Server::start(BINARY, &format!("alerting: {{rules_path: [{:?}]}}\n", rules.path()));
    push(&server, "api", 1);
    until(&server, "api", "firing");
    let Some((is_good, listed)) = amtool(&server, &["alert", "query", "-o", "json", "service=api"]) else { return };
    let alerts: Value = serde_json::from_str(&listed).unwrap_or_else(|error| panic!("{error}: {listed}"));
    assert!(is_good && alerts[0]["labels"] == json!({"alertname": "Level", "service": "api"}), "{listed}");
    assert_eq!(alerts[0]["status"]["state"], "active", "{listed}");
    let run = |arguments: &[&str]| amtool(&server, arguments).expect("it ran before");
    assert_eq!(run(&["alert", "query", "-o", "json", "service=web"]), (true, "[]".to_owned()));

    let (is_good, id) = run(&["silence", "add", "alertname=Level", "service=~a.*", "--comment=why", "--duration=2h"]);
    assert!(is_good && id.len() == 36, "{id}");
    assert_eq!(run(&["silence", "query", "-q", "service=~a.*"]), (true, id.clone()));
    let (_, listed) = run(&["alert", "query", "-s", "-o", "json"]);
    assert!(listed.contains("suppressed") && listed.contains(&id), "{listed}");
    let (is_good, table) = run(&["silence", "update", "--duration=5h", &id]);
    assert!(is_good && table.contains(&id), "{table}");
    assert!(run(&["silence", "expire", &id]).0);
    assert_eq!(run(&["silence", "query", "-q"]), (true, String::new()));
    assert!(run(&["silence", "query", "--expired"]).1.contains("why"));

    // What is refused is told in our words.
    let (is_good, told) = run(&["silence", "add", "service!=x", "--comment=why"]);
    assert!(!is_good && told.contains("must not match the empty text") && !told.contains("unmarshal"), "{told}");
    let (is_good, told) = run(&["cluster", "show"]);
    assert!(is_good && told.contains("disabled"), "{told}");
}
