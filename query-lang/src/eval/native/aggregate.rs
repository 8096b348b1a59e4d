//! `sum` and `avg` of histograms, for one group at one step.

use watchfire_model::Histogram;

use super::notes::{Note, mixed_in_aggregation, mixed_schemas};
use super::total::Total;
use crate::ast::Span;
use crate::eval::context::Context;

/// What has been seen of a group: nothing, floats, histograms, or what does not go together.
#[derive(Default)]
pub(crate) struct Group {
    has_float: bool,
    has_histogram: bool,
    is_incompatible: bool,
    /// What there is to say of that.
    note: Option<Note>,
    total: Option<Total>,
}

impl Group {
    pub fn see_float(&mut self) {
        // What follows on histograms that do not go together is not looked at.
        self.has_float |= !self.is_incompatible;
    }

    /// Adds a histogram of a metric.
    pub fn add(&mut self, histogram: &Histogram, metric: &str, is_mean: bool) {
        if self.is_incompatible {
            return;
        }
        self.has_histogram = true;
        match &mut self.total {
            // With floats before it nothing comes of it.
            None if self.has_float => {}
            None => self.total = Some(Total::of(histogram, is_mean)),
            Some(total) => {
                if total.add(histogram).is_err() {
                    self.note = Some(mixed_schemas(metric));
                    self.is_incompatible = true;
                }
            }
        }
    }

    /// Whether there are histograms, so that the floats do not count.
    pub fn has_histogram(&self) -> bool {
        self.has_histogram
    }

    /// The result, if they go together.
    pub fn result(&self, ctx: &Context, about: Span) -> Option<Histogram> {
        let notes = self.total.as_ref().and_then(Total::reconciliation);
        notes.into_iter().chain(self.note.clone()).for_each(|note| ctx.note(note, about));
        if self.has_float && self.has_histogram {
            ctx.note(mixed_in_aggregation(), about);
            return None;
        }
        let total = self.total.as_ref().filter(|_| !self.is_incompatible)?;
        total.collision().into_iter().for_each(|note| ctx.note(note, about));
        let mut result = total.result();
        result.compact();
        Some(result)
    }
}
