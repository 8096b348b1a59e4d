//! A YAML file as a tree in which every node knows its line and column.
//!
//! serde stops at the first error and forgets positions; an operator wants all errors at once, each with
//! its place. The tree keeps scalars as text: what type a key wants is known only to who reads it.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::anchors::Anchors;
use crate::faults::Faults;
use crate::scalar;
use crate::variables::{self, Part};

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 64;
/// The key whose sections are taken into the one where it stands.
const MERGE: &str = "<<";

/// A place in a file; line and column count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// What is wrong, where in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What, and how to mend it.
    pub message: String,
}

/// A value with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
}

impl Node {
    /// The place of the character at a byte offset of a scalar's text; what it is not known of points at its beginning.
    pub fn place_at(&self, offset: usize) -> Place {
        match &self.kind {
            Kind::Scalar { text, places } => scalar::place_at(text, places, self.place, offset),
            Kind::Null | Kind::List(_) | Kind::Map(_) => self.place,
        }
    }

    /// The node at a path such as `email.to[1]`, or the one nearest to it that is there; a single item stands for a
    /// list of one.
    pub fn at(&self, path: &str) -> &Node {
        let mut node = self;
        for step in path.split('.') {
            let (name, index) = match step.strip_suffix(']').and_then(|step| step.split_once('[')) {
                Some((name, index)) => (name, index.parse::<usize>().ok()),
                None => (step, None),
            };
            let Some((_, found)) = node.entry(name) else { return node };
            node = match (&found.kind, index) {
                (Kind::List(items), Some(index)) => items.get(index).unwrap_or(found),
                _ => found,
            };
        }
        node
    }

    /// The key of that name with its value, in a section that has it.
    pub fn entry(&self, key: &str) -> Option<(Place, &Node)> {
        let Kind::Map(entries) = &self.kind else { return None };
        entries.iter().find(|(name, ..)| name == key).map(|(_, place, node)| (*place, node))
    }
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Nothing: an empty value, `null` or `~`.
    Null,
    /// Text as written, environment expanded; what type it should have, its reader knows.
    Scalar {
        /// The text.
        text: String,
        /// The place of each of its characters in the file; empty where they are not known.
        places: Vec<Place>,
    },
    /// A list.
    List(Vec<Node>),
    /// Keys in order, each with its own place.
    Map(Vec<(String, Place, Node)>),
}

impl Kind {
    /// What to call it in a message.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Null => "nothing",
            Kind::Scalar { .. } => "a plain value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a section with keys",
        }
    }
}

/// Reads the first document of a file; `environment` answers `${NAME}` and `${NAME:-default}` in values.
///
/// Answers the tree, and the faults that do not hinder reading on (unset variables, keys that stand twice).
///
/// Errors: those, and the syntax error at which reading ended.
pub fn parse(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<(Node, Faults), Vec<Fault>> {
    read(text, Some(environment))
}

/// The same, where `$` means nothing: what is written is what is read.
///
/// Errors: as those of [`parse`].
pub fn parse_verbatim(text: &str) -> Result<(Node, Faults), Vec<Fault>> {
    read(text, None)
}

/// Answers the value of a variable, if it is set.
type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

fn read(text: &str, environment: Option<Environment<'_>>) -> Result<(Node, Faults), Vec<Fault>> {
    let mut builder = Builder {
        events: Parser::new_from_str(text),
        source: text.chars().collect(),
        begins_at: 0,
        environment,
        anchors: Anchors::default(),
        faults: Vec::new(),
    };
    match builder.document() {
        Ok(node) => Ok((node, builder.faults.into())),
        Err(mut fault) => {
            let line = text.lines().nth(fault.place.line.saturating_sub(1)).unwrap_or_default();
            if environment.is_some() && line.contains("${") && !line.contains("\"${") {
                fault.message.push_str("; inside of braces a variable stands in quotes: \"${NAME}\"");
            }
            builder.faults.push(fault);
            Err(builder.faults)
        }
    }
}

struct Builder<'a> {
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
    source: Vec<char>,
    /// Where in the source the newest event begins.
    begins_at: usize,
    /// `None`: variables mean nothing.
    environment: Option<Environment<'a>>,
    anchors: Anchors,
    faults: Vec<Fault>,
}

