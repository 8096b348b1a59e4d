//! What a record of the log says: one batch, with the position it was derived from.
//!
//! ```text
//! record  = head | varint definitions | definition* | varint groups | group* | samples | [varint natives | native*]
//! head    = 3 | source u8 (0, 1) | [source]       (a batch)
//!         | 4 | hours                             (a backfill: its points replace what backfills put there before)
//!         | 5 | deletion                          (samples that are gone from here on; what follows says nothing)
//!         | 6 | bytes exemplars                   (see `exemplars::bytes`; what follows says nothing)
//!         | 7 | notes                             (what is said about metrics; what follows says nothing)
//! source  = text queue | epoch u64 | varint partition | varint first | varint next - first
//! definition: see `definitions`
//! group   = zigzag id - id of the group before | varint points * 2 + 1 | point*
//! point   = zigzag (second - second before) * 2 + late | value    (counts, observations)
//! samples: see `columns`
//! native  = zigzag id - id of the native before | bytes of a run of one histogram
//! ```
//! Up to version 2 of a file, and read, heads began with 1 and 2. Then samples stood in groups, too, and definitions whole:
//!
//! ```text
//! record  = head | varint definitions | definition* | varint groups | group*
//! definition = varint id | kind u8 | bytes key
//! group   = zigzag id - id of the group before | varint points * 2 + additive (0, 1) | point*
//! point   = zigzag time - time before | value                     (samples: milliseconds)
//! ```
//! A series is defined once; a recovery starts at a snapshot that holds those defined before it.

use watchfire_model::{Histogram, LabelSet};

use crate::backfill::Hours;
use crate::batch::SourcePosition;
use crate::bytes::{Cursor, Damaged, put_bytes, put_value, put_varint, put_zigzag};
use crate::delete::Deletion;
use crate::exemplars::{self, Exemplar};
use crate::key;
use crate::kind::SeriesKind;
use crate::natives;
use crate::notes::{self, MetricNote};
use crate::wal::columns::{Columns, SampleColumns};
use crate::wal::definitions::{self, Labels};
use crate::wal::packed::Columnar;

const PLAIN_BATCH: u8 = 1;
const PLAIN_BACKFILL: u8 = 2;
const BATCH: u8 = 3;
const BACKFILL: u8 = 4;
const DELETION: u8 = 5;
const EXEMPLARS: u8 = 6;
const NOTES: u8 = 7;

/// Appends the head of a batch.
pub(crate) fn put_head(source: Option<&SourcePosition>, out: &mut Vec<u8>) {
    out.push(BATCH);
    out.push(u8::from(source.is_some()));
    if let Some(source) = source {
        put_source(source, out);
    }
}

/// Appends the head of a backfill.
pub(crate) fn put_backfill_head(hours: &Hours, out: &mut Vec<u8>) {
    out.push(BACKFILL);
    hours.put(out);
}

/// Appends the head of a deletion, which is all of it.
pub(crate) fn put_deletion_head(deletion: &Deletion, out: &mut Vec<u8>) {
    out.push(DELETION);
    deletion.put(out);
}

/// Appends the head of exemplars, which is all of them.
pub(crate) fn put_exemplars_head(exemplars: &[u8], out: &mut Vec<u8>) {
    out.push(EXEMPLARS);
    put_bytes(out, exemplars);
}

/// Appends the head of notes, which is all of them.
pub(crate) fn put_notes_head(notes: &[MetricNote], out: &mut Vec<u8>) {
    out.push(NOTES);
    notes::put(notes, out);
}

/// Appends a source position.
pub(crate) fn put_source(source: &SourcePosition, out: &mut Vec<u8>) {
    put_bytes(out, source.queue.as_bytes());
    out.extend_from_slice(&source.epoch.to_le_bytes());
    put_varint(out, u64::from(source.partition));
    put_varint(out, source.first_offset);
    put_varint(out, source.next_offset.wrapping_sub(source.first_offset));
}

