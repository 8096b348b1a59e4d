//! Work without a mouse.

use watchfire_test_support::Browser;

use crate::data;

#[test]
fn a_search_and_a_filter_by_keyboard_alone() {
    let Some(mut browser) = Browser::start("a search by keyboard alone") else { return };
    let (server, _rules) = data::server();
    let mut page = browser.page(1440, 900, false);
    // A search without a result can be followed too.
    page.go(&format!("http://{}/logs?q=nothing_is_like_this", server.address));
    page.wait("no result", "document.querySelector('.results .empty')");
    page.key("l");
    page.wait("the tail", "document.querySelector('.live')?.textContent.includes('following')");
    page.key("l");
    page.wait("the search again", "document.querySelector('.results .empty')");
    page.go(&format!("http://{}/", server.address));
    page.wait("the page", "document.querySelector('.kpi')");
    page.key("g");
    page.key("l");
    page.wait(
        "the logs page",
        "location.pathname == '/logs' && document.querySelector('.log-row') && document.querySelector('.cm-content')",
    );
    // The box completes names and values.
    page.key("/");
    page.wait("the box has the focus", "document.activeElement.classList.contains('cm-content')");
    page.write("leve");
    page.wait(
        "a completion",
        "[...document.querySelectorAll('.cm-completionLabel')].some((one) => one.textContent == 'level')",
    );
    page.key("Tab");
    page.write("error refused");
    page.key("Enter");
    page.wait("the search is in the URL", "new URLSearchParams(location.search).get('q') == 'level:error refused'");
    let total = data::RECORDS / 10;
    page.wait("the exact total", &format!("document.querySelector('.stats').textContent.startsWith('{total} lines')"));
    // Rows, one after another; the open one is in the URL.
    page.key("Escape");
    for _ in 0..3 {
        page.key("j");
    }
    page.key("k");
    page.key("x");
    page.wait("the second row is open", "document.querySelector('[data-index=\"1\"]').ariaExpanded == 'true' && document.querySelector('.log-detail .fields')");
    assert!(page.eval("location.search").as_str().is_some_and(|search| search.contains("open=")));
    // What is new must not move the lines of a search that is there.
    let newer = r#"{"service":"api","host":"node-1","level":"error","message":"connection refused again"}"#;
    assert_eq!(server.client().post("/ingest", "application/json", newer).status, 202);
    let first = page.eval("document.querySelector('[data-index=\"0\"]').ariaLabel");
    page.key("k");
    page.key("x");
    page.wait("the first row is open too", "document.querySelectorAll('.log-detail').length == 2");
    page.key("x");
    page.wait("and closed", "document.querySelectorAll('.log-detail').length == 1");
    assert_eq!(page.eval("document.querySelector('[data-index=\"0\"]').ariaLabel"), first);
    page.wait("the same total", &format!("document.querySelector('.stats').textContent.startsWith('{total} lines')"));
    // What is around the line, wider and of all services: a link shows the same.
    page.key("j");
    page.key("c");
    page.wait("the context", "document.querySelectorAll('.context li').length > 1");
    for (button, done) in [("all", "scope=all"), ("± 20", "around=20")] {
        page.eval(&format!(
            "[...document.querySelectorAll('.context button')].find((one) => one.textContent == '{button}').focus()"
        ));
        page.key("Enter");
        page.wait(button, &format!("location.search.includes('{done}')"));
    }
    let link = page.eval("location.href");
    page.go(link.as_str().expect("an address"));
    page.wait(
        "the context of the link",
        "document.querySelectorAll('.context li').length > 21 && document.querySelector('.context [aria-pressed=true]').textContent == 'all'",
    );
    // A field of the open record becomes a filter.
    page.eval("document.querySelector('[aria-label^=\"Only host\"]').focus()");
    page.key("Enter");
    page.wait("a filter by host", "/host=node-/.test(location.search) && document.querySelector('.chip.on')");
    page.wait("fewer lines", &format!("parseInt(document.querySelector('.stats').textContent) < {total}"));
    // A facet is a button like any other.
    page.wait(
        "facets of this search",
        "document.querySelector('.facet .num').textContent == String(parseInt(document.querySelector('.stats').textContent))",
    );
    page.eval("document.querySelector('.facet').focus()");
    page.key(" ");
    page.wait("a filter by level", "/level=error/.test(location.search)");
    page.eval("history.back()");
    page.wait("back takes the filter away", "!/level=/.test(location.search)");
    // Everything else by key.
    page.key("t");
    page.wait("the light theme", "document.documentElement.dataset.theme == 'light'");
    page.key("t");
    page.wait("the dark theme", "document.documentElement.dataset.theme == 'dark'");
    page.key("?");
    page.wait(
        "the list of keys",
        "document.querySelector('dialog').open && document.querySelector('dialog').textContent.includes('go to Logs')",
    );
    page.key("Escape");
    page.wait("the list is gone", "!document.querySelector('dialog').open");
    page.key("g");
    page.key("e");
    page.wait("the explorer", "location.pathname == '/explore' && document.querySelector('.cm-content') && document.querySelector('.metric-list li')");
    page.key("/");
    page.write("rate error_c");
    page.wait(
        "names of metrics",
        "[...document.querySelectorAll('.cm-completionLabel')].some((one) => one.textContent == 'error_count')",
    );
    page.key("Tab");
    page.write(" over 10m");
    page.key("Enter");
    page.wait("a chart", "document.querySelector('.graph canvas') && document.querySelector('.legend tbody tr')");
    page.key("Escape");
    page.key("g");
    page.key("a");
    page.wait("the alerts", "location.pathname == '/alerts' && document.querySelector('.alerts [data-row]')");
    page.wait("the title counts", "/^\\(\\d+\\) Alerts/.test(document.title)");
    page.key("j");
    page.key("x");
    page.wait(
        "an alert is open",
        "document.querySelector('.detail .facts') && document.querySelector('.detail canvas')",
    );
    let problems = page.problems();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn a_text_is_written_over_without_a_complaint() {
    let Some(mut browser) = Browser::start("a text that is written over") else { return };
    let (server, _rules) = data::server();
    let mut page = browser.page(1440, 900, false);
    for (path, text) in [("/logs", "level:error"), ("/explore", "rate error_count")] {
        page.go(&format!("http://{}{path}", server.address));
        page.wait(path, "document.querySelector('.cm-content')");
        page.key("/");
        page.wait("the box has the focus", "document.activeElement.classList.contains('cm-content')");
        page.write(text);
        page.wait(text, &format!("document.querySelector('.cm-content').textContent == '{text}'"));
        page.control("a");
        page.write("x");
        page.wait("only the new text", "document.querySelector('.cm-content').textContent == 'x'");
        let problems = page.problems();
        assert!(problems.is_empty(), "{path}: {problems:#?}");
    }
}

#[test]
fn two_queries_are_copied_and_told_apart() {
    let Some(mut browser) = Browser::start("two queries in the explorer") else { return };
    let (server, _rules) = data::server();
    let mut page = browser.page(1440, 900, false);
    page.go(&format!(
        "http://{}/explore?q=rate+log_events_total+by+service&q2=p95+request_duration_ms+by+service",
        server.address
    ));
    page.wait(
        "both",
        "document.querySelectorAll('.legend tbody tr').length >= 12 && document.querySelector('.graph canvas')",
    );
    page.eval("navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }");
    page.eval(
        "[...document.querySelectorAll('.queries .button')].find((one) => one.textContent.trim() == 'curl').click()",
    );
    let copied = page.wait("the commands", "window.copied");
    let lines: Vec<&str> = copied.as_str().into_iter().flat_map(str::lines).collect();
    assert_eq!(lines.len(), 2, "{copied}");
    for (line, query) in lines.iter().zip(["rate+log_events_total", "p95+request_duration_ms"]) {
        assert!(line.starts_with("curl 'http://") && line.contains(query), "{line}");
    }
    // No mark is of two lines: eight colours, and dashes for those of the second query.
    let marks = "[...document.querySelectorAll('.legend .swatch')].map((one) => one.style.background)";
    let marks = page.eval(marks);
    let marks: std::collections::BTreeSet<&str> =
        marks.as_array().into_iter().flatten().filter_map(|one| one.as_str()).collect();
    assert_eq!(page.eval("document.querySelectorAll('.legend .swatch').length"), marks.len(), "{marks:?}");
    let problems = page.problems();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn values_that_a_list_cannot_hold_are_filtered_by_too() {
    let Some(mut browser) = Browser::start("filters by odd values") else { return };
    let (server, _rules) = data::server();
    let hosts = ["a,b", "a", "b", " lead"];
    let odd: String =
        hosts.iter().map(|host| format!("{{\"service\":\"odd\",\"host\":\"{host}\",\"message\":\"m\"}}\n")).collect();
    assert_eq!(server.client().post("/ingest", "application/x-ndjson", odd).status, 202);
    let mut page = browser.page(1440, 900, false);
    for host in hosts {
        page.go(&format!("http://{}/logs?service=odd", server.address));
        let facet = format!("[...document.querySelectorAll('.facet')].find((one) => one.title == 'host: {host} – 1')");
        page.wait("the facet", &facet);
        page.eval(&format!("{facet}.click()"));
        page.wait(host, "document.querySelector('.stats').textContent.startsWith('1 line')");
    }
    let problems = page.problems();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn links_of_older_alerts_still_open() {
    let Some(mut browser) = Browser::start("links of older alerts") else { return };
    let (server, _rules) = data::server();
    let mut page = browser.page(1024, 768, false);
    page.go(&format!(
        "http://{}/graph?g0.expr=sum(rate(error_count%5B5m%5D))&g0.tab=0&g0.range_input=2h",
        server.address
    ));
    page.wait("the explorer", "location.pathname == '/explore' && new URLSearchParams(location.search).get('q') == 'sum(rate(error_count[5m]))'");
    page.wait("its chart", "document.querySelector('.graph canvas')");
    assert!(page.eval("location.search").as_str().is_some_and(|search| search.contains("from=now-2h")));
    // Each: the link, and the parameters that the explorer has then, without the query. Times are in UTC.
    for (link, wanted) in [
        ("g0.range_input=2h&g0.end_input=2024-05-01%2006:00:00", "from=1714536000000&to=1714543200000"),
        ("g0.tab=graph&g0.range_input=30m&g0.end_input=2024-05-01T06:00:00Z", "from=1714541400000&to=1714543200000"),
        ("g0.tab=1&g0.moment_input=2024-05-01%2006:00:00", "view=table&from=1714539600000&to=1714543200000"),
        ("g0.range_input=2h&g1.expr=down&g1.range_input=1h", "q2=down&from=now-2h"),
    ] {
        page.go(&format!("http://{}/graph?g0.expr=up&{link}", server.address));
        page.wait(link, "location.pathname == '/explore'");
        assert_eq!(page.eval("location.search").as_str(), Some(format!("?q=up&{wanted}").as_str()), "{link}");
    }
}

#[test]
fn what_is_hidden_in_the_explorer_is_in_its_link() {
    let Some(mut browser) = Browser::start("hidden series in the URL") else { return };
    let (server, _rules) = data::server();
    let mut page = browser.page(1440, 900, false);
    page.go(&format!("http://{}/explore?q=sum+log_events_total+by+service+over+10m", server.address));
    let rows = |page: &mut watchfire_test_support::browser::Page<'_>, what: &str, hidden: &str| {
        page.wait(what, &format!("document.querySelectorAll('.legend tbody tr').length >= 6 && {hidden}"));
    };
    rows(&mut page, "all series", "!document.querySelector('.legend tr.hidden')");
    page.eval("[...document.querySelectorAll('.legend .mini')].find((one) => one.ariaLabel.includes('auth')).click()");
    let auth = "[...document.querySelectorAll('.legend tr.hidden')].map((row) => row.textContent.includes('auth')).join() == 'true'";
    rows(&mut page, "one is hidden", auth);
    page.reload();
    rows(&mut page, "it still is", auth);
    // One alone: the others are too many to be named.
    page.eval("[...document.querySelectorAll('.legend .series-name')].find((one) => one.textContent.includes('billing')).click()");
    let alone = "[...document.querySelectorAll('.legend tbody tr:not(.hidden)')].map((row) => row.textContent.includes('billing')).join() == 'true'";
    rows(&mut page, "one alone", alone);
    page.reload();
    rows(&mut page, "still alone", alone);
    assert!(page.eval("location.search").as_str().is_some_and(|search| search.len() < 100));
    page.eval("[...document.querySelectorAll('.legend .series-name')].find((one) => one.textContent.includes('billing')).click()");
    rows(&mut page, "all again", "!document.querySelector('.legend tr.hidden') && !location.search.includes('only')");
    assert!(page.problems().is_empty());
}
