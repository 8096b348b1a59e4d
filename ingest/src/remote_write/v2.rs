//! `io.prometheus.write.v2.Request`, the message of remote-write 2.0: texts stand once, in a table of symbols.
//!
//! ```text
//! Request     4 symbols*  5 timeseries*
//! TimeSeries  1 labels_refs* (uint32, name and value in turn)  2 samples*  3 histograms*  4 exemplars*  5 metadata
//! Exemplar    1 labels_refs*  2 value (double)  3 timestamp (int64, ms)
//! Sample      1 value (double)  2 timestamp (int64, ms)  3 start_timestamp
//! Metadata    1 type  3 help_ref  4 unit_ref
//! ```

use watchfire_engine::{Exemplar, Spelling};

use super::ReadError;
use super::gather::{Draft, Gathered};
use super::v1::{EXEMPLAR_BYTES, exemplar, family_type, read_sample};
use watchfire_protobuf::{Field, Malformed, Message, numbers};

/// Memory of a symbol beside its text, bytes.
const SYMBOL_BYTES: usize = size_of::<Symbol<'_>>();
/// Memory of a label while its series is read, bytes.
const LABEL_BYTES: usize = size_of::<(&str, &str)>();

/// A text, and its hash for finding series that were named before.
struct Symbol<'b> {
    text: &'b [u8],
    spelling: Option<Spelling>,
}

/// Reads a request.
pub(super) fn read(body: &[u8], into: &mut Gathered<'_>) -> Result<(), ReadError> {
    let symbols = read_symbols(body, into)?;
    let mut request = Message::new(body);
    let mut draft = Draft::default();
    let mut references = Vec::new();
    let mut index = 0;
    while let Some((number, field)) = request.next()? {
        if number == 5 {
            draft.clear();
            references.clear();
            Reader { index, symbols: &symbols, references: &mut references }.read(field, &mut draft, into)?;
            into.add(&mut draft)?;
            index += 1;
        }
    }
    Ok(())
}

/// The texts of a request. They may stand behind the series that use them.
fn read_symbols<'b>(body: &'b [u8], into: &mut Gathered<'_>) -> Result<Vec<Symbol<'b>>, ReadError> {
    let mut request = Message::new(body);
    let mut symbols = Vec::new();
    while let Some((number, field)) = request.next()? {
        match number {
            4 => {
                into.ask(SYMBOL_BYTES)?;
                let text = field.bytes()?;
                symbols.push(Symbol { text, spelling: into.spelling(text) });
            }
            // The numbers of the first version's fields are reserved, to tell the two apart.
            1..=3 => return Err(ReadError::OtherVersion("1.0")),
            _ => {}
        }
    }
    match symbols.first() {
        Some(first) if !first.text.is_empty() => Err(ReadError::Symbols),
        _ => Ok(symbols),
    }
}

/// Reads one series.
struct Reader<'r, 'b> {
    index: u32,
    symbols: &'r [Symbol<'b>],
    /// The labels: references to names and values in turn.
    references: &'r mut Vec<u32>,
}

