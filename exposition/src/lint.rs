//! What is unwise in an exposition: names, types and labels that are against the customs of Prometheus.
//!
//! Source: `promlint` of client_golang, as `promtool check metrics` runs it; in the same words. What is told for each series
//! there is told once here.

use std::collections::HashMap;

use watchfire_engine::FamilyType;

use crate::labels::Labels;
use crate::{Entry, Format, ParseError, Parser};

/// Units that a name may hold, with the base unit that is to stand there instead.
const UNITS: [(&str, &str); 24] = [
    ("amperes", "amperes"),
    ("bytes", "bytes"),
    ("celsius", "celsius"),
    ("grams", "grams"),
    ("joules", "joules"),
    ("kelvin", "kelvin"),
    ("meters", "meters"),
    ("metres", "metres"),
    ("seconds", "seconds"),
    ("volts", "volts"),
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("days", "seconds"),
    ("weeks", "seconds"),
    ("kelvins", "kelvin"),
    ("fahrenheit", "celsius"),
    ("rankine", "celsius"),
    ("inches", "meters"),
    ("yards", "meters"),
    ("miles", "meters"),
    ("bits", "bytes"),
    ("calories", "joules"),
    ("pounds", "grams"),
    ("ounces", "grams"),
];
const UNIT_PREFIXES: [&str; 18] = [
    "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mibi", "giga", "gibi",
    "tera", "tebi", "peta", "pebi",
];
const ABBREVIATIONS: [&str; 14] = ["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"];

/// Something unwise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The line in which the metric stands first, from 1.
    pub line: usize,
    /// The metric family.
    pub metric: String,
    /// What is unwise about it.
    pub problem: String,
}

/// What is found in a text in Prometheus' own format, by its lines, and how many metric families have samples.
///
/// Errors: it is no such text, or says something twice about a metric.
pub fn lint(text: &[u8]) -> Result<(Vec<Finding>, usize), ParseError> {
    let families = Families::read(text)?;
    let mut found = Vec::new();
    let mut with_samples = 0;
    for family in families.all.iter().filter(|family| !family.series.is_empty()) {
        with_samples += 1;
        let begin = found.len();
        family.lint(&mut |problem| {
            found.push(Finding { line: family.line, metric: family.name.clone(), problem: problem.into() });
        });
        // What holds for several series is one problem.
        if let Some(of_family) = found.get_mut(begin..) {
            of_family.sort();
        }
        found.dedup();
    }
    found.sort_by_key(|finding| finding.line);
    Ok((found, with_samples))
}

/// All that a text says of one metric.
struct Family {
    name: String,
    line: usize,
    kind: Option<FamilyType>,
    has_help: bool,
    /// Label names and values of each series, without what tells buckets and quantiles apart; in the end sorted.
    series: Vec<Vec<(String, String)>>,
}

#[derive(Default)]
struct Families {
    all: Vec<Family>,
    by_name: HashMap<String, usize>,
}

impl Families {
    fn read(text: &[u8]) -> Result<Families, ParseError> {
        let mut families = Families::default();
        let mut parser = Parser::new(text, Format::Classic);
        let mut labels = Labels::default();
        let (mut counted, mut lines) = (0, 0);
        while let Some(entry) = parser.next_entry()? {
            // An entry ends with its line.
            let end = parser.at();
            let in_line =
                |counted: usize| memchr::memchr_iter(b'\n', text.get(counted..end).unwrap_or_default()).count();
            lines += in_line(counted);
            counted = end;
            let line = if text.get(..end).is_some_and(|read| read.ends_with(b"\n")) { lines } else { lines + 1 };
            match entry {
                Entry::Help { metric, text } => {
                    let family = families.named(&metric, line);
                    if std::mem::replace(&mut family.has_help, !text.is_empty()) {
                        return Err(twice(line, "one `# HELP` for each metric", &metric));
                    }
                }
                Entry::Type { metric, kind } => {
                    let family = families.named(&metric, line);
                    if family.kind.is_some() || !family.series.is_empty() {
                        return Err(twice(line, "one `# TYPE` for each metric, before its samples", &metric));
                    }
                    family.kind = Some(kind);
                }
                Entry::Unit { .. } => {}
                Entry::Sample { series, .. } => {
                    labels.clear();
                    parser.labels(series, &mut labels)?;
                    families.sample(&labels, line);
                }
            }
        }
        for family in &mut families.all {
            family.series.sort_unstable();
            // The parts of a histogram are one series.
            if matches!(family.kind, Some(FamilyType::Histogram | FamilyType::Summary)) {
                family.series.dedup();
            }
        }
        Ok(families)
    }

    fn named(&mut self, name: &str, line: usize) -> &mut Family {
        let at = *self.by_name.entry(name.to_owned()).or_insert_with(|| {
            self.all.push(Family { name: name.to_owned(), line, kind: None, has_help: false, series: Vec::new() });
            self.all.len() - 1
        });
        &mut self.all[at]
    }

    /// Adds a series to the family whose it is.
    fn sample(&mut self, labels: &Labels<'_>, line: usize) {
        let name = labels.get(watchfire_model::labels::METRIC_NAME);
        let owner = self.owner(name).unwrap_or(name).to_owned();
        let family = self.named(&owner, line);
        let kind = *family.kind.get_or_insert(FamilyType::Unknown);
        let is_part = |label: &str| match kind {
            FamilyType::Histogram => label == "le",
            FamilyType::Summary => label == "quantile",
            _ => false,
        };
        let own = labels.iter().filter(|(name, _)| *name != watchfire_model::labels::METRIC_NAME && !is_part(name));
        let mut own: Vec<(String, String)> = own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        own.sort();
        family.series.push(own);
    }

