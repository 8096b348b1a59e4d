//! Real stack traces: `multiline/LANGUAGE.log` is what a program of that language wrote to its error output, `.golden`
//! the records that it becomes; `UPDATE_GOLDEN=1` rewrites the latter. (.NET's is written after its documentation.)

use std::fmt::Write;
use std::path::Path;

use watchfire_ingest::sources::cut::{Cutter, End, Framing};
use watchfire_ingest::sources::multiline::Multiline;

/// The records, a line of `=` with what is known of each before it.
fn records(multiline: Multiline, text: &[u8], piece: usize) -> String {
    let mut cutter = Cutter::new(Framing::Lines(multiline), 1 << 20);
    let (mut start, mut have, mut out) = (0, 0, String::new());
    while have < text.len() {
        have = (have + piece).min(text.len());
        let mut at = 0;
        let end = if have == text.len() { End::Last } else { End::Open };
        while let Some(cut) = cutter.next(&text[start..have], &mut at, end) {
            let what = if cut.has_trace { "trace" } else { "line" };
            writeln!(out, "= {what}\n{}", String::from_utf8_lossy(cut.text)).expect("strings take all");
        }
        start += at;
    }
    out
}

#[test]
fn real_traces_are_one_record_each() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/multiline");
    for (name, multiline) in Multiline::NAMES {
        if matches!(multiline, Multiline::Auto | Multiline::Off) {
            continue;
        }
        let text = std::fs::read(folder.join(format!("{name}.log"))).expect("each language has a file");
        let found = records(multiline, &text, usize::MAX / 2);
        let golden = folder.join(format!("{name}.golden"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &found).expect("the folder can be written");
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(found, expected, "{name}: UPDATE_GOLDEN=1 rewrites it");
        assert_eq!(records(Multiline::Auto, &text, usize::MAX / 2), expected, "{name} found out by itself");
        assert_eq!(records(multiline, &text, 7), expected, "{name} in pieces");
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
        assert_eq!(records(Multiline::Off, &text, 1000).matches("= line\n").count(), lines, "{name} not joined");
    }
}
