//! Calls of the API that need no data, answered as a real Prometheus answers them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use watchfire_test_support::client::encode;
use watchfire_test_support::{Client, Program, Prometheus, Server};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");

/// Longest wait for Prometheus to know its jobs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The status and the JSON of an answer.
fn get(client: &mut Client, path: &str, parameters: &[(&str, &str)]) -> (u16, Value) {
    let pairs: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let answer = client.try_get(&format!("{path}?{}", pairs.join("&")));
    (answer.status, answer.json())
}

#[test]
fn rules_for_labels_are_followed_one_by_one_as_by_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "the steps of relabelling") else { return };
    if !program.is_newest {
        return eprintln!("SKIP: the older Prometheus does not tell them");
    }
    let jobs = "scrape_configs:\n- job_name: a\n  static_configs: [{targets: ['127.0.0.1:1']}]\n  relabel_configs:\n  \
        - {source_labels: [env], target_label: e2, replacement: 'x-$1'}\n  - {action: labeldrop, regex: env}\n  \
        - {action: lowercase, source_labels: [e2, __address__], target_label: both, separator: '@'}\n  \
        - {action: hashmod, source_labels: [__address__], modulus: 8, target_label: m}\n  \
        - {action: drop, source_labels: [__address__], regex: 'h:.*'}\n  - {source_labels: [m], target_label: n}\n";
    let (server, prometheus) = (Server::start(BINARY, jobs), Prometheus::start_with(&program, |_| jobs.to_owned()));
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    // It knows its jobs only when it has looked for their targets.
    let begun = Instant::now();
    while get(&mut theirs, "/api/v1/scrape_pools", &[]).1["data"]["scrapePools"] != serde_json::json!(["a"]) {
        assert!(begun.elapsed() < PATIENCE, "Prometheus has no job");
        std::thread::sleep(Duration::from_millis(20));
    }
    let path = "/api/v1/targets/relabel_steps";
    for labels in [r#"{"__address__":"h:1","env":"Prod"}"#, r#"{"__address__":"i:1","m":""}"#, "{}"] {
        let asked = [("scrapePool", "a"), ("labels", labels)];
        let [have, wanted] = [&mut ours, &mut theirs].map(|client| get(client, path, &asked));
        assert_eq!(have, wanted, "{labels}");
        assert_eq!(wanted.0, 200, "{labels}");
    }
    for asked in [
        &[("scrapePool", "b"), ("labels", "{}")][..],
        &[("scrapePool", "a")],
        &[("labels", "{}")],
        &[("scrapePool", "a"), ("labels", "[1]")],
    ] {
        let [have, wanted] = [&mut ours, &mut theirs].map(|client| get(client, path, asked));
        assert_eq!((have.0, &have.1["errorType"]), (wanted.0, &wanted.1["errorType"]), "{asked:?}: {}", wanted.1);
    }
}

