//! `prometheus.WriteRequest`, the message of remote-write 1.0.
//!
//! ```text
//! WriteRequest  1 timeseries*  3 metadata*
//! TimeSeries    1 labels*  2 samples*  3 exemplars*  4 histograms*
//! Label         1 name  2 value
//! Exemplar      1 labels*  2 value (double)  3 timestamp (int64, ms)
//! Sample        1 value (double)  2 timestamp (int64, ms)
//! Metadata      1 type  2 metric family name  4 help  5 unit
//! ```

use watchfire_engine::{Exemplar, FamilyType};
use watchfire_model::{LabelSet, Timestamp};

use super::ReadError;
use super::gather::{About, Draft, Gathered};
use watchfire_protobuf::{Field, Malformed, Message, leading_run};

/// What a sample begins with in its series: the number of its field and that it is bytes.
const SAMPLES_TAG: u8 = 2 << 3 | 2;

/// Memory of a label while its series is read, bytes.
const LABEL_BYTES: usize = size_of::<(&str, &str)>();

/// Memory of an exemplar here and in the batch, its labels aside, bytes.
pub(super) const EXEMPLAR_BYTES: usize = 128;

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
            3 => read_metadata(field, into)?,
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
    let bytes = field.bytes().map_err(here)?;
    let (labels, rest) = match into.recall_expected(draft, bytes, SAMPLES_TAG) {
        Some(known) => known,
        None => {
            let (labels, rest) = bytes.split_at(leading_run(bytes, 1).map_err(here)?);
            if !into.recall(draft, |spellings| spellings.of(labels)) {
                read_labels(labels, index, draft, into)?;
            }
            (labels, rest)
        }
    };
    let mut series = Message::new(rest);
    while let Some((number, field)) = series.next().map_err(here)? {
        match number {
            // A label behind the samples is allowed, though nobody writes so.
            1 | 4 => {
                if number == 4 && into.histogram(draft, field, here)? {
                    continue;
                }
                // A series that is to be told by its labels, or has more of them than were looked for.
                if draft.forget() {
                    read_labels(labels, index, draft, into)?;
                }
                if number == 1 {
                    into.ask(LABEL_BYTES)?;
                    let (name, value) = read_label(field).map_err(here)?;
                    draft.label(name, value);
                }
            }
            2 => {
                let (at, value) = read_sample(field).map_err(here)?;
                into.sample(draft, at, value)?;
            }
            3 => {
                into.ask(EXEMPLAR_BYTES + field.bytes().map_err(here)?.len() * LABEL_BYTES)?;
                draft.exemplars.extend(read_exemplar(field).map_err(here)?);
            }
            _ => {}
        }
    }
    Ok(())
}

/// An exemplar; `None` if its labels are none.
fn read_exemplar(field: Field<'_>) -> Result<Option<Exemplar>, Malformed> {
    let mut message = Message::new(field.bytes()?);
    let (mut labels, mut value, mut at) = (Vec::new(), 0.0, 0);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => labels.push(read_label(field)?),
            2 => value = field.double()?,
            3 => at = field.signed()?,
            _ => {}
        }
    }
    Ok(exemplar(labels.into_iter(), value, at))
}

/// An exemplar of texts as they lie in the body; `None` if they are no labels.
pub(super) fn exemplar<'b>(
    labels: impl Iterator<Item = (&'b [u8], &'b [u8])>,
    value: f64,
    at: i64,
) -> Option<Exemplar> {
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let pairs = labels.map(|(name, value)| Some((text(name)?, text(value)?))).collect::<Option<Vec<_>>>()?;
    let labels = LabelSet::from_pairs(pairs).ok()?;
    Some(Exemplar { labels, value, at: Timestamp::from_millis(at), is_dated: true })
}

/// Reads a run of labels.
fn read_labels<'b>(
    labels: &'b [u8],
    index: u32,
    draft: &mut Draft<'b>,
    into: &mut Gathered<'_>,
) -> Result<(), ReadError> {
    let here = ReadError::in_series(index);
    let plain = read_plain_labels(labels, draft, into)?;
    let mut labels = Message::new(labels.get(plain..).unwrap_or_default());
    while let Some((_, field)) = labels.next().map_err(here)? {
        into.ask(LABEL_BYTES)?;
        let (name, value) = read_label(field).map_err(here)?;
        draft.label(name, value);
    }
    Ok(())
}

