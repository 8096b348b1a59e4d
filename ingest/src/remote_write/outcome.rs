//! What becomes of a request, as its sender is told: counted as he counts, and a series as people write it.

use std::fmt::Write;

use watchfire_model::labels::METRIC_NAME;
use watchfire_model::text::cut;

/// Refusals told in one answer; all are counted.
const TOLD_MAX: usize = 10;
/// Longest text of a series in a refusal, bytes.
const SERIES_TEXT_BYTES_MAX: usize = 200;
/// Memory of what a sender counts as one, bytes.
pub(super) const COUNTED_BYTES: usize = size_of::<Counted>();

/// What became of the samples of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Samples that are stored now, repeats of such included.
    pub(crate) samples: u64,
    /// Native histograms, likewise.
    pub(crate) histograms: u64,
    /// Exemplars, likewise. What has labels that are too long, or is of no series, is passed over, as with Prometheus; what is
    /// out of order, too, in the first version.
    pub(crate) exemplars: u64,
    /// What was not taken, by reason.
    pub(crate) refused: Vec<(&'static str, u64)>,
    /// The first refusals, for people.
    pub(crate) told: Vec<String>,
}

impl Outcome {
    /// Notes so many refusals for a reason; `tell` says what, for people.
    pub(super) fn refuse(&mut self, reason: &'static str, count: u64, tell: impl FnOnce() -> String) {
        match self.refused.iter_mut().find(|(have, _)| *have == reason) {
            Some((_, have)) => *have += count,
            None => self.refused.push((reason, count)),
        }
        if self.told.len() < TOLD_MAX {
            self.told.push(tell());
        }
    }
}

/// What a sender counts as one, and is several points here, or none of his.
struct Counted {
    /// The number of its first point in the batch.
    first: u32,
    /// A refusal of one of its points is told, as none was before.
    is_to_tell: bool,
}

/// What the points of a batch are for their sender, if he counts something else; by their numbers, ascending.
#[derive(Default)]
pub(super) struct SenderCounts(Vec<Counted>);

impl SenderCounts {
    /// The points from this number on are one for the sender, or none of his.
    pub(super) fn begin(&mut self, first: u32, is_his: bool) {
        self.0.push(Counted { first, is_to_tell: is_his });
    }

    /// Whether it is to be told that a point, by its number, is refused; it is told then.
    pub(super) fn tells(&mut self, point: u32) -> bool {
        let of = self.0.partition_point(|counted| counted.first <= point).checked_sub(1);
        let of = of.and_then(|at| self.0.get_mut(at));
        of.is_none_or(|counted| std::mem::take(&mut counted.is_to_tell))
    }
}

/// A series as people write it, cut when it is long.
pub(super) fn series_text(pairs: &[(&str, &str)]) -> String {
    let name = pairs.iter().find(|(name, _)| *name == METRIC_NAME).map_or("", |(_, value)| value);
    let mut text = format!("{name}{{");
    for (index, (name, value)) in pairs.iter().filter(|(name, _)| *name != METRIC_NAME).enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}{name}={value:?}");
        if text.len() > SERIES_TEXT_BYTES_MAX {
            break;
        }
    }
    text.push('}');
    if text.len() > SERIES_TEXT_BYTES_MAX {
        text.truncate(cut(&text, SERIES_TEXT_BYTES_MAX).len());
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_written_as_people_write_it() {
        assert_eq!(series_text(&[("__name__", "up"), ("job", "a\"b"), ("x", "é")]), "up{job=\"a\\\"b\", x=\"é\"}");
        let long = "é".repeat(1000);
        let text = series_text(&[("__name__", "up"), ("job", &long)]);
        assert!(text.len() < SERIES_TEXT_BYTES_MAX + 8 && text.ends_with('…'), "{text}");
        assert_eq!(series_text(&[]), "{}");
    }

    #[test]
    fn what_a_sender_counts_as_one_is_refused_once() {
        let mut counts = SenderCounts::default();
        assert!(counts.tells(0) && counts.tells(0), "each for itself");
        counts.begin(2, true);
        counts.begin(5, false);
        counts.begin(6, true);
        let told: Vec<u32> = [0, 1, 2, 3, 4, 5, 6, 7].into_iter().filter(|point| counts.tells(*point)).collect();
        assert_eq!(told, [0, 1, 2, 6]);
    }
}
