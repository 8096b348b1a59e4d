//! Samples of the past: by the endpoint and by the verb, in any order, beside bad lines, over a kill; and what a real
//! Prometheus makes of the same text.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use serde_json::Value;
use watchfire_test_support::client::encode;
use watchfire_test_support::lines::Random;
use watchfire_test_support::{Client, Program, Prometheus, Server, answers};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long the past of a test is.
const HOURS: u64 = 7;

/// A time some hours ago, seconds, on a whole minute.
fn begin() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    now / 60 * 60 - (HOURS + 1) * 3600
}

/// Families with their samples, in the order of time.
fn exposition(begin: u64) -> Vec<(&'static str, Vec<String>)> {
    let mut random = Random::new(5);
    let times = || (0..HOURS * 240).map(move |step| (step, begin + step * 15));
    let mut counters = Vec::new();
    let mut totals = [0u64; 3];
    for (step, at) in times() {
        for (code, total) in totals.iter_mut().enumerate() {
            *total = if step == 700 { 1 } else { *total + random.below(9) };
            let exemplar = if step % 50 == 0 { " # {trace_id=\"abc\"} 1 1700000000.5" } else { "" };
            counters.push(format!("requests_total{{code=\"{code}xx\",path=\"/a\\\"b\\n\"}} {total} {at}.25{exemplar}"));
        }
    }
    let mut gauges = Vec::new();
    for (step, at) in times() {
        let value = match step % 100 {
            7 => "NaN".to_owned(),
            8 => "+Inf".to_owned(),
            9 => "-1.5e-3".to_owned(),
            _ => format!("{}", random.below(1000) as f64 / 7.0),
        };
        gauges.push(format!("queue_depth {value} {at}"));
    }
    let mut buckets = Vec::new();
    let mut counts = [0u64; 4];
    for (_, at) in times() {
        for (place, le) in ["0.1", "0.5", "2.5", "+Inf"].iter().enumerate() {
            counts[place] += random.below(4) + place as u64 * 3;
            let most = counts[..=place].iter().copied().max().unwrap_or(0);
            counts[place] = most;
            buckets.push(format!("latency_seconds_bucket{{le=\"{le}\"}} {most} {at}"));
        }
        buckets.push(format!("latency_seconds_count {} {at}", counts[3]));
        buckets.push(format!("latency_seconds_sum {}.5 {at}", counts[3] * 2));
    }
    vec![
        ("# HELP requests Requests answered.\n# TYPE requests counter\n", counters),
        ("# TYPE queue_depth gauge\n", gauges),
        ("# TYPE latency_seconds histogram\n# UNIT latency_seconds seconds\n", buckets),
    ]
}

fn text(families: &[(&str, Vec<String>)]) -> String {
    let mut text = String::new();
    for (head, lines) in families {
        text.push_str(head);
        lines.iter().for_each(|line| text.extend([line.as_str(), "\n"]));
    }
    text + "# EOF\n"
}

fn shuffled(lines: &[String], random: &mut Random) -> Vec<String> {
    let mut lines = lines.to_vec();
    for at in (1..lines.len()).rev() {
        lines.swap(at, random.below(at as u64 + 1) as usize);
    }
    lines
}

fn import(client: &mut Client, text: &str) -> Value {
    let answer = client.post("/api/v1/import", OPENMETRICS, text);
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()
}

/// All samples of a metric, by the instant answer of a range.
fn samples(client: &mut Client, metric: &str) -> usize {
    let answer = client.get(&format!("/api/v1/query?query={}", encode(&format!("{metric}[{}h]", HOURS + 2))));
    let rows = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    rows.iter().map(|row| row["values"].as_array().map_or(0, Vec::len)).sum()
}

