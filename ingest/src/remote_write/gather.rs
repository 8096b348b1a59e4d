//! What is read of a request: a batch for the engine, and what could not be taken.

use watchfire_engine::{
    AppendError, BatchSeries, Engine, Exemplar, FamilyType, MetricType, Said, SampleBatch, SeriesKind, Spelling,
    Spellings,
};
use watchfire_model::histogram::HistogramError;
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::sample::STALE_NAN_BITS;
use watchfire_model::{Histogram, Timestamp};

use super::histogram::{self, Sent};
use super::outcome::{COUNTED_BYTES, Outcome, SenderCounts, series_text};
use super::v1::EXEMPLAR_BYTES;
use super::{ReadError, Version};
use watchfire_protobuf::{Field, Malformed};

/// The label of the series that bear the very name of their summary.
const QUANTILE: &str = "quantile";
/// Labels that are read of a series at all; the engine's own limit is lower.
const LABELS_MAX: usize = 1 << 16;
/// Memory that is asked for at once, bytes.
const STEP_BYTES: usize = 64 << 10;
/// Memory of a sample here, in the batch, and on its way into the engine's log, bytes.
const SAMPLE_BYTES: usize = 64;
/// Memory of a histogram here, in the batch, and on its way into the engine's log, bytes; its buckets aside.
const HISTOGRAM_BYTES: usize = 512;
/// Memory of one of its buckets, likewise: 16 bytes, and at most 9 in each of what becomes the log's record, bytes.
const BUCKET_BYTES: usize = 48;
/// Memory of what is read of a histogram for each byte of its message, until its buckets are made, bytes.
const READ_BYTES: usize = 64;
/// Messages of histograms up to this long, bytes, are read without asking for that.
const SMALL_MESSAGE_BYTES: usize = 64 << 10;
/// Memory of a histogram that is left in the body until it is stored, bytes.
const LEFT_BYTES: usize = size_of::<Field<'_>>();
/// Memory of all histograms of a request from which on they are stored piece by piece, and of a piece, bytes.
const PIECE_BYTES: usize = 16 << 20;
/// What a series and its sample usually take in a body, bytes.
const SERIES_BYTES_USUAL: usize = 256;
/// Most series that room is made for before they are there.
const SERIES_EXPECTED_MAX: usize = 4096;
/// Memory of a series here and in the batch, its texts aside, bytes.
const SERIES_BYTES: usize = 128;

/// One series of a request while it is read.
#[derive(Default)]
pub(super) struct Draft<'b> {
    /// Labels as they lie in the body.
    pub(super) pairs: Vec<(&'b str, &'b str)>,
    /// Milliseconds and values.
    pub(super) samples: Vec<(i64, f64)>,
    /// Milliseconds and native histograms.
    histograms: Vec<(i64, Histogram)>,
    /// Native histograms as they lie in the body, where they are stored piece by piece.
    left: Vec<Field<'b>>,
    pub(super) exemplars: Vec<Exemplar>,
    /// What stands in the place of histograms and is none.
    pub(super) no_histograms: Vec<HistogramError>,
    /// Why what stands in the place of exemplars is none.
    pub(super) no_exemplars: Vec<&'static str>,
    /// What is said about it.
    pub(super) about: About<'b>,
    /// What its sender calls it, if that says it all.
    spelling: Option<Spelling>,
    /// It is known by that; its labels need not be read.
    series: Option<BatchSeries>,
    /// Why it cannot be taken.
    pub(super) fault: Option<String>,
}

impl<'b> Draft<'b> {
    pub(super) fn clear(&mut self) {
        self.pairs.clear();
        self.samples.clear();
        self.histograms.clear();
        self.left.clear();
        self.no_histograms.clear();
        self.exemplars.clear();
        self.no_exemplars.clear();
        self.about = About::default();
        self.spelling = None;
        self.series = None;
        self.fault = None;
    }

    /// It cannot be taken; what was found first is told.
    pub(super) fn wrong(&mut self, why: &'static str) {
        self.fault.get_or_insert_with(|| why.to_owned());
    }

    /// Whether nothing speaks against it so far.
    pub(super) fn is_right(&self) -> bool {
        self.fault.is_none()
    }

