//! Which fields matching records have, and the values that each has most often.

use std::time::Duration;

use crate::query::{Field, Query};
use crate::search::{SearchCost, TimeRange};
use crate::store::ValueCount;

/// A question for facets.
#[derive(Clone, Debug)]
pub struct FacetsRequest {
    /// What must be true of a record.
    pub query: Query,
    /// Of which event times.
    pub range: TimeRange,
    /// Whose values are counted. `None`: those of level, service, source and host, and of each field of a record's
    /// objects whose values are few; of the others it is told how many records have them.
    pub fields: Option<Vec<Field>>,
    /// Values of a field at most, the most frequent first.
    pub limit: usize,
    /// Time after which the work is given up.
    pub time_limit: Duration,
    /// Memory for values, bytes.
    pub memory_limit_bytes: usize,
}

impl FacetsRequest {
    /// The ten most frequent values of what there is, with default limits (30 s, 256 MiB).
    pub fn new(query: Query, range: TimeRange) -> FacetsRequest {
        FacetsRequest {
            query,
            range,
            fields: None,
            limit: 10,
            time_limit: Duration::from_secs(30),
            memory_limit_bytes: 256 << 20,
        }
    }
}

/// A field of the records that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facet {
    /// Which.
    pub field: Field,
    /// Records that have it (`field:*`).
    pub records: u64,
    /// How many records have each value, most frequent first; of a list each of its values. `None` if they were not
    /// asked for and are many.
    pub values: Option<Vec<ValueCount>>,
    /// There are so many different values that rare ones were dropped while counting: counts may be too low.
    pub is_approximate: bool,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacetsResponse {
    /// Records that match.
    pub total: u64,
    /// False if damaged blocks were left out, or records may be missing that the queue has lost.
    pub total_exact: bool,
    /// In the order asked for; else the record's own fields, then the others, those of most records first.
    pub facets: Vec<Facet>,
    /// What it took.
    pub cost: SearchCost,
}
