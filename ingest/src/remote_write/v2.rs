//! `io.prometheus.write.v2.Request`, the message of remote-write 2.0: texts stand once, in a table of symbols.
//!
//! ```text
//! Request     4 symbols*  5 timeseries*
//! TimeSeries  1 labels_refs* (uint32, name and value in turn)  2 samples*  3 histograms*  4 exemplars*  5 metadata
//! Sample      1 value (double)  2 timestamp (int64, ms)  3 start_timestamp
//! Metadata    1 type  3 help_ref  4 unit_ref
//! ```

use watchfire_engine::MetricType;

use super::ReadError;
use super::gather::{Draft, Gathered};
use super::v1::read_sample;
use super::wire::{Field, Malformed, Message, numbers};

/// Memory of a symbol beside its text, bytes.
const SYMBOL_BYTES: usize = size_of::<&[u8]>();
/// Memory of a label while its series is read, bytes.
const LABEL_BYTES: usize = size_of::<(&str, &str)>();

/// Reads a request.
pub(super) fn read(body: &[u8], into: &mut Gathered<'_>) -> Result<(), ReadError> {
    let symbols = read_symbols(body, into)?;
    let mut request = Message::new(body);
    let mut draft = Draft::default();
    let mut index = 0;
    while let Some((number, field)) = request.next()? {
        if number == 5 {
            draft.clear();
            read_series(field, index, &symbols, &mut draft, into)?;
            into.add(&mut draft)?;
            index += 1;
        }
    }
    Ok(())
}

/// The texts of a request. They may stand behind the series that use them.
fn read_symbols<'b>(body: &'b [u8], into: &mut Gathered<'_>) -> Result<Vec<&'b [u8]>, ReadError> {
    let mut request = Message::new(body);
    let mut symbols = Vec::new();
    while let Some((number, field)) = request.next()? {
        match number {
            4 => {
                into.ask(SYMBOL_BYTES)?;
                symbols.push(field.bytes()?);
            }
            // The numbers of the first version's fields are reserved, to tell the two apart.
            1..=3 => return Err(ReadError::OtherVersion("1.0")),
            _ => {}
        }
    }
    match symbols.first() {
        Some(first) if !first.is_empty() => Err(ReadError::Symbols),
        _ => Ok(symbols),
    }
}

fn read_series<'b>(
    field: Field<'b>,
    index: u32,
    symbols: &[&'b [u8]],
    draft: &mut Draft<'b>,
    into: &mut Gathered<'_>,
) -> Result<(), ReadError> {
    let here = ReadError::in_series(index);
    let wrong = |what| ReadError::References { series: index, what };
    let mut series = Message::new(field.bytes().map_err(here)?);
    let mut name = None;
    while let Some((number, field)) = series.next().map_err(here)? {
        match number {
            1 => {
                for reference in numbers(field) {
                    let reference = usize::try_from(reference.map_err(here)?).unwrap_or(usize::MAX);
                    let text =
                        *symbols.get(reference).ok_or_else(|| wrong("a label refers to a symbol that is not there"))?;
                    match name.take() {
                        None => name = Some(text),
                        Some(name) => {
                            into.ask(LABEL_BYTES)?;
                            draft.label(name, text);
                        }
                    }
                }
            }
            2 => {
                let (at, value) = read_sample(field).map_err(here)?;
                into.sample(draft, at, value)?;
            }
            3 => draft.histograms += 1,
            5 => draft.kind = read_type(field).map_err(here)?,
            _ => {}
        }
    }
    if name.is_some() { Err(wrong("its last label has a name and no value")) } else { Ok(()) }
}

/// What its sender says the samples are.
fn read_type(field: Field<'_>) -> Result<MetricType, Malformed> {
    let mut metadata = Message::new(field.bytes()?);
    let mut kind = MetricType::Untyped;
    while let Some((number, field)) = metadata.next()? {
        if number == 1 {
            kind = match field.unsigned()? {
                1 => MetricType::Counter,
                2 => MetricType::Gauge,
                _ => MetricType::Untyped,
            };
        }
    }
    Ok(kind)
}
