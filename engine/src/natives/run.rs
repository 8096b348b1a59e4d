//! A run of native histograms whose buckets have the same places: the places once, then the changes of the counts.
//!
//! ```text
//! run     = layout | point*
//! layout  = (schema + 64) i8 | f64 zero threshold | varint bounds | f64* | places of the positive side | of the negative
//! places  = varint spans | (zigzag place - end of the span before, varint many - 1)*
//! point   = zigzag (time - time before) | hint u8 | sum value | change*
//! change  = varint how many counts stay as they are | [the next count]     (until all counts are said)
//! count   = varint zigzag(difference) + 1 of whole numbers, or varint 0 and 8 bytes
//! ```
//! The counts of a point: of all, around zero, of each place. Each point has a bucket in each place, be it an empty one: it
//! costs nothing but its place, and that once.
//!
//! Runs of before, which are read only, have the schema as it is, and places that any histogram needs: what is empty
//! there is no bucket.
//!
//! ```text
//! places  = varint many | zigzag (place - place before)*
//! ```
//! Invariant: times ascend strictly within a run.

use std::sync::Arc;

use watchfire_model::histogram::{CUSTOM_SCHEMA, HistogramParts, SCHEMA_MAX, SCHEMA_MIN};
use watchfire_model::{Histogram, ResetHint};

use crate::bytes::{Cursor, Damaged, put_value, put_varint, put_zigzag, unzigzag, zigzag};

/// Most places of a side; what is read from a disk may not claim more.
const PLACES_MAX: usize = 1 << 20;
/// Whole numbers below this are kept as their differences.
const WHOLE_MAX: f64 = (1u64 << 52) as f64;

/// Added to the schema of a run whose places are buckets in each of its points: no schema of before is such a number.
const ALL_ARE_BUCKETS: i8 = 64;

/// Where the buckets of a run lie.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    /// Each place is a bucket of each point; in runs of before only where something lies in it.
    all_are_buckets: bool,
    schema: i8,
    zero_threshold: f64,
    bounds: Arc<[f64]>,
    positive: Vec<i32>,
    negative: Vec<i32>,
}

/// The places of two sides together.
fn union(left: &[i32], right: impl Iterator<Item = i32>) -> Vec<i32> {
    let mut all: Vec<i32> = left.iter().copied().chain(right).collect();
    all.sort_unstable();
    all.dedup();
    all
}

impl Layout {
    /// That of a histogram.
    pub(super) fn of(histogram: &Histogram) -> Layout {
        let places = |buckets: &[(i32, f64)]| buckets.iter().map(|(place, _)| *place).collect();
        Layout {
            all_are_buckets: true,
            schema: histogram.schema(),
            zero_threshold: histogram.zero_threshold(),
            bounds: histogram.bounds().clone(),
            positive: places(histogram.positive()),
            negative: places(histogram.negative()),
        }
    }

    /// The same with the places of a histogram, of the same kind of buckets, beside its own.
    pub(super) fn with(&self, histogram: &Histogram) -> Layout {
        let places = |have: &[i32], buckets: &[(i32, f64)]| union(have, buckets.iter().map(|(place, _)| *place));
        let (positive, negative) =
            (places(&self.positive, histogram.positive()), places(&self.negative, histogram.negative()));
        Layout { positive, negative, ..self.clone() }
    }

    /// Whether what is put into it reads back with its empty buckets.
    pub(super) fn keeps_empty(&self) -> bool {
        self.all_are_buckets
    }

    /// Whether a histogram has the same kind of buckets.
    pub(super) fn is_alike(&self, histogram: &Histogram) -> bool {
        self.schema == histogram.schema()
            && self.zero_threshold == histogram.zero_threshold()
            && self.bounds == *histogram.bounds()
    }

    /// Whether all buckets of a histogram have a place.
    pub(super) fn holds(&self, histogram: &Histogram) -> bool {
        let all = |places: &[i32], buckets: &[(i32, f64)]| {
            let mut rest = places.iter();
            buckets.iter().all(|(place, _)| rest.any(|have| have == place))
        };
        self.is_alike(histogram)
            && all(&self.positive, histogram.positive())
            && all(&self.negative, histogram.negative())
    }

    /// Whether these are the very buckets of a histogram, empty ones too.
    pub(super) fn is_of(&self, histogram: &Histogram) -> bool {
        let same = |places: &[i32], buckets: &[(i32, f64)]| places.iter().eq(buckets.iter().map(|(place, _)| place));
        self.is_alike(histogram)
            && same(&self.positive, histogram.positive())
            && same(&self.negative, histogram.negative())
    }

    /// How many counts a point has.
    fn counts(&self) -> usize {
        2 + self.positive.len() + self.negative.len()
    }

    /// Only what is new is written.
    fn write(&self, out: &mut Vec<u8>) {
        // Schemas lie between -53 and 8.
        out.push((self.schema + ALL_ARE_BUCKETS).cast_unsigned());
        out.extend_from_slice(&self.zero_threshold.to_bits().to_le_bytes());
        put_varint(out, self.bounds.len() as u64);
        self.bounds.iter().for_each(|bound| out.extend_from_slice(&bound.to_bits().to_le_bytes()));
        put_places(&self.positive, out);
        put_places(&self.negative, out);
    }