#[test]
fn a_real_prometheus_answers_the_same_from_the_same_text() {
    let Some(promtool) = Program::of_prometheus("promtool", "import of OpenMetrics") else { return };
    let Some(program) = Program::of_prometheus("prometheus", "import of OpenMetrics") else { return };
    let begin = begin();
    let families = exposition(begin);
    let prepare = |folder: &std::path::Path| {
        std::fs::write(folder.join("old.om"), text(&families)).expect("the folder can be written");
        let made = promtool
            .command()
            .args(["tsdb", "create-blocks-from", "openmetrics", "--quiet", "old.om", "data"])
            .current_dir(folder)
            .output()
            .expect("promtool runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&[made.stdout, made.stderr].concat()));
    };
    let prometheus = Prometheus::start_prepared(&program, prepare, |_| "{}\n".to_owned());
    let mut server = Server::start(BINARY, "");
    // Something newer is there before, and the past comes in pieces whose lines lie in no order.
    let mut random = Random::new(9);
    let (mut accepted, mut late) = (0, Vec::new());
    for (head, lines) in &families {
        let (last, before) = lines.split_last().expect("there are lines");
        late.push((*head, shuffled(before, &mut random)));
        accepted += import(&mut server.client(), &format!("{head}{last}\n# EOF\n"))["accepted"].as_u64().unwrap_or(0);
    }
    for (head, lines) in &late {
        for piece in lines.chunks(lines.len() / 3 + 1) {
            let answer = import(&mut server.client(), &format!("{head}{}\n# EOF\n", piece.join("\n")));
            assert_eq!(answer["rejected"], 0, "{answer}");
            accepted += answer["accepted"].as_u64().unwrap_or(0);
        }
    }
    assert_eq!(accepted, families.iter().map(|(_, lines)| lines.len() as u64).sum::<u64>());
    let metadata = server.client().get("/api/metrics?prefix=requests_total");
    assert_eq!((&metadata[0]["type"], &metadata[0]["help"]), (&"counter".into(), &"Requests answered.".into()));
    // Again, and after a kill: nothing more, nothing less.
    let again = import(&mut server.client(), &text(&families));
    assert_eq!((&again["accepted"], &again["duplicate"]), (&Value::from(0), &Value::from(accepted)), "{again}");
    server.restart();
    let (start, end) = (begin.to_string(), (begin + HOURS * 3600).to_string());
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    let whole = format!("[{}h]", HOURS + 1);
    for metric in ["requests_total", "queue_depth", "{__name__=~\"latency_seconds_.+\"}"] {
        let parameters = [("query", format!("{metric}{whole}")), ("time", end.clone())];
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert!(answers::same(&mut ours, &mut theirs, "/api/v1/query", &parameters) > 1000, "{metric}");
    }
    for query in [
        "sum by (code) (rate(requests_total[5m]))",
        "increase(requests_total[1h])",
        "histogram_quantile(0.9, rate(latency_seconds_bucket[10m]))",
        "max_over_time(queue_depth[3m]) - queue_depth offset 1m",
    ] {
        let parameters = [("query", query), ("start", &start), ("end", &end), ("step", "37")];
        assert!(answers::same(&mut ours, &mut theirs, "/api/v1/query_range", &parameters) > 500, "{query}");
    }
}

#[test]
fn bad_lines_are_told_with_their_numbers_and_the_good_ones_are_kept() {
    let server = Server::start(BINARY, "limits: {line: 2KiB, labels_per_series: 4}\n");
    let mut client = server.client();
    let at = begin();
    let long = "x".repeat(3000);
    let text = format!(
        "# TYPE a counter\na_total 1 {at}\na_total 2 {at}\na_total{{ 3 {at}\nb 1\nb{{x=\"{long}\"}} 1 {at}\n\
         b 1 1000\nb 5 {}\nb{{a=\"1\",b=\"2\",c=\"3\",d=\"4\",e=\"5\"}} 1 {at}\nlog_events_total 1 {at}\na_total 1 {at}\nb 7 {at}\n",
        at + 30 * 86_400
    );
    let answer = import(&mut client, &text);
    let errors = answer["errors"].as_array().cloned().unwrap_or_default();
    let told = |line: u64| {
        let found = errors.iter().find(|error| error["line"] == line);
        found.map(|error| error["error"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
    };
    for (line, why) in [
        (3, "another value at this time"),
        (4, "expected `}` behind the labels"),
        (5, "no time"),
        (6, "longer than 2048 bytes"),
        (7, "too old"),
        (8, "too far in the future"),
        (9, "the label set is too large"),
        (12, "`# EOF` at the end"),
    ] {
        assert!(told(line).contains(why), "line {line}: {answer}");
    }
    assert_eq!((&answer["accepted"], &answer["duplicate"], &answer["rejected"]), (&3.into(), &1.into(), &8.into()));
    assert_eq!((samples(&mut client, "a_total"), samples(&mut client, "b")), (1, 1));
    let metrics = client.try_get("/metrics").text();
    assert!(metrics.contains("watchfire_import_rejected_total{reason=\"malformed\"} 2"), "{metrics}");
    // Nothing that could be taken: no success.
    for (body, why) in [("", "no sample"), ("<html>\n", "line 1"), ("# EOF\n", "no sample")] {
        let answer = client.post("/api/v1/import", "text/plain", body);
        assert!(answer.status == 400 && answer.text().contains(why), "{body}: {} {}", answer.status, answer.text());
    }
    let answer = client.post("/api/v1/import?x=1", "text/plain", format!("m 1 {at}000\n"));
    assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some("bad_parameter")));
    // A bomb is stopped by the limit, and leaves nothing behind.
    let bomb = zstd::encode_all(std::io::repeat(b'\n').take(200 << 20), 1).expect("memory takes it");
    let request = Client::request("POST", "/api/v1/import", &["Content-Encoding: zstd"], &bomb);
    assert_eq!(client.call(&request).status, 413);
}

fn run(server: &Server, arguments: &[&str], stdin: Option<&[u8]>) -> (i32, String) {
    let mut child = Command::new(BINARY)
        .args(["import", "metrics", "--url", &format!("http://{}", server.address)])
        .args(arguments)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary is built");
    let mut to = child.stdin.take().expect("it is piped");
    to.write_all(stdin.unwrap_or_default()).expect("it reads all");
    drop(to);
    let done = child.wait_with_output().expect("our child");
    (done.status.code().unwrap_or(-1), String::from_utf8_lossy(&done.stderr).into_owned())
}

#[test]
fn the_verb_takes_files_of_every_packing_and_says_where_they_are_bad() {
    let server = Server::start(BINARY, "");
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let begin = begin();
    // More than one piece; the type stands at the head of the first alone.
    let steps = HOURS * 3600;
    let series = 4;
    let mut big = "# HELP big_total Many.\n# TYPE big counter\n# HELP big Many.\n".to_owned();
    for step in 0..steps {
        for number in 0..series {
            big.push_str(&format!("big_total{{number=\"{number}\"}} {step} {}.5\n", begin + step));
        }
    }
    big.push_str("# EOF\n");
    assert!(big.len() > 3 << 20);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let packed = gzip.write_all(big.as_bytes()).and_then(|()| gzip.finish()).expect("memory takes it");
    std::fs::write(path("big.om.gz"), &packed).expect("it can be written");
    let (code, said) = run(&server, &[&path("big.om.gz")], None);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!("1 file: {} samples", steps * series)), "{said}");
    let mut client = server.client();
    assert_eq!(samples(&mut client, "big_total") as u64, steps * series);
    assert_eq!(client.get("/api/metrics?prefix=big_total")[0]["type"], "counter");
    // Again, by stdin.
    let (code, said) = run(&server, &["-"], Some(big.as_bytes()));
    assert!(code == 0 && said.contains(&format!("{} samples were there already", steps * series)), "{code} {said}");
    // The older format, told by its times; bad lines far into the file.
    let mut old: Vec<String> =
        (0..60_000).map(|step| format!("old{{job=\"a long name of a job\"}} {step} {}", begin * 1000 + step)).collect();
    old[50_000] = "old{job=\"x\" 1".to_owned();
    old[59_999] = "old 1".to_owned();
    let zstd = zstd::encode_all(old.join("\n").as_bytes(), 1).expect("memory takes it");
    std::fs::write(path("old.prom.zst"), zstd).expect("it can be written");
    let (code, said) = run(&server, &[&path("old.prom.zst")], None);
    assert_eq!(code, 5, "{said}");
    assert!(
        said.contains("old.prom.zst:50001: expected `}`")
            && said.contains("old.prom.zst:60000: the sample has no time"),
        "{said}"
    );
    assert_eq!(samples(&mut client, "old"), 59_998);
    // One that is cut off gives what it has.
    std::fs::write(path("cut.om.gz"), &packed[..packed.len() / 2]).expect("it can be written");
    let (code, said) = run(&server, &[&path("cut.om.gz"), &path("gone.om")], None);
    assert!(code == 5 && said.contains("cut off or damaged") && said.contains("gone.om: "), "{code} {said}");
    // Without its last line a text may have lost more.
    let (code, said) = run(&server, &["--format", "openmetrics", "-"], Some(format!("x 1 {begin}\n").as_bytes()));
    assert!(code == 5 && said.contains("-:1: expected `# EOF` at the end"), "{code} {said}");
}
