//! A server with keys: the page appears without one, asks for it, and sends it on every way.

use std::process::Command;

use watchfire_test_support::{Browser, Server};

use crate::BINARY;

#[test]
fn a_key_is_asked_for_and_opens_pages_and_the_tail() {
    let Some(mut browser) = Browser::start("the login form") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.txt");
    let key = |scopes: &str| {
        let output =
            Command::new(BINARY).args(["keys", "add", "--file"]).arg(&file).args(["--scopes", scopes, scopes]).output();
        let text = String::from_utf8(output.expect("it runs").stdout).expect("text");
        text.split_whitespace().find(|word| word.starts_with("wf_")).expect("a key").to_owned()
    };
    let (ingest, read) = (key("ingest"), key("read"));
    let server = Server::start(BINARY, &format!("auth: {{api_keys_file: {}}}\n", file.display()));
    let mut page = browser.page(1024, 768, false);
    page.go(&format!("http://{}/logs", server.address));
    page.wait("the form", "document.querySelector('.login input[type=password]')");
    // Nothing is asked for that would be refused.
    let problems = page.problems();
    assert!(problems.is_empty(), "{problems:#?}");
    let enter = |page: &mut watchfire_test_support::browser::Page<'_>, key: &str| {
        page.eval("document.querySelector('.login input[type=password]').focus()");
        page.eval("document.querySelector('.login input[type=password]').select()");
        page.write(key);
        page.key("Enter");
    };
    enter(&mut page, "wf_wrong");
    page.wait("what is wrong", "document.querySelector('.login .problem')?.textContent.includes('unknown')");
    enter(&mut page, &read);
    page.wait("the lines", "document.querySelector('.log-row')");
    // The session opens the tail's socket too, and the key is in no URL.
    page.key("l");
    page.wait("the tail", "document.querySelector('.live')?.textContent.includes('following')");
    let record = r#"{"service":"keys","message":"let in"}"#;
    let header = format!("X-API-Key: {ingest}");
    let headers = [header.as_str(), "Content-Type: application/json"];
    let request = watchfire_test_support::Client::request("POST", "/ingest", &headers, record.as_bytes());
    assert_eq!(server.client().call(&request).status, 202);
    page.wait("the line", "document.querySelector('.virtual').textContent.includes('let in')");
    let urls = page.eval("performance.getEntries().map((one) => one.name).join(' ') + location.href");
    assert!(!urls.as_str().is_some_and(|urls| urls.contains(&read)), "the key stands in a URL");
    assert!(!server.log().contains(&read), "the key stands in the log");
    // The page itself keeps nothing, another page of this browser is let in, and one can leave.
    page.go(&format!("http://{}/alerts", server.address));
    page.wait("still let in", "document.querySelector('.tabs')");
    assert_eq!(page.eval("localStorage.length + sessionStorage.length + document.cookie"), "0");
    page.eval("document.querySelector('[aria-label=\"Log out\"]').click()");
    page.wait("the form again", "document.querySelector('.login')");
}