    fn read(cursor: &mut Cursor) -> Result<Layout, Damaged> {
        let schema = cursor.u8()?.cast_signed();
        let of_today = schema.wrapping_sub(ALL_ARE_BUCKETS);
        // What is no schema of either is found where a histogram is made of it.
        let all_are_buckets = of_today == CUSTOM_SCHEMA || (SCHEMA_MIN..=SCHEMA_MAX).contains(&of_today);
        let schema = if all_are_buckets { of_today } else { schema };
        let zero_threshold = cursor.f64()?;
        let many = cursor.length(cursor.rest().len() / 8)?;
        let bounds = (0..many).map(|_| cursor.f64()).collect::<Result<Arc<[f64]>, _>>()?;
        let mut side = || if all_are_buckets { read_places(cursor) } else { read_plain_places(cursor) };
        let (positive, negative) = (side()?, side()?);
        Ok(Layout { all_are_buckets, schema, zero_threshold, bounds, positive, negative })
    }
}

fn put_places(places: &[i32], out: &mut Vec<u8>) {
    let spans = || places.chunk_by(|place, next| place.checked_add(1) == Some(*next));
    put_varint(out, spans().count() as u64);
    let mut end = 0;
    for span in spans() {
        let first = span.first().map_or(0, |first| i64::from(*first));
        put_zigzag(out, first - end);
        put_varint(out, span.len() as u64 - 1);
        end = first + span.len() as i64;
    }
}

const OUT_OF_RANGE: Damaged = Damaged("a bucket is out of range");
const NOT_ASCENDING: Damaged = Damaged("the buckets of a histogram do not ascend");

fn read_places(cursor: &mut Cursor) -> Result<Vec<i32>, Damaged> {
    let mut places: Vec<i32> = Vec::new();
    let mut end = 0i64;
    for number in 0..cursor.length(cursor.rest().len().min(PLACES_MAX))? {
        let gap = cursor.zigzag()?;
        if gap <= 0 && number > 0 {
            return Err(NOT_ASCENDING);
        }
        let many = cursor.length(PLACES_MAX - 1 - places.len().min(PLACES_MAX - 1))? as i64 + 1;
        let first = end.checked_add(gap).ok_or(OUT_OF_RANGE)?;
        let last = first.checked_add(many - 1).ok_or(OUT_OF_RANGE)?;
        let range = |place: i64| i32::try_from(place).map_err(|_| OUT_OF_RANGE);
        places.extend(range(first)?..=range(last)?);
        end = last + 1;
    }
    Ok(places)
}

fn read_plain_places(cursor: &mut Cursor) -> Result<Vec<i32>, Damaged> {
    let many = cursor.length(cursor.rest().len().min(PLACES_MAX))?;
    let mut places: Vec<i32> = Vec::with_capacity(many);
    let mut before = 0i64;
    for at in 0..many {
        let step = cursor.zigzag()?;
        if step <= 0 && at > 0 {
            return Err(NOT_ASCENDING);
        }
        before = before.checked_add(step).ok_or(OUT_OF_RANGE)?;
        places.push(i32::try_from(before).map_err(|_| OUT_OF_RANGE)?);
    }
    Ok(places)
}

fn hint_code(hint: ResetHint) -> u8 {
    match hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    }
}

fn hint_of(code: u8) -> Result<ResetHint, Damaged> {
    Ok(match code {
        0 => ResetHint::Unknown,
        1 => ResetHint::Reset,
        2 => ResetHint::NotReset,
        3 => ResetHint::Gauge,
        _ => return Err(Damaged("a histogram has an unknown hint")),
    })
}

/// What the next point of a run is told from: its layout, and the counts and time before.
#[derive(Debug)]
pub(super) struct State {
    pub(super) layout: Layout,
    counts: Vec<f64>,
    at: i64,
    hint: ResetHint,
    sum: f64,
}

impl State {
    /// Of a run that begins.
    pub(super) fn new(layout: Layout) -> State {
        let counts = vec![0.0; layout.counts()];
        State { layout, counts, at: 0, hint: ResetHint::Unknown, sum: 0.0 }
    }

    /// Begins a run.
    pub(super) fn begin(&self, out: &mut Vec<u8>) {
        self.layout.write(out);
    }

    /// Appends a point. The layout holds the histogram.
    pub(super) fn put(&mut self, at: i64, histogram: &Histogram, out: &mut Vec<u8>) {
        put_zigzag(out, at.wrapping_sub(self.at));
        out.push(hint_code(histogram.hint()));
        put_value(out, histogram.sum());
        (self.at, self.hint, self.sum) = (at, histogram.hint(), histogram.sum());
        let sides = [(&self.layout.positive, histogram.positive()), (&self.layout.negative, histogram.negative())];
        let mut sides = sides.map(|(places, buckets)| {
            let mut rest = buckets.iter().peekable();
            places.iter().map(move |place| rest.next_if(|(have, _)| have == place).map_or(0.0, |(_, count)| *count))
        });
        let [positive, negative] = &mut sides;
        let now = [histogram.count(), histogram.zero_count()].into_iter().chain(positive).chain(negative);
        let mut same = 0u64;
        for (before, now) in self.counts.iter_mut().zip(now) {
            if before.to_bits() == now.to_bits() {
                same += 1;
                continue;
            }
            put_varint(out, same);
            same = 0;
            put_count(out, *before, now);
            *before = now;
        }
        if same > 0 {
            put_varint(out, same);
        }
    }