#[test]
fn the_configuration_of_a_job_is_told_as_by_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "the configuration of a job") else { return };
    if !program.is_newest {
        return eprintln!("SKIP: the older Prometheus does not tell it");
    }
    let jobs = "scrape_configs:\n- job_name: a\n  scrape_interval: 15s\n  honor_labels: true\n  sample_limit: 7\n  \
        params: {q: [x, y]}\n  scrape_protocols: [PrometheusProto, PrometheusText0.0.4]\n  \
        static_configs: [{targets: ['127.0.0.1:1'], labels: {env: test}}]\n  \
        relabel_configs: [{action: labeldrop, regex: env}, {source_labels: [env], target_label: e}]\n";
    let (server, prometheus) = (Server::start(BINARY, jobs), Prometheus::start_with(&program, |_| jobs.to_owned()));
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    let path = "/api/v1/scrape_pools/config";
    let asked = [("scrapePool", "a")];
    let begun = Instant::now();
    while get(&mut theirs, path, &asked).0 != 200 {
        assert!(begun.elapsed() < PATIENCE, "Prometheus has no job");
        std::thread::sleep(Duration::from_millis(20));
    }
    let [have, wanted] =
        [&mut ours, &mut theirs].map(|client| get(client, path, &asked).1["data"]["yaml"].as_str().map(str::to_owned));
    let (have, wanted) = (have.expect("a text"), wanted.expect("a text"));
    // Each value that stands in a line of its own is the same; what we do not know is not told.
    let pairs = |text: &str| -> Vec<(String, String)> {
        let lines = text.lines().filter(|line| !line.starts_with([' ', '-']));
        lines
            .filter_map(|line| line.split_once(": "))
            .map(|(key, value)| (key.into(), value.replace('"', "")))
            .collect()
    };
    let unknown = ["extra_scrape_metrics", "enable_http2"];
    let have_pairs = pairs(&have);
    for pair in pairs(&wanted).iter().filter(|(key, _)| !unknown.contains(&key.as_str())) {
        assert!(have_pairs.contains(pair), "{pair:?} of\n{wanted}\nin\n{have}");
    }
    // And it is a configuration of the same job again.
    let again = format!("scrape_configs:\n- {}\n", have.trim_end().replace('\n', "\n  "));
    let copy = Prometheus::start_with(&program, |_| again);
    let begun = Instant::now();
    let copied = loop {
        let (status, answer) = get(&mut copy.client(), path, &asked);
        if status == 200 {
            break answer["data"]["yaml"].clone();
        }
        assert!(begun.elapsed() < PATIENCE, "Prometheus has no job");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(copied, wanted);
    for (path, asked) in [
        (path, &[][..]),
        (path, &[("scrapePool", "b")]),
        ("/api/v1/search/metric_names", &[]),
        ("/api/v1/search/label_names", &[]),
        ("/api/v1/search/label_values", &[("label", "job")]),
    ] {
        let [have, wanted] = [&mut ours, &mut theirs].map(|client| get(client, path, asked));
        assert_eq!(have, wanted, "{path} {asked:?}");
    }
}

/// An answer about targets, in one order, without what no two servers say alike.
fn told_of_targets(mut answer: Value) -> Value {
    for list in ["activeTargets", "droppedTargets"] {
        let targets = answer["data"][list].as_array_mut().expect("a list");
        for target in targets.iter_mut().filter(|_| list == "activeTargets") {
            for name in ["lastScrape", "lastScrapeDuration"] {
                assert!(target.as_object_mut().and_then(|target| target.remove(name)).is_some(), "{name} of {target}");
            }
            target["lastError"] = target["lastError"].as_str().is_some_and(|error| !error.is_empty()).into();
        }
        targets.sort_by_key(Value::to_string);
    }
    answer
}

