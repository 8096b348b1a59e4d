//! `dns_sd_configs`: names that are looked up again and again; each record is a target.
//!
//! The settings are the system's (`/etc/resolv.conf`, its search list too), read anew at each look. A name that does not
//! exist has no targets; one of which no server says anything keeps those that it had, as with Prometheus.

use std::collections::BTreeMap;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolveHosts;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::task::JoinSet;

use super::Look;
use crate::config::{DnsDiscovery, DnsRecord, TargetGroup};

/// The label that says what was looked up.
const NAME_LABEL: &str = "__meta_dns_name";

pub(super) async fn watch<F: Future<Output = ()>>(dns: DnsDiscovery, tell: impl Fn(Look) -> F) {
    let mut every = tokio::time::interval(Duration::from_millis(dns.refresh_ms.max(1).unsigned_abs()));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // What each name stands for, and why the last look failed.
    let mut known: BTreeMap<String, Vec<TargetGroup>> = BTreeMap::new();
    let mut failed: BTreeMap<String, String> = BTreeMap::new();
    let mut is_first = true;
    loop {
        every.tick().await;
        let mut has_changed = std::mem::take(&mut is_first);
        for (name, found) in look(&dns).await {
            match found {
                Ok(groups) => {
                    failed.remove(&name);
                    has_changed |= known.insert(name, groups.clone()).as_ref() != Some(&groups);
                }
                Err(reason) => {
                    let text = format!("{name}: {reason}; what it stood for before stays in force");
                    if failed.insert(name, reason.clone()).as_ref() != Some(&reason) {
                        tell(Err(text)).await;
                    }
                }
            }
        }
        if has_changed {
            tell(Ok(known.values().flatten().cloned().collect())).await;
        }
    }
}

/// Looks all names up, side by side.
async fn look(dns: &DnsDiscovery) -> Vec<(String, Look)> {
    let resolver = match resolver() {
        Ok(resolver) => resolver,
        Err(reason) => return dns.names.iter().map(|name| (name.clone(), Err(reason.clone()))).collect(),
    };
    let mut lookups = JoinSet::new();
    for name in dns.names.clone() {
        let (resolver, record, port) = (resolver.clone(), dns.record, dns.port);
        lookups.spawn(async move {
            let found = ask(&resolver, &name, record, port).await;
            (name, found)
        });
    }
    lookups.join_all().await
}

fn resolver() -> Result<TokioResolver, String> {
    let mut builder = TokioResolver::builder_tokio().map_err(|error| format!("the system's resolver: {error}"))?;
    let options = builder.options_mut();
    // Who asks each half minute wants to know what is true now; and hosts files know no records.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    builder.build().map_err(|error| format!("the system's resolver: {error}"))
}

/// The targets of a name.
async fn ask(resolver: &TokioResolver, name: &str, record: DnsRecord, port: u16) -> Look {
    let lookup = match resolver.lookup(name, record_type(record)).await {
        Ok(lookup) => lookup,
        Err(error) if error.is_nx_domain() || error.is_no_records_found() => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    let groups = lookup.answers().iter().filter_map(|answer| target(name, &answer.data, record, port));
    let mut groups: Vec<TargetGroup> = groups.collect();
    // Servers give them in another order each time.
    groups.sort_by(|left, right| (&left.targets, &left.labels).cmp(&(&right.targets, &right.labels)));
    groups.dedup();
    Ok(groups)
}

fn record_type(record: DnsRecord) -> RecordType {
    match record {
        DnsRecord::A => RecordType::A,
        DnsRecord::Aaaa => RecordType::AAAA,
        DnsRecord::Srv => RecordType::SRV,
        DnsRecord::Mx => RecordType::MX,
        DnsRecord::Ns => RecordType::NS,
    }
}

/// The target of a record; none of one that only leads to another name, or that was not asked for.
fn target(name: &str, data: &RData, wanted: DnsRecord, port: u16) -> Option<TargetGroup> {
    let named = |kind: &str, host: &Name| (format!("__meta_dns_{kind}_target"), host.to_ascii());
    let (host, port, mut labels) = match (data, wanted) {
        (RData::SRV(srv), DnsRecord::Srv) => {
            let port_label = ("__meta_dns_srv_record_port".to_owned(), srv.port.to_string());
            (srv.target.to_ascii(), srv.port, vec![named("srv_record", &srv.target), port_label])
        }
        (RData::MX(mx), DnsRecord::Mx) => (mx.exchange.to_ascii(), port, vec![named("mx_record", &mx.exchange)]),
        (RData::NS(ns), DnsRecord::Ns) => (ns.0.to_ascii(), port, vec![named("ns_record", &ns.0)]),
        (RData::A(address), DnsRecord::A) => (address.0.to_string(), port, Vec::new()),
        (RData::AAAA(address), DnsRecord::Aaaa) => (format!("[{}]", address.0), port, Vec::new()),
        _ => return None,
    };
    labels.insert(0, (NAME_LABEL.to_owned(), name.to_owned()));
    Some(TargetGroup { targets: vec![format!("{}:{port}", host.trim_end_matches('.'))], labels })
}
