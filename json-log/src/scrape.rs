//! A line of `scrape_failure_log_file`.

use serde::Serialize;
use watchfire_model::Timestamp;

/// A scrape that got no answer that can be taken.
pub struct FailedScrape<'s> {
    /// Why.
    pub error: &'s str,
    /// The job of the target.
    pub job_name: &'s str,
    /// Its URL.
    pub target: &'s str,
}

#[derive(Serialize)]
pub(crate) struct Line<'s> {
    time: String,
    level: &'static str,
    source: &'static str,
    msg: &'s str,
    job_name: &'s str,
    target: &'s str,
}

impl<'s> FailedScrape<'s> {
    /// The keys of Prometheus, in its order; it names the place in its source, too.
    pub(crate) fn line(&self) -> Line<'s> {
        Line {
            time: Timestamp::now().to_rfc3339(),
            level: "ERROR",
            source: concat!("scrape.rs:", line!()),
            msg: self.error,
            job_name: self.job_name,
            target: self.target,
        }
    }
}
