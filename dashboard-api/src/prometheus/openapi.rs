//! `GET /api/v1/openapi.yaml`: what is answered here of Prometheus' API, in the words of OpenAPI 3.1.

use std::sync::{Arc, LazyLock};

use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use http::header;

use crate::exposition::push;
use crate::state::Api;

/// A call.
struct Call {
    /// Below `/api/v1`.
    path: &'static str,
    /// A method and the name of the operation by it, those of several.
    methods: &'static [(&'static str, &'static str)],
    tag: &'static str,
    summary: &'static str,
    /// Names; `!` behind those that must be there.
    parameters: &'static [&'static str],
    answer: Answer,
}

/// What is answered when it went well.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    /// The usual object of Prometheus' API.
    Json,
    /// 204, without a body.
    Nothing,
    /// Bytes of this type.
    Bytes(&'static str),
    /// Always an error: that it is off.
    Off,
}

use Answer::{Bytes, Json, Nothing, Off};

const QUERY: &[&str] = &["query!", "time", "timeout", "limit", "lookback_delta", "stats"];
const QUERY_RANGE: &[&str] = &["query!", "start!", "end!", "step!", "timeout", "limit", "lookback_delta", "stats"];
const RULES: &[&str] =
    &["type", "rule_name[]", "rule_group[]", "file[]", "match[]", "exclude_alerts", "group_limit", "group_next_token"];

const fn call(
    path: &'static str,
    methods: &'static [(&'static str, &'static str)],
    tag: &'static str,
    summary: &'static str,
    parameters: &'static [&'static str],
    answer: Answer,
) -> Call {
    Call { path, methods, tag, summary, parameters, answer }
}

#[rustfmt::skip]
const CALLS: &[Call] = &[
    call("/query", &[("get", "query"), ("post", "query-post")], "query", "The value of a query at one moment", QUERY, Json),
    call("/query_range", &[("get", "query-range"), ("post", "query-range-post")], "query", "The values of a query over a range of time", QUERY_RANGE, Json),
    call("/query_exemplars", &[("get", "query-exemplars"), ("post", "query-exemplars-post")], "query", "The exemplars of the series that a query reads", &["query!", "start", "end"], Json),
    call("/format_query", &[("get", "format-query"), ("post", "format-query-post")], "query", "A query in its canonical form", &["query!"], Json),
    call("/parse_query", &[("get", "parse-query"), ("post", "parse-query-post")], "query", "A query as a tree", &["query!"], Json),
    call("/labels", &[("get", "labels"), ("post", "labels-post")], "labels", "Names of labels", &["match[]", "start", "end", "limit"], Json),
    call("/label/{name}/values", &[("get", "label-values")], "labels", "Values of a label", &["match[]", "start", "end", "limit"], Json),
    call("/search/metric_names", &[("get", "search-metric-names"), ("post", "search-metric-names-post")], "metadata", "Names of metrics like a text", &[], Off),
    call("/search/label_names", &[("get", "search-label-names"), ("post", "search-label-names-post")], "labels", "Names of labels like a text", &[], Off),
    call("/search/label_values", &[("get", "search-label-values"), ("post", "search-label-values-post")], "labels", "Values of a label like a text", &[], Off),
    call("/series", &[("get", "series"), ("post", "series-post")], "series", "The labels of series", &["match[]!", "start", "end", "limit"], Json),
    call("/metadata", &[("get", "get-metadata")], "metadata", "Type, help and unit of metrics", &["metric", "limit", "limit_per_metric"], Json),
    call("/scrape_pools", &[("get", "get-scrape-pools")], "targets", "The jobs that are scraped", &[], Json),
    call("/scrape_pools/config", &[("get", "get-scrape-pool-config")], "targets", "How a job is scraped", &["scrapePool!"], Json),
    call("/targets", &[("get", "get-targets")], "targets", "The targets that are scraped, and those that rules dropped", &["scrapePool", "state"], Json),
    call("/targets/metadata", &[("get", "get-targets-metadata")], "targets", "What targets say of their metrics", &["match_target", "metric", "limit"], Json),
    call("/targets/relabel_steps", &[("get", "get-targets-relabel-steps")], "targets", "What the rules of a job make of labels", &["scrapePool!", "labels!"], Json),
    call("/rules", &[("get", "rules")], "rules", "Rules, and how they stand", RULES, Json),
    call("/alerts", &[("get", "alerts")], "alerts", "Alerts that are pending or firing", &[], Json),
    call("/alertmanagers", &[("get", "alertmanagers")], "alerts", "None: alerts are told by receivers of our own", &[], Json),
    call("/status/config", &[("get", "get-status-config")], "status", "The jobs of the configuration", &[], Json),
    call("/status/runtimeinfo", &[("get", "get-status-runtimeinfo")], "status", "How the server stands", &[], Json),
    call("/status/buildinfo", &[("get", "get-status-buildinfo")], "status", "Which version this is", &[], Json),
    call("/status/flags", &[("get", "get-status-flags")], "status", "The settings that are flags of Prometheus", &[], Json),
    call("/status/tsdb", &[("get", "status-tsdb")], "status", "Of what there are most series", &["limit"], Json),
    call("/status/tsdb/blocks", &[("get", "status-tsdb-blocks")], "status", "None: samples do not lie in such blocks", &[], Json),
    call("/status/walreplay", &[("get", "get-status-walreplay")], "status", "That the log was read", &[], Json),
    call("/status/self_metrics", &[("get", "get-status-self-metrics")], "status", "Metrics of the server itself", &["metric_name_pattern"], Json),
    call("/admin/tsdb/delete_series", &[("put", "deleteSeriesPut"), ("post", "deleteSeriesPost")], "admin", "Deletes samples", &["match[]!", "start", "end"], Nothing),
    call("/admin/tsdb/clean_tombstones", &[("put", "cleanTombstonesPut"), ("post", "cleanTombstonesPost")], "admin", "Nothing: what is deleted leaves no tombstones", &[], Nothing),
    call("/admin/tsdb/snapshot", &[("put", "snapshotPut"), ("post", "snapshotPost")], "admin", "Copies all series", &["skip_head"], Json),
    call("/read", &[("post", "remoteRead")], "remote", "Remote-read", &[], Bytes("application/x-protobuf")),
    call("/write", &[("post", "remoteWrite")], "remote", "Remote-write 1.0 and 2.0", &[], Nothing),
    call("/otlp/v1/metrics", &[("post", "otlpWrite")], "otlp", "Metrics by OTLP", &[], Bytes("application/x-protobuf")),
    call("/notifications", &[("get", "get-notifications")], "notifications", "What whoever looks at the server should know", &[], Json),
    call("/notifications/live", &[("get", "notifications-live")], "notifications", "The same as it comes", &[], Bytes("text/event-stream")),
    call("/features", &[("get", "get-features")], "features", "What of Prometheus is here", &[], Json),
];

