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

use watchfire_model::sample::HISTOGRAM_NAN_BITS;
use watchfire_model::{Histogram, ResetHint};

use super::column::{ABSENT, Column};
use super::context::Context;
use super::limits::{EvalError, Guard};

/// Upper half of the bits of a value that stands for a histogram.
const MARK: u64 = HISTOGRAM_NAN_BITS as u64;

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
pub(crate) struct Shelf {
    /// Those of the lowest numbers, as long as other cores look into them: their shelves lie on them too.
    below: RefCell<Option<Below>>,
    own: RefCell<Vec<Arc<Histogram>>>,
}

/// Histograms that several cores see.
pub(crate) type Below = Arc<Vec<Arc<Histogram>>>;

impl Shelf {
    /// One that lies on others.
    pub(crate) fn on(below: Option<Below>) -> Shelf {
        Shelf { below: RefCell::new(below), ..Shelf::default() }
    }

    /// Lets other cores look into what is here, until it is no longer shared.
    pub(crate) fn share(&self) -> Option<Below> {
        let mut below = self.below.borrow_mut();
        if below.is_none() && !self.own.borrow().is_empty() {
            *below = Some(Arc::new(self.own.take()));
        }
        below.clone()
    }

    /// Nobody else looks into it any more.
    pub(crate) fn unshare(&self) {
        let Some(below) = self.below.take() else { return };
        let mut all = Arc::unwrap_or_clone(below);
        all.append(&mut self.own.borrow_mut());
        self.own.replace(all);
    }

    fn len(&self) -> usize {
        self.len_below() + self.own.borrow().len()
    }

    fn len_below(&self) -> usize {
        self.below.borrow().as_ref().map_or(0, |below| below.len())
    }

    fn is_empty(&self) -> bool {
        self.own.borrow().is_empty() && self.below.borrow().is_none()
    }

    /// The histogram that a value stands for.
    pub(crate) fn get(&self, value: f64) -> Option<Arc<Histogram>> {
        let number = number(value)?;
        match self.below.borrow().as_ref() {
            Some(below) if number < below.len() => below.get(number).cloned(),
            below => self.own.borrow().get(number - below.map_or(0, |below| below.len())).cloned(),
        }
    }
}

/// The number of the histogram that a value stands for: its lower half.
fn number(value: f64) -> Option<usize> {
    is_histogram(value).then_some((value.to_bits() & 0xffff_ffff) as usize)
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
        let shelf = other.shelf();
        if shelf.own.borrow().is_empty() {
            return Ok(());
        }
        let first = shelf.len_below();
        for value in values.iter_mut().filter(|value| number(**value).is_some_and(|number| number >= first)) {
            if let Some(histogram) = shelf.get(*value) {
                *value = self.put(histogram)?;
            }
        }
        Ok(())
    }

    fn put(&self, histogram: Arc<Histogram>) -> Result<f64, EvalError> {
        self.guard.tick()?;
        self.guard.reserve(histogram.memory_bytes())?;
        let shelf = self.guard.shelf();
        let number = u32::try_from(shelf.len())
            .map_err(|_| EvalError::Memory { limit: self.guard.limits().memory_max_bytes })?;
        shelf.own.borrow_mut().push(histogram);
        Ok(f64::from_bits(MARK << 32 | u64::from(number)))
    }

    /// How many histograms there are, for [`Context::forget_since`].
    pub(crate) fn shelved(&self) -> usize {
        self.guard.shelf().len()
    }

    /// Forgets the histograms that came since there were so many, but those that these values stand for. No other value
    /// may stand for one of them.
    pub(crate) fn forget_since<'v>(&self, many: usize, values: impl Iterator<Item = &'v mut f64>) {
        let shelf = self.guard.shelf();
        // What others look into stays.
        let many = many.max(shelf.len_below());
        if shelf.len() <= many {
            return;
        }
        let first = shelf.len_below();
        let mut all = shelf.own.borrow_mut();
        let newer = all.split_off(many - first);
        // The new number of each that stays.
        let mut kept: Vec<Option<u32>> = vec![None; newer.len()];
        for value in values.filter(|value| is_histogram(**value)) {
            let Some(at) = number(*value).and_then(|number| number.checked_sub(many)) else { continue };
            let Some(number) = kept.get_mut(at) else { continue };
            // There are no more than before.
            let number = *number.get_or_insert_with(|| {
                all.push(newer[at].clone());
                (first + all.len() - 1) as u32
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