    /// Whether there is anything to be stored in it, or refused.
    pub(super) fn is_empty(&self) -> bool {
        self.samples.is_empty()
            && !self.has_histograms()
            && self.no_histograms.is_empty()
            && self.exemplars.is_empty()
            && self.no_exemplars.is_empty()
    }

    fn has_histograms(&self) -> bool {
        !self.histograms.is_empty() || !self.left.is_empty()
    }

    /// Whether something in it is not what it should be, which is told with its labels.
    pub(super) fn holds_wrong(&self) -> bool {
        !self.no_histograms.is_empty() || !self.no_exemplars.is_empty()
    }

    /// Its labels are to be read after all. Says whether they were not.
    pub(super) fn forget(&mut self) -> bool {
        self.spelling = None;
        self.series.take().is_some()
    }

    /// The family of this metric, which has parts if its type says so, and the part that the series is.
    fn family<'m>(&self, metric: &'m str) -> (&'m str, &'m str) {
        let is_whole = !self.about.declared.has_parts()
            || self.has_histograms()
            || self.pairs.iter().any(|(name, _)| *name == QUANTILE);
        let is_part = |suffix: &str| self.about.declared.type_of(suffix) != MetricType::Untyped;
        match metric.rfind('_').map(|at| metric.split_at(at)) {
            Some((family, suffix)) if !is_whole && is_part(suffix) => (family, suffix),
            _ => (metric, ""),
        }
    }

    /// Adds a label, if its name and value are texts.
    pub(super) fn label(&mut self, name: &'b [u8], value: &'b [u8]) {
        match (std::str::from_utf8(name), std::str::from_utf8(value)) {
            (Ok(name), Ok(value)) => self.text_label(name, value),
            _ => self.wrong("a label is no UTF-8"),
        }
    }

    /// Adds a label.
    pub(super) fn text_label(&mut self, name: &'b str, value: &'b str) {
        if self.pairs.len() < LABELS_MAX {
            self.pairs.push((name, value));
        } else {
            self.wrong("it has too many labels");
        }
    }
}

/// What a message says about a metric family.
#[derive(Clone, Copy, Default)]
pub(crate) struct About<'b> {
    pub(crate) declared: FamilyType,
    pub(crate) help: &'b [u8],
    pub(crate) unit: &'b [u8],
}

/// The same, to be kept.
struct Noted {
    family: String,
    declared: FamilyType,
    help: String,
    unit: String,
}

/// How a request is stored.
#[derive(Clone, Copy)]
enum Way<'g> {
    /// As a whole, when all of it is read.
    Whole,
    /// Not yet: its histograms take so much memory that it is only read whether it is a message, to be stored piece by piece
    /// then. So a request that is none is refused with nothing of it stored.
    Checked,
    /// Piece by piece, while it is read.
    Pieces(&'g Engine),
}

/// What was read of a request.
pub(crate) struct Gathered<'g> {
    /// For the engine.
    batch: SampleBatch,
    /// What is known of the spellings of series, if it may be used.
    spellings: Option<Spellings<'g>>,
    /// The series that got a point last, by [`Gathered::point`] or [`Gathered::native`].
    latest: Option<BatchSeries>,
    /// What is said about metrics.
    said: Vec<Noted>,
    counted: SenderCounts,
    outcome: Outcome,
    /// Which message is read, if one of remote-write.
    version: Option<Version>,
    way: Way<'g>,
    /// Memory of the histograms in the batch, as far as it is counted.
    histogram_bytes: usize,
    /// The longest message of a histogram for whose reading there is memory.
    message_bytes: usize,
    /// Why a piece was not stored.
    failure: Option<AppendError>,
    asked_bytes: usize,
    /// What may be asked for before `grow` is.
    free_bytes: usize,
    grow: &'g mut dyn FnMut(usize) -> bool,
}

