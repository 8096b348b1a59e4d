//! Hostile and huge log text: shown as text, whole, and without holding the page up.

use serde_json::json;
use watchfire_test_support::{Browser, Server};

use crate::BINARY;

#[test]
fn hostile_text_is_text() {
    let Some(mut browser) = Browser::start("hostile log text") else { return };
    let server = Server::start(BINARY, "");
    let evil = "<img src=x onerror=\"window.evil=1\"><script>window.evil=1</script>";
    let records = json!([
        {"service": evil, "level": "error", "message": format!("mark {evil}"), "evil": evil, "tags": {evil: evil}, "order": 1_234_567_890_123_456_789_u64},
        {"service": "ansi", "message": "mark \u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7} \u{0}nul"},
        {"service": "bidi", "message": "mark user\u{202e}gnp.exe\u{2066}x\u{200b}y \u{feff}"},
        {"service": "long", "message": format!("mark {}", "w".repeat(30_000))},
        {"service": "javascript:alert(1)", "message": "mark {{constructor.constructor('window.evil=1')()}} ${window.evil=1} %s \\u003cb\\u003e"},
    ]);
    assert_eq!(server.client().post("/ingest", "application/json", records.to_string()).status, 202);
    let mut page = browser.page(1024, 768, false);
    for path in ["/logs?q=mark", "/logs?q=mark&live=1", "/", "/explore?q=sum+log_events_total+by+service"] {
        page.go(&format!("http://{}{path}", server.address));
        if path.starts_with("/logs") {
            page.wait(path, "document.querySelectorAll('.log-row').length == 5");
            page.eval("document.querySelectorAll('.opener').forEach((one) => one.click())");
            page.wait(path, "document.querySelectorAll('.log-detail').length == 5");
            let text = page.eval("document.querySelector('.virtual').textContent");
            let text = text.as_str().expect("text");
            for shown in [
                evil,
                "␛[31mred␛[0m",
                "␛]0;title␇",
                "␀nul",
                "user⟨U+202E⟩gnp.exe⟨U+2066⟩x⟨U+200B⟩y",
                "${window.evil=1}",
                "1234567890123456789",
            ] {
                assert!(text.contains(shown), "{shown} is not shown at {path}");
            }
            let wide = page.eval("document.documentElement.scrollWidth <= innerWidth");
            assert_eq!(wide, true, "{path}: a long line makes the page scroll sideways");
        } else {
            page.wait(path, "document.body.textContent.includes('onerror')");
        }
        assert_eq!(page.eval("typeof window.evil"), "undefined", "{path}");
        assert_eq!(page.eval("document.querySelectorAll('img, main script').length"), 0, "{path}");
        let problems = page.problems();
        assert!(problems.is_empty(), "{path}: {problems:#?}");
    }
}

#[test]
fn lines_returns_and_tags_of_a_record_are_seen() {
    let Some(mut browser) = Browser::start("what cannot be seen in records") else { return };
    let server = Server::start(BINARY, "");
    let service = "s".repeat(300);
    let record = json!({"service": service, "message": "mark over\rwritten \u{e0041}tag\r\nnext", "stack": "a\nb\nc"});
    assert_eq!(server.client().post("/ingest", "application/json", record.to_string()).status, 202);
    let mut page = browser.page(390, 844, false);
    for width in [390, 1440] {
        page.look(width, 844, false);
        page.go(&format!("http://{}/logs?q=mark", server.address));
        page.wait("the row", "document.querySelector('.log-row')");
        page.eval("document.querySelector('.opener').click()");
        page.wait("the record", "document.querySelector('.log-detail .fields')");
        let row = page.eval("document.querySelector('.log-row .message').firstChild.data");
        assert_eq!(row, "mark over␍written ⟨U+E0041⟩tag next");
        let message = page.eval("document.querySelector('.message-text').innerText");
        assert!(message.as_str().is_some_and(|text| text.contains("over␍written ⟨U+E0041⟩tag")), "{message}");
        assert_eq!(page.eval("[...document.querySelectorAll('.fields .value')].find((one) => /b/.test(one.textContent) && one.textContent.length == 5).innerText"), "a\nb\nc");
        // Its button is as wide as there is room.
        let outside = "(() => { const [link, box] = ['.metrics-link', '.log-detail'].map((one) => document.querySelector(one).getBoundingClientRect()); \
             const text = document.querySelector('.metrics-link span').getBoundingClientRect(); \
             return [link.left - box.left, box.right - link.right, text.left - link.left, link.right - text.right].filter((room) => room < 0).length })()";
        assert_eq!(page.eval(outside), 0, "{width}");
    }
    let problems = page.problems();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn a_record_of_a_megabyte_opens() {
    let Some(mut browser) = Browser::start("a record of a megabyte") else { return };
    let server = Server::start(BINARY, "");
    let message: String =
        (0..).map(|word| format!("word{word} ")).take(110_000).collect::<String>()[..1_000_000].to_owned();
    let record = json!({"service": "big", "message": message, "stack": message[..40_000]});
    assert_eq!(server.client().post("/ingest", "application/json", record.to_string()).status, 202);
    let mut page = browser.page(1440, 900, false);
    page.go(&format!("http://{}/logs?service=big", server.address));
    page.wait("the row", "document.querySelector('.log-row')");
    let timed = |what: &str| {
        format!(
            "new Promise((done) => {{ const begun = performance.now(); {what}; requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begun))); }})"
        )
    };
    let opened = page.eval(&timed("document.querySelector('.opener').click()"));
    page.wait("cut at 32 KiB", "document.querySelector('.message-text').textContent.length == 32 * 1024");
    let all = page.eval(&timed(
        "[...document.querySelectorAll('.message-box button')].find((one) => /Show all/.test(one.textContent)).click()",
    ));
    page.wait("all of it", "document.querySelector('.message-text').textContent.length == 1000000");
    println!("a record of 1 MB: opened in {opened} ms, all shown in {all} ms");
    let problems = page.problems();
    assert!(problems.is_empty(), "{problems:#?}");
}
