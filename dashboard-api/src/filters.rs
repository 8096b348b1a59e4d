//! From the parameters of a call to a query: the search text, and filters whose values are data, never parsed.

use watchfire_log_store::query::{Field, FilterError, Query, parse};
use watchfire_model::Timestamp;
use watchfire_model::record::Core;

use crate::error::ApiError;
use crate::params::Params;

/// The filters of a search, by the names of their parameters.
const FILTERS: [(&str, Field); 4] = [
    ("level", Field::Level),
    ("service", Field::Core(Core::Service)),
    ("source", Field::Core(Core::Source)),
    ("host", Field::Core(Core::Host)),
];

/// The names of these filters.
pub const FILTER_NAMES: [&str; 4] = ["level", "service", "source", "host"];

/// What every question about records takes: query, filters, range.
pub const SEARCHED: [&str; 7] = ["q", "start", "end", "level", "service", "source", "host"];

/// `q`, and comma lists of `level`, `service`, `source` and `host`, all of which must hold.
pub fn filtered_query(params: &Params, now: Timestamp) -> Result<Query, ApiError> {
    let text = params.get("q").unwrap_or_default();
    with_filters(parse(text, now)?, params, &FILTERS)
}

/// A query, and the comma lists of these parameters.
pub fn with_filters(query: Query, params: &Params, filters: &[(&str, Field)]) -> Result<Query, ApiError> {
    filters.iter().try_fold(query, |query, (name, field)| {
        let list = params.get(name).unwrap_or_default();
        query.with_list(field, list).map_err(|error: FilterError| ApiError::bad_parameter(name, error))
    })
}