/// Routes of this file.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/api/v1/openapi.yaml", routing::get(openapi))
}

async fn openapi() -> Response {
    static DOCUMENT: LazyLock<String> = LazyLock::new(document);
    let headers = [(header::CONTENT_TYPE, "application/yaml; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, DOCUMENT.as_str()).into_response()
}

const HEAD: &str = "\
openapi: 3.1.0
info:
  title: The API of Prometheus, as Watchfire answers it
  description: Parameters of calls by POST may stand in a form.
  version: VERSION
servers:
  - url: /api/v1
paths:
";

const COMPONENTS: &str = "\
components:
  schemas:
    Time:
      description: Seconds since 1970, with decimals, or RFC 3339.
      oneOf: [{type: number}, {type: string}]
    Duration:
      description: Seconds, with decimals, or whole numbers with their units, as in `1h30m`.
      oneOf: [{type: number}, {type: string}]
    Success:
      type: object
      required: [status]
      properties:
        status: {const: success}
        data: {description: What was asked for.}
        warnings: {type: array, items: {type: string}}
        infos: {type: array, items: {type: string}}
    Error:
      type: object
      required: [status, errorType, error]
      properties:
        status: {const: error}
        errorType: {type: string}
        error: {type: string}
";

fn document() -> String {
    let mut out = HEAD.replace("VERSION", env!("CARGO_PKG_VERSION"));
    for call in CALLS {
        push(&mut out, format_args!("  {}:\n", call.path));
        for (method, operation) in call.methods {
            push(
                &mut out,
                format_args!("    {method}:\n      tags: [{}]\n      summary: \"{}\"\n", call.tag, call.summary),
            );
            push(&mut out, format_args!("      operationId: {operation}\n"));
            put_parameters(&mut out, call);
            put_answers(&mut out, call.answer);
        }
    }
    out + COMPONENTS
}

fn put_parameters(out: &mut String, call: &Call) {
    let in_path = call.path.contains("{name}").then_some(("name", "path", true));
    let in_query = call.parameters.iter().map(|name| {
        let needed = name.strip_suffix('!');
        (needed.unwrap_or(name), "query", needed.is_some())
    });
    let mut parameters = in_path.into_iter().chain(in_query).peekable();
    if parameters.peek().is_some() {
        out.push_str("      parameters:\n");
    }
    for (name, place, is_needed) in parameters {
        let schema = schema(name);
        push(
            out,
            format_args!("        - {{name: \"{name}\", in: {place}, required: {is_needed}, schema: {schema}}}\n"),
        );
    }
}

fn schema(name: &str) -> &'static str {
    match name {
        "start" | "end" | "time" => "{$ref: \"#/components/schemas/Time\"}",
        "step" | "timeout" | "lookback_delta" => "{$ref: \"#/components/schemas/Duration\"}",
        "limit" | "limit_per_metric" | "group_limit" => "{type: integer}",
        name if name.ends_with("[]") => "{type: array, items: {type: string}}",
        _ => "{type: string}",
    }
}

fn put_answers(out: &mut String, answer: Answer) {
    let json = |schema: &str| format!("{{application/json: {{schema: {{$ref: \"#/components/schemas/{schema}\"}}}}}}");
    out.push_str("      responses:\n");
    match answer {
        Json => {
            push(out, format_args!("        \"200\": {{description: \"The answer.\", content: {}}}\n", json("Success")))
        }
        Nothing => out.push_str("        \"204\": {description: \"It is done.\"}\n"),
        Bytes(kind) => {
            push(out, format_args!("        \"200\": {{description: \"The answer.\", content: {{{kind}: {{}}}}}}\n"))
        }
        Off => {}
    }
    let why = if answer == Off { "It is switched off." } else { "Why there is no answer." };
    push(out, format_args!("        default: {{description: \"{why}\", content: {}}}\n", json("Error")));
}
