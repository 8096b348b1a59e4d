//! New series counted by what the catalogue has to know of them, which is the same for many.

use std::collections::HashMap;

use watchfire_model::labels::METRIC_NAME;

use crate::kind::SeriesKind;
use crate::pairs::Pairs;

/// Series counted by their form: what they hold, their metric and the names of their labels. What the catalogue has to
/// know is the same for all of a form.
#[derive(Default)]
pub(crate) struct Forms<'k> {
    all: HashMap<Vec<u32>, Form<'k>, foldhash::fast::RandomState>,
    form: Vec<u32>,
    /// The number of the name of metrics, once there is one.
    metric: Option<u32>,
}

/// Series of the same form.
pub(crate) struct Form<'k> {
    /// The place of the first of the series.
    pub(crate) first: usize,
    pub(crate) kind: SeriesKind,
    /// Of one of the series.
    pub(crate) key: &'k [u8],
    pub(crate) series: u32,
}

impl<'k> Forms<'k> {
    /// Counts a series at this place.
    pub(crate) fn count(&mut self, first: usize, kind: SeriesKind, key: &'k [u8], of_series: &[u32], pairs: &Pairs) {
        self.form.clear();
        self.form.push(u32::from(kind.code()));
        self.metric = self.metric.or_else(|| pairs.name(METRIC_NAME.as_bytes()));
        for pair in of_series {
            let name = pairs.name_of(*pair);
            self.form.extend(name);
            if name.is_some() && name == self.metric {
                self.form.push(*pair);
            }
        }
        match self.all.get_mut(&self.form) {
            Some(form) => form.series += 1,
            None => {
                self.all.insert(self.form.clone(), Form { first, kind, key, series: 1 });
            }
        }
    }

    /// All of them, in no order.
    pub(crate) fn into_all(self) -> impl Iterator<Item = Form<'k>> {
        self.all.into_values()
    }
}