impl<'g> Gathered<'g> {
    pub(crate) fn new(
        now: Timestamp,
        spellings: Option<Spellings<'g>>,
        grow: &'g mut dyn FnMut(usize) -> bool,
    ) -> Gathered<'g> {
        Gathered {
            batch: SampleBatch::new(now).counted_elsewhere(),
            spellings,
            latest: None,
            said: Vec::new(),
            counted: SenderCounts::default(),
            outcome: Outcome::default(),
            version: None,
            way: Way::Whole,
            histogram_bytes: 0,
            message_bytes: SMALL_MESSAGE_BYTES,
            failure: None,
            asked_bytes: 0,
            free_bytes: STEP_BYTES,
            grow,
        }
    }

    /// What is read is stored piece by piece. Errors: there is no memory for one.
    pub(super) fn in_pieces(mut self, engine: &'g Engine) -> Result<Gathered<'g>, ReadError> {
        if !(self.grow)(PIECE_BYTES) {
            return Err(ReadError::NoMemory);
        }
        (self.way, self.free_bytes) = (Way::Pieces(engine), PIECE_BYTES);
        Ok(self)
    }

    /// Whether it has to be read again, to be stored piece by piece.
    pub(crate) fn is_for_pieces(&self) -> bool {
        matches!(self.way, Way::Checked)
    }

    /// What is read is a message of this version of remote-write: what it refuses is as there.
    pub(super) fn of_version(self, version: Version) -> Gathered<'g> {
        Gathered { version: Some(version), ..self }
    }

    /// Makes room for the series of a body of so many bytes.
    pub(super) fn expecting(mut self, body_bytes: usize) -> Gathered<'g> {
        self.batch.reserve((body_bytes / SERIES_BYTES_USUAL).min(SERIES_EXPECTED_MAX));
        self
    }

    /// The hash of a text, for finding series that were named before.
    pub(super) fn spelling(&self, text: &[u8]) -> Option<Spelling> {
        self.spellings.as_ref().map(|spellings| spellings.of(text))
    }

    /// Looks for a series by what its sender calls it; false if its labels have to be read.
    pub(super) fn recall(&mut self, draft: &mut Draft<'_>, spell: impl FnOnce(&Spellings<'_>) -> Spelling) -> bool {
        let Some(spellings) = &self.spellings else { return false };
        let spelling = spell(spellings);
        draft.spelling = Some(spelling);
        draft.series = spellings.series(spelling).map(|known| self.batch.series_known(known));
        draft.series.is_some()
    }

    /// Looks for a series as the one that is expected next is called: it is known if a message begins so and something else, with
    /// this tag, follows. Then the labels were gone through once. Gives their bytes and what stands behind them.
    pub(super) fn recall_expected<'m>(
        &mut self,
        draft: &mut Draft<'_>,
        message: &'m [u8],
        tag_behind: u8,
    ) -> Option<(&'m [u8], &'m [u8])> {
        let length = self.spellings.as_ref()?.expected_length()?;
        let (labels, rest) = message.split_at_checked(length)?;
        let is_known = rest.first() == Some(&tag_behind) && self.recall(draft, |spellings| spellings.of(labels));
        is_known.then_some((labels, rest))
    }

    /// Asks for memory, in steps. Errors: there is none.
    #[inline]
    pub(crate) fn ask(&mut self, bytes: usize) -> Result<(), ReadError> {
        self.asked_bytes += bytes;
        if self.asked_bytes < self.free_bytes || (self.grow)(std::mem::take(&mut self.asked_bytes)) {
            Ok(())
        } else {
            Err(ReadError::NoMemory)
        }
    }

    /// Notes what is said about a metric family; what is no text is passed over, as no sample hangs on it.
    pub(crate) fn describe(&mut self, family: &[u8], about: About<'_>) -> Result<(), ReadError> {
        let About { declared, help, unit } = about;
        self.ask(size_of::<Noted>() + family.len() + help.len() + unit.len())?;
        let says_something = declared != FamilyType::Unknown || !help.is_empty() || !unit.is_empty();
        if let (true, Ok(family), Ok(help), Ok(unit)) =
            (says_something, str::from_utf8(family), str::from_utf8(help), str::from_utf8(unit))
        {
            let [family, help, unit] = [family, help, unit].map(str::to_owned);
            self.said.push(Noted { family, declared, help, unit });
        }
        Ok(())
    }

    /// Adds a sample to a series that is being read.
    pub(super) fn sample(&mut self, draft: &mut Draft<'_>, at: i64, value: f64) -> Result<(), ReadError> {
        self.ask(SAMPLE_BYTES)?;
        draft.samples.push((at, value));
        Ok(())
    }

    /// Notes that something was not taken, and why.
    pub(crate) fn refuse(&mut self, reason: &'static str, count: u64, tell: impl FnOnce() -> String) {
        self.outcome.refuse(reason, count, tell);
    }

    /// The points that follow are one for their sender: it is refused once, whatever is refused of it. Of what is no point of his
    /// (`is_his`) no refusal is told.
    pub(crate) fn count_as_one(&mut self, is_his: bool) -> Result<(), ReadError> {
        self.ask(COUNTED_BYTES)?;
        self.counted.begin(self.next_point(), is_his);
        Ok(())
    }

    /// The number of the next point of the batch, which the body limit of its endpoint bounds.
    fn next_point(&self) -> u32 {
        self.batch.len() as u32
    }

    /// The series of a point that follows; `None` if its labels are none, which is noted.
    fn series_of_point(&mut self, kind: SeriesKind, pairs: &mut [(&str, &str)]) -> Option<BatchSeries> {
        let series = self.batch.series_of(kind, pairs);
        self.latest = series.as_ref().ok().copied();
        if let Err(error) = &series
            && self.counted.tells(self.next_point())
        {
            self.outcome.refuse("invalid_labels", 1, || format!("{}: {error}", series_text(pairs)));
        }
        self.latest
    }

    /// Takes one point of a series; `late` as of `SampleBatch::push_late`. Labels that are none are noted.
    pub(crate) fn point(
        &mut self,
        kind: SeriesKind,
        pairs: &mut [(&str, &str)],
        at: Timestamp,
        late: bool,
        value: f64,
    ) -> Result<(), ReadError> {
        let texts = pairs.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>();
        self.ask(SERIES_BYTES + SAMPLE_BYTES + texts)?;
        match self.series_of_point(kind, pairs) {
            Some(series) if late => self.batch.push_late(series, at, value),
            Some(series) => self.batch.push(series, at, value),
            None => {}
        }
        Ok(())
    }

    /// Takes exemplars of the series that got a point last; of none, if its labels were none.
    pub(crate) fn exemplars(&mut self, exemplars: Vec<Exemplar>) -> Result<(), ReadError> {
        let labels = exemplars.iter().flat_map(|exemplar| exemplar.labels.iter());
        let texts = labels.map(|(name, value)| name.len() + value.len()).sum::<usize>();
        self.ask(exemplars.len() * EXEMPLAR_BYTES + texts)?;
        if let Some(series) = self.latest {
            exemplars.into_iter().for_each(|exemplar| self.batch.push_exemplar(series, exemplar));
        }
        Ok(())
    }

    /// Takes one native histogram of a series. Labels that are none are noted.
    pub(crate) fn native(
        &mut self,
        kind: SeriesKind,
        pairs: &mut [(&str, &str)],
        at: Timestamp,
        histogram: Histogram,
    ) -> Result<(), ReadError> {
        let texts = pairs.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>();
        self.ask(SERIES_BYTES + texts + memory_of(&histogram))?;
        if let Some(series) = self.series_of_point(kind, pairs) {
            self.batch.push_native(series, at, histogram);
        }
        Ok(())
    }

    /// Adds a native histogram to a series that is being read; says whether it is one.
    pub(super) fn histogram<'b>(
        &mut self,
        draft: &mut Draft<'b>,
        field: Field<'b>,
        here: impl Fn(Malformed) -> ReadError + Copy,
    ) -> Result<bool, ReadError> {
        if let Way::Pieces(_) = self.way {
            self.ask(LEFT_BYTES)?;
            draft.left.push(field);
            return Ok(true);
        }
        let (at, sent) = self.read_histogram(field, here)?;
        match sent {
            Sent::Histogram(_) if self.is_for_pieces() => {}
            Sent::Histogram(histogram) => {
                self.histogram_bytes += memory_of(&histogram);
                self.ask(memory_of(&histogram))?;
                draft.histograms.push((at, histogram));
                if self.histogram_bytes > PIECE_BYTES {
                    self.check_only(draft);
                }
            }
            Sent::Stale => self.sample(draft, at, f64::from_bits(STALE_NAN_BITS))?,
            Sent::Wrong(error) => {
                self.ask(SAMPLE_BYTES)?;
                draft.no_histograms.push(error);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads a histogram, whose buckets are still to be asked for.
    fn read_histogram(
        &mut self,
        field: Field<'_>,
        here: impl Fn(Malformed) -> ReadError + Copy,
    ) -> Result<(i64, Sent), ReadError> {
        let bytes = field.bytes().map_err(here)?.len();
        // There is one at a time, so the longest stands for all.
        if bytes > self.message_bytes {
            self.ask((bytes - self.message_bytes) * READ_BYTES)?;
            self.message_bytes = bytes;
        }
        histogram::read(field).map_err(here)
    }

    /// Goes on to see whether the request is one, and keeps nothing of it.
    fn check_only(&mut self, draft: &mut Draft<'_>) {
        (self.way, self.spellings, draft.series) = (Way::Checked, None, None);
        self.batch = SampleBatch::new(self.batch.received_at()).counted_elsewhere();
        self.said = Vec::new();
        draft.histograms = Vec::new();
    }

    /// Takes a series that was read, or notes why not.
    pub(super) fn add(&mut self, draft: &mut Draft<'_>) -> Result<(), ReadError> {
        if self.is_for_pieces() {
            self.asked_bytes = 0;
            return Ok(());
        }
        self.ask(SERIES_BYTES + draft.pairs.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>())?;
        for error in &draft.no_histograms {
            self.refuse_histogram(&draft.pairs, error);
        }
        for why in &draft.no_exemplars {
            self.outcome
                .refuse("invalid_exemplar", 1, || format!("{}: an exemplar is none: {why}", series_text(&draft.pairs)));
        }
        if draft.series.is_none()
            && let Some((_, metric)) = draft.pairs.iter().find(|(name, _)| *name == METRIC_NAME)
        {
            let (family, _) = draft.family(metric);
            self.describe(family.as_bytes(), draft.about)?;
        }
        let has_points = !draft.samples.is_empty() || draft.has_histograms();
        if !has_points && draft.exemplars.is_empty() && draft.is_right() {
            // Nothing to be stored: it is no series of the engine. The second version demands that there is something.
            if draft.is_empty() && self.version == Some(Version::V2) {
                self.outcome.refuse("empty_series", 1, || {
                    format!("{}: it has neither samples nor histograms", series_text(&draft.pairs))
                });
            }
            return Ok(());
        }
        match self.series(draft) {
            Ok(series) => {
                for (at, value) in &draft.samples {
                    self.batch.push(series, Timestamp::from_millis(*at), *value);
                }
                // Nearly all series have neither; to look is less than to drain nothing.
                if !draft.exemplars.is_empty() {
                    draft.exemplars.drain(..).for_each(|exemplar| self.batch.push_exemplar(series, exemplar));
                }
                if !draft.histograms.is_empty() {
                    for (at, histogram) in draft.histograms.drain(..) {
                        self.batch.push_native(series, Timestamp::from_millis(at), histogram);
                    }
                }
                if let Way::Pieces(engine) = self.way {
                    self.add_left(draft, series, engine)?;
                }
            }
            Err(fault) => {
                let histograms = draft.histograms.len() + draft.left.len();
                let count = ((draft.samples.len() + histograms) as u64).max(1);
                self.outcome.refuse("invalid_labels", count, || format!("{}: {fault}", series_text(&draft.pairs)));
            }
        }
        Ok(())
    }

    /// Takes the histograms that were left in the body, and stores what there is whenever it is enough.
    fn add_left(&mut self, draft: &mut Draft<'_>, mut series: BatchSeries, engine: &Engine) -> Result<(), ReadError> {
        let mut next = 0;
        while let Some(field) = draft.left.get(next).copied() {
            next += 1;
            let (at, sent) = self.read_histogram(field, ReadError::from)?;
            match sent {
                Sent::Histogram(histogram) => {
                    self.ask(memory_of(&histogram))?;
                    self.batch.push_native(series, Timestamp::from_millis(at), histogram);
                }
                Sent::Stale => {
                    self.ask(SAMPLE_BYTES)?;
                    self.batch.push(series, Timestamp::from_millis(at), f64::from_bits(STALE_NAN_BITS));
                }
                Sent::Wrong(error) => self.refuse_histogram(&draft.pairs, &error),
            }
            if self.asked_bytes > PIECE_BYTES / 2 {
                self.store_piece(engine)?;
                let again = self.series(draft);
                debug_assert!(again.is_ok(), "its labels were right before");
                let Ok(again) = again else { return Ok(()) };
                series = again;
            }
        }
        if self.asked_bytes > PIECE_BYTES / 2 {
            self.store_piece(engine)?;
        }
        Ok(())
    }

    fn refuse_histogram(&mut self, pairs: &[(&str, &str)], error: &HistogramError) {
        self.outcome.refuse("invalid_histogram", 1, || format!("{}: a histogram is none: {error}", series_text(pairs)));
    }

    /// The series of a draft in the batch. Errors: its labels are none.
    fn series(&mut self, draft: &mut Draft<'_>) -> Result<BatchSeries, String> {
        if let Some(series) = draft.series {
            return Ok(series);
        }
        if let Some(fault) = draft.fault.take() {
            return Err(fault);
        }
        if !draft.pairs.iter().any(|(name, value)| *name == METRIC_NAME && !value.is_empty()) {
            return Err(format!("it has no metric name, a label `{METRIC_NAME}`"));
        }
        let metric = draft.pairs.iter().find(|(name, _)| *name == METRIC_NAME).map_or("", |(_, metric)| metric);
        let kind = SeriesKind::Samples(draft.about.declared.type_of(draft.family(metric).1));
        let series = self.batch.series_of(kind, &mut draft.pairs).map_err(|error| error.to_string())?;
        if let Some(spelling) = draft.spelling {
            self.batch.spell(series, spelling);
        }
        Ok(series)
    }

    /// Puts the samples into the engine, durably.
    ///
    /// Answers what became of them; `None` if a series has gone since it was known: then the message has to be read again,
    /// without what is known. Errors: the log cannot be written.
    pub(crate) fn store(mut self, engine: &Engine) -> Result<Option<Outcome>, AppendError> {
        // Who remembers waits for all who recall.
        self.spellings = None;
        Ok(self.put(engine)?.then_some(self.outcome))
    }

    /// Stores what was gathered, and begins anew. Errors: the log cannot be written, which is noted.
    fn store_piece(&mut self, engine: &Engine) -> Result<(), ReadError> {
        if let Err(error) = self.put(engine) {
            self.failure = Some(error);
            return Err(ReadError::NotStored);
        }
        self.batch.clear(self.batch.received_at());
        (self.said, self.latest, self.asked_bytes) = (Vec::new(), None, 0);
        self.counted = SenderCounts::default();
        Ok(())
    }

    /// Why a piece was not stored, if one was not.
    pub(super) fn failure(self) -> Option<AppendError> {
        self.failure
    }

    /// Puts the batch into the engine, durably, and notes what became of it; false if a series of it is gone.
    fn put(&mut self, engine: &Engine) -> Result<bool, AppendError> {
        let report = engine.append_samples(&self.batch)?;
        if report.gone > 0 {
            return Ok(false);
        }
        engine.describe(self.said.iter().map(|Noted { family, declared, help, unit }| Said {
            family,
            declared: *declared,
            help,
            unit,
        }))?;
        self.outcome.samples += (report.accepted + report.duplicates).saturating_sub(report.natives);
        self.outcome.histograms += report.natives;
        self.outcome.exemplars += report.exemplars;
        // Prometheus looks at what it has before the request: of what collides within one it keeps the first, and counts all.
        let passed_over = if self.version.is_some() { report.repeated } else { Vec::new() };
        for point in &passed_over {
            match self.batch.is_native(*point) {
                true => self.outcome.histograms += 1,
                false => self.outcome.samples += 1,
            }
        }
        for (point, rejection) in report.rejected.iter().filter(|(point, _)| passed_over.binary_search(point).is_err())
        {
            if !self.counted.tells(*point) {
                continue;
            }
            let batch = &self.batch;
            self.outcome.refuse(rejection.as_str(), 1, || {
                let labels = engine.labels_of_point(batch, *point);
                format!("{}: {rejection}", series_text(&labels.iter().collect::<Vec<_>>()))
            });
        }
        for series in report.old_exemplars.iter().filter(|_| self.version == Some(Version::V2)) {
            let batch = &self.batch;
            self.outcome.refuse("out_of_order_exemplar", 1, || {
                let labels = engine.labels_of_series(batch, *series);
                let series = series_text(&labels.iter().collect::<Vec<_>>());
                format!("{series}: an exemplar is older than the newest one")
            });
        }
        Ok(true)
    }
}

/// Memory of a histogram on its way, bytes.
fn memory_of(histogram: &Histogram) -> usize {
    HISTOGRAM_BYTES + (histogram.positive().len() + histogram.negative().len()) * BUCKET_BYTES
}
