//! Text from outside, made harmless for a terminal, and measured in its columns.

use std::borrow::Cow;
use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

/// The text with everything escaped that a terminal would obey or that would hide what is written: control
/// characters (`\n`, `\x1b`), line separators, and marks that turn the direction of writing.
pub fn safe(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_dangerous(c) => escape(c, &mut out),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The same for text of several lines: each line after the first is indented, so that none can pass for a line of
/// ours; tabs become blanks.
pub fn safe_lines(text: &str, indent: &str) -> String {
    let text = text.trim_end_matches(['\n', '\r']);
    let lines: Vec<String> = text.lines().map(|line| safe(&line.replace('\t', "    ")).into_owned()).collect();
    lines.join(&format!("\n{indent}"))
}

/// JSON with everything escaped that is dangerous beyond what JSON itself escapes; stays the same JSON.
pub fn safe_json(json: &str) -> Cow<'_, str> {
    let dangerous = |c: char| c > '\u{7e}' && is_dangerous(c);
    if !json.chars().any(dangerous) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if dangerous(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Columns of a terminal that a text takes.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The text with blanks behind it up to a width.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// The text with blanks before it up to a width.
pub fn pad_left(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(text))))
}

/// As much of a text as fits, `…` where it was cut.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut taken = 1;
    for c in text.chars() {
        let wide = width(c.encode_utf8(&mut [0; 4]));
        if taken + wide > columns {
            break;
        }
        taken += wide;
        out.push(c);
    }
    out.push('…');
    out
}

fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn escape(c: char, out: &mut String) {
    let code = u32::from(c);
    // Writing to a string cannot fail.
    let _ = if code < 0x100 { write!(out, "\\x{code:02x}") } else { write!(out, "\\u{{{code:x}}}") };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        for (text, shown) in [
            ("plain ä 日本", "plain ä 日本"),
            ("a\u{1b}[31mred", "a\\x1b[31mred"),
            ("\u{9b}2J\u{7f}", "\\x9b2J\\x7f"),
            ("a\r\nb\tc\0", "a\\r\\nb\\tc\\x00"),
            ("\u{202e}gnp.exe", "\\u{202e}gnp.exe"),
        ] {
            assert_eq!(safe(text), shown);
        }
        assert_eq!(safe_lines("a\n\tb\u{1b}\n\n", "  | "), "a\n  |     b\\x1b");
        assert_eq!(safe_json("{\"m\":\"\u{9b}2J \u{e0041}\"}"), r#"{"m":"\u009b2J \udb40\udc41"}"#);
    }

    #[test]
    fn cut_and_padded_by_columns() {
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(pad("日", 4), "日  ");
        assert_eq!(pad_left("12", 4), "  12");
    }

    proptest! {
        #[test]
        fn nothing_dangerous_is_left(text in any::<String>()) {
            prop_assert!(!safe(&text).chars().any(is_dangerous));
            prop_assert!(!safe_lines(&text, "  ").chars().any(|c| c != '\n' && is_dangerous(c)));
            let json = serde_json::to_string(&text).expect("text serialises");
            let shown = safe_json(&json);
            prop_assert!(!shown.chars().any(is_dangerous));
            let read: String = serde_json::from_str(&shown).expect("still JSON");
            prop_assert_eq!(read, text.clone());
            prop_assert!(width(&cut(&safe(&text), 7)) <= 7);
        }
    }
}