/// Reads a source position.
pub(crate) fn read_source(cursor: &mut Cursor) -> Result<SourcePosition, Damaged> {
    let queue = cursor.text()?.to_owned();
    let (epoch, partition, first_offset) = (cursor.u64()?, cursor.varint_u32()?, cursor.varint()?);
    let next_offset = first_offset.wrapping_add(cursor.varint()?);
    Ok(SourcePosition { queue, epoch, partition, first_offset, next_offset })
}

/// Collects the points of a record: counts and observations in groups, samples in columns.
#[derive(Default)]
pub(crate) struct Groups {
    bytes: Vec<u8>,
    group: Vec<u8>,
    count: u64,
    points: u64,
    open: Option<u64>,
    natives: Vec<u8>,
    native_count: u64,
    last_native_id: u64,
    last_id: u64,
    last_second: i64,
    samples: Columns,
}

impl Groups {
    /// With room for so many samples.
    pub(crate) fn with_room(samples: usize) -> Groups {
        Groups { samples: Columns::with_room(samples), ..Groups::default() }
    }

    fn close(&mut self) {
        let Some(id) = self.open.take() else { return };
        put_zigzag(&mut self.bytes, id.wrapping_sub(self.last_id) as i64);
        self.last_id = id;
        put_varint(&mut self.bytes, self.points * 2 + 1);
        self.bytes.extend_from_slice(&self.group);
        self.group.clear();
        self.points = 0;
        self.count += 1;
    }

    /// Adds a sample of a series.
    pub(crate) fn sample(&mut self, id: u64, at: i64, value: f64) {
        self.samples.push(id, at, value);
    }

    /// Adds a count or an observation of a series.
    pub(crate) fn additive(&mut self, id: u64, second: u32, late: bool, value: f64) {
        if self.open != Some(id) {
            self.close();
            self.open = Some(id);
        }
        self.points += 1;
        put_zigzag(&mut self.group, (i64::from(second) - self.last_second) * 2 + i64::from(late));
        self.last_second = i64::from(second);
        put_value(&mut self.group, value);
    }

    /// Adds a native histogram of a series.
    pub(crate) fn native(&mut self, id: u64, at: i64, histogram: &Histogram) {
        put_zigzag(&mut self.natives, id.wrapping_sub(self.last_native_id) as i64);
        self.last_native_id = id;
        let mut run = Vec::new();
        natives::put_one(at, histogram, &mut run);
        put_bytes(&mut self.natives, &run);
        self.native_count += 1;
    }

    /// No points, as they stand in a record.
    pub(super) fn none() -> Columnar {
        let mut none = Columnar::default();
        Groups::default().put(&mut none);
        none
    }

    /// Whether there are no points.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0 && self.open.is_none() && self.samples.is_empty() && self.native_count == 0
    }

    /// Appends all of them to a record.
    pub(crate) fn put(&mut self, out: &mut Columnar) {
        self.close();
        put_varint(&mut out.bytes, self.count);
        out.bytes.extend_from_slice(&self.bytes);
        self.samples.put(out);
        if self.native_count > 0 {
            out.seam();
            put_varint(&mut out.bytes, self.native_count);
            out.bytes.append(&mut self.natives);
            self.native_count = 0;
        }
    }
}

/// Counts or observations of a series, as they lie in a record.
#[derive(Clone, Copy)]
pub(crate) struct AdditivePoints<'a> {
    /// Where they begin in the payload.
    pub(crate) at: usize,
    /// They and what follows them.
    pub(crate) bytes: &'a [u8],
    pub(crate) count: u32,
    /// The second of the point before the first one, 0 if there is none.
    pub(crate) second_before: u32,
}

