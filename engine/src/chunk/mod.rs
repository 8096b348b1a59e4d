//! A run of samples, compressed, immutable, bit-exact.
//!
//! ```text
//! chunk   = codec u8 | varint count | column of times (integers) | values
//! values  = decimal column (codec 1) | XOR bits (codec 2) | 8 bytes each (codec 3)
//! ```
//! Values that are decimals of at most 15 places become integers; a chunk of anything else falls back.
//! Invariant: times ascend strictly; a chunk is never empty.

pub(crate) mod decimal;
pub(crate) mod ints;
#[cfg(test)]
mod tests;
mod xor;

use watchfire_model::{Sample, Timestamp};

use crate::blocks::Piece;
use crate::bytes::{Cursor, Damaged, put_varint};

/// Most samples of one chunk; what is read from a disk may not claim more.
pub(crate) const CHUNK_SAMPLES_MAX: usize = 4096;

const DECIMAL: u8 = 1;
const XOR: u8 = 2;
const RAW: u8 = 3;

/// A sealed run of samples.
#[derive(Debug)]
pub(crate) struct Chunk {
    first: i64,
    last: i64,
    count: u32,
    bytes: Box<[u8]>,
}

/// Encodes runs of samples and reads them back, bit by bit the same; its room is reused from run to run.
#[derive(Default)]
pub struct Codec {
    times: Vec<i64>,
    values: Vec<f64>,
    scratch: decimal::Scratch,
    out: Vec<u8>,
    /// Room for a run of samples; empty while it is lent.
    room: Vec<Sample>,
}

/// A chunk whose bytes are whole.
pub(crate) struct Checked<'c, 'b> {
    pub(crate) head: Head,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) times: &'c [i64],
    /// Both columns, and that of the values, as they are encoded.
    pub(crate) columns: &'b [u8],
    pub(crate) values: &'b [u8],
}

/// Longest run whose room is kept.
const ROOM_MAX: usize = CHUNK_SAMPLES_MAX;

thread_local! {
    static CODEC: std::cell::RefCell<Codec> = std::cell::RefCell::default();
}

/// Lends this thread's codec. What runs inside takes it as an argument; where it cannot, as what rests is made numbers by
/// whoever needs them, there is another one.
pub(crate) fn with_codec<T>(work: impl FnOnce(&mut Codec) -> T) -> T {
    CODEC.with(|codec| match codec.try_borrow_mut() {
        Ok(mut codec) => work(&mut codec),
        Err(_) => work(&mut Codec::default()),
    })
}

impl Codec {
    /// The bytes of a run of at most 4096 samples whose times ascend. They stand in a buffer of the codec.
    pub fn encode(&mut self, samples: &[Sample]) -> &[u8] {
        self.encode_behind(|_| {}, samples, true)
    }

