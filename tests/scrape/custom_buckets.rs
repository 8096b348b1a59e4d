//! Classic histograms that are scraped as native ones with custom buckets: what a real Prometheus makes of them.

use std::io::Write;

use watchfire_test_support::target::{answer, page};
use watchfire_test_support::{Program, Prometheus, Server, TargetServer};

use crate::BINARY;
use crate::protobuf::{assert_same, body, protobuf_answer, wait};

const CLASSIC: &str = "# HELP classic_seconds How long.\n# TYPE classic_seconds histogram\n\
    classic_seconds_bucket{path=\"/a\",le=\"0.1\"} 3\nclassic_seconds_bucket{path=\"/a\",le=\"1\"} 8\n\
    classic_seconds_bucket{path=\"/a\",le=\"2.5\"} 8\nclassic_seconds_bucket{path=\"/a\",le=\"+Inf\"} 11\n\
    classic_seconds_sum{path=\"/a\"} 17.25\nclassic_seconds_count{path=\"/a\"} 11\n\
    classic_seconds_bucket{path=\"/b\",le=\"0.5\"} 0.5\nclassic_seconds_bucket{path=\"/b\",le=\"+Inf\"} 2.5\n\
    classic_seconds_sum{path=\"/b\"} -1\nclassic_seconds_count{path=\"/b\"} 2.5\n\
    # TYPE lone_seconds histogram\nlone_seconds_sum 3\nlone_seconds_count 4\n\
    # TYPE short histogram\nshort_bucket{le=\"-1\"} 2\nshort_bucket{le=\"5\"} 6\n\
    # TYPE other counter\nother_count 3\n# TYPE pause summary\npause{quantile=\"0.5\"} 1\npause_sum 2\npause_count 3\n\
    untyped_bucket{le=\"+Inf\"} 7\nuntyped_count 7\n";

fn open_metrics(seconds: u64) -> String {
    format!(
        "# TYPE open_seconds histogram\n# UNIT open_seconds seconds\n\
         open_seconds_bucket{{le=\"0.25\"}} 1 # {{trace_id=\"a\"}} 0.2 {seconds}\n\
         open_seconds_bucket{{le=\"4.0\"}} 4\n\
         open_seconds_bucket{{le=\"+Inf\"}} 5 # {{trace_id=\"b\"}} 9.5 {seconds}\n\
         open_seconds_count 5\nopen_seconds_sum 21.5\n# EOF\n"
    )
}

#[test]
fn classic_histograms_become_what_prometheus_makes_of_them() {
    let Some(program) = Program::of_prometheus("prometheus", "classic histograms as native ones") else { return };
    if !program.is_newest {
        return println!("SKIP: classic histograms as native ones: Prometheus is too old to convert them");
    }
    let seconds = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs() - 5;
    let open = answer(
        "200 OK",
        &["Content-Type: application/openmetrics-text; version=1.0.0"],
        open_metrics(seconds).as_bytes(),
    );
    let protobuf = protobuf_answer(&body(seconds.cast_signed()));
    let targets = [
        TargetServer::start(page(CLASSIC)),
        TargetServer::start(move |_, out: &mut dyn Write| out.write_all(&open)),
        TargetServer::start(move |_, out: &mut dyn Write| out.write_all(&protobuf)),
    ];
    let jobs = [
        ("converted", ""),
        ("both", "always_scrape_classic_histograms: true, "),
        ("natives", "scrape_native_histograms: true, "),
        ("all", "scrape_native_histograms: true, always_scrape_classic_histograms: true, "),
        ("limited", "native_histogram_bucket_limit: 2, "),
    ];
    let mut config = "global: {scrape_interval: 500ms, scrape_timeout: 500ms, convert_classic_histograms_to_nhcb: true}\nscrape_configs:\n".to_owned();
    let found: String = (0..)
        .zip(&targets)
        .map(|(number, target)| format!("{{targets: ['{}'], labels: {{instance: target-{number}}}}}, ", target.address))
        .collect();
    for (name, keys) in jobs {
        config += &format!("  - {{job_name: {name}, {keys}static_configs: [{found}]}}\n");
    }
    // What a target is told by its labels counts more than what its job says.
    config += &format!(
        "  - {{job_name: labels, convert_classic_histograms_to_nhcb: false, static_configs: [{found}], relabel_configs: \
         [{{source_labels: [instance], regex: target-0, target_label: __convert_classic_histograms_to_nhcb__, replacement: 'true'}}]}}\n"
    );
    let server = Server::start(BINARY, &config);
    let prometheus = Prometheus::start_with(&program, |_| config.clone());
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    for client in [&mut ours, &mut theirs] {
        wait(client, "count(scrape_duration_seconds)", "18");
        // All have a histogram with more buckets than `limited` takes.
        wait(client, "count(up == 0)", "3");
        wait(client, "count(up == 1)", "15");
    }
    // Where classic series stay, they keep their exemplars here, and lose them to the native ones there.
    let exemplars = "{job=\"converted\"} or {instance=~\"target-[01]\",job=~\"natives|labels\"}";
    assert_same(&mut ours, &mut theirs, 150, exemplars);
}
