//! A file of the log, and how what stands in it is found again.
//!
//! ```text
//! file   = "WFWAL\0" | version u16 | first lsn u64 | crc32 of that | record*
//! record = length u32 | crc32 u32 of what follows | lsn u64 | synced u64 | payload, perhaps packed (see `packed`)
//! ```
//! `lsn` counts records, over all files; records below `synced` were durable when this one was written. Where a record is damaged, the reader looks for the next place
//! at which a whole one with a later number begins, and says what it left out. Zeros behind the last record are room for others.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::bytes::{Cursor, Damaged};
use crate::cores;
use crate::wal::packed::{self, Unpacker};
use crate::wal::torn::can_be_torn;

const MAGIC: &[u8; 6] = b"WFWAL\0";
/// 9 since native histograms keep their empty buckets, 8 since values stand in planes, 7 since records are packed, 6 since what is said about metrics, 5 since exemplars, 4 since native histograms, 3 since samples stand in columns and there are deletions, 2 since backfills; all and 1 are
/// read, as parts of that.
const VERSION: u16 = 9;
/// Length of the head of a file.
pub(crate) const HEAD_BYTES: usize = 20;
/// Length of the head of a record.
pub(crate) const RECORD_HEAD_BYTES: usize = 24;
/// What is told of a record that is whole and cannot be understood.
pub(crate) const SENSELESS: &str = "a record with a right checksum makes no sense";
/// What is told of an end that no crash can have left.
const DAMAGED_END: &str = "the end of the file is damaged";
/// Bytes of a file that a thread reads at once.
const READ_AT_ONCE: usize = 1 << 20;
/// Bytes of a file that are unpacked and looked at at once: what their heads say is many times as long.
const UNPACKED_AT_ONCE: usize = 1 << 20;
/// The payloads of a file are expected to have at most so many times its length.
const PACKED_MAX: usize = 4;
/// Fewer records are not worth a thread.
const SHARE_MIN: usize = 64;
/// Longest payload.
pub(crate) const RECORD_BYTES_MAX: usize = 1 << 28;

/// The name of the file whose first record has this number.
pub(crate) fn path_of(folder: &Path, first_lsn: u64) -> PathBuf {
    folder.join(format!("wal-{first_lsn:020}.log"))
}

/// The files of a folder with the number of their first record, ascending.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    numbered(folder, "wal-", ".log")
}

/// Files named `prefix`, number, `suffix`; ascending by number.
pub(crate) fn numbered(folder: &Path, prefix: &str, suffix: &str) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix));
        if let Some(number) = number.and_then(|digits| digits.parse().ok()) {
            files.push((number, path));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The head of a file.
pub(crate) fn head(first_lsn: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&first_lsn.to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    out
}

/// Appends a record to a buffer; `fill` writes the payload.
pub(crate) fn put_record(out: &mut Vec<u8>, lsn: u64, synced: u64, fill: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&lsn.to_le_bytes());
    out.extend_from_slice(&synced.to_le_bytes());
    fill(out);
    let length = out.len() - start - RECORD_HEAD_BYTES;
    if length > RECORD_BYTES_MAX {
        out.truncate(start);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a batch is too large for the log"));
    }
    let crc = crc32fast::hash(&out[start + 8..]);
    out[start..start + 4].copy_from_slice(&(length as u32).to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// A part of a file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where the damage begins, bytes.
    pub offset: u64,
    /// How many bytes were left out.
    pub bytes: u64,
    /// What was found.
    pub reason: String,
    /// It is at the end of the last file, and may be what a crash in the middle of a write leaves: nothing acknowledged.
    pub torn_tail: bool,
}

/// Why a file cannot be read at all.
#[derive(Debug)]
pub(crate) enum SegmentError {
    Io(io::Error),
    NewerVersion(u16),
}

/// A record of a file.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) lsn: u64,
    /// Records below this were durable when it was written.
    pub(crate) synced: u64,
    /// As it stands in the file: it may be packed.
    pub(crate) payload: &'a [u8],
}

/// A record that was read, unpacked.
#[derive(Clone, Copy)]
pub(crate) struct ReadRecord<'a> {
    pub(crate) lsn: u64,
    /// Records below this were durable when it was written.
    pub(crate) synced: u64,
    pub(crate) payload: &'a [u8],
    /// Where the payload begins among all of the file.
    pub(crate) payload_at: usize,
    /// Where the record begins in the file.
    pub(crate) offset: u64,
    /// Its length there.
    pub(crate) bytes: u64,
}

/// What was found in a file.
pub(crate) struct Found {
    /// Where the last whole record ends.
    pub(crate) good_end: u64,
    pub(crate) damages: Vec<Damage>,
    /// The payloads of its records, unpacked, one after another.
    pub(crate) payloads: Vec<u8>,
}

