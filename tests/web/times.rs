//! Times in links: read as the command line reads them, or refused in the page; never shown as another range.

use serde_json::json;
use watchfire_test_support::{Browser, Server};

use crate::BINARY;

/// Saturday, 28 November 2026, 12:30 in Berlin: the moment of the command line's table.
const NOW_MS: i64 = 1_795_865_400_000;

#[test]
fn times_are_those_of_the_command_line() {
    let Some(mut browser) = Browser::start("times in links") else { return };
    let server = Server::start(BINARY, "");
    let mut page = browser.page(1024, 768, false);
    page.command("Emulation.setTimezoneOverride", json!({"timezoneId": "Europe/Berlin"}));
    let clock = json!({"source": format!("Date.now = () => {NOW_MS}")});
    page.command("Page.addScriptToEvaluateOnNewDocument", clock);
    page.go(&format!("http://{}/explore", server.address));
    page.wait("the page", "document.querySelector('.metric-list')");
    let table = include_str!("../../cli/tests/times.txt").lines().filter(|line| !line.starts_with('#'));
    let cases = table.filter_map(|line| line.split_once(" => ")).filter(|(text, _)| !text.is_empty());
    let mut read = 0;
    for (text, wanted) in cases {
        let link = json!(text);
        page.eval(&format!(
            "history.pushState(null, '', '/explore?to=now%2B20y&from=' + encodeURIComponent({link})); dispatchEvent(new PopStateEvent('popstate'))"
        ));
        if wanted == "no time" {
            let told = format!(
                "document.querySelector('.error-note')?.textContent.startsWith({})",
                json!(format!("{text} is no time"))
            );
            page.wait(text, &told);
        } else {
            page.wait(text, &format!("document.querySelector('.range').title.startsWith('{wanted} – ') && !document.querySelector('.error-note')"));
            read += 1;
        }
    }
    assert!(read >= 75, "only {read} spellings are read");
    let problems = page.problems();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn a_range_that_is_none_is_told_and_nothing_is_shown_for_it() {
    let Some(mut browser) = Browser::start("ranges that are none") else { return };
    let server = Server::start(BINARY, "");
    assert_eq!(server.client().post("/ingest", "application/json", r#"{"message":"here"}"#).status, 202);
    let mut page = browser.page(1024, 768, false);
    for (range, told) in [
        ("from=garbage&to=zzz", "garbage is no time"),
        ("from=now-1h&to=zzz", "zzz is no time"),
        ("from=now&to=now-1h", "the range ends before it begins"),
        ("from=1700000000&to=1700000000000", "the range is empty"),
    ] {
        for path in ["/", "/logs", "/logs?live=1", "/explore?q=watchfire_series", "/alerts"] {
            let joint = if path.contains('?') { '&' } else { '?' };
            page.go(&format!("http://{}{path}{joint}{range}", server.address));
            page.wait(told, &format!("document.querySelector('main .error-note')?.textContent.includes('{told}')"));
            assert_eq!(page.eval("document.querySelectorAll('.log-row, canvas, .kpi').length"), 0, "{path} {range}");
        }
    }
    page.eval("document.querySelector('.note .button').click()");
    page.wait(
        "the last hour",
        "document.querySelector('.range').textContent == 'last 1h' && !document.querySelector('.error-note')",
    );
    // Each: the range, what the button says of it, and whether it refreshes.
    for (range, label, moves) in [
        ("from=2h", "last 2h", true),
        ("from=now-90m", "last 90m", true),
        ("from=2h&to=1h", "", true),
        ("from=yesterday&to=now", "", true),
        ("to=2024-05-01T06:00:00Z", "", false),
    ] {
        page.go(&format!("http://{}/logs?{range}", server.address));
        page.wait(range, "document.querySelector('.stats b')");
        let text = page.eval("document.querySelector('.range').textContent");
        let text = text.as_str().expect("text");
        // Both ends as dates, where it is not the time up to now.
        assert!(if label.is_empty() { text.starts_with("20") } else { text == label }, "{range}: {text}");
        assert_eq!(page.eval("document.querySelector('.refresh select').disabled"), !moves, "{range}");
    }
    assert_eq!(
        page.eval("document.querySelector('.range').title"),
        "2024-05-01T05:00:00.000Z – 2024-05-01T06:00:00.000Z"
    );
    // The picker takes what links take.
    page.eval("document.querySelector('.range').click()");
    page.wait("the picker", "document.querySelector('.time-panel input')");
    for (text, button) in [("2h", "last 2h"), ("yesterday 14:00", "14:00:00 – now")] {
        page.eval("document.querySelector('.time-panel') || document.querySelector('.range').click()");
        page.wait("the picker", "document.querySelector('.time-panel input')");
        for (field, value) in [(0, text), (1, "now")] {
            page.eval(&format!("document.querySelectorAll('.time-panel input')[{field}].select()"));
            page.write(value);
        }
        page.key("Enter");
        page.wait(text, &format!("document.querySelector('.range').textContent.endsWith('{button}')"));
    }
    let problems = page.problems();
    assert!(problems.is_empty(), "{problems:#?}");
}
