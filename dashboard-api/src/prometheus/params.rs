//! Parameters as Prometheus reads them.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use tokio::sync::OwnedSemaphorePermit;
use watchfire_engine::TimeRange;
use watchfire_model::{Matcher, MatcherBudget, Timestamp};
use watchfire_query_lang::Query;

use super::go::{self, duration_ns, number, whole_number};
use super::known::Known;
use super::moment::Moment;
use super::reply::{Refused, parse_problem};
use crate::error::ApiError;
use crate::params::{Params, shown};
use crate::state::Api;

/// What is said where there is no query.
const NO_QUERY: &str = "unknown position: parse error: no expression found in input";
/// A time as [`Asked::time`] reads it.
fn time(text: &str) -> Option<Moment> {
    // Unix seconds of any size; some clients send the times at the ends of what Go can hold.
    if let Some(seconds) = number(text) {
        return Some(Moment::of_seconds(seconds));
    }
    match text {
        "-292273086-05-16T16:47:06Z" => return Some(Moment::MIN),
        "+292277025-08-18T07:12:54.999999999Z" | "292277025-08-18T07:12:54.999999999Z" => return Some(Moment::MAX),
        _ => {}
    }
    // What our own endpoints know beside dates is known here, too; what stands before or behind it is a mistake.
    go::time(text).or_else(|| {
        let is_of_ours = text.trim().len() == text.len() && Timestamp::parse_date_time(text).is_none();
        is_of_ours.then(|| Timestamp::parse_parameter(text, Timestamp::now()).ok()).flatten().map(Moment::of)
    })
}

fn no_time(text: &str) -> String {
    format!("cannot parse {:?} to a valid timestamp", shown(text))
}

/// The parameters of a call to Prometheus' API.
pub(crate) struct Asked {
    pub(crate) params: Params,
    /// Held as long as they are, if they take one.
    _place: Option<OwnedSemaphorePermit>,
}

impl FromRequest<Arc<Api>> for Asked {
    type Rejection = Refused;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Asked, Refused> {
        let (params, place) = Params::without_unreadable(request, &api.long_forms).await?;
        Ok(Asked { params, _place: place })
    }
}

impl Asked {
    /// What is wrong with a pair of the form that was passed over, for the calls that look for it.
    pub(super) fn fault(&self) -> Option<String> {
        self.params.fault().map(|fault| format!("error parsing form values: {fault}"))
    }

    /// Errors: a pair of the form was passed over.
    pub(super) fn whole_form(&self) -> Result<(), Refused> {
        self.fault().map_or(Ok(()), |fault| Err(Refused::bad_data(fault)))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.params.get(name)
    }

    /// The query.
    pub(super) async fn query(&self, api: &Api) -> Result<Query, Refused> {
        let query = api.reading.read(self.query_text()?, Query::parse).await?;
        query.map_err(|error| Refused::parse("query", &error))
    }

    /// The query of a call that says what is wrong with it without naming the parameter.
    pub(super) async fn query_alone(&self, api: &Api) -> Result<Query, Refused> {
        let text = self.get("query").ok_or_else(|| Refused::bad_data(NO_QUERY))?;
        api.reading.read(text, Query::parse).await?.map_err(|error| Refused::bad_data(parse_problem(&error)))
    }

    /// The query, read once for all who ask it.
    pub(super) async fn known_query(&self, api: &Arc<Api>) -> Result<Arc<Known>, Refused> {
        let by = api.clone();
        let known = api.reading.read(self.query_text()?, move |text| by.known_queries.read(text)).await?;
        known.map_err(|error| Refused::parse("query", &error))
    }

    fn query_text(&self) -> Result<&str, Refused> {
        let text = self.get("query").unwrap_or_default();
        match text.is_empty() {
            true => Err(Refused::parameter("query", NO_QUERY)),
            false => Ok(text),
        }
    }

