//! `/api/v1/logs/stats`: figures over matching records, by fields and time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::{Json, Router, routing};
use serde_json::{Map, Value, json};
use watchfire_log_store::query::{Field, Number};
use watchfire_log_store::stats::{Figure, Measure, MeasureError, StatsRequest, StatsRow};
use watchfire_model::Timestamp;

use crate::error::ApiError;
use crate::filters::{SEARCHED, filtered_query};
use crate::logs::{DEFAULT_RANGE_MS, LIMIT_MAX, time_range};
use crate::metrics::{number, read_step};
use crate::params::{Params, shown};
use crate::state::Api;

/// Most fields to group by.
const BY_MAX: usize = 8;
/// Most figures of one question.
const MEASURES_MAX: usize = 32;

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/api/v1/logs/stats", routing::get(stats).post(stats))
}

/// A question, and the names that its answer uses: those that were asked with.
struct Asked {
    request: StatsRequest,
    by: Vec<String>,
    values: Vec<String>,
}

async fn stats(State(api): State<Arc<Api>>, params: Params) -> Result<Json<Value>, ApiError> {
    let begun = Instant::now();
    let Asked { request, by, values } = read_request(api.limits.timeout, &params, Timestamp::now())?;
    let step_ms = request.step_ms;
    let response = api.store.stats(request).await?;
    let rows: Vec<Value> = response.rows.iter().map(|stats| row(stats, &by, &values)).collect();
    let mut answer = json!({
        "rows": rows,
        "groups": response.groups,
        "total_exact": response.is_exact,
        "took_ms": begun.elapsed().as_millis() as u64,
    });
    if let Some(step_ms) = step_ms {
        answer["step"] = json!(step_ms);
    }
    if response.cost.damaged_blocks > 0 {
        answer["damaged_blocks"] = json!(response.cost.damaged_blocks);
    }
    Ok(Json(answer))
}

fn read_request(time_limit: Duration, params: &Params, now: Timestamp) -> Result<Asked, ApiError> {
    params.only(&[&SEARCHED, &["by", "values", "step", "limit"]])?;
    let range = time_range(params, ("start", "end"), DEFAULT_RANGE_MS, now)?;
    let by: Vec<String> = split(params.get("by").unwrap_or_default());
    if by.len() > BY_MAX {
        return Err(ApiError::bad_parameter(
            "by",
            format!("{} fields are more than {BY_MAX}, the most there may be", by.len()),
        ));
    }
    let field = |name: &String| read_field("by", name, "group by time with `step=1m`");
    let fields = by.iter().map(field).collect::<Result<_, _>>()?;
    let values: Vec<String> = split(params.get("values").unwrap_or("count"));
    if values.len() > MEASURES_MAX {
        let problem = format!("{} figures are more than {MEASURES_MAX}, the most there may be", values.len());
        return Err(ApiError::bad_parameter("values", problem));
    }
    let measures = values.iter().map(|text| Measure::parse(text).map_err(wrong_measure)).collect::<Result<_, _>>()?;
    let step_ms = params.get("step").map(|text| read_step("step", text)).transpose()?;
    let request = StatsRequest {
        by: fields,
        measures,
        step_ms,
        limit: params.number("limit", 100, LIMIT_MAX)?,
        time_limit,
        ..StatsRequest::new(filtered_query(params, now)?, range)
    };
    Ok(Asked { request, by, values })
}

fn wrong_measure(error: MeasureError) -> ApiError {
    let hint = match &error {
        MeasureError::Unknown(_) => {
            "write count, distinct(FIELD), sum(FIELD), avg(FIELD), min(FIELD), max(FIELD) or p95(FIELD)"
        }
        MeasureError::NeedsField(_) => "name a field, as in avg(duration_ms)",
        MeasureError::NoField(_) => "name a field of the record, or one of yours as fields.x",
        MeasureError::NoNumber(_) => "count its values with distinct(FIELD)",
        MeasureError::Object(_) => "name one of them, as in distinct(tags.env)",
        MeasureError::EachRecord(_) => "count the records with count",
    };
    ApiError::bad_parameter("values", error).hint(hint)
}

/// The field of a name in a parameter, of which values are told apart; `of_time` is the hint for one that is another in
/// each record.
pub fn read_field(parameter: &str, name: &str, of_time: &str) -> Result<Field, ApiError> {
    let wrong = |problem: &str| ApiError::bad_parameter(parameter, format!("`{}` {problem}", shown(name)));
    let field = Field::parse(name).ok_or_else(|| wrong("is no field"))?;
    if field.is_each_records() {
        return Err(wrong("is another in each record").hint(of_time));
    }
    if field.is_object() {
        return Err(wrong("holds named values and has none itself").hint(format!("name one of them: {field}.x")));
    }
    Ok(field)
}

/// The items of a list, at commas outside of brackets.
pub fn split(list: &str) -> Vec<String> {
    let mut depth = 0usize;
    let items = list.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    items.map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

fn row(row: &StatsRow, by: &[String], values: &[String]) -> Value {
    let by: Map<String, Value> = by.iter().cloned().zip(row.by.iter().map(|text| json!(text))).collect();
    let figures = row.figures.iter().map(|figure| figure.value.map_or(Value::Null, shown_number));
    let figures: Map<String, Value> = values.iter().cloned().zip(figures).collect();
    let mut answer = json!({ "by": by, "values": figures });
    if let Some(time_ms) = row.time_ms {
        answer["time"] = json!(time_ms);
    }
    if row.figures.iter().any(|Figure { is_approximate, .. }| *is_approximate) {
        answer["approximate"] = json!(true);
    }
    answer
}

fn shown_number(value: Number) -> Value {
    match value {
        Number::Int(int) => json!(int),
        Number::Float(float) => number(float),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_cut_outside_of_brackets() {
        assert_eq!(split("count, distinct(a,b) ,p95(x),"), ["count", "distinct(a,b)", "p95(x)"]);
        assert_eq!(split("avg(x)),sum(y"), ["avg(x))", "sum(y"]);
        assert!(split(" , ").is_empty());
    }
}
