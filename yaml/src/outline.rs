//! What a reader asks of a file: its keys, what each wants, and what holds where nothing stands.
//!
//! Nobody writes this list. A [`Section`](crate::section::Section) takes a note of each key that it is asked for, so
//! that what is told of a file's keys (a schema, all values in force) is what its reader knows, and cannot drift.

use std::collections::BTreeMap;

use crate::tree::{Kind, Node, Place};

/// Rounds after which a reader has shown all of its keys: one for each depth, and some to spare.
const ROUNDS_MAX: usize = 16;

/// What a key wants, from the least known to the most.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// Anything: what its reader takes apart itself.
    #[default]
    Any,
    /// A list of anything, or of sections if there is one of its name.
    List,
    /// A list of texts, or one text.
    Texts,
    /// Keys of any name, each with a list of texts.
    TextLists,
    /// Text, or what else stands on a line.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Whole,
    /// `30s`.
    Duration,
    /// `512MiB`.
    Bytes,
    /// One of these words.
    Word(Vec<String>),
    /// Nothing yet: it is refused by name.
    NotYet,
}

/// What is known of a key.
#[derive(Clone, Debug, Default)]
pub struct Key {
    /// What it wants.
    pub shape: Shape,
    /// Further words that may stand there in place of what it wants.
    pub or_words: Vec<&'static str>,
    /// What it wants, in the words of its faults; empty if those say no more than the shape.
    pub expected: String,
    /// Whether it has to be there.
    pub required: bool,
    /// Whether its value is not to be shown.
    pub secret: bool,
    /// What holds if it is absent, as it would be written, by where its section stands.
    defaults: BTreeMap<Place, String>,
}

impl Key {
    /// What holds in the section that stands there if the key is absent.
    pub fn default_at(&self, section: Place) -> Option<&str> {
        self.defaults.get(&section).map(String::as_str)
    }
}

/// The keys of a section.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// In the order in which they are read.
    pub known: Vec<(&'static str, Key)>,
    /// Whether the user chooses further names, each with a text.
    pub free: bool,
}

impl Keys {
    /// What is known of a key.
    pub fn get(&self, key: &str) -> Option<&Key> {
        self.known.iter().find(|(name, _)| *name == key).map(|(_, key)| key)
    }
}

/// All sections that a reader knows, by their path (`alerting.receivers.webhook`); items of a list have the list's.
#[derive(Clone, Debug, Default)]
pub struct Outline(BTreeMap<String, Keys>);

impl Outline {
    /// What `read` asks for, whatever may stand in a file: it is shown a file with every section and item that it has
    /// asked for before, until it asks for nothing new.
    pub fn of(mut read: impl FnMut(&Node, Outline) -> Outline) -> Outline {
        let mut known = Outline::default();
        for _ in 0..ROUNDS_MAX {
            let file = known.file("", &mut Vec::new());
            let before = known.size();
            known = read(&file, known);
            if known.size() == before {
                break;
            }
        }
        known
    }

    /// The keys of a section.
    pub fn section(&self, path: &str) -> Option<&Keys> {
        self.0.get(path)
    }

    /// All sections with their paths.
    pub fn sections(&self) -> impl Iterator<Item = (&str, &Keys)> {
        self.0.iter().map(|(path, keys)| (path.as_str(), keys))
    }

    /// That a section is read.
    pub(crate) fn open(&mut self, path: &str) -> &mut Keys {
        self.0.entry(path.to_owned()).or_default()
    }

    /// What is known of a key of a section; it is known from now on.
    pub(crate) fn key(&mut self, path: &str, key: &'static str) -> &mut Key {
        let known = &mut self.open(path).known;
        let at = known.iter().position(|(name, _)| *name == key).unwrap_or_else(|| {
            known.push((key, Key::default()));
            known.len() - 1
        });
        &mut known[at].1
    }

    fn size(&self) -> usize {
        self.0.values().map(|keys| keys.known.len() + 1).sum()
    }

    /// A file that has each section, and an item in each list; `within` are the paths that lead here.
    fn file(&self, path: &str, within: &mut Vec<String>) -> Node {
        let mut entries = Vec::new();
        let keys = self.section(path).map_or(&[][..], |keys| keys.known.as_slice());
        within.push(path.to_owned());
        for (name, key) in keys {
            let below = join(path, name);
            if within.contains(&below) {
                continue;
            }
            let kind = match &key.shape {
                Shape::Any => self.file(&below, within).kind,
                Shape::List => Kind::List(vec![self.file(&below, within)]),
                _ => continue,
            };
            entries.push(((*name).to_owned(), Place::default(), Node { place: Place::default(), kind }));
        }
        within.pop();
        Node { place: Place::default(), kind: Kind::Map(entries) }
    }
}

/// The path of a key.
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl Key {
    /// Takes a note of what the key wants; what says more than what is known stays.
    pub(crate) fn wants(&mut self, shape: Shape) {
        if shape > self.shape {
            self.shape = shape;
        }
    }

    pub(crate) fn defaults_to(&mut self, section: Place, text: String) {
        self.defaults.insert(section, text);
    }
}