#[test]
fn targets_are_told_as_by_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "targets") else { return };
    if !program.is_newest {
        return eprintln!("SKIP: the older Prometheus tells less of them");
    }
    let jobs = "scrape_configs:\n- job_name: a\n  metrics_path: '/m n/%41?a=1&b=(2)#é'\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  \
        params: {q: ['x y', '~*'], b: [/]}\n  \
        static_configs: [{targets: ['127.0.0.1:1', 'localhost:2', '[::1]:3', '127.0.0.2:4', 'localhost']}]\n\
        - job_name: b\n  static_configs: [{targets: ['127.0.0.1:5', '127.0.0.1:6', '127.0.0.1:7']}]\n  \
        relabel_configs: [{action: keep, source_labels: [__address__], regex: '.*5'}]\n\
        - job_name: c\n  static_configs: [{targets: ['127.0.0.1:8']}]\n  relabel_configs: [{action: drop}]\n";
    let (server, prometheus) = (Server::start(BINARY, jobs), Prometheus::start_with(&program, |_| jobs.to_owned()));
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    let path = "/api/v1/targets";
    for client in [&mut ours, &mut theirs] {
        let begun = Instant::now();
        let is_scraped = |client: &mut Client| {
            let targets = get(client, path, &[("scrapePool", "a")]).1["data"]["activeTargets"].clone();
            let targets = targets.as_array().expect("a list");
            targets.len() == 5 && targets.iter().all(|target| target["health"] == "down")
        };
        while !is_scraped(client) {
            assert!(begun.elapsed() < PATIENCE, "no target was scraped");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    for asked in [
        &[("scrapePool", "a")][..],
        &[("scrapePool", "c")],
        &[("scrapePool", "d")],
        &[("scrapePool", "c"), ("state", "any")],
        &[("scrapePool", "c"), ("state", "Dropped")],
        &[("scrapePool", "a"), ("state", "active")],
        &[("scrapePool", "a"), ("state", "")],
        &[("scrapePool", "a"), ("state", "unheard-of")],
        &[("state", "dropped")],
    ] {
        let [have, wanted] = [&mut ours, &mut theirs].map(|client| {
            let (status, answer) = get(client, path, asked);
            (status, told_of_targets(answer))
        });
        assert_eq!(have, wanted, "{asked:?}");
    }
}

#[test]
fn own_metrics_have_the_shape_of_those_of_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "own metrics as JSON") else { return };
    if !program.is_newest {
        return eprintln!("SKIP: the older Prometheus does not tell them");
    }
    // The canary's is our histogram.
    let (server, prometheus) = (Server::start(BINARY, "canary: {every: 1h}\n"), Prometheus::start(&program));
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    let path = "/api/v1/status/self_metrics";
    // The names of the members of the first family of each kind, and of what is in them.
    let shapes = |all: &Value| {
        let families = all["data"].as_array().expect("a list").iter();
        let members = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
        let shapes = ["COUNTER", "GAUGE", "HISTOGRAM"].map(|kind| {
            let family = families.clone().find(|family| family["type"] == kind).expect(kind);
            let name = kind.to_ascii_lowercase();
            let shown = &family["metric"][0][&name];
            let bucket = shown["bucket"].get(0).map(members);
            let mut shown_members = members(shown);
            shown_members.retain(|name| name != "createdTimestamp");
            (shown_members, bucket, shown["sampleCount"].is_string())
        });
        shapes.to_vec()
    };
    let [have, wanted] = [&mut ours, &mut theirs].map(|client| get(client, path, &[]).1);
    assert_eq!(shapes(&have), shapes(&wanted));
    let (_, one) = get(&mut ours, path, &[("metric_name_pattern", "watchfire_seri.s")]);
    assert_eq!((&one["data"][0]["name"], one["data"].as_array().map(Vec::len)), (&"watchfire_series".into(), Some(1)));
    let [have, wanted] = [&mut ours, &mut theirs].map(|client| get(client, path, &[("metric_name_pattern", "(")]).0);
    assert_eq!((have, wanted), (400, 400));
}

/// The operations of a document of OpenAPI: method, path, name, parameters.
fn operations(yaml: &str) -> BTreeMap<(String, String), (String, BTreeSet<String>)> {
    let (mut operations, mut path, mut method) = (BTreeMap::new(), "", "");
    let after = |line: &str, key: &str| line.split_once(key).map(|(_, rest)| rest.trim_matches(['"', ' ']).to_owned());
    // A step of its indentation.
    let step = yaml.lines().find_map(|line| line.find("/query:")).expect("the first call");
    let paths = yaml.lines().skip_while(|line| *line != "paths:").skip(1).take_while(|line| line.starts_with(' '));
    for line in paths {
        let depth = (line.len() - line.trim_start().len()) / step;
        let key = line.trim().trim_end_matches(':');
        match depth {
            1 => path = key,
            2 => method = key,
            _ => {
                let (name, parameters): &mut (String, BTreeSet<String>) =
                    operations.entry((method.to_owned(), path.to_owned())).or_default();
                if let Some(id) = after(line, "operationId:") {
                    *name = id;
                } else if depth > 4 {
                    // An example.
                } else if let Some(parameter) = after(line, "- name:").or_else(|| after(line, "- {name:")) {
                    parameters.insert(parameter.split(['"', ',']).next().expect("a name").to_owned());
                }
            }
        }
    }
    operations
}