/// Who takes the records of a file.
pub(crate) trait Records: Sync {
    /// What is found out of a payload beforehand.
    type Looked: Send;

    /// Looks at a payload, on any thread, before any record is taken that is unpacked together with this one.
    fn look(&self, payload: &[u8]) -> Self::Looked;

    /// Takes a record, one after another; says whether its payload could be used.
    fn take(&mut self, record: ReadRecord, looked: Self::Looked) -> Result<(), Damaged>;
}

/// Takes records that are not looked at beforehand.
struct Each<F>(F);

impl<F: FnMut(ReadRecord) -> Result<(), Damaged> + Sync> Records for Each<F> {
    type Looked = ();

    fn look(&self, _: &[u8]) {}

    fn take(&mut self, record: ReadRecord, (): ()) -> Result<(), Damaged> {
        (self.0)(record)
    }
}

/// Reads a file and hands its records on. `each` says whether it could use the payload.
pub(crate) fn read(
    path: &Path,
    last_file: bool,
    each: impl FnMut(ReadRecord) -> Result<(), Damaged> + Sync,
) -> Result<Found, SegmentError> {
    read_by(path, last_file, &mut Each(each))
}

/// Reads a file and hands its records on.
pub(crate) fn read_by(path: &Path, last_file: bool, records: &mut impl Records) -> Result<Found, SegmentError> {
    let bytes = read_file(path).map_err(SegmentError::Io)?;
    let mut payloads = Payloads::with_room(unpacked_bytes(&bytes));
    let mut found = Found { good_end: 0, damages: Vec::new(), payloads: Vec::new() };
    let damage = |offset: usize, length: usize, reason: &str, torn_tail: bool| Damage {
        file: path.to_owned(),
        offset: offset as u64,
        bytes: length as u64,
        reason: reason.to_owned(),
        torn_tail,
    };
    let mut expected = match read_head(&bytes)? {
        Some(lsn) => lsn,
        None if last_file && without_zeros(&bytes).len() <= HEAD_BYTES => {
            found.damages.push(damage(0, bytes.len(), "the head of the file is not whole", true));
            return Ok(found);
        }
        None => {
            found.damages.push(damage(0, HEAD_BYTES.min(bytes.len()), "the head of the file is damaged", false));
            0
        }
    };
    found.good_end = HEAD_BYTES.min(bytes.len()) as u64;
    let mut at = HEAD_BYTES;
    let mut some: Vec<(usize, Record)> = Vec::new();
    let mut take = |some: &mut Vec<(usize, Record)>, found: &mut Found| {
        take_all(some, &mut payloads, records, |at, bytes| {
            found.damages.push(damage(at, bytes, SENSELESS, false));
        });
        some.clear();
    };
    let mut taken_to = at;
    while at < bytes.len() {
        if let Some(record) = record_at(&bytes, at, expected) {
            some.push((at, record));
            expected = record.lsn + 1;
            at += RECORD_HEAD_BYTES + record.payload.len();
            found.good_end = at as u64;
            if at - taken_to > UNPACKED_AT_ONCE {
                take(&mut some, &mut found);
                taken_to = at;
            }
            continue;
        }
        // Damages are told in the order of the file.
        take(&mut some, &mut found);
        match (at + 1..bytes.len()).find(|next| record_at(&bytes, *next, expected).is_some()) {
            Some(next) => {
                found.damages.push(damage(at, next - at, "the checksum of a record is wrong", false));
                at = next;
            }
            None => {
                let rest = without_zeros(bytes.get(at..).unwrap_or_default());
                let is_torn = last_file && can_be_torn(&bytes, at, expected);
                let reason = if is_torn { "the last record is not whole" } else { DAMAGED_END };
                if !rest.is_empty() {
                    found.damages.push(damage(at, rest.len(), reason, is_torn));
                }
                break;
            }
        }
    }
    take(&mut some, &mut found);
    found.payloads = payloads.into_bytes();
    Ok(found)
}

/// Without the zeros at its end.
fn without_zeros(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or_default()
}

/// Reads a file on all cores.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    let parts = bytes.chunks_mut(READ_AT_ONCE).zip((0..).step_by(READ_AT_ONCE)).collect();
    let read = cores::on_all(parts, |(part, at): (&mut [u8], u64)| file.read_exact_at(part, at));
    read.into_iter().collect::<io::Result<()>>()?;
    Ok(bytes)
}

/// Payloads, one after another, with room for others: that comes from the system as zeros, which nobody has to write, and is
/// first touched by the threads that unpack to it.
struct Payloads {
    bytes: Vec<u8>,
    filled: usize,
}

impl Payloads {
    fn with_room(bytes: usize) -> Payloads {
        Payloads { bytes: vec![0; bytes], filled: 0 }
    }

