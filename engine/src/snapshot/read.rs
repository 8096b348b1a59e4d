//! Reading a snapshot: some sections at a time, each on any of the cores, handed on in the order of the file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use watchfire_model::LabelSet;

use super::{END, EXEMPLARS, HAS_EXTENTS, HEAD, HEAD_BYTES, MAGIC, SECTION_BYTES_MAX, SERIES, SnapshotHead, VERSION};
use crate::bytes::{Cursor, Damaged};
use crate::exemplars::{self, Exemplar};
use crate::kind::SeriesKind;
use crate::notes;
use crate::wal::record::read_source;

/// Sections whose series are in memory at once, for each thread.
const SECTIONS_AT_ONCE: usize = 8;
const THREADS_MAX: usize = 8;

/// One series as it stands in a snapshot.
pub(crate) struct SnapshotSeries<'a> {
    pub(crate) id: u64,
    pub(crate) kind: SeriesKind,
    pub(crate) key: &'a [u8],
    pub(crate) numbers: &'a [u8],
    /// What of it lies in blocks, if anything.
    pub(crate) extents: Option<&'a [u8]>,
    /// The file, and where its numbers begin there.
    pub(crate) snapshot: &'a Arc<File>,
    pub(crate) numbers_at: u64,
    pub(crate) lsn: u64,
}

/// Why a snapshot was not read.
pub(crate) enum SnapshotError {
    Io(io::Error),
    NewerVersion(u16),
    /// Where, and what is wrong.
    Damaged(u64, Damaged),
}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> SnapshotError {
        SnapshotError::Io(error)
    }
}

/// Reads a snapshot: `parse` takes each series apart, on any thread; `enter` takes what it made of the series of a section, in the
/// order of the file, and `exemplar` each exemplar. Gives the cut. With `salvage` damaged sections are left out (and told to `damaged`:
/// offset, length, what), else the first one is an error.
pub(crate) fn read<T: Send>(
    path: &Path,
    salvage: bool,
    parse: impl Fn(SnapshotSeries) -> Result<T, Damaged> + Sync,
    enter: impl FnMut(Vec<T>),
    mut exemplar: impl FnMut(LabelSet, Exemplar),
    damaged: impl FnMut(u64, u64, Damaged),
) -> Result<(u64, SnapshotHead), SnapshotError> {
    let file = Arc::new(File::open(path)?);
    let length = file.metadata()?.len();
    let cut = read_start(&file)?;

    let places = places(&file, length)?;
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS_MAX));
    let mut taking = Taking { salvage, enter, damaged, head: None, series: 0, ended: false };
    let mut at = HEAD_BYTES as u64;
    for some in places.chunks(threads * SECTIONS_AT_ONCE) {
        for (place, section) in some.iter().zip(parse_all(&file, some, threads, &parse)) {
            if !taking.ended {
                at = place.at + place.bytes;
                taking.take(place, section?, &mut exemplar)?;
            }
        }
    }
    if !taking.ended && !salvage {
        return Err(SnapshotError::Damaged(at, Damaged("a snapshot has no end")));
    }
    let no_head = SnapshotError::Damaged(HEAD_BYTES as u64, Damaged("a snapshot has no head"));
    Ok((cut, taking.head.ok_or(no_head)?))
}

fn read_start(file: &File) -> Result<u64, SnapshotError> {
    let wrong = SnapshotError::Damaged(0, Damaged("this is no snapshot"));
    let mut start = [0u8; HEAD_BYTES];
    if file.read_exact_at(&mut start, 0).is_err() {
        return Err(wrong);
    }
    let mut cursor = Cursor::new(&start);
    let magic = cursor.take(6).unwrap_or_default() == MAGIC;
    let (Ok(version), Ok(cut), Ok(crc)) = (cursor.u16(), cursor.u64(), cursor.u32()) else { return Err(wrong) };
    if !magic || crc != crc32fast::hash(&start[..HEAD_BYTES - 4]) {
        return Err(wrong);
    }
    if version > VERSION { Err(SnapshotError::NewerVersion(version)) } else { Ok(cut) }
}

/// Where a section stands.
struct Place {
    at: u64,
    /// Its length with its head; from here to the end of the file if nothing can be read from here on.
    bytes: u64,
    crc: u32,
    lost: Option<Damaged>,
}

/// The places of all sections, as the lengths before them say.
fn places(file: &File, length: u64) -> io::Result<Vec<Place>> {
    let mut places = Vec::new();
    let mut at = HEAD_BYTES as u64;
    while at < length {
        let left = length - at;
        let lost = |what| Place { at, bytes: left, crc: 0, lost: Some(Damaged(what)) };
        let mut head = [0u8; 8];
        if left < 8 {
            places.push(lost("the end of a snapshot is missing"));
            break;
        }
        file.read_exact_at(&mut head, at)?;
        let [l0, l1, l2, l3, c0, c1, c2, c3] = head;
        let (section, crc) = (u32::from_le_bytes([l0, l1, l2, l3]), u32::from_le_bytes([c0, c1, c2, c3]));
        if u64::from(section) > left - 8 || section > SECTION_BYTES_MAX {
            places.push(lost("the length of a section is wrong"));
            break;
        }
        places.push(Place { at, bytes: 8 + u64::from(section), crc, lost: None });
        at += 8 + u64::from(section);
    }
    Ok(places)
}