#[test]
fn what_is_answered_is_told_as_by_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "OpenAPI") else { return };
    if !program.is_newest {
        return eprintln!("SKIP: the older Prometheus tells nothing of it");
    }
    let (server, prometheus) = (Server::start(BINARY, "admin_api: true\n"), Prometheus::start(&program));
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    let answers = [&mut ours, &mut theirs].map(|client| client.try_get("/api/v1/openapi.yaml?openapi_version=3.2"));
    assert_eq!(answers[0].header("Content-Type"), answers[1].header("Content-Type"));
    let [have, wanted] = answers.map(|answer| operations(&answer.text()));
    assert!(wanted.len() > 40, "{wanted:?}");
    let differences: Vec<_> = wanted
        .iter()
        // What is off takes no parameters.
        .filter(|((_, path), _)| !path.starts_with("/search/"))
        .filter(|(call, wanted)| {
            have.get(call).is_none_or(|have| have.0 != wanted.0 || (call.0 == "get" && have != *wanted))
        })
        .map(|(call, wanted)| format!("{call:?}: {:?}, not {wanted:?}", have.get(call)))
        .collect();
    assert!(differences.is_empty(), "{differences:#?}");
    assert_eq!(have.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    // All of it is there, and nothing else of this API.
    for (method, path) in have.keys() {
        let request =
            Client::request(&method.to_uppercase(), &format!("/api/v1{}", path.replace("{name}", "a")), &[], b"");
        let mut client = server.client();
        client.send(&request).expect("it listens");
        // A stream has no end; only its beginning is read.
        let mut head = [0; 12];
        client.stream().read_exact(&mut head).expect("an answer");
        assert!(!matches!(&head[9..], b"404" | b"405"), "{method} {path}: {}", String::from_utf8_lossy(&head));
    }
    for path in routes_of("dashboard-api/src/prometheus") {
        let Some(path) = path.strip_prefix("/api/v1").filter(|path| *path != "/openapi.yaml") else { continue };
        assert!(have.keys().any(|(_, have)| have == path), "{path} is not told");
    }
}

/// The paths that stand behind `.route(` in the files of a folder and those below.
fn routes_of(folder: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it is there") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).expect("a text");
            let texts = text.split(".route(").skip(1).filter_map(|after| after.split('"').nth(1).map(str::to_owned));
            paths.extend(texts);
        }
    }
    assert!(paths.len() > 20, "{paths:?}");
    paths
}

#[test]
fn features_have_the_shape_of_those_of_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "features") else { return };
    if !program.is_newest {
        return eprintln!("SKIP: the older Prometheus has others");
    }
    let (server, prometheus) = (Server::start(BINARY, ""), Prometheus::start(&program));
    let [have, wanted] =
        [server.client(), prometheus.client()].map(|mut client| client.get("/api/v1/features")["data"].clone());
    let names = |of: &Value| of.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&have), names(&wanted));
    for group in names(&wanted) {
        let (have, wanted) = (&have[&group], &wanted[&group]);
        assert!(have.as_object().expect("an object").values().all(Value::is_boolean), "{group}: {have}");
        // Of these each has its own; what the language knows is the same.
        if !matches!(&*group, "service_discovery_providers" | "templating_functions") {
            assert_eq!(names(have), names(wanted), "{group}");
        }
        if group.starts_with("promql") {
            let differ = names(wanted).into_iter().filter(|name| have[name] != wanted[name]).collect::<Vec<_>>();
            assert!(differ.is_empty(), "{group}: {differ:?}");
        }
    }
}

#[test]
fn nothing_is_told_of_an_answer_alone() {
    let Some(program) = Program::of_prometheus("prometheus", "HEAD") else { return };
    let (server, prometheus) = (Server::start(BINARY, ""), Prometheus::start(&program));
    for path in
        ["/api/v1/query?query=1", "/api/v1/labels", "/api/v1/targets", "/api/v1/write", "/api/v1/read", "/federate"]
            .into_iter()
            .chain(["/-/healthy", "/-/ready", "/api/v1/unheard-of", "/api/v1/label/a/values", "/api/v1/status/tsdb"])
    {
        let [have, wanted] = [server.client(), prometheus.client()].map(|mut client| {
            client.send(&Client::request("HEAD", path, &["Connection: close"], b"")).expect("it listens");
            let mut head = Vec::new();
            client.stream().read_to_end(&mut head).expect("an answer");
            let head = String::from_utf8(head).expect("text").to_ascii_lowercase();
            let allowed = head.lines().find_map(|line| line.strip_prefix("allow: ")).unwrap_or_default();
            // Who asks by OPTIONS is answered, though it is not told here.
            let allowed: BTreeSet<String> =
                allowed.split([',', ' ']).filter(|word| !matches!(*word, "" | "options")).map(str::to_owned).collect();
            (head[9..12].to_owned(), allowed)
        });
        assert_eq!(have, wanted, "{path}");
    }
}

