//! Where each character of a YAML scalar stands in the file.
//!
//! The parser tells where a scalar begins and what it says, not what stood where. So its source is walked again
//! beside the text that came out of it: quotes, escapes, folded lines and indentation are passed over as YAML says.
//! A walk that does not give the very same text is thrown away, and only the scalar's beginning is known.

use saphyr_parser::ScalarStyle;

use crate::tree::Place;

/// The place of each character of `text`, whose source begins with `source`; empty if that cannot be told.
pub fn trace(source: &[char], start: Place, style: ScalarStyle, text: &str) -> Vec<Place> {
    let mut walk = Walk { rest: source, place: start, wanted: text.chars().collect(), places: Vec::new() };
    let end = match style {
        ScalarStyle::Plain => walk.flow(None),
        ScalarStyle::SingleQuoted => walk.flow(Some('\'')),
        ScalarStyle::DoubleQuoted => walk.flow(Some('"')),
        ScalarStyle::Literal | ScalarStyle::Folded => walk.block(),
    };
    match end {
        Some(()) if walk.places.len() == walk.wanted.len() => walk.places,
        _ => Vec::new(),
    }
}

/// The place of the character at a byte offset of `text`, by the places of its characters; `start` if there are none.
///
/// Behind the last word is one column behind it: blanks and line ends that a block ends with are no place to look at.
pub fn place_at(text: &str, places: &[Place], start: Place, offset: usize) -> Place {
    let words = text.trim_end();
    if let Some(before) = words.get(..offset)
        && let Some(place) = places.get(before.chars().count())
        && offset < words.len()
    {
        return *place;
    }
    let last = words.chars().count().checked_sub(1).and_then(|last| places.get(last));
    last.map_or(start, |last| Place { line: last.line, column: last.column + 1 })
}

/// Goes through the source of one scalar, and notes the place of each character that its text has.
struct Walk<'a> {
    rest: &'a [char],
    place: Place,
    wanted: Vec<char>,
    places: Vec<Place>,
}

/// `None`: the source does not give the text.
type Step = Option<()>;

