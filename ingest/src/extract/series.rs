//! Series by small numbers, with what was counted in each during the batch at hand.

use watchfire_model::{LabelSet, Timestamp};

/// A series of the table, until the table is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SeriesId(u32);

/// A series, and the counts of one second of it.
struct Entry {
    labels: LabelSet,
    second_end: i64,
    late: bool,
    count: f64,
    /// Place of its newest observation.
    observed: Option<u32>,
}

/// The table.
#[derive(Default)]
pub(super) struct SeriesTable {
    entries: Vec<Entry>,
    /// Series with a count.
    touched: Vec<SeriesId>,
    /// Seconds that were finished within the batch.
    done: Vec<(SeriesId, i64, bool, f64)>,
}

/// End of the second that a moment belongs to: (e - 1 s, e].
fn second_end(at: Timestamp) -> i64 {
    let millis = at.millis();
    let over = millis.rem_euclid(1000);
    if over == 0 { millis } else { millis.saturating_add(1000 - over) }
}

impl SeriesTable {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds a series. Which label sets have one already is known by the callers.
    pub(super) fn add(&mut self, labels: LabelSet) -> SeriesId {
        self.entries.push(Entry { labels, second_end: 0, late: false, count: 0.0, observed: None });
        SeriesId(self.entries.len() as u32 - 1)
    }

    /// Counts events of a series.
    pub(super) fn count(&mut self, series: SeriesId, at: Timestamp, late: bool, count: f64) {
        let Some(entry) = self.entries.get_mut(series.0 as usize) else { return };
        let end = second_end(at);
        if entry.count == 0.0 {
            self.touched.push(series);
        } else if entry.second_end != end || entry.late != late {
            self.done.push((series, entry.second_end, entry.late, entry.count));
            entry.count = 0.0;
        }
        entry.second_end = end;
        entry.late = late;
        entry.count += count;
    }

    /// Gives every count as (labels, end of its second, late, count), those of a series one after the other, and forgets
    /// the counts.
    pub(super) fn take_counts(&mut self, mut give: impl FnMut(&LabelSet, Timestamp, bool, f64)) {
        for series in self.touched.drain(..) {
            if let Some(entry) = self.entries.get_mut(series.0 as usize)
                && entry.count != 0.0
            {
                self.done.push((series, entry.second_end, entry.late, entry.count));
                entry.count = 0.0;
            }
        }
        self.done.sort_by_key(|(series, ..)| *series);
        for (series, end, late, count) in self.done.drain(..) {
            if let Some(entry) = self.entries.get(series.0 as usize) {
                give(&entry.labels, Timestamp::from_millis(end), late, count);
            }
        }
    }

    /// Takes note of the place of the newest observation of a series, or of none; gives that of the one before.
    pub(super) fn observe(&mut self, series: SeriesId, place: Option<u32>) -> Option<u32> {
        let entry = self.entries.get_mut(series.0 as usize)?;
        std::mem::replace(&mut entry.observed, place)
    }

    /// The labels of a series.
    pub(super) fn labels(&self, series: SeriesId) -> LabelSet {
        self.entries.get(series.0 as usize).map(|entry| entry.labels.clone()).unwrap_or_default()
    }

    /// Forgets all series. Nothing may have been counted since the last [`SeriesTable::take_counts`].
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.touched.clear();
        self.done.clear();
    }
}
