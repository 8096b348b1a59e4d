//! Where the next item of a list begins behind one that is no JSON, so that one bad record costs itself alone.
//!
//! Brackets are followed and texts passed over as if all were right. Two mistakes would take good items with them, and
//! are looked for: a text without its end, which runs on into the next item, and an object without its end. What seems to
//! be the begin of an item there counts if an object can be read from it. In a text that is right that cannot be, as its
//! quotes are escaped.

use super::scan::{parse_prefix, skip_blanks};
use super::tape::Tape;

/// How a list goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// With an item, here or behind blanks.
    Item(usize),
    /// With its closing bracket, here.
    End(usize),
    /// Not at all.
    Nothing,
}

/// How the list goes on behind the item that begins at `from` and cannot be read. `tape` is only used on the way.
pub fn behind_bad_item(text: &str, from: usize, tape: &mut Tape) -> Next {
    let bytes = text.as_bytes();
    // The closing brackets that are waited for, and how many of them are of lists.
    let mut open: Vec<u8> = Vec::new();
    let mut open_lists = 0;
    let mut before = b',';
    let mut at = from;
    while let Some(byte) = bytes.get(at).copied() {
        match byte {
            b'"' => {
                let end = text_end(bytes, at);
                if let Some(item) = item_within(text, at, end, tape) {
                    return Next::Item(item);
                }
                at = end;
            }
            // Within an object a name comes behind a comma.
            b'{' if before == b',' && open.last() == Some(&b'}') && is_item(text, at, tape) => return Next::Item(at),
            b'{' => open.push(b'}'),
            b'[' => {
                open.push(b']');
                open_lists += 1;
            }
            b']' if open_lists == 0 && skip_blanks(bytes, at + 1) == bytes.len() => return Next::End(at),
            // What closes nothing, and is not the last thing in the text, is a mistake within the item.
            b']' if open_lists == 0 => {}
            b'}' if open.len() == open_lists => {}
            b'}' | b']' => {
                // Of what is within, the ends are missing.
                while let Some(close) = open.pop() {
                    open_lists -= usize::from(close == b']');
                    if close == byte {
                        break;
                    }
                }
            }
            b',' if open.is_empty() => return Next::Item(at + 1),
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            before = byte;
        }
        at += 1;
    }
    Next::Nothing
}

/// The quote that ends a text, or the end of its line: no text goes over lines.
fn text_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while let Some(found) = memchr::memchr3(b'"', b'\\', b'\n', bytes.get(at..).unwrap_or_default()) {
        at += found;
        if bytes.get(at) != Some(&b'\\') {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

/// Where in what seems to be a text an item begins behind the end of another.
fn item_within(text: &str, from: usize, to: usize, tape: &mut Tape) -> Option<usize> {
    let bytes = text.as_bytes();
    let within = bytes.get(from..to)?;
    memchr::memchr_iter(b'}', within).find_map(|brace| {
        let comma = skip_blanks(bytes, from + brace + 1);
        let item = skip_blanks(bytes, comma + 1);
        let is_next = bytes.get(comma) == Some(&b',') && bytes.get(item) == Some(&b'{');
        (is_next && is_item(text, item, tape)).then_some(item)
    })
}

/// Whether a whole object is here, with something in it, and the list goes on or ends behind it.
fn is_item(text: &str, from: usize, tape: &mut Tape) -> bool {
    let bytes = text.as_bytes();
    let Ok(end) = parse_prefix(text, from, tape) else { return false };
    let is_empty = bytes.get(skip_blanks(bytes, from + 1)) == Some(&b'}');
    !is_empty && matches!(bytes.get(skip_blanks(bytes, end)), Some(b',' | b']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_without_end_are_passed_over_once() {
        let many = 300_000;
        let objects = format!("[x{}{},1]", "{".repeat(many), "[]".repeat(many));
        assert_eq!(behind_bad_item(&objects, 1, &mut Tape::default()), Next::End(objects.len() - 1));
        let lists = format!("[x{}{},1]", "[".repeat(many), "{}}".repeat(many));
        assert_eq!(behind_bad_item(&lists, 1, &mut Tape::default()), Next::Nothing);
    }

    #[test]
    fn a_bad_item_costs_itself_alone() {
        for (list, next) in [
            (r#"[{"m":"a" "x":1},{"m":"b"}]"#, r#"{"m":"b"}]"#),
            (r#"[{"m":a},{"m":"b"}]"#, r#"{"m":"b"}]"#),
            (r#"[{"m":"say "hi" now"},{"m":"b"}]"#, r#"{"m":"b"}]"#),
            (r#"[{"m":{"l":[1,2,}]},{"m":"b"}]"#, r#"{"m":"b"}]"#),
            (r#"[,{"m":"b"}]"#, r#"{"m":"b"}]"#),
            // No end of a text.
            (r#"[{"m":"a},{"m":"b"},{"m":"c"}]"#, r#"{"m":"b"},{"m":"c"}]"#),
            (r#"[{"m":"a},{"m":"b"},{"m":"c},{"m":"d"}]"#, r#"{"m":"b"},{"m":"c},{"m":"d"}]"#),
            ("[{\"m\":\"a\n},\n{\"m\":\"b\"}]", "{\"m\":\"b\"}]"),
            // No end of an object.
            (r#"[{"m":"a",{"m":"b"}]"#, r#"{"m":"b"}]"#),
            (r#"[{"m":"a","t":{"x":1},{"m":"b"}]"#, r#"{"m":"b"}]"#),
            (r#"[{"m":"a""#, ""),
            (r#"[{"m":"a"x}]"#, "]"),
            // What texts and lists of a bad item hold are no items.
            (r#"[{"m":"},{\"m\":\"x\"},{}" 1},{"m":"b"}]"#, r#"{"m":"b"}]"#),
            (r#"[{"m":"},{}" 1},{"m":"b"}]"#, r#"{"m":"b"}]"#),
            (r#"[{"l":[{"m":"x"},{"m":"y"}] 1},{"m":"b"}]"#, r#"{"m":"b"}]"#),
        ] {
            let rest = match behind_bad_item(list, 1, &mut Tape::default()) {
                Next::Item(at) | Next::End(at) => list[at..].trim_start(),
                Next::Nothing => "",
            };
            assert_eq!(rest, next, "{list}");
        }
    }
}