    /// A time: unix seconds with fraction, RFC 3339 with a zone, or what our own endpoints know beside dates (`now-1h`).
    pub(super) fn time(&self, name: &str) -> Result<Option<Moment>, Refused> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let invalid = || Refused::parameter(name, format!("invalid time value for '{name}': {}", no_time(text)));
        time(text).map(Some).ok_or_else(invalid)
    }

    /// A time that must be there.
    pub(super) fn needed_time(&self, name: &str) -> Result<Moment, Refused> {
        let text = self.get(name).unwrap_or_default();
        time(text).ok_or_else(|| Refused::parameter(name, no_time(text)))
    }

    /// A duration in nanoseconds: seconds with fraction, or `1h30m`. No number is the shortest of all, as for Prometheus.
    ///
    /// Errors: what is wrong with it, without the name of the parameter.
    pub(super) fn duration_ns(&self, name: &str) -> Result<Option<i64>, String> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let invalid = |why| format!("cannot parse {:?} to a valid duration{why}", shown(text));
        match number(text).map(|seconds| seconds * 1e9) {
            Some(nanos) if nanos.is_nan() => Ok(Some(i64::MIN)),
            // The cast saturates at the one number that is no `i64`.
            Some(nanos) if nanos.abs() <= i64::MAX as f64 => Ok(Some(nanos as i64)),
            Some(_) => Err(invalid(". It overflows int64")),
            None => duration_ns(text).map(Some).ok_or_else(|| invalid("")),
        }
    }

    /// Most items wanted; all of them if 0 or absent.
    pub(super) fn limit(&self) -> Result<usize, Refused> {
        let Some(text) = self.get("limit") else { return Ok(usize::MAX) };
        match whole_number(text) {
            Err(problem) => Err(Refused::parameter("limit", format!("strconv.Atoi: {problem}"))),
            Ok(..0) => Err(Refused::parameter("limit", "limit must be non-negative")),
            Ok(0) => Ok(usize::MAX),
            Ok(limit) => Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
        }
    }

    /// The selectors of `match[]`. The error inside says what is wrong with one, without the name of the parameter; one that
    /// every series meets is none.
    pub(super) async fn matchers(&self, api: &Api) -> Result<Result<Vec<Vec<Matcher>>, String>, ApiError> {
        let is_met_by_all = |matchers: &Vec<Matcher>| matchers.iter().all(|matcher| matcher.matches_empty());
        let selectors = self.matchers_of_any(api).await?;
        Ok(selectors.and_then(|selectors| match selectors.iter().any(is_met_by_all) {
            true => Err("match[] must contain at least one non-empty matcher".to_owned()),
            false => Ok(selectors),
        }))
    }

    /// The selectors of `match[]`, be they such that every series meets them. Errors: as [`Asked::matchers`].
    pub(super) async fn matchers_of_any(&self, api: &Api) -> Result<Result<Vec<Vec<Matcher>>, String>, ApiError> {
        let read = |texts: &[String]| {
            let mut budget = MatcherBudget::default();
            let selectors = texts.iter().map(|text| {
                let matchers = Query::parse_selector_of_any(text).map_err(|error| parse_problem(&error))?;
                budget.add(&matchers).map_err(|error| error.to_string())?;
                Ok(matchers)
            });
            selectors.collect()
        };
        api.reading.read_all(self.params.all("match[]"), read).await
    }

    /// `start` and `end`, if either is given.
    pub(super) fn range(&self) -> Result<Option<TimeRange>, Refused> {
        let (start, end) = (self.time("start")?, self.time("end")?);
        if start.is_none() && end.is_none() {
            return Ok(None);
        }
        // Ranges of the engine are left-open, those of Prometheus hold both ends.
        let start = start.map_or(i64::MIN, |start| start.millis().millis().saturating_sub(1));
        let end = end.map_or(i64::MAX, |end| end.millis().millis());
        Ok(Some(TimeRange { start: Timestamp::from_millis(start), end: Timestamp::from_millis(end) }))
    }
}
