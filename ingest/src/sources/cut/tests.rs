//! Cutting by cases, and what must hold of any bytes however they come.

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 40;

/// All records of a text that comes in pieces of these lengths.
fn cut_all(framing: Framing, text: &[u8], pieces: &[usize], at_end: End) -> Vec<(Vec<u8>, bool)> {
    let mut cutter = Cutter::new(framing, LIMIT);
    let (mut start, mut have) = (0, 0);
    let mut found = Vec::new();
    let mut pieces = pieces.iter().copied().cycle();
    loop {
        have = (have + pieces.next().unwrap_or(usize::MAX / 2).max(1)).min(text.len());
        let end = if have == text.len() { at_end } else { End::Open };
        let mut at = 0;
        // As a reader does: only what is not used up is looked at again.
        while let Some(cut) = cutter.next(&text[start..have], &mut at, end) {
            found.push((cut.text.to_vec(), cut.truncated));
        }
        start += at;
        if have == text.len() {
            return found;
        }
    }
}

fn lines(text: &[u8], at_end: End) -> Vec<(String, bool)> {
    let found = cut_all(Framing::Lines(Multiline::Off), text, &[usize::MAX / 2], at_end);
    found.into_iter().map(|(text, truncated)| (String::from_utf8(text).unwrap(), truncated)).collect()
}

#[test]
fn ends_holes_and_halves_of_lines() {
    let texts = |text: &[u8], end| lines(text, end).into_iter().map(|(text, _)| text).collect::<Vec<_>>();
    assert_eq!(texts(b"a\r\nb\n\n  \nc", End::Open), ["a", "b"]);
    assert_eq!(texts(b"a\nc", End::Quiet), ["a"]);
    assert_eq!(texts(b"a\nc\r", End::Last), ["a", "c"]);
    assert_eq!(texts(b"\0\0\0a\nb\0c\n\0\0\n\0", End::Last), ["a", "b\0c"]);
    let hole = [&vec![0; 5000][..], b"after\n"].concat();
    assert_eq!(texts(&hole, End::Open), ["after"]);
}

#[test]
fn a_long_line_is_cut_once() {
    let long = "x".repeat(LIMIT);
    for (text, expected) in [
        (format!("{long}\nb\n"), vec![(long.clone(), false), ("b".into(), false)]),
        (format!("{long}\r\nb\n"), vec![(long.clone(), false), ("b".into(), false)]),
        (format!("{long}y\nb\n"), vec![(long.clone(), true), ("b".into(), false)]),
        (format!("{long}{long}{long}{long}\nb\n"), vec![(long.clone(), true), ("b".into(), false)]),
        (format!("{}ü\nb\n", &long[1..]), vec![(long[1..].into(), true), ("b".into(), false)]),
    ] {
        assert_eq!(lines(text.as_bytes(), End::Open), expected, "{text:?}");
    }
}

#[test]
fn an_entry_longer_than_all_that_is_looked_at_is_cut_and_the_next_one_found() {
    let window = Cutter::new(Framing::Journal, LIMIT).window_bytes();
    let long = [b"__CURSOR=a\nMESSAGE=m\nCORE=".to_vec(), vec![b'x'; 2 * window], b"\n\n".to_vec()].concat();
    let text = [&long[..], b"__CURSOR=b\nMESSAGE=n\n\n"].concat();
    for pieces in [vec![1000], vec![window / 2, 7]] {
        let found = cut_all(Framing::Journal, &text, &pieces, End::Open);
        assert_eq!(found.len(), 2);
        assert!(found[0].1 && found[0].0.starts_with(b"__CURSOR=a\nMESSAGE=m\n"));
        assert_eq!(found[1], (b"__CURSOR=b\nMESSAGE=n\n".to_vec(), false));
    }
}

#[test]
fn a_trace_waits_for_the_next_line_or_for_quiet() {
    let framing = Framing::Lines(Multiline::Java);
    let text = b"ERROR x\na.BException: c\n\tat d\nnext\n";
    let texts = |end| cut_all(framing, text, &[3], end).into_iter().map(|(text, _)| text).collect::<Vec<_>>();
    assert_eq!(texts(End::Open), [&b"ERROR x\na.BException: c\n\tat d"[..], b"next"]);
    let open = &text[..text.len() - 5];
    assert!(cut_all(framing, open, &[5], End::Open).is_empty());
    assert_eq!(cut_all(framing, open, &[5], End::Quiet).len(), 1);
}

