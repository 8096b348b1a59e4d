//! Targets that come and go while the server runs: from files, and from a server.

use watchfire_test_support::TargetServer;
use watchfire_test_support::target::answer;

use super::{job, reload, start, wait, wait_error};

#[test]
fn files_say_what_is_scraped_and_are_read_again() {
    let (first, second) = (TargetServer::showing("a 1\n"), TargetServer::showing("b 1\n"));
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join("new"), text).expect("the folder can be written");
        std::fs::rename(folder.path().join("new"), folder.path().join(name)).expect("it can be moved");
    };
    let pattern = folder.path().join("*.json").display().to_string();
    let from_files = format!(
        "file_sd_configs: [{{files: [\"{pattern}\"]}}], relabel_configs: [{{source_labels: [__meta_filepath], regex: \".*/(.*)\", target_label: file}}]"
    );
    write("one.json", &format!(r#"[{{"targets": ["{}"], "labels": {{"site": "x"}}}}]"#, first.address));
    let server = start(&[job("found", &[], &from_files)]);
    wait(&server, "a", &["__name__=a file=one.json job=found site=x 1"]);
    write("two.json", &format!(r#"[{{"targets": ["{}"]}}]"#, second.address));
    wait(&server, "b", &["__name__=b file=two.json job=found 1"]);
    // What cannot be read leaves everything as it was.
    write("one.json", "[{");
    wait(&server, "sum(watchfire_scrape_discovery_failures_total) > bool 0", &[" 1"]);
    wait(&server, "count(up == 1)", &[" 2"]);
    std::fs::remove_file(folder.path().join("one.json")).expect("it is there");
    wait(&server, "{__name__=~\"a|b\"}", &["__name__=b file=two.json job=found 1"]);
    // A reload that changes the job keeps the target until the files have been read anew.
    reload(&server, &[job("found", &[], &format!("{from_files}, honor_labels: true"))]);
    wait(&server, "b", &["__name__=b file=two.json job=found 1"]);
}

#[test]
fn a_server_says_what_is_scraped() {
    let target = TargetServer::showing("a 1\n");
    let listing = |addresses: &[std::net::SocketAddr]| {
        let targets: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let body = serde_json::json!([{"targets": targets, "labels": {"__meta_site": "x"}}]).to_string();
        answer("200 OK", &["Content-Type: application/json; charset=utf-8"], body.as_bytes())
    };
    let answered = listing(&[target.address]);
    let lister = TargetServer::start(move |_, out| out.write_all(&answered));
    let more = format!(
        "http_sd_configs: [{{url: \"http://{}/list\", refresh_interval: 100ms, authorization: {{credentials: t0ken}}}}], \
         relabel_configs: [{{source_labels: [__meta_site], target_label: site}}]",
        lister.address
    );
    let server = start(&[job("found", &[], &more)]);
    wait(&server, "a", &["__name__=a job=found site=x 1"]);
    let heads = lister.heads();
    let head = heads.first().expect("it was asked");
    assert!(head.starts_with("GET /list ") && head.contains("Bearer t0ken"), "{head}");
    assert_eq!(super::header(head, "x-prometheus-refresh-interval-seconds"), "0.1");
    // While it fails, what it said stays.
    lister.answer(|_, out| out.write_all(&answer("500 Internal Server Error", &[], b"")));
    wait(&server, "sum(watchfire_scrape_discovery_failures_total) > bool 0", &[" 1"]);
    target.show("a 2\n");
    wait(&server, "a", &["__name__=a job=found site=x 2"]);
    let nothing = listing(&[]);
    lister.answer(move |_, out| out.write_all(&nothing));
    wait(&server, "{__name__=~\"a|up\"}", &[]);
}

#[test]
fn what_is_found_and_cannot_be_scraped_is_told() {
    let target = TargetServer::showing("a 1\n");
    let drop = "relabel_configs: [{source_labels: [__address__], regex: \"127.*\", action: drop}]";
    let wrong = "relabel_configs: [{target_label: __scheme__, replacement: ftp}]";
    let server = start(&[
        job("dropped", &[&target], drop),
        job("wrong", &[&target], wrong),
        job("down", &[&target], "metrics_path: \"/x?y=z\""),
    ]);
    wait(&server, "up", &["__name__=up job=down 1"]);
    let targets = server.client().get("/api/v1/targets");
    assert_eq!(targets["data"]["droppedTargetCounts"], serde_json::json!({"dropped": 1, "down": 0, "wrong": 0}));
    let dropped = &targets["data"]["droppedTargets"][0];
    assert_eq!(dropped["discoveredLabels"]["__address__"], target.address.to_string());
    assert_eq!(dropped["discoveredLabels"]["__metrics_path__"], "/metrics");
    assert!(server.log().contains("its scheme `ftp` is neither http nor https"), "{}", server.log());
    target.answer(|_, out| out.write_all(&answer("404 Not Found", &[], b"")));
    wait_error(&server, "down", "server returned HTTP status 404 Not Found");
}
