//! `sources.files` and `sources.journald`.

use watchfire_ingest::formats::Parsers;
use watchfire_ingest::sources::multiline::Multiline;
use watchfire_ingest::sources::settings::{BraceError, FileSource, JournalSource, Start, alternatives};
use watchfire_yaml::section::{Section, home_problem, is_of_home};
use watchfire_yaml::tree::{Kind, Node};

use super::read::check_glob;
use super::{Config, LineParser};

/// Reads both keys of the section `sources`.
pub fn read(section: &mut Section<'_>, config: &mut Config) {
    for node in section.list("files") {
        if let Some(source) = read_file_source(node, section, &config.parsers) {
            if config.files.iter().any(|other| other.name() == source.name()) {
                let message = format!("`sources.files`: `{}` stands twice; join the two entries", source.name());
                section.fault(node.place, message);
            }
            config.files.push(source);
        }
    }
    // A key without anything behind it switches the journal on, as `{}` does.
    if section.has("journald") {
        let node = section.node("journald");
        let path = section.name("journald");
        let mut entry = Section::new(&path, node, section.faults());
        config.journald = Some(JournalSource {
            units: entry.texts("units").into_iter().map(|(text, _)| text.to_owned()).collect(),
            directory: entry.path("directory"),
            multiline: multiline(&mut entry).unwrap_or_default(),
            start: start(&mut entry),
        });
        entry.finish();
    }
}

fn multiline(section: &mut Section<'_>) -> Option<Multiline> {
    let names: Vec<&str> = Multiline::NAMES.iter().map(|(name, _)| *name).collect();
    section.word("multiline", &names, Multiline::parse)
}

fn start(section: &mut Section<'_>) -> Start {
    section.defaults_to("start", "beginning");
    let start = section.word("start", &["beginning", "end"], |text| match text {
        "beginning" => Some(Start::Beginning),
        "end" => Some(Start::End),
        _ => None,
    });
    start.unwrap_or_default()
}

/// The names of all formats, that of finding it out first.
pub fn format_names(parsers: &[LineParser]) -> Vec<String> {
    let built_in = Parsers::default();
    let names = ["auto"].into_iter().chain(built_in.names()).chain(parsers.iter().map(|parser| parser.name.as_str()));
    names.map(str::to_owned).collect()
}

/// Whether a format has this name; those of `parsers` have it with or without `regex:`.
pub fn is_format(name: &str, parsers: &[LineParser]) -> bool {
    let custom = name.strip_prefix("regex:").unwrap_or(name);
    let is_built_in = name == "auto" || Parsers::default().find(name).is_some();
    is_built_in || parsers.iter().any(|parser| parser.name == custom)
}

/// The patterns that stand in a node, one for each of its alternatives; what is wrong with it is told at its place.
fn check_alternatives(
    section: &mut Section<'_>,
    key: &'static str,
    node: &Node,
    text: &str,
) -> Vec<(String, glob::Pattern)> {
    let texts = match alternatives(text) {
        Ok(texts) => texts,
        Err(wrong) => {
            let at = match wrong {
                BraceError::Alone { at, .. } => at,
                BraceError::TooMany => 0,
            };
            section.fault(node.place_at(at), format!("`{}`: {wrong}", section.name(key)));
            return Vec::new();
        }
    };
    if texts.len() == 1 {
        return check_glob(section, key, node, text).map(|pattern| (text.to_owned(), pattern)).into_iter().collect();
    }
    let mut found = Vec::new();
    for text in texts {
        match glob::Pattern::new(&text) {
            Ok(pattern) => found.push((text, pattern)),
            Err(wrong) => {
                let message = format!("`{}`: of its alternatives, `{text}`: {}", section.name(key), wrong.msg);
                section.fault(node.place, message);
            }
        }
    }
    found
}

fn read_file_source(node: &Node, sources: &mut Section<'_>, parsers: &[LineParser]) -> Option<FileSource> {
    let path = sources.name("files");
    let mut section = Section::new(&path, Some(node), sources.faults());
    let mut paths = Vec::new();
    let named = section.text_nodes("path");
    if let (true, Some(node)) = (named.is_empty(), section.node("path"))
        && matches!(&node.kind, Kind::List(items) if items.is_empty())
    {
        section.fault(node.place, format!("`{path}.path` names no file; write a path, with * and ? if need be"));
    }
    for (text, node) in named {
        if is_of_home(text) {
            section.fault(node.place, home_problem(&format!("{path}.path")));
        } else if text.is_empty() {
            section.fault(node.place, format!("`{path}.path` is empty; write a path, with * and ? if need be"));
        } else {
            paths.extend(check_alternatives(&mut section, "path", node, text).into_iter().map(|(text, _)| text));
        }
    }
    if section.node("path").is_none() {
        section.fault(node.place, format!("`{path}` needs `path: FILE`, with * and ? if need be"));
    }
    let mut exclude = Vec::new();
    for (text, node) in section.text_nodes("exclude") {
        exclude.extend(check_alternatives(&mut section, "exclude", node, text).into_iter().map(|(_, pattern)| pattern));
    }
    let format = section.parsed("format", &format!("one of {}", format_names(parsers).join(", ")), |name| {
        is_format(name, parsers).then(|| name.to_owned())
    });
    let format = format.filter(|name| name != "auto");
    let multiline = multiline(&mut section);
    // Lines of a format that is given have nothing to join, unless that is asked for too; entries of a journal have.
    let default = match format.as_deref() {
        None | Some("journald") => Multiline::Auto,
        Some(_) => Multiline::Off,
    };
    let source = FileSource {
        paths,
        exclude,
        service: section.text("service").map(str::to_owned),
        format,
        multiline: multiline.unwrap_or(default),
        start: start(&mut section),
        read_rotated: section.boolean_or("read_rotated", false),
    };
    section.finish();
    (!source.paths.is_empty()).then_some(source)
}