impl<'b> Reader<'_, 'b> {
    fn read(&mut self, field: Field<'b>, draft: &mut Draft<'b>, into: &mut Gathered<'_>) -> Result<(), ReadError> {
        let here = ReadError::in_series(self.index);
        let mut series = Message::new(field.bytes().map_err(here)?);
        while let Some((number, field)) = series.next().map_err(here)? {
            match number {
                1 => self.refer(field, draft, into)?,
                2 => {
                    let (at, value) = read_sample(field).map_err(here)?;
                    into.sample(draft, at, value)?;
                }
                3 => {
                    into.histogram(draft, field, here)?;
                }
                4 => {
                    into.ask(EXEMPLAR_BYTES + field.bytes().map_err(here)?.len() * LABEL_BYTES)?;
                    match self.read_exemplar(field).map_err(here)? {
                        Ok(exemplar) => draft.exemplars.extend(exemplar),
                        Err(why) => draft.no_exemplars.push(why),
                    }
                }
                5 => self.read_metadata(field, draft)?,
                _ => {}
            }
        }
        if self.references.len() % 2 == 1 {
            draft.wrong("its last label has a name and no value");
        }
        // A series with what are no histograms or exemplars, or with nothing, is told by its labels.
        let is_told = draft.holds_wrong() || draft.is_empty();
        if draft.is_right() && !is_told && self.recall(draft, into) {
            return Ok(());
        }
        self.label(draft, into)
    }

    /// Notes references, each of which is one to a symbol.
    fn refer(&mut self, field: Field<'_>, draft: &mut Draft<'_>, into: &mut Gathered<'_>) -> Result<(), ReadError> {
        for reference in numbers(field) {
            into.ask(size_of::<u32>())?;
            let reference = reference.map_err(ReadError::in_series(self.index))?;
            match u32::try_from(reference).ok().filter(|number| (*number as usize) < self.symbols.len()) {
                Some(reference) => self.references.push(reference),
                None => draft.wrong("a label refers to a symbol that is not there"),
            }
        }
        Ok(())
    }

    /// An exemplar; `None` if its labels are texts that cannot be labels, and why not if they are not even texts.
    fn read_exemplar(&self, field: Field<'_>) -> Result<Result<Option<Exemplar>, &'static str>, Malformed> {
        let mut message = Message::new(field.bytes()?);
        let (mut labels, mut value, mut at) = (Vec::new(), 0.0, 0);
        while let Some((number, field)) = message.next()? {
            match number {
                1 => {
                    for reference in numbers(field) {
                        labels.push(usize::try_from(reference?).ok().and_then(|number| self.symbols.get(number)));
                    }
                }
                2 => value = field.double()?,
                3 => at = field.signed()?,
                _ => {}
            }
        }
        let (pairs, rest) = labels.as_chunks::<2>();
        if !rest.is_empty() {
            return Ok(Err("its last label has a name and no value"));
        }
        let texts = pairs.iter().map(|[name, value]| Some((name.as_ref()?.text, value.as_ref()?.text)));
        let Some(texts) = texts.collect::<Option<Vec<_>>>() else {
            return Ok(Err("a label refers to a symbol that is not there"));
        };
        Ok(Ok(exemplar(texts.into_iter(), value, at)))
    }

    /// Reads what is said about the metric.
    fn read_metadata(&self, field: Field<'_>, draft: &mut Draft<'b>) -> Result<(), ReadError> {
        let here = ReadError::in_series(self.index);
        let mut metadata = Message::new(field.bytes().map_err(here)?);
        while let Some((number, field)) = metadata.next().map_err(here)? {
            match number {
                1 => draft.about.declared = family_type(field.unsigned().map_err(here)?),
                number @ (3 | 4) => {
                    let reference = usize::try_from(field.unsigned().map_err(here)?).unwrap_or(usize::MAX);
                    match (self.symbols.get(reference), number) {
                        (Some(symbol), 3) => draft.about.help = symbol.text,
                        (Some(symbol), _) => draft.about.unit = symbol.text,
                        (None, 3) => draft.wrong("its help refers to a symbol that is not there"),
                        (None, _) => draft.wrong("its unit refers to a symbol that is not there"),
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn symbols(&self) -> impl Iterator<Item = &Symbol<'b>> {
        self.references.iter().filter_map(|reference| self.symbols.get(*reference as usize))
    }

    /// Looks for the series by the hashes of its symbols, which are the same in each request, whatever their numbers.
    fn recall(&self, draft: &mut Draft<'b>, into: &mut Gathered<'_>) -> bool {
        into.recall(draft, |spellings| spellings.of_parts(self.symbols().filter_map(|symbol| symbol.spelling)))
    }

    fn label(&self, draft: &mut Draft<'b>, into: &mut Gathered<'_>) -> Result<(), ReadError> {
        let mut texts = self.symbols().map(|symbol| symbol.text);
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            into.ask(LABEL_BYTES)?;
            draft.label(name, value);
        }
        Ok(())
    }
}