/// Reads the plain labels that a run begins with, and says how many bytes those are: nearly always all. Tags and short lengths are
/// ASCII, so that all texts of the run are proven UTF-8 at once.
fn read_plain_labels<'b>(labels: &'b [u8], draft: &mut Draft<'b>, into: &mut Gathered<'_>) -> Result<usize, ReadError> {
    let mut rest = std::str::from_utf8(labels).unwrap_or_default();
    let mut read = 0;
    while let Some((name, value, behind)) = plain_label(rest) {
        into.ask(LABEL_BYTES)?;
        draft.text_label(name, value);
        read += rest.len() - behind.len();
        rest = behind;
    }
    Ok(read)
}

/// The label that a run begins with, and what stands behind it, if it is written as all do: name and value, each of less than 128 bytes.
#[inline]
fn plain_label(run: &str) -> Option<(&str, &str, &str)> {
    let [0x0a, length @ ..0x80, 0x0a, name @ ..0x80, ..] = run.as_bytes() else { return None };
    let (end, value_at) = (2 + usize::from(*length), 4 + usize::from(*name));
    let [0x12, value @ ..0x80, ..] = run.as_bytes().get(value_at..)? else { return None };
    let is_all = value_at + 2 + usize::from(*value) == end;
    is_all.then_some(())?;
    Some((run.get(4..value_at)?, run.get(value_at + 2..end)?, run.get(end..)?))
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

fn read_metadata(field: Field<'_>, into: &mut Gathered<'_>) -> Result<(), ReadError> {
    let mut metadata = Message::new(field.bytes()?);
    let (mut family, mut about) = (&[][..], About::default());
    while let Some((number, field)) = metadata.next()? {
        match number {
            1 => about.declared = family_type(field.unsigned()?),
            2 => family = field.bytes()?,
            4 => about.help = field.bytes()?,
            5 => about.unit = field.bytes()?,
            _ => {}
        }
    }
    into.describe(family, about)
}

/// A type by its number, which both versions give it.
pub(super) fn family_type(number: u64) -> FamilyType {
    FamilyType::from_code(number).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use watchfire_protobuf::Writer;

    use super::*;

    /// The labels of a run, read field by field; what is behind damage is left out.
    fn one_by_one(run: &[u8]) -> Vec<(&[u8], &[u8])> {
        let mut run = Message::new(run);
        std::iter::from_fn(|| read_label(run.next().ok()??.1).ok()).collect()
    }

    proptest! {
        #[test]
        fn plain_labels_are_those_that_are_read_field_by_field(
            labels in proptest::collection::vec(("[a-zé]{0,3}", "[a-zé]{0,3}|x{120,130}|é{60,70}"), 0..5),
            change in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let mut run = Vec::new();
            for (name, value) in &labels {
                let mut label = Vec::new();
                let mut writer = Writer::new(&mut label);
                writer.bytes(1, name.as_bytes());
                writer.bytes(2, value.as_bytes());
                Writer::new(&mut run).bytes(1, &label);
            }
            if let Some((place, byte)) = change && !run.is_empty() {
                let place = place.index(run.len());
                run[place] = byte;
            }
            let (mut draft, mut grow) = (Draft::default(), |_| true);
            let mut gathered = Gathered::new(Timestamp::from_millis(0), None, &mut grow);
            let read = read_plain_labels(&run, &mut draft, &mut gathered).expect("there is memory");
            let plain: Vec<_> = draft.pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            prop_assert_eq!(&plain, &one_by_one(&run[..read]));
            prop_assert_eq!(&[plain, one_by_one(&run[read..])].concat(), &one_by_one(&run));
            let is_plain = |(name, value): &(String, String)| {
                !name.is_empty() && !value.is_empty() && name.len() + value.len() < 124
            };
            let are_plain = labels.iter().all(is_plain);
            prop_assert!(change.is_some() || !are_plain || read == run.len());
        }
    }
}