impl Walk<'_> {
    /// A scalar that goes on over line ends: plain or in quotes.
    fn flow(&mut self, quote: Option<char>) -> Step {
        if let Some(quote) = quote {
            self.skip(quote)?;
        }
        while self.places.len() < self.wanted.len() {
            match self.peek()? {
                ' ' | '\t' | '\r' | '\n' if self.line_ends() => self.fold()?,
                '\\' if quote == Some('"') => self.escape()?,
                '\'' if quote == Some('\'') => {
                    self.take('\'')?;
                    self.skip('\'')?;
                }
                character => self.take(character)?,
            }
        }
        Some(())
    }

    /// Blanks, line ends and empty lines: one line end reads as a blank, each further one as itself.
    fn fold(&mut self) -> Step {
        self.skip_blanks();
        let place = self.place;
        let mut ends = 0;
        while self.skip_line_end() {
            ends += 1;
            self.skip_blanks();
        }
        match ends {
            1 => self.note(' ', place),
            _ => (1..ends).try_for_each(|_| self.note('\n', place)),
        }
    }

    /// Behind a backslash, in double quotes. What it means is in the text already.
    fn escape(&mut self) -> Step {
        let place = self.place;
        self.skip('\\')?;
        if self.skip_line_end() {
            self.skip_blanks();
            return Some(());
        }
        let digits = match self.next()? {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        (0..digits).try_for_each(|_| self.next().map(|_| ()))?;
        let meant = *self.wanted.get(self.places.len())?;
        self.note(meant, place)
    }

    /// The lines below `|` or `>`; the source begins with the first character of the first line that is not empty.
    fn block(&mut self) -> Step {
        let indentation = self.place.column.saturating_sub(1);
        self.separators(self.place)?;
        while self.places.len() < self.wanted.len() {
            let before = self.places.len();
            while let Some(character) = self.peek().filter(|character| !matches!(character, '\r' | '\n')) {
                self.take(character)?;
            }
            // Those of an empty line came with the line before it.
            if self.places.len() > before {
                self.separators(self.place)?;
            }
            if !self.skip_line_end() {
                break;
            }
            for _ in 0..indentation {
                if self.peek() == Some(' ') {
                    self.next();
                }
            }
        }
        Some(())
    }

    /// What the text has between two lines of a block: a blank where they were joined, else line ends.
    fn separators(&mut self, place: Place) -> Step {
        if self.wanted.get(self.places.len()) == Some(&' ') && !self.places.is_empty() {
            return self.note(' ', place);
        }
        while self.wanted.get(self.places.len()) == Some(&'\n') {
            self.note('\n', place)?;
        }
        Some(())
    }

    fn peek(&self) -> Option<char> {
        self.rest.first().copied()
    }

    fn next(&mut self) -> Option<char> {
        let (character, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.place = match character {
            '\n' => Place { line: self.place.line + 1, column: 1 },
            _ => Place { column: self.place.column + 1, ..self.place },
        };
        Some(*character)
    }

    /// A character of the source that is not in the text.
    fn skip(&mut self, character: char) -> Step {
        (self.next()? == character).then_some(())
    }

    /// A character of the source that is the next one of the text.
    fn take(&mut self, character: char) -> Step {
        let place = self.place;
        self.skip(character)?;
        self.note(character, place)
    }

    fn note(&mut self, character: char, place: Place) -> Step {
        if self.wanted.get(self.places.len()) != Some(&character) {
            return None;
        }
        self.places.push(place);
        Some(())
    }

    /// Whether nothing but blanks stands before the next line end.
    fn line_ends(&self) -> bool {
        let next = self.rest.iter().find(|character| !matches!(character, ' ' | '\t'));
        matches!(next, Some('\r' | '\n'))
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.next();
        }
    }

    fn skip_line_end(&mut self) -> bool {
        if self.rest.starts_with(&['\r', '\n']) {
            self.next();
        }
        self.peek() == Some('\n') && self.next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use crate::tree::{Kind, Node, Place, parse};

    /// The mark `§` in the value of `a` is told to stand where it stands; at the value's beginning if not `known`.
    fn check(file: &str, known: bool) {
        let (root, faults) = parse(file, &|name| (name == "LONG").then(|| "a long value".to_owned())).expect("YAML");
        assert!(faults.is_empty(), "{file}: {faults:?}");
        let Kind::Map(entries) = root.kind else { panic!("{file}: a map") };
        let node: &Node = &entries[0].2;
        let Kind::Scalar { text, .. } = &node.kind else { panic!("{file}: a scalar") };
        let told = node.place_at(text.find('§').expect("a mark"));
        let line = file.lines().position(|line| line.contains('§')).expect("a mark");
        let column = file.lines().nth(line).and_then(|line| line.chars().position(|c| c == '§')).expect("a mark");
        let stands = Place { line: line + 1, column: column + 1 };
        assert_eq!(told, if known { stands } else { node.place }, "{file:?} reads {text:?}");
    }

    #[test]
    fn places_are_those_of_the_file() {
        for file in [
            "a: level:error §",
            "a: 'it''s é ''quoted'' §'",
            "a: \"tab \\t quote \\\" hex \\x41 \\u00e9 \\U0001F600 §\"",
            "a: plain over\n  several   \n\n  lines §\nb: 1",
            "a: 'single over\n  several\n\n\n  lines §'",
            "a: \"double over\n  several \\\n  lines \\\n  joined §\"",
            "a: |\n  literal\n\n    deeper\n  § here\nb: 1",
            "a: |-   # with a comment\n\n\n   after empty lines\n   §",
            "a: >\n  folded\n  lines\n\n  and a paragraph\n    deeper\n  § end\n",
            "a: >+\n  kept §\n\n\nb: 1",
            "a: |2\n    two more\n   §\n",
            "a: >-\n\n  after an empty line\n   deeper\n\n\n  and §",
            "a: >-\n  one\n\n    deeper\n  and §",
            "a: |\r\n  windows\r\n  § lines\r\nb: 1",
            "a: before ${LONG} after §",
            "a: before $$ after §",
        ] {
            check(file, true);
        }
    }

    #[test]
    fn what_cannot_be_told_is_the_beginning() {
        check("a: \"joined \\\n\n  over an empty line §\"", false);
    }

    #[test]
    fn the_end_is_behind_the_last_word() {
        let (root, _) = parse("a: |\n  level:error AND (\n", &|_| None).expect("YAML");
        let Kind::Map(entries) = root.kind else { panic!("a map") };
        let node = &entries[0].2;
        for offset in [17, 18, 1000] {
            assert_eq!(node.place_at(offset), Place { line: 2, column: 20 }, "{offset}");
        }
    }
}