    /// The histogram or summary whose part a name is, if there is none of this name.
    fn owner<'n>(&self, name: &'n str) -> Option<&'n str> {
        if self.by_name.contains_key(name) {
            return None;
        }
        let is_of = |base: &str, kind| self.by_name.get(base).is_some_and(|at| self.all[*at].kind == Some(kind));
        let base = name.strip_suffix("_count").or_else(|| name.strip_suffix("_sum"));
        let summary = base.filter(|base| is_of(base, FamilyType::Summary));
        let histogram = base.or_else(|| name.strip_suffix("_bucket"));
        summary.or(histogram.filter(|base| is_of(base, FamilyType::Histogram)))
    }
}

fn twice(line: usize, expected: &'static str, metric: &str) -> ParseError {
    ParseError { line, expected, found: format!("`{}` again", metric.escape_debug()) }
}

impl Family {
    fn lint(&self, tell: &mut dyn FnMut(&str)) {
        let name = self.name.as_str();
        let kind = self.kind.unwrap_or_default();
        if !self.has_help {
            tell("no help text");
        }
        if let Some((unit, base)) = unit_of(name)
            && unit != base
        {
            tell(&format!("use base unit \"{base}\" instead of \"{unit}\""));
        }
        if kind != FamilyType::Unknown {
            self.lint_kind(kind, tell);
        }
        if name.contains(':') {
            tell("metric names should not contain ':'");
        }
        if is_camel_case(name) {
            tell("metric names should be written in 'snake_case' not 'camelCase'");
        }
        if self.labels().any(is_camel_case) {
            tell("label names should be written in 'snake_case' not 'camelCase'");
        }
        if ABBREVIATIONS.iter().any(|unit| has_word(name, unit)) {
            tell("metric names should not contain abbreviated units");
        }
        if !self.series.is_sorted_by(|a, b| a < b) {
            tell("metric not unique");
        }
    }

    /// What a type allows.
    fn lint_kind(&self, kind: FamilyType, tell: &mut dyn FnMut(&str)) {
        let name = self.name.as_str();
        let (is_histogram, is_summary) = (kind == FamilyType::Histogram, kind == FamilyType::Summary);
        match (kind == FamilyType::Counter, name.ends_with("_total")) {
            (true, false) => tell("counter metrics should have \"_total\" suffix"),
            (false, true) => tell("non-counter metrics should not have \"_total\" suffix"),
            (true, true) | (false, false) => {}
        }
        if !is_histogram && name.ends_with("_bucket") {
            tell("non-histogram metrics should not have \"_bucket\" suffix");
        }
        for suffix in ["_count", "_sum"].into_iter().filter(|suffix| name.ends_with(suffix)) {
            if !is_histogram && !is_summary {
                tell(&format!("non-histogram and non-summary metrics should not have \"{suffix}\" suffix"));
            }
        }
        if !is_histogram && self.labels().any(|label| label == "le") {
            tell("non-histogram metrics should not have \"le\" label");
        }
        if !is_summary && self.labels().any(|label| label == "quantile") {
            tell("non-summary metrics should not have \"quantile\" label");
        }
        if has_word(name, kind.as_str()) {
            tell(&format!("metric name should not include type '{}'", kind.as_str()));
        }
    }

    fn labels(&self) -> impl Iterator<Item = &str> {
        self.series.iter().flatten().map(|(name, _)| name.as_str())
    }
}

/// The first unit in a name, and its base unit.
fn unit_of(name: &str) -> Option<(&str, &'static str)> {
    let base = |word: &str| UNITS.iter().find(|(unit, _)| *unit == word).map(|(_, base)| *base);
    name.split('_').find_map(|word| {
        let prefixed = || UNIT_PREFIXES.iter().find_map(|prefix| base(word.strip_prefix(prefix)?));
        Some((word, base(word).or_else(prefixed)?))
    })
}

/// Whether a word stands in a name behind an underscore, whatever its case.
fn has_word(name: &str, word: &str) -> bool {
    name.to_ascii_lowercase().split('_').skip(1).any(|part| part == word)
}

fn is_camel_case(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_those_of_the_text() {
        let text = "# HELP a_total x\n# TYPE a_total counter\na_total 1\n\n# a comment\nb{x=\"1\"} 1\nb 2\nc_ms 5";
        let (found, families) = lint(text.as_bytes()).expect("it can be read");
        let told: Vec<(usize, &str, &str)> =
            found.iter().map(|found| (found.line, found.metric.as_str(), found.problem.as_str())).collect();
        let abbreviated = "metric names should not contain abbreviated units";
        let expected = [(6, "b", "no help text"), (8, "c_ms", abbreviated), (8, "c_ms", "no help text")];
        assert_eq!((told.as_slice(), families), (&expected[..], 3));
        let error = lint(b"a 1\n# TYPE a counter\n").expect_err("too late");
        assert_eq!(error.line, 2);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = lint(&bytes);
        }

        #[test]
        fn any_names_are_answered(name in "[a-zA-Z_:é]{0,20}", kind in "counter|gauge|histogram|summary|untyped") {
            let _ = lint(format!("# TYPE {name} {kind}\n{name}{{le=\"1\"}} 1\n").as_bytes());
        }
    }
}