    /// The room for so many more, of which all are filled from here on.
    fn room_for(&mut self, bytes: usize) -> &mut [u8] {
        let (start, end) = (self.filled, self.filled + bytes);
        if end > self.bytes.len() {
            self.bytes.resize(end, 0);
        }
        self.filled = end;
        self.bytes.get_mut(start..end).unwrap_or_default()
    }

    fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.filled);
        self.bytes
    }
}

/// Bytes of all payloads, unpacked, as far as the lengths beside them are to be believed.
fn unpacked_bytes(bytes: &[u8]) -> usize {
    let (mut at, mut sum) = (HEAD_BYTES, 0usize);
    while let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let start = at + RECORD_HEAD_BYTES;
        at = start.saturating_add(u32::from_le_bytes(*length) as usize);
        sum =
            sum.saturating_add(bytes.get(start..at).map_or(0, |payload| packed::unpacked_bytes(payload).unwrap_or(0)));
    }
    sum.min(bytes.len().saturating_mul(PACKED_MAX))
}

/// Unpacks records behind other payloads and has them looked at, on all cores; then each is taken. Tells of those of which the
/// payload is of no use where they stand, and their lengths.
fn take_all<R: Records>(
    some: &[(usize, Record)],
    payloads: &mut Payloads,
    records: &mut R,
    mut senseless: impl FnMut(usize, usize),
) {
    let lengths: Vec<Result<usize, Damaged>> =
        some.iter().map(|(_, record)| packed::unpacked_bytes(record.payload)).collect();
    let bytes_of = |lengths: &[Result<usize, Damaged>]| lengths.iter().flatten().sum::<usize>();
    let mut payload_at = payloads.filled;
    let mut room = payloads.room_for(bytes_of(&lengths));
    let of_share = some.len().div_ceil(cores::threads()).max(SHARE_MIN);
    let mut shares = Vec::new();
    for (share, lengths) in some.chunks(of_share).zip(lengths.chunks(of_share)) {
        let (of_share, rest) = room.split_at_mut(bytes_of(lengths));
        room = rest;
        shares.push((share, lengths, of_share));
    }
    let looking = &*records;
    let unpacked = cores::on_all(shares, |(share, lengths, mut room)| {
        let mut unpacker = Unpacker::default();
        let unpack = |((_, record), length): (&(usize, Record), &Result<usize, Damaged>)| {
            let (payload, rest) = std::mem::take(&mut room).split_at_mut(length.unwrap_or(0));
            room = rest;
            let whole = length.and_then(|_| unpacker.unpack_to(record.payload, payload));
            (payload.len(), whole.map(|()| looking.look(payload)))
        };
        share.iter().zip(lengths).map(unpack).collect::<Vec<_>>()
    });
    for ((at, record), (length, looked)) in some.iter().zip(unpacked.into_iter().flatten()) {
        let bytes = RECORD_HEAD_BYTES + record.payload.len();
        let payload = payloads.bytes.get(payload_at..payload_at + length).unwrap_or_default();
        let understood = looked.and_then(|looked| {
            let (lsn, synced, offset, bytes) = (record.lsn, record.synced, *at as u64, bytes as u64);
            records.take(ReadRecord { lsn, synced, payload, payload_at, offset, bytes }, looked)
        });
        payload_at += length;
        if understood.is_err() {
            senseless(*at, bytes);
        }
    }
}

fn read_head(bytes: &[u8]) -> Result<Option<u64>, SegmentError> {
    let Some(head) = bytes.get(..HEAD_BYTES) else { return Ok(None) };
    let mut cursor = Cursor::new(head);
    let magic = cursor.take(6).unwrap_or_default() == MAGIC;
    let (Ok(version), Ok(lsn), Ok(crc)) = (cursor.u16(), cursor.u64(), cursor.u32()) else { return Ok(None) };
    if !magic || crc != crc32fast::hash(&head[..HEAD_BYTES - 4]) {
        return Ok(None);
    }
    if version > VERSION {
        return Err(SegmentError::NewerVersion(version));
    }
    Ok(Some(lsn))
}

/// The whole record that begins here, if its number is not below the expected one.
pub(crate) fn record_at(bytes: &[u8], at: usize, expected: u64) -> Option<Record<'_>> {
    let mut cursor = Cursor::new(bytes.get(at..)?);
    let (length, crc) = (cursor.u32().ok()? as usize, cursor.u32().ok()?);
    if length > RECORD_BYTES_MAX {
        return None;
    }
    let checked = cursor.rest();
    let lsn = cursor.u64().ok()?;
    // A million records are never missing; this makes the search for the next record quick.
    if lsn < expected || (expected > 0 && lsn - expected > 1_000_000) {
        return None;
    }
    let synced = cursor.u64().ok()?;
    let payload = cursor.take(length).ok()?;
    (crc32fast::hash(checked.get(..16 + length)?) == crc).then_some(Record { lsn, synced, payload })
}
