use proptest::prelude::*;
use watchfire_protobuf::Writer;

use super::*;
use crate::{Entry, Format, Parser};

const ALL: Wanted = Wanted { natives: true, classic: false };

fn delimit(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for message in messages {
        watchfire_protobuf::put_varint(&mut body, message.len() as u64);
        body.extend_from_slice(message);
    }
    body
}

fn family(name: &str, kind: i64, metric: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    let mut family = Writer::new(&mut out);
    family.bytes(1, name.as_bytes());
    family.bytes(2, b"What it\nmeans.");
    family.signed(3, kind);
    family.message(4, metric);
    out
}

fn label(name: &str, value: &str, to: &mut Writer<'_>) {
    to.message(1, |label| {
        label.bytes(1, name.as_bytes());
        label.bytes(2, value.as_bytes());
    });
}

#[test]
fn numbers_summaries_and_classic_histograms_become_lines() {
    let counter = family("hits_total", 0, |metric| {
        label("path", "a\"b\\c\nd", metric);
        metric.message(3, |counter| {
            counter.double(1, 1e22);
            counter.message(2, |exemplar| {
                label("id", "x", exemplar);
                exemplar.double(2, 0.5);
                exemplar.message(3, |time| {
                    time.signed(1, 1700000000);
                    time.signed(2, 250_000_000);
                });
            });
        });
        metric.signed(6, -1500);
    });
    let summary = family("pause", 2, |metric| {
        metric.message(4, |summary| {
            summary.signed(1, 3);
            summary.double(2, 4.5);
            summary.message(3, |quantile| {
                quantile.double(1, 0.5);
                quantile.double(2, f64::NAN);
            });
        });
    });
    let histogram = family("latency", 4, |metric| {
        metric.message(7, |histogram| {
            histogram.signed(1, 7);
            histogram.double(2, 2.5);
            histogram.message(3, |bucket| {
                bucket.signed(1, 5);
                bucket.double(2, 1.0);
            });
        });
    });
    let written = write(&delimit(&[counter, summary, histogram]), ALL).expect("a body");
    let expected = "# HELP \"hits_total\" What it\\nmeans.\n# TYPE \"hits_total\" counter\n\
        {\"hits_total\",\"path\"=\"a\\\"b\\\\c\\nd\"} 1e22 -1.500 # {\"id\"=\"x\"} 5e-1 1700000000.250\n\
        # HELP \"pause\" What it\\nmeans.\n# TYPE \"pause\" summary\n\
        {\"pause_count\"} 3e0\n{\"pause_sum\"} 4.5e0\n{\"pause\",\"quantile\"=\"0.5\"} NaN\n\
        # HELP \"latency\" What it\\nmeans.\n# TYPE \"latency\" histogram\n\
        {\"latency_count\"} 7e0\n{\"latency_sum\"} 2.5e0\n{\"latency_bucket\",\"le\"=\"1.0\"} 5e0\n\
        {\"latency_bucket\",\"le\"=\"+Inf\"} 7e0\n# EOF\n";
    assert_eq!(written, Written { text: expected.to_owned(), ..Written::default() });
    let mut parser = Parser::new(written.text.as_bytes(), Format::OpenMetrics);
    let mut samples = 0;
    while let Some(entry) = parser.next_entry().expect("OpenMetrics") {
        samples += usize::from(matches!(entry, Entry::Sample { .. }));
    }
    assert_eq!(samples, 8);
}

fn native() -> Vec<u8> {
    family("latency", 4, |metric| {
        label("job", "a", metric);
        metric.message(7, |histogram| {
            histogram.signed(1, 4);
            histogram.double(2, 9.5);
            histogram.message(3, |bucket| bucket.double(2, 1.0));
            histogram.zigzag(5, 3);
            histogram.message(12, |span| {
                span.zigzag(1, -1);
                span.varint(2, 2);
            });
            histogram.zigzag(13, 3);
            histogram.zigzag(13, -2);
        });
    })
}

#[test]
fn a_native_histogram_stands_beside_the_line_of_its_series() {
    let body = delimit(&[native()]);
    let written = write(&body, ALL).expect("a body");
    let [Native { at, histogram, .. }] = written.natives.as_slice() else { panic!("{written:?}") };
    assert_eq!(histogram.positive(), &vec![(-1, 3.0), (0, 1.0)]);
    assert_eq!(written.text.get(*at..), Some("{\"latency\",\"job\"=\"a\"} NaN\n# EOF\n"));
    let both = write(&body, Wanted { classic: true, ..ALL }).expect("a body");
    assert_eq!((both.natives.len(), both.text.matches("latency_bucket").count()), (1, 2));
    let classic = write(&body, Wanted { natives: false, classic: false }).expect("a body");
    assert_eq!((classic.natives.len(), classic.text.matches("latency_bucket").count()), (0, 2));
}

#[test]
fn what_cannot_be_read_is_told() {
    let bad = family("latency", 4, |metric| {
        metric.message(7, |histogram| {
            histogram.signed(1, 4);
            histogram.double(6, 0.5);
        });
    });
    let long = family(&"n".repeat(1 << 16), 1, |metric| {
        metric.message(2, |_| {});
    });
    let many = [long.as_slice(), &[0x22, 2, 0x12, 0].repeat(10_000)].concat();
    for (body, why) in [
        (vec![5, 1], "metric family 1: "),
        (delimit(&[native(), family("x", 9, |_| {})]), "metric family 2: there is no type 9"),
        (delimit(&[bad]), "histogram `latency`: 0 observations found in buckets, but the count is 4"),
        (delimit(&[vec![0x0a, 1, 0xff]]), "metric family 1: a text is no UTF-8"),
        (delimit(&[many]), "written out, the body is longer than"),
    ] {
        let error = write(&body, ALL).expect_err(why).to_string();
        assert!(error.starts_with(why), "{error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = write(&body, Wanted { natives: true, classic: true });
        let _ = write(&delimit(&[body]), ALL);
    }

    #[test]
    fn any_change_is_answered(at in 0usize..70, byte: u8) {
        let mut body = delimit(&[native()]);
        if let Some(place) = body.get_mut(at) {
            *place = byte;
        }
        if let Ok(written) = write(&body, ALL) {
            let mut parser = Parser::new(written.text.as_bytes(), Format::OpenMetrics);
            while let Ok(Some(_)) = parser.next_entry() {}
        }
    }
}
