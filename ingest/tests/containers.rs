//! Logs of containers: `containers/FORMAT.log` is as Docker or a runtime of CRI writes it, `.golden` the records that it
//! becomes, as lines of JSON; `UPDATE_GOLDEN=1` rewrites the latter.

use std::path::Path;

use watchfire_ingest::formats::{Format, Parsers};
use watchfire_ingest::gather::{Gatherer, Origin, Worker};
use watchfire_ingest::id::IdMaker;
use watchfire_ingest::json_text::write_record;
use watchfire_ingest::sources::cut::{Cutter, End, Framing};
use watchfire_ingest::sources::multiline::Multiline;
use watchfire_ingest::sources::skipping::Skipping;
use watchfire_log_store::document::{Document, Names};
use watchfire_model::Timestamp;

/// 2024-03-01T12:00:00Z
const NOW: Timestamp = Timestamp::from_millis(1_709_294_400_000);
const LINE_MAX: usize = 1 << 20;

fn origin(line_max: usize) -> Origin<'static> {
    Origin {
        now: NOW,
        oldest: None,
        service: Some("web"),
        source: None,
        host: None,
        idempotency_key: None,
        line_max,
        by_position: false,
        imported: false,
    }
}

/// A line for each record that `work` gathers, with its format.
fn records(work: impl FnOnce(&mut Gatherer<'_>)) -> String {
    records_within(LINE_MAX, work)
}

/// The same, of lines that are cut to a length.
fn records_within(line_max: usize, work: impl FnOnce(&mut Gatherer<'_>)) -> String {
    let (parsers, ids, mut worker) = (Parsers::default(), IdMaker::default(), Worker::default());
    let mut gatherer = Gatherer::new(&parsers, &ids, &mut worker, origin(line_max)).with_echoes();
    work(&mut gatherer);
    let mut out = String::new();
    for echo in gatherer.take_echoes() {
        if let (Some(format), Some(mut record)) = (echo.format, echo.record) {
            record.id.clear();
            let mut json = String::new();
            write_record(Document { record: &record, seq: None, names: Names::Canonical }, &mut json);
            let json = json.replacen("{\"id\":\"\",", "{", 1);
            let json = json.replacen(",\"accepted_at\":\"2024-03-01T12:00:00.000Z\"", "", 1);
            out += &format!("{}: {json}\n", parsers.name(format));
        } else {
            out += &format!("refused: {:?}\n", echo.refused);
        }
    }
    // Long lines are told by their letters and how many there are.
    ["A", "B", "C"]
        .iter()
        .fold(out, |out, letter| out.replace(&letter.repeat(16384), &format!("({letter} 16384 times)")))
}

/// As a file is read that grows by so many bytes at a time. Says also what is left of it when nothing comes for a while.
fn followed(text: &[u8], format: Option<Format>, piece: usize, at_end: End) -> (String, usize) {
    followed_within(LINE_MAX, text, format, piece, at_end)
}

/// The same, of lines that are cut to a length; started anew at each piece, with no more than what a position keeps.
fn followed_within(line_max: usize, text: &[u8], format: Option<Format>, piece: usize, at_end: End) -> (String, usize) {
    let mut left = 0;
    let found = records_within(line_max, |gatherer| {
        let mut cutter = Cutter::new(Framing::of(format, Multiline::Auto), line_max);
        let (mut start, mut have) = (0, 0);
        while have < text.len() {
            let skipping = Skipping::of_flags(cutter.skipping.flags());
            cutter = Cutter::new(Framing::of(format, Multiline::Auto), line_max);
            cutter.skipping = skipping;
            have = (have + piece).min(text.len());
            let (mut at, end) = (0, if have == text.len() { at_end } else { End::Open });
            while let Some(cut) = cutter.next(&text[start..have], &mut at, end) {
                gatherer.cut(&cut, format);
            }
            start += at;
        }
        left = text.len() - start;
    });
    (found, left)
}

#[test]
fn lines_of_containers_become_the_records_of_the_golden_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/containers");
    for (name, format) in [("docker", Format::Docker), ("cri", Format::Cri)] {
        let text = std::fs::read(folder.join(format!("{name}.log"))).expect("each format has a file");
        let (found, left) = followed(&text, None, usize::MAX / 2, End::Last);
        assert_eq!(left, 0);
        let golden = folder.join(format!("{name}.golden"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &found).expect("the folder can be written");
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(found, expected, "{name}: UPDATE_GOLDEN=1 rewrites it");
        for piece in [1000, 77] {
            assert_eq!(followed(&text, None, piece, End::Last).0, expected, "{name} in pieces of {piece} bytes");
        }
        let asked = followed(&text, Some(format), usize::MAX / 2, End::Last).0;
        let of_format =
            |text: &str| text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(of_format(&asked), of_format(&expected), "{name} as it is asked for");
        let sent = records(|gatherer| {
            gatherer.joined_lines(&text, None, Multiline::Auto, End::Last);
        });
        assert_eq!(sent, expected, "{name} by HTTP");
    }
}

#[test]
fn a_part_waits_for_the_rest_and_what_is_before_it_does_not() {
    let text = b"2024-03-01T11:49:36Z stdout F before\n2024-03-01T11:49:37Z stdout P begins \n\
        2024-03-01T11:49:38Z stderr F of the other stream\n";
    for end in [End::Open, End::Quiet] {
        let (found, left) = followed(text, None, usize::MAX / 2, end);
        assert_eq!((found.lines().count(), text.len() - left), (1, 37), "{end:?}: {found}");
    }
    let all = [&text[..], b"2024-03-01T11:49:39Z stdout F ends\n"].concat();
    let (found, left) = followed(&all, None, 7, End::Open);
    assert_eq!((found.lines().count(), left), (3, 0), "{found}");
    assert!(found.contains("\"begins ends\""), "{found}");
}

#[test]
fn a_trace_waits_until_it_is_quiet_or_the_other_stream_goes_on() {
    let trace = "2024-03-01T11:49:36Z stderr F ERROR boom\n2024-03-01T11:49:36Z stderr F \tat a.B.c(B.java:1)\n";
    for (then, end, count, is_all) in [
        ("", End::Open, 0, false),
        ("", End::Quiet, 1, true),
        ("2024-03-01T11:49:36.2Z stdout F x\n", End::Open, 0, false),
        ("2024-03-01T11:49:36.7Z stdout F x\n", End::Open, 2, true),
        ("2024-03-01T11:49:39Z stderr F x\n", End::Open, 2, true),
    ] {
        let text = format!("{trace}{then}");
        let (found, left) = followed(text.as_bytes(), None, usize::MAX / 2, end);
        assert_eq!((found.lines().count(), left == 0), (count, is_all), "{then:?} {end:?}: {found}");
    }
}

#[test]
fn lines_that_are_sent_without_joining_are_unwrapped_and_their_parts_joined() {
    let text = b"2024-03-01T11:49:36Z stdout P begins \n2024-03-01T11:49:36Z stdout F ends\n\
        2024-03-01T11:49:36Z stderr F ERROR boom\n2024-03-01T11:49:36Z stderr F \tat a.B.c(B.java:1)\n";
    assert_eq!(records(|gatherer| gatherer.text_lines(text, None)).lines().count(), 3);
    let refused = records(|gatherer| gatherer.text_lines(b"hello\n", Some(Format::Cri)));
    assert!(refused.contains("not cri"), "{refused}");
    let json = records(|gatherer| {
        gatherer.text_lines(br#"{"log":"a\n","stream":"stdout","time":"2024-03-01T11:49:36Z"}"#, Some(Format::Json));
    });
    assert!(json.starts_with("json: "), "{json}");
}

/// The messages of a stream's records, or of all.
fn messages(found: &str, stream: Option<&str>) -> Vec<String> {
    let records = found
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(_, json)| serde_json::from_str::<serde_json::Value>(json).expect("records are JSON"));
    let of_stream = records.filter(|record| stream.is_none_or(|stream| record["fields"]["stream"] == stream));
    of_stream.map(|record| record["message"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Real traces of two languages, one on each stream, a line of this and a line of that.
#[test]
fn traces_are_joined_as_those_without_a_wrapper_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/multiline");
    let read = |name: &str| std::fs::read_to_string(folder.join(format!("{name}.log"))).expect("it is there");
    for (out, err) in [("java", "python"), ("go", "rust"), ("python", "dotnet"), ("rust", "java")] {
        let (out, err) = (read(out), read(err));
        let (mut out_lines, mut err_lines, mut text) = (out.lines(), err.lines(), String::new());
        loop {
            let lines = [("stdout", out_lines.next()), ("stderr", err_lines.next())];
            if lines.iter().all(|(_, line)| line.is_none()) {
                break;
            }
            for (stream, line) in lines.into_iter().filter_map(|(stream, line)| Some((stream, line?))) {
                text += &format!("2024-03-01T11:49:36.123456789Z {stream} F {line}\n");
            }
        }
        let found = followed(text.as_bytes(), None, 501, End::Last).0;
        for (stream, plain) in [("stdout", &out), ("stderr", &err)] {
            let plain = messages(&followed(plain.as_bytes(), None, usize::MAX / 2, End::Last).0, None);
            assert_eq!(messages(&found, Some(stream)), plain, "{stream}");
        }
    }
}

/// Whatever lies among each other: nothing is lost, and what comes out does not depend on how the bytes came in.
#[test]
fn no_line_is_lost_among_each_other() {
    let words = [
        "ERROR x",
        "\tat a.B.c(B.java:1)",
        "plain",
        "a.b.Cee: d",
        "Traceback (most recent call last):",
        "",
        "  in",
        "E: f",
    ];
    let mut seed = 7u64;
    for _ in 0..200 {
        let mut text = String::new();
        for line in 0..30 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let dice = (seed >> 33) as usize;
            let (stream, tag) = (["stdout", "stderr"][dice % 2], ["F", "F", "F", "P"][dice / 2 % 4]);
            let word = words[dice / 8 % words.len()];
            text +=
                &format!("2024-03-01T11:49:{:02}.{}Z {stream} {tag} {word} #{line}#\n", line / 6 + 10, dice / 64 % 10);
        }
        let (whole, left) = followed(text.as_bytes(), None, usize::MAX / 2, End::Last);
        assert_eq!(left, 0);
        assert_eq!(followed(text.as_bytes(), None, 41, End::Last).0, whole, "{text}");
        // With a limit that some lines in parts are over.
        let cut = followed_within(150, text.as_bytes(), None, usize::MAX / 2, End::Last).0;
        assert_eq!(followed_within(150, text.as_bytes(), None, 41, End::Last).0, cut, "{text}");
        for line in 0..30 {
            let mark = format!(" #{line}#");
            assert_eq!(whole.matches(&mark).count(), 1, "line {line} of\n{text}\n{whole}");
        }
    }
}

/// A line in parts that is longer than the limit, lines of the other stream among its parts.
#[test]
fn a_line_in_parts_over_the_limit_is_one_record_that_is_cut() {
    let cri = |stream: &str, tag: &str, text: &str| format!("2024-03-01T11:49:36Z {stream} {tag} {text}\n");
    let part = |n: usize| cri("stdout", "P", &format!("part {n:02} {}", "A".repeat(50)));
    let other = |n: usize| cri("stderr", "F", &format!("other {n}"));
    let mut text = cri("stdout", "F", "before");
    for n in 0..20 {
        text += &part(n);
        if n % 4 == 3 {
            text += &other(n);
        }
    }
    // The other stream has a line of its own that is too long, and a trace among which parts lie.
    for n in 0..20 {
        text += &cri("stderr", "P", &format!("more {n} {}", "B".repeat(50)));
    }
    text += &cri("stderr", "F", "ends");
    text += &cri("stderr", "F", "ERROR boom");
    text += &part(20);
    text += &cri("stderr", "F", "\tat a.B.c(B.java:1)");
    text += &cri("stdout", "F", "ends");
    text += &cri("stdout", "F", "behind");
    text += &cri("stderr", "F", "behind too");
    let (whole, left) = followed_within(400, text.as_bytes(), None, usize::MAX / 2, End::Last);
    assert_eq!(left, 0);
    let told = |stream| messages(&whole, Some(stream));
    let out = told("stdout");
    assert!(out.len() == 3 && out[0] == "before" && out[1].starts_with("part 00 ") && out[2] == "behind", "{out:#?}");
    let err = told("stderr");
    let others: Vec<String> = (3..20).step_by(4).map(|n| format!("other {n}")).collect();
    assert_eq!(err[..5], others, "{err:#?}");
    assert!(err.len() == 8 && err[5].starts_with("more 0 ") && !err[5].ends_with("ends"), "{err:#?}");
    assert_eq!(err[6..], ["ERROR boom\n\tat a.B.c(B.java:1)", "behind too"]);
    let cut: Vec<&str> = whole.lines().filter(|line| line.contains("\"truncated\":true")).collect();
    assert!(cut.len() == 2 && cut[0].contains("part 00") && cut[1].contains("more 0"), "{cut:#?}");
    for piece in [7, 100, 333] {
        assert_eq!(followed_within(400, text.as_bytes(), None, piece, End::Last).0, whole, "pieces of {piece} bytes");
    }
}

/// A line is not cut for the trace that stands before it.
#[test]
fn a_line_in_parts_behind_a_trace_is_whole() {
    let line = |tag: &str, text: &str| format!("2024-03-01T11:49:36Z stderr {tag} {text}\n");
    let trace: String = (0..5).map(|n| line("F", &format!("\tat a.B.c(B.java:{n})"))).collect();
    let text = line("F", "ERROR boom") + &trace + &line("P", &"C".repeat(80)) + &line("F", "ends");
    let (found, left) = followed_within(400, text.as_bytes(), None, usize::MAX / 2, End::Last);
    let messages = messages(&found, None);
    assert_eq!((left, messages.len()), (0, 2), "{messages:#?}");
    assert_eq!((messages[0].lines().count(), &*messages[1]), (6, &*("C".repeat(80) + "ends")));
    assert!(!found.contains("truncated"), "{found}");
}
