//! `prometheus.WriteRequest`, the message of remote-write 1.0.
//!
//! ```text
//! WriteRequest  1 timeseries*  3 metadata*
//! TimeSeries    1 labels*  2 samples*  3 exemplars*  4 histograms*
//! Label         1 name  2 value
//! Sample        1 value (double)  2 timestamp (int64, ms)
//! ```

use super::ReadError;
use super::gather::{Draft, Gathered};
use super::wire::{Field, Malformed, Message};

/// Memory of a label while its series is read, bytes.
const LABEL_BYTES: usize = size_of::<(&str, &str)>();

/// Reads a request.
pub(super) fn read(body: &[u8], into: &mut Gathered<'_>) -> Result<(), ReadError> {
    let mut request = Message::new(body);
    let mut draft = Draft::default();
    let mut index = 0;
    while let Some((number, field)) = request.next()? {
        match number {
            1 => {
                draft.clear();
                read_series(field, index, &mut draft, into)?;
                into.add(&mut draft)?;
                index += 1;
            }
            4 | 5 => return Err(ReadError::OtherVersion("2.0")),
            _ => {}
        }
    }
    Ok(())
}

fn read_series<'b>(
    field: Field<'b>,
    index: u32,
    draft: &mut Draft<'b>,
    into: &mut Gathered<'_>,
) -> Result<(), ReadError> {
    let here = ReadError::in_series(index);
    let mut series = Message::new(field.bytes().map_err(here)?);
    while let Some((number, field)) = series.next().map_err(here)? {
        match number {
            1 => {
                into.ask(LABEL_BYTES)?;
                let (name, value) = read_label(field).map_err(here)?;
                draft.label(name, value);
            }
            2 => {
                let (at, value) = read_sample(field).map_err(here)?;
                into.sample(draft, at, value)?;
            }
            4 => draft.histograms += 1,
            _ => {}
        }
    }
    Ok(())
}

fn read_label(field: Field<'_>) -> Result<(&[u8], &[u8]), Malformed> {
    let mut label = Message::new(field.bytes()?);
    let (mut name, mut value) = (&[][..], &[][..]);
    while let Some((number, field)) = label.next()? {
        match number {
            1 => name = field.bytes()?,
            2 => value = field.bytes()?,
            _ => {}
        }
    }
    Ok((name, value))
}

/// Time in milliseconds and value; the messages of both versions have them in the same places.
pub(super) fn read_sample(field: Field<'_>) -> Result<(i64, f64), Malformed> {
    let mut sample = Message::new(field.bytes()?);
    let (mut at, mut value) = (0, 0.0);
    while let Some((number, field)) = sample.next()? {
        match number {
            1 => value = field.double()?,
            2 => at = field.signed()?,
            _ => {}
        }
    }
    Ok((at, value))
}
