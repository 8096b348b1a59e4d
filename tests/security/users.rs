//! Names and passwords, made by our own verb and by others, asked for by curl.

use serde_json::json;

use crate::{Files, call, curl, text, until, watchfire};

#[test]
fn users_come_in_by_name_and_password_with_their_scopes() {
    let files = Files::new();
    let key = files.key("ingest", "shipper");
    files.user("read", "anna", "correct horse");
    // As `htpasswd -nbB` writes it: no scopes, so they may look.
    let berta = "berta:$2y$05$abcdefghijklmnopqrstuuJDBPSrYhvYBTZ3ZBUJO3FJWKWiZxW5i";
    let path = files.path("users.txt");
    let with_berta = std::fs::read_to_string(&path).expect("it is there") + berta + "\n";
    assert!(!with_berta.contains("correct horse") && with_berta.contains(":$argon2id$"), "{with_berta}");
    std::fs::write(&path, with_berta).expect("it can be written");
    assert_eq!(watchfire(&["users", "list", "--file", &text(&path)]), "anna  read\nberta  read\n");
    let server = files.server("");
    let url = |path: &str| format!("http://{}{path}", server.address);
    let (recent, ingest) = (url("/recent"), url("/ingest"));
    assert_eq!(curl(&["-u", "anna:correct horse", &recent]).0, 200);
    assert_eq!(curl(&["-u", "anna:wrong", &recent]).0, 401);
    assert_eq!(curl(&["-u", "nobody:correct horse", &recent]).0, 401);
    let (status, body) = curl(&["-u", "berta:guess", &recent]);
    assert!(status == 401 && body.contains("wrong_password"), "{status} {body}");
    assert_eq!(curl(&["-u", "anna:correct horse", "-d", r#"{"message":"x"}"#, &ingest]).0, 403);
    assert_eq!(curl(&["-H", &format!("X-API-Key: {key}"), "-d", r#"{"message":"x"}"#, &ingest]).0, 202);
    // Programs are asked for either; a page's own calls are not, or the browser would show its own box.
    let challenge = |headers: &[&str]| {
        let answer = call(&server, "GET", "/recent", headers, "");
        assert_eq!(answer.status, 401);
        answer.head.to_lowercase().matches("www-authenticate").count()
    };
    assert_eq!((challenge(&[]), challenge(&["Sec-Fetch-Dest: empty"])), (2, 1));
    // The form of the page.
    let body = json!({"username": "anna", "password": "correct horse"}).to_string();
    let opened = call(&server, "POST", "/api/v1/session", &["Content-Type: application/json"], &body);
    assert_eq!((opened.status, &opened.json()["name"]), (200, &json!("anna")), "{}", opened.text());
    assert_eq!(opened.json()["methods"], json!(["key", "password"]));
    let cookie = opened.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie");
    let cookie = format!("Cookie: {cookie}");
    assert_eq!(call(&server, "GET", "/recent", &[&cookie], "").status, 200);
    // Another password ends what the old one opened, without anybody asking for a reload.
    files.user("read", "anna", "other");
    until(|| call(&server, "GET", "/recent", &[&cookie], "").status == 401);
    assert_eq!(curl(&["-u", "anna:correct horse", &recent]).0, 401);
    assert_eq!(curl(&["-u", "anna:other", &recent]).0, 200);
    watchfire(&["users", "remove", "--file", &text(&path), "anna"]);
    until(|| curl(&["-u", "anna:other", &recent]).0 == 401);
}

#[test]
fn a_bad_file_leaves_the_old_one_in_force_and_says_so() {
    let files = Files::new();
    let key = files.key("read", "anna");
    let server = files.server("");
    let header = format!("X-API-Key: {key}");
    // At once: a file that is being written is empty for a moment, and an empty one is good.
    std::fs::write(files.path("keys.new"), "sha256:short read\n").expect("it can be written");
    std::fs::rename(files.path("keys.new"), files.path("keys.txt")).expect("both are there");
    until(|| server.log().contains("keys and users stay as they were"));
    assert!(server.log().contains("keys.txt:1:8: 64 hex digits"), "{}", server.log());
    assert_eq!(call(&server, "GET", "/recent", &[&header], "").status, 200);
}

#[test]
fn keys_are_listed_and_revoked() {
    let files = Files::new();
    let path = text(&files.path("keys.txt"));
    let (one, _two) = (files.key("ingest", "shipper one"), files.key("read,admin", "anna"));
    let listed = watchfire(&["keys", "list", "--file", &path]);
    assert_eq!(listed.lines().count(), 2);
    assert!(listed.contains("  ingest  shipper one\n") && listed.contains("  read,admin  anna\n"), "{listed}");
    assert!(!listed.contains(&one), "{listed}");
    let words = ["keys", "add", "--file", &path, "anna"];
    let refused = std::process::Command::new(crate::BINARY).args(words).output().expect("it runs");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0), "{told}");
    assert!(
        told.starts_with(&format!("{path}:2:1: a key named `anna` is there already; choose another name")),
        "{told}"
    );
    assert_eq!(watchfire(&["keys", "list", "--file", &path]), listed);
    let server = files.server("");
    let header = format!("X-API-Key: {one}");
    let ingest = || call(&server, "POST", "/ingest", &[&header], r#"{"message":"x"}"#).status;
    assert_eq!(ingest(), 202);
    assert!(watchfire(&["keys", "revoke", "--file", &path, "shipper one"]).starts_with("revoked "));
    until(|| ingest() == 401);
    assert_eq!(watchfire(&["keys", "list", "--file", &path]).lines().count(), 1);
    let words = ["keys", "revoke", "--file", &path, "shipper one"];
    let again = std::process::Command::new(crate::BINARY).args(words).output().expect("it runs");
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("no key is named"));
}