impl AdditivePoints<'_> {
    /// (second, is late, value) of each.
    pub(crate) fn iter(self) -> impl Iterator<Item = (u32, bool, f64)> {
        let (mut cursor, mut second) = (Cursor::new(self.bytes), self.second_before);
        (0..self.count).map_while(move |_| {
            let (next, late, value) = read_additive(&mut cursor, second).ok()?;
            second = next;
            Some((next, late, value))
        })
    }
}

#[inline]
fn read_additive(cursor: &mut Cursor, second_before: u32) -> Result<(u32, bool, f64), Damaged> {
    let (second, late) = read_second(cursor, second_before)?;
    Ok((second, late, cursor.value()?))
}

/// Its second alone.
#[inline]
fn skip_additive(cursor: &mut Cursor, second_before: u32) -> Result<u32, Damaged> {
    let (second, _) = read_second(cursor, second_before)?;
    cursor.skip_value()?;
    Ok(second)
}

#[inline]
fn read_second(cursor: &mut Cursor, second_before: u32) -> Result<(u32, bool), Damaged> {
    let step = cursor.zigzag()?;
    let second = i64::from(second_before).wrapping_add(step >> 1);
    let second = u32::try_from(second).map_err(|_| Damaged("a second is out of range"))?;
    Ok((second, step & 1 == 1))
}

/// Who takes in what the heads of records say.
pub(crate) trait Heads {
    /// A record begins, with the offsets that it was derived from.
    fn begin(&mut self, source: Option<&SourcePosition>);
    /// A record begins that puts numbers into the past in place of those that are there.
    fn begin_backfill(&mut self, hours: &Hours);
    /// Samples are deleted.
    fn delete(&mut self, deletion: Deletion);
    /// An exemplar of the series with this number and these labels.
    fn exemplar(&mut self, id: u64, series: LabelSet, exemplar: Exemplar);
    /// What is said about metrics.
    fn notes(&mut self, notes: Vec<MetricNote>);
    /// A definition; the labels are those of a label set.
    fn define(&mut self, id: u64, kind: SeriesKind, labels: &Labels);
}

/// Who takes in the points of records.
pub(crate) trait Points {
    /// A sample of a series: its time in milliseconds, and its value.
    fn sample(&mut self, id: u64, at: i64, value: f64);
    /// All samples of a record.
    fn samples(&mut self, columns: &SampleColumns) {
        columns.iter().for_each(|(id, at, value)| self.sample(id, at, value));
    }
    /// Counts or observations of a series.
    fn additive(&mut self, id: u64, points: AdditivePoints) -> Result<(), Damaged>;
    /// A native histogram of a series, at a time in milliseconds.
    fn native(&mut self, id: u64, at: i64, histogram: &Histogram);
}

/// Where something begins in the payload of a record.
#[derive(Clone, Copy)]
pub(crate) struct PointsAt {
    at: usize,
    is_plain: bool,
}

impl PointsAt {
    /// How many bytes of a payload of this length stand from there on.
    pub(crate) fn bytes_behind(self, payload_bytes: usize) -> usize {
        payload_bytes.saturating_sub(self.at)
    }
}

/// Reads what stands before the points of a record and hands it on; gives their place, if it can have any.
pub(crate) fn read_head(payload: &[u8], heads: &mut impl Heads) -> Result<Option<PointsAt>, Damaged> {
    let mut cursor = Cursor::new(payload);
    let kind = cursor.u8()?;
    match kind {
        BATCH | PLAIN_BATCH => {
            let source = if cursor.u8()? == 1 { Some(read_source(&mut cursor)?) } else { None };
            heads.begin(source.as_ref());
        }
        BACKFILL | PLAIN_BACKFILL => heads.begin_backfill(&Hours::read(&mut cursor)?),
        DELETION => {
            heads.delete(Deletion::read(&mut cursor)?);
            return Ok(None);
        }
        EXEMPLARS => {
            heads.begin(None);
            exemplars::read(cursor.bytes()?, |id, series, exemplar| heads.exemplar(id, series, exemplar))?;
            return Ok(None);
        }
        NOTES => {
            heads.begin(None);
            heads.notes(notes::read(&mut cursor)?);
            return Ok(None);
        }
        _ => return Err(Damaged("a record is of an unknown kind")),
    }
    let is_plain = matches!(kind, PLAIN_BATCH | PLAIN_BACKFILL);
    let many = cursor.varint()?;
    if is_plain {
        read_plain_definitions(&mut cursor, many, heads)?;
    } else {
        definitions::read(&mut cursor, many, |id, kind, labels| heads.define(id, kind, labels))?;
    }
    Ok(Some(PointsAt { at: payload.len() - cursor.rest().len(), is_plain }))
}

