//! Text from outside, made safe for one line of a log, a header or a terminal.

/// Whether a character may stand in text that people read: no control characters, and none that turn the direction
/// of writing around.
pub(crate) fn is_printable(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text in one line: other characters become blanks, and what is beyond `chars_max` characters is cut.
pub(crate) fn printable(text: &str, chars_max: usize) -> String {
    let clean = |character| if is_printable(character) { character } else { ' ' };
    let mut out: String = text.chars().take(chars_max).map(clean).collect();
    if text.chars().nth(chars_max).is_some() {
        out.push('…');
    }
    out
}

/// The text in lines: line ends stay, other control characters become blanks, each further line is set in by
/// `indent` so that it cannot pass for one of ours.
pub(crate) fn printable_lines(text: &str, indent: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| printable(line, usize::MAX)).collect();
    lines.join(&format!("\n{indent}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_blanks() {
        assert_eq!(printable("a\r\nBcc: x\u{1b}[2J\u{202e}b", 100), "a  Bcc: x [2J b");
        assert_eq!(printable("äöü", 2), "äö…");
        assert_eq!(printable_lines("a\r\nb\u{7}c", "  "), "a\n  b c");
    }
}