    /// The same behind some other bytes, with or without the column of times.
    pub(crate) fn encode_behind(
        &mut self,
        before: impl FnOnce(&mut Vec<u8>),
        samples: &[Sample],
        times: bool,
    ) -> &[u8] {
        debug_assert!(samples.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp), "times ascend");
        debug_assert!(samples.len() <= CHUNK_SAMPLES_MAX);
        self.values.clear();
        self.values.extend(samples.iter().map(|sample| sample.value));
        let out = &mut self.out;
        out.clear();
        before(out);
        let codec = out.len();
        out.push(DECIMAL);
        put_varint(out, samples.len() as u64);
        if times {
            self.times.clear();
            self.times.extend(samples.iter().map(|sample| sample.timestamp.millis()));
            ints::encode(&self.times, &mut self.scratch.ints, out);
        }
        if !decimal::encode(&self.values, &mut self.scratch, out) {
            let start = out.len();
            out[codec] = XOR;
            xor::encode(&self.values, out);
            if out.len() - start > 8 * samples.len() {
                out.truncate(start);
                out[codec] = RAW;
                out.extend(self.values.iter().flat_map(|value| value.to_bits().to_le_bytes()));
            }
        }
        out
    }

    /// Room for a run of samples, empty; to be given back.
    pub(crate) fn take_room(&mut self) -> Vec<Sample> {
        std::mem::take(&mut self.room)
    }

    /// Keeps room for the next one who asks.
    pub(crate) fn give_back(&mut self, mut room: Vec<Sample>) {
        if room.capacity() <= ROOM_MAX {
            room.clear();
            self.room = room;
        }
    }

    /// Seals a run into a chunk. `None` if there are no samples.
    pub(crate) fn seal(&mut self, samples: &[Sample]) -> Option<Chunk> {
        let (first, last) = (samples.first()?.timestamp.millis(), samples.last()?.timestamp.millis());
        let count = samples.len() as u32;
        Some(Chunk { first, last, count, bytes: self.encode(samples).into() })
    }

    /// The times (milliseconds) and values of an encoded run. They stand in a buffer of the codec.
    ///
    /// Errors: the bytes are not what `encode` made.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<(&[i64], &[f64]), Damaged> {
        self.decode_run(bytes)
    }

    /// Decodes the bytes of a chunk to prove that they are whole.
    pub(crate) fn check<'b>(&mut self, bytes: &'b [u8]) -> Result<Checked<'_, 'b>, Damaged> {
        let mut cursor = Cursor::new(bytes);
        let head = Head::read(&mut cursor)?;
        let columns = cursor.rest();
        self.times.clear();
        self.values.clear();
        ints::decode_onto(&mut cursor, head.count, &mut self.times, |time| time)?;
        let values = cursor.rest();
        head.decode_values(&mut cursor, &mut self.values)?;
        let times = &self.times;
        let (Some(&first), Some(&last)) = (times.first(), times.last()) else {
            return Err(Damaged("a chunk is empty"));
        };
        if self.values.len() != times.len() || times.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(Damaged("the times of a chunk do not ascend"));
        }
        Ok(Checked { head, first, last, times, columns, values })
    }

    fn decode_run(&mut self, run: &(impl Encoded + ?Sized)) -> Result<(&[i64], &[f64]), Damaged> {
        self.times.clear();
        self.values.clear();
        run.decode_onto(&mut self.times, &mut self.values)?;
        Ok((&self.times, &self.values))
    }

    /// Appends the samples with `start < time <= end`.
    pub(crate) fn decode_range(
        &mut self,
        run: &(impl Encoded + ?Sized),
        start: i64,
        end: i64,
        out: &mut Vec<Sample>,
    ) -> Result<(), Damaged> {
        let (times, values) = self.decode_run(run)?;
        let from = times.partition_point(|time| *time <= start);
        let to = times.partition_point(|time| *time <= end);
        if from < to {
            out.extend(
                times[from..to]
                    .iter()
                    .zip(&values[from..to])
                    .map(|(time, value)| Sample { timestamp: Timestamp::from_millis(*time), value: *value }),
            );
        }
        Ok(())
    }
}

/// A run of samples that has been encoded.
pub(crate) trait Encoded {
    /// Appends its times and values; what was appended before an error is to be dropped.
    fn decode_onto(&self, times: &mut Vec<i64>, values: &mut Vec<f64>) -> Result<(), Damaged>;
}

/// The bytes of a chunk.
impl Encoded for [u8] {
    fn decode_onto(&self, times: &mut Vec<i64>, values: &mut Vec<f64>) -> Result<(), Damaged> {
        let mut cursor = Cursor::new(self);
        let head = Head::read(&mut cursor)?;
        ints::decode_onto(&mut cursor, head.count, times, |time| time)?;
        head.decode_values(&mut cursor, values)
    }
}

/// What stands before the columns of a chunk.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    codec: u8,
    pub(crate) count: usize,
}

impl Head {
    pub(crate) fn read(cursor: &mut Cursor) -> Result<Head, Damaged> {
        Ok(Head { codec: cursor.u8()?, count: cursor.length(CHUNK_SAMPLES_MAX)? })
    }

    pub(crate) fn put(self, out: &mut Vec<u8>) {
        out.push(self.codec);
        put_varint(out, self.count as u64);
    }

    /// Appends the values, which are all that the cursor still has.
    pub(crate) fn decode_values(self, cursor: &mut Cursor, values: &mut Vec<f64>) -> Result<(), Damaged> {
        match self.codec {
            DECIMAL => decimal::decode(cursor, self.count, values),
            XOR => xor::decode(cursor.rest(), self.count, values),
            RAW => {
                for _ in 0..self.count {
                    values.push(cursor.f64()?);
                }
                Ok(())
            }
            _ => Err(Damaged("a chunk has an unknown codec")),
        }
    }
}

impl Chunk {
    /// A chunk from bytes of a disk: decoded once to prove that it is whole.
    pub(crate) fn read(bytes: &[u8], codec: &mut Codec) -> Result<Chunk, Damaged> {
        let Checked { head, first, last, .. } = codec.check(bytes)?;
        Ok(Chunk { first, last, count: head.count as u32, bytes: bytes.into() })
    }

    /// Time of the first sample, milliseconds.
    pub(crate) fn first(&self) -> i64 {
        self.first
    }

    /// Time of the last sample, milliseconds.
    pub(crate) fn last(&self) -> i64 {
        self.last
    }

    /// How many samples.
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }

    /// As they stand on disk.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As it goes to a block.
    pub(crate) fn piece(&self) -> Piece<'_> {
        Piece { samples: self.count, first: self.first, last: self.last, bytes: &self.bytes }
    }

    /// Memory that it takes, with its own reference counts.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Chunk>() + 16 + self.bytes.len()
    }
}
