//! `/api/v1/logs/fields`: facets, that is which fields matching records have and their most frequent values.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::{Json, Router, routing};
use serde_json::{Map, Value, json};
use watchfire_log_store::facets::{Facet, FacetsRequest};
use watchfire_log_store::query::{Field, FieldName};
use watchfire_log_store::store::ValueCount;
use watchfire_model::Timestamp;

use crate::error::ApiError;
use crate::filters::{SEARCHED, filtered_query};
use crate::logs::{DEFAULT_RANGE_MS, time_range};
use crate::params::Params;
use crate::state::Api;
use crate::stats::{read_field, split};

/// Most values of a field in an answer.
const VALUES_MAX: usize = 1000;
/// Most fields of one question.
const FIELDS_MAX: usize = 50;
/// What an answer says beside the facets. A field of such a name is shown as `fields.total`.
const RESERVED: [&str; 6] = ["total", "total_exact", "took_ms", "records", "approximate", "damaged_blocks"];

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/api/v1/logs/fields", routing::get(fields).post(fields))
}

async fn fields(State(api): State<Arc<Api>>, params: Params) -> Result<Json<Value>, ApiError> {
    let begun = Instant::now();
    params.only(&[&SEARCHED, &["fields", "limit"]])?;
    let now = Timestamp::now();
    let asked = params.get("fields").map(read_fields).transpose()?;
    let range = time_range(&params, ("start", "end"), DEFAULT_RANGE_MS, now)?;
    let request = FacetsRequest {
        fields: asked.as_ref().map(|asked| asked.iter().map(|(_, field)| field.clone()).collect()),
        limit: params.number("limit", 10, VALUES_MAX)?,
        time_limit: api.limits.timeout,
        ..FacetsRequest::new(filtered_query(&params, now)?, range)
    };
    let response = api.store.facets(request).await?;
    let names: Vec<String> = match asked {
        Some(asked) => asked.into_iter().map(|(name, _)| name).collect(),
        None => response.facets.iter().map(|facet| full_name(&facet.field)).collect(),
    };
    let mut answer = facets(&names, &response.facets);
    answer.insert("total".to_owned(), json!(response.total));
    answer.insert("total_exact".to_owned(), json!(response.total_exact));
    answer.insert("took_ms".to_owned(), json!(begun.elapsed().as_millis() as u64));
    if response.cost.damaged_blocks > 0 {
        answer.insert("damaged_blocks".to_owned(), json!(response.cost.damaged_blocks));
    }
    Ok(Json(Value::Object(answer)))
}

/// The values of each field, and how many records have it.
fn facets(names: &[String], facets: &[Facet]) -> Map<String, Value> {
    let mut answer = Map::new();
    let mut records = Map::new();
    let mut approximate = Vec::new();
    for (name, facet) in names.iter().zip(facets) {
        records.insert(name.clone(), json!(facet.records));
        if let Some(values) = &facet.values {
            let row = |counted: &ValueCount| json!({"value": counted.value, "count": counted.count});
            answer.insert(name.clone(), values.iter().map(row).collect());
        }
        if facet.is_approximate {
            approximate.push(name.clone());
        }
    }
    answer.insert("records".to_owned(), Value::Object(records));
    if !approximate.is_empty() {
        answer.insert("approximate".to_owned(), json!(approximate));
    }
    answer
}

/// The fields asked for, each with the name that the answer uses.
fn read_fields(list: &str) -> Result<Vec<(String, Field)>, ApiError> {
    let mut fields: Vec<(String, Field)> = Vec::new();
    for name in split(list) {
        let field = read_field("fields", &name, "/api/v1/logs/stats counts by time")?;
        if fields.iter().all(|(_, known)| *known != field) {
            let name = if RESERVED.contains(&name.as_str()) { full_name(&field) } else { name };
            fields.push((name, field));
        }
    }
    if fields.len() > FIELDS_MAX {
        let problem = format!("{} fields are more than {FIELDS_MAX}, the most there may be", fields.len());
        return Err(ApiError::bad_parameter("fields", problem));
    }
    Ok(fields)
}

/// `service`, `tags.env`, `fields.status`: nothing left out.
fn full_name(field: &Field) -> String {
    FieldName(field).to_string()
}
