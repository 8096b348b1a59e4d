//! Requests and their answers against the running binary, as data: `tests/api/*.json`.
//!
//! A file is `{"config": "…", "steps": [{"do": "POST /ingest", "headers": [], "body": …, "status": 202, "answer": …}]}`.
//! In an expected answer an object may leave keys out, and these texts stand for anything of their kind:
//! `<any>`, `<text>`, `<number>`, `<time>`. A step with `"until": true` is asked again until it is answered as expected.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use watchfire_test_support::{Answer, Client, Server};

/// Longest wait for a step with `until`.
const UNTIL_MAX: Duration = Duration::from_secs(30);

#[test]
fn requests_are_answered_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api");
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("the folder is there").flatten().collect();
    files.sort_by_key(std::fs::DirEntry::path);
    assert!(!files.is_empty());
    let failures: Vec<String> = files.iter().filter_map(|file| check(&file.path()).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn check(path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).expect("the file can be read");
    let file: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let config = file["config"].as_str().unwrap_or_default();
    let server = Server::start(env!("CARGO_BIN_EXE_watchfire"), config);
    let mut client = server.client();
    for (number, step) in file["steps"].as_array().expect("`steps` is a list").iter().enumerate() {
        let place = format!("{}, step {}, {}", path.display(), number + 1, step["do"]);
        let deadline = Instant::now() + UNTIL_MAX;
        loop {
            let answer = send(&mut client, step);
            match compare(&answer, step) {
                Ok(()) => break,
                Err(_) if step["until"] == true && Instant::now() < deadline => {}
                Err(difference) => return Err(format!("{place}: {difference}\nanswer: {}", answer.text())),
            }
        }
    }
    Ok(())
}

fn send(client: &mut Client, step: &Value) -> Answer {
    let line = step["do"].as_str().expect("`do` is a method and a path");
    let (method, path) = line.split_once(' ').expect("`do` is a method and a path");
    let mut headers: Vec<&str> = step["headers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let body = match &step["body"] {
        Value::Null => Vec::new(),
        Value::String(text) => text.clone().into_bytes(),
        json => {
            if !headers.iter().any(|header| header.to_ascii_lowercase().starts_with("content-type")) {
                headers.push("Content-Type: application/json");
            }
            json.to_string().into_bytes()
        }
    };
    client.call(&Client::request(method, path, &headers, &body))
}

fn compare(answer: &Answer, step: &Value) -> Result<(), String> {
    let status = step["status"].as_u64().unwrap_or(200);
    if u64::from(answer.status) != status {
        return Err(format!("status {} instead of {status}", answer.status));
    }
    for (name, value) in step["answer_headers"].as_object().into_iter().flatten() {
        let have = answer.header(name);
        if !(have == value.as_str() || (value == "<any>" && have.is_some())) {
            return Err(format!("header {name}: {have:?} instead of {value}"));
        }
    }
    match &step["answer"] {
        Value::Null => Ok(()),
        Value::String(text) if answer.text().contains(text) => Ok(()),
        Value::String(text) => Err(format!("the text `{text}` is missing")),
        wanted => matches(wanted, &answer.json(), "answer"),
    }
}

fn matches(wanted: &Value, have: &Value, path: &str) -> Result<(), String> {
    let fits = match (wanted, have) {
        (Value::String(kind), have) if kind.starts_with('<') && kind.ends_with('>') => match kind.as_str() {
            "<any>" => true,
            "<text>" => have.as_str().is_some_and(|text| !text.is_empty()),
            "<number>" => have.is_number(),
            "<time>" => have.as_str().is_some_and(|text| watchfire_model::Timestamp::parse_date_time(text).is_some()),
            _ => wanted == have,
        },
        (Value::Object(wanted), Value::Object(have)) => {
            for (key, value) in wanted {
                let path = format!("{path}.{key}");
                let found = have.get(key).ok_or_else(|| format!("{path} is missing"))?;
                matches(value, found, &path)?;
            }
            true
        }
        (Value::Array(wanted), Value::Array(have)) => {
            if wanted.len() != have.len() {
                return Err(format!("{path} has {} items instead of {}", have.len(), wanted.len()));
            }
            for (at, (wanted, have)) in wanted.iter().zip(have).enumerate() {
                matches(wanted, have, &format!("{path}[{at}]"))?;
            }
            true
        }
        (Value::Number(wanted), Value::Number(have)) => wanted.as_f64() == have.as_f64(),
        (wanted, have) => wanted == have,
    };
    if fits { Ok(()) } else { Err(format!("{path} is {have} instead of {wanted}")) }
}
