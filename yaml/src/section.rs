//! Reading a section of the tree key by key, gathering every fault.

use std::collections::BTreeSet;
use std::path::PathBuf;

use watchfire_model::nearest;
use watchfire_model::time::{format_duration_ms, parse_duration_ms};

use crate::faults::Faults;
use crate::outline::{Key, Shape, join};
use crate::tree::{Fault, Kind, Node, Place};

/// Whether a path is one below `~`, which a shell knows and a file does not.
pub fn is_of_home(path: &str) -> bool {
    path == "~" || path.starts_with("~/")
}

/// What to say of such a path.
pub fn home_problem(name: &str) -> String {
    format!("`{name}`: `~` would be a folder of that name here; write the whole path, or ${{HOME}} for it")
}

/// A section being read: each key is asked for once, what nobody asked for is unknown.
pub struct Section<'a> {
    path: String,
    place: Place,
    entries: &'a [(String, Place, Node)],
    known: BTreeSet<&'static str>,
    faults: &'a mut Faults,
}

impl<'a> Section<'a> {
    /// Reads a node that should be a section; another kind is a fault, and reads as empty.
    pub fn new(path: &str, node: Option<&'a Node>, faults: &'a mut Faults) -> Section<'a> {
        if let Some(outline) = faults.outline() {
            outline.open(path);
        }
        let (entries, place): (&[_], _) = match node {
            None => (&[], Place::default()),
            Some(Node { kind: Kind::Map(entries), place }) => (entries, *place),
            Some(Node { kind: Kind::Null, place }) => (&[], *place),
            Some(Node { kind, place }) => {
                let what = if path.is_empty() { "the file".to_owned() } else { format!("`{path}`") };
                let message = format!("{what} must be a section with keys, this is {}", kind.name());
                faults.push(Fault { place: *place, message });
                (&[], *place)
            }
        };
        Section { path: path.to_owned(), place, entries, known: BTreeSet::new(), faults }
    }

    /// The full name of a key, for messages.
    pub fn name(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Reports a fault at a place.
    pub fn fault(&mut self, place: Place, message: impl Into<String>) {
        self.faults.push(Fault { place, message: message.into() });
    }

    fn known(&mut self, key: &'static str) {
        self.known.insert(key);
        self.wants(key, Shape::Any);
    }

    /// Whether a key stands there, even without anything behind it.
    pub fn has(&mut self, key: &'static str) -> bool {
        self.known(key);
        self.entries.iter().any(|(name, ..)| name == key)
    }

    /// The node of a key; `None` if it is absent or empty.
    pub fn node(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known(key);
        let (_, _, node) = self.entries.iter().find(|(name, ..)| name == key)?;
        (!matches!(node.kind, Kind::Null)).then_some(node)
    }

    /// The node of a key that switches its part on by standing there, also with nothing in it.
    pub fn named(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known(key);
        self.entries.iter().find(|(name, ..)| name == key).map(|(_, _, node)| node)
    }

    /// Says that of two keys only one may have a value.
    pub fn exclude(&mut self, key: &'static str, other: &'static str) {
        if let (Some(_), Some(node)) = (self.node(key), self.node(other)) {
            let message = format!("`{}` and `{}` exclude each other; keep one", self.name(key), self.name(other));
            self.fault(node.place, message);
        }
    }

    /// A section below this one.
    pub fn section(&mut self, key: &'static str) -> (Option<&'a Node>, String) {
        (self.node(key), self.name(key))
    }

    /// The faults, for reading what stands below.
    pub fn faults(&mut self) -> &mut Faults {
        self.faults
    }

    /// Adds to what is known of a key, if anybody wants to know.
    fn note(&mut self, key: &'static str, note: impl FnOnce(&mut Key, Place)) {
        if let Some(outline) = self.faults.outline() {
            note(outline.key(&self.path, key), self.place);
        }
    }

    fn wants(&mut self, key: &'static str, shape: Shape) {
        self.note(key, |key, _| key.wants(shape));
    }

    /// What holds if the key is absent, as it would be written.
    pub fn defaults_to(&mut self, key: &'static str, shown: impl ToString) {
        self.note(key, |key, section| key.defaults_to(section, shown.to_string()));
    }

    /// That the value of a key may be a secret, and is not to be shown.
    pub fn is_secret(&mut self, key: &'static str) {
        self.note(key, |key, _| key.secret = true);
    }

    /// That a key whose node is taken apart by its reader holds lists of texts under names of the user's.
    pub fn has_text_lists(&mut self, key: &'static str) {
        self.wants(key, Shape::TextLists);
    }

    /// That these words may stand at a key in place of what else it wants.
    pub fn or_words(&mut self, key: &'static str, words: &[&'static str]) {
        self.note(key, |key, _| key.or_words = words.to_vec());
    }

    /// A key whose value is there, but which this version does not do yet: refused by name.
    pub fn not_yet(&mut self, key: &'static str, what: &str) {
        self.known.insert(key);
        self.wants(key, Shape::NotYet);
        let found = self.entries.iter().find(|(name, ..)| name == key);
        let Some((_, place, node)) = found else { return };
        let is_off = match &node.kind {
            // Naming a section switches its part on, also without anything in it.
            Kind::Null | Kind::Map(_) => false,
            Kind::List(items) => items.is_empty(),
            Kind::Scalar { text, .. } => text == "false" || text == "0",
        };
        if !is_off {
            let message = format!("`{}` ({what}) is not in this version yet; remove it", self.name(key));
            self.fault(*place, message);
        }
    }

    /// Plain text (numbers and booleans too, as written).
    pub fn text(&mut self, key: &'static str) -> Option<&'a str> {
        self.wants(key, Shape::Text);
        let node = self.node(key)?;
        match &node.kind {
            Kind::Scalar { text, .. } => Some(text),
            kind => {
                let message = format!("`{}` must be text, this is {}", self.name(key), kind.name());
                self.fault(node.place, message);
                None
            }
        }
    }

    /// Text that has to be there.
    pub fn required_text(&mut self, key: &'static str) -> Option<&'a str> {
        self.note(key, |key, _| {
            key.wants(Shape::Text);
            key.required = true;
        });
        let absent = self.node(key).is_none();
        if absent {
            let message = format!("`{}` is missing; it must be given", self.name(key));
            self.fault(self.place, message);
        }
        let text = self.text(key)?;
        if text.is_empty() {
            let place = self.node(key).map_or(self.place, |node| node.place);
            let message = format!("`{}` is empty; it must be given", self.name(key));
            self.fault(place, message);
            return None;
        }
        Some(text)
    }

    /// The path of a file or folder; an empty one is a fault.
    pub fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.wants(key, Shape::Text);
        let place = self.node(key)?.place;
        let text = self.text(key)?;
        if text.is_empty() {
            let message = format!("`{}` is empty; write a path, or leave the key out", self.name(key));
            self.fault(place, message);
            return None;
        }
        if is_of_home(text) {
            self.fault(place, home_problem(&self.name(key)));
            return None;
        }
        Some(PathBuf::from(text))
    }

    /// The path of a folder that is there or can be made; a file where it, or a folder above it, must be is a fault.
    pub fn folder(&mut self, key: &'static str) -> Option<PathBuf> {
        self.wants(key, Shape::Text);
        let place = self.node(key)?.place;
        let path = self.path(key)?;
        let there = path.ancestors().find(|part| part.exists());
        if let Some(file) = there.filter(|part| !part.is_dir()) {
            let (name, file) = (self.name(key), file.display());
            self.fault(
                place,
                format!("`{name}`: {file} is a file, and must be a folder; move it, or write another path"),
            );
        }
        Some(path)
    }

    /// A value read from text by `parse`, `expected` says what it should be.
    pub fn parsed<T>(&mut self, key: &'static str, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        self.note(key, |key, _| {
            key.wants(Shape::Text);
            expected.clone_into(&mut key.expected);
        });
        let place = self.node(key)?.place;
        let text = self.text(key)?;
        let value = parse(text.trim());
        if value.is_none() {
            let name = self.name(key);
            let message = match text.trim() {
                "" => format!("`{name}` is empty, and not {expected}"),
                _ => format!("`{name}`: `{text}` is not {expected}"),
            };
            self.fault(place, message);
        }
        value
    }

    /// The same for a value that may hold a secret: what stands there is not told.
    pub fn parsed_secret<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.note(key, |key, _| {
            key.wants(Shape::Text);
            expected.clone_into(&mut key.expected);
            key.secret = true;
        });
        let place = self.node(key)?.place;
        let value = parse(self.text(key)?.trim());
        if value.is_none() {
            let message = format!("`{}`: this is not {expected}", self.name(key));
            self.fault(place, message);
        }
        value
    }

    /// A duration (`30s`), in milliseconds.
    pub fn duration_ms(&mut self, key: &'static str) -> Option<i64> {
        self.wants(key, Shape::Duration);
        self.parsed(key, "a duration (write 500ms, 30s, 5m, 1h or 1d)", parse_duration_ms)
    }

    /// A duration of at least `least` milliseconds.
    pub fn duration_from(&mut self, key: &'static str, least: i64) -> Option<i64> {
        self.wants(key, Shape::Duration);
        let examples = [(500, "500ms, "), (30_000, "30s, "), (300_000, "5m, ")];
        let examples: String = examples.iter().filter(|(long, _)| *long >= least).map(|(_, text)| *text).collect();
        let expected = format!("a duration of at least {} (write {examples}1h or 1d)", format_duration_ms(least));
        self.parsed(key, &expected, |text| parse_duration_ms(text).filter(|millis| *millis >= least))
    }

    /// The same, with what holds if the key is absent.
    pub fn duration_or(&mut self, key: &'static str, least: i64, default_ms: i64) -> i64 {
        self.defaults_to(key, format_duration_ms(default_ms));
        self.duration_from(key, least).unwrap_or(default_ms)
    }

    /// A size (`512MiB`) of at least `least` bytes, in bytes.
    pub fn bytes_from(&mut self, key: &'static str, least: u64) -> Option<u64> {
        self.wants(key, Shape::Bytes);
        let shown = match least {
            0x10_0000.. => format!("{}MiB", least >> 20),
            _ => format!("{least} bytes"),
        };
        let expected = format!("a size of at least {shown} (write 64MiB, 10GiB or a number of bytes)");
        self.parsed(key, &expected, |text| parse_bytes(text).filter(|bytes| *bytes >= least))
    }

    /// The same, with what holds if the key is absent.
    pub fn bytes_or(&mut self, key: &'static str, least: u64, default: u64) -> u64 {
        self.defaults_to(key, format_bytes(default));
        self.bytes_from(key, least).unwrap_or(default)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        self.wants(key, Shape::Boolean);
        self.parsed(key, "true or false", |text| text.parse().ok())
    }

    /// The same, with what holds if the key is absent.
    pub fn boolean_or(&mut self, key: &'static str, default: bool) -> bool {
        self.defaults_to(key, default);
        self.boolean(key).unwrap_or(default)
    }

    /// Text, with what holds if the key is absent.
    pub fn text_or(&mut self, key: &'static str, default: &'a str) -> &'a str {
        self.defaults_to(key, format!("{default:?}"));
        self.text(key).unwrap_or(default)
    }

    /// A whole number, with what holds if the key is absent.
    pub fn integer_or(&mut self, key: &'static str, least: u64, default: u64) -> u64 {
        self.defaults_to(key, default);
        self.integer(key, least).unwrap_or(default)
    }

    /// One of some words, `parse` says which; `names` are those words.
    pub fn word<T>(&mut self, key: &'static str, names: &[&str], parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        self.note(key, |key, _| key.wants(Shape::Word(names.iter().map(|&name| name.to_owned()).collect())));
        self.parsed(key, &format!("one of {}", names.join(", ")), parse)
    }

    /// A whole number of at least `least`.
    pub fn integer(&mut self, key: &'static str, least: u64) -> Option<u64> {
        self.wants(key, Shape::Whole);
        self.parsed(key, &format!("a whole number of at least {least}"), |text| {
            text.parse().ok().filter(|number| *number >= least)
        })
    }

    /// The items of a list; one plain item counts as a list of one.
    pub fn list(&mut self, key: &'static str) -> Vec<&'a Node> {
        self.wants(key, Shape::List);
        match self.node(key) {
            None => Vec::new(),
            Some(Node { kind: Kind::List(items), .. }) => items.iter().collect(),
            Some(node) => vec![node],
        }
    }

    /// The items of a list; anything else is a fault.
    pub fn only_list(&mut self, key: &'static str) -> Vec<&'a Node> {
        self.wants(key, Shape::List);
        match self.node(key) {
            None => Vec::new(),
            Some(Node { kind: Kind::List(items), .. }) => items.iter().collect(),
            Some(Node { kind, place }) => {
                let message =
                    format!("`{}` must be a list, this is {}; begin each item with `- `", self.name(key), kind.name());
                self.fault(*place, message);
                Vec::new()
            }
        }
    }

    /// A list of texts, each with its place.
    pub fn texts(&mut self, key: &'static str) -> Vec<(&'a str, Place)> {
        self.text_nodes(key).into_iter().map(|(text, node)| (text, node.place)).collect()
    }

    /// A list of texts, each with its node.
    pub fn text_nodes(&mut self, key: &'static str) -> Vec<(&'a str, &'a Node)> {
        self.wants(key, Shape::Texts);
        let mut texts = Vec::new();
        for node in self.list(key) {
            match &node.kind {
                Kind::Scalar { text, .. } => texts.push((text.as_str(), node)),
                kind => {
                    let message = format!("`{}` must be a list of texts, this is {}", self.name(key), kind.name());
                    self.fault(node.place, message);
                }
            }
        }
        texts
    }

    /// All names and texts of a section whose keys the user chooses.
    pub fn free_texts(self) -> Vec<(&'a str, &'a str, Place)> {
        if let Some(outline) = self.faults.outline() {
            outline.open(&self.path).free = true;
        }
        let mut texts = Vec::new();
        for (name, _, node) in self.entries {
            match &node.kind {
                Kind::Scalar { text, .. } => texts.push((name.as_str(), text.as_str(), node.place)),
                kind => {
                    let message = format!("`{}.{name}` must be text, this is {}", self.path, kind.name());
                    self.faults.push(Fault { place: node.place, message });
                }
            }
        }
        texts
    }

    /// Reports every key that nobody asked for, with the nearest known one.
    pub fn finish(self) {
        for (name, place, _) in self.entries {
            if self.known.contains(name.as_str()) {
                continue;
            }
            let path = if self.path.is_empty() { String::new() } else { format!(" in `{}`", self.path) };
            let hint = match nearest(name, self.known.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known are {}", self.known.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            self.faults.push(Fault { place: *place, message: format!("unknown key `{name}`{path}; {hint}") });
        }
    }
}

/// `512MiB`, `10GB` (powers of 1000), `4096`: a number of bytes.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let unit: f64 = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0 * 1024.0,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "t" | "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        _ => return None,
    };
    let bytes = number * unit;
    (bytes.is_finite() && bytes < 9e18).then_some(bytes as u64)
}

/// A number of bytes as [`parse_bytes`] reads it, in the largest unit that needs no fraction.
pub fn format_bytes(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let fitting = units.into_iter().find(|(bits, _)| bytes > 0 && bytes.trailing_zeros() >= *bits);
    fitting.map_or_else(|| bytes.to_string(), |(bits, unit)| format!("{}{unit}", bytes >> bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_bytes("512MiB"), Some(512 << 20));
        assert_eq!(parse_bytes("1.5 GiB"), Some(3 << 29));
        assert_eq!(parse_bytes("4096"), Some(4096));
        assert_eq!(parse_bytes("10GB"), Some(10_000_000_000));
        for bytes in [0, 1, 1000, 1024, 1536, 64 << 20, 3 << 29, 50 << 30, 7 << 40] {
            assert_eq!(parse_bytes(&format_bytes(bytes)), Some(bytes));
        }
        assert_eq!((format_bytes(64 << 20), format_bytes(3 << 29)), ("64MiB".to_owned(), "1536MiB".to_owned()));
        for text in ["", "MiB", "-1", "1 apple", "1e3"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }
}
