//! Every view at three widths in both themes.

use std::path::Path;
use std::time::Instant;

use watchfire_test_support::{Browser, Server};

use crate::{BINARY, audit, data};

const SIZES: [(u32, u32); 3] = [(390, 844), (1024, 768), (1440, 900)];

/// Name, path, and what is there once the view has all it shows.
const VIEWS: [(&str, &str, &str); 7] = [
    (
        "overview",
        "/",
        "document.querySelectorAll('.chart canvas').length >= 5 && document.querySelector('.bars rect') && document.querySelector('.firing li')",
    ),
    (
        "logs",
        "/logs",
        "document.querySelector('.log-row') && document.querySelector('.cm-content') && document.querySelector('.bars rect')",
    ),
    (
        "logs-mistake",
        "/logs?q=level:error+(refused",
        "document.querySelector('.error-note .pointed') && document.querySelector('.cm-lintRange-error')",
    ),
    ("live", "/logs?live=1", "document.querySelector('.live .log-row') && document.querySelector('.cm-content')"),
    (
        "explore",
        "/explore?q=p95+request_duration_ms+by+service+over+10m&q2=rate+error_count+over+5m",
        "document.querySelector('.graph canvas') && document.querySelectorAll('.legend tbody tr').length >= 7 && document.querySelectorAll('.cm-content').length == 2",
    ),
    ("alerts", "/alerts", "document.querySelectorAll('.alerts tbody tr').length >= 4"),
    (
        "rules",
        "/alerts?tab=rules",
        "document.querySelectorAll('.rules tbody tr').length == 4 && document.querySelector('.state-recording') \
         && document.querySelectorAll('.rules .state-firing, .rules .state-pending, .rules .state-inactive').length == 3 \
         && [...document.querySelectorAll('.rules tbody tr')].filter((row) => /^\\S+ > \\d/.test(row.children[4].textContent) && !row.children[4].textContent.startsWith('–')).length == 3",
    ),
];

#[test]
fn every_view_at_three_widths_in_both_themes() {
    let Some(mut browser) = Browser::start("views at three widths in both themes") else { return };
    let (server, _rules) = data::server();
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/web-pictures");
    for dark in [false, true] {
        let mut page = browser.page(1440, 900, dark);
        for (width, height) in SIZES {
            page.look(width, height, dark);
            for (name, path, ready) in VIEWS {
                let what = format!("{name}-{width}-{}", if dark { "dark" } else { "light" });
                page.go(&format!("http://{}{path}", server.address));
                page.wait(&what, ready);
                page.screenshot(&pictures.join(format!("{what}.png")));
                if name == "logs-mistake" {
                    // The mistake's own answer is the one complaint that there must be.
                    let problems = page.problems();
                    assert!(problems.iter().all(|problem| problem.contains("400")), "{what}: {problems:#?}");
                }
                audit::check(&mut page, &what);
            }
        }
        page.close();
    }
}

#[test]
fn a_server_that_only_knows_itself_shows_itself_and_what_to_send() {
    let Some(mut browser) = Browser::start("the first look at a new server") else { return };
    let server = Server::start(BINARY, "");
    let begun = Instant::now();
    let mut page = browser.page(1440, 900, false);
    page.go(&format!("http://{}/", server.address));
    page.wait("own lines", "document.querySelector('.bars rect')");
    page.wait("own memory", "document.querySelectorAll('.chart canvas').length >= 1");
    println!("from the request to the first own chart: {:?}", begun.elapsed());
    let commands =
        page.wait("lines to copy", "[...document.querySelectorAll('.send code')].map((code) => code.textContent)");
    let commands: Vec<&str> =
        commands.as_array().into_iter().flatten().filter_map(|command| command.as_str()).collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    for command in commands {
        // The file of the example is one that every system has.
        let command = command.replace("/var/log/nginx/access.log", "/etc/hostname");
        let output =
            std::process::Command::new("sh").args(["-c", &format!("{command} -s -w ' %{{http_code}}'")]).output();
        let output = output.expect("a shell");
        assert!(String::from_utf8_lossy(&output.stdout).ends_with(" 202"), "{command}: {output:?}");
    }
    page.wait("the help is gone once there is something else", "!document.querySelector('.send')");
    page.go(&format!("http://{}/logs?q=%22connection+refused%22", server.address));
    page.wait(
        "the line that was sent",
        "document.querySelector('.log-row').textContent.includes('connection refused')",
    );
    for path in ["/explore", "/alerts", "/alerts?tab=rules"] {
        page.go(&format!("http://{}{path}", server.address));
        page.wait(path, "document.querySelector('main').innerText.length > 60");
    }
}
