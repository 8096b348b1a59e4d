//! Reading a section of the tree key by key, gathering every fault.

use std::collections::BTreeSet;
use std::path::PathBuf;

use watchfire_model::nearest;
use watchfire_model::time::{format_duration_ms, parse_duration_ms};

use crate::tree::{Fault, Kind, Node, Place};

/// A section being read: each key is asked for once, what nobody asked for is unknown.
pub struct Section<'a> {
    path: String,
    place: Place,
    entries: &'a [(String, Place, Node)],
    known: BTreeSet<&'static str>,
    faults: &'a mut Vec<Fault>,
}

impl<'a> Section<'a> {
    /// Reads a node that should be a section; another kind is a fault, and reads as empty.
    pub fn new(path: &str, node: Option<&'a Node>, faults: &'a mut Vec<Fault>) -> Section<'a> {
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
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Reports a fault at a place.
    pub fn fault(&mut self, place: Place, message: impl Into<String>) {
        self.faults.push(Fault { place, message: message.into() });
    }

    /// Whether a key stands there, even without anything behind it.
    pub fn has(&mut self, key: &'static str) -> bool {
        self.known.insert(key);
        self.entries.iter().any(|(name, ..)| name == key)
    }

    /// The node of a key; `None` if it is absent or empty.
    pub fn node(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.insert(key);
        let (_, _, node) = self.entries.iter().find(|(name, ..)| name == key)?;
        (!matches!(node.kind, Kind::Null)).then_some(node)
    }

    /// The node of a key that switches its part on by standing there, also with nothing in it.
    pub fn named(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.insert(key);
        self.entries.iter().find(|(name, ..)| name == key).map(|(_, _, node)| node)
    }

    /// A section below this one.
    pub fn section(&mut self, key: &'static str) -> (Option<&'a Node>, String) {
        (self.node(key), self.name(key))
    }

    /// The faults, for reading what stands below.
    pub fn faults(&mut self) -> &mut Vec<Fault> {
        self.faults
    }

    /// A key whose value is there, but which this version does not do yet: refused by name.
    pub fn not_yet(&mut self, key: &'static str, what: &str) {
        self.known.insert(key);
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
        let place = self.node(key)?.place;
        let text = self.text(key)?;
        if text.is_empty() {
            let message = format!("`{}` is empty; write a path, or leave the key out", self.name(key));
            self.fault(place, message);
            return None;
        }
        Some(PathBuf::from(text))
    }

    /// The path of a folder that is there or can be made; a file where it, or a folder above it, must be is a fault.
    pub fn folder(&mut self, key: &'static str) -> Option<PathBuf> {
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
        self.parsed(key, "a duration (write 500ms, 30s, 5m, 1h or 1d)", parse_duration_ms)
    }

    /// A duration of at least `least` milliseconds.
    pub fn duration_from(&mut self, key: &'static str, least: i64) -> Option<i64> {
        let expected = format!("a duration of at least {} (write 500ms, 30s, 5m, 1h or 1d)", format_duration_ms(least));
        self.parsed(key, &expected, |text| parse_duration_ms(text).filter(|millis| *millis >= least))
    }

    /// A size (`512MiB`) of at least `least` bytes, in bytes.
    pub fn bytes_from(&mut self, key: &'static str, least: u64) -> Option<u64> {
        let shown = match least {
            0x10_0000.. => format!("{}MiB", least >> 20),
            _ => format!("{least} bytes"),
        };
        let expected = format!("a size of at least {shown} (write 64MiB, 10GiB or a number of bytes)");
        self.parsed(key, &expected, |text| parse_bytes(text).filter(|bytes| *bytes >= least))
    }

    /// A whole number of at least `least`.
    pub fn integer(&mut self, key: &'static str, least: u64) -> Option<u64> {
        self.parsed(key, &format!("a whole number of at least {least}"), |text| {
            text.parse().ok().filter(|number| *number >= least)
        })
    }

    /// The items of a list; one plain item counts as a list of one.
    pub fn list(&mut self, key: &'static str) -> Vec<&'a Node> {
        match self.node(key) {
            None => Vec::new(),
            Some(Node { kind: Kind::List(items), .. }) => items.iter().collect(),
            Some(node) => vec![node],
        }
    }

    /// The items of a list; anything else is a fault.
    pub fn only_list(&mut self, key: &'static str) -> Vec<&'a Node> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_bytes("512MiB"), Some(512 << 20));
        assert_eq!(parse_bytes("1.5 GiB"), Some(3 << 29));
        assert_eq!(parse_bytes("4096"), Some(4096));
        assert_eq!(parse_bytes("10GB"), Some(10_000_000_000));
        for text in ["", "MiB", "-1", "1 apple", "1e3"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }
}
