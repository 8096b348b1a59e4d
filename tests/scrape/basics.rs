//! What a target shows, and what it hears.

use serde_json::Value;
use watchfire_test_support::TargetServer;
use watchfire_test_support::target::answer;

use super::{header, job, query, reload, start, wait, wait_error};

#[test]
fn what_a_target_shows_can_be_queried_until_it_vanishes() {
    let target =
        TargetServer::showing("# TYPE a counter\n# HELP a All of it.\na{x=\"1\"} 1\na{x=\"2\",job=\"own\"} 2\nb 3\n");
    let server = start(&[job("shop", &[&target], "")]);
    wait(&server, "a", &["__name__=a exported_job=own job=shop x=2 2", "__name__=a job=shop x=1 1"]);
    wait(&server, "up", &["__name__=up job=shop 1"]);
    wait(&server, "scrape_samples_scraped", &["__name__=scrape_samples_scraped job=shop 3"]);
    wait(&server, "scrape_series_added", &["__name__=scrape_series_added job=shop 0"]);
    let targets = server.client().get("/api/v1/targets");
    let shown = &targets["data"]["activeTargets"][0];
    assert_eq!(shown["scrapeUrl"], format!("http://{}/metrics", target.address));
    assert_eq!((&shown["health"], &shown["scrapeInterval"]), (&Value::from("up"), &Value::from("100ms")));
    let metadata = server.client().get("/api/v1/targets/metadata?metric=a");
    assert_eq!((&metadata["data"][0]["type"], &metadata["data"][0]["help"]), (&"counter".into(), &"All of it.".into()));
    let metadata = server.client().get("/api/v1/metadata?metric=a");
    assert_eq!(metadata["data"]["a"], serde_json::json!([{"type": "counter", "help": "All of it.", "unit": ""}]));
    // One series goes, then the target fails, then it comes back.
    target.show("a{x=\"1\"} 7\n");
    wait(&server, "{__name__=~\"a|b\"}", &["__name__=a job=shop x=1 7"]);
    target.answer(|_, out| out.write_all(&answer("503 Service Unavailable", &[], b"")));
    wait(&server, "{__name__=~\"a|up\"}", &["__name__=up job=shop 0"]);
    wait_error(&server, "shop", "server returned HTTP status 503 Service Unavailable");
    target.show("a{x=\"1\"} 8\n");
    wait(&server, "a", &["__name__=a job=shop x=1 8"]);
    // A text that cannot be read counts as a whole or not at all.
    target.show("a{x=\"1\"} 9\nb{\n");
    wait(&server, "{__name__=~\"a|b|up\"}", &["__name__=up job=shop 0"]);
    wait_error(&server, "shop", "line 2: expected");
}

#[test]
fn a_reload_brings_and_takes_targets_and_leaves_the_others_alone() {
    let (first, second) = (TargetServer::showing("a 1\n"), TargetServer::showing("b 1\n"));
    let server = start(&[job("one", &[&first], ""), job("two", &[&second], "")]);
    wait(&server, "up", &["__name__=up job=one 1", "__name__=up job=two 1"]);
    let rename = "metric_relabel_configs: [{source_labels: [__name__], regex: (a), target_label: __name__, replacement: \"${1}_new\"}]";
    reload(&server, &[job("one", &[&first], rename)]);
    wait(&server, "{__name__=~\"a|a_new|b|up\"}", &["__name__=a_new job=one 1", "__name__=up job=one 1"]);
    // The target that stayed was never without a scrape, and none of its series began twice.
    let count = query(&mut server.client(), "count_over_time(up{job=\"one\"}[1m]) > bool 1");
    assert_eq!(count, ["job=one 1"]);
    reload(&server, &[]);
    wait(&server, "{__name__=~\"a_new|up\"}", &[]);
    assert_eq!(server.client().get("/api/v1/targets")["data"]["activeTargets"], serde_json::json!([]));
}

