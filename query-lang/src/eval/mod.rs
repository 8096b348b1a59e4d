//! What is the value of a query at time t? A pure function of data and time.

mod limits;

pub use limits::{CancelToken, EvalError, Limits};