/// Reads counts and observations, which come first, and hands them on; gives the place of the samples behind them.
/// Samples of records of before stand among them, and are handed on, too.
pub(crate) fn read_counts(payload: &[u8], place: PointsAt, to: &mut impl Points) -> Result<PointsAt, Damaged> {
    let mut cursor = Cursor::new(payload.get(place.at..).unwrap_or_default());
    read_groups(payload, &mut cursor, to)?;
    if place.is_plain && !cursor.is_empty() {
        return Err(TOO_LONG);
    }
    Ok(PointsAt { at: payload.len() - cursor.rest().len(), ..place })
}

/// Reads the samples and native histograms that stand behind counts and observations, and hands them on. `room`: for the samples.
pub(crate) fn read_samples(
    payload: &[u8],
    place: PointsAt,
    room: &mut SampleColumns,
    to: &mut impl Points,
) -> Result<(), Damaged> {
    if place.is_plain {
        return Ok(());
    }
    let mut cursor = Cursor::new(payload.get(place.at..).unwrap_or_default());
    room.read(&mut cursor)?;
    to.samples(room);
    if !cursor.is_empty() {
        read_natives(&mut cursor, to)?;
    }
    if cursor.is_empty() { Ok(()) } else { Err(TOO_LONG) }
}

const TOO_LONG: Damaged = Damaged("a record is longer than what it says");

fn read_plain_definitions(cursor: &mut Cursor, many: u64, heads: &mut impl Heads) -> Result<(), Damaged> {
    for _ in 0..many {
        let id = cursor.varint()?;
        let kind = SeriesKind::from_code(cursor.u8()?).ok_or(Damaged("a series is of an unknown kind"))?;
        heads.define(id, kind, &key::checked_pairs(cursor.bytes()?)?);
    }
    Ok(())
}

fn read_natives(cursor: &mut Cursor, to: &mut impl Points) -> Result<(), Damaged> {
    let mut id = 0u64;
    for _ in 0..cursor.varint()? {
        id = id.wrapping_add(cursor.zigzag()? as u64);
        let (at, histogram) = natives::read_one(cursor.bytes()?)?;
        to.native(id, at, &histogram);
    }
    Ok(())
}