#[test]
fn a_target_hears_who_asks_and_how_long_it_may_take() {
    let target = TargetServer::showing("a 1\n");
    let server = start(&[
        job("plain", &[&target], "scrape_timeout: 40ms, metrics_path: /p, params: {q: [a b, c], e: []}"),
        job("basic", &[&target], "basic_auth: {username: me, password_file: secret}, metrics_path: /basic"),
        job(
            "bearer",
            &[&target],
            "authorization: {credentials: t0ken}, metrics_path: /bearer, scrape_protocols: [PrometheusText0.0.4]",
        ),
    ]);
    std::fs::write(server.folder.path().join("secret"), "pass\n").expect("the folder can be written");
    wait(&server, "sum(up)", &[" 3"]);
    let heads = target.heads();
    let of = |path: &str| {
        let line = format!("GET {path} ");
        heads.iter().rev().find(|head| head.starts_with(&line)).unwrap_or_else(|| panic!("{path}: {heads:#?}"))
    };
    let plain = of("/p?q=a+b&q=c");
    assert_eq!(header(plain, "x-prometheus-scrape-timeout-seconds"), "0.04");
    assert_eq!(header(plain, "accept-encoding"), "gzip");
    assert!(header(plain, "accept").starts_with("application/openmetrics-text;version=1.0.0;"), "{plain}");
    assert!(header(plain, "user-agent").starts_with("Watchfire/"), "{plain}");
    assert_eq!(header(of("/basic"), "authorization"), "Basic bWU6cGFzcw==");
    assert_eq!(header(of("/bearer"), "authorization"), "Bearer t0ken");
    assert_eq!(header(of("/bearer"), "accept"), "text/plain;version=0.0.4;q=0.6,*/*;q=0.5");
}

#[test]
fn headers_of_ones_own_are_sent_and_not_shown() {
    let target = TargetServer::showing("a 1\n");
    let headers = "http_headers: {X-Tenant: {values: [one, two], secrets: [hidden]}, x-file: {files: [tenant]}}";
    let server = start(&[job("a", &[&target], headers)]);
    wait_error(&server, "a", "cannot read tenant");
    std::fs::write(server.folder.path().join("tenant"), "three\n").expect("the folder can be written");
    wait(&server, "up", &["__name__=up job=a 1"]);
    let heads = target.heads();
    let head = heads.last().expect("it was asked").to_ascii_lowercase();
    let values: Vec<&str> = head.lines().filter_map(|line| line.strip_prefix("x-tenant: ")).collect();
    assert_eq!(values, ["one", "two", "hidden"], "{head}");
    assert_eq!(header(&head, "x-file"), "three");
    assert!(!server.log().contains("hidden"), "{}", server.log());
}

#[test]
fn names_are_taken_and_asked_for_as_the_job_says() {
    let target = TargetServer::showing("a_b 1\n{\"c.d\"} 2\n");
    let server = start(&[
        job("any", &[&target], "metrics_path: /any"),
        job("legacy", &[&target], "metric_name_validation_scheme: legacy, metrics_path: /legacy"),
        job("dots", &[&target], "metric_name_escaping_scheme: dots, metrics_path: /dots"),
        job(
            "renamed",
            &[&target],
            "metric_name_validation_scheme: legacy, metric_name_escaping_scheme: values, metrics_path: /renamed, \
             metric_relabel_configs: [{source_labels: [__name__], regex: c.d, target_label: __name__, replacement: c_d}]",
        ),
    ]);
    wait(
        &server,
        "up",
        &["__name__=up job=any 1", "__name__=up job=dots 1", "__name__=up job=legacy 0", "__name__=up job=renamed 1"],
    );
    wait_error(&server, "legacy", "`metric_name_validation_scheme: legacy` does not allow");
    let heads = target.heads();
    for (path, escaping) in
        [("/any", "allow-utf-8"), ("/legacy", "underscores"), ("/dots", "dots"), ("/renamed", "values")]
    {
        let head = heads.iter().rev().find(|head| head.starts_with(&format!("GET {path} "))).expect(path);
        let accepted = header(head, "accept");
        assert_eq!(accepted.matches(&format!(";escaping={escaping};")).count(), 2, "{path}: {accepted}");
    }
}