#[test]
fn a_trace_is_bounded() {
    let text = format!("ERROR x\n{}", "\tat d.e(F.java:1)\n".repeat(50));
    let found = cut_all(Framing::Lines(Multiline::Auto), text.as_bytes(), &[7], End::Last);
    assert!(found.iter().all(|(text, _)| text.len() <= LIMIT));
    let rows: usize = found.iter().map(|(text, _)| text.split(|byte| *byte == b'\n').count()).sum();
    assert_eq!(rows, 51, "nothing is lost");
}

proptest! {
    /// What comes out does not depend on how the bytes came in.
    #[test]
    fn pieces_do_not_matter(
        text in "([ab\\t\\n\\r\\x00é]|ERROR |\tat x\n|Traceback \\(most recent call last\\):\n|panic: \n|E: \n){0,60}",
        pieces in prop::collection::vec(1..50usize, 1..5),
        multiline in 0..7usize,
    ) {
        let framing = Framing::Lines(Multiline::NAMES[multiline].1);
        let whole = cut_all(framing, text.as_bytes(), &[usize::MAX / 2], End::Last);
        prop_assert_eq!(cut_all(framing, text.as_bytes(), &pieces, End::Last), whole);
    }

    #[test]
    fn journal_pieces_do_not_matter(
        entries in prop::collection::vec(("[A-Z_]{1,8}", prop::collection::vec(any::<u8>(), 0..60)), 0..12),
        pieces in prop::collection::vec(1..90usize, 1..5),
    ) {
        let mut text = Vec::new();
        for (name, value) in &entries {
            journald::write_field(&mut text, "__CURSOR", b"x");
            journald::write_field(&mut text, name, value);
            text.push(b'\n');
        }
        let whole = cut_all(Framing::Journal, &text, &[usize::MAX / 2], End::Last);
        prop_assert_eq!(cut_all(Framing::Journal, &text, &pieces, End::Last), whole);
    }

    /// Nothing good is lost behind what is damaged, however it comes in.
    #[test]
    fn good_entries_behind_damaged_ones_come_out(
        entries in prop::collection::vec((any::<bool>(), 0..6usize, prop::collection::vec(any::<u8>(), 0..60)), 0..12),
        pieces in prop::collection::vec(1..90usize, 1..5),
    ) {
        let (mut text, mut good) = (Vec::new(), Vec::new());
        for (number, (with_bytes, damage, value)) in entries.iter().enumerate() {
            let stray = [&b""[..], b"stray\n", b"CAPITALS\n", b"-- a: b\r\n", b"HALF\n\x09\0\0\0\0\0\0\0abc\n", b""][*damage];
            let from = text.len();
            journald::write_field(&mut text, "__CURSOR", number.to_string().as_bytes());
            if *with_bytes {
                journald::write_field(&mut text, "BYTES", value);
            }
            text.extend_from_slice(stray);
            if stray.is_empty() {
                good.push(text[from..].to_vec());
            }
            text.push(b'\n');
            if *damage == 5 {
                text.extend_from_slice(b"between two\n");
            }
        }
        let whole = cut_all(Framing::Journal, &text, &[usize::MAX / 2], End::Last);
        let found: Vec<_> = whole.iter().map(|(entry, _)| entry.clone()).filter(|entry| good.contains(entry)).collect();
        prop_assert_eq!(found, good);
        prop_assert_eq!(cut_all(Framing::Journal, &text, &pieces, End::Last), whole);
    }

    #[test]
    fn any_bytes_are_survived(text in prop::collection::vec(any::<u8>(), 0..400), pieces in prop::collection::vec(1..50usize, 1..5)) {
        cut_all(Framing::Journal, &text, &pieces, End::Last);
        cut_all(Framing::Lines(Multiline::Auto), &text, &pieces, End::Last);
    }
}
