//! `watchfire push metric`: one value.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::pair;
use crate::failure::{Failure, Outcome};
use crate::server::Connection;
use crate::time::Zone;

/// `push metric`
#[derive(Args, Clone, Debug)]
pub struct Metric {
    /// The metric and its value.
    #[arg(value_name = "NAME=VALUE", value_parser = value)]
    metric: (String, f64),
    /// Its labels.
    #[arg(value_name = "LABEL=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// What kind of metric it is.
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    kind: Option<Kind>,
    /// When it was so; now unless said.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    time: Option<String>,
    #[command(flatten)]
    zone: Zone,
    #[command(flatten)]
    connection: Connection,
}

/// Kinds of metrics.
#[derive(ValueEnum, Clone, Copy, Debug)]
enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up, or starts again from zero.
    Counter,
    /// One observation of a distribution.
    Histogram,
}

fn value(text: &str) -> Result<(String, f64), String> {
    let (name, text) = pair(text)?;
    let value = match text.as_str() {
        "+Inf" | "Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().map_err(|_| format!("`{text}` is no number"))?,
    };
    Ok((name, value))
}

/// JSON has no words for what is no finite number; the API takes them as text.
fn json_number(value: f64) -> Value {
    if value.is_finite() {
        return json!(value);
    }
    json!(if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    })
}

impl Metric {
    /// Sends it.
    pub async fn run(self) -> Result<Outcome, Failure> {
        let (name, value) = self.metric;
        let mut labels = BTreeMap::new();
        for (label, value) in self.labels {
            if let Some(before) = labels.get(&label) {
                let problem = format!("label `{label}` is given twice, as `{before}` and as `{value}`; keep one");
                return Err(Failure::Usage(problem));
            }
            labels.insert(label, value);
        }
        let mut body = json!({"name": name, "value": json_number(value), "labels": labels});
        if let Some(kind) = self.kind {
            body["type"] = json!(match kind {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
                Kind::Histogram => "histogram",
            });
        }
        if let Some(time) = self.zone.read("--time", self.time.as_deref())? {
            body["timestamp"] = json!(time.millis());
        }
        let server = self.connection.open()?;
        let request = server.request(Method::POST, "/api/v1/metrics", &[]).header(CONTENT_TYPE, "application/json");
        let response = server.send(request.body(body.to_string())).await?;
        server.accepted(response, None).await?;
        Ok(Outcome::Complete)
    }
}