    /// Reads a point.
    fn next(&mut self, cursor: &mut Cursor) -> Result<(), Damaged> {
        self.at = self.at.wrapping_add(cursor.zigzag()?);
        self.hint = hint_of(cursor.u8()?)?;
        self.sum = cursor.value()?;
        let mut next = 0;
        while next < self.counts.len() {
            next += cursor.length(self.counts.len() - next)?;
            if let Some(count) = self.counts.get_mut(next) {
                *count = read_count(cursor, *count)?;
                next += 1;
            }
        }
        Ok(())
    }

    /// The histogram of the point.
    pub(super) fn histogram(&self) -> Result<Histogram, Damaged> {
        let Layout { all_are_buckets, schema, zero_threshold, bounds, positive, negative } = &self.layout;
        let (Some([count, zero_count]), Some(buckets)) = (self.counts.first_chunk::<2>(), self.counts.get(2..)) else {
            return Err(Damaged("a histogram has no counts"));
        };
        let (above, below) = buckets.split_at_checked(positive.len()).ok_or(Damaged("a histogram lacks counts"))?;
        let side = |places: &[i32], counts: &[f64]| -> Vec<(i32, f64)> {
            let buckets = places.iter().copied().zip(counts.iter().copied());
            buckets.filter(|(_, count)| *all_are_buckets || *count != 0.0).collect()
        };
        let parts = HistogramParts {
            schema: (*schema).into(),
            hint: self.hint,
            zero_threshold: *zero_threshold,
            zero_count: *zero_count,
            count: *count,
            sum: self.sum,
            positive: side(positive, above),
            negative: side(negative, below),
            bounds: bounds.clone(),
            // That was looked at when it came.
            is_integer: false,
        };
        Histogram::new(parts).map_err(|_| Damaged("a histogram is none"))
    }

    /// Memory beside the value itself.
    pub(super) fn memory_bytes(&self) -> usize {
        self.counts.capacity() * 8 + (self.layout.positive.capacity() + self.layout.negative.capacity()) * 4
    }

    /// What is known of a reset before the point.
    pub(super) fn hint(&self) -> ResetHint {
        self.hint
    }

    /// The time of the point, milliseconds.
    pub(super) fn at(&self) -> i64 {
        self.at
    }
}

/// Whether a count is kept as a whole number; the zero below zero is not.
fn is_whole(count: f64) -> bool {
    count.abs() < WHOLE_MAX && count.fract() == 0.0 && (count != 0.0 || count.is_sign_positive())
}

fn put_count(out: &mut Vec<u8>, before: f64, now: f64) {
    if is_whole(before) && is_whole(now) {
        // Both are below 2^52.
        put_varint(out, zigzag(now as i64 - before as i64) + 1);
    } else {
        out.push(0);
        out.extend_from_slice(&now.to_bits().to_le_bytes());
    }
}

fn read_count(cursor: &mut Cursor, before: f64) -> Result<f64, Damaged> {
    match cursor.varint()? {
        0 => cursor.f64(),
        code if is_whole(before) => {
            let now = (before as i64).wrapping_add(unzigzag(code - 1)) as f64;
            if is_whole(now) { Ok(now) } else { Err(Damaged("a count is out of range")) }
        }
        _ => Err(Damaged("a count is told from one that is no whole number")),
    }
}

/// Calls back with each histogram of a run, in the order of their times; gives the state after the last. `each` says
/// whether it wants more.
pub(super) fn read(bytes: &[u8], mut each: impl FnMut(&State) -> Result<bool, Damaged>) -> Result<State, Damaged> {
    let mut cursor = Cursor::new(bytes);
    let mut state = State::new(Layout::read(&mut cursor)?);
    while !cursor.is_empty() {
        state.next(&mut cursor)?;
        if !each(&state)? {
            break;
        }
    }
    Ok(state)
}

/// Appends a histogram alone, as a run of its own.
pub(crate) fn put_one(at: i64, histogram: &Histogram, out: &mut Vec<u8>) {
    let mut state = State::new(Layout::of(histogram));
    state.begin(out);
    state.put(at, histogram, out);
}

/// Reads what [`put_one`] wrote.
pub(crate) fn read_one(bytes: &[u8]) -> Result<(i64, Histogram), Damaged> {
    let mut only = None;
    read(bytes, |state| {
        if only.replace((state.at(), state.histogram()?)).is_some() {
            return Err(Damaged("there are several histograms in the place of one"));
        }
        Ok(true)
    })?;
    only.ok_or(Damaged("there is no histogram in the place of one"))
}