#[test]
fn methods_and_paths_that_are_none_are_refused_as_by_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "methods and paths that are none") else { return };
    let (server, prometheus) = (Server::start(BINARY, ""), Prometheus::start(&program));
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    for (method, path) in [
        ("DELETE", "/api/v1/query"),
        ("PUT", "/api/v1/query_range"),
        ("PATCH", "/api/v1/series"),
        ("DELETE", "/api/v1/series"),
        ("DELETE", "/api/v1/labels"),
        ("POST", "/api/v1/label/job/values"),
        ("POST", "/api/v1/metadata"),
        ("POST", "/api/v1/targets"),
        ("POST", "/api/v1/rules"),
        ("POST", "/api/v1/alerts"),
        ("DELETE", "/api/v1/status/config"),
        ("POST", "/api/v1/status/tsdb"),
        ("GET", "/api/v1/read"),
        ("GET", "/api/v1/write"),
        ("PUT", "/api/v1/write"),
        ("GET", "/api/v1/otlp/v1/metrics"),
        ("GET", "/api/v1/admin/tsdb/snapshot"),
        ("DELETE", "/api/v1/admin/tsdb/delete_series"),
        ("POST", "/federate"),
        ("GET", "/api/v1/status/unheard-of"),
        ("POST", "/api/v1/status/unheard-of"),
        ("GET", "/api/v1/label/job"),
        ("GET", "/api/v1/label/job/names"),
        ("GET", "/api/v1/targets/unheard-of"),
        ("POST", "/api/v1/admin/tsdb/unheard-of"),
        ("GET", "/api/v1/unheard-of"),
        ("POST", "/api/v1/unheard-of/and/below"),
        ("GET", "/api/v1/"),
        ("GET", "/api/v1/label/a%2Fb/values"),
        ("GET", "/api/v1/label/a%2fb/values"),
        ("POST", "/api/v1/read"),
        ("POST", "/api/v1/write"),
    ] {
        let [have, wanted] = [&mut ours, &mut theirs].map(|client| {
            let answer = client.call(&Client::request(method, path, &[], b""));
            let [kind, allowed] = ["content-type", "allow"].map(|name| answer.header(name).map(str::to_owned));
            // Of what cannot be unpacked each says in its own words what is wrong.
            let text = if answer.status == 400 { String::new() } else { answer.text() };
            (answer.status, kind, allowed, text)
        });
        assert_eq!(have, wanted, "{method} {path}");
    }
    // Paths of our own are told in the shape of our own.
    let answer = ours.call(&Client::request("DELETE", "/api/v1/metrics/query", &[], b""));
    assert_eq!((answer.status, &answer.json()["error"]), (405, &"method_not_allowed".into()));
    for path in ["/api/v1/logs/search/unheard-of", "/api/v1/metrics/unheard-of", "/unheard-of"] {
        let answer = ours.try_get(path);
        assert_eq!((answer.status, &answer.json()["error"]), (404, &"not_found".into()), "{path}");
    }
    if !program.is_newest {
        return eprintln!("SKIP: the older Prometheus sends on otherwise");
    }
    for method in ["GET", "POST"] {
        for path in [
            "//api/v1/query?query=1",
            "/api//v1/query?query=1+%2B//1",
            "/api/v1//query",
            "/api/./v1/query",
            "/api/v1/../v1/query?",
            "/api/v1/label//values",
            "//unheard-of",
            "//-/healthy",
            "/api/v1/query?query=1&time=1&a=//",
        ] {
            let [have, wanted] = [&mut ours, &mut theirs].map(|client| {
                let answer = client.call(&Client::request(method, path, &[], b""));
                (answer.status, answer.header("location").map(str::to_owned))
            });
            assert_eq!(have, wanted, "{method} {path}");
        }
    }
}

