//! Distributions: what the merged histograms of a window say.

use watchfire_engine::SeriesView;

use super::over::Tally;
use crate::ast::ShortOp;
use crate::eval::context::Context;
use crate::eval::limits::EvalError;

fn not_yet() -> EvalError {
    EvalError::NotYet { what: "a query of distributions".to_owned(), hint: None }
}

pub(super) fn tally(_: &Context, _: ShortOp, _: &SeriesView, _: i64, _: i64, _: &mut Tally) -> Result<(), EvalError> {
    Err(not_yet())
}

pub(super) fn count(_: &Context, _: &SeriesView, _: i64, _: i64) -> Result<Option<f64>, EvalError> {
    Err(not_yet())
}

pub(super) fn quantile(_: &Context, _: f64, _: &[SeriesView], _: i64, _: i64) -> Result<Option<f64>, EvalError> {
    Err(not_yet())
}
