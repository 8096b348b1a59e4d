//! Real exporters, and a real Prometheus that scrapes the same.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use watchfire_test_support::Program;
use watchfire_test_support::client::encode;
use watchfire_test_support::server::free_port;
use watchfire_test_support::{Client, TargetServer};

use super::{start, wait};

/// A program that runs until it is dropped.
pub struct Running(Child);

impl Running {
    /// `None` if it cannot be run.
    pub fn start(command: &mut Command) -> Option<Running> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok().map(Running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_real_exporter() {
    let port = free_port();
    let listen = format!("--web.listen-address=127.0.0.1:{port}");
    let Some(_exporter) = Running::start(Command::new("prometheus-node-exporter").arg(listen)) else {
        println!("SKIP: scraping a real exporter: no prometheus-node-exporter");
        return;
    };
    let server = start(&[format!(
        "  - {{job_name: node, scrape_interval: 1s, static_configs: [{{targets: [\"127.0.0.1:{port}\"]}}]}}\n"
    )]);
    wait(&server, "up", &["__name__=up job=node 1"]);
    wait(&server, "count(node_cpu_seconds_total{mode=\"idle\"}) > bool 0", &[" 1"]);
    wait(&server, "scrape_samples_scraped == scrape_samples_post_metric_relabeling > bool 100", &["job=node 1"]);
    // None of them was refused, and a quiet scrape brings nothing new.
    wait(&server, "sum(watchfire_scrape_refused_samples_total) or vector(0)", &[" 0"]);
    wait(&server, "scrape_series_added < bool 10", &["job=node 1"]);
    let metadata = server.client().get("/api/v1/targets/metadata?metric=node_cpu_seconds_total");
    assert_eq!(metadata["data"][0]["type"], "counter");
}

/// What is hard to read, in both formats.
const CLASSIC: &str = concat!(
    "# HELP esc Text with \\\\ and \\n in it.\n# TYPE esc gauge\nesc{path=\"C:\\\\dir\",quote=\"\\\"q\\\"\",line=\"a\\nb\",odd=\"\\x\"} 1\n",
    "# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2e3\"} 1\nh_bucket{le=\"1000000\"} 1\nh_bucket{le=\"x\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1.5e-3\nh_count 2\n",
    "# TYPE s summary\ns{quantile=\"0.9\"} NaN\ns{quantile=\"1\",le=\"1\"} 4\ns_sum +Inf\ns_count 3\n",
    "spaced { a = \"b\" , } \t -Inf\nempty{a=\"\",b=\"c\"} 0x\n",
);
const OPEN: &str = concat!(
    "# TYPE o counter\n# HELP o One \\\"of\\\" them.\n# UNIT o_seconds seconds\n",
    "o_total{a=\"b\"} 17.0 # {trace=\"x\"} 0.5 1.5\no_created{a=\"b\"} 1.5e9\n",
    "# TYPE oh histogram\noh_bucket{le=\"1\"} 1\noh_bucket{le=\"+Inf\"} 1\n# TYPE og gaugehistogram\nog_bucket{le=\"1\"} 1\n# TYPE st stateset\nst{st=\"on\"} 1\nst{st=\"off\"} 0\n# TYPE i info\ni_info{v=\"1.2\"} 1\n# EOF\n",
);

/// The same jobs as both programs read them.
fn jobs(targets: &[(&str, &TargetServer, &str)]) -> Vec<String> {
    let job = |(name, target, more): &(&str, &TargetServer, &str)| {
        let comma = if more.is_empty() { "" } else { ", " };
        format!(
            "  - {{job_name: {name}, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{{targets: [\"{}\"], labels: {{site: here, port: mine}}}}]{comma}{more}}}\n",
            target.address
        )
    };
    targets.iter().map(job).collect()
}

/// All series of the jobs with their newest values.
fn series(client: &mut Client) -> BTreeMap<String, String> {
    let answer = client.get(&format!("/api/v1/query?query={}", encode("{job!=\"watchfire\",job!=\"\"}")));
    let rows = answer["data"]["result"].as_array().expect("rows").iter();
    let told = |row: &Value| {
        // Labels come sorted.
        let labels: BTreeMap<String, Value> = serde_json::from_value(row["metric"].clone()).expect("labels");
        let name = row["metric"]["__name__"].as_str().unwrap_or_default();
        // How long a scrape took is each one's own.
        let value = if name == "scrape_duration_seconds" { "" } else { row["value"][1].as_str().expect("a value") };
        (format!("{labels:?}"), value.to_owned())
    };
    rows.map(told).collect()
}

#[test]
fn a_real_prometheus_makes_the_same_of_the_same_targets() {
    let Some(program) = Program::of_prometheus("prometheus", "scraping beside a real Prometheus") else { return };
    let classic = TargetServer::showing(&CLASSIC.replace("empty{a=\"\",b=\"c\"} 0x\n", "empty{a=\"\",b=\"c\"} 3\n"));
    let broken = TargetServer::showing(CLASSIC);
    let clashing =
        TargetServer::showing("m{job=\"a\",instance=\"b\",exported_job=\"c\",site=\"\",port=\"p\"} 1\nn{x=\"y\"} 2\n");
    let open = TargetServer::start(|_, out| {
        let headers = ["Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8"];
        out.write_all(&watchfire_test_support::target::answer("200 OK", &headers, OPEN.as_bytes()))
    });
    let jobs = jobs(&[
        ("classic", &classic, ""),
        ("broken", &broken, ""),
        ("open", &open, ""),
        ("clashing", &clashing, ""),
        ("honoured", &clashing, "honor_labels: true"),
        ("limited", &clashing, "sample_limit: 1"),
        ("labelled", &clashing, "label_limit: 5"),
        (
            "relabelled",
            &clashing,
            "relabel_configs: [{source_labels: [__address__, site], separator: \"/\", regex: \"(.*):([0-9]+)/(.*)\", target_label: where, replacement: \"$3-$1\"}, {action: labelmap, regex: \"s(.*)\", replacement: \"x_$1\"}], metric_relabel_configs: [{source_labels: [__name__], regex: n, action: drop}, {source_labels: [instance], target_label: shard, modulus: 7, action: hashmod}, {regex: \"exported_.*\", action: labeldrop}, {source_labels: [port], target_label: port, action: uppercase}]",
        ),
    ]);
    let server = start(&jobs);
    let folder = tempfile::tempdir().expect("a folder");
    let (file, port) = (folder.path().join("prometheus.yml"), free_port());
    std::fs::write(&file, format!("scrape_configs:\n{}", jobs.concat())).expect("the folder can be written");
    let mut command = program.command();
    command.arg(format!("--config.file={}", file.display()));
    command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let Some(_prometheus) = Running::start(&mut command) else { panic!("{command:?} does not run") };
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let begun = Instant::now();
    let mut told = None;
    // Both have scraped all when nothing is new to either.
    while begun.elapsed() < Duration::from_secs(60) {
        let client = Client::connect(address).ok();
        if let Some(mut client) = client
            && client.try_get("/-/ready").status == 200
        {
            let (theirs, ours) = (series(&mut client), series(&mut server.client()));
            let is_settled =
                theirs.keys().filter(|labels| labels.contains("scrape_series_added")).count() == jobs.len();
            if is_settled && theirs == ours {
                return;
            }
            told = Some((theirs, ours));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let (theirs, ours) = told.expect("Prometheus answers");
    let differs = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| {
        let other = a.iter().filter(|(labels, value)| b.get(*labels) != Some(*value));
        other.map(|(labels, value)| format!("{labels} {value}\n")).collect::<String>()
    };
    panic!("only there:\n{}only here:\n{}", differs(&theirs, &ours), differs(&ours, &theirs));
}
