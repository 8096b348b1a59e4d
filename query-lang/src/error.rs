//! A mistake in a query's text, pointing at its place.

/// What sort of mistake, for who answers differently to each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseErrorKind {
    /// The text is no query.
    Syntax,
    /// A query, but its parts do not fit: types, labels, numbers.
    Meaning,
    /// Too long or nested too deeply.
    Limit,
}

/// Why a text is no query that can be answered, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}{}", hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default())]
pub struct ParseError {
    /// What sort of mistake.
    pub kind: ParseErrorKind,
    /// What is wrong; lower case, no final dot.
    pub message: String,
    /// Where, in bytes from the start of the text.
    pub offset: usize,
    /// Where: line, counted from 1.
    pub line: usize,
    /// Where: character within the line, counted from 1.
    pub column: usize,
    /// How to mend it, if known.
    pub hint: Option<String>,
}

/// Longest part of a line that [`ParseError::render`] shows, in characters.
const SHOWN_CHARS: usize = 160;

impl ParseError {
    /// Points at a byte of the text; one inside a character points at that character.
    pub(crate) fn at(kind: ParseErrorKind, text: &str, offset: usize, message: impl Into<String>) -> ParseError {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        ParseError {
            kind,
            message: message.into(),
            offset,
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            hint: None,
        }
    }

    /// Adds how to mend it.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> ParseError {
        self.hint = Some(hint.into());
        self
    }

    /// The line with a caret under the place, the message and the hint, as a compiler shows it.
    /// `text` is the text that was parsed. Control characters are shown as blanks.
    pub fn render(&self, text: &str) -> String {
        let line = text.split('\n').nth(self.line - 1).unwrap_or("");
        let skip = self.column.saturating_sub(1).saturating_sub(SHOWN_CHARS / 2);
        let shown: String =
            line.chars().skip(skip).take(SHOWN_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let gutter = self.line.to_string();
        let blank = " ".repeat(gutter.len());
        let lead = if skip > 0 { "…" } else { "" };
        let indent = " ".repeat(self.column - 1 - skip + lead.chars().count());
        let mut out = format!("{gutter} | {lead}{}\n{blank} | {indent}^ {}", shown.trim_end(), self.message);
        if let Some(hint) = &self.hint {
            out.push_str(&format!("\n{blank} = {hint}"));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters() {
        let text = "sum(\n  é x";
        let error = ParseError::at(ParseErrorKind::Syntax, text, text.len() - 1, "no").with_hint("yes");
        assert_eq!((error.line, error.column), (2, 5));
        assert_eq!(error.render(text), "2 |   é x\n  |     ^ no\n  = yes");
        assert_eq!(error.to_string(), "2:5: no (yes)");
        let end = ParseError::at(ParseErrorKind::Syntax, "a", 99, "no");
        assert_eq!((end.offset, end.line, end.column), (1, 1, 2));
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = "x".repeat(5000);
        let shown = ParseError::at(ParseErrorKind::Syntax, &text, 4000, "no").render(&text);
        let mut lines = shown.lines();
        let (line, caret) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
        assert!(line.chars().count() < 200 && caret.chars().count() < 200, "{shown}");
        assert!(line.starts_with("1 | …x"));
    }
}
