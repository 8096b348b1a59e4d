//! What there is: `series`, `labels`, `label/{name}/values`, `metadata`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use http::Uri;
use serde::Serialize;
use watchfire_engine::TimeRange;
use watchfire_model::Matcher;
use watchfire_query_lang::{EvalError, Notes};

use super::go::whole_number;
use super::params::Asked;
use super::plain::nothing;
use super::reply::{Refused, Reply, in_background, success_bytes};
use super::write;
use crate::detour;
use crate::error::ApiError;
use crate::params::shown;
use crate::state::Api;

/// Said where a list was cut.
pub(super) const TRUNCATED: &str = "results truncated due to limit";
/// Routes of this file.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/series", routing::get(series).post(series))
        .route("/api/v1/labels", routing::get(labels).post(labels))
        .route("/api/v1/label/{name}/values", routing::get(values))
        .route("/api/v1/metadata", routing::get(metadata))
}

/// Cuts a list; what is to be said of it.
fn cut<T>(list: &mut Vec<T>, most: usize) -> Notes {
    let is_cut = list.len() > most;
    list.truncate(most);
    Notes { warnings: if is_cut { vec![TRUNCATED.to_owned()] } else { Vec::new() }, infos: Vec::new() }
}

/// A selection that the caller got wrong is bad data, as with Prometheus.
fn told(error: EvalError) -> Refused {
    match error {
        EvalError::Parameter { reason } => Refused::bad_data(reason),
        error => error.into(),
    }
}

async fn series(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refused> {
    asked.whole_form()?;
    if asked.params.all("match[]").next().is_none() {
        return Err(Refused::bad_data("no match[] parameter provided"));
    }
    let (most, range) = (asked.limit()?, asked.range()?);
    let selectors = asked.matchers(&api).await?.map_err(|problem| Refused::parameter("match[]", problem))?;
    in_background(move || {
        let mut sets = api.metrics.series(&selectors, range).map_err(told)?;
        let notes = cut(&mut sets, most);
        let mut reply = Reply::new();
        reply.data().push(b'[');
        for (index, labels) in sets.iter().enumerate() {
            if index > 0 {
                reply.data().push(b',');
            }
            write::labels(reply.data(), labels);
        }
        reply.data().push(b']');
        Ok(reply.finish(&notes))
    })
    .await
}

async fn labels(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refused> {
    texts(api, asked, |api, selectors, range| api.metrics.label_names(selectors, range)).await
}

async fn values(
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
    address: Uri,
    asked: Asked,
) -> Result<Response, Refused> {
    let Path(name) = name.map_err(ApiError::from)?;
    // Without a name the path has an empty part.
    if let Some(response) = detour::shortened(&address) {
        return Ok(response);
    }
    // There a slash divides a path however it is written.
    if name.contains('/') {
        return Ok(nothing().into_response());
    }
    let name = name.strip_prefix("U__").map(unescaped).unwrap_or(name);
    if name.is_empty() {
        return Err(Refused::bad_data("invalid label name: \"\""));
    }
    texts(api, asked, move |api, selectors, range| api.metrics.label_values(&name, selectors, range)).await
}

/// Names or values.
async fn texts(
    api: Arc<Api>,
    asked: Asked,
    list: impl FnOnce(&Api, &[Vec<Matcher>], Option<TimeRange>) -> Result<Vec<String>, EvalError> + Send + 'static,
) -> Result<Response, Refused> {
    let (most, range) = (asked.limit()?, asked.range()?);
    let selectors = asked.matchers(&api).await?.map_err(Refused::bad_data)?;
    in_background(move || {
        let mut list = list(&api, &selectors, range).map_err(told)?;
        let notes = cut(&mut list, most);
        success_bytes(&list, &notes)
    })
    .await
}

/// A name as Prometheus' clients escape it for a path: `__` is `_`, `_2e_` is the character of that number.
fn unescaped(escaped: &str) -> String {
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find('_') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('_') {
            out.push('_');
            rest = after;
            continue;
        }
        let code = rest.split_once('_').and_then(|(hex, after)| {
            let is_hex = (1..=6).contains(&hex.len()) && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
            let code = u32::from_str_radix(hex, 16).ok().filter(|_| is_hex)?;
            Some((char::from_u32(code)?, after))
        });
        match code {
            Some((character, after)) => {
                out.push(character);
                rest = after;
            }
            // Not escaped by those rules: as it stands.
            None => return format!("U__{escaped}"),
        }
    }
    out.push_str(rest);
    out
}

/// What is said of a metric family.
#[derive(PartialEq, Serialize)]
struct Metadata {
    r#type: &'static str,
    help: String,
    unit: String,
}

/// A number that bounds a list; negative ones bound nothing.
pub(super) fn bound(asked: &Asked, name: &str) -> Result<usize, Refused> {
    let Some(text) = asked.get(name) else { return Ok(usize::MAX) };
    let number = whole_number(text).map_err(|_| Refused::bad_data(format!("{name} must be a number")))?;
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}

/// Types, helps and units of metric families: what the targets of now say of one, else what was said last.
async fn metadata(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refused> {
    let most = bound(&asked, "limit")?;
    // Zero bounds nothing, as with Prometheus.
    let most_of_each = match bound(&asked, "limit_per_metric")? {
        0 => usize::MAX,
        most => most,
    };
    let only = asked.get("metric").map(|name| shown(name).to_owned());
    in_background(move || {
        let is_asked = |name: &str| only.as_ref().is_none_or(|only| only == name);
        let mut rows: BTreeMap<String, Vec<Metadata>> = BTreeMap::new();
        for target in api.scraper.targets().active {
            for (name, said) in target.last.families.iter().filter(|(name, _)| is_asked(name)) {
                let (help, unit) = (said.help.clone(), said.unit.clone());
                let (said, row) =
                    (Metadata { r#type: said.kind.as_str(), help, unit }, rows.entry(name.clone()).or_default());
                if row.len() < most_of_each && !row.contains(&said) {
                    row.push(said);
                }
            }
        }
        for family in api.metrics.families(only.as_deref().unwrap_or_default())? {
            if is_asked(&family.name) {
                let [help, unit] =
                    [family.help, family.unit].map(|text| text.as_deref().unwrap_or_default().to_owned());
                let said = || vec![Metadata { r#type: family.declared.as_str(), help, unit }];
                rows.entry(family.name.to_string()).or_insert_with(said);
            }
        }
        success_bytes(&rows.into_iter().take(most).collect::<BTreeMap<_, _>>(), &Notes::default())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn escaped_names() {
        for (escaped, name) in [
            ("my_2e_metric", "my.metric"),
            ("a__b", "a_b"),
            ("_1f600_x", "\u{1f600}x"),
            ("plain", "plain"),
            ("a_zz_b", "U__a_zz_b"),
            ("a_", "U__a_"),
            ("a_110000_", "U__a_110000_"),
        ] {
            assert_eq!(unescaped(escaped), name);
        }
    }
}