fn place(span: &Span) -> Place {
    Place { line: span.start.line(), column: span.start.col() + 1 }
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Place), Fault> {
        match self.events.next() {
            Some(Ok((event, span))) => {
                self.begins_at = span.start.index();
                Ok((event, place(&span)))
            }
            Some(Err(error)) => Err(Fault {
                place: Place { line: error.marker().line(), column: error.marker().col() + 1 },
                message: format!(
                    "not valid YAML: {}; look for a missing bracket or quote, or wrong indentation, up to here",
                    error.info()
                ),
            }),
            None => Ok((Event::StreamEnd, Place::default())),
        }
    }

    fn document(&mut self) -> Result<Node, Fault> {
        loop {
            let (event, place) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                Event::StreamEnd | Event::DocumentEnd => return Ok(Node { place, kind: Kind::Null }),
                event => return self.node(event, place, 0),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, place: Place, depth: usize) -> Result<Node, Fault> {
        let fault = |message: &str| Err(Fault { place, message: message.to_owned() });
        if depth > DEPTH_MAX {
            return fault("nested too deep (64 levels are read)");
        }
        let anchor = match &event {
            Event::Scalar(_, _, anchor, _) | Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                *anchor
            }
            _ => 0,
        };
        let kind = match event {
            Event::Scalar(text, style, _, _) => self.scalar(&text, style, place),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break Kind::List(items),
                        (event, place) => items.push(self.node(event, place, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut entries: Vec<(String, Place, Node)> = Vec::new();
                let mut merged = Vec::new();
                loop {
                    let (key, key_place) = match self.next()? {
                        (Event::MappingEnd, _) => break Kind::Map(self.merge(entries, merged)),
                        (Event::Scalar(text, ..), place) => (text.into_owned(), place),
                        (_, place) => {
                            return Err(Fault { place, message: "a key must be plain text".to_owned() });
                        }
                    };
                    let (event, value_place) = self.next()?;
                    let value = self.node(event, value_place, depth + 1)?;
                    if key == MERGE {
                        merged.push(value);
                        continue;
                    }
                    if entries.iter().any(|(have, ..)| *have == key) {
                        let message = format!("`{key}` stands twice; keep one of them");
                        self.faults.push(Fault { place: key_place, message });
                    }
                    entries.push((key, key_place, value));
                }
            }
            Event::Alias(anchor) => match self.anchors.copy(anchor) {
                Ok(kind) => kind,
                Err(message) => return fault(message),
            },
            _ => return fault("the file ends in the middle of a value"),
        };
        let node = Node { place, kind };
        self.anchors.keep(anchor, &node);
        Ok(node)
    }

    /// The keys of a section, and those of the sections under `<<` that it does not have itself.
    fn merge(&mut self, mut entries: Vec<(String, Place, Node)>, merged: Vec<Node>) -> Vec<(String, Place, Node)> {
        for node in merged {
            let place = node.place;
            let sections = match node.kind {
                Kind::List(items) => items,
                _ => vec![node],
            };
            for section in sections {
                let Kind::Map(others) = section.kind else {
                    let message = "`<<` takes in a section, or a list of sections; write `<<: *name`".to_owned();
                    self.faults.push(Fault { place, message });
                    continue;
                };
                for other in others {
                    if entries.iter().all(|(have, ..)| *have != other.0) {
                        entries.push(other);
                    }
                }
            }
        }
        entries
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, place: Place) -> Kind {
        let quoted = style != ScalarStyle::Plain;
        if !quoted && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
            return Kind::Null;
        }
        let source = self.source.get(self.begins_at..).unwrap_or_default();
        let places = scalar::trace(source, place, style, text);
        match self.environment {
            Some(environment) => self.expand(text, place, places, environment),
            None => Kind::Scalar { text: text.to_owned(), places },
        }
    }

    /// Replaces [variables](crate::variables).
    fn expand(&mut self, text: &str, place: Place, places: Vec<Place>, environment: Environment<'_>) -> Kind {
        let mut out = Expanded { text: String::new(), places: Vec::new(), source: places.into_iter() };
        for part in variables::parts(text) {
            match part {
                Part::Plain(text) => out.copy(text),
                Part::Dollar => out.replace("$$", "$"),
                Part::Variable { written, name, default } => match (environment(name), default) {
                    (Some(value), _) => out.replace(written, &value),
                    (None, Some(default)) => out.replace(written, default),
                    (None, None) => self.faults.push(Fault {
                        place,
                        message: format!(
                            "the environment variable `{name}` is not set; set it or write ${{{name}:-default}}"
                        ),
                    }),
                },
            }
        }
        Kind::Scalar { text: out.text, places: out.places }
    }
}

/// A text in the making, with the place that each of its characters comes from.
struct Expanded {
    text: String,
    places: Vec<Place>,
    source: std::vec::IntoIter<Place>,
}

impl Expanded {
    fn copy(&mut self, text: &str) {
        self.text.push_str(text);
        self.places.extend(self.source.by_ref().take(text.chars().count()));
    }

    /// All of what stands in its stead comes from where it was written.
    fn replace(&mut self, written: &str, by: &str) {
        self.text.push_str(by);
        let mut source = self.source.by_ref().take(written.chars().count());
        if let Some(place) = source.next() {
            self.places.extend(by.chars().map(|_| place));
        }
        source.for_each(drop);
    }
}
