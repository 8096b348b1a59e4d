//! Targets found by a real DNS server (dnsmasq), which a server of ours asks that has a `/etc/resolv.conf` of its own.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use watchfire_test_support::{Server, TargetServer};

use super::{BINARY, real::Running, wait};

const WHAT: &str = "SKIP: targets found by a real DNS server";

/// An address of this machine that other tests do not use, so that port 53 of it is free.
fn own_address() -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 53, high, low.max(1))
}

/// A script that runs the server where `/etc/resolv.conf` is another file; `None` where that is not allowed.
fn with_resolver(folder: &Path, address: Ipv4Addr) -> Option<std::path::PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let (settings, script) = (folder.join("resolv.conf"), folder.join("watchfire"));
    std::fs::write(&settings, format!("nameserver {address}\nsearch example.test\n")).expect("it can be written");
    let mount = format!("mount --bind {} /etc/resolv.conf", settings.display());
    let text = format!("#!/bin/sh\nexec unshare -m sh -c '{mount} && exec {BINARY} \"$@\"' watchfire \"$@\"\n");
    std::fs::write(&script, text).expect("it can be written");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let may = Command::new("unshare").args(["-m", "sh", "-c", &mount]).stderr(Stdio::null()).status();
    may.is_ok_and(|status| status.success()).then_some(script)
}

fn dnsmasq(address: Ipv4Addr, records: &[String]) -> Option<Running> {
    let mut command = Command::new("dnsmasq");
    command.args(["--keep-in-foreground", "--no-resolv", "--no-hosts", "--bind-interfaces", "--conf-file=/dev/null"]);
    command.args(["--local=/test/", "--pid-file=", "--user=root"]).arg(format!("--listen-address={address}"));
    Running::start(command.args(records))
}

/// Waits until the server answers on its port.
fn wait_listening(address: Ipv4Addr) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        if std::net::TcpStream::connect((address, 53)).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

#[test]
fn records_of_a_real_server_are_targets() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = own_address();
    let Some(script) = with_resolver(folder.path(), address) else {
        println!("{WHAT}: a file may not be mounted over /etc/resolv.conf here");
        return;
    };
    let target = TargetServer::showing("a 1\n");
    let port = target.address.port();
    let records = |more: &[&str]| {
        let mut records = vec![
            "--host-record=one.example.test,127.0.0.1,::1".to_owned(),
            "--cname=alias.example.test,one.example.test".to_owned(),
            format!("--srv-host=_http._tcp.example.test,one.example.test,{port}"),
            "--mx-host=mail.example.test,one.example.test,10".to_owned(),
        ];
        records.extend(more.iter().map(|text| (*text).to_owned()));
        records
    };
    let Some(dns) = dnsmasq(address, &records(&[])) else {
        println!("{WHAT}: no dnsmasq");
        return;
    };
    if !wait_listening(address) {
        println!("{WHAT}: port 53 of {address} is not ours");
        return;
    }
    let job = |name: &str, what: &str| {
        // The name is looked up where it is scraped, by the same server.
        let labels =
            "[__meta_dns_name, __meta_dns_srv_record_target, __meta_dns_srv_record_port, __meta_dns_mx_record_target]";
        format!(
            "  - {{job_name: {name}, scrape_interval: 100ms, dns_sd_configs: [{{refresh_interval: 100ms, {what}}}], \
             relabel_configs: [{{source_labels: {labels}, separator: \" \", target_label: found}}, {{source_labels: [__address__], target_label: address}}]}}\n"
        )
    };
    let jobs = [
        // By the search list.
        job("a", &format!("names: [one, nothing.example.test], type: A, port: {port}")),
        job("alias", &format!("names: [alias.example.test], type: a, port: {port}")),
        job("aaaa", &format!("names: [one.example.test.], type: AAAA, port: {port}")),
        job("srv", "names: [_http._tcp.example.test]"),
        job("mx", &format!("names: [mail.example.test], type: MX, port: {port}")),
    ];
    let server = Server::start(&script, &format!("scrape_configs:\n{}", jobs.concat()));
    let found = |job: &str, address: &str, found: &str, up: u8| {
        format!("__name__=up address={address} found={found} job={job} {up}")
    };
    let srv_port = format!("_http._tcp.example.test one.example.test. {port} ");
    let expected = [
        found("a", &format!("127.0.0.1:{port}"), "one   ", 1),
        found("mx", &format!("one.example.test:{port}"), "mail.example.test   one.example.test.", 1),
        found("srv", &format!("one.example.test:{port}"), &srv_port, 1),
        found("aaaa", &format!("[::1]:{port}"), "one.example.test.   ", 0),
        found("alias", &format!("127.0.0.1:{port}"), "alias.example.test   ", 1),
    ];
    let mut expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    expected.sort();
    wait(&server, "up", &expected);
    // While no server answers, what was found stays in force.
    drop(dns);
    wait(&server, "sum(watchfire_scrape_discovery_failures_total) > bool 0", &[" 1"]);
    wait(&server, "count(up{job=\"a\"})", &[" 1"]);
    let Some(_dns) = dnsmasq(address, &records(&["--host-record=nothing.example.test,127.0.0.1"])) else { return };
    wait(&server, "count by (found) (up{job=\"a\"})", &["found=nothing.example.test    1", "found=one    1"]);
}