fn read_groups(payload: &[u8], cursor: &mut Cursor, to: &mut impl Points) -> Result<(), Damaged> {
    let (mut id, mut time, mut second) = (0u64, 0i64, 0u32);
    for _ in 0..cursor.varint()? {
        id = id.wrapping_add(cursor.zigzag()? as u64);
        let head = cursor.varint()?;
        let count = u32::try_from(head >> 1).map_err(|_| Damaged("a group has too many points"))?;
        if head & 1 == 1 {
            let at = payload.len() - cursor.rest().len();
            let points = AdditivePoints { at, bytes: cursor.rest(), count, second_before: second };
            for _ in 0..count {
                second = skip_additive(cursor, second)?;
            }
            to.additive(id, points)?;
        } else {
            for _ in 0..count {
                time = time.wrapping_add(cursor.zigzag()?);
                to.sample(id, time, cursor.value()?);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use watchfire_model::histogram::HistogramParts;

    use super::*;
    use crate::wal::definitions::Definitions;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Replayed {
        Sample { at: i64, value: f64 },
        Additive { second: u32, late: bool, value: f64 },
    }

    #[derive(Default)]
    struct Collect {
        defined: Vec<(u64, u8, Vec<u8>)>,
        points: Vec<(u64, Replayed)>,
        natives: Vec<(u64, i64, f64)>,
        source: Option<SourcePosition>,
        hours: Option<Hours>,
        deletion: Option<Deletion>,
    }

    fn read(payload: &[u8], collect: &mut Collect) -> Result<(), Damaged> {
        let Some(counts) = read_head(payload, collect)? else { return Ok(()) };
        let samples = read_counts(payload, counts, collect)?;
        read_samples(payload, samples, &mut SampleColumns::default(), collect)
    }

    impl Heads for Collect {
        fn begin(&mut self, source: Option<&SourcePosition>) {
            self.source = source.cloned();
        }
        fn begin_backfill(&mut self, hours: &Hours) {
            self.hours = Some(hours.clone());
        }
        fn delete(&mut self, deletion: Deletion) {
            self.deletion = Some(deletion);
        }
        fn exemplar(&mut self, _: u64, _: LabelSet, _: Exemplar) {}
        fn notes(&mut self, _: Vec<MetricNote>) {}
        fn define(&mut self, id: u64, kind: SeriesKind, labels: &Labels) {
            let mut key = Vec::new();
            key::write_pairs(&mut labels.to_vec(), &mut key).expect("a label set");
            self.defined.push((id, kind.code(), key));
        }
    }

    impl Points for Collect {
        fn sample(&mut self, id: u64, at: i64, value: f64) {
            self.points.push((id, Replayed::Sample { at, value }));
        }
        fn additive(&mut self, id: u64, points: AdditivePoints) -> Result<(), Damaged> {
            let point = |(second, late, value)| (id, Replayed::Additive { second, late, value });
            self.points.extend(points.iter().map(point));
            Ok(())
        }
        fn native(&mut self, id: u64, at: i64, histogram: &Histogram) {
            self.natives.push((id, at, histogram.count()));
        }
    }

    /// A record as versions 1 and 2 wrote it; `head` is that of today.
    fn plain(head: &[u8], defined: &[(u64, u8, Vec<u8>)], points: &[(u64, Replayed)]) -> Vec<u8> {
        let mut bytes = head.to_vec();
        bytes[0] -= BATCH - PLAIN_BATCH;
        put_varint(&mut bytes, defined.len() as u64);
        for (id, kind, key) in defined {
            put_varint(&mut bytes, *id);
            bytes.push(*kind);
            put_bytes(&mut bytes, key);
        }
        put_varint(&mut bytes, points.len() as u64);
        let (mut last_id, mut last_time, mut last_second) = (0, 0, 0);
        for (id, point) in points {
            put_zigzag(&mut bytes, id.wrapping_sub(last_id) as i64);
            last_id = *id;
            match *point {
                Replayed::Sample { at, value } => {
                    put_varint(&mut bytes, 2);
                    put_zigzag(&mut bytes, at.wrapping_sub(last_time));
                    last_time = at;
                    put_value(&mut bytes, value);
                }
                Replayed::Additive { second, late, value } => {
                    put_varint(&mut bytes, 3);
                    put_zigzag(&mut bytes, (i64::from(second) - last_second) * 2 + i64::from(late));
                    last_second = i64::from(second);
                    put_value(&mut bytes, value);
                }
            }
        }
        bytes
    }

    fn point() -> impl Strategy<Value = Replayed> {
        prop_oneof![
            (any::<i64>(), -1e6..1e6).prop_map(|(at, value)| Replayed::Sample { at, value }),
            (any::<u32>(), any::<bool>(), 0u32..100).prop_map(|(second, late, n)| Replayed::Additive {
                second,
                late,
                value: f64::from(n)
            }),
        ]
    }

    proptest! {
        #[test]
        fn records_read_back(
            points in prop::collection::vec((0u64..5, point()), 0..100),
            defined in prop::collection::vec((any::<u64>(), 1u8..6, "[a-zé]{1,20}"), 0..5),
            offsets in prop::option::of((any::<u64>(), any::<u32>(), any::<u64>(), any::<u64>())),
            hours in prop::option::of((0u32..1000, 1u32..1000)),
            natives in prop::collection::vec((any::<u64>(), any::<i64>(), 0u32..9), 0..4),
        ) {
            let source = offsets.map(|(epoch, partition, first_offset, next_offset)| SourcePosition {
                queue: "logs".into(), epoch, partition, first_offset, next_offset,
            });
            let mut groups = Groups::default();
            for (id, point) in &points {
                match point {
                    Replayed::Sample { at, value } => groups.sample(*id, *at, *value),
                    Replayed::Additive { second, late, value } => groups.additive(*id, *second, *late, *value),
                }
            }
            let natives: Vec<(u64, i64, f64)> =
                natives.into_iter().map(|(id, at, count)| (id, at, f64::from(count))).collect();
            for (id, at, count) in &natives {
                let parts = HistogramParts { count: *count, positive: vec![(3, *count)], ..Default::default() };
                groups.native(*id, *at, &Histogram::new(parts).expect("valid"));
            }
            let mut bytes = Vec::new();
            let hours = hours.map(|(from, many)| {
                Hours { metric: "hits_total".into(), after: from * 3600, until: (from + many) * 3600 }
            });
            match &hours {
                Some(hours) => put_backfill_head(hours, &mut bytes),
                None => put_head(source.as_ref(), &mut bytes),
            }
            let defined: Vec<(u64, u8, Vec<u8>)> = defined.into_iter().map(|(id, kind, value)| {
                let mut key = Vec::new();
                put_bytes(&mut key, b"name");
                put_bytes(&mut key, value.as_bytes());
                (id, kind, key)
            }).collect();
            let kind_of = |code: u8| SeriesKind::from_code(code).expect("known");
            let plain = plain(&bytes, &defined, &points);
            put_varint(&mut bytes, defined.len() as u64);
            let mut definitions = Definitions::default();
            for (id, kind, key) in &defined {
                definitions.put(*id, kind_of(*kind), key, &mut bytes);
            }
            let mut columnar = Columnar { bytes, ..Columnar::default() };
            groups.put(&mut columnar);
            // Samples stand behind counts and observations; of each sort, and so of each series, they keep their order.
            let (samples, additive): (Vec<_>, Vec<_>) =
                points.iter().copied().partition(|(_, point)| matches!(point, Replayed::Sample { .. }));
            let today = (columnar.bytes, [additive, samples].concat(), natives);
            for (bytes, points, natives) in [today, (plain, points, Vec::new())] {
                let mut back = Collect::default();
                prop_assert_eq!(read(&bytes, &mut back), Ok(()));
                prop_assert_eq!(back.natives, natives);
                prop_assert_eq!(&back.source, &source.clone().filter(|_| hours.is_none()));
                prop_assert_eq!(&back.hours, &hours);
                prop_assert_eq!(back.points, points);
                prop_assert_eq!(&back.defined, &defined);
            }
        }

        #[test]
        fn deletions_read_back(after: i64, until: i64, ids: Vec<u64>) {
            let deletion = Deletion { after, until, ids };
            let mut bytes = Vec::new();
            put_deletion_head(&deletion, &mut bytes);
            let mut back = Collect::default();
            prop_assert_eq!(read(&bytes, &mut back), Ok(()));
            prop_assert_eq!(back.deletion, Some(deletion));
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..8) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() { *first = kind; }
            let _ = read(&bytes, &mut Collect::default());
        }
    }
}
