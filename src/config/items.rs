//! `parsers` and `extract`: lists of items that are compiled to find what is wrong with them. All faults of all items
//! are told, each at its place: within a pattern or a search at the character.

use watchfire_ingest::extract::{Extractor, RuleConfig, RuleKind, RulePart};
use watchfire_ingest::formats::{CustomParser, Parsers, PatternFault, PatternPart};
use watchfire_model::Timestamp;
use watchfire_yaml::section::Section;
use watchfire_yaml::tree::{Kind, Node, Place};

use super::{Config, LineParser};

/// Reads `parsers`, each item by itself, then what they contradict each other in.
pub fn read_parsers(top: &mut Section<'_>, config: &mut Config) {
    let mut names = Vec::new();
    let mut places = Vec::new();
    for node in top.list("parsers") {
        if let Some((_, Node { kind: Kind::Scalar { text, .. }, place })) = node.entry("name") {
            names.push(text.as_str());
            places.push(*place);
        }
        config.parsers.extend(read_parser(node, top));
    }
    for same in Parsers::same_names(&names) {
        top.fault(places.get(same.at).copied().unwrap_or_default(), format!("`parsers`: {same}"));
    }
}

fn read_parser(node: &Node, top: &mut Section<'_>) -> Option<LineParser> {
    let mut section = Section::new("parsers", Some(node), top.faults());
    let name = section.required_text("name").map(str::to_owned);
    let pattern = section.required_text("pattern").map(str::to_owned);
    let (fields, path) = section.section("fields");
    let fields = Section::new(&path, fields, section.faults()).free_texts();
    let fields: Vec<_> = fields.into_iter().map(|(field, group, _)| (field.to_owned(), group.to_owned())).collect();
    let named = name.as_deref().unwrap_or("?");
    let checked = CustomParser::new(named, pattern.as_deref().unwrap_or_default(), &fields);
    for PatternFault { part, error } in checked.err().unwrap_or_default() {
        // What is missing has been told.
        let place = match part {
            PatternPart::Name => name.as_ref().and(node.entry("name")).map(|(_, name)| name.place),
            PatternPart::Pattern { offset } => {
                pattern.as_ref().and(node.entry("pattern")).map(|(_, pattern)| pattern.place_at(offset))
            }
            PatternPart::Field(field) => {
                node.entry("fields").and_then(|(_, fields)| fields.entry(&field)).map(|(_, group)| group.place)
            }
        };
        if let Some(place) = place {
            section.fault(place, format!("`parsers`: {error}"));
        }
    }
    section.finish();
    Some(LineParser { name: name?, pattern: pattern?, fields })
}

/// A rule of `extract`, as far as it could be read.
struct ReadExtract<'a> {
    node: &'a Node,
    rule: RuleConfig,
    has_metric: bool,
    has_kind: bool,
}

impl ReadExtract<'_> {
    /// Where a part stands; `None` if what is wrong with it has been told.
    fn place(&self, part: &RulePart) -> Option<Place> {
        let value = |key: &str| self.node.entry(key).map(|(_, value)| value);
        let labels = value("labels");
        match part {
            RulePart::Metric => value("metric").filter(|_| self.has_metric).map(|metric| metric.place),
            RulePart::Kind if !self.has_metric || !self.has_kind => None,
            RulePart::Kind => Some(value("type").unwrap_or(self.node).place),
            RulePart::Label(name) => labels?.entry(name).map(|(place, _)| place),
            RulePart::LabelField(name) => labels?.entry(name).map(|(_, field)| field.place),
            RulePart::Value => match value("value") {
                Some(field) => Some(field.place),
                None => self.has_kind.then_some(self.node.place),
            },
            RulePart::Where { offset } => value("where").map(|text| text.place_at(*offset)),
        }
    }
}

/// Reads `extract`, each item by itself, then what they contradict each other in.
pub fn read_extracts(top: &mut Section<'_>, config: &mut Config) {
    let nodes = top.list("extract");
    let read: Vec<ReadExtract<'_>> = nodes.into_iter().map(|node| read_extract(node, top)).collect();
    config.extract = read.iter().map(|read| read.rule.clone()).collect();
    for fault in Extractor::new(&config.extract, 0, Timestamp::default()).err().unwrap_or_default() {
        let Some(of) = read.get(fault.rule) else { continue };
        let first = read.iter().find(|other| other.rule.metric == of.rule.metric);
        // A rule of which the type could not be read contradicts nobody.
        let is_told = fault.part == RulePart::Kind && first.is_some_and(|first| !first.has_kind);
        if let Some(place) = of.place(&fault.part).filter(|_| !is_told) {
            top.fault(place, format!("`extract`: {fault}"));
        }
    }
}

fn read_extract<'a>(node: &'a Node, top: &mut Section<'_>) -> ReadExtract<'a> {
    let mut section = Section::new("extract", Some(node), top.faults());
    let metric = section.required_text("metric").map(str::to_owned);
    let given = section.node("type").is_some();
    section.defaults_to("type", "counter");
    let kind = section.word("type", &["counter", "gauge", "distribution"], RuleKind::parse);
    let matching = section.text("where").unwrap_or_default().to_owned();
    let value = section.text("value").map(str::to_owned);
    let (labels, path) = section.section("labels");
    let labels = Section::new(&path, labels, section.faults()).free_texts();
    let labels = labels.into_iter().map(|(label, field, _)| (label.to_owned(), field.to_owned())).collect();
    let max_series = u32::try_from(section.integer_or("max_series", 1, 1000)).unwrap_or(u32::MAX);
    section.finish();
    let (has_metric, has_kind) = (metric.is_some(), kind.is_some() || !given);
    let (metric, kind) = (metric.unwrap_or_default(), kind.unwrap_or(RuleKind::Counter));
    ReadExtract { node, rule: RuleConfig { metric, kind, matching, labels, value, max_series }, has_metric, has_kind }
}
