//! Pages on narrow screens, and what lies under and over the bars of a histogram.

use std::path::Path;

use watchfire_test_support::{Browser, Server};

use crate::{BINARY, data};

#[test]
fn nothing_leaves_its_place_on_narrow_pages() {
    let Some(mut browser) = Browser::start("narrow pages") else { return };
    let (server, _rules) = data::server();
    let mut page = browser.page(390, 844, false);
    for width in [320, 390] {
        page.look(width, 844, false);
        page.go(&format!("http://{}/", server.address));
        page.wait("figures", "document.querySelectorAll('.kpi .sparkline path').length >= 3");
        let outside = "[...document.querySelectorAll('.kpi')].filter((card) => { const [own, line] = [card, card.querySelector('.sparkline')].map((one) => one.getBoundingClientRect()); \
             return line.right > own.right || line.left < own.left; }).length";
        assert_eq!(page.eval(outside), 0, "{width}: a line leaves its card");
        page.go(&format!("http://{}/logs", server.address));
        page.wait(
            "lines",
            "document.querySelector('.log-row') && /\\d of/.test(document.querySelector('.lines header').textContent)",
        );
        assert!(
            page.eval("document.querySelector('.lines > header').clientHeight").as_f64() < Some(45.0),
            "{width}: two rows"
        );
        page.go(&format!("http://{}/logs?q=nothing_is_like_this", server.address));
        page.wait("nothing", "document.querySelector('.empty .row .button')");
        let sides = "(() => { const [row, button] = ['.empty', '.empty .row .button:first-child'].map((one) => document.querySelector(one).getBoundingClientRect()); \
             const last = [...document.querySelectorAll('.empty .row .button')].filter((one) => one.getBoundingClientRect().top == button.top).at(-1).getBoundingClientRect(); \
             return Math.abs((button.left - row.left) - (row.right - last.right)); })()";
        assert!(page.eval(sides).as_f64() < Some(2.0), "{width}: the buttons stand to one side");
    }
    let problems = page.problems();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn no_text_of_a_figure_is_cut() {
    let Some(mut browser) = Browser::start("figures of narrow pages") else { return };
    let (server, _rules) = data::server();
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/web-pictures");
    let mut page = browser.page(390, 844, false);
    for width in [320, 390, 768, 1024, 1440] {
        page.look(width, 844, false);
        page.go(&format!("http://{}/", server.address));
        page.wait(
            "figures",
            "[...document.querySelectorAll('.kpi-value')].filter((one) => /\\d/.test(one.textContent)).length >= 4",
        );
        page.wait("the disk", "/\\d %/.test(document.querySelector('.kpi:last-child .kpi-value').textContent)");
        page.screenshot(&pictures.join(format!("figures-{width}.png")));
        let cut = "[...document.querySelectorAll('.kpi > *:not(.sparkline)')].filter((one) => one.scrollWidth > one.clientWidth + 1 || one.getBoundingClientRect().right > one.closest('.kpi').getBoundingClientRect().right) \
             .map((one) => one.textContent).join(' | ')";
        assert_eq!(page.eval(cut), "", "{width}: a text is cut");
    }
    let problems = page.problems();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn labels_of_a_histogram_are_round_and_free() {
    let Some(mut browser) = Browser::start("labels of a histogram") else { return };
    let server = Server::start(BINARY, "");
    assert_eq!(server.client().post("/ingest", "application/json", r#"{"message":"here"}"#).status, 202);
    let mut page = browser.page(1440, 900, false);
    for length in ["1m", "5m", "1h", "1d"] {
        page.go(&format!("http://{}/logs?from=now-{length}", server.address));
        page.wait(length, "document.querySelector('.bars rect')");
        // Equal distances of places are equal distances of times.
        let uneven = "(() => { const labels = [...document.querySelectorAll('.bars .tick')].slice(1); \
             const times = labels.map((one) => one.textContent.split(' ').at(-1).split(':').reduce((sum, part) => sum * 60 + Number(part), 0)); \
             const places = labels.map((one) => Number(one.getAttribute('x'))); \
             const unit = labels[0].textContent.split(':').length == 3 ? 86400 : 1440; \
             const steps = new Set(times.slice(1).map((time, at) => (time - times[at] + unit) % unit)); \
             const gaps = places.slice(1).map((place, at) => place - places[at]); \
             return labels.length < 3 || steps.size != 1 || Math.max(...gaps) - Math.min(...gaps) > 1 ? labels.map((one) => one.textContent).join(' ') : ''; })()";
        assert_eq!(page.eval(uneven), "", "{length}");
        let covered = "(() => { const label = document.querySelector('.bars .tick').getBBox(); \
             return [...document.querySelectorAll('.bars rect')].filter((bar) => bar.getBBox().y < label.y + label.height - 4).length; })()";
        assert_eq!(page.eval(covered), 0, "{length}: a bar lies over the label");
    }
}
