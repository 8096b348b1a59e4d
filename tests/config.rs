//! The configuration of a running server: what a reload says of it.

use watchfire_test_support::Server;

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");

#[test]
fn a_reload_names_what_differs_from_what_runs_each_time() {
    let server = Server::start(BINARY, "");
    let file = server.folder.path().join("config.yaml");
    let before = std::fs::read_to_string(&file).expect("the configuration is there");
    let reload = |text: &str| {
        std::fs::write(&file, text).expect("it can be written");
        let answer = server.client().post("/-/reload", "text/plain", "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text().trim_end().split_once("only after a restart: ").map(|(_, names)| names.to_owned())
    };
    let changed = format!("{before}\nqueue: {{disk_limit: 1GiB}}\nallowed_hosts: [proxy]\n");
    let waiting = Some("queue, allowed_hosts".to_owned());
    assert_eq!(reload(&changed), waiting);
    assert_eq!(reload(&changed), waiting, "they wait still");
    assert_eq!(reload(&before), None, "back to what runs");
    // Extraction reloads, and this key with it.
    assert_eq!(reload(&before.replace("{port: 0}", "{port: 0, late_after: 5m}")), None);
    assert_eq!(reload(&changed), waiting);
}
