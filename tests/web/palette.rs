//! The palette, saved views, and when alerts fired: what leads from one page to another.

use std::path::Path;

use serde_json::json;
use watchfire_test_support::browser::Page;
use watchfire_test_support::{Browser, Client};

use crate::{audit, data};

#[test]
fn everything_is_found_by_its_name() {
    let Some(mut browser) = Browser::start("the palette") else { return };
    let (server, _rules) = data::server();
    let mut page = browser.page(1440, 900, false);
    page.go(&format!("http://{}/", server.address));
    page.wait("the page", "document.querySelector('.kpi')");
    page.key("p");
    page.wait("the palette has the focus", "document.activeElement.getAttribute('role') == 'combobox'");
    page.wait(
        "metrics are known",
        "[...document.querySelectorAll('.palette li bdi')].some((one) => one.textContent == 'error_count')",
    );
    page.write("error_co");
    page.wait(
        "the closest comes first",
        "document.querySelector('.palette [aria-selected=true] bdi').textContent == 'error_count'",
    );
    look(&mut page, "palette");
    page.key("Enter");
    page.wait("a first query of it", "location.pathname == '/explore' && new URLSearchParams(location.search).get('q').startsWith('rate error_count')");
    assert_eq!(page.eval("document.querySelector('.palette')"), json!(null));
    // From within a box that has the keyboard, a rule, by a word of its name and one of its query.
    page.wait("the editor", "document.querySelector('.cm-content')");
    page.key("/");
    page.wait("the box has the focus", "document.activeElement.classList.contains('cm-content')");
    ask(&mut page, "today log_events");
    page.wait("a rule", "[...document.querySelectorAll('.palette li')].some((one) => one.textContent.includes('ErrorsToday') && one.textContent.includes('rule'))");
    page.eval("[...document.querySelectorAll('.palette li')].find((one) => one.lastElementChild.textContent == 'rule').click()");
    page.wait("the rule", "new URLSearchParams(location.search).get('tab') == 'rules' && document.querySelectorAll('.rules tbody tr').length == 1");
    // What is nothing's name is searched for.
    ask(&mut page, "refused to db-1");
    page.key("Enter");
    page.wait("a search", "location.pathname == '/logs' && new URLSearchParams(location.search).get('q') == 'refused to db-1' && document.querySelector('.log-row')");
    ask(&mut page, "");
    page.key("Escape");
    page.wait("and gone", "!document.querySelector('.palette')");
    let problems = page.problems();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn a_saved_view_comes_back_as_it_was() {
    let Some(mut browser) = Browser::start("saved views") else { return };
    let (server, _rules) = data::server();
    let mut page = browser.page(1440, 900, true);
    page.go(&format!("http://{}/logs?q=refused&service=db,api&from=now-2h", server.address));
    page.wait("the search", "document.querySelector('.log-row') && document.querySelector('.popover [title^=Saved]')");
    page.eval("document.querySelector('.popover [title^=Saved]').click()");
    page.wait("nothing yet", "document.querySelector('.views-panel p')?.textContent.startsWith('Nothing is saved')");
    look(&mut page, "views");
    page.eval("document.querySelector('.views-panel input').focus()");
    page.write("refused by two");
    page.key("Enter");
    page.wait("it is said", "document.querySelector('.toast').textContent == 'Saved as refused by two'");
    let saved = server.client().get("/api/v1/saved/refused%20by%20two");
    assert_eq!((&saved["q"], &saved["service"]), (&json!("refused"), &json!("db,api")), "{saved}");
    // Others save by script; what they say of a page is no link elsewhere.
    let foreign = r#"{"query": "rate error_count", "view": {"path": "//elsewhere.example/", "search": "q=1"}}"#;
    let put = server.client().call(&Client::request(
        "PUT",
        "/api/v1/saved/by%20script",
        &["Content-Type: application/json"],
        foreign.as_bytes(),
    ));
    assert_eq!(put.status, 201, "{}", put.text());
    page.go(&format!("http://{}/alerts", server.address));
    page.wait("another page", "document.querySelector('.alerts [data-row]')");
    ask(&mut page, "");
    page.wait("both are known", "['refused by two', 'by script'].every((name) => [...document.querySelectorAll('.palette li bdi')].some((one) => one.textContent == name))");
    page.write("refused by");
    page.wait(
        "the closest comes first",
        "document.querySelector('.palette [aria-selected=true] bdi').textContent == 'refused by two'",
    );
    page.key("Enter");
    page.wait(
        "the view as it was",
        "location.pathname == '/logs' && ['q=refused', 'service=db%2Capi', 'from=now-2h'].every((part) => location.search.includes(part))",
    );
    ask(&mut page, "by script");
    page.key("Enter");
    page.wait(
        "a page of ours",
        "location.pathname == '/explore' && new URLSearchParams(location.search).get('q') == 'rate error_count'",
    );
    // Forgotten again.
    page.wait("the explorer", "document.querySelector('.popover [title^=Saved]')");
    page.eval("document.querySelector('.popover [title^=Saved]').click()");
    page.wait("its name", "document.querySelector('.views-panel [aria-label=\"Forget by script\"]')");
    page.eval("document.querySelector('.views-panel [aria-label=\"Forget by script\"]').click()");
    page.wait("it is gone", "!document.querySelector('.views-panel li')");
    assert_eq!(server.client().try_get("/api/v1/saved/by%20script").status, 404);
    let problems = page.problems();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn charts_show_when_alerts_fired() {
    let Some(mut browser) = Browser::start("when alerts fired") else { return };
    let (server, _rules) = data::server();
    let mut page = browser.page(1440, 900, false);
    page.go(&format!("http://{}/explore?q=sum+log_events_total&from=now-1m", server.address));
    page.wait("the chart", "document.querySelector('.graph canvas') && document.querySelector('.count')");
    // The alerts are as old as the server: they lie at the right, and come into the chart with its next points.
    let tip = (0..600).find_map(|turn| {
        page.hover("document.querySelector('.graph .u-over')", 0.1 + 0.89 * f64::from(turn % 2));
        let tip = page.eval("document.querySelector('.tip .fired')?.textContent");
        if tip.is_null() {
            page.key("r");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        tip.as_str().map(str::to_owned)
    });
    look(&mut page, "fired");
    assert_eq!(tip.as_deref(), Some("▲ firing: ErrorsToday"));
    assert!(page.problems().is_empty());
}

/// Takes a picture, and checks what every view has to be.
fn look(page: &mut Page, name: &str) {
    page.screenshot(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/web-pictures/{name}.png")));
    audit::check(page, name);
}

/// Opens the palette, from wherever the keyboard is, and writes into it.
fn ask(page: &mut Page, text: &str) {
    page.control("k");
    page.wait("the palette has the focus", "document.activeElement.getAttribute('role') == 'combobox'");
    page.write(text);
}
