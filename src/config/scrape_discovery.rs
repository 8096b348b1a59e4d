//! Where the targets of a job come from: `static_configs`, `file_sd_configs`, `dns_sd_configs`, `http_sd_configs`.

use watchfire_scrape::config::{Discovery, DnsDiscovery, DnsRecord, FileDiscovery, HttpDiscovery, TargetGroup};
use watchfire_yaml::section::Section;
use watchfire_yaml::tree::Node;

use super::read::{check_glob, web_address};
use super::scrape::read_labels;
use super::scrape_http;

/// Ways to find targets that Prometheus has and we do not.
const OTHER_DISCOVERY: [&str; 24] = [
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "eureka_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "ionos_sd_configs",
    "kubernetes_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "openstack_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
];

/// Reads all ways to find targets that a job has.
pub fn read(section: &mut Section<'_>) -> Vec<Discovery> {
    let mut all = Vec::new();
    let groups = section.only_list("static_configs");
    if !groups.is_empty() {
        let path = section.name("static_configs");
        all.push(Discovery::Static(groups.into_iter().map(|node| read_group(node, &path, section)).collect()));
    }
    for node in section.only_list("file_sd_configs") {
        all.extend(read_files(node, section));
    }
    for node in section.only_list("dns_sd_configs") {
        all.extend(read_dns(node, section));
    }
    for node in section.only_list("http_sd_configs") {
        all.extend(read_http(node, section));
    }
    for key in OTHER_DISCOVERY {
        section.not_yet(key, "this way to find targets");
    }
    all
}

fn read_group(node: &Node, path: &str, job: &mut Section<'_>) -> TargetGroup {
    let mut section = Section::new(path, Some(node), job.faults());
    let mut targets = Vec::new();
    for (text, place) in section.texts("targets") {
        if text.is_empty() || text.contains(['/', ' ']) {
            let message =
                format!("`{path}.targets`: `{text}` is no address; write host:port, the path in `metrics_path`");
            section.fault(place, message);
        }
        targets.push(text.to_owned());
    }
    let (labels, labels_path) = section.section("labels");
    let labels = read_labels(labels, &labels_path, &mut section);
    section.finish();
    TargetGroup { targets, labels }
}

fn read_files(node: &Node, job: &mut Section<'_>) -> Option<Discovery> {
    let path = job.name("file_sd_configs");
    let mut section = Section::new(&path, Some(node), job.faults());
    let mut files = Vec::new();
    for (text, node) in section.text_nodes("files") {
        let (folder, name) = text.rsplit_once('/').unwrap_or(("", text));
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        if folder.contains('*') || !matches!(ending.as_deref(), Some("json" | "yml" | "yaml")) {
            let message =
                format!("`{path}.files`: `{text}` must end in .json, .yml or .yaml, and have * in its last part only");
            section.fault(node.place, message);
        } else if check_glob(&mut section, "files", node, text).is_some() {
            files.push(text.to_owned());
        }
    }
    if section.node("files").is_none() {
        section.fault(node.place, format!("`{path}` needs `files: [FILE]`"));
    }
    // They are looked at each second anyway.
    section.duration_from("refresh_interval", 1);
    section.finish();
    (!files.is_empty()).then_some(Discovery::Files(FileDiscovery { files }))
}

fn read_dns(node: &Node, job: &mut Section<'_>) -> Option<Discovery> {
    let path = job.name("dns_sd_configs");
    let mut section = Section::new(&path, Some(node), job.faults());
    let names: Vec<String> = section.texts("names").into_iter().map(|(text, _)| text.to_owned()).collect();
    if names.is_empty() {
        section.fault(node.place, format!("`{path}` needs `names: [NAME]`"));
    }
    section.defaults_to("type", "SRV");
    let words = DnsRecord::NAMES.map(|(name, _)| name);
    let record = section.word("type", &words, DnsRecord::parse).unwrap_or(DnsRecord::Srv);
    let port = section.parsed("port", "a port (1 to 65535)", |text| text.parse().ok().filter(|port: &u16| *port > 0));
    if port.is_none() && record != DnsRecord::Srv {
        section.fault(node.place, format!("`{path}` needs `port`: only SRV records name one"));
    }
    let refresh_ms = section.duration_or("refresh_interval", 1, 30_000);
    section.finish();
    Some(Discovery::Dns(DnsDiscovery { names, record, port: port.unwrap_or(0), refresh_ms }))
}

fn read_http(node: &Node, job: &mut Section<'_>) -> Option<Discovery> {
    let path = job.name("http_sd_configs");
    let mut section = Section::new(&path, Some(node), job.faults());
    section.required_text("url");
    let url = section.parsed("url", "an address (write http://127.0.0.1:9000/targets)", web_address);
    let refresh_ms = section.duration_or("refresh_interval", 1, 60_000);
    let http = scrape_http::read(&mut section);
    section.finish();
    Some(Discovery::Http(Box::new(HttpDiscovery { url: url?, refresh_ms, http })))
}
