//! Native histograms among the values of an expression.
//!
//! A column holds floats. Where a series has a histogram at a step, the float is a NaN that no arithmetic makes, whose
//! lower half is the number of the histogram in a shelf of the evaluation: so values are copied, joined and picked
//! without looking at what they are, and where there is no histogram in an evaluation nobody looks for one. Whoever
//! calculates with values asks first; what must not see histograms drops them.

pub(crate) mod aggregate;
pub(crate) mod arithmetic;
pub(crate) mod distribution;
pub(crate) mod estimate;
pub(crate) mod notes;
pub(crate) mod text;
pub(crate) mod total;
pub(crate) mod window;

use std::cell::RefCell;
use std::sync::Arc;

use watchfire_model::{Histogram, ResetHint};

use super::column::{ABSENT, Column};
use super::context::Context;
use super::limits::{EvalError, Guard};

/// Upper half of the bits of a value that stands for a histogram: a NaN that is not quiet, which no processor makes.
const MARK: u64 = 0xfff0_4849;

/// Whether a value stands for a histogram.
pub(crate) fn is_histogram(value: f64) -> bool {
    value.to_bits() >> 32 == MARK
}

/// The value without what its histogram says of a reset: that is about the sample before it in its series, which need not
/// be the one before it in a subquery.
pub(crate) fn without_hint(ctx: &Context, value: f64) -> Result<f64, EvalError> {
    let Some(histogram) = ctx.histogram(value) else { return Ok(value) };
    match histogram.hint() {
        ResetHint::Reset | ResetHint::NotReset => {
            let mut unknown = (*histogram).clone();
            unknown.set_hint(ResetHint::Unknown);
            ctx.shelve(unknown)
        }
        ResetHint::Unknown | ResetHint::Gauge => Ok(value),
    }
}

/// The histograms of an evaluation.
#[derive(Debug, Default)]
pub(crate) struct Shelf(RefCell<Vec<Arc<Histogram>>>);

impl Shelf {
    fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// The histogram that a value stands for.
    pub(crate) fn get(&self, value: f64) -> Option<Arc<Histogram>> {
        if !is_histogram(value) {
            return None;
        }
        // The lower half is the number.
        self.0.borrow().get((value.to_bits() & 0xffff_ffff) as usize).cloned()
    }
}

impl Context<'_> {
    /// Whether any value can stand for a histogram.
    pub(crate) fn has_histograms(&self) -> bool {
        !self.guard.shelf().is_empty()
    }

    /// Whether any value of these columns does.
    pub(crate) fn hold_histograms(&self, columns: &[Column]) -> bool {
        self.has_histograms() && columns.iter().any(|column| column.values.iter().any(|value| is_histogram(*value)))
    }

    /// The histogram that a value stands for.
    pub(crate) fn histogram(&self, value: f64) -> Option<Arc<Histogram>> {
        self.guard.shelf().get(value)
    }

    /// A value that stands for a histogram.
    pub(crate) fn shelve(&self, histogram: Histogram) -> Result<f64, EvalError> {
        self.put(Arc::new(histogram))
    }

    /// Makes values that stand for histograms of another guard stand for the same histograms here.
    pub(crate) fn adopt(&self, other: &Guard, values: &mut [f64]) -> Result<(), EvalError> {
        if other.shelf().is_empty() {
            return Ok(());
        }
        for value in values {
            if let Some(histogram) = other.shelf().get(*value) {
                *value = self.put(histogram)?;
            }
        }
        Ok(())
    }

    fn put(&self, histogram: Arc<Histogram>) -> Result<f64, EvalError> {
        self.guard.tick()?;
        self.guard.reserve(histogram.memory_bytes())?;
        let mut all = self.guard.shelf().0.borrow_mut();
        let number =
            u32::try_from(all.len()).map_err(|_| EvalError::Memory { limit: self.guard.limits().memory_max_bytes })?;
        all.push(histogram);
        Ok(f64::from_bits(MARK << 32 | u64::from(number)))
    }

    /// How many histograms there are, for [`Context::forget_since`].
    pub(crate) fn shelved(&self) -> usize {
        self.guard.shelf().0.borrow().len()
    }

    /// Forgets the histograms that came since there were so many, but those that these values stand for. No other value
    /// may stand for one of them.
    pub(crate) fn forget_since<'v>(&self, many: usize, values: impl Iterator<Item = &'v mut f64>) {
        let mut all = self.guard.shelf().0.borrow_mut();
        if all.len() <= many {
            return;
        }
        let newer = all.split_off(many);
        // The new number of each that stays.
        let mut kept: Vec<Option<u32>> = vec![None; newer.len()];
        for value in values.filter(|value| is_histogram(**value)) {
            let Some(at) = ((value.to_bits() & 0xffff_ffff) as usize).checked_sub(many) else { continue };
            let Some(number) = kept.get_mut(at) else { continue };
            // There are no more than before.
            let number = *number.get_or_insert_with(|| {
                all.push(newer[at].clone());
                (all.len() - 1) as u32
            });
            *value = f64::from_bits(MARK << 32 | u64::from(number));
        }
        let gone = newer.iter().zip(&kept).filter(|(_, kept)| kept.is_none());
        self.guard.release(gone.map(|(histogram, _)| histogram.memory_bytes()).sum());
    }

    /// Takes histograms out of columns; says whether there were any.
    pub(crate) fn drop_histograms(&self, columns: &mut [Column]) -> bool {
        if !self.has_histograms() {
            return false;
        }
        let mut any = false;
        for value in columns.iter_mut().flat_map(|column| &mut column.values).filter(|value| is_histogram(**value)) {
            *value = ABSENT;
            any = true;
        }
        any
    }
}