#[test]
fn paths_may_be_written_by_the_numbers_of_their_letters_as_for_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "paths by the numbers of their letters") else { return };
    let (server, prometheus) = (Server::start(BINARY, ""), Prometheus::start(&program));
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    for path in [
        "/api/v1/%71uery?query=1&time=1",
        "/api/v1/q%75ery?query=%31&time=1",
        "/api/v1/query%0a?query=1&time=1",
        "/api/v1/query%3Fquery=1",
        "/api/v1/label/%6Aob/values",
        "/api/v1/label/job/%76alues",
        "/api/v1/label/job%2Fvalues",
        "/api/v1/label/jo%62%2fvalues",
        "/api/v1/label/job%2Fx/values",
        "/api/v1/label/%2F/values",
        "/api/v1/label/a%2Eb/values",
        "/api/v1/label/a%20b/values",
        "/api/v1/label/a+b/values",
        "/api/v1/label/%25/values",
        "/api/v1/label/%00/values",
        "/api/v1/label/%FF/values",
        "/api/v1/label/%C3%A4/values",
        "/api/v1/label/%2571/values",
        "/%61pi/v1/labels",
        "/api%2Fv1%2Flabels",
        "/api/v1/%6eothing",
        "/%2D/healthy",
        "/-/%68ealthy",
        "/f%65derate?match[]=up",
    ] {
        let [have, wanted] = [&mut ours, &mut theirs].map(|client| {
            let answer = client.call(&Client::request("GET", path, &[], b""));
            (answer.status, answer.text())
        });
        assert_eq!(have.0, wanted.0, "{path}: {} beside {}", have.1, wanted.1);
    }
}

#[test]
fn a_reload_that_fails_is_told_to_those_who_listen() {
    let server = Server::start(BINARY, "");
    let mut client = server.client();
    let path = "/api/v1/notifications";
    assert_eq!(client.get(path)["data"], Value::Array(Vec::new()));
    let mut live = TcpStream::connect(server.address).expect("it listens");
    let request = Client::request("GET", &format!("{path}/live"), &["Accept-Encoding: gzip", "Connection: close"], b"");
    live.write_all(&request).expect("it reads");
    // From its head on it listens.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        live.read_exact(&mut byte).expect("an answer");
        answer.extend(byte);
    }
    let file = server.folder.path().join("config.yaml");
    let good = std::fs::read_to_string(&file).expect("it is there");
    std::fs::write(&file, "listn: 3\n").expect("it can be written");
    assert_ne!(client.post("/-/reload", "text/plain", "").status, 200);
    let told = client.get(path)["data"].clone();
    assert_eq!((&told[0]["text"], &told[0]["active"]), (&"Configuration reload has failed.".into(), &true.into()));
    std::fs::write(&file, good).expect("it can be written");
    assert_eq!(client.post("/-/reload", "text/plain", "").status, 200);
    assert_eq!(client.get(path)["data"], Value::Array(Vec::new()));
    // Its end is that of the server, which does not wait for those who listen.
    server.stop();
    live.read_to_end(&mut answer).expect("it ends in order");
    let text = String::from_utf8(answer).expect("it is text");
    assert!(text.to_ascii_lowercase().contains("content-type: text/event-stream\r\n"), "{text}");
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|json| serde_json::from_str(json).expect("JSON"))
        .collect();
    let active: Vec<&Value> = events.iter().map(|event| &event["active"]).collect();
    assert_eq!(active, [true, false, true], "{text}");
    assert_eq!((&events[0], &events[1]["date"]), (&told[0], &told[0]["date"]), "{text}");
    assert!(events[2]["text"].as_str().is_some_and(|text| text.contains("shutting down")), "{text}");
}