/// What a section says.
enum Said<T> {
    Head(SnapshotHead),
    Series(Vec<T>),
    Exemplars(Vec<(LabelSet, Exemplar)>),
    /// How many series there are in all.
    End(u64),
    Nothing,
}

/// A section taken apart, up to where something is wrong with it.
struct Section<T> {
    said: Said<T>,
    wrong: Option<Damaged>,
}

fn parse_all<T: Send>(
    file: &Arc<File>,
    places: &[Place],
    threads: usize,
    parse: &(impl Fn(SnapshotSeries) -> Result<T, Damaged> + Sync),
) -> Vec<io::Result<Section<T>>> {
    let parsed: Vec<Mutex<Option<io::Result<Section<T>>>>> = places.iter().map(|_| Mutex::default()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        // One for all sections of a thread: memory that was just used takes no faults.
        let mut payload = Vec::new();
        while let Some((place, slot)) = {
            let number = next.fetch_add(1, Ordering::Relaxed);
            places.get(number).zip(parsed.get(number))
        } {
            *slot.lock() = Some(read_section(file, place, &mut payload, parse));
        }
    };
    std::thread::scope(|scope| {
        (1..threads.min(places.len())).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    parsed.into_iter().filter_map(Mutex::into_inner).collect()
}

fn read_section<T>(
    file: &Arc<File>,
    place: &Place,
    payload: &mut Vec<u8>,
    parse: &impl Fn(SnapshotSeries) -> Result<T, Damaged>,
) -> io::Result<Section<T>> {
    let broken = |what| Section { said: Said::Nothing, wrong: Some(what) };
    if let Some(what) = place.lost {
        return Ok(broken(what));
    }
    payload.resize(usize::try_from(place.bytes - 8).unwrap_or_default(), 0);
    file.read_exact_at(payload, place.at + 8)?;
    if crc32fast::hash(payload) != place.crc {
        return Ok(broken(Damaged("the checksum of a section is wrong")));
    }
    let mut cursor = Cursor::new(payload);
    let said = match cursor.u8() {
        Ok(HEAD) => read_head(&mut cursor).map(Said::Head),
        Ok(SERIES) => {
            let mut series = Vec::new();
            let wrong = read_series(file, place, cursor, parse, &mut series).err();
            return Ok(Section { said: Said::Series(series), wrong });
        }
        Ok(EXEMPLARS) => {
            let mut all = Vec::new();
            let read = exemplars::read(cursor.rest(), |_, series, exemplar| all.push((series, exemplar)));
            read.map(|()| Said::Exemplars(all))
        }
        Ok(END) => cursor.varint().map(Said::End),
        _ => Err(Damaged("a section of a snapshot is of an unknown kind")),
    };
    Ok(match said {
        Ok(said) => Section { said, wrong: None },
        Err(what) => broken(what),
    })
}

fn read_head(cursor: &mut Cursor) -> Result<SnapshotHead, Damaged> {
    let mut head = SnapshotHead { next_id: cursor.varint()?, ..SnapshotHead::default() };
    for _ in 0..cursor.varint()? {
        head.sources.push(read_source(cursor)?);
    }
    head.metrics = notes::read(cursor)?;
    Ok(head)
}

fn read_series<T>(
    snapshot: &Arc<File>,
    place: &Place,
    mut cursor: Cursor,
    parse: &impl Fn(SnapshotSeries) -> Result<T, Damaged>,
    out: &mut Vec<T>,
) -> Result<(), Damaged> {
    let lsn = cursor.u64()?;
    for _ in 0..cursor.varint()? {
        let id = cursor.varint()?;
        let code = cursor.u8()?;
        let kind = SeriesKind::from_code(code & !HAS_EXTENTS).ok_or(Damaged("a series is of an unknown kind"))?;
        let (key, numbers) = (cursor.bytes()?, cursor.bytes()?);
        let behind = cursor.rest().len() + numbers.len();
        let numbers_at = place.at + place.bytes - behind as u64;
        let extents = if code & HAS_EXTENTS != 0 { Some(cursor.bytes()?) } else { None };
        out.push(parse(SnapshotSeries { id, kind, key, numbers, extents, snapshot, numbers_at, lsn })?);
    }
    Ok(())
}

/// Who takes the sections, in their order.
struct Taking<E, D> {
    salvage: bool,
    enter: E,
    damaged: D,
    head: Option<SnapshotHead>,
    series: u64,
    ended: bool,
}

impl<E, D: FnMut(u64, u64, Damaged)> Taking<E, D> {
    fn take<T>(
        &mut self,
        place: &Place,
        section: Section<T>,
        exemplar: &mut impl FnMut(LabelSet, Exemplar),
    ) -> Result<(), SnapshotError>
    where
        E: FnMut(Vec<T>),
    {
        let mut wrong = section.wrong;
        match section.said {
            Said::Nothing => {}
            Said::Head(head) => self.head = Some(head),
            Said::Series(all) => {
                self.series += all.len() as u64;
                (self.enter)(all);
            }
            Said::Exemplars(all) => all.into_iter().for_each(|(series, one)| exemplar(series, one)),
            Said::End(wanted) => {
                self.ended = true;
                if wanted != self.series && !self.salvage {
                    wrong = Some(Damaged("series are missing from a snapshot"));
                }
            }
        }
        match wrong {
            Some(what) if self.salvage => (self.damaged)(place.at, place.bytes, what),
            Some(what) => return Err(SnapshotError::Damaged(place.at, what)),
            None => {}
        }
        Ok(())
    }
}
