//! A line of `query_log_file`, and the statistics of a query, which answers tell too.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use watchfire_model::Timestamp;

/// A query that was evaluated.
pub struct LoggedQuery<'q> {
    /// Its text.
    pub query: &'q str,
    /// Its first time, and its only one at a single moment.
    pub start: Timestamp,
    /// Its last time.
    pub end: Timestamp,
    /// Distance between two times, milliseconds; 0 at a single moment.
    pub step_ms: i64,
    /// Why it has no answer.
    pub error: Option<String>,
    /// What it took.
    pub stats: QueryStats,
    /// Who asked.
    pub origin: Origin<'q>,
}

/// Who asked a query.
pub enum Origin<'q> {
    /// A request.
    Request {
        /// Its sender's address.
        client: IpAddr,
        /// Its method.
        method: &'q str,
        /// Its path, without parameters.
        path: &'q str,
    },
    /// A rule.
    RuleGroup {
        /// The file of its group.
        file: &'q str,
        /// The name of its group.
        name: &'q str,
    },
}

/// How long the parts of a query took, and what it read.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryStats {
    /// To read its text.
    pub prepared: Duration,
    /// Until somebody had time for it.
    pub queued: Duration,
    /// To evaluate it.
    pub evaluated: Duration,
    /// How many samples were read; `None` where nobody knows.
    pub samples_read: Option<u64>,
    /// The same as Prometheus counts them, where that was asked for.
    pub counted: Option<SamplesCounted>,
}

/// Samples that a query looked at, each step for itself.
#[derive(Clone, Copy, Debug)]
pub struct SamplesCounted {
    /// All of each window.
    pub queryable: u64,
    /// Of each window those that the one before did not have.
    pub read: u64,
}

impl QueryStats {
    /// Prometheus' statistics. Where nobody asked for more, every sample counts once, whatever the number of windows that
    /// it lies in. Results are sorted as a part of the evaluation.
    pub fn to_json(self) -> Value {
        let evaluated = self.evaluated.as_secs_f64();
        let mut stats = json!({
            "timings": {
                "evalTotalTime": evaluated,
                "resultSortTime": 0,
                "queryPreparationTime": self.prepared.as_secs_f64(),
                "innerEvalTime": evaluated,
                "execQueueTime": self.queued.as_secs_f64(),
                "execTotalTime": (self.prepared + self.queued + self.evaluated).as_secs_f64(),
            },
        });
        if let Some(once) = self.samples_read {
            let SamplesCounted { queryable, read } =
                self.counted.unwrap_or(SamplesCounted { queryable: once, read: once });
            stats["samples"] = json!({"totalQueryableSamples": queryable, "samplesRead": read, "peakSamples": once});
        }
        stats
    }
}

#[derive(Serialize)]
pub(crate) struct Line<'q> {
    time: String,
    level: &'static str,
    source: &'static str,
    msg: &'static str,
    params: Params<'q>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'q str>,
    stats: Value,
    #[serde(rename = "spanID")]
    span_id: &'static str,
    #[serde(rename = "traceID")]
    trace_id: &'static str,
    #[serde(rename = "httpRequest", skip_serializing_if = "Option::is_none")]
    http_request: Option<HttpRequest<'q>>,
    #[serde(rename = "ruleGroup", skip_serializing_if = "Option::is_none")]
    rule_group: Option<RuleGroup<'q>>,
}

#[derive(Serialize)]
struct Params<'q> {
    end: String,
    query: &'q str,
    start: String,
    step: i64,
}

#[derive(Serialize)]
struct HttpRequest<'q> {
    #[serde(rename = "clientIP")]
    client_ip: IpAddr,
    method: &'q str,
    path: &'q str,
}

#[derive(Serialize)]
struct RuleGroup<'q> {
    file: &'q str,
    name: &'q str,
}

impl LoggedQuery<'_> {
    /// The keys of Prometheus, in its order. Steps are whole seconds there; ids of spans are zeros where nothing is traced.
    pub(crate) fn line(&self) -> Line<'_> {
        let (http_request, rule_group) = match self.origin {
            Origin::Request { client, method, path } => (Some(HttpRequest { client_ip: client, method, path }), None),
            Origin::RuleGroup { file, name } => (None, Some(RuleGroup { file, name })),
        };
        Line {
            time: Timestamp::now().to_rfc3339(),
            level: "INFO",
            source: concat!("query.rs:", line!()),
            msg: "promql query logged",
            params: Params {
                end: self.end.to_rfc3339(),
                query: self.query,
                start: self.start.to_rfc3339(),
                step: self.step_ms / 1000,
            },
            error: self.error.as_deref(),
            stats: self.stats.to_json(),
            span_id: "0000000000000000",
            trace_id: "00000000000000000000000000000000",
            http_request,
            rule_group,
        }
    }
}
