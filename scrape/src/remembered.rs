//! What is remembered of a target from one scrape to the next: its series, by the very text in which it shows them.
//!
//! A quiet scrape so costs a look-up per sample, and no labels are taken apart. A series that was there at the last
//! scrape and is not there now ends with a staleness marker.

use std::sync::Arc;

use watchfire_engine::{AppendError, BatchSeries, Engine, SampleBatch, SeriesHandle, SeriesKind};
use watchfire_model::sample::STALE_NAN_BITS;
use watchfire_model::{LabelError, Timestamp};

use crate::metadata::{Families, Notes};
use crate::sample_labels::{self, LabelFault};
use crate::scrape::Of;
use watchfire_exposition::labels::Labels;
use watchfire_exposition::protobuf::Native;
use watchfire_exposition::{Entry, ParseError, Parser, Series};
use watchfire_model::labels::METRIC_NAME;

const STALE: f64 = f64::from_bits(STALE_NAN_BITS);

/// Why a body is no scrape. Nothing of it counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("{0}")]
    Parse(#[from] ParseError),
    #[error("{0}")]
    Labels(#[from] LabelFault),
    #[error("{0}")]
    LabelSet(#[from] LabelError),
    #[error("there are {samples} samples, more than `sample_limit` {limit}")]
    SampleLimit { samples: u64, limit: u64 },
}

/// How many samples a body had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// All of them.
    pub(crate) scraped: u64,
    /// Those that rules left.
    pub(crate) kept: u64,
    /// Series that were not there before.
    pub(crate) added: u64,
}

/// A series of the target.
struct Shown {
    known: Known,
    /// The round in which it was seen last.
    round: u64,
    /// It ends when it vanishes: its times are ours.
    ends: bool,
}

enum Known {
    /// By the rules.
    Dropped,
    /// It is in the batch of this round for the first time.
    Fresh(BatchSeries),
    Stored(SeriesHandle),
    /// It was not stored.
    Refused,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Remembered {
    shown: foldhash::HashMap<Box<[u8]>, Shown>,
    notes: Notes,
    /// Texts that are fresh in this round.
    fresh: Vec<Box<[u8]>>,
    /// The engine is to hear what the target says about its metrics: they, or what is said, is new.
    is_to_tell: bool,
    /// How many of what is shown was seen in this round.
    seen: usize,
    round: u64,
    /// The round whose series are going on, if the last scrape was a success.
    live_round: Option<u64>,
    /// Series that went on under rules that are not in force any more.
    orphans: Vec<SeriesHandle>,
}

impl Remembered {
    /// The rules have changed: what they made of the texts is forgotten. Series that do not come again end.
    pub(crate) fn forget_rules(&mut self) {
        let live_round = self.live_round.take();
        for shown in std::mem::take(&mut self.shown).into_values() {
            if let (Known::Stored(handle), true) = (shown.known, shown.ends && live_round == Some(shown.round)) {
                self.orphans.push(handle);
            }
        }
    }

    /// Reads a body into a batch; native histograms stand for the samples at their places in it.
    ///
    /// Errors: the body is no scrape; call [`Remembered::fail`] with another batch then. The counts are right so far.
    pub(crate) fn read(
        &mut self,
        mut parser: Parser<'_>,
        natives: Vec<Native>,
        of: &Of<'_>,
        batch: &mut SampleBatch,
        counts: &mut Counts,
    ) -> Result<(), BodyError> {
        self.round += 1;
        self.seen = 0;
        self.fresh.clear();
        self.notes.begin();
        let mut labels = Labels::default();
        let mut natives = natives.into_iter().peekable();
        while let Some(entry) = parser.next_entry()? {
            let Entry::Sample { series, value, at_ms, exemplar } = entry else {
                self.notes.note(&entry, self.round);
                continue;
            };
            let native = natives.next_if(|native| native.at == series.at());
            let own_time = at_ms.filter(|_| of.config.honor_timestamps);
            let ends = own_time.is_none() || of.config.track_timestamps_staleness;
            let named = match self.again(series, ends, batch) {
                Some(named) => {
                    counts.scraped += 1;
                    named
                }
                None => {
                    parser.labels(series, &mut labels)?;
                    // A line that cannot be read is none of those that were.
                    counts.scraped += 1;
                    let kept = sample_labels::finish(&mut labels, of.target, of.config)?;
                    self.first_time(series, ends, kept.then_some(&labels), batch, counts)?
                }
            };
            if let Some(named) = named {
                counts.kept += 1;
                let at = own_time.map_or(of.at, Timestamp::from_millis);
                match native {
                    Some(Native { histogram, exemplars, .. }) => {
                        batch.push_native(named, at, histogram);
                        exemplars.into_iter().for_each(|exemplar| batch.push_exemplar(named, exemplar));
                    }
                    None => batch.push(named, at, value),
                }
                if let Some(exemplar) = exemplar.and_then(|exemplar| exemplar.kept(at)) {
                    batch.push_exemplar(named, exemplar);
                }
            }
        }
        match of.config.limits.samples {
            limit @ 1.. if counts.kept > limit => Err(BodyError::SampleLimit { samples: counts.kept, limit }),
            _ => Ok(()),
        }
    }

    /// A series by its text, if that was seen before; the inner `None` if its samples do not count.
    fn again(&mut self, series: Series<'_>, ends: bool, batch: &mut SampleBatch) -> Option<Option<BatchSeries>> {
        let shown = self.shown.get_mut(series.text)?;
        if let Known::Refused = shown.known {
            // There may be room by now.
            return None;
        }
        if shown.round != self.round {
            shown.round = self.round;
            self.seen += 1;
        }
        shown.ends = ends;
        match &shown.known {
            Known::Dropped => Some(None),
            Known::Fresh(named) => Some(Some(*named)),
            Known::Stored(handle) => Some(Some(batch.series_again(handle))),
            Known::Refused => None,
        }
    }

    /// Notes a text; without labels, that it is dropped.
    fn first_time(
        &mut self,
        series: Series<'_>,
        ends: bool,
        labels: Option<&Labels<'_>>,
        batch: &mut SampleBatch,
        counts: &mut Counts,
    ) -> Result<Option<BatchSeries>, BodyError> {
        let mut named = None;
        if let Some(labels) = labels {
            let said = self.notes.type_of(labels.get(METRIC_NAME));
            let mut pairs: Vec<(&str, &str)> = labels.iter().collect();
            named = Some(batch.series_of(SeriesKind::Samples(said), &mut pairs)?);
        }
        let known = named.map_or(Known::Dropped, Known::Fresh);
        let before = self.shown.insert(series.text.into(), Shown { known, round: self.round, ends });
        self.seen += 1;
        if named.is_some() {
            counts.added += u64::from(before.is_none());
            self.is_to_tell = true;
            self.fresh.push(series.text.into());
        }
        Ok(named)
    }

    /// What a body that was read says about its metrics, if it is not what the one before said.
    pub(crate) fn families(&mut self) -> Option<Arc<Families>> {
        let families = self.notes.end(self.round);
        self.is_to_tell |= families.is_some();
        families
    }

    /// The body was good: what was there before and is not there now ends.
    pub(crate) fn succeed(&mut self, at: Timestamp, batch: &mut SampleBatch) {
        if self.seen < self.shown.len() {
            let (round, live_round) = (self.round, self.live_round);
            self.shown.retain(|_, shown| {
                if let (Known::Stored(handle), true) = (&shown.known, shown.ends && live_round == Some(shown.round)) {
                    end(handle, at, batch);
                }
                shown.round == round
            });
        }
        // The engine refuses those that have a sample at this time already: they go on.
        self.orphans.drain(..).for_each(|handle| end(&handle, at, batch));
        self.live_round = Some(self.round);
    }

    /// The scrape failed, or the target has gone: all that went on ends.
    pub(crate) fn fail(&mut self, at: Timestamp, batch: &mut SampleBatch) {
        // What the body showed for the first time is known from now on, but not stored.
        for text in self.fresh.drain(..) {
            if let Some(shown) = self.shown.get_mut(&text) {
                shown.known = Known::Refused;
            }
        }
        self.is_to_tell = false;
        // Of bodies that fail again and again only the last is remembered.
        let round = self.round;
        self.shown.retain(|_, shown| !matches!(shown.known, Known::Refused) || shown.round == round);
        let live_round = self.live_round.take();
        for shown in self.shown.values() {
            // A body that was read in part has marked some as seen.
            let was_live = live_round.is_some_and(|live| shown.round >= live);
            if let (Known::Stored(handle), true) = (&shown.known, shown.ends && was_live) {
                end(handle, at, batch);
            }
        }
        self.orphans.drain(..).for_each(|handle| end(&handle, at, batch));
    }

    /// The batch is in the engine: keeps the series that are new there, and tells it what is said about them.
    ///
    /// Errors: the log cannot be written.
    pub(crate) fn keep_fresh(&mut self, engine: &Engine, batch: &SampleBatch) -> Result<(), AppendError> {
        for text in self.fresh.drain(..) {
            let Some(shown) = self.shown.get_mut(&text) else { continue };
            let Known::Fresh(named) = shown.known else { continue };
            shown.known = match engine.handle_of(batch, named) {
                Some(handle) => Known::Stored(handle),
                None => Known::Refused,
            };
        }
        match std::mem::take(&mut self.is_to_tell) {
            true => engine.describe(self.notes.said()),
            false => Ok(()),
        }
    }
}

fn end(handle: &SeriesHandle, at: Timestamp, batch: &mut SampleBatch) {
    let named = batch.series_again(handle);
    batch.push(named, at, STALE);
}
