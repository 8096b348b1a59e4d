//! `metrics.backend`: the cluster that answers queries.

use std::time::Duration;

use watchfire_metrics_backend::Address;
use watchfire_scrape::config::Text;
use watchfire_yaml::section::Section;

use super::read::web_address;
use super::{remote_write, scrape_http};

/// Largest answer that is read, bytes.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Reads the section, if it is there.
pub fn read(metrics: &mut Section<'_>) -> Option<Address> {
    let node = metrics.named("backend")?;
    let path = metrics.name("backend");
    let mut section = Section::new(&path, Some(node), metrics.faults());
    let expected = "an address (write http://mimir.example.org/prometheus)";
    let url = section.parsed_secret("url", expected, web_address).map(|url| Text::Inline(url.into()));
    let url_file = section.path("url_file").map(Text::File);
    section.exclude("url", "url_file");
    if section.node("url").is_none() && section.node("url_file").is_none() {
        section.fault(node.place, format!("`{path}` needs `url` (or `url_file`): what stands before /api/v1/query"));
    }
    let headers = remote_write::read_headers(&mut section);
    let http = scrape_http::read(&mut section);
    let timeout_ms = section.duration_or("timeout", 1, 30_000);
    section.finish();
    let timeout = Duration::from_millis(timeout_ms.unsigned_abs());
    Some(Address { url: url.or(url_file)?, headers, http, timeout, answer_bytes_max: ANSWER_BYTES_MAX })
}
