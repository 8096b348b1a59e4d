//! Searching a column of templates: first the templates, which match always, never or perhaps, then only the values
//! that decide, then, where nothing else helps, the texts.

mod phrase;
mod regex;

use super::layouts;
use super::leaf::{ColumnTest, Kind};
use crate::query::Phrase;
use crate::sealed::bytes::BytesPage;
use crate::sealed::filter::Filter;
use crate::sealed::section::ReadSections;
use crate::sealed::templates::Templates;
use crate::sealed::templates::reader::TemplateReader;
use crate::values::{Bits, Raw};

/// Candidates of which so few are left are read and tested.
const FEW: usize = 32;

/// What a template says about its texts.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// None of them matches.
    Never,
    /// All of them match.
    Always,
    /// These match, by their numbers within the template.
    Some(Bits),
    /// Each has to be looked at.
    Perhaps,
}

/// Which texts of a column (by index) pass a test, among `candidates`. Others may be in the answer too.
pub(super) fn find(
    layout: &Templates,
    count: usize,
    test: &ColumnTest<'_, '_>,
    candidates: &Bits,
    filter: Option<&Filter>,
    file: &dyn ReadSections,
) -> Result<Bits, String> {
    match test.kind {
        Kind::Exists => return Ok(Bits::all(count)),
        Kind::Inside => return Ok(Bits::none(count)),
        _ => {}
    }
    let search = Search { reader: TemplateReader::open(layout, count, file)?, test, filter };
    if candidates.count() <= FEW {
        return search.tested(candidates);
    }
    match test.kind {
        Kind::Words(phrase) | Kind::Phrase(phrase) => search.answer(search.by_words(phrase)?, candidates),
        Kind::Regex(pattern) | Kind::FieldRegex(pattern) => search.answer(search.by_regex(pattern), candidates),
        // Every text that is `whole` has its words; the rest is tested.
        _ => match test.words() {
            Some(words) => {
                let mut may = search.answer(search.by_words(&words)?, candidates)?;
                may.and(candidates);
                search.tested(&may)
            }
            None => search.tested(candidates),
        },
    }
}

/// One test of one column.
struct Search<'s> {
    reader: TemplateReader<'s>,
    test: &'s ColumnTest<'s, 's>,
    filter: Option<&'s Filter>,
}

impl Search<'_> {
    /// The texts that the templates' verdicts come to.
    fn answer(&self, verdicts: Vec<Verdict>, candidates: &Bits) -> Result<Bits, String> {
        let with = |wanted: &Verdict| -> Vec<bool> { verdicts.iter().map(|verdict| verdict == wanted).collect() };
        if verdicts.iter().all(|verdict| *verdict == Verdict::Never) {
            return Ok(Bits::none(self.reader.count));
        }
        let planes = self.reader.planes()?;
        let mut found = planes.find(&with(&Verdict::Always));
        for (number, verdict) in verdicts.iter().enumerate() {
            let Verdict::Some(local) = verdict else { continue };
            let mut rows = local.iter();
            let mut next = rows.next();
            for (at, text) in self.texts_of(number)?.iter().enumerate() {
                let Some(wanted) = next else { break };
                if at == wanted {
                    found.set(text);
                    next = rows.next();
                }
            }
        }
        let mut perhaps = planes.find(&with(&Verdict::Perhaps));
        perhaps.and(candidates);
        if !perhaps.is_empty() {
            found.or(&self.tested(&perhaps)?);
        }
        Ok(found)
    }

    /// The texts of a template.
    fn texts_of(&self, template: usize) -> Result<Bits, String> {
        let mut wanted = vec![false; self.reader.set.templates.len()];
        *wanted.get_mut(template).ok_or("a template is missing")? = true;
        let texts = self.reader.planes()?.find(&wanted);
        // Ids beyond the templates do not occur, but may seem wanted.
        Ok(texts)
    }

    /// The texts of a set that pass; those of no template are searched as pages of texts are.
    fn tested(&self, texts: &Bits) -> Result<Bits, String> {
        let mut found = Bits::none(self.reader.count);
        let mut split = texts.clone();
        if let Some(plain) = self.reader.set.templates.iter().position(|template| template.is_plain) {
            let of_plain = self.texts_of(plain)?;
            split.and_not(&of_plain);
            let indexes: Vec<usize> = of_plain.iter().collect();
            let mut wanted = Bits::none(indexes.len());
            let is_wanted = |(_, text): &(usize, &usize)| texts.get(**text);
            indexes.iter().enumerate().filter(is_wanted).for_each(|(at, _)| wanted.set(at));
            if !wanted.is_empty() {
                let inside = self.in_pages(&self.reader.layout.plain, indexes.len(), &wanted)?;
                inside.iter().filter_map(|at| indexes.get(at)).for_each(|text| found.set(*text));
            }
        }
        let indexes: Vec<u32> = split.iter().map(|text| text as u32).collect();
        self.reader.each_text(&indexes, |index, text| {
            if self.test.matches(Raw::Text(text)) {
                found.set(index as usize);
            }
        })?;
        Ok(found)
    }

    fn in_pages(&self, pages: &[BytesPage], count: usize, wanted: &Bits) -> Result<Bits, String> {
        let mut found = Bits::none(count);
        layouts::find_texts(pages, self.test, wanted, self.reader.file, &mut found)?;
        found.and(wanted);
        Ok(found)
    }

    /// False if the block's filter rules out that a value it knows is this word.
    fn may_have(&self, word: &Phrase) -> Result<bool, String> {
        self.filter.map_or(Ok(true), |filter| filter.may_have(word, self.reader.file))
    }
}
